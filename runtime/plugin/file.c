/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/os.h"
#include "core/text.h"

/* Whoever owns the daemon's program could do anything already, and so could
 * root and the daemon's own user. */
static bool owner_trusted(uid_t owner)
{
	struct stat program;

	if (owner == 0 || owner == geteuid())
		return true;
	return stat("/proc/self/exe", &program) == 0 && owner == program.st_uid;
}

/* Who but a trusted owner may write it; NULL = nobody. */
static const char *who_else_writes(const struct stat *st)
{
	if (st->st_mode & S_IWOTH)
		return "everybody";
	/* A group of one's own (umask 002) is no stranger. */
	if ((st->st_mode & S_IWGRP) && st->st_gid != 0 &&
	    st->st_gid != getegid())
		return "its group";
	if (!owner_trusted(st->st_uid))
		return "its owner, who is neither root nor this daemon";
	return NULL;
}

atom_status plugin_folder_check(const char *folder, char real_r[PATH_MAX],
				struct atom_error *err)
{
	struct stat st;
	const char *who;

	if (realpath(folder, real_r) == NULL || stat(real_r, &st) != 0)
		return atom_fail(
			err,
			errno == ENOENT || errno == ENOTDIR ? ATOM_ENOENT
							    : ATOM_EIO,
			"plugin folder %s: %s", folder, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return atom_fail(err, ATOM_EINVAL,
				 "plugin folder %s: is no folder", folder);
	who = who_else_writes(&st);
	if (who != NULL)
		return atom_fail(err, ATOM_EPERM,
				 "plugin folder %s: may be written by %s, so "
				 "nothing of it is loaded; chown it to root "
				 "and chmod go-w it",
				 folder, who);
	return ATOM_OK;
}

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

bool file_identity_equal(const struct file_identity *a,
			 const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->modified_ns == b->modified_ns &&
	       a->changed_ns == b->changed_ns;
}

atom_status plugin_file_check(const char *real_folder, const char *name,
			      char real_r[PATH_MAX],
			      struct file_identity *identity_r,
			      struct atom_error *err)
{
	size_t folder_length = strlen(real_folder);
	char path[PATH_MAX];
	const char *who;
	struct stat st;

	*identity_r = (struct file_identity){ 0 };
	if (snprintf(path, sizeof(path), "%s/%s", real_folder, name) >=
	    (int)sizeof(path))
		return atom_fail(err, ATOM_ELIMIT, "its path is too long");
	if (realpath(path, real_r) == NULL || stat(real_r, &st) != 0)
		return atom_fail(err, ATOM_EIO, "%s", strerror(errno));
	*identity_r = (struct file_identity){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.modified_ns = nanoseconds(&st.st_mtim),
		.changed_ns = nanoseconds(&st.st_ctim),
	};
	if (strncmp(real_r, real_folder, folder_length) != 0 ||
	    real_r[folder_length] != '/' ||
	    strchr(real_r + folder_length + 1, '/') != NULL)
		return atom_fail(err, ATOM_EPERM,
				 "is a link that leads out of the folder, to "
				 "%s; put the file itself there",
				 real_r);
	if (!S_ISREG(st.st_mode))
		return atom_fail(err, ATOM_EINVAL, "is no regular file");
	who = who_else_writes(&st);
	if (who != NULL)
		return atom_fail(err, ATOM_EPERM,
				 "may be written by %s, so it is not loaded; "
				 "chown it to root and chmod go-w it",
				 who);
	if (st.st_size > PLUGIN_FILE_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "is larger than 64 MiB (%lld bytes)",
				 (long long)st.st_size);
	return ATOM_OK;
}

/* --- the copy ------------------------------------------------------------ */

static atom_status write_all(int fd, const unsigned char *bytes, size_t length)
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

/* At most PLUGIN_FILE_MAX bytes from one descriptor to the other. */
static atom_status copy_all(int from, int to, size_t *length_r,
			    struct atom_error *err)
{
	unsigned char chunk[32 * 1024];
	size_t length = 0;

