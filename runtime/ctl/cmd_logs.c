/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"
#include "interrupt.h"
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX   (1u << 20)
#define ID_PREFIX      "req_"
#define ID_RANDOM_PART 26

struct logs {
	struct ctl *ctl;
	struct lines lines;
	bool json;
	bool any;
	bool failed; /* stdout is gone */
};

/* `req_` and 26 characters of lower-case base32: what the daemon makes. */
static bool looks_like_id(const char *word)
{
	size_t prefix = strlen(ID_PREFIX);
	return !strncmp(word, ID_PREFIX, prefix) &&
	       strlen(word) == prefix + ID_RANDOM_PART &&
	       strspn(word + prefix, "abcdefghijklmnopqrstuvwxyz0123456789") ==
		       ID_RANDOM_PART;
}

/* `agent` or `request`: which the word is. A word without an id's looks is an
 * agent's name unless the daemon knows no such agent, because a client may
 * have named its request as it likes. */
static const char *filter_for(struct ctl *ctl, const char *word)
{
	if (looks_like_id(word))
		return "request";
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	struct client_answer answer = { 0 };
	const char *filter = "agent";
	if (ctl_path(&path, "/admin/v1/agents/", word, "")) {
		const struct client_request request = {
			.method = "GET",
			.path = text_string(&path),
			.accept = "application/json",
			.timeout_ms = 10000,
		};
		if (client_send(ctl->client, &request, &answer) ==
			    CLIENT_ANSWERED &&
		    answer.status == 404)
			filter = "request";
		client_answer_fini(&answer);
	}
	text_fini(&path);
	return filter;
}

static const char *level_colour(const char *level)
{
	if (!strcmp(level, "error"))
		return "\033[31m";
	if (!strcmp(level, "warn"))
		return "\033[33m";
	return "\033[2m";
}

static void put(const struct logs *logs, const char *text, size_t length)
{
	terminal_write(stdout, text, length, !logs->ctl->terminal.out);
}

/* `key=value`, quoted as JSON when it is not one bare word. */
static void put_field(const struct logs *logs, const char *key,
		      const json_t *value)
{
	const char *text = json_string_value(value);
	bool bare = text && *text && !strpbrk(text, " \t\n\"=");
	putchar(' ');
	put(logs, key, strlen(key));
	putchar('=');
	if (bare) {
		put(logs, text, strlen(text));
		return;
	}
	char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	if (json)
		put(logs, json, strlen(json));
	free(json);
}

static void put_entry(const struct logs *logs, const json_t *entry)
{
	static const char *const first[] = { "time", "level", "event",
					     "message" };
	const char *time = member_string(entry, "time");
	const char *level = member_string(entry, "level");
	const char *event = member_string(entry, "event");
	const char *message = member_string(entry, "message");
	bool colour = logs->ctl->terminal.colour;
	const char *key;
	json_t *value;
	if (time)
		put(logs, time, strlen(time));
	if (level) {
		printf(" %s", colour ? level_colour(level) : "");
		ctl_say(logs->ctl, "%-5.8s", level);
		fputs(colour ? "\033[0m" : "", stdout);
	}
	if (event) {
		putchar(' ');
		put(logs, event, strlen(event));
	}
	if (message && *message) {
		fputs(": ", stdout);
		put(logs, message, strlen(message));
	}
	json_object_foreach((json_t *)entry, key, value)
	{
		bool told = false;
		for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
			told |= !strcmp(first[i], key) && json_is_string(value);
		if (!told)
			put_field(logs, key, value);
	}
	putchar('\n');
}

static bool on_line(void *closure, const char *line, size_t length)
{
	struct logs *logs = closure;
	if (length == 0)
		return true;
	json_t *entry = json_loadb(line, length, 0, NULL);
	if (logs->json && entry) {
		char *json = json_dumps(entry, JSON_COMPACT);
		fputs(logs->any ? ",\n" : "[\n", stdout);
		if (json)
			put(logs, json, strlen(json));
		free(json);
		logs->any = true;
	} else if (!logs->json && json_is_object(entry)) {
		put_entry(logs, entry);
	} else if (!logs->json) {
		put(logs, line, length);
		putchar('\n');
	}
	json_decref(entry);
	logs->failed = ferror(stdout);
	return !logs->failed;
}

