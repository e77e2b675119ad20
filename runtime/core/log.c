/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/log_priv.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

static const char *const level_names[] = {
	[ATOM_LOG_ERROR] = "error",
	[ATOM_LOG_WARN] = "warn",
	[ATOM_LOG_INFO] = "info",
	[ATOM_LOG_DEBUG] = "debug",
};

static _Atomic int log_level = ATOM_LOG_INFO;

bool log_enabled(int level)
{
	return level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

void log_set_level(int level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

int log_level_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcmp(word, level_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *log_level_name(int level)
{
	return level_names[level < ATOM_LOG_ERROR   ? ATOM_LOG_ERROR
			   : level > ATOM_LOG_DEBUG ? ATOM_LOG_DEBUG
						    : level];
}

/* --- one line ------------------------------------------------------------ */

#define CUT_MARK ",\"cut\":true"
#define LINE_END "}\n"

/* `text` borrows the writer's stack: its capacity is its max from the start,
 * so that it never allocates. */
struct line {
	struct buffer text;
	bool cut;  /* something had no room: nothing more is put */
	bool open; /* inside a string */
};

static void put(struct line *line, const char *text, size_t length)
{
	if (buffer_append(&line->text, text, length))
		line->cut = true;
}

static void put_word(struct line *line, const char *word)
{
	put(line, word, strlen(word));
}

/* Escapes as much as there is room for, at the edge of a character. */
static void put_escaped(struct line *line, const char *text, size_t length)
{
	size_t part = length;

	while (length) {
		if (part >= length) {
			part = length;
		} else {
			size_t edge = part;

			while (edge > 0 && part - edge < 3 &&
			       (text[edge] & 0xc0) == 0x80)
				edge--;
			part = edge ? edge : part;
		}
		if (!buffer_append_json(&line->text, text, part)) {
			text += part;
			length -= part;
			continue;
		}
		line->cut = true;
		part /= 2;
		if (part == 0)
			return;
	}
}

static void put_value(struct line *line, const char *text)
{
	size_t length = strlen(text);

	put(line, "\"", 1);
	line->open = !line->cut;
	while (!line->cut) {
		size_t secret_length;
		size_t at = log_find_secret(text, length, &secret_length);

		if (at == LOG_NO_SECRET) {
			put_escaped(line, text, length);
			break;
		}
		put_escaped(line, text, at);
		put(line, "***", 3);
		text += at + secret_length;
		length -= at + secret_length;
	}
	if (!line->cut) {
		put(line, "\"", 1);
		line->open = line->cut;
	}
}

static void put_field(struct line *line, const struct atom_log_field *field)
{
	const size_t start = line->text.length;
	char number[24];

	put(line, ",\"", 2);
	if (buffer_append_json(&line->text, field->name, strlen(field->name)))
		line->cut = true;
	put(line, "\":", 2);
	if (!line->cut && field->text) {
		put_value(line, field->text);
	} else if (!line->cut) {
		(void)snprintf(number, sizeof(number), "%" PRId64,
			       field->number);
		put_word(line, number);
	}
	/* No half of a name or number. */
	if (line->cut && !line->open)
		line->text.length = start;
}

static void put_time(struct line *line)
{
	/* The date is worked out once a second and thread. */
	static _Thread_local int64_t cached_second = INT64_MIN;
	static _Thread_local char cached[TEXT_TIME_MAX];
	int64_t now = os.realtime_ms();
	int64_t second = now / 1000;
	int rest = (int)(now % 1000);

	if (second != cached_second) {
		text_of_time(now, cached);
		cached_second = second;
	}
	/* 2026-01-02T03:04:05.678Z */
	cached[20] = (char)('0' + rest / 100);
	cached[21] = (char)('0' + rest / 10 % 10);
	cached[22] = (char)('0' + rest % 10);
	put(line, cached, 24);
}

void log_write(int level, const char *event, const char *message,
	       const struct atom_log_field *fields, size_t field_count)
{
	char bytes[1 + LOG_LINE_MAX + 1];
	/* Room for what closes a line that was cut. */
	const size_t body_max = LOG_LINE_MAX - sizeof("\"" CUT_MARK LINE_END);
	struct line line = {
		.text = { bytes + 1, 0, body_max, body_max, false },
	};
	const struct atom_log_field message_field = {
		.name = "message",
		.text = message ? message : "",
	};

	if (!log_enabled(level))
		return;
	bytes[0] = '\n'; /* before the line: see log_output() */
	if (!event)
		event = "";
	put_word(&line, "{\"time\":\"");
	put_time(&line);
	put_word(&line, "\",\"level\":\"");
	put_word(&line, log_level_name(level));
	put_word(&line, "\",\"event\":");
	put_value(&line, event);
	if (!line.cut)
		put_field(&line, &message_field);
	for (size_t i = 0; i < field_count && !line.cut; i++)
		put_field(&line, &fields[i]);

	line.text.capacity = line.text.max = LOG_LINE_MAX;
	if (line.open)
		put_word(&line, "\"");
	if (line.cut)
		put_word(&line, CUT_MARK);
	put_word(&line, LINE_END);
	log_keep(level, line.text.bytes, line.text.length - 1);
	log_output(level, event, line.text.bytes, line.text.length);
}

void log_printf(int level, const char *event, const char *format, ...)
{
	char message[LOG_LINE_MAX];
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_write(level, event, message, NULL, 0);
}

void log_fini(void)
{
	log_close_output();
	log_forget_kept();
	log_forget_secrets();
}
