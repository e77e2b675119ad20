/* SPDX-License-Identifier: Apache-2.0 */

/* What /proc says about this process: proc(5). */

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/metric_priv.h"
#include "core/os.h"

/* The file's beginning as text; "" when it cannot be read. */
static void read_start(const char *path, char *text, size_t size)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t length = fd >= 0 ? os.read(fd, text, size - 1) : -1;

	text[length > 0 ? length : 0] = '\0';
	if (fd >= 0)
		os.close(fd);
}

/* Seconds since the epoch at which the machine started, or -1. */
static double boot_time(void)
{
	/* Not the first line of a file that has one for each CPU and
	 * interrupt before it: work it out from the two clocks instead. */
	char text[64];
	double uptime;

	read_start("/proc/uptime", text, sizeof(text));
	uptime = strtod(text, NULL);
	return uptime > 0 ? (double)os.realtime_ms() / 1000 - uptime : -1;
}

static double count_open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	double count = -1; /* the one that reads the folder is not ours */

	if (!directory)
		return -1;
	while ((entry = readdir(directory)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

/* Fields of /proc/self/stat, counted from 1 as proc(5) does. */
enum {
	FIELD_STATE = 3,
	FIELD_USER = 14,
	FIELD_SYSTEM = 15,
	FIELD_THREADS = 20,
	FIELD_STARTED = 22,
	FIELD_VIRTUAL = 23,
	FIELD_RESIDENT = 24, /* pages */
	FIELD_LAST = FIELD_RESIDENT
};

static bool read_fields(const char *text, long long fields[])
{
	/* The name, in parentheses, may hold anything, and the state is a
	 * letter. */
	const char *at = strrchr(text, ')');

	if (!at || strlen(at) < 4)
		return false;
	at += 3;
	for (int i = FIELD_STATE + 1; i <= FIELD_LAST; i++) {
		char *end;

		fields[i] = strtoll(at, &end, 10);
		if (end == at)
			return false;
		at = end;
	}
	return true;
}

void metric_read_process(struct process_numbers *numbers)
{
	/* Does not move while we live, however the clock is set. */
	static _Atomic double start_time = -1;
	const double ticks = (double)sysconf(_SC_CLK_TCK);
	long long fields[FIELD_LAST + 1] = { 0 };
	char text[1024];
	struct rlimit limit;

	*numbers = (struct process_numbers){ -1, -1, -1, -1, -1, -1, -1, -1 };
	read_start("/proc/self/stat", text, sizeof(text));
	if (read_fields(text, fields)) {
		numbers->cpu_seconds =
			(double)(fields[FIELD_USER] + fields[FIELD_SYSTEM]) /
			ticks;
		numbers->threads = (double)fields[FIELD_THREADS];
		numbers->virtual_bytes = (double)fields[FIELD_VIRTUAL];
		numbers->resident_bytes = (double)fields[FIELD_RESIDENT] *
					  (double)sysconf(_SC_PAGESIZE);
		if (start_time < 0) {
			double boot = boot_time();

			if (boot > 0)
				start_time =
					boot +
					(double)fields[FIELD_STARTED] / ticks;
		}
		numbers->start_time_seconds = start_time;
	}
	if (getrlimit(RLIMIT_AS, &limit) == 0)
		numbers->virtual_max_bytes = (double)limit.rlim_cur;
	numbers->open_fds = count_open_fds();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		numbers->max_fds = (double)limit.rlim_cur;
}
