/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"

#include "arguments.h"
#include "nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Words that mean something in a later version: refused as such, so that
 * nobody takes them for a typing mistake. */
static const struct {
	const char *word;
	const char *subword; /* NULL: the word whatever follows */
} later[] = {
	{ "jobs", NULL },    { "queue", NULL },	   { "dlq", NULL },
	{ "backup", NULL },  { "restore", NULL },  { "plugin", "check" },
	{ "plugin", "new" }, { "plugin", "sign" }, { "plugin", "verify" },
};

#define LATER_COUNT (sizeof(later) / sizeof(*later))

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* Does it stand in the command's own list? */
static bool is_own(const struct command *command, int id)
{
	const unsigned char *at = command->options;
	while (at && *at != OPTION_COUNT && *at != id)
		at++;
	return at && *at == id;
}

bool command_knows(const struct command *command, int id)
{
	return option_is_global(id) || is_own(command, id);
}

const struct command *commands_find(const char *const *words, size_t count,
				    size_t *taken_r)
{
	const struct command *bare = NULL;
	for (size_t i = 0; count > 0 && i < command_count; i++) {
		const struct command *command = &command_table[i];
		if (strcmp(command->word, words[0]))
			continue;
		if (!command->subword) {
			bare = command;
		} else if (count > 1 && same(command->subword, words[1])) {
			*taken_r = 2;
			return command;
		}
	}
	*taken_r = 1;
	return bare;
}

static bool explain_later(const char *word, const char *subword, char *out)
{
	for (size_t i = 0; i < LATER_COUNT; i++) {
		if (strcmp(later[i].word, word) ||
		    (later[i].subword && !same(later[i].subword, subword)))
			continue;
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%s%s%s' is not in this version of atomctl", word,
			 later[i].subword ? " " : "",
			 later[i].subword ? later[i].subword : "");
		return true;
	}
	return false;
}

bool commands_is_group(const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (command_table[i].subword &&
		    !strcmp(command_table[i].word, word))
			return true;
	return false;
}

/* A known first word that needs a second one. */
static void explain_subword(const char *word, const char *subword, char *out)
{
	char known[128] = "";
	struct nearest nearest = { 0 };
	size_t used = 0;
	for (size_t i = 0; i < command_count; i++) {
		const char *candidate = command_table[i].subword;
		if (!candidate || strcmp(command_table[i].word, word))
			continue;
		if (subword)
			nearest_offer(&nearest, subword, candidate);
		int length = snprintf(known + used, sizeof(known) - used,
				      "%s%s", used ? ", " : "", candidate);
		if (length > 0 && used + (size_t)length < sizeof(known))
			used += (size_t)length;
	}
	if (!subword)
		snprintf(out, COMMANDS_EXPLAIN_MAX, "'%s' needs one of: %s",
			 word, known);
	else if (nearest.word)
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%s %.60s' is no command; did you mean '%s %s'?",
			 word, subword, word, nearest.word);
	else
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%s %.60s' is no command; '%s' takes: %s", word,
			 subword, word, known);
}

void commands_explain(const char *const *words, size_t count,
		      char out[COMMANDS_EXPLAIN_MAX])
{
	const char *word = words[0];
	const char *subword = count > 1 ? words[1] : NULL;
	if (explain_later(word, subword, out))
		return;
	if (commands_is_group(word)) {
		explain_subword(word, subword, out);
		return;
	}
	struct nearest nearest = { 0 };
	for (size_t i = 0; i < command_count; i++)
		nearest_offer(&nearest, word, command_table[i].word);
	if (nearest.word)
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%.60s' is no command; did you mean '%s'?", word,
			 nearest.word);
	else
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%.60s' is no command; 'atomctl --help' lists them",
			 word);
}

static const char *typed_name(const struct command *command, char *out,
			      size_t size)
{
	snprintf(out, size, "%s%s%s", command->word,
		 command->subword ? " " : "",
		 command->subword ? command->subword : "");
	return out;
}

