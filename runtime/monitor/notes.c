/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/notes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "state/state.h"

#define BUCKET	   "annotations"
#define KEY_MAX	   17 /* the number in hex digits: in order of time */
#define RECORD_MAX ((size_t)64 * 1024)

struct note {
	uint64_t number; /* from 1, over all restarts */
	int64_t time_ms;
	char agent[128];
	char alert[64];
	char monitor[160];
	char prompt_hash[80];
	char *text; /* NULL: its record holds no note, and keeps its place */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* under it: a ring */
static struct note notes[NOTES_MAX];
static size_t first, count;
static uint64_t last_number;
static bool not_kept; /* and that is told */

/* As text_make_printable(), but lines stay lines. */
static char *clean(const char *text)
{
	size_t length = strnlen(text, ATOM_ANNOTATION_MAX), kept = 0;
	char *copy = mem_alloc(length + 1);

	for (size_t at = 0, width; copy != NULL && at < length; at += width) {
		unsigned char byte = (unsigned char)text[at];

		width = text_utf8_length(text + at, length - at);
		if (byte == '\n' || (width == 1 && byte >= ' ' && byte < 127)) {
			copy[kept++] = text[at];
			width = 1;
		} else if (width > 1 && !(width == 2 && byte == 0xc2 &&
					  (unsigned char)text[at + 1] < 0xa0)) {
			memcpy(copy + kept, text + at, width);
			kept += width;
		} else if (width > 1 || byte < 128) {
			copy[kept++] = ' ';
			width = width > 1 ? width : 1;
		} else {
			copy[kept++] = '?';
			width = 1;
		}
	}
	if (copy != NULL)
		copy[kept] = '\0';
	return copy;
}

static void copy_word(char *out, size_t size, const char *word)
{
	(void)snprintf(out, size, "%s", word != NULL ? word : "");
	text_make_printable(out, size);
}

static void record(const struct note *note)
{
	struct audit_record row = AUDIT_RECORD(AUDIT_ANNOTATION);

	audit_text(&row, "agent", note->agent);
	audit_text(&row, "alert", note->alert);
	audit_text(&row, "monitor", note->monitor);
	audit_number(&row, "output_bytes", (int64_t)strlen(note->text));
	audit_text(&row, "prompt_hash", note->prompt_hash);
	(void)audit_post(&row, AUDIT_BATCHED, NULL);
}

/* --- over restarts -------------------------------------------------------------- */

static void key_of(uint64_t number, char key[KEY_MAX])
{
	(void)snprintf(key, KEY_MAX, "%016" PRIx64, number);
}

/* False: it is none. */
static bool number_of(const struct atom_span *key, uint64_t *number_r)
{
	char digits[KEY_MAX] = "", again[KEY_MAX];
	uint64_t number;

	if (key->length != KEY_MAX - 1)
		return false;
	memcpy(digits, key->bytes, key->length);
	number = strtoull(digits, NULL, 16);
	key_of(number, again);
	if (number == 0 || number > INT64_MAX || strcmp(again, digits) != 0)
		return false;
	*number_r = number;
	return true;
}

/* Told once, until one can be stored again. */
static void tell_kept(atom_status status, const char *why)
{
	bool told;

	(void)pthread_mutex_lock(&lock);
	told = not_kept == (status != ATOM_OK);
	not_kept = status != ATOM_OK;
	(void)pthread_mutex_unlock(&lock);
	if (told)
		return;
	if (status != ATOM_OK)
		log_line(ATOM_LOG_WARN, "annotations_not_kept", why);
	else
		log_line(ATOM_LOG_INFO, "annotations_kept",
			 "notes are kept over a restart again");
}

/* `value` NULL: no longer. */
static void store(uint64_t number, const json_t *value)
{
	struct buffer text = BUFFER_INIT(RECORD_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;
	char key[KEY_MAX];

	key_of(number, key);
	if (value != NULL)
		status = json_encode(value, &text);
	if (status != ATOM_OK)
		(void)atom_fail(&err, status, "no memory to store a note");
	else
		status = state_write_behind(
			BUCKET, state_text(key),
			(struct atom_span){ value != NULL ? text.bytes : NULL,
					    text.length },
			&err);
	buffer_fini(&text);
	tell_kept(status, err.message);
}

/* --- the ring ------------------------------------------------------------------- */

/* Under the lock: the number of the one that had to go, 0 = none. */
static uint64_t put(const struct note *note)
{
	uint64_t gone = 0;

	if (count == NOTES_MAX) {
		gone = notes[first].number;
		mem_free(notes[first].text);
		first = (first + 1) % NOTES_MAX;
		count--;
	}
	notes[(first + count++) % NOTES_MAX] = *note;
	return gone;
}

static json_t *row_of(const struct note *note)
{
	char time[TEXT_TIME_MAX];

	text_of_time(note->time_ms, time);
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "time", time, "subject",
		note->alert[0] != '\0' ? note->alert : note->agent, "agent",
		note->agent, "alert", note->alert, "monitor", note->monitor,
		"text", note->text, "prompt_hash", note->prompt_hash);
}

void notes_add(const char *monitor, const struct atom_annotation *note)
{
	struct note one = { .time_ms = os.realtime_ms() };
	uint64_t gone;
	json_t *kept;

	copy_word(one.agent, sizeof(one.agent), note->agent);
	copy_word(one.alert, sizeof(one.alert), note->alert);
	copy_word(one.monitor, sizeof(one.monitor), monitor);
	copy_word(one.prompt_hash, sizeof(one.prompt_hash), note->prompt_hash);
	one.text = clean(note->text != NULL ? note->text : "");
	if (one.text == NULL)
		return;
	log_line(ATOM_LOG_INFO, "annotation", one.text,
		 LOG_TEXT("component", &one.monitor[0]),
		 LOG_TEXT("agent", &one.agent[0]),
		 LOG_TEXT("alert", &one.alert[0]));
	record(&one);
	kept = row_of(&one);
	(void)pthread_mutex_lock(&lock);
	one.number = ++last_number;
	gone = put(&one);
	(void)pthread_mutex_unlock(&lock);
	if (kept != NULL)
		store(one.number, kept);
	if (gone != 0)
		store(gone, NULL);
	json_decref(kept);
}

json_t *notes_describe(const char *agent, size_t limit)
{
	json_t *list = json_array();

	(void)pthread_mutex_lock(&lock);
	for (size_t i = count; i > 0 && json_array_size(list) < limit; i--) {
		const struct note *note = &notes[(first + i - 1) % NOTES_MAX];

		if (note->text != NULL &&
		    (*agent == '\0' || strcmp(agent, note->agent) == 0))
			(void)json_array_append_new(list, row_of(note));
	}
	(void)pthread_mutex_unlock(&lock);
	return list;
}

json_t *notes_newest(const char *alert, const char *agent, int64_t since_ms)
{
	json_t *row = NULL;

	(void)pthread_mutex_lock(&lock);
	for (size_t i = count; i > 0 && row == NULL; i--) {
		const struct note *note = &notes[(first + i - 1) % NOTES_MAX];

		if (note->text != NULL && note->time_ms >= since_ms &&
		    strcmp(alert, note->alert) == 0 &&
		    strcmp(agent, note->agent) == 0)
			row = row_of(note);
	}
	(void)pthread_mutex_unlock(&lock);
	return row;
}

/* --- life ------------------------------------------------------------------------ */

struct recalling {
	uint64_t gone[NOTES_MAX]; /* more than are kept */
	size_t gone_count;
	size_t unread;
	struct atom_error first; /* why */
};

static atom_status read_note(const struct state_record *record,
			     struct note *note, struct atom_error *err)
{
	json_t *value = NULL;
	const char *text, *monitor;
	atom_status status = record->status;

