/* SPDX-License-Identifier: Apache-2.0 */

/* audit.key and audit.head in the state folder. */

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_priv.h"
#include "core/os.h"

static const char key_name[] = "audit.key";
static const char head_name[] = "audit.head";

static atom_status path_of(const char *directory, const char *name,
			   const char *suffix, char out[PATH_MAX],
			   struct atom_error *err)
{
	int length =
		snprintf(out, PATH_MAX, "%s/%s%s", directory, name, suffix);

	if (length < 0 || length >= PATH_MAX)
		return atom_fail(
			err, ATOM_ELIMIT,
			"the path of %s in the state folder is too long", name);
	return ATOM_OK;
}

/* The whole file, NUL-ended.  ATOM_ENOENT when there is none. */
static atom_status read_file(const char *path, char *out, size_t size,
			     size_t *length_r, struct stat *stat_r,
			     struct atom_error *err)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	atom_status status = ATOM_OK;
	size_t length = 0;
	ssize_t n = 0;

	if (fd < 0)
		return atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				 "%s: %s", path, strerror(errno));
	if (os.fstat(fd, stat_r) != 0 || !S_ISREG(stat_r->st_mode))
		status = atom_fail(err, ATOM_EINVAL, "%s is no regular file",
				   path);
	while (status == ATOM_OK && length < size - 1 &&
	       (n = os.read(fd, out + length, size - 1 - length)) > 0)
		length += (size_t)n;
	if (status == ATOM_OK && n < 0)
		status = atom_fail(err, ATOM_EIO, "%s: %s", path,
				   strerror(errno));
	(void)os.close(fd);
	out[length] = '\0';
	*length_r = length;
	return status;
}

static atom_status write_whole(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = os.write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ATOM_EIO;
		bytes += n;
		length -= (size_t)n;
	}
	return ATOM_OK;
}

/* Beside the old one, then in its place. */
static atom_status replace_file(const char *directory, const char *name,
				const char *bytes, size_t length, bool durable,
				struct atom_error *err)
{
	char path[PATH_MAX], beside[PATH_MAX];
	atom_status status = path_of(directory, name, "", path, err);
	bool fine;
	int fd, folder;

	if (status == ATOM_OK)
		status = path_of(directory, name, ".new", beside, err);
	if (status != ATOM_OK)
		return status;
	fd = os.open(beside,
		     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "%s: %s", beside,
				 strerror(errno));
	fine = write_whole(fd, bytes, length) == ATOM_OK &&
	       (!durable || os.fsync(fd) == 0);
	fine = os.close(fd) == 0 && fine;
	if (!fine || os.rename(beside, path) != 0) {
		status = atom_fail(err, ATOM_EIO, "%s: %s", path,
				   strerror(errno));
		(void)os.unlink(beside);
		return status;
	}
	if (!durable)
		return ATOM_OK;
	folder = os.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	fine = folder >= 0 && os.fsync(folder) == 0;
	if (folder >= 0)
		(void)os.close(folder);
	return fine ? ATOM_OK
		    : atom_fail(err, ATOM_EIO, "%s: %s", directory,
				strerror(errno));
}

atom_status key_file_read(const char *directory, struct note_signer *signer_r,
			  struct atom_error *err)
{
	char path[PATH_MAX], text[NOTE_PRIVATE_KEY_MAX + 2];
	struct atom_error why = ATOM_ERROR_INIT;
	struct stat found;
	size_t length;
	atom_status status = path_of(directory, key_name, "", path, err);

	if (status == ATOM_OK)
		status = read_file(path, text, sizeof(text), &length, &found,
				   err);
	if (status != ATOM_OK)
		return status;
	if ((found.st_mode & 077) != 0) {
		status = atom_fail(
			err, ATOM_EPERM,
			"%s: its mode is %03o, so others may sign heads of the log: expected 600",
			path, (unsigned int)found.st_mode & 0777);
	} else {
		status = note_signer_parse(text, signer_r, &why);
		if (status != ATOM_OK)
			atom_fail(err, ATOM_EDATALOSS, "%s: %s", path,
				  why.message);
	}
	OPENSSL_cleanse(text, sizeof(text));
	return status == ATOM_EINVAL ? ATOM_EDATALOSS : status;
}

atom_status key_file_make(const char *directory, struct note_signer *signer_r,
			  struct atom_error *err)
{
	char text[NOTE_PRIVATE_KEY_MAX + 1], log_id[CHAIN_LOG_ID + 1];
	uint8_t random[CHAIN_LOG_ID / 2 + NOTE_KEY_BYTES];
	size_t length;
	atom_status status;

	/* A store that keeps nothing here has not made it. */
	if (os.mkdir(directory, 0700) != 0 && errno != EEXIST)
		return atom_fail(err, ATOM_EIO, "%s: %s", directory,
				 strerror(errno));
	if (os.random(random, sizeof(random)) != 0)
		return atom_fail(err, ATOM_EIO,
				 "no random bytes to be had for a key");
	chain_log_id(random, log_id);
	status = note_signer_init(signer_r, log_id, random + CHAIN_LOG_ID / 2,
				  err);
	OPENSSL_cleanse(random, sizeof(random));
	if (status != ATOM_OK)
		return status;
	note_signer_text(signer_r, text);
	length = strlen(text);
	text[length++] = '\n';
	status = replace_file(directory, key_name, text, length, true, err);
	OPENSSL_cleanse(text, sizeof(text));
	return status;
}

atom_status head_file_write(const char *directory, const char *note,
			    size_t length, struct atom_error *err)
{
	return replace_file(directory, head_name, note, length, false, err);
}

atom_status head_file_read(const char *directory, char note[NOTE_READ_MAX + 1],
			   size_t *length_r, struct atom_error *err)
{
	char path[PATH_MAX];
	struct stat found;
	atom_status status = path_of(directory, head_name, "", path, err);

	*length_r = 0;
	if (status == ATOM_OK)
		status = read_file(path, note, NOTE_READ_MAX + 1, length_r,
				   &found, err);
	return status == ATOM_ENOENT ? ATOM_OK : status;
}

void head_file_remove(const char *directory)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char path[PATH_MAX];

	if (path_of(directory, head_name, "", path, &err) == ATOM_OK)
		(void)os.unlink(path);
}
