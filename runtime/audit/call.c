/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"

/* --- where entries lie ----------------------------------------------------- */

/*
 * One thread makes entries and another ends them, which an allocator pays for
 * with a lock on either side.  So each thread that makes them cuts them off a
 * block of its own; the block goes when its thread has left it and all of its
 * entries have ended.
 *
 * It is counted down alone: from a number that no block holds entries of, by
 * each entry that ends, and by its thread, when it leaves, to what is still
 * under way.
 */

#define BLOCK_BYTES ((size_t)64 * 1024)
#define UNCOUNTED   ((int64_t)1 << 40)

struct audit_block {
	_Atomic int64_t left;
	_Alignas(16) char bytes[BLOCK_BYTES];
};

struct own_block {
	struct audit_block *block;
	size_t used;
	int64_t entries;
	bool is_kept; /* the key's destructor has it */
};

static _Thread_local struct own_block own;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static bool has_key;

static void count_down(struct audit_block *block, int64_t by)
{
	if (atomic_fetch_sub_explicit(&block->left, by, memory_order_acq_rel) ==
	    by)
		mem_free(block);
}

static void leave(struct own_block *mine)
{
	struct audit_block *block = TAKE(mine->block);

	if (block != NULL)
		count_down(block, UNCOUNTED - mine->entries);
}

static void on_thread_end(void *kept)
{
	struct own_block *mine = kept;

	leave(mine);
	mine->is_kept = false;
}

static void make_key(void)
{
	has_key = pthread_key_create(&leave_key, on_thread_end) == 0;
}

/* A fresh block; false without memory. */
static bool begin_block(void)
{
	struct audit_block *block;

	if (!own.is_kept)
		own.is_kept = pthread_once(&once, make_key) == 0 && has_key &&
			      pthread_setspecific(leave_key, &own) == 0;
	block = own.is_kept ? mem_alloc(sizeof(*block)) : NULL;
	if (block == NULL)
		return false;
	leave(&own);
	atomic_init(&block->left, UNCOUNTED);
	own.block = block;
	own.used = 0;
	own.entries = 0;
	return true;
}

static void *cut_off(size_t size)
{
	const size_t whole = (size + 15) & ~(size_t)15;
	void *room;

	if ((own.block == NULL || BLOCK_BYTES - own.used < whole) &&
	    !begin_block())
		return NULL;
	room = own.block->bytes + own.used;
	own.used += whole;
	own.entries++;
	return room;
}

void audit_call_free(struct audit_entry *entry)
{
	count_down(entry->block, 1);
}

/* --- the entry -------------------------------------------------------------- */

enum text {
	TEXT_ADDRESS,
	TEXT_AGENT,
	TEXT_CODE,
	TEXT_REVISION,
	TEXT_SESSION,
	TEXT_REQUEST,
	TEXT_USER,
	TEXTS
};

/* Behind the entry, and then the texts, one behind the other. */
struct packed {
	int64_t duration_ms;
	int64_t input_bytes;
	int64_t input_tokens;
	int64_t output_bytes;
	int64_t output_tokens;
	int32_t status;
	uint16_t lengths[TEXTS];
	bool stream;
};

struct audit_entry *audit_call_entry(const struct audit_call *call)
{
	const char *const texts[TEXTS] = {
		[TEXT_ADDRESS] = call->address,
		[TEXT_AGENT] = call->agent,
		[TEXT_CODE] = call->code,
		[TEXT_REVISION] = call->revision,
		[TEXT_SESSION] = call->session,
		[TEXT_REQUEST] = call->request_id,
		[TEXT_USER] = call->user,
	};
	struct packed packed = {
		.duration_ms = call->duration_ms,
		.input_bytes = call->input_bytes,
		.input_tokens = call->input_tokens,
		.output_bytes = call->output_bytes,
		.output_tokens = call->output_tokens,
		.status = call->status,
		.stream = call->stream,
	};
	size_t length = sizeof(packed);
	struct audit_entry *entry;
	char *at;

	/* One byte over what a text may have tells that it is to be cut. */
	for (size_t i = 0; i < TEXTS; i++) {
		packed.lengths[i] =
			texts[i] == NULL
				? 0
				: (uint16_t)strnlen(texts[i],
						    AUDIT_TEXT_MAX + 1);
		length += packed.lengths[i];
	}
	entry = cut_off(sizeof(*entry) + length);
	if (entry == NULL)
		return NULL;
	*entry = (struct audit_entry){
		.row = audit_event_row(call->status >= 500 ? AUDIT_CALL_FAILED
							   : AUDIT_CALL),
		.block = own.block,
		.head_length = (uint32_t)length,
	};
	memcpy(entry->bytes, &packed, sizeof(packed));
	at = entry->bytes + sizeof(packed);
	for (size_t i = 0; i < TEXTS; i++) {
		if (packed.lengths[i] > 0)
			memcpy(at, texts[i], packed.lengths[i]);
		at += packed.lengths[i];
	}
	return entry;
}

