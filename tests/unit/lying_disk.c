/* SPDX-License-Identifier: Apache-2.0 */
#include "lying_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES	  512
#define HANDLES	  64
#define NAME_MAX_ 80
#define CHANGES	  256
#define PAGE	  4096
#define FOLDER_FD 1000

struct file {
	char *bytes;
	size_t length;
	char *durable;
	size_t durable_length;
	bool failed;
};

struct name {
	char text[NAME_MAX_];
	int file; /* -1: none */
};

/* A change of names: what `text` is from then on. */
struct change {
	struct name now[2];
	int count;
};

static struct file files[FILES];
static int file_count;
static struct name names[FILES], durable_names[FILES];
static int name_count, durable_count;
static struct change changes[CHANGES];
static int change_count;
static int handles[HANDLES]; /* the file plus 1; 0: free */
static uint64_t calls_left;
static bool cut, locked;

uint64_t disk_write_to_fail, disk_sync_to_fail;
size_t disk_write_max, disk_capacity;
uint64_t disk_writes, disk_syncs, disk_calls;
bool disk_failed_was_used;
unsigned int disk_seed = 1;

size_t disk_any(size_t below)
{
	disk_seed = disk_seed * 1664525 + 1013904223;
	return (size_t)(((uint64_t)(disk_seed >> 4) * below) >> 28);
}

static void *must(void *allocated)
{
	if (allocated == NULL)
		abort();
	return allocated;
}

/* --- power ---------------------------------------------------------------- */

static bool gone(void)
{
	disk_calls++;
	if (cut || (calls_left > 0 && --calls_left == 0)) {
		cut = true;
		errno = EIO;
		return true;
	}
	return false;
}

void disk_cut_after(uint64_t calls)
{
	calls_left = calls;
}

void disk_end(void)
{
	for (int i = 0; i < file_count; i++) {
		free(files[i].bytes);
		free(files[i].durable);
	}
	memset(files, 0, sizeof(files));
	file_count = 0;
}

void disk_begin(void)
{
	disk_end();
	name_count = durable_count = change_count = 0;
	memset(handles, 0, sizeof(handles));
	calls_left = 0;
	cut = locked = false;
	disk_write_to_fail = disk_sync_to_fail = 0;
	disk_write_max = disk_capacity = 0;
	disk_writes = disk_syncs = disk_calls = 0;
	disk_failed_was_used = false;
}

static int find(const struct name *list, int count, const char *text)
{
	for (int i = 0; i < count; i++)
		if (strcmp(list[i].text, text) == 0)
			return i;
	return -1;
}

static void apply(struct name *list, int *count, const struct name *now)
{
	int at = find(list, *count, now->text);

	if (now->file < 0 && at >= 0)
		list[at] = list[--*count];
	if (now->file < 0)
		return;
	if (at < 0) {
		if (*count == FILES)
			abort();
		at = (*count)++;
	}
	list[at] = *now;
}

static void change(const struct name *now, int count)
{
	if (change_count == CHANGES)
		abort();
	changes[change_count].count = count;
	memcpy(changes[change_count].now, now, (size_t)count * sizeof(*now));
	change_count++;
	for (int i = 0; i < count; i++)
		apply(names, &name_count, &now[i]);
}

/* What is left of one file's bytes. */
static void lose_bytes(struct file *file)
{
	size_t same = 0, end, zeros = 0;
	size_t shorter = file->length < file->durable_length
				 ? file->length
				 : file->durable_length;
	char *left;

	while (same < shorter && file->bytes[same] == file->durable[same])
		same++;
	if (same < file->durable_length) {
		/* Cut or changed below what was synced: the one or the other. */
		if (disk_any(2) == 0) {
			file->length = file->durable_length;
			free(file->bytes);
			file->bytes = must(malloc(file->length + 1));
			memcpy(file->bytes, file->durable, file->length);
		}
		goto out;
	}
	end = same + disk_any(file->length - same + 1);
	if (disk_any(3) > 0)
		end -= end % PAGE > end - same ? end - same : end % PAGE;
	if (disk_any(3) == 0) {
		zeros = file->length - end;
		if (disk_any(2) == 0 && zeros > 0)
			zeros = (PAGE - end % PAGE) < zeros ? PAGE - end % PAGE
							    : zeros;
	}
	left = must(calloc(1, end + zeros + 1));
	memcpy(left, file->bytes, end);
	free(file->bytes);
	file->bytes = left;
	file->length = end + zeros;
out:
	free(file->durable);
	file->durable = must(malloc(file->length + 1));
	memcpy(file->durable, file->bytes, file->length);
	file->durable_length = file->length;
	file->failed = false;
}

