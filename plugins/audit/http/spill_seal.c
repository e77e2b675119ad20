/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/spill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/audit/http/octets.h"

#define MAGIC	  0x31535441u /* "ATS1" */
#define HEAD	  16
#define PLAIN_MAX (ENTRY_HEAD + ATOM_AUDIT_RANGE_MAX * 32 + ENTRY_LINE_MAX)

/* A sealed entry opens in its own place of the queue only. */
static struct atom_span identity_of(uint64_t ordinal, char text[32])
{
	int length =
		snprintf(text, 32, "spill %llu", (unsigned long long)ordinal);

	return (struct atom_span){ text, (size_t)length };
}

static bool reserve(uint8_t **bytes, size_t *room, size_t size)
{
	uint8_t *more;

	if (size <= *room)
		return true;
	more = realloc(*bytes, size);
	if (more == NULL)
		return false;
	*bytes = more;
	*room = size;
	return true;
}

static atom_status seal_one(struct spill *spill, const uint8_t *bytes,
			    size_t size, uint64_t ordinal, struct pack *out,
			    struct atom_error *err)
{
	char text[32];
	const struct atom_span identity = identity_of(ordinal, text);
	const struct atom_span plain = { (const char *)bytes, size };
	uint8_t *head;
	size_t length = 0;
	atom_status status;

	if (!reserve(&out->bytes, &out->capacity,
		     out->length + HEAD + size + ATOM_SEAL_OVERHEAD))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	head = out->bytes + out->length;
	status = spill->seal->seal(spill->host, &identity, &plain,
				   (char *)head + HEAD, &length, err);
	if (status != ATOM_OK)
		return status;
	put_le32(head, MAGIC);
	put_le32(head + 4, (uint32_t)length);
	put_le64(head + 8, ordinal);
	out->length += HEAD + length;
	out->count++;
	return ATOM_OK;
}

atom_status spill_seal_pack(struct spill *spill, const struct pack *pack,
			    struct pack *out, struct atom_error *err)
{
	pack_clear(out);
	for (size_t at = 0, size; at < pack->length; at += size) {
		struct entry entry;
		atom_status status;

		if (entry_decode(pack->bytes + at, pack->length - at, &entry,
				 &size) != ATOM_OK)
			return atom_fail(err, ATOM_EINTERNAL,
					 "no entry to seal");
		status = seal_one(spill, pack->bytes + at, size, entry.ordinal,
				  out, err);
		if (status != ATOM_OK)
			return status;
	}
	return ATOM_OK;
}

size_t spill_sealed_size(const uint8_t head[ENTRY_HEAD])
{
	size_t length = get_le32(head + 4);

	if (get_le32(head) != MAGIC || length <= ENTRY_HEAD ||
	    length > PLAIN_MAX + ATOM_SEAL_OVERHEAD)
		return 0;
	return HEAD + length;
}

atom_status spill_open_sealed(struct spill *spill, const uint8_t *bytes,
			      size_t size, struct entry *entry,
			      struct atom_error *err)
{
	const uint64_t ordinal = get_le64(bytes + 8);
	const struct atom_span sealed = { (const char *)bytes + HEAD,
					  size - HEAD };
	char text[32];
	const struct atom_span identity = identity_of(ordinal, text);
	size_t length = 0, used;
	atom_status status;

	if (spill->seal == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "spill folder %s: its entries are sealed, and "
				 "this daemon has no service %s",
				 spill->path, ATOM_SEAL);
	if (!reserve(&spill->plain, &spill->plain_size, sealed.length))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = spill->seal->open(spill->host, &identity, &sealed,
				   (char *)spill->plain, &length, err);
	if (status != ATOM_OK)
		return status;
	status = entry_decode(spill->plain, length, entry, &used);
	return status == ATOM_OK && used == length && entry->ordinal == ordinal
		       ? ATOM_OK
		       : ATOM_EDATALOSS;
}