/* --- the line --------------------------------------------------------------- */

/* Names, punctuation, numbers and the event's part: never more. */
#define FRAME_MAX 1200

/* Room was reserved: nothing here asks for it again.  In line, so that what
 * is constant is stored without a call. */
__attribute__((always_inline)) static inline void put(struct buffer *out,
						      const char *text,
						      size_t length)
{
	memcpy(out->bytes + out->length, text, length);
	out->length += length;
}

#define PUT(out, literal) put(out, literal, sizeof(literal) - 1)

static void put_word(struct buffer *out, const char *word)
{
	put(out, word, strlen(word));
}

static void put_text(struct buffer *out, const struct packed *packed,
		     const char *const texts[TEXTS], enum text which)
{
	const char *text = texts[which];
	const size_t length = packed->lengths[which];

	out->bytes[out->length++] = '"';
	if (length <= AUDIT_TEXT_MAX &&
	    buffer_json_plain(text, length) == length)
		put(out, text, length);
	else
		audit_append_text(out, text, length);
	out->bytes[out->length++] = '"';
}

static void put_number(struct buffer *out, int64_t number)
{
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	char *at = out->bytes + out->length;
	size_t digits = 1;

	for (uint64_t rest = left; rest >= 10; rest /= 10)
		digits++;
	if (number < 0)
		*at++ = '-';
	out->length = (size_t)(at - out->bytes) + digits;
	for (at += digits; digits > 0; digits--, left /= 10)
		*--at = (char)('0' + left % 10);
}

static void put_details(struct buffer *out, const struct packed *packed,
			const char *const texts[TEXTS])
{
	/* Each but the first begins with its comma: an agent or not. */
	size_t first = out->length;

	if (packed->lengths[TEXT_AGENT] > 0) {
		PUT(out, ",\"agent\":");
		put_text(out, packed, texts, TEXT_AGENT);
	}
	if (packed->lengths[TEXT_CODE] > 0) {
		PUT(out, ",\"code\":");
		put_text(out, packed, texts, TEXT_CODE);
	}
	if (packed->duration_ms >= 0) {
		PUT(out, ",\"duration_ms\":");
		put_number(out, packed->duration_ms);
	}
	PUT(out, ",\"input_bytes\":");
	put_number(out, packed->input_bytes);
	PUT(out, ",\"input_tokens\":");
	put_number(out, packed->input_tokens);
	PUT(out, ",\"output_bytes\":");
	put_number(out, packed->output_bytes);
	PUT(out, ",\"output_tokens\":");
	put_number(out, packed->output_tokens);
	if (packed->lengths[TEXT_REVISION] > 0) {
		PUT(out, ",\"revision\":");
		put_text(out, packed, texts, TEXT_REVISION);
	}
	if (packed->lengths[TEXT_SESSION] > 0) {
		PUT(out, ",\"session\":");
		put_text(out, packed, texts, TEXT_SESSION);
	}
	PUT(out, ",\"status\":");
	put_number(out, packed->status);
	if (packed->stream)
		PUT(out, ",\"stream\":1");
	out->bytes[first] = '{';
}

atom_status audit_call_write(const struct audit_entry *entry, uint64_t sequence,
			     const char *time, struct buffer *out)
{
	const char *texts[TEXTS], *at = entry->bytes + sizeof(struct packed);
	struct packed packed;

	/* Of each byte of a text six may be made. */
	if (buffer_reserve(out, FRAME_MAX + 6 * (size_t)entry->head_length) !=
	    ATOM_OK)
		return ATOM_ENOMEM;
	memcpy(&packed, entry->bytes, sizeof(packed));
	for (size_t i = 0; i < TEXTS; i++) {
		texts[i] = at;
		at += packed.lengths[i];
	}
	PUT(out, "{\"address\":");
	put_text(out, &packed, texts, TEXT_ADDRESS);
	PUT(out, ",\"category\":\"");
	put_word(out, audit_category_name(entry->row->category));
	PUT(out, "\",\"details\":");
	put_details(out, &packed, texts);
	PUT(out, "},");
	put_word(out, entry->row->text);
	PUT(out, ",\"request_id\":");
	put_text(out, &packed, texts, TEXT_REQUEST);
	PUT(out, ",\"sequence\":");
	put_number(out, (int64_t)sequence);
	PUT(out, ",\"severity\":\"");
	put_word(out, audit_severity_name(entry->row->severity));
	PUT(out, "\",\"time\":\"");
	put_word(out, time);
	PUT(out, "\",\"user\":");
	put_text(out, &packed, texts, TEXT_USER);
	PUT(out, "}");
	out->bytes[out->length] = '\0';
	return ATOM_OK;
}
