/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "plugin/host_process_priv.h"

/*
 * A child that has a control group of its own (version 2): whoever starts it
 * there, by `systemd-run --scope` or a launcher's own means, has the kernel
 * count for the whole group what the walk through /proc would miss, such as
 * the time of descendants that have come and gone.  Groups are only read here:
 * to make some is the service manager's.
 *
 * Files and their meaning: Documentation/admin-guide/cgroup-v2.rst of Linux.
 */

#define TEXT_MAX 4096

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	size_t length = 0;
	ssize_t n = 0;

	if (fd < 0)
		return false;
	while (length < size - 1 &&
	       (n = os.read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	(void)os.close(fd);
	text[length] = '\0';
	return n >= 0 && length > 0;
}

/* The path behind "0::" of /proc/PID/cgroup; NULL when there is none. */
static char *path_of(char *text)
{
	char *line =
		strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");

	if (line == NULL)
		return NULL;
	line += line == text ? 3 : 4;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Where version 2 is mounted whole: "... / MOUNT ... - cgroup2 ...". */
static bool find_mount(const char *proc, char *mount, size_t size)
{
	char path[128], *text, *line, *next, *end;
	bool found = false;
	size_t room = (size_t)256 * 1024;

	text = mem_alloc(room);
	if (text == NULL)
		return false;
	(void)snprintf(path, sizeof(path), "%s/self/mountinfo", proc);
	line = read_text(path, text, room) ? text : NULL;
	for (; line != NULL && !found; line = next) {
		const char *type, *root;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		type = strstr(line, " - cgroup2 ");
		/* Behind the third blank: the root, and where it stands. */
		root = strchr(line, ' ');
		for (int i = 0; root != NULL && i < 2; i++)
			root = strchr(root + 1, ' ');
		if (type == NULL || root == NULL ||
		    strncmp(root, " / /", 4) != 0)
			continue;
		end = strchr(root + 3, ' ');
		found = end != NULL && (size_t)(end - root - 3) < size;
		if (found) {
			*end = '\0';
			memcpy(mount, root + 3, (size_t)(end - root - 3) + 1);
		}
	}
	mem_free(text);
	return found;
}

/* The number behind `name` in a file of lines "name number", or the file's
 * only one. */
static bool read_number(const char *folder, const char *file, const char *name,
			int64_t *number_r)
{
	char path[TEXT_MAX + 64], text[TEXT_MAX], *at = text, *end;
	size_t length = strlen(name);

	(void)snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (!read_text(path, text, sizeof(text)))
		return false;
	while (length > 0 &&
	       (strncmp(at, name, length) != 0 || at[length] != ' ')) {
		at = strchr(at, '\n');
		if (at == NULL)
			return false;
		at++;
	}
	*number_r = strtoll(at + length, &end, 10);
	return end > at + length && *number_r >= 0;
}

bool group_find(const char *proc, pid_t pid, char *folder, size_t size)
{
	char path[128], own_text[TEXT_MAX], text[TEXT_MAX], mount[TEXT_MAX];
	const char *own, *its;

	(void)snprintf(path, sizeof(path), "%s/%ld/cgroup", proc, (long)pid);
	if (!read_text(path, text, sizeof(text)))
		return false;
	its = path_of(text);
	/* The root has no counts of its own; above it is not for us to see. */
	if (its == NULL || strcmp(its, "/") == 0 || strstr(its, "/..") != NULL)
		return false;
	(void)snprintf(path, sizeof(path), "%s/self/cgroup", proc);
	own = read_text(path, own_text, sizeof(own_text)) ? path_of(own_text)
							  : NULL;
	/* The daemon's: what is counted there is not the child's alone. */
	if (own == NULL || strcmp(own, its) == 0 ||
	    !find_mount(proc, mount, sizeof(mount)))
		return false;
	return (size_t)snprintf(folder, size, "%s%s", mount, its) < size;
}

void group_usage(const char *folder, struct atom_process_usage *usage)
{
	int64_t cpu_us, memory, unused = 0;

	if (read_number(folder, "cpu.stat", "usage_usec", &cpu_us))
		usage->cpu_ms = cpu_us / 1000;
	/* Without the memory controller /proc has it. */
	if (!read_number(folder, "memory.current", "", &memory))
		return;
	/* What is given back when others want it is no need of memory. */
	if (!read_number(folder, "memory.stat", "inactive_file", &unused) ||
	    unused > memory)
		unused = 0;
	usage->memory_bytes = memory - unused;
}