	for (;;) {
		ssize_t n = os.read(from, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return atom_fail(err, ATOM_EIO, "cannot be read: %s",
					 strerror(errno));
		if (n == 0)
			break;
		length += (size_t)n;
		if (length > PLUGIN_FILE_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "is larger than 64 MiB");
		if (write_all(to, chunk, (size_t)n) != ATOM_OK)
			return atom_fail(err, ATOM_EIO,
					 "cannot be copied to memory: %s",
					 strerror(errno));
	}
	if (length == 0)
		return atom_fail(err, ATOM_EINVAL, "is empty");
	*length_r = length;
	return ATOM_OK;
}

static atom_status seal(struct plugin_file *file, struct atom_error *err)
{
	void *bytes;

	if (fcntl(file->copy_fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) !=
	    0)
		return atom_fail(err, ATOM_EIO, "cannot seal its copy: %s",
				 strerror(errno));
	bytes = mmap(NULL, file->length, PROT_READ, MAP_PRIVATE, file->copy_fd,
		     0);
	if (bytes == MAP_FAILED)
		return atom_fail(err, ATOM_ENOMEM, "cannot map its copy: %s",
				 strerror(errno));
	file->bytes = bytes;
	if (EVP_Digest(bytes, file->length, file->hash, NULL, EVP_sha256(),
		       NULL) != 1)
		return atom_fail(err, ATOM_EINTERNAL, "cannot be hashed");
	return ATOM_OK;
}

atom_status plugin_file_open(const char *real_path, struct plugin_file *file_r,
			     struct atom_error *err)
{
	struct plugin_file file = { .copy_fd = -1, .file_fd = -1 };
	const char *name = strrchr(real_path, '/');
	char label[64];
	atom_status status;

	/* Non-blocking: what was a file a moment ago may be a pipe now. */
	file.file_fd = os.open(
		real_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (file.file_fd < 0) {
		status = atom_fail(err, ATOM_EIO, "cannot be opened: %s",
				   strerror(errno));
		goto out;
	}
	(void)snprintf(label, sizeof(label), "%s",
		       name != NULL ? name + 1 : real_path);
	file.copy_fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file.copy_fd < 0) {
		status = atom_fail(err, ATOM_EIO,
				   "there is no memory file for its copy: %s",
				   strerror(errno));
		goto out;
	}
	status = copy_all(file.file_fd, file.copy_fd, &file.length, err);
	if (status == ATOM_OK)
		status = seal(&file, err);
	if (status != ATOM_OK)
		goto out;
	*file_r = file;
	file.bytes = NULL;
	file.copy_fd = file.file_fd = -1;
out:
	plugin_file_close(&file);
	return status;
}

void plugin_file_close(struct plugin_file *file)
{
	if (file->bytes != NULL)
		(void)munmap((void *)(uintptr_t)file->bytes, file->length);
	if (file->copy_fd >= 0)
		(void)os.close(file->copy_fd);
	if (file->file_fd >= 0)
		(void)os.close(file->file_fd);
	*file = (struct plugin_file){ .copy_fd = -1, .file_fd = -1 };
}

atom_status plugin_file_export(const struct plugin_file *file,
			       const char *directory, const char *plugin_name,
			       char path_r[PATH_MAX], struct atom_error *err)
{
	char hash[2 * PLUGIN_HASH + 1], temporary[PATH_MAX + 8];
	struct statvfs volume;
	atom_status status = ATOM_OK;
	int fd = -1;

	text_to_hex(file->hash, PLUGIN_HASH, hash);
	if (snprintf(path_r, PATH_MAX, "%s/%s-%.16s.so", directory, plugin_name,
		     hash) >= PATH_MAX)
		return atom_fail(err, ATOM_ELIMIT, "%s: path too long",
				 directory);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path_r);
	if (os.mkdir(directory, 0700) != 0 && errno != EEXIST)
		return atom_fail(err, ATOM_EIO, "%s: %s", directory,
				 strerror(errno));
	if (statvfs(directory, &volume) == 0 && (volume.f_flag & ST_NOEXEC))
		return atom_fail(err, ATOM_EPERM, "%s: mounted noexec",
				 directory);
	(void)os.unlink(temporary);
	fd = os.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	if (fd < 0 || write_all(fd, file->bytes, file->length) != ATOM_OK ||
	    os.rename(temporary, path_r) != 0) {
		status = atom_fail(err, ATOM_EIO, "%s: %s", temporary,
				   strerror(errno));
		(void)os.unlink(temporary);
	}
	if (fd >= 0)
		(void)os.close(fd);
	return status;
}
