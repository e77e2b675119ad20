/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon's side of a helper: starting it, and reading what it tells.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/probe_priv.h"

#define PROGRAM "/proc/self/exe"
#define CHUNK	(16 * 1024)
/* Of the helper, which keeps its children's deadlines: only a machine that
 * stands still comes so far. */
#define SILENCE_MS (12 * PROBE_DEADLINE_MS)

/* What the loader and the sanitizers look at, and nothing of ours. */
static char **environment_new(void)
{
	static const char *const names[] = {
		"PATH",		"LD_LIBRARY_PATH", "ASAN_OPTIONS",
		"LSAN_OPTIONS", "TSAN_OPTIONS",	   "UBSAN_OPTIONS",
	};
	char **environment = mem_array(ARRAY_SIZE(names) + 1, sizeof(char *));
	size_t count = 0;

	for (size_t i = 0; environment != NULL && i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);
		struct buffer pair = BUFFER_INIT(64 * 1024);

		if (value != NULL &&
		    buffer_printf(&pair, "%s=%s", names[i], value) == ATOM_OK)
			environment[count++] = buffer_take(&pair, NULL);
		buffer_fini(&pair);
	}
	return environment;
}

static void environment_free(char **environment)
{
	for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
		mem_free(environment[i]);
	mem_free(environment);
}

/* --- starting it --------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)os.close(*fd);
	*fd = -1;
}

/* The helper's descriptors, for posix_spawn(3): `answer` as 1 and files[i] as
 * PROBE_FD + i, all of which are above these; an errno value. */
static int place(posix_spawn_file_actions_t *actions, const int *files,
		 size_t count, int answer)
{
	int error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null",
						     O_RDONLY, 0);

	if (error == 0)
		error = posix_spawn_file_actions_adddup2(actions, answer, 1);
	for (size_t i = 0; error == 0 && i < count; i++)
		error = posix_spawn_file_actions_adddup2(actions, files[i],
							 PROBE_FD + (int)i);
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(
			actions, PROBE_FD + (int)count);
	return error;
}

/* Returns an errno value. */
static int spawn(const int *files, size_t count, int answer, pid_t *pid)
{
	char number[16];
	char *const arguments[] = { "atomd", "--probe", number, NULL };
	char **environment = environment_new();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	(void)snprintf(number, sizeof(number), "%zu", count);
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (environment == NULL ||
	    posix_spawn_file_actions_init(&actions) != 0) {
		environment_free(environment);
		return ENOMEM;
	}
	if (posix_spawnattr_init(&attributes) != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		environment_free(environment);
		return ENOMEM;
	}
	error = place(&actions, files, count, answer);
	if (error == 0)
		error = posix_spawnattr_setflags(&attributes,
						 POSIX_SPAWN_SETSIGMASK |
							 POSIX_SPAWN_SETSIGDEF |
							 POSIX_SPAWN_SETPGROUP);
	if (error == 0)
		error = posix_spawnattr_setsigmask(&attributes, &none);
	if (error == 0)
		error = posix_spawnattr_setsigdefault(&attributes, &all);
	if (error == 0)
		error = posix_spawn(pid, PROGRAM, &actions, &attributes,
				    arguments, environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	environment_free(environment);
	return error;
}

/* A duplicate that none of the helper's own descriptors overwrites. */
static int above(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, PROBE_ANSWER_FD);
}

/* Starts it; what it tells comes on *answer_r.  Returns an errno value. */
static int helper_start(struct probe_job *const *jobs, size_t count,
			pid_t *pid_r, int *answer_r)
{
	int files[PROBE_FILES_MAX] = { 0 }, pipe[2] = { -1, -1 }, answer = -1;
	size_t opened = 0;
	int error = 0;

	if (os.pipe2(pipe, O_CLOEXEC) != 0 || (answer = above(pipe[1])) < 0)
		error = errno;
	for (; error == 0 && opened < count; opened++) {
		const struct plugin_file *file = jobs[opened]->file;

		files[opened] = above(jobs[opened]->in_place ? file->file_fd
							     : file->copy_fd);
		if (files[opened] < 0) {
			error = errno;
			break;
		}
	}
	if (error == 0)
		error = spawn(files, count, answer, pid_r);
	for (size_t i = 0; i < opened; i++)
		close_fd(&files[i]);
	close_fd(&answer);
	close_fd(&pipe[1]);
	if (error != 0)
		close_fd(&pipe[0]);
	*answer_r = pipe[0];
	return error;
}

