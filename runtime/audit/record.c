/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/record.h"

#include <stdatomic.h>
#include <string.h>

#include "audit/call.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

static _Atomic uint64_t refused;

static void add(struct audit_record *record, const char *name, const char *text,
		int64_t number)
{
	size_t at = record->detail_count;

	if (at == AUDIT_DETAILS_MAX)
		return;
	/* Sorted as it grows: who adds in order pays one comparison. */
	while (at > 0 && strcmp(record->details[at - 1].name, name) > 0) {
		record->details[at] = record->details[at - 1];
		at--;
	}
	record->details[at] = (struct audit_detail){ name, text, number };
	record->detail_count++;
}

void audit_text(struct audit_record *record, const char *name, const char *text)
{
	if (text != NULL)
		add(record, name, text, 0);
}

void audit_number(struct audit_record *record, const char *name, int64_t number)
{
	add(record, name, NULL, number);
}

/* --- the line ------------------------------------------------------------ */

static void append_number(struct buffer *out, int64_t number)
{
	if (number < 0)
		buffer_append_char(out, '-');
	buffer_append_u64(out, number < 0 ? 0 - (unsigned long long)number
					  : (unsigned long long)number);
}

/* Cut at the beginning of a character, so that no half of one is left. */
void audit_append_text(struct buffer *out, const char *text, size_t length)
{
	bool cut = length > AUDIT_TEXT_MAX;

	if (cut) {
		length = AUDIT_TEXT_MAX;
		while (length > AUDIT_TEXT_MAX - 4 &&
		       ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	if (length > 0)
		buffer_append_json(out, text, length);
	if (cut)
		buffer_append_text(out, "...");
}

static void append_text(struct buffer *out, const char *text)
{
	buffer_append_char(out, '"');
	audit_append_text(out, text,
			  text != NULL ? strnlen(text, AUDIT_TEXT_MAX + 1) : 0);
	buffer_append_char(out, '"');
}

static void refuse(const struct audit_event_row *row, const char *name)
{
	if (atomic_fetch_add(&refused, 1) == 0)
		log_line(ATOM_LOG_ERROR, "audit_detail_refused",
			 "a record's detail is not in the list of its event "
			 "and was left out",
			 LOG_TEXT("event_type", row->name),
			 LOG_TEXT("detail", name));
}

uint64_t audit_details_refused(void)
{
	return atomic_load(&refused);
}

static void append_details(struct buffer *out,
			   const struct audit_record *record,
			   const struct audit_event_row *row)
{
	const char *const *allowed = row->details;
	const char *last = "";
	bool first = true;

	for (size_t i = 0; i < record->detail_count; i++) {
		const struct audit_detail *d = &record->details[i];
		int order = -1;

		while (*allowed != NULL &&
		       (order = strcmp(*allowed, d->name)) < 0)
			allowed++;
		/* Not in the list, or there already. */
		if (*allowed == NULL || order != 0 ||
		    strcmp(last, d->name) == 0) {
			refuse(row, d->name);
			continue;
		}
		last = d->name;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		buffer_append_char(out, '"');
		buffer_append_text(out, d->name);
		buffer_append_text(out, "\":");
		if (d->text != NULL)
			append_text(out, d->text);
		else
			append_number(out, d->number);
	}
}

struct audit_entry *audit_entry_new(const struct audit_record *record)
{
	const struct audit_event_row *row = audit_event_row(record->event);
	struct buffer out = BUFFER_INIT(AUDIT_LINE_MAX);
	struct audit_entry *entry = NULL;
	size_t head;

	/* The entry is the beginning of the buffer: one allocation. */
	if (row == NULL || buffer_reserve(&out, 1000) != ATOM_OK)
		return NULL;
	out.length = offsetof(struct audit_entry, bytes);
	buffer_append_text(&out, "{\"address\":");
	append_text(&out, record->address);
	buffer_append_text(&out, ",\"category\":\"");
	buffer_append_text(&out, audit_category_name(row->category));
	buffer_append_text(&out, "\",\"details\":{");
	append_details(&out, record, row);
	buffer_append_text(&out, "},");
	buffer_append_text(&out, row->text);
	buffer_append_text(&out, ",\"request_id\":");
	append_text(&out, record->request_id);
	head = out.length;
	buffer_append_text(&out, ",\"user\":");
	append_text(&out, record->user);
	buffer_append_char(&out, '}');
	if (!out.failed) {
		entry = (struct audit_entry *)(void *)out.bytes;
		*entry = (struct audit_entry){
			.row = row,
			.head_length =
				(uint32_t)(head -
					   offsetof(struct audit_entry, bytes)),
			.tail_length = (uint32_t)(out.length - head),
		};
		return entry;
	}
	buffer_fini(&out);
	return NULL;
}

atom_status audit_entry_write(const struct audit_entry *entry,
			      uint64_t sequence, const char *time,
			      struct buffer *out)
{
	const size_t before = out->length;

	if (entry->block != NULL)
		return audit_call_write(entry, sequence, time, out);
	if (buffer_reserve(out, (size_t)entry->head_length +
					entry->tail_length + 100) != ATOM_OK)
		return ATOM_ENOMEM;
	buffer_append(out, entry->bytes, entry->head_length);
	buffer_append_text(out, ",\"sequence\":");
	buffer_append_u64(out, sequence);
	buffer_append_text(out, ",\"severity\":\"");
	buffer_append_text(out, audit_severity_name(entry->row->severity));
	buffer_append_text(out, "\",\"time\":\"");
	buffer_append_text(out, time);
	buffer_append_char(out, '"');
	buffer_append(out, entry->bytes + entry->head_length,
		      entry->tail_length);
	if (!out->failed)
		return ATOM_OK;
	out->length = before;
	return ATOM_ENOMEM;
}

void audit_entry_free(struct audit_entry *entry)
{
	if (entry->block != NULL)
		audit_call_free(entry);
	else
		mem_free(entry);
}
