/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
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
	const pid_t self = getpid();
	struct stat_line line, parent, again;

	errno = 0;
	if (pid == self || pid <= 1 || !read_stat(pid, &line))
		return pid != self && pid > 1;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		if (line.parent == self)
			return true;
		if (line.parent <= 1)
			return false;
		/* Between two looks a parent may end and its number be given
		 * to a stranger: then the child has another one now. */
		if (!read_stat(line.parent, &parent) ||
		    !read_stat(pid, &again) || again.parent != line.parent)
			return true;
		pid = line.parent;
		line = parent;
	}
	return true;
}

/* --- children and orphans --------------------------------------------------- */

/* The children that their loops wait for.  The lock is held over vfork(), so
 * that no other loop takes one for an orphan before it is listed. */
static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t *own;
static size_t own_count;
static size_t own_capacity;

static bool make_room(void)
{
	size_t capacity = own_capacity > 0 ? own_capacity * 2 : 64;
	pid_t *more;

	if (own_count < own_capacity)
		return true;
	more = mem_realloc(own, capacity * sizeof(*own));
	if (more == NULL)
		return false;
	own = more;
	own_capacity = capacity;
	return true;
}

pid_t tree_vfork(int (*child)(void *argument), void *argument)
{
	pid_t pid = -1;

	(void)pthread_mutex_lock(&own_lock);
	errno = ENOMEM;
	if (make_room())
		pid = os.vfork(child, argument);
	if (pid > 0)
		own[own_count++] = pid;
	(void)pthread_mutex_unlock(&own_lock);
	return pid;
}

void tree_forget(pid_t pid)
{
	size_t i = 0;

	(void)pthread_mutex_lock(&own_lock);
	while (i < own_count && own[i] != pid)
		i++;
	if (i < own_count)
		own[i] = own[--own_count];
	if (own_count == 0) {
		mem_free(TAKE(own));
		own_capacity = 0;
	}
	(void)pthread_mutex_unlock(&own_lock);
}

static bool is_own(pid_t pid)
{
	for (size_t i = 0; i < own_count; i++)
		if (own[i] == pid)
			return true;
	return false;
}

/* Our children that no loop waits for.  What is in the daemon's own group (the
 * probe of a plugin) is somebody else's here.  Under the lock. */
static size_t list_orphans(pid_t *list)
{
	size_t count = add_children(getpid(), list, 0), kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct stat_line line;

		if (!is_own(list[i]) && read_stat(list[i], &line) &&
		    line.parent == getpid() && line.group != getpgrp())
			list[kept++] = list[i];
	}
	return kept;
}

size_t tree_reap_orphans(void)
{
	pid_t list[TREE_MAX];
	size_t count, left = 0;

	(void)pthread_mutex_lock(&own_lock);
	count = list_orphans(list);
	for (size_t i = 0; i < count; i++)
		left += waitpid(list[i], NULL, WNOHANG) == 0;
	(void)pthread_mutex_unlock(&own_lock);
	return left;
}

void tree_kill_orphans(void)
{
	pid_t list[TREE_MAX];
	size_t count;

	(void)pthread_mutex_lock(&own_lock);
	count = list_orphans(list);
	/* And their descendants: stopped first, so that nobody starts one more
	 * behind our back. */
	for (size_t i = 0; i < count; i++) {
		(void)os.kill(list[i], SIGSTOP);
		count = add_children(list[i], list, count);
	}
	for (size_t i = 0; i < count; i++)
		(void)os.kill(list[i], SIGKILL);
	(void)pthread_mutex_unlock(&own_lock);
	(void)tree_reap_orphans();
}