	if (!number_of(&record->key, &note->number))
		return atom_fail(err, ATOM_EDATALOSS,
				 "expected a key of 16 hex digits, found %zu "
				 "bytes",
				 record->key.length);
	if (status != ATOM_OK)
		return atom_fail(err, status,
				 "record %016" PRIx64 " does not open",
				 note->number);
	status = json_decode(record->value.bytes, record->value.length, &value,
			     err);
	if (status != ATOM_OK)
		return status;
	text = json_text(value, "text", NULL);
	monitor = json_text(value, "monitor", NULL);
	if (text == NULL || monitor == NULL ||
	    !text_to_time(json_text(value, "time", ""), &note->time_ms)) {
		status = atom_fail(err, ATOM_EDATALOSS,
				   "record %016" PRIx64
				   ": expected the members time, monitor and "
				   "text of a note",
				   note->number);
	} else {
		copy_word(note->agent, sizeof(note->agent),
			  json_text(value, "agent", ""));
		copy_word(note->alert, sizeof(note->alert),
			  json_text(value, "alert", ""));
		copy_word(note->monitor, sizeof(note->monitor), monitor);
		copy_word(note->prompt_hash, sizeof(note->prompt_hash),
			  json_text(value, "prompt_hash", ""));
		note->text = clean(text);
	}
	json_decref(value);
	return status;
}

static int32_t on_record(void *argument, const struct state_record *record)
{
	struct recalling *r = argument;
	struct atom_error err = ATOM_ERROR_INIT;
	struct note one = { 0 };
	uint64_t gone;

	if (read_note(record, &one, &err) != ATOM_OK && r->unread++ == 0)
		r->first = err;
	if (one.number == 0)
		return 0;
	(void)pthread_mutex_lock(&lock);
	last_number = one.number;
	gone = put(&one);
	(void)pthread_mutex_unlock(&lock);
	if (gone != 0 && r->gone_count < NOTES_MAX)
		r->gone[r->gone_count++] = gone;
	return 0;
}

void notes_recall(void)
{
	struct recalling r = { .first = ATOM_ERROR_INIT };
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status =
		state_scan_now(BUCKET, state_text(""), on_record, &r, &err);

	if (status != ATOM_OK && status != ATOM_ENOENT)
		log_line(ATOM_LOG_ERROR, "annotations_not_read", err.message);
	if (r.unread > 0)
		log_line(ATOM_LOG_ERROR, "annotations_not_read",
			 r.first.message,
			 LOG_NUMBER("left_out", (int64_t)r.unread));
	for (size_t i = 0; i < r.gone_count; i++)
		store(r.gone[i], NULL);
}

void notes_fini(void)
{
	for (; count > 0; count--, first = (first + 1) % NOTES_MAX)
		mem_free(notes[first].text);
	first = 0;
	last_number = 0;
	not_kept = false;
}
