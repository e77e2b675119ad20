/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The secrets that no line may show.
 *
 * A chained hash table by the first six bytes, searched at every position of
 * a text.  It only grows: an entry never changes once it is in its chain, so
 * that readers need no lock, and the one mutex is for those who add.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "core/log.h"
#include "core/log_priv.h"
#include "core/memory.h"

#define SECRET_MIN   6
#define SECRETS_MAX  4096
#define BUCKET_COUNT 1024

struct secret {
	struct secret *next;
	size_t length;
	char bytes[];
};

static _Atomic(struct secret *) buckets[BUCKET_COUNT];
static _Atomic unsigned int secret_count;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

static size_t bucket_of(const char *bytes)
{
	uint64_t head = 0;

	memcpy(&head, bytes, SECRET_MIN);
	return (size_t)((head * 0x9e3779b97f4a7c15ull) >> 54);
}

_Static_assert(BUCKET_COUNT == 1 << (64 - 54), "bucket_of() gives ten bits");

/* The longest secret that stands at `text`, or 0. */
static size_t secret_at(const char *text, size_t left)
{
	const struct secret *s = atomic_load_explicit(&buckets[bucket_of(text)],
						      memory_order_acquire);
	size_t longest = 0;

	for (; s; s = s->next)
		if (s->length <= left && s->length > longest &&
		    memcmp(s->bytes, text, s->length) == 0)
			longest = s->length;
	return longest;
}

size_t log_find_secret(const char *text, size_t length, size_t *found_length_r)
{
	if (atomic_load_explicit(&secret_count, memory_order_acquire) == 0)
		return LOG_NO_SECRET;
	for (size_t at = 0; at + SECRET_MIN <= length; at++) {
		size_t found = secret_at(text + at, length - at);

		if (found) {
			*found_length_r = found;
			return at;
		}
	}
	return LOG_NO_SECRET;
}

static atom_status add(const char *bytes, size_t length)
{
	_Atomic(struct secret *) *bucket = &buckets[bucket_of(bytes)];
	struct secret *first =
		atomic_load_explicit(bucket, memory_order_relaxed);

	for (struct secret *s = first; s; s = s->next)
		if (s->length == length && memcmp(s->bytes, bytes, length) == 0)
			return ATOM_OK;
	if (atomic_load_explicit(&secret_count, memory_order_relaxed) >=
	    SECRETS_MAX)
		return ATOM_ELIMIT;

	struct secret *added = mem_alloc(sizeof(*added) + length);

	if (!added)
		return ATOM_ENOMEM;
	added->next = first;
	added->length = length;
	memcpy(added->bytes, bytes, length);
	/* release: whoever finds it finds its bytes. */
	atomic_store_explicit(bucket, added, memory_order_release);
	atomic_fetch_add_explicit(&secret_count, 1, memory_order_release);
	return ATOM_OK;
}

atom_status log_add_secret(const char *secret)
{
	struct buffer escaped = BUFFER_INIT(SIZE_MAX / 2);
	size_t length = strlen(secret);
	atom_status status;

	if (length < SECRET_MIN)
		return ATOM_EINVAL;
	/* Somebody may log JSON in which it stands escaped. */
	status = buffer_append_json(&escaped, secret, length);
	if (!status) {
		pthread_mutex_lock(&adding);
		status = add(secret, length);
		if (!status)
			status = add(escaped.bytes, escaped.length);
		pthread_mutex_unlock(&adding);
		explicit_bzero(escaped.bytes, escaped.length);
	}
	buffer_fini(&escaped);
	return status;
}

size_t log_redact(char *text)
{
	size_t left = strlen(text);
	size_t found_length, at, count = 0;

	while ((at = log_find_secret(text, left, &found_length)) !=
	       LOG_NO_SECRET) {
		memcpy(text + at, "***", 3);
		left -= at + found_length;
		text += at + 3;
		memmove(text, text + found_length - 3, left + 1);
		count++;
	}
	return count;
}

void log_forget_secrets(void)
{
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		struct secret *s = atomic_exchange_explicit(
			&buckets[i], NULL, memory_order_acq_rel);

		while (s) {
			struct secret *next = s->next;

			mem_wipe_free(s, sizeof(*s) + s->length);
			s = next;
		}
	}
	atomic_store_explicit(&secret_count, 0, memory_order_relaxed);
}
