/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "arguments.h"

#include <stdio.h>
#include <string.h>

const struct option_row option_rows[OPTION_COUNT] = {
	[OPTION_URL] = { "url", 0, "URL",
			 "daemon: http(s)://... or unix:PATH" },
	[OPTION_KEY] = { "key", 0, "KEY",
			 "API key; better in $ATOMD_KEY or a file" },
	[OPTION_KEY_FILE] = { "key-file", 0, "FILE",
			      "read the API key from FILE" },
	[OPTION_JSON] = { "json", 0, NULL, "print one JSON document" },
	[OPTION_HELP] = { "help", 'h', NULL, "say how it is used" },
	[OPTION_VERSION] = { "version", 0, NULL, "print the version" },
	[OPTION_SESSION] = { "session", 0, "ID", "go on with this session" },
	[OPTION_FOLLOW] = { "follow", 'f', NULL, "wait for more lines" },
	[OPTION_LIMIT] = { "limit", 'n', "N", "so many lines at most" },
	[OPTION_AUTO] = { "auto", 0, NULL,
			  "give scaling back to its strategy" },
	[OPTION_NOW] = { "now", 0, NULL, "skip the deployment strategy" },
	[OPTION_ROLE] = { "role", 0, "ROLE", "what the key may do" },
	[OPTION_AGENTS] = { "agents", 0, "A,B", "only these agents" },
	[OPTION_EXPIRES] = { "expires", 0, "WHEN",
			     "30d, 12h, or an RFC 3339 time" },
	[OPTION_NAME] = { "name", 0, "NAME", "a note to know the key by" },
	[OPTION_ACCEPT] = { "accept", 0, "ID", "let this failed check pass" },
	[OPTION_REASON] = { "reason", 0, "TEXT", "why; it is recorded" },
	[OPTION_RPM] = { "rpm", 0, "N", "requests a minute; 0: no limit" },
	[OPTION_TPM] = { "tpm", 0, "N", "tokens a minute; 0: no limit" },
	[OPTION_CONCURRENT] = { "concurrent", 0, "N",
				"calls at once; 0: no limit" },
	[OPTION_GRACE] = { "grace", 0, "TIME",
			   "how long the old secret stays good: 24h, or 0" },
	[OPTION_USER] = { "user", 0, "USER", "of this principal: key:ID" },
	[OPTION_TYPE] = { "type", 0, "TYPE", "of this type: key.create" },
	[OPTION_CATEGORY] = { "category", 0, "WORD", "of this category" },
	[OPTION_REQUEST] = { "request", 0, "ID", "of this request" },
	[OPTION_SINCE] = { "since", 0, "WHEN", "not before: 2h, or a time" },
	[OPTION_UNTIL] = { "until", 0, "WHEN", "before: 2h, or a time" },
	[OPTION_AFTER] = { "after", 0, "N", "with a number above N" },
	[OPTION_PUBLIC_KEY] = { "public-key", 0, "KEY",
				"verifier key, or a file that holds it" },
	[OPTION_CHECKPOINTS] = { "checkpoints", 0, "FILE",
				 "signed heads that were kept elsewhere" },
	[OPTION_CHECK] = { "check", 0, "FILE", "check the proof in FILE" },
	[OPTION_BEFORE] = { "before", 0, "WHEN",
			    "400d, an RFC 3339 time, or a record's number" },
	[OPTION_WATCH] = { "watch", 0, NULL, "wait until it is done" },
	[OPTION_RETIRE] = { "retire", 0, "N",
			    "give up key version N, whoever has used it" },
	[OPTION_KEYRING] = { "keyring", 0, "FILE",
			     "the daemon's keyring, to read sealed records" },
	[OPTION_KEYRING_KEY] = { "keyring-key", 0, "FILE",
				 "its key; keyring.kek beside it otherwise" },
	[OPTION_SIZING] = { "sizing", 0, NULL,
			    "suggest settings by what was measured" },
	[OPTION_AGENT_CONFIG] = { "agent-config", 0, "FILE",
				  "one agent's body, as for deploy" },
	[OPTION_TRACE] = { "trace", 0, "TRACE",
			   "a file, or poisson, step, flash, diurnal" },
	[OPTION_STRATEGY] = { "strategy", 0, "P[,P]",
			      "NAME or NAME:option=value;..." },
	[OPTION_COLD_START] = { "cold-start", 0, "TIME",
				"from started to ready; 2s" },
	[OPTION_SERVICE_TIME] = { "service-time", 0, "DIST",
				  "tokens:0.02s, exponential:1s, ..." },
	[OPTION_TARGET_WAIT] = { "target-wait", 0, "TIME",
				 "a call that waits longer is late" },
	[OPTION_SEED] = { "seed", 0, "N", "of what is drawn by chance; 1" },
	[OPTION_PLOT] = { "plot", 0, "FILE", "draw what came of it as SVG" },
	[OPTION_JUDGE] = { "judge", 0, "J[,J]",
			   "NAME or NAME:option=value;..." },
	[OPTION_ERROR_RATE] = { "error-rate", 0, "SHARE",
				"bad answers of the old revision; 0.02" },
	[OPTION_CANARY_ERROR_RATE] = { "canary-error-rate", 0, "SHARE",
				       "of the new one; the same" },
	[OPTION_WEIGHT] = { "weight", 0, "SHARE",
			    "of calls to the new revision; 5%" },
	[OPTION_CALLS] = { "calls", 0, "N", "of one run; 10000" },
	[OPTION_RUNS] = { "runs", 0, "N",
			  "how many rollouts; 1000, with --strategy 200" },
	[OPTION_OUTAGE] = { "outage", 0, "BEGIN:END:RATE",
			    "both fail at RATE between two shares of a run" },
	[OPTION_FILE] = { "file", 'f', "FILE",
			  "one agent's body; - reads it from stdin", "deploy" },
	[OPTION_TO] = { "to", 0, "N", "the revision to go back to" },
	[OPTION_DIFF] = { "diff", 0, "N", "what revision N has changed" },
	[OPTION_FULL] = { "full", 0, NULL,
			  "skip the steps and the judge that are left" },
	[OPTION_SUPERSEDE] = { "supersede", 0, NULL,
			       "end a rollout that is under way" },
	[OPTION_OFF] = { "off", 0, NULL, "end it" },
	[OPTION_CREATE] = { "create", 0, NULL, "make an agent of this name" },
	[OPTION_RATE] = { "rate", 0, "N", "calls a second; 10" },
};

