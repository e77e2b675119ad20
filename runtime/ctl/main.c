/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomctl: looks after a running atomd.
 *
 * The order of things: read the line, find the command, judge its words and
 * options, find the daemon and the key, run, print why it failed, exit.
 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include "http/curl_lazy.h"
#include "plugin/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX 4096
#define MESSAGE_MAX  (1u << 20)

/* Help and version need no daemon. True: done. */
static bool answer_by_itself(struct ctl *ctl)
{
	const char *const *words = ctl->arguments.words;
	if (ctl_has(ctl, OPTION_VERSION)) {
		puts("atomctl " PACKAGE_VERSION);
		return true;
	}
	if (!ctl_has(ctl, OPTION_HELP))
		return false;
	if (ctl->command || ctl->arguments.word_count == 0)
		commands_print_help(ctl->command, stdout);
	else
		commands_print_group(words[0], stdout);
	return true;
}

/* `help COMMAND` is `COMMAND --help`. */
static void take_help(struct arguments *arguments)
{
	if (arguments->plain_words == 0 || strcmp(arguments->words[0], "help"))
		return;
	arguments->values[OPTION_HELP] = "";
	arguments->word_count--;
	arguments->plain_words--;
	memmove(arguments->words, arguments->words + 1,
		arguments->word_count * sizeof(arguments->words[0]));
}

static int find_command(struct ctl *ctl)
{
	const struct arguments *arguments = &ctl->arguments;
	size_t taken = 0;
	ctl->command =
		commands_find(arguments->words, arguments->plain_words, &taken);
	if (ctl->command) {
		ctl->words = arguments->words + taken;
		ctl->word_count = arguments->word_count - taken;
		return CTL_DONE;
	}
	if (ctl_has(ctl, OPTION_VERSION) || arguments->plain_words == 0)
		return CTL_DONE;
	if (ctl_has(ctl, OPTION_HELP) && arguments->plain_words == 1 &&
	    commands_is_group(arguments->words[0]))
		return CTL_DONE;
	char sentence[COMMANDS_EXPLAIN_MAX];
	commands_explain(arguments->words, arguments->plain_words, sentence);
	return ctl_fail(ctl, CTL_USAGE, "%s", sentence);
}

/* The first option that the command does not know, as typed. */
static const char *foreign_option(const struct ctl *ctl, char *typed,
				  size_t size)
{
	if (ctl->arguments.unknown)
		return ctl->arguments.unknown;
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (!ctl->arguments.values[id] ||
		    command_knows(ctl->command, id))
			continue;
		snprintf(typed, size, "--%s", option_rows[id].name);
		return typed;
	}
	return NULL;
}

static int judge_arguments(struct ctl *ctl)
{
	const struct command *command = ctl->command;
	char sentence[COMMANDS_EXPLAIN_MAX];
	char typed[64];
	const char *foreign = foreign_option(ctl, typed, sizeof(typed));
	if (foreign) {
		commands_explain_option(command, foreign, sentence);
		return ctl_fail(ctl, CTL_USAGE, "%s", sentence);
	}
	if (ctl->word_count >= command->words_min &&
	    ctl->word_count <= command->words_max)
		return CTL_DONE;
	char *usage = NULL;
	size_t length;
	FILE *out = open_memstream(&usage, &length);
	if (!out)
		return ctl_fail_memory(ctl);
	commands_print_usage(command, out);
	fclose(out);
	if (ctl->word_count < command->words_min)
		ctl_fail(ctl, CTL_USAGE, "a word is missing: atomctl %s",
			 usage);
	else
		ctl_fail(ctl, CTL_USAGE,
			 "'%.60s' is a word too many (text of several words "
			 "needs quotes): atomctl %s",
			 ctl->words[command->words_max], usage);
	free(usage);
	return CTL_USAGE;
}

/* The first line of the key file. */
static int read_key_file(struct ctl *ctl, const char *path, char *key)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return ctl_fail(ctl, CTL_USAGE, "--key-file %s: %s", path,
				strerror(errno));
	size_t length = 0;
	ssize_t more = 1;
	while (length < KEY_FILE_MAX && more > 0) {
		more = read(file, key + length, KEY_FILE_MAX - length);
		length += more > 0 ? (size_t)more : 0;
	}
	int error = errno;
	close(file);
	if (more < 0)
		return ctl_fail(ctl, CTL_USAGE, "--key-file %s: %s", path,
				strerror(error));
	key[length] = '\0';
	key[strcspn(key, "\r\n")] = '\0';
	if (!*key || length == KEY_FILE_MAX)
		return ctl_fail(ctl, CTL_USAGE,
				"--key-file %s: expected a key on the first "
				"line, found %s",
				path,
				*key ? "a file too large for one" : "none");
	return CTL_DONE;
}

