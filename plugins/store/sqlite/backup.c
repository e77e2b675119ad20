/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup: SQLite's own, in one step from a reading connection, so that it is
 * of one moment and neither the writer nor the other readers wait.  The copy
 * appears under its name when it is whole and on the disk.
 */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKUP_PATH_MAX 4000

static bool same_file(const char *one, const char *other)
{
	struct stat a, b;

	return stat(one, &a) == 0 && stat(other, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static atom_status make_empty(const char *path, struct atom_error *err)
{
	int fd;

	/* What a backup that was killed has left. */
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "cannot make %s: %s", path,
				 strerror(errno));
	(void)close(fd);
	return ATOM_OK;
}

static atom_status sync_path(const char *path, int flags,
			     struct atom_error *err)
{
	atom_status status = ATOM_OK;
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		status = atom_fail(err, ATOM_EIO, "cannot sync %s: %s", path,
				   strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return status;
}

static atom_status sync_folder_of(const char *path, struct atom_error *err)
{
	char folder[BACKUP_PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash)
		return sync_path(".", O_RDONLY | O_DIRECTORY, err);
	(void)snprintf(folder, sizeof(folder), "%.*s",
		       slash == path ? 1 : (int)(slash - path), path);
	return sync_path(folder, O_RDONLY | O_DIRECTORY, err);
}

static atom_status copy(struct connection *from, const char *path,
			struct atom_error *err)
{
	struct connection to = { .path = path };
	sqlite3_backup *backup;
	atom_status status;
	int rc;

	rc = sqlite3_open_v2(path, &to.db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		status = connection_fail(&to, rc, "make a backup", err);
		goto out;
	}
	/* An interrupted copy is thrown away, so it needs no journal. */
	status = connection_script(&to, "PRAGMA journal_mode = OFF", err);
	if (status != ATOM_OK)
		goto out;
	backup = sqlite3_backup_init(to.db, "main", from->db, "main");
	rc = sqlite3_errcode(to.db);
	if (backup) {
		int copied = sqlite3_backup_step(backup, -1);

		/* A lock that stood in the way is no error to it. */
		rc = sqlite3_backup_finish(backup);
		if (rc == SQLITE_OK)
			rc = copied;
	}
	/* The error of either side is left in the destination. */
	status = connection_fail(&to, rc, "make a backup", err);
out:
	connection_close(&to, false);
	return status;
}

atom_status store_backup(void *self, const char *path, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	char partial[BACKUP_PATH_MAX + 16];
	struct connection from;
	struct store *s = self;
	atom_status status;

	if (strlen(path) >= BACKUP_PATH_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "the path of the backup has more than %d "
				 "bytes",
				 BACKUP_PATH_MAX - 1);
	if (same_file(path, s->path))
		return atom_fail(err, ATOM_EINVAL,
				 "%s is the database itself, name another "
				 "file",
				 path);
	(void)snprintf(partial, sizeof(partial), "%s.partial", path);
	status = connection_open(&from, s, CONNECTION_READER, &why);
	if (status != ATOM_OK)
		goto out;
	status = make_empty(partial, &why);
	if (status != ATOM_OK)
		goto close;
	status = copy(&from, partial, &why);
	if (status == ATOM_OK)
		status = sync_path(partial, O_RDONLY, &why);
	if (status == ATOM_OK && rename(partial, path) != 0)
		status = atom_fail(&why, ATOM_EIO, "cannot make %s: %s", path,
				   strerror(errno));
	if (status == ATOM_OK)
		status = sync_folder_of(path, &why);
	else
		(void)unlink(partial);
close:
	connection_close(&from, false);
out:
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}
