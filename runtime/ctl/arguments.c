/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "arguments.h"

#include <stdio.h>
#include <string.h>

const struct option_row option_rows[OPTION_COUNT] = {
	[OPTION_URL] = { "url", 0, "URL", "daemon: http(s)://... or unix:PATH",
			 NULL },
	[OPTION_KEY] = { "key", 0, "KEY",
			 "API key; better in $ATOMD_KEY or a file", NULL },
	[OPTION_KEY_FILE] = { "key-file", 0, "FILE",
			      "read the API key from FILE", NULL },
	[OPTION_JSON] = { "json", 0, NULL, "print one JSON document", NULL },
	[OPTION_HELP] = { "help", 'h', NULL, "say how it is used", NULL },
	[OPTION_VERSION] = { "version", 0, NULL, "print the version", NULL },
	[OPTION_SESSION] = { "session", 0, "ID", "go on with this session",
			     NULL },
	[OPTION_FOLLOW] = { "follow", 'f', NULL, "wait for more lines", NULL },
	[OPTION_LIMIT] = { "limit", 'n', "N", "so many lines at most", NULL },
	[OPTION_AUTO] = { "auto", 0, NULL, "give scaling back to its strategy",
			  NULL },
	[OPTION_NOW] = { "now", 0, NULL, "skip the deployment strategy", NULL },
	[OPTION_ROLE] = { "role", 0, "ROLE", "what the key may do", NULL },
	[OPTION_AGENTS] = { "agents", 0, "A,B", "only these agents", NULL },
	[OPTION_EXPIRES] = { "expires", 0, "WHEN",
			     "30d, 12h, or an RFC 3339 time", NULL },
	[OPTION_NAME] = { "name", 0, "NAME", "a note to know the key by",
			  NULL },
	[OPTION_ACCEPT] = { "accept", 0, "ID", "let this failed check pass",
			    NULL },
	[OPTION_REASON] = { "reason", 0, "TEXT", "why; it is recorded", NULL },
	[OPTION_RPM] = { "rpm", 0, "N", "requests a minute; 0: no limit",
			 NULL },
	[OPTION_TPM] = { "tpm", 0, "N", "tokens a minute; 0: no limit", NULL },
	[OPTION_CONCURRENT] = { "concurrent", 0, "N",
				"calls at once; 0: no limit", NULL },
	[OPTION_GRACE] = { "grace", 0, "TIME",
			   "how long the old secret stays good: 24h, or 0",
			   NULL },
	[OPTION_USER] = { "user", 0, "USER", "of this principal: key:ID",
			  NULL },
	[OPTION_TYPE] = { "type", 0, "TYPE", "of this type: key.create", NULL },
	[OPTION_CATEGORY] = { "category", 0, "WORD", "of this category", NULL },
	[OPTION_REQUEST] = { "request", 0, "ID", "of this request", NULL },
	[OPTION_SINCE] = { "since", 0, "WHEN", "not before: 2h, or a time",
			   NULL },
	[OPTION_UNTIL] = { "until", 0, "WHEN", "before: 2h, or a time", NULL },
	[OPTION_AFTER] = { "after", 0, "N", "with a number above N", NULL },
	[OPTION_PUBLIC_KEY] = { "public-key", 0, "KEY",
				"verifier key, or a file that holds it", NULL },
	[OPTION_CHECKPOINTS] = { "checkpoints", 0, "FILE",
				 "signed heads that were kept elsewhere",
				 NULL },
	[OPTION_CHECK] = { "check", 0, "FILE", "check the proof in FILE",
			   NULL },
	[OPTION_BEFORE] = { "before", 0, "WHEN",
			    "400d, an RFC 3339 time, or a record's number",
			    NULL },
	[OPTION_WATCH] = { "watch", 0, NULL, "wait until it is done", NULL },
	[OPTION_RETIRE] = { "retire", 0, "N",
			    "give up key version N, whoever has used it",
			    NULL },
	[OPTION_KEYRING] = { "keyring", 0, "FILE",
			     "the daemon's keyring, to read sealed records",
			     NULL },
	[OPTION_KEYRING_KEY] = { "keyring-key", 0, "FILE",
				 "its key; keyring.kek beside it otherwise",
				 NULL },
	[OPTION_SIZING] = { "sizing", 0, NULL,
			    "suggest settings by what was measured", NULL },
	[OPTION_AGENT_CONFIG] = { "agent-config", 0, "FILE",
				  "one agent's body, as for deploy", NULL },
	[OPTION_TRACE] = { "trace", 0, "TRACE",
			   "a file, or poisson, step, flash, diurnal", NULL },
	[OPTION_STRATEGY] = { "strategy", 0, "P[,P]",
			      "NAME or NAME:option=value;...", NULL },
	[OPTION_COLD_START] = { "cold-start", 0, "TIME",
				"from started to ready; 2s", NULL },
	[OPTION_SERVICE_TIME] = { "service-time", 0, "DIST",
				  "tokens:0.02s, exponential:1s, ...", NULL },
	[OPTION_TARGET_WAIT] = { "target-wait", 0, "TIME",
				 "a call that waits longer is late", NULL },
	[OPTION_SEED] = { "seed", 0, "N", "of what is drawn by chance; 1",
			  NULL },
	[OPTION_PLOT] = { "plot", 0, "FILE", "draw what came of it as SVG",
			  NULL },
	[OPTION_JUDGE] = { "judge", 0, "J[,J]", "NAME or NAME:option=value;...",
			   NULL },
	[OPTION_ERROR_RATE] = { "error-rate", 0, "SHARE",
				"bad answers of the old revision; 0.02", NULL },
	[OPTION_CANARY_ERROR_RATE] = { "canary-error-rate", 0, "SHARE",
				       "of the new one; the same", NULL },
	[OPTION_WEIGHT] = { "weight", 0, "SHARE",
			    "of calls to the new revision; 5%", NULL },
	[OPTION_CALLS] = { "calls", 0, "N", "of one run; 10000", NULL },
	[OPTION_RUNS] = { "runs", 0, "N",
			  "how many rollouts; 1000, with --strategy 200",
			  NULL },
	[OPTION_OUTAGE] = { "outage", 0, "BEGIN:END:RATE",
			    "both fail at RATE between two shares of a run",
			    NULL },
	[OPTION_FILE] = { "file", 'f', "FILE",
			  "one agent's body; - reads it from stdin", "deploy" },
	[OPTION_TO] = { "to", 0, "N", "the revision to go back to", NULL },
	[OPTION_DIFF] = { "diff", 0, "N", "what revision N has changed", NULL },
	[OPTION_FULL] = { "full", 0, NULL,
			  "skip the steps and the judge that are left", NULL },
	[OPTION_SUPERSEDE] = { "supersede", 0, NULL,
			       "end a rollout that is under way", NULL },
	[OPTION_STATE] = { "state", 0, "STATE", "firing or pending", NULL },
	[OPTION_DURATION] = { "duration", 0, "D", "how long: 30m, 2h", NULL },
	[OPTION_COMMENT] = { "comment", 0, "TEXT", "why; it is recorded",
			     NULL },
	[OPTION_REPLAY] = { "replay", 0, "INPUTS",
			    "recorded inputs (JSONL) to try it with first",
			    NULL },
	[OPTION_OFF] = { "off", 0, NULL, "end it", NULL },
	[OPTION_CREATE] = { "create", 0, NULL, "make an agent of this name",
			    NULL },
	[OPTION_RATE] = { "rate", 0, "N", "calls a second; 10", NULL },
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