static bool on_bytes(void *closure, const char *bytes, size_t length)
{
	struct logs *logs = closure;
	bool go_on = lines_feed(&logs->lines, bytes, length);
	fflush(stdout);
	return go_on;
}

static int build_path(struct ctl *ctl, struct text *path)
{
	const char *limit = ctl_option(ctl, OPTION_LIMIT);
	const char *word = ctl->word_count ? ctl->words[0] : NULL;
	bool ok = text_append_string(path, "/admin/v1/logs?");
	if (limit && (!*limit || strlen(limit) > 9 ||
		      limit[strspn(limit, "0123456789")]))
		return ctl_fail(ctl, CTL_USAGE,
				"--limit: expected a number of lines, found "
				"'%.60s'",
				limit);
	if (limit)
		ok = ok && text_append_format(path, "limit=%s&", limit);
	if (ctl_has(ctl, OPTION_FOLLOW))
		ok = ok && text_append_string(path, "follow=1&");
	if (word)
		ok = ok &&
		     text_append_format(path, "%s=", filter_for(ctl, word)) &&
		     endpoint_escape(path, word);
	if (!ok)
		return ctl_fail(ctl, CTL_USAGE, "the word is too long");
	/* Whichever stands at the end. */
	if (strchr("?&", path->bytes[path->length - 1]))
		path->bytes[--path->length] = '\0';
	return CTL_DONE;
}

static int judge_end(struct ctl *ctl, const struct logs *logs,
		     enum client_result result,
		     const struct client_answer *answer)
{
	if (result == CLIENT_INTERRUPTED)
		return CTL_DONE;
	if (logs->failed)
		return ctl_fail(ctl, CTL_FAILED, "cannot write to stdout");
	if (result == CLIENT_STOPPED)
		return ctl_fail(ctl, CTL_FAILED,
				"a log line is longer than %u bytes",
				LOG_LINE_MAX);
	int code = ctl_judge(ctl, result, answer);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_FOLLOW))
		code = ctl_fail(ctl, CTL_FAILED,
				"the daemon ended the stream of log lines");
	return code;
}

int cmd_logs(struct ctl *ctl)
{
	struct logs logs = { .ctl = ctl, .json = ctl_has(ctl, OPTION_JSON) };
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	bool follow = ctl_has(ctl, OPTION_FOLLOW);
	int interrupts = -1;
	lines_init(&logs.lines, LOG_LINE_MAX, on_line, &logs);
	int code = build_path(ctl, &path);
	if (code == CTL_DONE && follow) {
		interrupts = interrupt_open(false);
		if (interrupts < 0)
			code = ctl_fail(ctl, CTL_FAILED, "signalfd: %s",
					strerror(errno));
	}
	if (code == CTL_DONE) {
		const struct client_request request = {
			.method = "GET",
			.path = text_string(&path),
			.accept = "application/x-ndjson",
			.timeout_ms = follow ? 0 : 60000,
			.on_bytes = on_bytes,
			.closure = &logs,
		};
		struct client_answer answer;
		client_set_wakes(ctl->client, interrupts, -1);
		enum client_result result =
			client_send(ctl->client, &request, &answer);
		client_set_wakes(ctl->client, -1, -1);
		if (result == CLIENT_ANSWERED && !lines_end(&logs.lines))
			result = CLIENT_STOPPED;
		code = judge_end(ctl, &logs, result, &answer);
		/* The list is closed whenever it was begun. */
		if (logs.json && (logs.any || code == CTL_DONE))
			fputs(logs.any ? "\n]\n" : "[]\n", stdout);
		client_answer_fini(&answer);
	}
	if (interrupts >= 0)
		close(interrupts);
	lines_fini(&logs.lines);
	text_fini(&path);
	return code;
}
