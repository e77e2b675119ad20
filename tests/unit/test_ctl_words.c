/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: words, options, addresses, and what was meant. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "ctl/arguments.h"
#include "ctl/commands.h"
#include "ctl/endpoint.h"
#include "ctl/nearest.h"

static char **line(char *words[], int *count_r)
{
	for (*count_r = 0; words[*count_r]; (*count_r)++)
		;
	return words;
}

#define PARSE(arguments, error, ...)                               \
	({                                                         \
		char *words_[] = { "atomctl", __VA_ARGS__, NULL }; \
		int count_;                                        \
		char **line_ = line(words_, &count_);              \
		arguments_parse(arguments, count_, line_, error);  \
	})

Test(ctl_words, options_stand_anywhere)
{
	struct arguments arguments;
	char error[ARGUMENTS_ERROR_MAX];
	cr_assert(PARSE(&arguments, error, "--url", "U", "invoke", "--json",
			"echo", "-", "--key=K", "--session=", "-n5"));
	cr_assert_eq(arguments.word_count, 3);
	cr_assert_str_eq(arguments.words[0], "invoke");
	cr_assert_str_eq(arguments.words[2], "-");
	cr_assert_str_eq(arguments.values[OPTION_URL], "U");
	cr_assert_str_eq(arguments.values[OPTION_KEY], "K");
	cr_assert_str_eq(arguments.values[OPTION_SESSION], "");
	cr_assert_str_eq(arguments.values[OPTION_LIMIT], "5");
	cr_assert_str_eq(arguments.values[OPTION_JSON], "");
	cr_assert_null(arguments.values[OPTION_NOW]);
	cr_assert_null(arguments.unknown);
}

Test(ctl_words, two_dashes_make_words_of_all_behind)
{
	struct arguments arguments;
	char error[ARGUMENTS_ERROR_MAX];
	cr_assert(PARSE(&arguments, error, "invoke", "--", "--json", "--"));
	cr_assert_eq(arguments.word_count, 3);
	cr_assert_eq(arguments.plain_words, 1);
	cr_assert_str_eq(arguments.words[1], "--json");
	cr_assert_str_eq(arguments.words[2], "--");
	for (int id = 0; id < OPTION_COUNT; id++)
		cr_assert_null(arguments.values[id]);
}

Test(ctl_words, wrong_lines_are_told)
{
	struct arguments arguments;
	char error[ARGUMENTS_ERROR_MAX];
	cr_assert_not(PARSE(&arguments, error, "status", "--url"));
	cr_assert_str_eq(error, "--url needs a value: --url URL");
	cr_assert_not(PARSE(&arguments, error, "status", "--json=1"));
	cr_assert_str_eq(error, "--json takes no value, found '1'");
	cr_assert_not(PARSE(&arguments, error, "-fx"));
	cr_assert_not(PARSE(&arguments, error, "1", "2", "3", "4", "5", "6",
			    "7", "8", "9"));
	cr_assert_not_null(strstr(error, "'9'"));
	cr_assert(PARSE(&arguments, error, "--nwo", "-x", "reload"));
	cr_assert_str_eq(arguments.unknown, "--nwo");
}

Test(ctl_words, a_key_leaves_the_line)
{
	struct arguments arguments;
	char error[ARGUMENTS_ERROR_MAX];
	char typed[] = "--key=secret";
	cr_assert(PARSE(&arguments, error, typed, "status"));
	char *key = arguments_hide_key(&arguments);
	cr_assert_str_eq(typed, "--key=******");
	cr_assert_str_eq(arguments.values[OPTION_KEY], "secret");
	free(key);
	cr_assert(PARSE(&arguments, error, "status"));
	cr_assert_null(arguments_hide_key(&arguments));
}

Test(ctl_words, a_subword_wins_over_a_bare_word)
{
	static const char *const export[] = { "agents", "export", "x" };
	static const char *const one[] = { "agents", "x" };
	static const char *const keys[] = { "keys" };
	size_t taken = 0;
	const struct command *command = commands_find(export, 3, &taken);
	cr_assert(command->run == cmd_agents_export && taken == 2);
	command = commands_find(one, 2, &taken);
	cr_assert(command->run == cmd_agents && taken == 1);
	cr_assert_null(commands_find(keys, 1, &taken));
	cr_assert_null(commands_find(NULL, 0, &taken));
}

static const struct {
	const char *words[2];
	const char *sentence;
} unknown[] = {
	{ { "agnets", NULL },
	  "'agnets' is no command; did you mean 'agents'?" },
	{ { "keys", "crate" },
	  "'keys crate' is no command; did you mean 'keys create'?" },
	{ { "keys", NULL },
	  "'keys' needs one of: create, list, rotate, revoke" },
	{ { "keys", "xyzzyx" },
	  "'keys xyzzyx' is no command; 'keys' takes: create, list, rotate, revoke" },
	{ { "plugin", "new" },
	  "'plugin new' is not in this version of atomctl" },
	{ { "xyzzyx", NULL },
	  "'xyzzyx' is no command; 'atomctl --help' lists them" },
};