void commands_explain_option(const struct command *command, const char *option,
			     char out[COMMANDS_EXPLAIN_MAX])
{
	char name[64];
	char bare[NEAREST_WORD_MAX + 1];
	typed_name(command, name, sizeof(name));
	if (explain_later(command->word, option, out))
		return;
	const char *start = option + strspn(option, "-");
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(start, "="), start);
	struct nearest nearest = { 0 };
	for (int id = 0; id < OPTION_COUNT; id++)
		if (command_knows(command, id))
			nearest_offer(&nearest, bare, option_rows[id].name);
	if (nearest.word && strcmp(nearest.word, bare))
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%s' has no option %.60s; did you mean --%s?", name,
			 option, nearest.word);
	else
		snprintf(out, COMMANDS_EXPLAIN_MAX,
			 "'%s' has no option %.60s; 'atomctl %s --help' lists "
			 "them",
			 name, option, name);
}

void commands_print_usage(const struct command *command, FILE *out)
{
	char name[64];
	fprintf(out, "%s%s%s", typed_name(command, name, sizeof(name)),
		*command->synopsis ? " " : "", command->synopsis);
	for (int id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *row = &option_rows[id];
		char typed[32];
		snprintf(typed, sizeof(typed), "--%s", row->name);
		/* What the synopsis has already need not be said again. */
		if (!is_own(command, id) || strstr(command->synopsis, typed))
			continue;
		fprintf(out, " [%s%s%s]", typed, row->value ? " " : "",
			row->value ? row->value : "");
	}
}

/* Those of the command; for NULL those that all have. */
static void print_options(const struct command *command, FILE *out)
{
	for (int id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *row = &option_rows[id];
		if (command ? !is_own(command, id) : !option_is_global(id))
			continue;
		char letter[8] = "    ";
		char typed[48];
		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		snprintf(typed, sizeof(typed), "%s--%s%s%s", letter, row->name,
			 row->value ? " " : "", row->value ? row->value : "");
		fprintf(out, "  %-24s %s\n", typed, row->help);
	}
}

static void print_row(const struct command *command, FILE *out)
{
	char name[64];
	char typed[128];
	typed_name(command, name, sizeof(name));
	int length = snprintf(typed, sizeof(typed), "%s %s", name,
			      command->synopsis);
	/* A long one has a line of its own. */
	fprintf(out, "  %-24s%s %s\n", typed,
		length > 24 ? "\n                          " : "",
		command->summary);
}

static void print_program(FILE *out)
{
	fputs("Usage: atomctl [--url URL] [--key-file FILE] [--json] COMMAND ...\n"
	      "\n"
	      "Looks after a running atomd.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < command_count; i++)
		print_row(&command_table[i], out);
	fputs("\nOptions, before or behind the command:\n", out);
	print_options(NULL, out);
	fputs("\n"
	      "Without --url: $ATOMD_URL, or else the first of these sockets "
	      "that answers:\n"
	      "$XDG_RUNTIME_DIR/atomd/admin.sock, /run/atomd/admin.sock.\n"
	      "Without --key and --key-file: $ATOMD_KEY.\n"
	      "\n"
	      "Exit code: 0 done, 1 it failed, 2 wrong use, 3 cannot reach "
	      "atomd,\n"
	      "4 not permitted. 'atomctl help COMMAND' says more.\n",
	      out);
}

void commands_print_help(const struct command *command, FILE *out)
{
	if (!command) {
		print_program(out);
		return;
	}
	fputs("Usage: atomctl ", out);
	commands_print_usage(command, out);
	fprintf(out, "\n\n%c%s.\n", toupper((unsigned char)*command->summary),
		command->summary + 1);
	if (command->help)
		fprintf(out, "\n%s", command->help);
	fputs("\nOptions:\n", out);
	print_options(command, out);
	print_options(NULL, out);
	bool first = true;
	for (size_t i = 0; i < command_count; i++) {
		if (!command_table[i].subword || command->subword ||
		    strcmp(command_table[i].word, command->word))
			continue;
		fputs(first ? "\nSee also:\n" : "", out);
		first = false;
		print_row(&command_table[i], out);
	}
}

void commands_print_group(const char *word, FILE *out)
{
	fprintf(out, "Usage: atomctl %s COMMAND ...\n\nCommands:\n", word);
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(command_table[i].word, word))
			print_row(&command_table[i], out);
}
