/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a call into a plugin costs: a function that counts, called as a part of
 * this program; called through the table of a plugin that was found, probed
 * and opened as the daemon does it; and called as the daemon calls a backend,
 * counted and timed.
 *
 *	plugin [--rounds N]
 *
 * ATOMD is the program that probes.  Exit status 1 when a call was lost, or
 * the daemon's own way is above its budget by the least of its rounds.
 */

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/attempt.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metric.h"
#include "nothing.h"
#include "plugin/host.h"
#include "plugin/options.h"
#include "plugin/registry.h"
#include "rounds.h"

#define CALLS	 1000000
#define ADDED_NS 200.0

enum way {
	DIRECT,
	TABLE,
	DAEMON,
	WAYS
};

static const struct component *component;
static const struct atom_backend_ops *ops;
static struct configured *backend;
static struct revision revision;
static struct attempt attempt;

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "plugin: %s: %s\n", what, why);
	exit(1);
}

/* --- the plugin, as the daemon comes by it ------------------------------- */

/* Beside this program. */
static void folder(char out[PATH_MAX])
{
	char path[PATH_MAX] = "";

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		die("/proc/self/exe", "cannot be read");
	if (snprintf(out, PATH_MAX, "%s/built", dirname(path)) >= PATH_MAX)
		die(path, "too long");
}

static void open_plugin(void)
{
	struct buffer errors = BUFFER_INIT(4096);
	struct atom_error err = ATOM_ERROR_INIT;
	struct configured_spec spec = { .agent = "bench", .directory = "/" };
	char path[PATH_MAX];
	const char *directories[] = { path, NULL };

	/* That it was loaded is no news. */
	log_set_descriptor(-1);
	folder(path);
	if (loops_init(1, &err) != ATOM_OK || metric_init(1) != ATOM_OK ||
	    host_register_basic() != ATOM_OK ||
	    registry_init(NULL, false, &err) != ATOM_OK ||
	    registry_scan(directories, &err) != ATOM_OK ||
	    registry_component("backend", "nothing", &component, &err) !=
		    ATOM_OK)
		die(path, err.message);
	spec.component = component;
	if (configured_new(&spec, &backend, &errors, &err) != ATOM_OK)
		die("backend/nothing", err.message);
	buffer_fini(&errors);
	ops = (const struct atom_backend_ops *)(const void *)component->ops;
}

/* As much of a revision and of a call as lies on the way. */
static void make_call(void)
{
	revision.backend = backend;
	revision.ops = ops;
	revision.self = configured_self(backend);
	revision.pool.revision = &revision;
	revision.pool.style = POOL_SHARED;
	atomic_init(&attempt.refs, 1);
	attempt.pool = &revision.pool;
	attempt.handle = 1;
}

/* --- calls --------------------------------------------------------------- */

static double calling(enum way way)
{
	struct atom_error err = ATOM_ERROR_INIT;
	void *self = revision.self;
	double began = cpu_ns();

	switch (way) {
	case DIRECT:
		for (long i = 0; i < CALLS; i++)
			(void)nothing_invoke(self, NULL, 1, &err);
		break;
	case TABLE:
		for (long i = 0; i < CALLS; i++)
			(void)ops->invoke(self, NULL, 1, &err);
		break;
	case DAEMON:
		for (long i = 0; i < CALLS; i++)
			attempt_invoke(&attempt);
		break;
	case WAYS:
		break;
	}
	return (cpu_ns() - began) / CALLS;
}

static int measure(int rounds)
{
	static const char *const names[WAYS] = { "within one program",
						 "through a plugin's table",
						 "as the daemon does" };
	double figures[WAYS][ROUNDS_MAX] = { 0 }, middle[WAYS];
	/* Its first member: what it was called with, in all. */
	const uint64_t *calls = revision.self;
	uint64_t wanted = (uint64_t)CALLS * WAYS * (uint64_t)rounds;

	for (int i = 0; i < rounds; i++)
		for (enum way way = DIRECT; way < WAYS; way++)
			figures[way][i] = calling(way);
	for (enum way way = DIRECT; way < WAYS; way++) {
		middle[way] = median(figures[way], rounds);
		printf("plugin: a call %-24s %6.1f ns, %+6.1f\n", names[way],
		       middle[way], middle[way] - middle[DIRECT]);
	}
	if (*calls != wanted) {
		printf("plugin: %llu calls came of %llu\n",
		       (unsigned long long)*calls, (unsigned long long)wanted);
		return 1;
	}
	return figures[DAEMON][0] - figures[DIRECT][0] > ADDED_NS;
}

int main(int argc, char **argv)
{
	int rounds, status;

	if (argc == 3 && strcmp(argv[1], "--probe") == 0)
		return plugin_probe_main((int)strtol(argv[2], NULL, 10));
	rounds = rounds_argument(argc, argv, 9);

	open_plugin();
	make_call();
	status = measure(rounds);
	configured_free(&backend);
	registry_fini();
	metric_fini();
	loops_fini();
	return status;
}
