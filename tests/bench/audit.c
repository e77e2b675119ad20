/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Durable audit records a second: 64 callers, each with one record under way,
 * through the real sequencer and the file sink, beside the least that a disk
 * asks for: a loop that writes 64 records of the same length and calls
 * fdatasync.  The two take turns in the same folder, so that what disturbs the
 * machine disturbs both; the medians of the rounds are compared.
 *
 *	audit [--rounds N] [--seconds S] [--folder DIR]
 *
 * Then the CPU time of a call's record, and how long it takes to take up a log
 * whose daemon was killed when its newest segment was as large as one may be.
 *
 * ATOMD_BUILD_PLUGINS says where audit-file.so is.  Exit status 1 when a
 * record was not durable, or the log at the end does not verify.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit_priv.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/host.h"

#define CALLERS	   64
#define ROUNDS_MAX 99

struct caller {
	struct audit_waiter waiter;
};

static struct component file_component = { .kind_word = "audit",
					   .name = "file" };
static struct caller callers[CALLERS];
static _Atomic bool going;
static _Atomic uint64_t durable, refused;
static _Atomic int under_way;
static int rounds = 5;
static double seconds = 1;
static char base[256], folder[300];
/* Of the log that a kill leaves; as large as one may be. */
static long segment_mib = 256;
static const char *above;
static const char *fill_folder; /* in a child of restart() */
static int exit_status;

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "audit: %s: %s\n", what, why);
	exit(1);
}

/* --- the real one ----------------------------------------------------------------- */

static atom_status find(const char *kind, const char *name,
			const struct component **component_r,
			struct atom_error *err)
{
	(void)kind;
	(void)name;
	(void)err;
	*component_r = &file_component;
	return ATOM_OK;
}

static void load_plugin(void)
{
	const char *where = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_plugin *entry;
	char path[4096];
	void *library;

	(void)snprintf(path, sizeof(path), "%s/audit-file.so",
		       where != NULL ? where : "plugins/built");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		die("audit-file.so", dlerror());
	entry = dlsym(library, "atom_plugin_entry");
	if (entry == NULL || entry->component_count < 1)
		die(path, "no plugin");
	file_component.declared = &entry->components[0];
	file_component.ops =
		(const struct atom_ops *)file_component.declared->ops;
	audit_find_component = find;
}

static void post(struct caller *caller)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_KEY_CREATE);

	record.user = "key:4fQ2kPz81hWs";
	record.address = "203.0.113.77";
	record.request_id = "req_01j9x2m4c8v5k7n3p6q8r0s2t4";
	audit_text(&record, "agents", "summarizer,profiler");
	audit_text(&record, "phase", "intent");
	audit_text(&record, "role", "caller");
	if (audit_post(&record, AUDIT_GATED, &caller->waiter) != ATOM_OK) {
		atomic_fetch_add(&refused, 1);
		atomic_fetch_sub(&under_way, 1);
	}
}

static void on_durable(struct audit_waiter *waiter, atom_status status)
{
	struct caller *caller = CONTAINER_OF(waiter, struct caller, waiter);

	atomic_fetch_add(status == ATOM_OK ? &durable : &refused, 1);
	if (atomic_load(&going))
		post(caller);
	else
		atomic_fetch_sub(&under_way, 1);
}

static void nap(void)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };

	(void)nanosleep(&millisecond, NULL);
}

/* Records a second of one round. */
static double run_real(void)
{
	int64_t began = os.monotonic_ns();
	uint64_t before = atomic_load(&durable);
	double took;

	atomic_store(&going, true);
	atomic_store(&under_way, CALLERS);
	for (unsigned int i = 0; i < CALLERS; i++) {
		callers[i].waiter.loop = loops_get(i % loops_serving());
		callers[i].waiter.done = on_durable;
		post(&callers[i]);
	}
	while (os.monotonic_ns() - began < (int64_t)(seconds * 1e9))
		nap();
	atomic_store(&going, false);
	while (atomic_load(&under_way) > 0)
		nap();
	took = (double)(os.monotonic_ns() - began) / 1e9;
	return (double)(atomic_load(&durable) - before) / took;
}

/* --- a call's record, batched ------------------------------------------------------- */

#define BATCHED_RECORDS 50000

static void post_call(int number)
{
	const struct audit_call call = {
		.user = "key:4fQ2kPz81hWs",
		.address = "203.0.113.77",
		.request_id = "req_01j9x2m4c8v5k7n3p6q8r0s2t4",
		.agent = "summarizer",
		.revision = "3",
		.duration_ms = number % 1000,
		.input_bytes = 1024,
		.input_tokens = 256,
		.output_bytes = 400,
		.output_tokens = 100,
		.status = 200,
	};

	if (audit_post_call(&call, AUDIT_BATCHED, NULL) != ATOM_OK)
		atomic_fetch_add(&refused, 1);
}

