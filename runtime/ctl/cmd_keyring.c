/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATUS_PATH "/admin/v1/keyring"
#define WATCH_MS    500

static void add_versions(struct table *table, const json_t *status)
{
	static const char *const titles[] = { "VERSION",   "STATE",   "AGE",
					      ">MESSAGES", "USED BY", NULL };
	const json_t *versions = json_object_get(status, "versions");
	int64_t now_ms = age_now_ms();
	size_t index;
	json_t *version;
	table_init(table, titles);
	json_array_foreach(versions, index, version)
	{
		const char *created = member_string(version, "created");
		char age[AGE_TEXT_MAX] = "";
		char number[24];
		int64_t created_ms;
		if (created && age_parse_time(created, &created_ms))
			age_format(age, created_ms, now_ms);
		snprintf(number, sizeof(number), "%lld",
			 member_integer(version, "version"));
		table_add(table, number);
		table_add(table, member_true(version, "retire")
					 ? "to be retired"
					 : member_string(version, "state"));
		table_add(table, age);
		table_add_number(table, member_integer(version, "messages"));
		table_add(table, member_true(version, "used_by_components")
					 ? "records, components"
					 : "records");
	}
}

static void print_rewrap(const struct ctl *ctl, const json_t *status)
{
	const json_t *rewrap = json_object_get(status, "rewrap");
	const char *state = member_string(rewrap, "state");
	const char *message = member_string(rewrap, "message");
	long long damaged = member_integer(rewrap, "damaged");
	if (state && strcmp(state, "idle") != 0)
		ctl_say(ctl, "rewrap: %s, %lld left, %lld moved\n", state,
			member_integer(rewrap, "left"),
			member_integer(rewrap, "moved"));
	else if (member_integer(rewrap, "moved") > 0)
		printf("rewrap: done, %lld moved\n",
		       member_integer(rewrap, "moved"));
	if (message && *message)
		ctl_say(ctl, "it waits: %s\n", message);
	if (damaged > 0)
		printf("%lld record%s not open and stay%s as %s\n", damaged,
		       damaged == 1 ? " does" : "s do", damaged == 1 ? "s" : "",
		       damaged == 1 ? "it is" : "they are");
}

static int print_status(struct ctl *ctl, const json_t *status)
{
	struct table table;
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl, status);
	const char *id = member_string(status, "id");
	const char *key_id = member_string(status, "key_id");
	const char *source = member_string(status, "key_source");
	ctl_say(ctl, "keyring %s under key %s (%s)\n", id ? id : "?",
		key_id ? key_id : "?", source ? source : "?");
	if (!member_true(status, "all_sealed"))
		puts("records of an older version are not all encrypted yet");
	print_rewrap(ctl, status);
	add_versions(&table, status);
	return ctl_print_table(ctl, &table);
}

int cmd_keyring_status(struct ctl *ctl)
{
	json_t *status = NULL;
	int code = ctl_get(ctl, STATUS_PATH, &status);
	if (code == CTL_DONE)
		code = print_status(ctl, status);
	json_decref(status);
	return code;
}

int cmd_keyring_rotate(struct ctl *ctl)
{
	json_t *status = NULL;
	json_t *body = json_object();
	int code = body ? ctl_call(ctl, "POST", STATUS_PATH "/rotate", body,
				   "rotating", &status)
			: ctl_fail_memory(ctl);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, status);
	else if (code == CTL_DONE)
		printf("version %lld seals from now on; 'atomctl keyring "
		       "rewrap' moves what older ones have sealed\n",
		       member_integer(status, "current"));
	json_decref(status);
	json_decref(body);
	return code;
}

/* --- rewrap -------------------------------------------------------------- */

static bool is_idle(const json_t *status)
{
	const char *state =
		member_string(json_object_get(status, "rewrap"), "state");
	return !state || strcmp(state, "idle") == 0;
}

static void show_progress(struct ctl *ctl, const json_t *status,
			  unsigned elapsed_s)
{
	const json_t *rewrap = json_object_get(status, "rewrap");
	const char *state = member_string(rewrap, "state");
	char words[96];
	/* Words of the protocol are ours, but another version's may not be. */
	snprintf(words, sizeof(words), "%s, %lld left",
		 state && strcmp(state, "moving") == 0	   ? "moving"
		 : state && strcmp(state, "checking") == 0 ? "checking"
							   : "counting",
		 member_integer(rewrap, "left"));
	terminal_progress(&ctl->terminal, words, elapsed_s);
}

/* Until it is done; `*status_r` is replaced by the newest. */
static int watch(struct ctl *ctl, json_t **status_r)
{
	const struct timespec pause = { .tv_nsec = WATCH_MS * 1000000L };
	time_t began = time(NULL);
	int code = CTL_DONE;
	while (code == CTL_DONE && !is_idle(*status_r)) {
		show_progress(ctl, *status_r, (unsigned)(time(NULL) - began));
		nanosleep(&pause, NULL);
		json_decref(*status_r);
		*status_r = NULL;
		code = ctl_get(ctl, STATUS_PATH, status_r);
	}
	terminal_progress_end(&ctl->terminal);
	return code;
}

/* 0: not given; -1: no version. */
static long long retired_version(struct ctl *ctl)
{
	const char *word = ctl_option(ctl, OPTION_RETIRE);
	size_t length = word ? strlen(word) : 0;
	if (!word)
		return 0;
	if (length == 0 || length > 9 || word[strspn(word, "0123456789")])
		return -1;
	long long version = strtoll(word, NULL, 10);
	return version > 0 ? version : -1;
}

int cmd_keyring_rewrap(struct ctl *ctl)
{
	long long retire = retired_version(ctl);
	json_t *status = NULL;
	if (retire < 0)
		return ctl_fail(ctl, CTL_USAGE,
				"--retire: expected a key version, found "
				"'%.60s'",
				ctl_option(ctl, OPTION_RETIRE));
	json_t *body = retire ? json_pack("{s:I}", "retire", (json_int_t)retire)
			      : json_object();
	if (!body)
		return ctl_fail_memory(ctl);
	int code = ctl_call(ctl, "POST", STATUS_PATH "/rewrap", body,
			    "beginning", &status);
	bool watched = ctl_has(ctl, OPTION_WATCH);
	if (code == CTL_DONE && watched)
		code = watch(ctl, &status);
	if (code == CTL_DONE && (watched || ctl_has(ctl, OPTION_JSON)))
		code = print_status(ctl, status);
	else if (code == CTL_DONE)
		puts("it goes on in the background: atomctl keyring status");
	long long damaged =
		member_integer(json_object_get(status, "rewrap"), "damaged");
	if (code == CTL_DONE && watched && damaged > 0)
		code = ctl_fail(ctl, CTL_FAILED,
				"%lld records do not open; the log names them",
				damaged);
	json_decref(status);
	json_decref(body);
	return code;
}
