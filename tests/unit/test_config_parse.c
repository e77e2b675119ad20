/* SPDX-License-Identifier: Apache-2.0 */

/* Hostile and odd texts, and what fails on the way. */

#include "test_config_fixture.h"

#include "config/parse.h"
#include "core/os.h"

TestSuite(config_parse, .init = set_up, .fini = tear_down);

Test(config_parse, libconfigs_own_include_is_refused)
{
	REFUSE(2, "@include is not taken: use include =",
	       "\n@include \"other.conf\"\n");
	REFUSE(2, "@include", "\n  @include \"/nonexistent\"\n");
	REFUSE(1, "`@` is not expected", "a = @;");
	ACCEPT("# @include \"x\"\n/* @include \"y\" */\n// @include \"z\"\n");
	ACCEPT("environment = \"@include\";\n");
	REFUSE(2, "@include", "environment = \"a\\\\\";\n@include \"x\"\n");
	REFUSE(3, "@include", "environment = \"a\";/*\n*//**/\n@include \"x\"");
	REFUSE(2, "@include", "user = \"\\\"\";// \"\n@include \"x\"\n\"");
}

static void *no_block(size_t size)
{
	return size < 65536 ? malloc(size) : NULL;
}

/* libconfig ends the process when it finds none. */
Test(config_parse, it_is_not_begun_without_memory)
{
	struct buffer errors = BUFFER_INIT(4096);
	struct setting *root = NULL;
	static const char text[] = "environment = \"x\";\n";

	os.alloc = no_block;
	cr_assert_eq(parse_text(text, strlen(text), "a.conf", &root, &errors),
		     ATOM_ENOMEM);
	os.alloc = malloc;
	cr_assert_null(root);
	cr_assert(strstr(errors.bytes, "a.conf"), "%s", errors.bytes);
	cr_assert(strstr(errors.bytes, "no memory"), "%s", errors.bytes);
	buffer_fini(&errors);
}

/* In the place of libc's: libconfig's names and texts come from here. */
static unsigned int strdups_left;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
__attribute__((visibility("default"))) char *__strdup(const char *text);

char *__strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if (strdups_left > 0 && --strdups_left == 0)
		return NULL;
	copy = malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

Test(config_parse, what_libconfig_had_no_memory_for_is_missed)
{
	static const char text[] =
		"a = \"x\"; b: { c = 1; d = ( \"y\", { e = 2; } ); };";
	struct setting *root = NULL;
	unsigned int n;
	bool failed = true;

	for (n = 1; failed; n++) {
		struct buffer errors = BUFFER_INIT(4096);
		atom_status status;

		strdups_left = n;
		status = parse_text(text, strlen(text), "a.conf", &root,
				    &errors);
		failed = strdups_left == 0;
		strdups_left = 0;
		cr_assert_eq(status, failed ? ATOM_ENOMEM : ATOM_OK, "%u", n);
		cr_assert_eq(errors.length > 0, failed);
		buffer_fini(&errors);
	}
	setting_free(&root);
	cr_assert_gt(n, 5);
}

Test(config_parse, integers_never_wrap)
{
	static const char *const numbers[] = {
		"4294967297",
		"2147483648",
		"9999999999999",
		"-2147483649",
		"99999999999999999999999",
		"0x1FFFFFFFF",
		"0x80000000",
		"99999999999999999999L",
		"0xFFFFFFFFFFFFFFFFL",
	};
	char text[64];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		(void)snprintf(text, sizeof(text), "\nmax_agents = %s;",
			       numbers[i]);
		REFUSE(2, numbers[i], text);
	}
	REFUSE(1, "write 4294967297L", "max_agents = 4294967297;");
	/* The key is named, also of a member of a list. */
	REFUSE(1, "`token_limit`: the integer",
	       "max_agents = 1; token_limit = 4294967297;");
	REFUSE(1, "`directories`: the integer",
	       "plugins: { watch = true; directories = [ 4294967297 ]; };");
	REFUSE(1, "must be 1 to 100000, found 4294967297",
	       "max_agents = 4294967297L;");
	ACCEPT("max_agents = 0x10;");
	cr_assert_eq(config->max_agents, 16);
	ACCEPT("max_agents = 010; token_limit = +5L;");
	cr_assert_eq(config->max_agents, 10);
	REFUSE(1, "a value with a unit stands in quotes", "workers = 3s;");
	REFUSE(1, "too large", "workers = 1e999;");
	REFUSE(1, "is no number", "workers = .;");
}

static void refuse_repeated(const char *before, const char *unit, size_t times,
			    const char *part)
{
	struct buffer text = BUFFER_INIT(4 * 1024 * 1024);

	(void)buffer_append_text(&text, before);
	for (size_t i = 0; i < times; i++)
		(void)buffer_append_text(&text, unit);
	put_bytes("atomd.conf", text.bytes, text.length);
	buffer_fini(&text);
	cr_assert_eq(load_with(NULL, 0), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), part), "%s", words());
	cr_assert_lt(said.length, 20000);
}

