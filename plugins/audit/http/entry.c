/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/entry.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "plugins/audit/http/octets.h"

#define MAGIC	    0x31455441u /* "ATE1" */
#define DIGEST_AT   64
#define DIGEST_SIZE 16

size_t entry_size(const struct entry *entry)
{
	return ENTRY_HEAD + (size_t)entry->range_count * 32 +
	       entry->line.length;
}

/* Of the head without the digest, and of what follows the head.  All zeroes
 * where OpenSSL cannot: then nothing is ever taken for sound. */
static int digest_of(const uint8_t *bytes, size_t size,
		     uint8_t digest[EVP_MAX_MD_SIZE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int done = context != NULL &&
		   EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
		   EVP_DigestUpdate(context, bytes, DIGEST_AT) == 1 &&
		   EVP_DigestUpdate(context, bytes + ENTRY_HEAD,
				    size - ENTRY_HEAD) == 1 &&
		   EVP_DigestFinal_ex(context, digest, NULL) == 1;

	EVP_MD_CTX_free(context);
	return done;
}

void entry_encode(const struct entry *entry, uint8_t *out)
{
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
	size_t range = (size_t)entry->range_count * 32;

	put_le32(out, MAGIC);
	put_le32(out + 4, entry->kind);
	put_le32(out + 8, entry->range_count);
	put_le32(out + 12, (uint32_t)entry->line.length);
	put_le64(out + 16, entry->ordinal);
	put_le64(out + 24, entry->sequence);
	memcpy(out + 32, entry->hash, 32);
	if (range > 0)
		memcpy(out + ENTRY_HEAD, entry->range, range);
	memcpy(out + ENTRY_HEAD + range, entry->line.bytes, entry->line.length);
	(void)digest_of(out, entry_size(entry), digest);
	memcpy(out + DIGEST_AT, digest, DIGEST_SIZE);
}

atom_status entry_decode(const uint8_t *bytes, size_t length,
			 struct entry *entry, size_t *size_r)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t size;

	if (length < ENTRY_HEAD)
		return ATOM_ENOENT;
	*entry = (struct entry){
		.kind = get_le32(bytes + 4),
		.range_count = get_le32(bytes + 8),
		.ordinal = get_le64(bytes + 16),
		.sequence = get_le64(bytes + 24),
		.hash = bytes + 32,
		.range = bytes + ENTRY_HEAD,
		.line = { NULL, get_le32(bytes + 12) },
	};
	if (get_le32(bytes) != MAGIC ||
	    entry->range_count > ATOM_AUDIT_RANGE_MAX ||
	    entry->line.length > ENTRY_LINE_MAX)
		return ATOM_EDATALOSS;
	size = entry_size(entry);
	if (length < size)
		return ATOM_ENOENT;
	if (!digest_of(bytes, size, digest) ||
	    memcmp(digest, bytes + DIGEST_AT, DIGEST_SIZE) != 0)
		return ATOM_EDATALOSS;
	entry->line.bytes =
		(const char *)entry->range + (size_t)entry->range_count * 32;
	*size_r = size;
	return ATOM_OK;
}

atom_status pack_add(struct pack *pack, const struct entry *entry,
		     struct atom_error *err)
{
	size_t size = entry_size(entry);

	if (entry->line.length > ENTRY_LINE_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "record %llu: expected at most %u bytes, "
				 "found %zu",
				 (unsigned long long)entry->sequence,
				 ENTRY_LINE_MAX, entry->line.length);
	if (size > pack->capacity - pack->length) {
		size_t capacity = (pack->length + size) * 2;
		uint8_t *bytes = realloc(pack->bytes, capacity);

		if (bytes == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		pack->bytes = bytes;
		pack->capacity = capacity;
	}
	entry_encode(entry, pack->bytes + pack->length);
	pack->length += size;
	pack->count++;
	return ATOM_OK;
}

void pack_shift(struct pack *pack, size_t length, size_t count)
{
	pack->length -= length;
	pack->count -= count;
	memmove(pack->bytes, pack->bytes + length, pack->length);
}

void pack_clear(struct pack *pack)
{
	pack->length = 0;
	pack->count = 0;
}

void pack_fini(struct pack *pack)
{
	free(pack->bytes);
	*pack = (struct pack){ 0 };
}
