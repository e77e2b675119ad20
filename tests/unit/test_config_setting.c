/* SPDX-License-Identifier: Apache-2.0 */

/* Trees as text and JSON, and the difference of two configurations. */

#include "test_config_fixture.h"

#include "config/parse.h"
#include "config/value.h"
#include "core/json.h"

TestSuite(config_setting, .init = set_up, .fini = tear_down);

static struct setting *tree_of(const char *text)
{
	struct setting *root = NULL;

	cr_assert_eq(parse_text(text, strlen(text), "t", &root, &said), ATOM_OK,
		     "%s\n%s", text, words());
	return root;
}

static void canonical(const struct setting *tree, struct buffer *out)
{
	buffer_clear(out);
	cr_assert_eq(setting_canonical(tree, out), ATOM_OK);
}

static bool same_text(const char *a, const char *b)
{
	struct setting *x = tree_of(a), *y = tree_of(b);
	struct buffer p = BUFFER_INIT(65536), q = BUFFER_INIT(65536);
	bool same;

	canonical(x, &p);
	canonical(y, &q);
	same = strcmp(p.bytes, q.bytes) == 0;
	buffer_fini(&p);
	buffer_fini(&q);
	setting_free(&x);
	setting_free(&y);
	return same;
}

Test(config_setting, the_canonical_text_ignores_order_and_layout_only)
{
	cr_assert(same_text("a = 1; b: { c = \"x\"; d = 2.5; };",
			    "b = { d = 2.5, c = \"\" \"x\" } a : 1;"));
	cr_assert_not(same_text("a = 1;", "a = 2;"));
	cr_assert_not(same_text("a = 1;", "a = 1.0;"));
	cr_assert_not(same_text("a = 1;", "a = true;"));
	cr_assert_not(same_text("a = \"1\";", "a = 1;"));
	cr_assert_not(same_text("a = ( 1, 2 );", "a = ( 2, 1 );"));
	cr_assert_not(
		same_text("a = [ \"x\", \"y\" ];", "a = [ \"x;s1:y\" ];"));
	cr_assert_not(same_text("a = \"${env:X}\";", "a = \"${env:Y}\";"));
}

static const char *const odd_trees[] = {
	"",
	"a = 1; b = -5; c = 2147483648L; d = -9223372036854775807L;",
	"a = 1.5; b = -0.0; c = 1e300; d = 1e-300; e = 3.0; f = 0.1;",
	"a = true; b = false;",
	"a = \"q\\\"b\\\\n\\n t\\t r\\r f\\f x\\x01 \\x7f \\\\x41 é ${env:A}\";",
	"a = \"one\\ntwo\\nthree\\n\"; b = \"\\n\"; c = \"\";",
	"a = [ ]; b = ( ); c = [ \"x\", \"y\" ]; d = [ 1, 2 ];",
	"a = ( 1, 2L, 2.5, \"x\", true, ( 1 ), { z = 1; } );",
	"a: { b: { c: { }; d = ( { e = \"1\"; }, { e = \"2\"; } ); }; };",
	"a-b_c* = 1; * = 2;",
};

Test(config_setting, what_is_printed_reads_back_the_same)
{
	struct buffer text = BUFFER_INIT(65536);
	struct buffer before = BUFFER_INIT(65536), after = BUFFER_INIT(65536);

	for (size_t i = 0; i < sizeof(odd_trees) / sizeof(*odd_trees); i++) {
		struct setting *tree = tree_of(odd_trees[i]), *again;

		buffer_clear(&text);
		(void)buffer_reserve(&text, 1);
		cr_assert_eq(setting_print(tree, 0, NULL, &text), ATOM_OK);
		again = tree_of(text.bytes);
		canonical(tree, &before);
		canonical(again, &after);
		cr_assert_str_eq(before.bytes, after.bytes, "%s", text.bytes);
		setting_free(&tree);
		setting_free(&again);
	}
	buffer_fini(&text);
	buffer_fini(&before);
	buffer_fini(&after);
}

