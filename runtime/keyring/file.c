/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that are read and replaced as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "keyring/image.h"

#define PATH_BYTES 4096

static atom_status read_all(int fd, char *bytes, size_t size, size_t *length_r)
{
	*length_r = 0;
	for (;;) {
		/* One byte more than may be there tells a longer one. */
		ssize_t got = os.read(fd, bytes + *length_r, size - *length_r);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ATOM_EIO;
		if (got == 0)
			return ATOM_OK;
		*length_r += (size_t)got;
		if (*length_r == size)
			return ATOM_ELIMIT;
	}
}

atom_status file_read(const char *path, void *bytes, size_t size,
		      size_t *length_r, uint32_t *mode_r,
		      struct atom_error *err)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	atom_status status;
	struct stat st;

	if (fd < 0)
		return atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				 "cannot open %s: %s", path, strerror(errno));
	if (os.fstat(fd, &st) != 0)
		status = atom_fail(err, ATOM_EIO, "cannot examine %s: %s", path,
				   strerror(errno));
	else if (!S_ISREG(st.st_mode))
		status = atom_fail(err, ATOM_EINVAL, "%s is not a file", path);
	else
		status = read_all(fd, bytes, size, length_r);
	if (status == ATOM_EIO)
		atom_fail(err, status, "cannot read %s: %s", path,
			  strerror(errno));
	else if (status == ATOM_ELIMIT)
		atom_fail(err, status, "%s has %zu bytes or more", path, size);
	else if (status == ATOM_OK)
		*mode_r = st.st_mode & 07777;
	(void)os.close(fd);
	return status;
}

static atom_status write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = os.write(fd, bytes, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return ATOM_EIO;
		bytes += put;
		length -= (size_t)put;
	}
	return os.fsync(fd) == 0 ? ATOM_OK : ATOM_EIO;
}

/* The name of a file is as durable as its folder. */
static atom_status sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_BYTES];
	atom_status status;
	int fd;

	(void)snprintf(folder, sizeof(folder), "%.*s",
		       slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
	fd = os.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return ATOM_EIO;
	status = os.fsync(fd) == 0 ? ATOM_OK : ATOM_EIO;
	(void)os.close(fd);
	return status;
}

atom_status file_replace(const char *path, const void *bytes, size_t length,
			 struct atom_error *err)
{
	char partial[PATH_BYTES];
	const char *doing = "make";
	atom_status status = ATOM_EIO;
	int fd;

	if ((size_t)snprintf(partial, sizeof(partial), "%s.new", path) >=
	    sizeof(partial))
		return atom_fail(err, ATOM_ELIMIT, "%s: the path is too long",
				 path);
	/* What a daemon that was killed has left. */
	(void)os.unlink(partial);
	fd = os.open(partial,
		     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (fd < 0)
		goto out;
	doing = "write";
	status = write_all(fd, bytes, length);
	if (status == ATOM_OK && os.rename(partial, path) != 0)
		status = ATOM_EIO;
	if (status == ATOM_OK)
		status = sync_folder(path);
out:
	if (status != ATOM_OK)
		atom_fail(err, status, "cannot %s %s: %s", doing, path,
			  strerror(errno));
	if (fd >= 0)
		(void)os.close(fd);
	if (status != ATOM_OK)
		(void)os.unlink(partial);
	return status;
}

atom_status image_read(const char *path, const uint8_t kek[KEYRING_KEY_BYTES],
		       struct image *image_r, struct atom_error *err)
{
	uint8_t bytes[IMAGE_BYTES_MAX + 1];
	size_t length = 0;
	uint32_t mode;
	atom_status status =
		file_read(path, bytes, sizeof(bytes), &length, &mode, err);

	if (status == ATOM_ELIMIT)
		status = atom_fail(err, ATOM_EDATALOSS,
				   "%s is no keyring of atomd's: it is longer "
				   "than any",
				   path);
	if (status != ATOM_OK)
		return status;
	return image_decode(bytes, length, path, kek, image_r, err);
}

atom_status image_write(const char *path, const uint8_t kek[KEYRING_KEY_BYTES],
			const struct image *image, struct atom_error *err)
{
	uint8_t bytes[IMAGE_BYTES_MAX];
	size_t length = 0;
	atom_status status = image_encode(image, kek, bytes, &length);

	if (status != ATOM_OK)
		return atom_fail(err, status, "cannot write %s: OpenSSL fails",
				 path);
	return file_replace(path, bytes, length, err);
}