static double cpu_us(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* CPU time of all threads a record, from the call's end to the disk; *own_r:
 * where the call ends. */
static double post_batched(double *own_r)
{
	double all = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	double own = cpu_us(CLOCK_THREAD_CPUTIME_ID), napped = 0;
	uint64_t before = atomic_load(&audit.sequence);

	for (int i = 0; i < BATCHED_RECORDS; i++) {
		post_call(i);
		/* As calls come: the ring is never near its end. */
		while (atomic_load(&audit.waiting) > 8192) {
			double began = cpu_us(CLOCK_THREAD_CPUTIME_ID);

			nap();
			napped += cpu_us(CLOCK_THREAD_CPUTIME_ID) - began;
		}
	}
	own = cpu_us(CLOCK_THREAD_CPUTIME_ID) - own - napped;
	while (atomic_load(&audit.sequence) < before + BATCHED_RECORDS)
		nap();
	all = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - all - napped;
	*own_r = own / BATCHED_RECORDS;
	return all / BATCHED_RECORDS;
}

/* --- the bare loop ----------------------------------------------------------------- */

static double run_bare(size_t record_bytes)
{
	const size_t length = record_bytes * CALLERS;
	char *bytes = malloc(length);
	char path[400];
	int64_t began;
	uint64_t written = 0;
	double took;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/bare", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || bytes == NULL)
		die(path, "cannot be written");
	memset(bytes, 'x', length);
	began = os.monotonic_ns();
	while (os.monotonic_ns() - began < (int64_t)(seconds * 1e9)) {
		if (write(fd, bytes, length) != (ssize_t)length ||
		    fdatasync(fd) != 0)
			die(path, "write or fdatasync failed");
		written += CALLERS;
	}
	took = (double)(os.monotonic_ns() - began) / 1e9;
	(void)close(fd);
	free(bytes);
	return (double)written / took;
}

/* --- the comparison ----------------------------------------------------------------- */

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), rising);
	return values[count / 2];
}

static size_t bytes_of(const char *name)
{
	char path[400];
	struct stat found;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return stat(path, &found) == 0 ? (size_t)found.st_size : 0;
}

static size_t total;

static int add_size(const char *path, const struct stat *found, int type,
		    struct FTW *where)
{
	(void)path;
	(void)where;
	if (type == FTW_F)
		total += (size_t)found->st_size;
	return 0;
}

static size_t log_bytes(void)
{
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/log", folder);
	total = 0;
	(void)nftw(path, add_size, 16, FTW_PHYS);
	return total;
}

static struct config *configuration(void)
{
	struct buffer errors = BUFFER_INIT(65536);
	struct config *config = NULL;
	char path[400];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/atomd.conf", folder);
	file = fopen(path, "w");
	if (file == NULL ||
	    fprintf(file,
		    "state: { directory = \"%s/state\"; };\n"
		    "audit_sinks = ( { plugin = \"file\";"
		    " path = \"%s/log\"; segment_size = \"256M\"; } );\n",
		    folder, folder) < 0 ||
	    fclose(file) != 0)
		die(path, "cannot be written");
	if (config_load(path, NULL, 0, &config, &errors) != ATOM_OK)
		die(path, errors.bytes);
	buffer_fini(&errors);
	return config;
}

static void compare(void)
{
	double real[ROUNDS_MAX] = { 0 }, bare[ROUNDS_MAX] = { 0 }, a, b;
	size_t record_bytes = 0;

	for (int i = -1; i < rounds; i++) {
		uint64_t before = atomic_load(&durable);
		size_t bytes = log_bytes();
		double rate = run_real();

		/* What one record takes on the disk, head and marks and all. */
		record_bytes = (log_bytes() - bytes) /
			       (size_t)(atomic_load(&durable) - before + 1);
		if (i >= 0)
			real[i] = rate;
		rate = run_bare(record_bytes);
		if (i >= 0)
			bare[i] = rate;
	}
	a = median(real, rounds);
	b = median(bare, rounds);
	printf("audit: %d callers, %zu bytes a record: %.0f durable records/s; "
	       "bare write+fdatasync loop: %.0f; ratio %.2f\n",
	       CALLERS, record_bytes, a, b, a / b);
	if (atomic_load(&refused) > 0) {
		printf("audit: %llu records were not durable\n",
		       (unsigned long long)atomic_load(&refused));
		exit_status = 1;
	}
	if (bytes_of("bare") == 0)
		exit_status = 1;
}

/* --- taking the log up after a kill ------------------------------------------------- */