Test(config_setting, json_goes_there_and_back)
{
	struct buffer before = BUFFER_INIT(65536), after = BUFFER_INIT(65536);

	for (size_t i = 0; i < sizeof(odd_trees) / sizeof(*odd_trees); i++) {
		struct setting *tree = tree_of(odd_trees[i]), *again = NULL;
		json_t *json = setting_to_json(tree, NULL);

		cr_assert_not_null(json);
		cr_assert_eq(setting_of_json(json, NULL, &again, NULL),
			     ATOM_OK);
		canonical(tree, &before);
		canonical(again, &after);
		cr_assert_str_eq(before.bytes, after.bytes);
		json_decref(json);
		setting_free(&tree);
		setting_free(&again);
	}
	buffer_fini(&before);
	buffer_fini(&after);
}

static void refuse_json(const char *text, const char *part)
{
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	struct setting *tree = NULL;

	cr_assert_not_null(json, "%s", text);
	cr_assert_eq(setting_of_json(json, NULL, &tree, &err), ATOM_EINVAL);
	cr_assert_null(tree);
	cr_assert_not_null(strstr(err.message, part), "%s", err.message);
	json_decref(json);
}

Test(config_setting, json_that_libconfig_could_not_hold_is_refused)
{
	char deep[400] = "";

	refuse_json("{\"a\": null}", "`a` is null");
	refuse_json("{\"a b\": 1}", "`a b` is no key");
	refuse_json("{\"\": 1}", "is no key");
	refuse_json("{\"1\": 1}", "is no key");
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	refuse_json(deep, "nested deeper than 64");
}

Test(config_setting, secrets_are_not_printed)
{
	static const char *const names[] = { "api_key", NULL };
	struct buffer text = BUFFER_INIT(65536);
	struct setting *tree = tree_of(
		"a: { api_key = \"sk-1\"; }; b: { api_key = \"${env:K}\"; };"
		"c: { api_key = \"${env:K:-sk-2}\"; };"
		"d: { api_key = ( \"sk-3\" ); };"
		"e: { api_key = \"${env:A}sk-4${env:B}\"; }; f = \"open\";"
		"g: { api_key = \"${env:K:+sk-5}\"; };"
		"h: { api_key = \"${env:EMPTY:-}\"; };"
		"i: { api_key = \"${file:a:-b}\"; };");
	json_t *json = setting_to_json(tree, names);
	char *dump = json_dumps(json, 0);

	cr_assert_eq(setting_print(tree, 0, names, &text), ATOM_OK);
	cr_assert_null(strstr(text.bytes, "sk-"), "%s", text.bytes);
	cr_assert_null(strstr(dump, "sk-"), "%s", dump);
	cr_assert_not_null(strstr(text.bytes, "\"${env:K}\""));
	cr_assert_not_null(strstr(text.bytes, "\"${env:EMPTY:-}\""));
	cr_assert_not_null(strstr(text.bytes, "\"${file:a:-b}\""));
	cr_assert_not_null(strstr(text.bytes, "f = \"open\""));
	free(dump);
	json_decref(json);
	buffer_fini(&text);
	setting_free(&tree);
}

Test(config_setting, a_setting_knows_its_path)
{
	struct setting *tree = tree_of("a = ( 1, { b: { c = 1; }; } );");
	const struct setting *c = setting_member(
		setting_member(setting_member(tree, "a")->members[1], "b"),
		"c");
	char path[64], cut[6];

	setting_path(c, path, sizeof(path));
	cr_assert_str_eq(path, "a[1].b.c");
	setting_path(c, cut, sizeof(cut));
	cr_assert_str_eq(cut, "a[1].");
	setting_path(tree, path, sizeof(path));
	cr_assert_str_empty(path);
	setting_free(&tree);
}

Test(config_setting, a_copy_outlives_its_origin)
{
	struct setting *tree = tree_of("a: { b = ( \"x\", 2.5 ); };"), *copy;
	struct buffer before = BUFFER_INIT(65536), after = BUFFER_INIT(65536);

	canonical(tree, &before);
	copy = setting_copy(tree);
	cr_assert_not_null(copy);
	setting_free(&tree);
	canonical(copy, &after);
	cr_assert_str_eq(before.bytes, after.bytes);
	cr_assert_str_eq(setting_member(copy, "a")->file, "t");
	setting_free(&copy);
	buffer_fini(&before);
	buffer_fini(&after);
}

