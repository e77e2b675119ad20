/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process service on a real loop with real children: what a child finds,
 * what its loop is told, and that nothing of it is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <atomd/host.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "plugin/host.h"
#include "plugin/host_process.h"
#include "tap.h"

#define WAIT_S	 20
#define DATA_MAX ((size_t)8 * 1024 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t control;
static bool up;
static const struct atom_host *host;
static const struct atom_process *process;
static char log_path[] = "/tmp/atomd-process-XXXXXX";
static int log_fd = -1;

/* What a child's loop has been told. */
struct child {
	struct atom_process_handle *handle;
	char *data;
	size_t length;
	int drained;
	int closed;
	int exited;
	int after_end; /* events that came behind the last one */
	int32_t exit_code;
	int32_t signal;
	bool free_in_data;
};

static void lock_all(void)
{
	CHECK(pthread_mutex_lock(&lock) == 0);
}

static void unlock_all(void)
{
	CHECK(pthread_cond_broadcast(&changed) == 0);
	CHECK(pthread_mutex_unlock(&lock) == 0);
}

/* Waits, with the lock held, until `condition` is true. */
#define AWAIT(condition)                                              \
	do {                                                          \
		struct timespec end_;                                 \
		CHECK(clock_gettime(CLOCK_REALTIME, &end_) == 0);     \
		end_.tv_sec += WAIT_S;                                \
		lock_all();                                           \
		while (!(condition))                                  \
			CHECK(pthread_cond_timedwait(&changed, &lock, \
						     &end_) == 0);    \
		unlock_all();                                         \
	} while (0)

/* What no event tells of: asked again every few milliseconds. */
#define POLL(condition)                                  \
	do {                                             \
		struct timespec pause_ = { 0, 5000000 }; \
		int turns_ = WAIT_S * 200;               \
		while (!(condition) && turns_-- > 0)     \
			(void)nanosleep(&pause_, NULL);  \
		CHECK(turns_ > 0);                       \
	} while (0)

/* --- loops ------------------------------------------------------------------ */

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

static void start(void)
{
	up = false;
	CHECK(pthread_create(&control, NULL, control_main, NULL) == 0);
	AWAIT(up);
}

static void stop(void)
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

/* Runs it on the loop that serves, and waits for that. */
static void on_loop(void (*run)(void *argument), void *argument)
{
	struct step step = { { .deliver = on_step }, run, argument, false };

	loop_post(loops_get(0), &step.message);
	AWAIT(step.done);
}

/* --- children ---------------------------------------------------------------- */

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

