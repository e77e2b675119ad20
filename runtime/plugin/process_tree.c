/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "plugin/host_process_priv.h"

/* A tree larger than this is measured in part. */
#define TREE_MAX 256
/* Deeper than any sane tree; bounds the walk if /proc changes under it. */
#define DEPTH_MAX 256

struct stat_line {
	char state;
	pid_t parent;
	pid_t group;
	int64_t cpu_ticks;
	int64_t resident_pages;
};

static ssize_t read_file(const char *path, char *out, size_t size)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = os.read(fd, out, size - 1);
	(void)os.close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n;
}

/* proc(5): the fields behind the name, which may hold anything. */
static bool read_stat(pid_t pid, struct stat_line *line)
{
	char path[64], text[1024];
	long long user, system, resident;
	const char *at;
	int parent, group;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (read_file(path, text, sizeof(text)) <= 0)
		return false;
	at = strrchr(text, ')');
	if (at == NULL ||
	    sscanf(at + 1,
		   " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld "
		   "%*d %*d %*d %*d %*d %*d %*u %*u %lld",
		   &line->state, &parent, &group, &user, &system,
		   &resident) != 6)
		return false;
	line->parent = parent;
	line->group = group;
	line->cpu_ticks = user + system;
	line->resident_pages = resident;
	return true;
}

/* Appends the children of every thread of `pid`. */
static size_t add_children(pid_t pid, pid_t *list, size_t count)
{
	char path[64], text[8192];
	struct dirent *entry;
	DIR *tasks;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	tasks = opendir(path);
	if (tasks == NULL)
		return count;
	while ((entry = readdir(tasks)) != NULL && count < TREE_MAX) {
		char file[384];
		char *at = text, *end;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s/children", path,
			       entry->d_name);
		if (read_file(file, text, sizeof(text)) <= 0)
			continue;
		while (count < TREE_MAX) {
			long child = strtol(at, &end, 10);

			if (end == at)
				break;
			list[count++] = (pid_t)child;
			at = end;
		}
	}
	(void)closedir(tasks);
	return count;
}

atom_status tree_usage(pid_t pid, struct atom_process_usage *usage_r)
{
	pid_t list[TREE_MAX];
	size_t count = 1;
	int64_t ticks = 0, pages = 0;
	int32_t seen = 0;

	list[0] = pid;
	for (size_t i = 0; i < count; i++) {
		struct stat_line line;

		if (!read_stat(list[i], &line))
			continue;
		seen++;
		ticks += line.cpu_ticks;
		pages += line.resident_pages;
		count = add_children(list[i], list, count);
	}
	if (seen == 0)
		return ATOM_ENOENT;
	usage_r->process_count = seen;
	usage_r->memory_bytes = pages * sysconf(_SC_PAGESIZE);
	usage_r->cpu_ms = ticks * 1000 / sysconf(_SC_CLK_TCK);
	return ATOM_OK;
}

bool tree_is_descendant(pid_t pid)
{
	pid_t self = getpid();

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct stat_line line;

		if (pid == self)
			return depth > 0;
		if (pid <= 1)
			return false;
		/* Gone while we looked: nobody can vouch for it. */
		if (!read_stat(pid, &line))
			return true;
		pid = line.parent;
	}
	return true;
}

void tree_reap_orphans(void)
{
	pid_t list[TREE_MAX];
	size_t count = add_children(getpid(), list, 0);

	for (size_t i = 0; i < count; i++) {
		struct stat_line line;

		/* Our own children lead groups of their own and are waited
		 * for by pidfd; a probe is in the daemon's group. */
		if (!read_stat(list[i], &line) || line.state != 'Z' ||
		    line.group == list[i] || line.group == getpgrp())
			continue;
		(void)waitpid(list[i], NULL, WNOHANG);
	}
}