static int find_daemon(struct ctl *ctl)
{
	struct endpoint endpoints[ENDPOINTS_MAX];
	char sentence[ENDPOINT_ERROR_MAX];
	char from_file[KEY_FILE_MAX + 1];
	size_t count = 1;
	const char *url = ctl_option(ctl, OPTION_URL);
	const char *url_from = "--url";
	if (!url) {
		url = getenv("ATOMD_URL");
		url_from = "$ATOMD_URL";
	}
	if (!url || !*url)
		count = endpoint_defaults(endpoints, getenv("XDG_RUNTIME_DIR"));
	else if (!endpoint_parse(&endpoints[0], url, sentence))
		return ctl_fail(ctl, CTL_USAGE, "%s: %s", url_from, sentence);

	const char *key = ctl_option(ctl, OPTION_KEY);
	const char *key_file = ctl_option(ctl, OPTION_KEY_FILE);
	if (key && key_file)
		return ctl_fail(ctl, CTL_USAGE,
				"--key and --key-file exclude each other");
	if (key_file) {
		int code = read_key_file(ctl, key_file, from_file);
		if (code != CTL_DONE)
			return code;
		key = from_file;
	} else if (!key) {
		key = getenv("ATOMD_KEY");
	}
	if (key && !client_key_is_valid(key))
		return ctl_fail(ctl, CTL_USAGE,
				"the key holds a blank or a character that is "
				"not ASCII; expected atm_ID_SECRET");
	ctl->client = client_new(endpoints, count, key, &ctl->terminal);
	if (!ctl->client && *curl_lazy_reason())
		return ctl_fail(ctl, CTL_FAILED, "%s", curl_lazy_reason());
	return ctl->client ? CTL_DONE : ctl_fail_memory(ctl);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	char sentence[ARGUMENTS_ERROR_MAX];
	if (!arguments_parse(&ctl->arguments, argc, argv, sentence))
		return ctl_fail(ctl, CTL_USAGE, "%s", sentence);
	ctl->key = arguments_hide_key(&ctl->arguments);
	take_help(&ctl->arguments);
	int code = find_command(ctl);
	if (code != CTL_DONE || answer_by_itself(ctl))
		return code;
	if (!ctl->command && ctl->arguments.unknown)
		return ctl_fail(ctl, CTL_USAGE,
				"there is no option %.60s; 'atomctl --help' "
				"lists them",
				ctl->arguments.unknown);
	if (!ctl->command) {
		commands_print_help(NULL, stderr);
		return ctl_fail(ctl, CTL_USAGE, "%s", "");
	}
	code = judge_arguments(ctl);
	if (code == CTL_DONE)
		code = find_daemon(ctl);
	if (code == CTL_DONE)
		code = ctl->command->run(ctl);
	return code;
}

int main(int argc, char **argv)
{
	/* How the registry of plugins looks at a file: in a child. */
	if (argc == 3 && !strcmp(argv[1], "--probe"))
		return plugin_probe_main((int)strtol(argv[2], NULL, 10));
	struct ctl ctl = { .message = TEXT_INIT(MESSAGE_MAX) };
	/* Widths of UTF-8 text whatever the user's language; numbers and
	 * sorting stay those of C. */
	setlocale(LC_CTYPE, "C.UTF-8");
	terminal_init(&ctl.terminal);

	int code = run(&ctl, argc, argv);
	client_free(&ctl.client);
	free(ctl.key);
	if ((fflush(stdout) || ferror(stdout)) && code == CTL_DONE)
		code = ctl_fail(&ctl, CTL_FAILED, "cannot write to stdout: %s",
				strerror(errno));
	if (code != CTL_DONE && ctl.message.length) {
		fputs("atomctl: ", stderr);
		terminal_write(stderr, text_string(&ctl.message),
			       ctl.message.length, !ctl.terminal.error);
		fputc('\n', stderr);
	}
	text_fini(&ctl.message);
	return code;
}
