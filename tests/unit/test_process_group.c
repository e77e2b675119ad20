/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups of children, read from a /proc and a mount of our own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include "plugin/host_process_priv.h"

static char folder[64];

static void make(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/atomd-group-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static void drop(void)
{
	char command[96];

	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(process_group, .init = make, .fini = drop);

/* `%s` of the text is the test's folder. */
static void put(const char *name, const char *text)
{
	char path[256], *slash;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (slash = path + strlen(folder) + 1;
	     (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
		*slash = '\0';
		(void)mkdir(path, 0700);
	}
	file = fopen(path, "w");
	cr_assert_not_null(file);
	(void)fprintf(file, text, folder);
	cr_assert_eq(fclose(file), 0);
}

static bool find(char *found, size_t size)
{
	char proc[96];

	(void)snprintf(proc, sizeof(proc), "%s/proc", folder);
	return group_find(proc, 42, found, size);
}

#define MOUNTS                                                 \
	"24 30 0:22 / /proc rw - proc proc rw\n"               \
	"31 30 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"    \
	"33 31 0:30 /part %1$s/part rw - cgroup2 cgroup2 rw\n" \
	"32 31 0:29 / %1$s/group rw,nosuid shared:9 - cgroup2 x rw\n"

Test(process_group, one_of_its_own_is_found)
{
	char found[256], expected[128];

	put("proc/self/mountinfo", MOUNTS);
	put("proc/self/cgroup", "0::/system.slice/atomd.service\n");
	put("proc/42/cgroup", "4:memory:/x\n0::/user.slice/run-1.scope\n");
	cr_assert(find(found, sizeof(found)));
	(void)snprintf(expected, sizeof(expected),
		       "%s/group/user.slice/run-1.scope", folder);
	cr_assert_str_eq(found, expected);
	/* A buffer that is too small holds no other folder's name. */
	cr_assert_not(find(found, strlen(expected)));
}

Test(process_group, the_daemons_and_the_root_are_none)
{
	static const char *const none[] = { "0::/system.slice/atomd.service\n",
					    "0::/\n",
					    "0::/../other\n",
					    "4:memory:/x\n",
					    "0:",
					    "" };
	char found[256];

	put("proc/self/mountinfo", MOUNTS);
	put("proc/self/cgroup", "0::/system.slice/atomd.service\n");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		put("proc/42/cgroup", none[i]);
		cr_assert_not(find(found, sizeof(found)), "%s", none[i]);
	}
	put("proc/42/cgroup", "0::/other\n");
	cr_assert(find(found, sizeof(found)));
	put("proc/self/mountinfo", "24 30 0:22 / /proc rw - proc proc rw\nx\n");
	cr_assert_not(find(found, sizeof(found)));
}

static struct atom_process_usage usage_of_group(void)
{
	struct atom_process_usage usage = { .process_count = 3,
					    .memory_bytes = 1000,
					    .cpu_ms = 20 };
	char group[96];

	(void)snprintf(group, sizeof(group), "%s/g", folder);
	group_usage(group, &usage);
	return usage;
}

Test(process_group, its_counts_take_the_place_of_the_trees)
{
	struct atom_process_usage usage;

	put("g/cpu.stat", "usage_usec 7654321\nuser_usec 1\nsystem_usec 2\n");
	put("g/memory.current", "5000000\n");
	put("g/memory.stat", "anon 1\ninactive_file 2000000\nactive_file 3\n");
	usage = usage_of_group();
	cr_assert_eq(usage.process_count, 3);
	cr_assert_eq(usage.cpu_ms, 7654);
	cr_assert_eq(usage.memory_bytes, 3000000);
}

Test(process_group, what_it_does_not_count_is_the_trees)
{
	struct atom_process_usage usage = usage_of_group();

	cr_assert_eq(usage.cpu_ms, 20);
	cr_assert_eq(usage.memory_bytes, 1000);
	put("g/cpu.stat", "nr_periods 0\nusage_usec 5000\n");
	put("g/memory.current", "max\n");
	usage = usage_of_group();
	cr_assert_eq(usage.cpu_ms, 5);
	cr_assert_eq(usage.memory_bytes, 1000);
	put("g/cpu.stat", "usage_usecs 9000\nusage_usec\n");
	put("g/memory.current", "700\n");
	put("g/memory.stat", "inactive_file 800\n");
	usage = usage_of_group();
	cr_assert_eq(usage.cpu_ms, 20);
	cr_assert_eq(usage.memory_bytes, 700);
}