Test(config_setting, a_long_value_is_quoted_short)
{
	char out[12];

	value_quote("short", out, sizeof(out));
	cr_assert_str_eq(out, "short");
	value_quote("a\nb\x7f", out, sizeof(out));
	cr_assert_str_eq(out, "a?b?");
	value_quote("0123456789abc", out, sizeof(out));
	cr_assert_str_eq(out, "01234567...");
	value_quote("0123456\xc3\xa9xxxxxx", out, sizeof(out));
	cr_assert_str_eq(out, "0123456...");
}

/* --- difference ---------------------------------------------------------- */

#define AGENT(name, more) \
	"{ name = \"" name "\"; backend: { plugin = \"e\"; " more " }; }"

static struct config *configured(const char *text)
{
	struct config *made;

	cr_assert_eq(load(text), ATOM_OK, "%s", words());
	made = config_ref(config);
	config_unref(&config);
	return made;
}

Test(config_setting, a_difference_names_agents)
{
	struct config *now =
		configured("agents = ( " AGENT("keep", "x = 1;") ", " AGENT(
			"change", "") ", " AGENT("go", "") " );");
	struct config *next =
		configured("\n\nagents = ( " AGENT("new", "") ",\n" AGENT(
			"change",
			"y = 1;") ", " AGENT("keep",
					     "x = 1 ") " ); token_limit = 5;");
	struct config_difference d;

	cr_assert_eq(config_compare(now, next, &d), ATOM_OK);
	cr_assert_eq(d.added_count, 1);
	cr_assert_str_eq(d.added[0]->name, "new");
	cr_assert_eq(d.changed_count, 1);
	cr_assert_str_eq(d.changed[0]->name, "change");
	cr_assert_eq(d.removed_count, 1);
	cr_assert_str_eq(d.removed[0]->name, "go");
	cr_assert_eq(d.unchanged_count, 1);
	cr_assert_not(d.listeners_changed);
	cr_assert_not(d.security_changed);
	cr_assert_null(d.needs_restart);
	config_difference_fini(&d);
	config_unref(&now);
	config_unref(&next);
}

static struct config_difference compared(const char *a, const char *b)
{
	struct config *now = configured(a), *next = configured(b);
	struct config_difference d;

	cr_assert_eq(config_compare(now, next, &d), ATOM_OK);
	config_difference_fini(&(struct config_difference){
		.added = d.added, .changed = d.changed, .removed = d.removed });
	config_unref(&now);
	config_unref(&next);
	return d;
}

Test(config_setting, a_difference_names_other_parts)
{
	cr_assert_str_eq(compared("", "workers = 2;").needs_restart, "workers");
	cr_assert_str_eq(
		compared("", "state: { directory = \"x\"; };").needs_restart,
		"state.directory");
	cr_assert_str_eq(compared("state: { a = 1; };", "state: { a = 2; };")
				 .needs_restart,
			 "state");
	cr_assert_str_eq(
		compared("", "monitoring_interval = \"1s\";").needs_restart,
		"monitoring_interval");
	cr_assert_null(
		compared("", "state: { store = \"sqlite\"; };").needs_restart,
		"what is the default is no change");
	cr_assert(compared("", "listeners = ( { address = \"unix:x\"; } );")
			  .listeners_changed);
	cr_assert(compared("security: { };",
			   "security: { anonymous_role = \"caller\"; };")
			  .security_changed);
}

Test(config_setting, a_rotated_secret_changes_security_and_no_agent)
{
	static const char text[] =
		"security: { bootstrap_admin_key = \"${file:k}\"; };"
		"agents = ( " AGENT("a", "key = \"${file:k}\";") " );";
	struct config *now, *next;
	struct config_difference d;

	put("k", "the-first-of-two-secrets");
	now = configured(text);
	put("k", "the-second-of-two-secrets");
	next = configured(text);
	cr_assert_eq(config_compare(now, next, &d), ATOM_OK);
	cr_assert(d.security_changed);
	cr_assert_eq(d.unchanged_count, 1);
	config_difference_fini(&d);
	config_unref(&now);
	config_unref(&next);
}

