/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/notes.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

struct note {
	int64_t time_ms;
	char agent[128];
	char alert[64];
	char monitor[160];
	char prompt_hash[80];
	char *text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* under it: a ring */
static struct note notes[NOTES_MAX];
static size_t first, count;

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

void notes_add(const char *monitor, const struct atom_annotation *note)
{
	struct note one = { .time_ms = os.realtime_ms() };

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
	(void)pthread_mutex_lock(&lock);
	if (count == NOTES_MAX) {
		mem_free(notes[first].text);
		first = (first + 1) % NOTES_MAX;
		count--;
	}
	notes[(first + count++) % NOTES_MAX] = one;
	(void)pthread_mutex_unlock(&lock);
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

json_t *notes_describe(const char *agent, size_t limit)
{
	json_t *list = json_array();

	(void)pthread_mutex_lock(&lock);
	for (size_t i = count; i > 0 && json_array_size(list) < limit; i--) {
		const struct note *note = &notes[(first + i - 1) % NOTES_MAX];

		if (*agent == '\0' || strcmp(agent, note->agent) == 0)
			(void)json_array_append_new(list, row_of(note));
	}
	(void)pthread_mutex_unlock(&lock);
	return list;
}

json_t *notes_newest(const char *alert, const char *agent)
{
	json_t *row = NULL;

	(void)pthread_mutex_lock(&lock);
	for (size_t i = count; i > 0 && row == NULL; i--) {
		const struct note *note = &notes[(first + i - 1) % NOTES_MAX];

		if (strcmp(alert, note->alert) == 0 &&
		    strcmp(agent, note->agent) == 0)
			row = row_of(note);
	}
	(void)pthread_mutex_unlock(&lock);
	return row;
}

void notes_fini(void)
{
	for (; count > 0; count--, first = (first + 1) % NOTES_MAX)
		mem_free(notes[first].text);
	first = 0;
}
