/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder: made 0700 where absent, never one that strangers may write to,
 * locked by flock(2) on `state.lock` for as long as the store is open.  The
 * lock belongs to the open file, so that a killed daemon leaves none behind.
 */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p with mode 0700 for what is missing. */
static atom_status make_folders(const char *directory, struct atom_error *err)
{
	char path[STORE_PATH_MAX];
	size_t length = strlen(directory);

	memcpy(path, directory, length + 1);
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return atom_fail(err, ATOM_EIO,
					 "cannot make %s: %s; make it for the "
					 "daemon's user, or name another "
					 "folder in state.directory",
					 path, strerror(errno));
		path[i] = directory[i];
	}
	return ATOM_OK;
}

static atom_status check_folder(const char *directory, struct atom_error *err)
{
	struct stat st;

	if (stat(directory, &st) != 0)
		return atom_fail(err, ATOM_EIO, "cannot use %s: %s", directory,
				 strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return atom_fail(err, ATOM_EINVAL, "%s is not a folder",
				 directory);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return atom_fail(err, ATOM_EPERM,
				 "%s can be written by others (mode %04o); "
				 "chmod 0700 it",
				 directory, (unsigned int)st.st_mode & 07777);
	return ATOM_OK;
}

/* Whose lock it is, for the sentence only. */
static long read_owner(int fd)
{
	char text[24] = "";
	long pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	for (const char *at = text; *at >= '0' && *at <= '9'; at++)
		pid = pid * 10 + (*at - '0');
	return pid;
}

static atom_status lock_folder(struct store *s, struct atom_error *err)
{
	char path[sizeof(s->path)];
	char text[24];
	int length;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/state.lock", s->directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "cannot open %s: %s", path,
				 strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int why = errno;
		long owner = read_owner(fd);

		(void)close(fd);
		if (why != EWOULDBLOCK)
			return atom_fail(err, ATOM_EIO, "cannot lock %s: %s",
					 path, strerror(why));
		return atom_fail(err, ATOM_EBUSY,
				 "%s is in use by another atomd (process "
				 "%ld); give this one a state.directory of "
				 "its own",
				 s->directory, owner);
	}
	length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	/* The lock holds without it; only the sentence above is poorer. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) < 0)
		store_log(s, ATOM_LOG_DEBUG, "store_lock",
			  "cannot note the process id in state.lock");
	s->lock_fd = fd;
	return ATOM_OK;
}

static int64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* SQLite makes its side files with the mode of the database. */
static atom_status make_file(struct store *s, struct atom_error *err)
{
	char wal[sizeof(s->path) + 8];
	atom_status status = ATOM_OK;
	struct stat st;
	int fd;

	fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "cannot open %s: %s", s->path,
				 strerror(errno));
	if (fstat(fd, &st) != 0) {
		status = atom_fail(err, ATOM_EIO, "cannot examine %s: %s",
				   s->path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		status = atom_fail(err, ATOM_EINVAL, "%s is not a file",
				   s->path);
		goto out;
	}
	if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0) {
		status = atom_fail(err, ATOM_EPERM,
				   "%s can be read by others and its mode "
				   "cannot be changed: %s",
				   s->path, strerror(errno));
		goto out;
	}
	/* SQLite would throw such a log away and begin anew. */
	(void)snprintf(wal, sizeof(wal), "%s-wal", s->path);
	if (st.st_size == 0 && size_of(wal) > 0)
		status = atom_fail(err, ATOM_EDATALOSS,
				   "%s is empty but its write-ahead log holds "
				   "%" PRId64 " bytes: restore the folder from "
				   "a backup, or move both files away",
				   s->path, size_of(wal));
out:
	(void)close(fd);
	return status;
}

/* The absolute path of the folder, without slashes at its end. */
static atom_status name_folder(struct store *s, struct atom_error *err)
{
	const char *directory = s->options.directory;
	const char *base = s->host->directory;
	bool relative = directory[0] != '/' && base;
	int length;

	if (directory[0] == '\0')
		return atom_fail(err, ATOM_EINVAL,
				 "the sqlite store needs `directory`, the "
				 "folder to keep its files in");
	length = snprintf(s->directory, sizeof(s->directory), "%s%s%s",
			  relative ? base : "", relative ? "/" : "", directory);
	if (length < 0 || (size_t)length >= sizeof(s->directory))
		return atom_fail(err, ATOM_ELIMIT,
				 "the path in `directory` has %d bytes, at "
				 "most %zu are possible",
				 length, sizeof(s->directory) - 1);
	while (length > 1 && s->directory[length - 1] == '/')
		s->directory[--length] = '\0';
	(void)snprintf(s->path, sizeof(s->path), "%s/state.db", s->directory);
	return ATOM_OK;
}

atom_status directory_claim(struct store *s, struct atom_error *err)
{
	atom_status status = name_folder(s, err);

	if (status == ATOM_OK)
		status = make_folders(s->directory, err);
	if (status == ATOM_OK)
		status = check_folder(s->directory, err);
	if (status == ATOM_OK)
		status = lock_folder(s, err);
	if (status != ATOM_OK)
		return status;
	status = make_file(s, err);
	if (status != ATOM_OK)
		directory_release(s);
	return status;
}

void directory_release(struct store *s)
{
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -1;
}
