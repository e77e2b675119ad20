/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/journal/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "plugins/audit/remote/text.h"

#define FACILITY_AUDIT 13
#define NAME_MAX_      64 /* of a journal field */
#define MEMBERS_MAX    64
/* A longer text is in ATOMD_RECORD alone. */
#define MEMBER_MAX 4096

static void put(struct fields *fields, const char *bytes, size_t length)
{
	if (fields->failed)
		return;
	if (length > fields->capacity - fields->length) {
		size_t capacity = (fields->length + length) * 2;
		char *longer = realloc(fields->bytes, capacity);

		if (longer == NULL) {
			fields->failed = true;
			return;
		}
		fields->bytes = longer;
		fields->capacity = capacity;
	}
	memcpy(fields->bytes + fields->length, bytes, length);
	fields->length += length;
}

static void put_field(struct fields *fields, const char *name,
		      const char *value, size_t length)
{
	put(fields, name, strlen(name));
	if (memchr(value, '\n', length) == NULL) {
		put(fields, "=", 1);
	} else {
		char size[8];

		for (int i = 0; i < 8; i++)
			size[i] = (char)((uint64_t)length >> 8 * i);
		put(fields, "\n", 1);
		put(fields, size, sizeof(size));
	}
	put(fields, value, length);
	put(fields, "\n", 1);
}

static void put_text(struct fields *fields, const char *name, const char *value)
{
	put_field(fields, name, value, strlen(value));
}

static void put_number(struct fields *fields, const char *name, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	put_text(fields, name, text);
}

/* As syslog counts them; sd-daemon(3). */
static int priority_of(int32_t severity)
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

/* What every entry has. */
static void put_common(struct fields *fields, const char *identifier,
		       int32_t severity, int64_t time_ms, uint64_t sequence,
		       const uint8_t *hash)
{
	char time[TIME_SIZE], hex[HEX32_SIZE], number[24];

	put_number(fields, "PRIORITY", priority_of(severity));
	put_number(fields, "SYSLOG_FACILITY", FACILITY_AUDIT);
	put_text(fields, "SYSLOG_IDENTIFIER", identifier);
	(void)snprintf(number, sizeof(number), "%" PRIu64, sequence);
	put_text(fields, "ATOMD_SEQUENCE", number);
	time_text(time, time_ms);
	put_text(fields, "ATOMD_TIME", time);
	hex32(hex, hash);
	put_text(fields, "ATOMD_HASH", hex);
}

/* ATOMD_ and the member's name in the letters of the journal. */
static void name_of(char name[NAME_MAX_ + 1], const char *member)
{
	size_t length = 6;

	memcpy(name, "ATOMD_", length);
	for (; *member != '\0' && length < NAME_MAX_; member++) {
		char c = *member;

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			c = '_';
		name[length++] = c;
	}
	name[length] = '\0';
}

static bool is_ours(const char *name)
{
	static const char *const ours[] = { "ATOMD_SEQUENCE",
					    "ATOMD_TIME",
					    "ATOMD_HASH",
					    "ATOMD_CATEGORY",
					    "ATOMD_EVENT_TYPE",
					    "ATOMD_RECORD",
					    NULL };

	for (const char *const *our = ours; *our != NULL; our++)
		if (strcmp(name, *our) == 0)
			return true;
	return false;
}

static void put_members(struct fields *fields, json_t *record)
{
	size_t left = MEMBERS_MAX;
	const char *member;
	json_t *value;

	json_object_foreach(record, member, value)
	{
		char name[NAME_MAX_ + 1];

		name_of(name, member);
		if (is_ours(name) || left == 0)
			continue;
		if (json_is_integer(value))
			put_number(fields, name, json_integer_value(value));
		else if (json_string_length(value) > 0 &&
			 json_string_length(value) <= MEMBER_MAX)
			put_field(fields, name, json_string_value(value),
				  json_string_length(value));
		else
			continue;
		left--;
	}
}

/* For people: what, who.  journalctl shows a message with control bytes as a
 * blob. */
static void put_message(struct fields *fields,
			const struct atom_audit_record *record, json_t *json)
{
	const char *user = json_string_value(json_object_get(json, "user"));
	const bool known = user != NULL && *user != '\0';
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "audit record %" PRIu64 ": %s (%s)%s%.200s",
		       record->sequence, record->event_type, record->category,
		       known ? " by " : "", known ? user : "");
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 32 || *at == 127)
			*at = '_';
	put_text(fields, "MESSAGE", text);
}

void fields_of_record(struct fields *fields, const char *identifier,
		      const struct atom_audit_record *record)
{
	/* NULL when it is no JSON: then there are no members. */
	json_t *json = json_loadb(record->json.bytes, record->json.length,
				  JSON_ALLOW_NUL, NULL);

	fields->length = 0;
	fields->failed = false;
	put_message(fields, record, json);
	put_common(fields, identifier, record->severity, record->time_ms,
		   record->sequence, record->hash);
	put_text(fields, "ATOMD_CATEGORY", record->category);
	put_text(fields, "ATOMD_EVENT_TYPE", record->event_type);
	put_members(fields, json);
	put_field(fields, "ATOMD_RECORD", record->json.bytes,
		  record->json.length);
	json_decref(json);
}

void fields_of_checkpoint(struct fields *fields, const char *identifier,
			  const struct atom_audit_checkpoint *head)
{
	char text[80];

	fields->length = 0;
	fields->failed = false;
	(void)snprintf(text, sizeof(text),
		       "audit checkpoint: records 1 to %" PRIu64,
		       head->sequence);
	put_text(fields, "MESSAGE", text);
	put_common(fields, identifier, ATOM_LOG_INFO, head->time_ms,
		   head->sequence, head->hash);
	put_text(fields, "ATOMD_EVENT_TYPE", "checkpoint");
	put_text(fields, "ATOMD_VERIFIER", head->verifier);
	put_field(fields, "ATOMD_CHECKPOINT", head->note.bytes,
		  head->note.length);
}

void fields_fini(struct fields *fields)
{
	free(fields->bytes);
	*fields = (struct fields){ 0 };
}