Test(config_parse, depth_and_counts_are_bounded, .timeout = 20)
{
	refuse_repeated("a = ", "( ", 200000, "nested deeper than 64");
	refuse_repeated("", "a: { ", 100000, "nested deeper than 64");
	refuse_repeated("a = ", "[", 100000, "[ ] holds scalars only");
	refuse_repeated("a = ( 1", ", [ 1 ]", 70000, "never closed");
	refuse_repeated("", ";", 100000, "syntax error");
	refuse_repeated("", "a", 1000000, "more than 255 characters");
	refuse_repeated("a = \"", "x", 2000000, "more than 1024 KiB");
	refuse_repeated("a = ( 1", ",1", 600000, "more than 500000 settings");
	refuse_repeated("a: { ", "b=true;", 1001, "settings in one group");
	refuse_repeated("", "a=1;", 500000, "settings in one group");
	refuse_repeated("user = \"", "${env:X", 20000, "never ends");
	refuse_repeated("a=", "1", 100, "is too long");
	refuse_repeated("/*", "*", 1000000, "comment that begins here");
}

Test(config_parse, open_and_stray_parts_are_told)
{
	REFUSE(2, "the string that begins here never ends",
	       "\nenvironment = \"abc\n\n");
	REFUSE(1, "the comment that begins here never ends", "/* never\n\n");
	REFUSE(1, "never ends", "a = \"\\");
	REFUSE(2, "never closed", "\na: {\n b = 1;\n");
	REFUSE(2, "`)` where `}` must close what line 1 opened", "a: {\n );");
	REFUSE(1, "`}` closes nothing", "}");
	REFUSE(2, "stands in its group already",
	       "user = \"a\";\nuser = \"b\";\n");
	REFUSE(1, "one type only", "include = [ 1, \"a\" ];");
	REFUSE(1, "is not UTF-8", "environment = \"\xff\xfe\";");
	REFUSE(1, "is not UTF-8", "environment =\n \"\\xff\";");
	REFUSE(1, "NUL", "environment = \"a\\x00b\";");
	REFUSE(1, "byte 0x01", "\001");
	REFUSE(1, "`=` was expected, found b", "a b c");
	REFUSE(1, "found production (strings stand in double quotes)",
	       "environment = production;");
	REFUSE(2, "a value was expected, found ;", "a =\n;");
	REFUSE(1, "`,` or a closing bracket was expected, found 2",
	       "a = ( 1 2 );");
	REFUSE(1, "a value was expected, found )", "a = ( 1, );");
	REFUSE(2, "a value was expected, found the end", "\na = \n\n");
	REFUSE(2, "syntax error", "a = 1;\n= 2;");
}

Test(config_parse, a_comment_may_end_the_file)
{
	ACCEPT("max_agents = 5; # the end");
	ACCEPT("max_agents = 5; // the end");
	ACCEPT("max_agents = 5 /* the end */");
	ACCEPT("max_agents = 5;\r\n# dos\r\n");
	cr_assert_eq(config->max_agents, 5);
}

Test(config_parse, a_text_need_not_end_in_nul)
{
	struct setting *root = NULL;

	cr_assert_eq(parse_text("a = 12345", 7, "x", &root, &said), ATOM_OK);
	cr_assert_eq(setting_member(root, "a")->integer, 123);
	cr_assert_eq(setting_member(root, "a")->line, 1);
	cr_assert_str_eq(setting_member(root, "a")->file, "x");
	setting_free(&root);
}

/* --- every allocation fails once ----------------------------------------- */

static int allocations_left;
static void *(*real_alloc)(size_t size);
static void *(*real_realloc)(void *old, size_t size);

static void *scarce_alloc(size_t size)
{
	return allocations_left-- > 0 ? real_alloc(size) : NULL;
}

static void *scarce_realloc(void *old, size_t size)
{
	return allocations_left-- > 0 ? real_realloc(old, size) : NULL;
}

Test(config_parse, a_failed_allocation_is_an_error_and_leaks_nothing)
{
	atom_status status = ATOM_ENOMEM;
	int tried = 0;

	put("x.conf", "agents = ( { name = \"b\"; backend: {"
		      " plugin = \"e\"; }; } );");
	put("secret", "abcdefgh");
	put("atomd.conf",
	    "include = [ \"*.conf.none\", \"x.con[f]\" ]; log_level = \"info\";"
	    "plugins: { directories = [ \"p\" ]; };"
	    "listeners = ( { address = \"unix:s\"; } );"
	    "security: { anonymous_role = \"r\"; roles = ( { name = \"r\";"
	    " permissions = [ \"view_all\" ]; } ); };"
	    "agents = ( { name = \"a\"; backend: { plugin = \"e\";"
	    " key = \"${file:secret}\"; n = 1; f = 1.5; b = true; }; } );");
	real_alloc = os.alloc;
	real_realloc = os.realloc;
	for (; status == ATOM_ENOMEM && tried < 5000; tried++) {
		buffer_clear(&said);
		(void)buffer_reserve(&said, 4096);
		allocations_left = tried;
		os.alloc = scarce_alloc;
		os.realloc = scarce_realloc;
		status = config_load(at("atomd.conf"), NULL, 0, &config, &said);
		os.alloc = real_alloc;
		os.realloc = real_realloc;
		cr_assert(status == ATOM_OK || status == ATOM_ENOMEM,
			  "%d: %d %s", tried, status, words());
		cr_assert_eq(status == ATOM_OK, said.length == 0, "%s",
			     words());
	}
	cr_assert_eq(status, ATOM_OK);
	cr_assert_gt(tried, 50);
}
