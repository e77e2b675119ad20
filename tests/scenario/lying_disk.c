/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that drops all that was not synced, for one folder of a program that
 * is killed: loaded before libc (LD_PRELOAD), it keeps in LYING_DISK_KEPT, for
 * each file of the folder LYING_DISK, what the file held when it was last
 * synced.  Whoever kills the program puts that in the place of the folder, and
 * starts it again.
 *
 * A file comes to be with its first sync, as ext4 has it; its new name, where it
 * is given one, and its end come with the next sync of its folder.  SQLite's own I/O goes through here too: it
 * calls libc's functions by their names.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Of a kept file that has another name since. */
#define RENAMED ".renamed."

static int rename_really(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 &&
	       (path[length] == '\0' || path[length] == '/');
}

static int copy(int from, const char *to)
{
	char bytes[65536], made[PATH_MAX];
	off_t at = 0;
	ssize_t n;
	int out;

	if (snprintf(made, sizeof(made), "%s.making", to) >= (int)sizeof(made))
		return -1;
	out = open(made, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (out < 0)
		return -1;
	while ((n = pread(from, bytes, sizeof(bytes), at)) > 0 &&
	       write(out, bytes, (size_t)n) == n)
		at += n;
	close(out);
	/* At once or not at all: a kill may come between. */
	return n == 0 ? rename_really(made, to) : -1;
}

/* A database's handle may be for writing alone. */
static int keep_file(const char *path, const char *to)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), failed;

	if (from < 0)
		return -1;
	failed = copy(from, to);
	close(from);
	return failed;
}

static void keep_names(const char *kept)
{
	DIR *names = opendir(kept);
	char was[PATH_MAX], is[PATH_MAX];
	struct dirent *entry;

	while (names != NULL && (entry = readdir(names)) != NULL)
		if (strncmp(entry->d_name, RENAMED, strlen(RENAMED)) == 0 &&
		    snprintf(was, sizeof(was), "%s/%s", kept, entry->d_name) <
			    (int)sizeof(was) &&
		    snprintf(is, sizeof(is), "%s/%s", kept,
			     entry->d_name + strlen(RENAMED)) < (int)sizeof(is))
			rename_really(was, is);
	if (names != NULL)
		closedir(names);
}

static void keep_folder(const char *folder, const char *kept)
{
	DIR *names;
	char path[PATH_MAX], copy_of[PATH_MAX];
	struct dirent *entry;

	keep_names(kept);
	names = opendir(kept);
	while (names != NULL && (entry = readdir(names)) != NULL) {
		if (entry->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", folder,
			     entry->d_name) >= (int)sizeof(path) ||
		    snprintf(copy_of, sizeof(copy_of), "%s/%s", kept,
			     entry->d_name) >= (int)sizeof(copy_of))
			continue;
		if (access(path, F_OK) != 0 && errno == ENOENT)
			unlink(copy_of);
	}
	if (names != NULL)
		closedir(names);
}

static int keep(int fd)
{
	const char *folder = getenv("LYING_DISK");
	const char *kept = getenv("LYING_DISK_KEPT");
	char link[64], path[PATH_MAX], to[PATH_MAX];
	struct stat what;
	ssize_t length;
	int failed = 0;

	if (folder == NULL || kept == NULL || fstat(fd, &what) != 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	if (!is_below(path, folder))
		return 0;
	pthread_mutex_lock(&one_at_a_time);
	if (S_ISDIR(what.st_mode))
		keep_folder(path, kept);
	else if (snprintf(to, sizeof(to), "%s%s", kept, path + strlen(folder)) <
		 (int)sizeof(to))
		failed = keep_file(path, to);
	pthread_mutex_unlock(&one_at_a_time);
	if (failed)
		errno = EIO;
	return failed;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
int rename(const char *from, const char *to)
{
	const char *folder = getenv("LYING_DISK");
	const char *kept = getenv("LYING_DISK_KEPT");
	char was[PATH_MAX], is[PATH_MAX];
	int done = rename_really(from, to);

	if (done != 0 || folder == NULL || kept == NULL ||
	    !is_below(from, folder) || !is_below(to, folder) ||
	    strrchr(to, '/') != to + strlen(folder) ||
	    snprintf(was, sizeof(was), "%s%s", kept, from + strlen(folder)) >=
		    (int)sizeof(was) ||
	    snprintf(is, sizeof(is), "%s/" RENAMED "%s", kept,
		     to + strlen(folder) + 1) >= (int)sizeof(is))
		return done;
	pthread_mutex_lock(&one_at_a_time);
	unlink(is);
	(void)!link(was, is);
	pthread_mutex_unlock(&one_at_a_time);
	return done;
}

int fsync(int fd)
{
	return keep(fd);
}

int fdatasync(int fd)
{
	return keep(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