static int option_of(const char *name, size_t length)
{
	for (int id = 0; id < OPTION_COUNT; id++)
		if (strlen(option_rows[id].name) == length &&
		    !memcmp(option_rows[id].name, name, length))
			return id;
	return OPTION_COUNT;
}

static int option_of_letter(char letter, const char *command)
{
	int found = OPTION_COUNT;
	for (int id = 0; id < OPTION_COUNT; id++) {
		const char *behind = option_rows[id].behind;
		if (option_rows[id].letter != letter)
			continue;
		if (behind && command && !strcmp(command, behind))
			return id;
		if (!behind)
			found = id;
	}
	return found;
}

/* One argument that begins with a dash. Takes its value from behind `=`, from
 * the rest of a short option, or from the next argument. */
static bool parse_option(struct arguments *arguments, int argc, char **argv,
			 int *at, char *error)
{
	const char *argument = argv[*at];
	bool is_long = argument[1] == '-';
	const char *name = argument + (is_long ? 2 : 1);
	size_t length = is_long ? strcspn(name, "=") : 1;
	const char *value = is_long && name[length] ? name + length + 1 : NULL;
	int id = is_long ? option_of(name, length)
			 : option_of_letter(*name, arguments->words[0]);

	if (!is_long && name[1])
		value = name + 1;
	if (id == OPTION_COUNT) {
		if (!arguments->unknown)
			arguments->unknown = argument;
		return true;
	}
	const struct option_row *row = &option_rows[id];
	if (!row->value) {
		if (value) {
			snprintf(error, ARGUMENTS_ERROR_MAX,
				 "--%s takes no value, found '%.60s'",
				 row->name, value);
			return false;
		}
		value = "";
	} else if (!value) {
		if (*at + 1 >= argc) {
			snprintf(error, ARGUMENTS_ERROR_MAX,
				 "--%s needs a value: --%s %s", row->name,
				 row->name, row->value);
			return false;
		}
		value = argv[++*at];
	}
	arguments->values[id] = value;
	arguments->given |= OPTION_BIT(id);
	return true;
}

bool arguments_parse(struct arguments *arguments, int argc, char **argv,
		     char error[ARGUMENTS_ERROR_MAX])
{
	*arguments = (struct arguments){ 0 };
	bool only_words = false;
	for (int at = 1; at < argc; at++) {
		const char *argument = argv[at];
		if (!only_words && !strcmp(argument, "--")) {
			only_words = true;
			continue;
		}
		if (!only_words && argument[0] == '-' && argument[1]) {
			if (!parse_option(arguments, argc, argv, &at, error))
				return false;
			continue;
		}
		if (arguments->word_count == ARGUMENTS_WORDS_MAX) {
			snprintf(error, ARGUMENTS_ERROR_MAX,
				 "too many words, the first too many is "
				 "'%.60s'; put text in quotes",
				 argument);
			return false;
		}
		arguments->words[arguments->word_count++] = argument;
		if (!only_words)
			arguments->plain_words++;
	}
	return true;
}

char *arguments_hide_key(struct arguments *arguments)
{
	/* It points into argv, which POSIX lets a program write to. */
	char *shown = (char *)arguments->values[OPTION_KEY];
	if (!shown)
		return NULL;
	char *kept = strdup(shown);
	if (!kept)
		return NULL;
	memset(shown, '*', strlen(shown));
	arguments->values[OPTION_KEY] = kept;
	return kept;
}
