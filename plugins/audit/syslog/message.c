/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/message.h"

#include <stdio.h>
#include <string.h>

#include "plugins/audit/remote/text.h"

#define CATEGORY_MAX 64

static const char byte_order_mark[] = "\xef\xbb\xbf";

void message_field(char *field, size_t length_max, const char *text)
{
	size_t length = 0;

	for (; length < length_max && text[length] != '\0'; length++)
		field[length] = text[length] > 32 && text[length] < 127
					? text[length]
					: '_';
	if (length == 0)
		field[length++] = '-';
	field[length] = '\0';
}

bool message_is_sd_name(const char *text)
{
	size_t length = strlen(text);

	if (length < 1 || length > MESSAGE_SD_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] <= 32 || text[i] >= 127 ||
		    strchr("=]\"", text[i]) != NULL)
			return false;
	return true;
}

/* RFC 5424 table 2. */
static int severity_of(int32_t severity)
{
	switch (severity) {
	case ATOM_LOG_ERROR:
		return 3;
	case ATOM_LOG_WARN:
		return 4;
	case ATOM_LOG_DEBUG:
		return 7;
	default:
		return 6;
	}
}

/* As a PARAM-VALUE: '"', '\' and ']' behind a backslash (RFC 5424 6.3.3). */
static void param_value(char *value, const char *text)
{
	size_t length = 0;

	for (; *text != '\0' && length < CATEGORY_MAX; text++) {
		if (strchr("\"\\]", *text) != NULL)
			value[length++] = '\\';
		value[length++] = *text > 31 && *text < 127 ? *text : '_';
	}
	value[length] = '\0';
}

/* `whole`: length of the MSG that did not fit, 0 = it did. */
static size_t head(const struct message_origin *origin,
		   const struct message *message, size_t whole, char *out,
		   size_t room)
{
	char time[TIME_SIZE], hash[HEX32_SIZE], msgid[MESSAGE_MSGID_MAX + 1];
	char category[CATEGORY_MAX + 2], more[160] = "", length[48] = "";

	time_text(time, message->time_ms);
	hex32(hash, message->hash);
	message_field(msgid, MESSAGE_MSGID_MAX, message->msgid);
	if (message->category != NULL) {
		param_value(category, message->category);
		(void)snprintf(more, sizeof(more), " category=\"%s\"",
			       category);
	}
	if (whole > 0)
		(void)snprintf(length, sizeof(length), " length=\"%zu\"",
			       whole);
	return (size_t)snprintf(
		out, room,
		"<%d>1 %s %s %s %s %s [%s sequence=\"%llu\" hash=\"%s\"%s%s] ",
		origin->facility * 8 + severity_of(message->severity), time,
		origin->hostname, origin->app_name, origin->procid, msgid,
		origin->sd_id, (unsigned long long)message->sequence, hash,
		more, length);
}

/* One character as it is sent, into `out` of at least 6 bytes. */
static size_t encode(char *out, const char *at, size_t size, uint32_t point)
{
	if (size == 0) {
		*out = *at;
		return 1;
	}
	if (point < 0x20 || point == 0x7f) {
		char text[8];

		(void)snprintf(text, sizeof(text), "\\u%04x", point);
		memcpy(out, text, 6);
		return 6;
	}
	memcpy(out, at, size);
	return size;
}

/* As much of `text` as fits into `room`, in whole characters. */
static size_t body(const struct atom_span *text, char *out, size_t room,
		   bool *whole_r)
{
	size_t used = 0, at = 0;

	while (at < text->length) {
		char piece[6];
		uint32_t point = 0;
		size_t size = utf8_character(text->bytes + at,
					     text->length - at, &point);
		size_t length = encode(piece, text->bytes + at, size, point);

		if (length > room - used)
			break;
		memcpy(out + used, piece, length);
		used += length;
		at += size > 0 ? size : 1;
	}
	*whole_r = at == text->length;
	return used;
}

/* Is the text UTF-8 beyond ASCII? */
static bool wants_mark(const struct atom_span *text)
{
	bool beyond = false;

	for (size_t at = 0; at < text->length;) {
		uint32_t point = 0;
		size_t size = utf8_character(text->bytes + at,
					     text->length - at, &point);

		if (size == 0)
			return false;
		beyond = beyond || point > 0x7f;
		at += size;
	}
	return beyond;
}

size_t message_format(const struct message_origin *origin,
		      const struct message *message, char *out, bool *cut_r)
{
	const size_t mark = origin->mark && wants_mark(&message->text) ? 3 : 0;
	bool whole = false;
	size_t used = 0;

	for (int i = 0; i < 2 && !whole; i++) {
		char text[MESSAGE_HEAD_MAX];

		used = head(origin, message, i > 0 ? message->text.length : 0,
			    text, sizeof(text));
		memcpy(out, text, used);
		memcpy(out + used, byte_order_mark, mark);
		used += mark;
		used += body(&message->text, out + used,
			     origin->size_max - used, &whole);
		*cut_r = i > 0;
	}
	return used;
}
