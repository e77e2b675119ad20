/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The audit log as the running daemon shows it: `audit tail` and `audit
 * search`.  What works on the files, without a daemon, has files of its own.
 */

#define LOOK_EVERY_MS 1000
#define LOOK_MAX      10000 /* records that one look brings: the last ones */
#define TAIL_DEFAULT  "20"

struct looking {
	struct ctl *ctl;
	bool json;
	bool any;	/* something was printed */
	long long last; /* the record printed last */
};

static void put(const struct looking *l, const char *text)
{
	if (text && *text)
		terminal_write(stdout, text, strlen(text),
			       !l->ctl->terminal.out);
	else
		putchar('-');
}

static const char *severity_colour(const char *severity)
{
	if (severity && !strcmp(severity, "error"))
		return "\033[31m";
	if (severity && !strcmp(severity, "warn"))
		return "\033[33m";
	return "\033[2m";
}

/* NUMBER TIME SEVERITY TYPE USER ADDRESS detail=value ... */
static void put_record(const struct looking *l, const json_t *record)
{
	const char *severity = member_string(record, "severity");
	bool colour = l->ctl->terminal.colour;
	json_t *details = json_object_get(record, "details");
	const char *name;
	json_t *value;
	printf("%lld ", member_integer(record, "sequence"));
	put(l, member_string(record, "time"));
	printf(" %s", colour ? severity_colour(severity) : "");
	ctl_say(l->ctl, "%-5.8s", severity ? severity : "");
	fputs(colour ? "\033[0m " : " ", stdout);
	put(l, member_string(record, "event_type"));
	putchar(' ');
	put(l, member_string(record, "user"));
	putchar(' ');
	put(l, member_string(record, "address"));
	json_object_foreach(details, name, value)
	{
		const char *text = json_string_value(value);
		bool bare = text && *text && !strpbrk(text, " \t\n\"=");
		char *json = bare ? NULL
				  : json_dumps(value,
					       JSON_COMPACT | JSON_ENCODE_ANY);
		putchar(' ');
		put(l, name);
		putchar('=');
		put(l, bare ? text : json);
		free(json);
	}
	putchar('\n');
}

static void put_records(struct looking *l, const json_t *records)
{
	size_t index;
	json_t *record;
	json_array_foreach(records, index, record)
	{
		l->last = member_integer(record, "sequence");
		if (!l->json) {
			put_record(l, record);
			continue;
		}
		char *json = json_dumps(record, JSON_COMPACT);
		fputs(l->any ? ",\n" : "[\n", stdout);
		if (json)
			put(l, json);
		free(json);
		l->any = true;
	}
	fflush(stdout);
}

static bool add_option(struct ctl *ctl, struct text *path, const char *name,
		       enum option_id id)
{
	const char *value = ctl_option(ctl, id);
	return !value || (text_append_format(path, "&%s=", name) &&
			  endpoint_escape(path, value));
}

static int build_path(struct ctl *ctl, const char *limit, long long after,
		      struct text *path)
{
	bool ok = text_append_format(path, "/admin/v1/audit?limit=") &&
		  endpoint_escape(path, limit) &&
		  add_option(ctl, path, "user", OPTION_USER) &&
		  add_option(ctl, path, "type", OPTION_TYPE) &&
		  add_option(ctl, path, "category", OPTION_CATEGORY) &&
		  add_option(ctl, path, "request", OPTION_REQUEST) &&
		  add_option(ctl, path, "since", OPTION_SINCE) &&
		  add_option(ctl, path, "until", OPTION_UNTIL);
	if (after >= 0)
		ok = ok && text_append_format(path, "&after=%lld", after);
	else
		ok = ok && add_option(ctl, path, "after", OPTION_AFTER);
	return ok ? CTL_DONE
		  : ctl_fail(ctl, CTL_USAGE, "the options are too long");
}

/* Of more records than one look brings the earlier ones are missing. */
static void tell_of_gap(const json_t *records, long long after)
{
	long long first =
		member_integer(json_array_get(records, 0), "sequence");
	if (json_array_size(records) < LOOK_MAX || first <= after + 1)
		return;
	fprintf(stderr,
		"More than %d records came at once: those between %lld and "
		"%lld are left out.\n",
		LOOK_MAX, after, first);
}

/* Prints what is there and moves on; `after` < 0: from the option. */
static int look(struct looking *l, const char *limit, long long after,
		long long *end_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *answer = NULL;
	int code = build_path(l->ctl, limit, after, &path);
	if (code == CTL_DONE)
		code = ctl_get(l->ctl, text_string(&path), &answer);
	if (code == CTL_DONE) {
		if (after >= 0)
			tell_of_gap(json_object_get(answer, "records"), after);
		put_records(l, json_object_get(answer, "records"));
		*end_r = member_integer(answer, "last");
	}
	json_decref(answer);
	text_fini(&path);
	return code;
}

/* True when a person wants the end. */
static bool wait_or_end(int interrupts)
{
	struct pollfd wait = { .fd = interrupts, .events = POLLIN };
	return poll(&wait, 1, LOOK_EVERY_MS) > 0 &&
	       interrupt_take(interrupts) != 0;
}

static int follow(struct looking *l, long long end)
{
	int interrupts = interrupt_open(false);
	int code = CTL_DONE;
	if (interrupts < 0)
		return ctl_fail(l->ctl, CTL_FAILED, "signalfd: %s",
				strerror(errno));
	char limit[16];
	snprintf(limit, sizeof(limit), "%d", LOOK_MAX);
	while (code == CTL_DONE && !ferror(stdout) &&
	       !wait_or_end(interrupts)) {
		long long before = end;
		code = look(l, limit, before, &end);
		if (end < before)
			code = ctl_fail(l->ctl, CTL_FAILED,
					"the daemon writes another audit log "
					"now");
	}
	close(interrupts);
	return code;
}

static int run(struct ctl *ctl, const char *otherwise, bool follows)
{
	struct looking l = { .ctl = ctl, .json = ctl_has(ctl, OPTION_JSON) };
	const char *limit = ctl_option(ctl, OPTION_LIMIT);
	long long end = 0;
	int code = look(&l, limit ? limit : otherwise, -1, &end);
	if (code == CTL_DONE && follows)
		code = follow(&l, end);
	if (l.json && (l.any || code == CTL_DONE))
		fputs(l.any ? "\n]\n" : "[]\n", stdout);
	if (code == CTL_DONE && ferror(stdout))
		code = ctl_fail(ctl, CTL_FAILED, "cannot write to stdout");
	if (code == CTL_DONE && !l.json && !follows && l.last == 0)
		fputs("No records.\n", stderr);
	return code;
}

int cmd_audit_tail(struct ctl *ctl)
{
	return run(ctl, TAIL_DEFAULT, ctl_has(ctl, OPTION_FOLLOW));
}

int cmd_audit_search(struct ctl *ctl)
{
	return run(ctl, "100", false);
}
