/* SPDX-License-Identifier: Apache-2.0 */
/* Files, and what is read and written like them. */
#include "faults.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
ssize_t write(int fd, const void *bytes, size_t length)
{
	OR_SHORT(F_WRITE, fd, write, (fd, bytes, length),
		 (fd, bytes, HALF(length)));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
	OR_SHORT(F_PWRITE, fd, pwrite, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
	OR_SHORT(F_PWRITE, fd, pwrite64, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

static ssize_t write_first(int fd, const struct iovec *part)
{
	return write(fd, part->iov_base, HALF(part->iov_len));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	int why;
	NEXT(writev);

	if (fails(F_WRITEV, fd, &why)) {
		if (why == SHORT)
			return write_first(fd, parts);
		errno = why;
		return -1;
	}
	return next(fd, parts, count);
}

ssize_t read(int fd, void *bytes, size_t length)
{
	OR_SHORT(F_READ, fd, read, (fd, bytes, length),
		 (fd, bytes, HALF(length)));
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at)
{
	OR_SHORT(F_PREAD, fd, pread, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at)
{
	OR_SHORT(F_PREAD, fd, pread64, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

int fsync(int fd)
{
	OR_FAIL(F_FSYNC, fd, fsync, -1, (fd));
}

int fdatasync(int fd)
{
	OR_FAIL(F_FDATASYNC, fd, fdatasync, -1, (fd));
}

static mode_t mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, open, -1, (path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, open64, -1, (path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, openat, -1, (folder, path, flags, mode));
}

FILE *fopen(const char *path, const char *mode)
{
	OR_FAIL(F_OPEN, -1, fopen, NULL, (path, mode));
}

int fstat(int fd, struct stat *result)
{
	OR_FAIL(F_FSTAT, fd, fstat, -1, (fd, result));
}

int rename(const char *from, const char *to)
{
	OR_FAIL(F_RENAME, -1, rename, -1, (from, to));
}

int unlink(const char *path)
{
	OR_FAIL(F_UNLINK, -1, unlink, -1, (path));
}

int mkdir(const char *path, mode_t mode)
{
	OR_FAIL(F_MKDIR, -1, mkdir, -1, (path, mode));
}

int ftruncate(int fd, off_t length)
{
	OR_FAIL(F_FTRUNCATE, fd, ftruncate, -1, (fd, length));
}

int ftruncate64(int fd, off64_t length)
{
	OR_FAIL(F_FTRUNCATE, fd, ftruncate64, -1, (fd, length));
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