void disk_restore_power(void)
{
	int kept = (int)disk_any((size_t)change_count + 1);

	for (int i = 0; i < kept; i++)
		for (int j = 0; j < changes[i].count; j++)
			apply(durable_names, &durable_count,
			      &changes[i].now[j]);
	memcpy(names, durable_names, sizeof(names));
	name_count = durable_count;
	change_count = 0;
	for (int i = 0; i < file_count; i++)
		lose_bytes(&files[i]);
	memset(handles, 0, sizeof(handles));
	calls_left = 0;
	cut = locked = false;
}

/* --- the calls ------------------------------------------------------------ */

static int on_folder(const char *path)
{
	(void)path;
	return gone() ? -1 : FOLDER_FD;
}

static int on_lock(int folder)
{
	(void)folder;
	if (locked)
		errno = EWOULDBLOCK;
	if (gone() || locked)
		return -1;
	locked = true;
	return 0;
}

static int on_open(int folder, const char *text, int flags, mode_t mode)
{
	int at = find(names, name_count, text);
	struct name now = { "", 0 };

	(void)folder;
	(void)mode;
	if (gone())
		return -1;
	if (at < 0 && !(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	if (at >= 0 && (flags & O_EXCL)) {
		errno = EEXIST;
		return -1;
	}
	if (at < 0) {
		if (file_count == FILES)
			abort();
		(void)snprintf(now.text, sizeof(now.text), "%s", text);
		now.file = file_count++;
		files[now.file].bytes = must(calloc(1, 1));
		files[now.file].durable = must(calloc(1, 1));
		change(&now, 1);
	} else {
		now.file = names[at].file;
	}
	for (int i = 0; i < HANDLES; i++)
		if (handles[i] == 0) {
			handles[i] = now.file + 1;
			return i;
		}
	abort();
}

static int on_close(int fd)
{
	if (fd == FOLDER_FD)
		locked = false;
	else
		handles[fd] = 0;
	return gone() ? -1 : 0;
}

static struct file *file_of(int fd)
{
	if (fd < 0 || fd >= HANDLES || handles[fd] == 0)
		abort();
	return &files[handles[fd] - 1];
}

static ssize_t on_read(int fd, void *bytes, size_t length, off_t at)
{
	struct file *file = cut ? NULL : file_of(fd);

	if (gone())
		return -1;
	if ((size_t)at >= file->length)
		return 0;
	if (length > file->length - (size_t)at)
		length = file->length - (size_t)at;
	memcpy(bytes, file->bytes + at, length);
	return (ssize_t)length;
}

static size_t used(void)
{
	size_t bytes = 0;

	for (int i = 0; i < name_count; i++)
		bytes += files[names[i].file].length;
	return bytes;
}

static ssize_t on_write(int fd, const void *bytes, size_t length, off_t at)
{
	struct file *file = cut ? NULL : file_of(fd);
	size_t end;

	if (gone())
		return -1;
	disk_writes++;
	disk_failed_was_used |= file->failed;
	if (disk_write_to_fail > 0 && --disk_write_to_fail == 0) {
		file->failed = true;
		errno = EIO;
		return -1;
	}
	if (disk_write_max > 0 && length > disk_write_max)
		length = disk_write_max;
	end = (size_t)at + length;
	if (disk_capacity > 0 && end > file->length) {
		size_t free_bytes =
			disk_capacity > used() ? disk_capacity - used() : 0;

		if (end - file->length > free_bytes) {
			if (free_bytes == 0) {
				file->failed = true;
				errno = ENOSPC;
				return -1;
			}
			end = file->length + free_bytes;
			length = end - (size_t)at;
		}
	}
	if (end > file->length) {
		file->bytes = must(realloc(file->bytes, end + 1));
		file->length = end;
	}
	memcpy(file->bytes + at, bytes, length);
	return (ssize_t)length;
}

static int on_truncate(int fd, off_t length)
{
	struct file *file = cut ? NULL : file_of(fd);

	if (gone())
		return -1;
	if ((size_t)length > file->length)
		abort();
	file->length = (size_t)length;
	return 0;
}

static int on_stat(int fd, struct stat *result)
{
	if (gone())
		return -1;
	memset(result, 0, sizeof(*result));
	result->st_mode = fd == FOLDER_FD ? S_IFDIR | 0700 : S_IFREG | 0600;
	if (fd != FOLDER_FD)
		result->st_size = (off_t)file_of(fd)->length;
	return 0;
}

static int on_sync(int fd)
{
	struct file *file = cut ? NULL : file_of(fd);

	if (gone())
		return -1;
	disk_syncs++;
	disk_failed_was_used |= file->failed;
	if (disk_sync_to_fail > 0 && --disk_sync_to_fail == 0) {
		file->failed = true;
		errno = EIO;
		return -1;
	}
	free(file->durable);
	file->durable = must(malloc(file->length + 1));
	memcpy(file->durable, file->bytes, file->length);
	file->durable_length = file->length;
	return 0;
}

static int on_sync_names(int folder)
{
	(void)folder;
	if (gone())
		return -1;
	memcpy(durable_names, names, sizeof(names));
	durable_count = name_count;
	change_count = 0;
	return 0;
}

static int on_rename(int folder, const char *from, const char *to)
{
	int at = find(names, name_count, from);
	struct name now[2] = { { "", 0 }, { "", -1 } };

	(void)folder;
	if (gone() || at < 0)
		return -1;
	(void)snprintf(now[0].text, sizeof(now[0].text), "%s", to);
	now[0].file = names[at].file;
	(void)snprintf(now[1].text, sizeof(now[1].text), "%s", from);
	change(now, 2);
	return 0;
}

static int on_unlink(int folder, const char *text)
{
	struct name now = { "", -1 };

	(void)folder;
	if (gone())
		return -1;
	if (find(names, name_count, text) < 0) {
		errno = ENOENT;
		return -1;
	}
	(void)snprintf(now.text, sizeof(now.text), "%s", text);
	change(&now, 1);
	return 0;
}

static int on_list(int folder, int (*each)(void *argument, const char *name),
		   void *argument)
{
	int result = 0;

	(void)folder;
	if (gone())
		return -1;
	for (int i = 0; i < name_count && result == 0; i++)
		result = each(argument, names[i].text);
	return result;
}

static int on_space(int folder, uint64_t *free_r)
{
	(void)folder;
	if (gone())
		return -1;
	*free_r = disk_capacity == 0	   ? 0
		  : disk_capacity > used() ? disk_capacity - used()
					   : 0;
	return 0;
}

void disk_install(struct disk *table)
{
	*table = (struct disk){
		.folder = on_folder,
		.lock = on_lock,
		.open = on_open,
		.close = on_close,
		.read = on_read,
		.write = on_write,
		.truncate = on_truncate,
		.stat = on_stat,
		.sync = on_sync,
		.sync_names = on_sync_names,
		.rename = on_rename,
		.unlink = on_unlink,
		.list = on_list,
		.space = on_space,
	};
}

/* --- looking -------------------------------------------------------------- */

const char *disk_file(const char *name, size_t *length_r)
{
	int at = find(names, name_count, name);

	if (at < 0)
		return NULL;
	*length_r = files[names[at].file].length;
	return files[names[at].file].bytes;
}

void disk_copy_to(const char *folder)
{
	char path[512];

	(void)mkdir(folder, 0700);
	for (int i = 0; i < name_count; i++) {
		const struct file *file = &files[names[i].file];
		int fd;

		(void)snprintf(path, sizeof(path), "%.400s/%.79s", folder,
			       names[i].text);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, file->bytes, file->length) !=
				      (ssize_t)file->length)
			abort();
		(void)close(fd);
	}
}
