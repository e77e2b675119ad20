/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAMILY_MAX 4096

/* A file of /proc as text; empty when it is not there (any more). */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = 0;

	while (fd >= 0 && length < size - 1 &&
	       (n = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[length] = '\0';
	return length > 0;
}

static void add_memory(pid_t pid, struct process_usage *usage)
{
	char path[64], text[2048];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (!read_text(path, text, sizeof(text)))
		return;
	at = strstr(text, "\nRss:");
	if (at != NULL)
		usage->rss_bytes += strtoull(at + 5, NULL, 10) * 1024;
	at = strstr(text, "\nPss:");
	if (at != NULL)
		usage->pss_bytes += strtoull(at + 5, NULL, 10) * 1024;
}

/* utime, stime, cutime and cstime are fields 14 to 17, behind a name that
 * may hold anything. */
static bool add_ticks(pid_t pid, struct process_usage *usage)
{
	char path[64], text[1024], *at;
	uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!read_text(path, text, sizeof(text)))
		return false;
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 14; field++)
		at = strchr(at + 1, ' ');
	for (int i = 0; at != NULL && i < 4; i++)
		usage->ticks_ns += strtoull(at, &at, 10) * tick_ns;
	return at != NULL;
}

/* Adds a thread's time, and its children to the family. */
static void add_thread(pid_t pid, const char *thread, pid_t *family,
		       size_t *count, struct process_usage *usage)
{
	char path[320], text[65536], *at = text;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat",
		       (int)pid, thread);
	if (read_text(path, text, sizeof(text)))
		usage->cpu_ns += strtoull(text, NULL, 10);
	usage->threads++;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children",
		       (int)pid, thread);
	(void)read_text(path, text, sizeof(text));
	for (;;) {
		char *end;
		long child = strtol(at, &end, 10);

		if (end == at || *count == FAMILY_MAX)
			return;
		family[(*count)++] = (pid_t)child;
		at = end;
	}
}

static bool add_family(pid_t pid, struct process_usage *usage, bool memory)
{
	pid_t family[FAMILY_MAX] = { pid };
	size_t count = 1;
	bool found = false;

	*usage = (struct process_usage){ 0 };
	for (size_t i = 0; i < count; i++) {
		char path[64];
		DIR *threads;
		const struct dirent *entry;

		(void)snprintf(path, sizeof(path), "/proc/%d/task",
			       (int)family[i]);
		threads = opendir(path);
		if (threads == NULL)
			continue;
		while ((entry = readdir(threads)) != NULL)
			if (entry->d_name[0] != '.')
				add_thread(family[i], entry->d_name, family,
					   &count, usage);
		closedir(threads);
		usage->processes++;
		found |= add_ticks(family[i], usage);
		if (memory)
			add_memory(family[i], usage);
	}
	return found;
}

bool process_usage(pid_t pid, struct process_usage *usage_r)
{
	return add_family(pid, usage_r, true);
}

bool process_cpu(pid_t pid, struct process_usage *usage_r)
{
	return add_family(pid, usage_r, false);
}
