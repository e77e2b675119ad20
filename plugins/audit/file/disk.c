/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define UNINTERRUPTED(result, call) \
	do {                        \
		(result) = (call);  \
	} while ((result) < 0 && errno == EINTR)

/* mkdir -p, then opened. */
static int disk_folder(const char *path)
{
	char name[4096];
	size_t length = strlen(path);

	if (length >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, path, length + 1);
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		name[i] = '\0';
		if (mkdir(name, 0700) != 0 && errno != EEXIST)
			return -1;
		name[i] = path[i];
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int disk_lock(int folder)
{
	int result;

	UNINTERRUPTED(result, flock(folder, LOCK_EX | LOCK_NB));
	return result;
}

static int disk_open(int folder, const char *name, int flags, mode_t mode)
{
	int result;

	UNINTERRUPTED(result,
		      openat(folder, name,
			     flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			     mode));
	return result;
}

static ssize_t disk_read(int fd, void *bytes, size_t length, off_t at)
{
	ssize_t result;

	UNINTERRUPTED(result, pread(fd, bytes, length, at));
	return result;
}

static ssize_t disk_write(int fd, const void *bytes, size_t length, off_t at)
{
	ssize_t result;

	UNINTERRUPTED(result, pwrite(fd, bytes, length, at));
	return result;
}

static int disk_truncate(int fd, off_t length)
{
	int result;

	UNINTERRUPTED(result, ftruncate(fd, length));
	return result;
}

/* One that was interrupted has not said whether it failed before: what a
 * second one says cannot be trusted, so EINTR is a failure here. */
static int disk_sync(int fd)
{
	return fdatasync(fd);
}

static int disk_sync_names(int folder)
{
	return fsync(folder);
}

static int disk_rename(int folder, const char *from, const char *to)
{
	return renameat(folder, from, folder, to);
}

static int disk_unlink(int folder, const char *name)
{
	return unlinkat(folder, name, 0);
}

static int disk_list(int folder, int (*each)(void *argument, const char *name),
		     void *argument)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *names;
	int result = 0;

	if (fd < 0)
		return -1;
	names = fdopendir(fd);
	if (names == NULL) {
		(void)close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		entry = readdir(names);
		if (entry == NULL) {
			result = errno != 0 ? -1 : 0;
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		result = each(argument, entry->d_name);
		if (result != 0)
			break;
	}
	(void)closedir(names);
	return result;
}

static int disk_space(int folder, uint64_t *free_r)
{
	struct statvfs vfs;
	int result;

	UNINTERRUPTED(result, fstatvfs(folder, &vfs));
	if (result == 0)
		*free_r = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return result;
}

struct disk audit_disk = {
	.folder = disk_folder,
	.lock = disk_lock,
	.open = disk_open,
	.close = close,
	.read = disk_read,
	.write = disk_write,
	.truncate = disk_truncate,
	.stat = fstat,
	.sync = disk_sync,
	.sync_names = disk_sync_names,
	.rename = disk_rename,
	.unlink = disk_unlink,
	.list = disk_list,
	.space = disk_space,
};