static atom_status try_spawn(struct child *c,
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

static void shell(struct child *c, const char *script)
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

static void child_end(struct child *c)
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

static atom_status child_write(struct child *c, const char *bytes,
			       size_t length)
{
	struct writing w = { c, bytes, length, ATOM_OK };

	on_loop(do_write, &w);
	return w.status;
}

static void do_pause(void *argument)
{
	process->pause(((struct child *)argument)->handle);
}

static void do_resume(void *argument)
{
	process->resume(((struct child *)argument)->handle);
}

static void do_close_input(void *argument)
{
	process->close_input(((struct child *)argument)->handle);
}

static void do_terminate(void *argument)
{
	process->signal(((struct child *)argument)->handle, SIGTERM);
}

static bool logged(const char *text)
{
	static char content[8 * 1024 * 1024];
	ssize_t n = pread(log_fd, content, sizeof(content) - 1, 0);

	content[n > 0 ? n : 0] = '\0';
	return strstr(content, text) != NULL;
}

/* Neither running nor a zombie. */
static bool gone(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

static pid_t number_in(struct child *c)
{
	AWAIT(strchr(c->data, '\n') != NULL);
	return (pid_t)strtol(c->data, NULL, 10);
}

/* The daemon's own end reaps what it has killed last. */
static bool dead(pid_t pid)
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

/* --- tests --------------------------------------------------------------------- */

static void a_child_finds_what_it_was_promised(void)
{
	struct child c;

	start();
	shell(&c, "exec 4>&3; env | sort >&4; exec 4>&-;"
		  "for f in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do "
		  "[ -e /proc/$$/fd/$f ] && echo fd $f; done >&3;"
		  "grep NoNewPrivs /proc/$$/status >&3;"
		  "[ $(ps -o sid= -p $$) = $$ ] && echo own session >&3;"
		  "grep -E 'Sig(Blk|Ign)' /proc/self/status >&3; umask >&3");
	AWAIT(c.exited > 0);
	CHECK(c.exit_code == 0 && c.closed == 1);
	CHECK(strncmp(c.data,
		      "GREETING=hello\nPATH=/usr/local/bin:/usr/bin:/bin"
		      "\nPWD=",
		      50) == 0);
	CHECK(strstr(c.data, "fd 0\nfd 1\nfd 2\nfd 3\n") != NULL);
	/* dash keeps its script nowhere: there is no other descriptor. */
	CHECK(strstr(c.data, "fd 4") == NULL);
	CHECK(strstr(c.data, "NoNewPrivs:\t1\n") != NULL);
	CHECK(strstr(c.data, "SigBlk:\t0000000000000000\n") != NULL);
	CHECK(strstr(c.data, "SigIgn:\t0000000000000000\n") != NULL);
	CHECK(strstr(c.data, "0077\n") != NULL);
	child_end(&c);
	stop();
}

static void a_folder_and_stdio_are_as_asked(void)
{
	const char *const command[] = { "sh", "-c", "pwd; read x; echo got $x",
					NULL };
	struct atom_process_request request = { .command = command,
						.directory = "/usr",
						.flags = ATOM_PROCESS_STDIO };
	struct child c;

	start();
	CHECK(try_spawn(&c, &request, NULL) == ATOM_OK);
	CHECK(child_write(&c, "word\n", 5) == ATOM_OK);
	AWAIT(c.exited > 0);
	CHECK(strcmp(c.data, "/usr\ngot word\n") == 0);
	child_end(&c);
	stop();
}

static void all_that_is_said_comes_by_the_socket_if_asked(void)
{
	const char *const command[] = { "sh", "-c",
					"cat; echo wrong >&2; exit 3", NULL };
	struct atom_process_request request = { .command = command,
						.flags = ATOM_PROCESS_STDIO |
							 ATOM_PROCESS_STDERR };
	struct child c;

	start();
	CHECK(try_spawn(&c, &request, NULL) == ATOM_OK);
	CHECK(child_write(&c, "all\n", 4) == ATOM_OK);
	on_loop(do_close_input, &c);
	AWAIT(c.exited > 0);
	CHECK(strcmp(c.data, "all\nwrong\n") == 0 && c.exit_code == 3);
	CHECK(!logged("wrong"));
	child_end(&c);
	stop();
}

static void an_exit_and_a_signal_are_told_apart(void)
{
	struct child c;

	start();
	shell(&c, "echo last words >&3; exit 7");
	AWAIT(c.exited > 0);
	CHECK(c.exit_code == 7 && c.signal == 0);
	CHECK(strcmp(c.data, "last words\n") == 0);
	CHECK(child_write(&c, "x", 1) == ATOM_EIO);
	child_end(&c);
	shell(&c, "kill -9 $$");
	AWAIT(c.exited > 0);
	CHECK(c.exit_code == -1 && c.signal == SIGKILL);
	child_end(&c);
	stop();
}

static void mistakes_come_back_as_sentences(void)
{
	static const struct {
		const char *command;
		const char *directory;
		const char *says;
	} mistakes[] = {
		{ "no-such-program-here", NULL,
		  "no-such-program-here was not found in PATH" },
		{ "/no/such/program", NULL, "/no/such/program cannot be run" },
		{ "/etc/passwd", NULL, "/etc/passwd cannot be run" },
		{ "/usr", NULL, "/usr cannot be run" },
		{ "./nothing", "/usr", "/usr/./nothing cannot be run" },
		{ "sh", "/no/such/folder", "directory /no/such/folder" },
		{ "sh", "/etc/passwd", "expected a folder" },
	};
	struct atom_error err;
	struct child c;

	start();
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const char *const command[] = { mistakes[i].command, NULL };
		struct atom_process_request request = {
			.command = command, .directory = mistakes[i].directory
		};

		CHECK(try_spawn(&c, &request, &err) != ATOM_OK);
		CHECK(c.handle == NULL);
		CHECK(strstr(err.message, mistakes[i].says) != NULL);
		free(c.data);
	}
	if (geteuid() == 0) {
		const char *const command[] = { "sh", NULL };
		struct atom_process_request request = {
			.command = command, .user = "nobody-of-that-name"
		};

		CHECK(try_spawn(&c, &request, &err) == ATOM_ENOENT);
		CHECK(strstr(err.message, "nobody-of-that-name") != NULL);
		free(c.data);
	}
	stop();
}

static void a_missing_interpreter_is_logged(void)
{
	char path[] = "/tmp/atomd-script-XXXXXX";
	const char *const command[] = { path, NULL };
	struct atom_process_request request = { .command = command };
	int fd = mkstemp(path);
	struct child c;

	CHECK(fd >= 0 && write(fd, "#!/no/interpreter\n", 18) == 18);
	CHECK(fchmod(fd, 0755) == 0 && close(fd) == 0);
	start();
	CHECK(try_spawn(&c, &request, NULL) == ATOM_OK);
	AWAIT(c.exited > 0);
	CHECK(c.exit_code == 127);
	child_end(&c);
	stop();
	CHECK(logged("worker_not_started") && logged(path));
	CHECK(unlink(path) == 0);
}

static void a_writer_is_told_to_wait_and_when_to_go_on(void)
{
	static char block[1024 * 1024];
	struct child c;
	atom_status status;
	size_t taken = 0;
	char count[32];

	memset(block, 'x', sizeof(block));
	start();
	/* Reads nothing until a signal comes. */
	shell(&c, "trap 'cat <&3 | wc -c >&3; exit' TERM; echo up >&3;"
		  "while :; do sleep 0.05; done");
	AWAIT(strstr(c.data, "up\n") != NULL);
	do {
		status = child_write(&c, block, sizeof(block));
		taken += status != ATOM_ELIMIT ? sizeof(block) : 0;
	} while (status == ATOM_EBUSY || status == ATOM_OK);
	CHECK(status == ATOM_ELIMIT && taken >= 15 * sizeof(block));
	on_loop(do_close_input, &c);
	CHECK(child_write(&c, "x", 1) == ATOM_EIO);
	on_loop(do_terminate, &c);
	AWAIT(c.exited > 0);
	CHECK(c.drained > 0);
	(void)snprintf(count, sizeof(count), "%zu\n", taken);
	CHECK(strstr(c.data, count) != NULL);
	child_end(&c);
	stop();
}

static void reading_can_be_paused_and_nothing_is_lost(void)
{
	struct child c;
	size_t before;

	start();
	shell(&c, "read go <&3; head -c 5000000 /dev/zero | tr '\\0' y >&3");
	on_loop(do_pause, &c);
	CHECK(child_write(&c, "go\n", 3) == ATOM_OK);
	/* The socket fills; the loop turns, and nothing comes. */
	for (int i = 0; i < 20; i++) {
		on_loop(do_pause, &c);
		(void)nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	}
	before = c.length;
	CHECK(before == 0 && c.exited == 0);
	on_loop(do_resume, &c);
	AWAIT(c.exited > 0);
	CHECK(c.length == 5000000 && c.closed == 1);
	child_end(&c);
	/* What it said before it ended comes even so. */
	shell(&c, "read go <&3; echo farewell >&3");
	on_loop(do_pause, &c);
	CHECK(child_write(&c, "go\n", 3) == ATOM_OK);
	AWAIT(c.exited > 0);
	CHECK(strcmp(c.data, "farewell\n") == 0);
	child_end(&c);
	stop();
}

static void its_group_ends_with_it(void)
{
	struct child c;
	pid_t pid;

	start();
	shell(&c, "sleep 1000 & echo $! >&3; exit 0");
	pid = number_in(&c);
	AWAIT(c.exited > 0);
	POLL(gone(pid));
	child_end(&c);
	stop();
}

static void freeing_kills_and_says_no_more(void)
{
	struct child c;
	pid_t pid;

	start();
	shell(&c, "trap '' TERM; echo $$ >&3; while :; do sleep 1; done");
	pid = number_in(&c);
	CHECK(host_process_is_descendant(pid));
	child_end(&c);
	CHECK(c.exited == 0 && c.closed == 0);
	POLL(gone(pid));
	/* Within an event, and in the middle of a flood. */
	shell(&c,
	      "read go <&3; echo $$ >&3; while :; do echo yyyyyyyy >&3; done");
	c.free_in_data = true;
	CHECK(child_write(&c, "go\n", 3) == ATOM_OK);
	pid = number_in(&c);
	AWAIT(c.handle == NULL);
	POLL(gone(pid));
	CHECK(c.exited == 0 && c.after_end == 0);
	child_end(&c);
	stop();
}

static void a_descendant_is_known_however_often_it_forked(void)
{
	struct child c;
	pid_t pid;

	start();
	CHECK(!host_process_is_descendant(getpid()));
	CHECK(!host_process_is_descendant(getppid()));
	CHECK(!host_process_is_descendant(1));
	CHECK(host_process_is_descendant(0x3ffffffe)); /* is nobody */
	/* Its parent has ended, its session is its own. */
	shell(&c,
	      "(setsid sh -c 'echo $$ >&3; exec sleep 1000' &) ; read x <&3");
	pid = number_in(&c);
	POLL(host_process_is_descendant(pid));
	CHECK(!gone(pid));
	on_loop(do_terminate, &c);
	AWAIT(c.exited > 0);
	CHECK(c.signal == SIGTERM);
	CHECK(host_process_is_descendant(pid) && !gone(pid));
	child_end(&c);
	stop();
	POLL(dead(pid));
}

static void orphans_are_reaped(void)
{
	struct child c, next;
	pid_t pid;

	start();
	shell(&c, "(setsid sh -c 'echo $$ >&3; read x <&3' &) ; read x <&3;"
		  "read x <&3");
	pid = number_in(&c);
	/* Both read: two lines for the child, one for the orphan. */
	CHECK(child_write(&c, "a\nb\nc\n", 6) == ATOM_OK);
	AWAIT(c.exited > 0);
	child_end(&c);
	shell(&next, "exit 0");
	AWAIT(next.exited > 0);
	child_end(&next);
	POLL(gone(pid));
	stop();
}

static void the_end_of_the_loop_is_the_end_of_its_children(void)
{
	struct child many[5];
	pid_t pids[5];

	start();
	for (int i = 0; i < 5; i++) {
		shell(&many[i], "trap '' TERM HUP; echo $$ >&3;"
				"while :; do sleep 1; done");
		pids[i] = number_in(&many[i]);
	}
	stop();
	for (int i = 0; i < 5; i++) {
		/* Its owner was told; the handle is still the owner's. */
		CHECK(many[i].exited == 1 && many[i].signal == SIGKILL);
		CHECK(gone(pids[i]));
		process->free(&many[i].handle);
		free(many[i].data);
	}
}

static void what_it_prints_is_logged_and_bounded(void)
{
	struct child c;

	start();
	shell(&c, "echo to stdout; echo to stderr >&2; printf 'no end';"
		  "printf 'a\\033[31mb\\n' >&2;"
		  "head -c 100000 /dev/zero | tr '\\0' z; echo;"
		  "i=0; while [ $i -lt 3000 ]; do echo flood; i=$((i+1)); "
		  "done");
	AWAIT(c.exited > 0);
	child_end(&c);
	stop();
	CHECK(logged("\"message\":\"to stdout\"") && logged("to stderr"));
	CHECK(logged("no endzzzz") && logged("a\\u001b[31mb"));
	CHECK(logged("worker_output_dropped"));
}

static const struct tap_test tests[] = {
	TAP_TEST(a_child_finds_what_it_was_promised),
	TAP_TEST(a_folder_and_stdio_are_as_asked),
	TAP_TEST(all_that_is_said_comes_by_the_socket_if_asked),
	TAP_TEST(an_exit_and_a_signal_are_told_apart),
	TAP_TEST(mistakes_come_back_as_sentences),
	TAP_TEST(a_missing_interpreter_is_logged),
	TAP_TEST(a_writer_is_told_to_wait_and_when_to_go_on),
	TAP_TEST(reading_can_be_paused_and_nothing_is_lost),
	TAP_TEST(its_group_ends_with_it),
	TAP_TEST(freeing_kills_and_says_no_more),
	TAP_TEST(a_descendant_is_known_however_often_it_forked),
	TAP_TEST(orphans_are_reaped),
	TAP_TEST(the_end_of_the_loop_is_the_end_of_its_children),
	TAP_TEST(what_it_prints_is_logged_and_bounded),
};

int main(void)
{
	int result;

	log_fd = mkstemp(log_path);
	CHECK(log_fd >= 0);
	log_set_descriptor(log_fd);
	result = tap_main(tests, (int)(sizeof(tests) / sizeof(tests[0])));
	host_for_tests_free(&host);
	(void)unlink(log_path);
	return result;
}