/* --- an agent from the API ----------------------------------------------- */

Test(config_setting, an_agent_of_json_is_checked_and_held)
{
	struct config *defaults = configured("");
	struct setting *body = NULL;
	json_t *json = json_loads(
		"{\"name\":\"a\",\"backend\":{\"plugin\":\"e\",\"m\":\"${environment}\"},"
		"\"instances\":{\"min\":2}}",
		0, NULL);

	cr_assert_eq(setting_of_json(json, NULL, &body, NULL), ATOM_OK);
	cr_assert_eq(config_agent_of_setting(body, defaults, &config, &said),
		     ATOM_OK, "%s", words());
	cr_assert_eq(config->agent_count, 1);
	cr_assert_eq(config->agents[0].instances.min, 2);
	cr_assert_str_eq(
		setting_member(config->agents[0].backend_options, "m")->text,
		"production");
	json_decref(json);

	json = json_loads("{\"nam\":\"a\",\"max_tokens\":\"x\"}", 0, NULL);
	body = NULL;
	config_unref(&config);
	cr_assert_eq(setting_of_json(json, NULL, &body, NULL), ATOM_OK);
	cr_assert_eq(config_agent_of_setting(body, defaults, &config, &said),
		     ATOM_EINVAL);
	cr_assert_not_null(
		strstr(words(), "unknown key `nam`; did you mean `name`?\n"));
	cr_assert_not_null(strstr(words(), "`backend` is missing"));
	cr_assert_not_null(strstr(words(), "`max_tokens` must be an integer"));
	setting_free(&body);
	json_decref(json);
	config_unref(&defaults);
}

static json_t *difference(const char *from, const char *to)
{
	static const char *const secrets[] = { "key", NULL };
	struct setting *a = from ? tree_of(from) : NULL;
	struct setting *b = to ? tree_of(to) : NULL;
	json_t *rows = setting_difference(a, secrets, b, secrets);

	cr_assert_not_null(rows);
	setting_free(&a);
	setting_free(&b);
	return rows;
}

static void differs(const char *from, const char *to, const char *expected)
{
	json_t *rows = difference(from, to);
	char *text = json_dumps(rows, JSON_COMPACT);

	cr_assert_str_eq(text, expected, "%s", text);
	free(text);
	json_decref(rows);
}

Test(config_setting, a_difference_names_each_value_that_is_another)
{
	differs("a = 1; b: { c = \"x\"; };", "b: { c = \"x\"; }; a = 1;", "[]");
	differs("a = 1; b: { c = \"x\"; d = 2; };",
		"b: { c = \"y\"; e = true; }; a = 1;",
		"[{\"key\":\"b.d\",\"from\":2},"
		"{\"key\":\"b.c\",\"from\":\"x\",\"to\":\"y\"},"
		"{\"key\":\"b.e\",\"to\":true}]");
	differs("a = [ \"x\", \"y\" ];", "a = [ \"x\" ];",
		"[{\"key\":\"a\",\"from\":[\"x\",\"y\"],\"to\":[\"x\"]}]");
	/* An empty group may count by being there; 1 and 1.0 are two. */
	differs("a = 1;", "a = 1.0; m: { };",
		"[{\"key\":\"a\",\"from\":1,\"to\":1.0},"
		"{\"key\":\"m\",\"to\":{}}]");
	differs(NULL, "a: { b = 1; };", "[{\"key\":\"a.b\",\"to\":1}]");
	differs("a = 1;", NULL, "[{\"key\":\"a\",\"from\":1}]");
}

Test(config_setting, a_difference_shows_no_secret)
{
	differs("key = \"s1\";", "key = \"s2\";",
		"[{\"key\":\"key\",\"from\":\"***\",\"to\":\"***\"}]");
	differs("key = \"s1\";", "key = \"${env:K}\";",
		"[{\"key\":\"key\",\"from\":\"***\",\"to\":\"${env:K}\"}]");
}
