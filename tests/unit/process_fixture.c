/* SPDX-License-Identifier: Apache-2.0 */
#include "process_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "plugin/host.h"
#include "plugin/host_process.h"

#define DATA_MAX ((size_t)8 * 1024 * 1024)

/* --- waiting -------------------------------------------------------------- */

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void lock_all(void)
{
	CHECK(pthread_mutex_lock(&lock) == 0);
}

void unlock_all(void)
{
	CHECK(pthread_cond_broadcast(&changed) == 0);
	CHECK(pthread_mutex_unlock(&lock) == 0);
}

/* --- the loop ------------------------------------------------------------- */

static pthread_t control;
static bool up;
static const struct atom_host *host;
const struct atom_process *process;

static void *control_main(void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	static bool registered;

	(void)argument;
	CHECK(loops_init(1, &err) == ATOM_OK);
	if (!registered) {
		CHECK(metric_init(1) == ATOM_OK);
		CHECK(host_register_basic() == ATOM_OK);
		CHECK(host_process_register(&err) == ATOM_OK);
		registered = true;
		CHECK(host_for_tests("process", &host) == ATOM_OK);
		process = atom_service(host, ATOM_PROCESS);
		CHECK(process != NULL);
	}
	CHECK(loops_start(&err) == ATOM_OK);
	lock_all();
	up = true;
	unlock_all();
	loops_run_control();
	loops_fini();
	return NULL;
}

void start(void)
{
	up = false;
	CHECK(pthread_create(&control, NULL, control_main, NULL) == 0);
	AWAIT(up);
}

void stop(void)
{
	loops_stop();
	CHECK(pthread_join(control, NULL) == 0);
}

struct step {
	struct message message;
	void (*run)(void *argument);
	void *argument;
	bool done;
};

static void on_step(struct loop *loop, struct message *message)
{
	struct step *step = CONTAINER_OF(message, struct step, message);

	(void)loop;
	step->run(step->argument);
	lock_all();
	step->done = true;
	unlock_all();
}

void on_loop(void (*run)(void *argument), void *argument)
{
	struct step step = { { .deliver = on_step }, run, argument, false };

	loop_post(loops_get(0), &step.message);
	AWAIT(step.done);
}

/* --- children ------------------------------------------------------------- */

static void on_data(void *argument, const char *bytes, size_t length)
{
	struct child *c = argument;

	lock_all();
	CHECK(c->length + length < DATA_MAX);
	memcpy(c->data + c->length, bytes, length);
	c->length += length;
	c->data[c->length] = '\0';
	c->after_end += c->closed > 0 || c->handle == NULL;
	if (c->free_in_data)
		process->free(&c->handle);
	unlock_all();
}

static void on_drained(void *argument)
{
	struct child *c = argument;

	lock_all();
	c->drained++;
	unlock_all();
}

static void on_closed(void *argument)
{
	struct child *c = argument;

	lock_all();
	c->closed++;
	c->after_end += c->exited > 0;
	unlock_all();
}

static void on_exited(void *argument, int32_t exit_code, int32_t number)
{
	struct child *c = argument;

	lock_all();
	c->exited++;
	c->exit_code = exit_code;
	c->signal = number;
	unlock_all();
}

static const struct atom_process_events events = {
	.struct_size = sizeof(events),
	.data = on_data,
	.drained = on_drained,
	.closed = on_closed,
	.exited = on_exited,
};

static const char *const plain_environment[] = {
	"PATH=/usr/local/bin:/usr/bin:/bin",
	"GREETING=hello",
	NULL,
};

struct spawning {
	struct child *child;
	struct atom_process_request request;
	atom_status status;
	struct atom_error err;
};

static void do_spawn(void *argument)
{
	struct spawning *s = argument;

	s->status = process->spawn(host, &s->request, &events, s->child,
				   &s->child->handle, &s->err);
}

atom_status try_spawn(struct child *c,
		      const struct atom_process_request *request,
		      struct atom_error *err)
{
	struct spawning s = { NULL, *request, ATOM_OK, ATOM_ERROR_INIT };

	memset(c, 0, sizeof(*c));
	s.child = c;
	c->data = malloc(DATA_MAX);
	CHECK(c->data != NULL);
	c->data[0] = '\0';
	s.request.struct_size = sizeof(s.request);
	if (s.request.environment == NULL)
		s.request.environment = plain_environment;
	s.request.log_name = "test-1";
	on_loop(do_spawn, &s);
	if (err != NULL)
		*err = s.err;
	return s.status;
}

void shell(struct child *c, const char *script)
{
	const char *const command[] = { "sh", "-c", script, NULL };
	struct atom_process_request request = { .command = command };

	CHECK(try_spawn(c, &request, NULL) == ATOM_OK);
}

static void do_free(void *argument)
{
	struct child *c = argument;

	process->free(&c->handle);
}

void child_end(struct child *c)
{
	on_loop(do_free, c);
	CHECK(c->handle == NULL && c->after_end == 0);
	free(c->data);
}

struct writing {
	struct child *child;
	const char *bytes;
	size_t length;
	atom_status status;
};

static void do_write(void *argument)
{
	struct writing *w = argument;

	w->status = process->write(w->child->handle, w->bytes, w->length);
}

atom_status child_write(struct child *c, const char *bytes, size_t length)
{
	struct writing w = { c, bytes, length, ATOM_OK };

	on_loop(do_write, &w);
	return w.status;
}

bool gone(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

pid_t number_in(struct child *c)
{
	AWAIT(strchr(c->data, '\n') != NULL);
	return (pid_t)strtol(c->data, NULL, 10);
}

bool dead(pid_t pid)
{
	char path[64], text[256] = "";
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		(void)close(fd);
	}
	return gone(pid) || strstr(text, ") Z ") != NULL;
}

/* --- the whole ------------------------------------------------------------ */

static char log_path[] = "/tmp/atomd-process-XXXXXX";
static int log_fd = -1;

bool logged(const char *text)
{
	static char content[8 * 1024 * 1024];
	ssize_t n = pread(log_fd, content, sizeof(content) - 1, 0);

	content[n > 0 ? n : 0] = '\0';
	return strstr(content, text) != NULL;
}

int process_main(const struct tap_test *all, int count)
{
	int result;

	log_fd = mkstemp(log_path);
	CHECK(log_fd >= 0);
	log_set_descriptor(log_fd);
	result = tap_main(all, count);
	host_for_tests_free(&host);
	(void)unlink(log_path);
	return result;
}