/* --- what it tells ------------------------------------------------------- */

/*
 * A component's table of options becomes its text: it is wanted only where
 * somebody asks for it, and as values it takes ten times as much memory.  What
 * there is no memory to write stays as it is.
 */
static void fold_options(json_t *answer)
{
	json_t *row, *options;
	size_t i;
	char *text;

	json_array_foreach(json_object_get(answer, "components"), i, row)
	{
		options = json_object_get(row, "options");
		text = json_write(options, JSON_COMPACT);
		if (text != NULL)
			(void)json_object_set_new(row, "options",
						  json_string(text));
		mem_free(text);
	}
}

/* One line; whether it is one of a file that was not told before. */
static bool listen_to(const char *line, size_t length,
		      struct probe_job *const *jobs, size_t count,
		      struct probe_told *told)
{
	struct atom_error error = ATOM_ERROR_INIT;
	json_t *value = NULL, *answer;
	const char *refusal;
	json_int_t file;
	bool fits;

	if (json_decode(line, length, &value, &error) != ATOM_OK)
		return false;
	file = json_integer_value(json_object_get(value, "file"));
	fits = file >= 0 && (size_t)file < count && !told[file].heard;
	if (fits) {
		struct probe_job *job = jobs[file];

		answer = json_object_get(value, "answer");
		refusal = json_text(value, "refusal", NULL);
		if (answer != NULL) {
			fold_options(answer);
			job->answer = json_incref(answer);
		} else if (refusal != NULL) {
			job->refusal = mem_strdup(refusal);
		}
		told[file].heard = true;
		told[file].lasting =
			!json_is_true(json_object_get(value, "passing"));
	}
	json_decref(value);
	return fits;
}

/* The lines that are whole; false when one of them is none. */
static bool take_lines(struct buffer *heard, struct probe_job *const *jobs,
		       size_t count, struct probe_told *told)
{
	const char *end;

	while (heard->length > 0 &&
	       (end = memchr(heard->bytes, '\n', heard->length)) != NULL) {
		size_t length = (size_t)(end - heard->bytes);

		if (!listen_to(heard->bytes, length, jobs, count, told))
			return false;
		buffer_consume(heard, length + 1);
	}
	return true;
}

/* Lines to the end, which its children do not hold up: they do not have this
 * pipe.  False when it is silent for too long or says what it should not. */
static bool hear_out(int fd, struct probe_job *const *jobs, size_t count,
		     struct probe_told *told)
{
	struct buffer heard = BUFFER_INIT(PROBE_LINE_MAX + CHUNK);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	ssize_t n = 1;
	char chunk[CHUNK];

	while (n > 0) {
		n = poll(&ready, 1, SILENCE_MS);
		if (n == 0)
			n = -1;
		else if (n > 0)
			n = os.read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0 &&
			 (buffer_append(&heard, chunk, (size_t)n) != ATOM_OK ||
			  !take_lines(&heard, jobs, count, told)))
			n = -1;
	}
	buffer_fini(&heard);
	return n == 0;
}

/* Why it told nothing of some files, as far as that is to be seen: where it had
 * no memory for them, it is not. */
static const char *end_words(int status, char *out, size_t size)
{
	const char *name =
		WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (WIFSIGNALED(status))
		(void)snprintf(out, size, "the helper was ended by SIG%s",
			       name != NULL ? name : "?");
	else if (WEXITSTATUS(status) != 0)
		(void)snprintf(out, size, "the helper ended with status %d",
			       WEXITSTATUS(status));
	else
		return NULL;
	return out;
}

bool probe_helper_run(struct probe_job *const *jobs, size_t count,
		      struct probe_told *told)
{
	int answer = -1, status = 0, error;
	const char *why = NULL;
	bool whole = true;
	char words[128];
	pid_t pid;

	error = helper_start(jobs, count, &pid, &answer);
	if (error == 0) {
		whole = hear_out(answer, jobs, count, told);
		close_fd(&answer);
		if (!whole)
			(void)os.kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		why = whole ? end_words(status, words, sizeof(words))
			    : "the helper said nothing for too long";
	} else {
		(void)snprintf(words, sizeof(words), PROGRAM ": %s",
			       strerror(error));
		why = words;
	}
	for (size_t i = 0; why != NULL && i < count; i++)
		if (!told[i].heard)
			jobs[i]->refusal =
				probe_refusal("could not be probed: %s", why);
	return error != 0 || !whole || why == NULL;
}