Test(ctl_words, an_unknown_command_is_explained)
{
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		char sentence[COMMANDS_EXPLAIN_MAX];
		commands_explain(unknown[i].words, unknown[i].words[1] ? 2 : 1,
				 sentence);
		cr_assert_str_eq(sentence, unknown[i].sentence);
	}
}

Test(ctl_words, distance_counts_a_swap_once)
{
	cr_assert_eq(nearest_distance("agents", "agents"), 0);
	cr_assert_eq(nearest_distance("agnets", "agents"), 1);
	cr_assert_eq(nearest_distance("Agents", "agents"), 0);
	cr_assert_eq(nearest_distance("agent", "agents"), 1);
	cr_assert_eq(nearest_distance("", "abc"), 3);
	cr_assert_eq(nearest_distance("kitten", "sitting"), 3);
	cr_assert_eq(nearest_distance("ca", "abc"), 3);
	char word[NEAREST_WORD_MAX + 2];
	memset(word, 'a', sizeof(word));
	word[NEAREST_WORD_MAX] = '\0';
	cr_assert_eq(nearest_distance(word, word), 0);
	word[NEAREST_WORD_MAX] = 'a';
	word[NEAREST_WORD_MAX + 1] = '\0';
	cr_assert_gt(nearest_distance(word, word), NEAREST_WORD_MAX);
}

Test(ctl_words, addresses_are_read_and_wrong_ones_told)
{
	struct endpoint endpoint;
	char error[ENDPOINT_ERROR_MAX];
	cr_assert(endpoint_parse(&endpoint, "unix:/run/x.sock", error));
	cr_assert_str_eq(endpoint_socket(&endpoint), "/run/x.sock");
	struct endpoint copy = endpoint;
	memset(&endpoint, 0, sizeof(endpoint));
	cr_assert_str_eq(endpoint_socket(&copy), "/run/x.sock");

	cr_assert(endpoint_parse(&endpoint, "http://127.0.0.1:8080/", error));
	cr_assert_str_eq(endpoint.base, "http://127.0.0.1:8080");
	cr_assert_null(endpoint_socket(&endpoint));
	cr_assert(endpoint.loopback);
	cr_assert(endpoint_parse(&endpoint, "https://[::1]:1/base//", error));
	cr_assert_str_eq(endpoint.base, "https://[::1]:1/base");
	cr_assert(endpoint.loopback);
	cr_assert(
		endpoint_parse(&endpoint, "https://localhost.example", error));
	cr_assert_not(endpoint.loopback);
	cr_assert(endpoint_parse(&endpoint, "https://127.example", error));
	cr_assert_not(endpoint.loopback);

	static const char *const wrong[] = {
		"",	    "localhost:8080", "ftp://x",      "http://",
		"http:///", "unix:",	      "http://a b",   "http://a\n",
		"http://?", "http://a?x",     "http://a/b#c", "https://:80",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert_not(endpoint_parse(&endpoint, wrong[i], error), "%s",
			      wrong[i]);
	char longest[200] = "unix:";
	memset(longest + 5, 'x', 108);
	cr_assert_not(endpoint_parse(&endpoint, longest, error));
	cr_assert_not_null(strstr(error, "107"));
}

Test(ctl_words, default_sockets_come_in_order)
{
	struct endpoint endpoints[ENDPOINTS_MAX];
	cr_assert_eq(endpoint_defaults(endpoints, "/run/user/7"), 2);
	cr_assert_str_eq(endpoint_socket(&endpoints[0]),
			 "/run/user/7/atomd/admin.sock");
	cr_assert_str_eq(endpoint_socket(&endpoints[1]),
			 "/run/atomd/admin.sock");
	cr_assert_eq(endpoint_defaults(endpoints, NULL), 1);
	cr_assert_eq(endpoint_defaults(endpoints, ""), 1);
	cr_assert_str_eq(endpoint_socket(&endpoints[0]),
			 "/run/atomd/admin.sock");
}

Test(ctl_words, a_segment_cannot_leave_its_place)
{
	static const struct {
		const char *segment;
		const char *escaped;
	} segments[] = {
		{ "plain-1_2.x~", "plain-1_2.x~" },
		{ "a/b?c#d&e%", "a%2Fb%3Fc%23d%26e%25" },
		{ "\xc3\xbc ", "%C3%BC%20" },
		{ "..", "%2E%2E" },
		{ ".", "%2E" },
		{ "...", "..." },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof(segments) / sizeof(*segments); i++) {
		struct text path = TEXT_INIT(100);
		cr_assert(endpoint_escape(&path, segments[i].segment));
		cr_assert_str_eq(text_string(&path), segments[i].escaped);
		text_fini(&path);
	}
}