/* In a process of its own, which ends by being killed. */
static void fill(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0;; i++) {
		post_call(i);
		while (atomic_load(&audit.waiting) > 8192)
			nap();
	}
}

static void restart(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct config *config;
	int64_t began;
	pid_t child;
	int status;

	(void)snprintf(folder, sizeof(folder), "%s/killed", base);
	if (mkdir(folder, 0700) != 0)
		die(folder, "cannot be made");
	config = configuration();
	child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "audit", "--fill", folder,
		      (char *)NULL);
		_exit(127);
	}
	if (child < 0)
		die("a process", "cannot be made");
	while (log_bytes() < (size_t)segment_mib * 1024 * 1024) {
		if (waitpid(child, &status, WNOHANG) != 0)
			die("the log", "cannot be filled");
		nap();
	}
	(void)kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	began = os.monotonic_ns();
	if (audit_start(config, &err) != ATOM_OK)
		die("the audit log, after a kill", err.message);
	printf("audit: killed with a segment of %zu MiB: taken up again in "
	       "%.2f s\n",
	       log_bytes() >> 20, (double)(os.monotonic_ns() - began) / 1e9);
	audit_stop();
	config_unref(&config);
}

/* --- all of it ----------------------------------------------------------------------- */

static void batched(void)
{
	double all[ROUNDS_MAX] = { 0 }, own[ROUNDS_MAX] = { 0 };
	double ignored, middle;

	(void)post_batched(&ignored);
	for (int i = 0; i < rounds; i++)
		all[i] = post_batched(&own[i]);
	/* Which leaves them in order. */
	middle = median(all, rounds);
	printf("audit: a call's record costs %.2f us CPU, at least %.2f: %.2f "
	       "where the call ends, the rest in the sequencer and the file "
	       "sink\n",
	       middle, all[0], median(own, rounds));
}

static void *drive(void *argument)
{
	struct config *config = configuration();
	struct atom_error err = ATOM_ERROR_INIT;

	(void)argument;
	if (audit_start(config, &err) != ATOM_OK)
		die("the audit log", err.message);
	if (fill_folder != NULL)
		fill();
	compare();
	batched();
	audit_stop();
	/* Taking it up again checks chain, range and heads. */
	if (audit_start(config, &err) != ATOM_OK)
		die("the audit log, again", err.message);
	if (atomic_load(&audit.sequence) < atomic_load(&durable)) {
		printf("audit: records are missing\n");
		exit_status = 1;
	}
	audit_stop();
	config_unref(&config);
	restart();
	loops_stop();
	return NULL;
}

static int remove_one(const char *path, const struct stat *found, int type,
		      struct FTW *where)
{
	(void)found;
	(void)type;
	(void)where;
	return remove(path);
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (value != NULL && strcmp(argv[i], "--rounds") == 0)
			rounds = (int)strtol(value, NULL, 10);
		else if (value != NULL && strcmp(argv[i], "--seconds") == 0)
			seconds = strtod(value, NULL);
		else if (value != NULL && strcmp(argv[i], "--folder") == 0)
			above = value;
		else if (value != NULL && strcmp(argv[i], "--segment-mib") == 0)
			segment_mib = strtol(value, NULL, 10);
		else if (value != NULL && strcmp(argv[i], "--fill") == 0)
			fill_folder = value;
		else
			die(argv[i], "expected --rounds N, --seconds S, "
				     "--segment-mib M or --folder DIR");
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || !(seconds > 0) ||
	    segment_mib < 1 || segment_mib > 256)
		die("--rounds, --seconds, --segment-mib", "out of range");
}

int main(int argc, char **argv)
{
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t driver;

	read_arguments(argc, argv);
	if (above == NULL)
		above = getenv("TMPDIR");
	(void)snprintf(base, sizeof(base), "%s/audit-bench-XXXXXX",
		       above != NULL ? above : "/var/tmp");
	if (fill_folder == NULL && mkdtemp(base) == NULL)
		die(base, "cannot be made");
	(void)snprintf(folder, sizeof(folder), "%s",
		       fill_folder != NULL ? fill_folder : base);
	log_set_descriptor(-1);
	load_plugin();
	if (loops_init(1, &err) != ATOM_OK || metric_init(1) != ATOM_OK ||
	    host_register_basic() != ATOM_OK || loops_start(&err) != ATOM_OK)
		die("the loops", err.message);
	if (pthread_create(&driver, NULL, drive, NULL) != 0)
		die("a thread", "cannot be made");
	loops_run_control();
	(void)pthread_join(driver, NULL);
	(void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	loops_fini();
	metric_fini();
	health_fini();
	log_fini();
	return exit_status;
}
