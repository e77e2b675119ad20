/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process service on a real loop with real children: what a child finds,
 * what its loop is told, and that nothing of it is left behind.
 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/loop.h"
#include "plugin/host.h"
#include "plugin/host_process.h"
#include "process_fixture.h"

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

/* It says something and ends while the loop is elsewhere, and has not read all
 * that it was sent. */
static void do_outlive(void *argument)
{
	struct child *c = argument;
	siginfo_t end;

	CHECK(process->write(c->handle, "go\nunread\n", 10) == ATOM_OK);
	CHECK(waitid(P_PID, (id_t)process->pid(c->handle), &end,
		     WEXITED | WNOWAIT) == 0);
}

static void last_words_are_heard_of_one_that_does_not_listen(void)
{
	struct child c;

	start();
	for (int paused = 0; paused < 2; paused++) {
		shell(&c, "echo up >&3; read go <&3; echo last words >&3");
		AWAIT(c.length > 0);
		if (paused)
			on_loop(do_pause, &c);
		on_loop(do_outlive, &c);
		AWAIT(c.exited > 0);
		CHECK(strcmp(c.data, "up\nlast words\n") == 0);
		CHECK(c.closed == 1);
		child_end(&c);
	}
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

static struct message late_message;
static const struct atom_host *late_host;
static atom_status late_status;

static void spawn_late(struct loop *loop, struct message *message)
{
	static const char *const command[] = { "true", NULL };
	static const struct atom_process_events nothing = {
		.struct_size = sizeof(nothing),
	};
	const struct atom_process_request request = {
		.struct_size = sizeof(request),
		.command = command,
		.environment = &command[1],
		.log_name = "late",
	};
	struct atom_process_handle *handle = NULL;

	(void)loop;
	(void)message;
	late_status = process->spawn(late_host, &request, &nothing, NULL,
				     &handle, NULL);
}

static void post_late(void *argument)
{
	late_message.deliver = spawn_late;
	loop_post(argument, &late_message);
}

static void end_with_a_child(void *argument)
{
	struct loop *loop = loop_current();

	(void)argument;
	CHECK(loop_at_stop(loop, post_late, loop) == ATOM_OK);
}

static void a_loop_that_ends_begins_no_child(void)
{
	CHECK(host_for_tests("late", &late_host) == ATOM_OK);
	start();
	on_loop(end_with_a_child, NULL);
	stop();
	CHECK(late_status == ATOM_ECANCELED);
	host_for_tests_free(&late_host);
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
	TAP_TEST(last_words_are_heard_of_one_that_does_not_listen),
	TAP_TEST(mistakes_come_back_as_sentences),
	TAP_TEST(a_missing_interpreter_is_logged),
	TAP_TEST(a_writer_is_told_to_wait_and_when_to_go_on),
	TAP_TEST(reading_can_be_paused_and_nothing_is_lost),
	TAP_TEST(its_group_ends_with_it),
	TAP_TEST(freeing_kills_and_says_no_more),
	TAP_TEST(a_descendant_is_known_however_often_it_forked),
	TAP_TEST(orphans_are_reaped),
	TAP_TEST(the_end_of_the_loop_is_the_end_of_its_children),
	TAP_TEST(a_loop_that_ends_begins_no_child),
	TAP_TEST(what_it_prints_is_logged_and_bounded),
};

int main(void)
{
	return process_main(tests, (int)(sizeof(tests) / sizeof(tests[0])));
}
