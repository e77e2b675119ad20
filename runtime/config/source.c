/* SPDX-License-Identifier: Apache-2.0 */
#include "config/source_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/os.h"

#define READ_AT_ONCE ((size_t)64 * 1024)

static atom_status fail_errno(struct atom_error *err, int error)
{
	atom_status status = ATOM_EIO;

	if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG)
		status = ATOM_ENOENT;
	else if (error == EACCES || error == EPERM)
		status = ATOM_EPERM;
	else if (error == ENXIO) /* a socket, a FIFO */
		return atom_fail(err, ATOM_EINVAL, "is no regular file");
	return atom_fail(err, status, "cannot be read: %s", strerror(error));
}

static atom_status too_large(struct atom_error *err, size_t max)
{
	return atom_fail(err, ATOM_ELIMIT,
			 "is larger than %zu KiB, the most that is read",
			 max / 1024);
}

static atom_status read_all(int fd, struct buffer *out, struct atom_error *err)
{
	char chunk[4096];

	for (;;) {
		size_t room = out->max - out->length;
		size_t want = room < READ_AT_ONCE ? room : READ_AT_ONCE;
		char *into = chunk; /* one more byte would be too many */
		ssize_t got;

		if (want > 0) {
			if (buffer_reserve(out, want) != ATOM_OK)
				return atom_fail(err, ATOM_ENOMEM,
						 "cannot be read: no memory");
			into = out->bytes + out->length;
		} else {
			want = 1;
		}
		do
			got = os.read(fd, into, want);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return fail_errno(err, errno);
		if (got == 0)
			return ATOM_OK;
		if (into == chunk)
			return too_large(err, out->max);
		out->length += (size_t)got;
		out->bytes[out->length] = '\0';
	}
}

atom_status source_read(const char *path, struct buffer *out,
			struct source_identity *identity_r,
			struct atom_error *err)
{
	atom_status status;
	struct stat stat;
	int fd;

	/* Without O_NONBLOCK a FIFO nobody writes to would hang here. */
	fd = os.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return fail_errno(err, errno);
	if (os.fstat(fd, &stat) != 0) {
		status = fail_errno(err, errno);
		goto out;
	}
	if (!S_ISREG(stat.st_mode)) {
		status = atom_fail(err, ATOM_EINVAL, "is no regular file");
		goto out;
	}
	if ((uint64_t)stat.st_size > out->max) {
		status = too_large(err, out->max);
		goto out;
	}
	status = read_all(fd, out, err);
	if (status != ATOM_OK)
		goto out;
	if (out->length && memchr(out->bytes, '\0', out->length)) {
		status = atom_fail(err, ATOM_EINVAL,
				   "holds a NUL byte: it is no text");
		goto out;
	}
	if (identity_r)
		*identity_r = (struct source_identity){
			.device = stat.st_dev,
			.inode = stat.st_ino,
		};
out:
	(void)os.close(fd);
	return status;
}

/* Length of the character at `p` by the table of RFC 3629, 0 if it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		length = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		length = 3;
		low = p[0] == 0xe0 ? 0xa0 : low;
		high = p[0] == 0xed ? 0x9f : high;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		length = 4;
		low = p[0] == 0xf0 ? 0x90 : low;
		high = p[0] == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}
	if (left < length || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

bool source_is_utf8(const char *bytes, size_t length, size_t *at_r)
{
	const unsigned char *p = (const unsigned char *)bytes;

	for (size_t at = 0; at < length;) {
		size_t step = utf8_length(p + at, length - at);

		if (step == 0) {
			*at_r = at;
			return false;
		}
		at += step;
	}
	return true;
}
