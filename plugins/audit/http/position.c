/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/position.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "plugins/audit/http/octets.h"

#define MAGIC	  0x31504f5041445441u /* "ATDAPOP1" */
#define RANGE_AT  96
#define DIGEST_AT (RANGE_AT + ATOM_AUDIT_RANGE_MAX * 32)
#define SLOT_USED (DIGEST_AT + 32)
#define SLOT_SIZE 4096

static int digest_of(const uint8_t *slot, uint8_t digest[EVP_MAX_MD_SIZE])
{
	return EVP_Digest(slot, DIGEST_AT, digest, NULL, EVP_sha256(), NULL);
}

static void encode(const struct position *position, uint64_t generation,
		   uint8_t slot[SLOT_USED])
{
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };

	memset(slot, 0, SLOT_USED);
	put_le64(slot, MAGIC);
	put_le64(slot + 8, generation);
	put_le64(slot + 16, position->delivered);
	put_le64(slot + 24, position->taken);
	put_le64(slot + 32, position->sequence);
	put_le64(slot + 40, position->checkpoint);
	put_le64(slot + 48, position->range_count);
	memcpy(slot + 56, position->hash, 32);
	memcpy(slot + RANGE_AT, position->range, sizeof(position->range));
	(void)digest_of(slot, digest);
	memcpy(slot + DIGEST_AT, digest, 32);
}

/* 0: the slot is not whole. */
static uint64_t decode(const uint8_t slot[SLOT_USED], struct position *position)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (get_le64(slot) != MAGIC || digest_of(slot, digest) != 1 ||
	    memcmp(digest, slot + DIGEST_AT, 32) != 0 ||
	    get_le64(slot + 48) > ATOM_AUDIT_RANGE_MAX)
		return 0;
	position->delivered = get_le64(slot + 16);
	position->taken = get_le64(slot + 24);
	position->sequence = get_le64(slot + 32);
	position->checkpoint = get_le64(slot + 40);
	position->range_count = (uint32_t)get_le64(slot + 48);
	memcpy(position->hash, slot + 56, 32);
	memcpy(position->range, slot + RANGE_AT, sizeof(position->range));
	return get_le64(slot + 8);
}

static atom_status read_slots(struct position_file *file,
			      struct position *position_r,
			      struct atom_error *err)
{
	uint8_t slot[SLOT_USED];
	struct stat st;

	if (fstat(file->fd, &st) != 0)
		return atom_fail(err, ATOM_EIO, "position: %s",
				 strerror(errno));
	for (off_t at = 0; at < 2 * SLOT_SIZE; at += SLOT_SIZE) {
		struct position position = { 0 };
		ssize_t got = pread(file->fd, slot, sizeof(slot), at);
		uint64_t generation;

		if (got < 0)
			return atom_fail(err, ATOM_EIO, "position: %s",
					 strerror(errno));
		if (got != (ssize_t)sizeof(slot))
			continue;
		generation = decode(slot, &position);
		if (generation > file->generation) {
			file->generation = generation;
			*position_r = position;
		}
	}
	/* A first write that was torn leaves a short file: as if none. */
	if (file->generation == 0 && st.st_size >= SLOT_USED)
		return atom_fail(err, ATOM_EDATALOSS,
				 "the file `position` of the spill folder is "
				 "damaged; without it the sink begins anew and "
				 "repeats records: remove it if that is meant");
	return ATOM_OK;
}

atom_status position_open(struct position_file *file, int directory,
			  struct position *position_r, struct atom_error *err)
{
	atom_status status;

	memset(position_r, 0, sizeof(*position_r));
	file->generation = 0;
	file->fd = openat(directory, "position",
			  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->fd < 0)
		return atom_fail(err, ATOM_EIO,
				 "the file `position` of the spill folder: %s",
				 strerror(errno));
	status = read_slots(file, position_r, err);
	if (status != ATOM_OK)
		position_close(file);
	return status;
}

void position_close(struct position_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd);
	file->fd = -1;
}

atom_status position_store(struct position_file *file,
			   const struct position *position,
			   struct atom_error *err)
{
	uint64_t generation = file->generation + 1;
	uint8_t slot[SLOT_USED];
	ssize_t put;

	encode(position, generation, slot);
	put = pwrite(file->fd, slot, sizeof(slot),
		     generation % 2 ? 0 : SLOT_SIZE);
	if (put != (ssize_t)sizeof(slot))
		return atom_fail(err, ATOM_EIO,
				 "the file `position` of the spill folder: %s",
				 put < 0 ? strerror(errno) : "short write");
	file->generation = generation;
	return ATOM_OK;
}
