/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The helper of a probe: a process of one thread that forks a child for all
 * plugins, then one for each that is left, several at once, and tells the
 * daemon what came of it.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/probe_priv.h"
#include "plugin/registry.h"

#define PARALLEL_MAX 32
#define TOGETHER_NS  1000000000ll /* for a file, before it is left alone */

/* --- telling the daemon -------------------------------------------------- */

/* At once: jansson would write each word of it by itself, and the daemon wake
 * as often. */
static void write_all(const struct buffer *text)
{
	size_t written = 0;

	while (written < text->length) {
		ssize_t n = os.write(STDOUT_FILENO, text->bytes + written,
				     text->length - written);

		if (n > 0)
			written += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return;
	}
}

static json_t *line_of(const struct probe_result *result)
{
	json_t *line = json_pack("{s:i}", "file", result->fd - PROBE_FD);

	if (line != NULL && result->answer != NULL) {
		(void)json_object_set(line, "answer", result->answer);
	} else if (line != NULL && result->refusal != NULL) {
		(void)json_object_set_new(line, "refusal",
					  json_string(result->refusal));
		(void)json_object_set_new(line, "passing",
					  json_boolean(result->passing));
	}
	return line;
}

/* Without memory for it the daemon misses the line, which means the same as
 * one with nothing in it. */
static void tell(struct probe_result *result)
{
	struct buffer text = BUFFER_INIT(PROBE_LINE_MAX);
	json_t *line = line_of(result);
	atom_status status =
		line != NULL ? json_encode(line, &text) : ATOM_ENOMEM;

	if (line != NULL)
		json_decref(line);
	if (status == ATOM_ELIMIT && result->answer != NULL) {
		json_decref(TAKE(result->answer));
		result->refusal = probe_refusal(PROBE_TOO_MUCH);
		buffer_fini(&text);
		tell(result);
		return;
	}
	if (status == ATOM_OK && buffer_append_char(&text, '\n') == ATOM_OK)
		write_all(&text);
	buffer_fini(&text);
}

/* --- several children at once -------------------------------------------- */

static size_t parallel(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 2)
		return 2;
	return cores > PARALLEL_MAX ? PARALLEL_MAX : (size_t)cores;
}

/* Until something happens to one of the children, or the first deadline. */
static void wait_for_news(const struct probe_child *children, size_t count,
			  bool *ended)
{
	struct pollfd fds[3 * PARALLEL_MAX];
	int64_t first = INT64_MAX, left_ms;

	for (size_t i = 0; i < count; i++) {
		const struct probe_child *child = &children[i];
		const int watched[3] = { child->pidfd, child->answer_fd,
					 child->said_fd };

		for (size_t j = 0; j < 3; j++)
			fds[3 * i + j] = (struct pollfd){
				.fd = child->pid != 0 ? watched[j] : -1,
				.events = POLLIN
			};
		if (child->pid != 0 && child->deadline_ns < first)
			first = child->deadline_ns;
	}
	left_ms = (first - os.monotonic_ns()) / 1000000 + 1;
	if (poll(fds, 3 * count, left_ms > 0 ? (int)left_ms : 0) < 0)
		memset(fds, 0, sizeof(fds));
	/* The pidfd, not the end of a pipe, tells of a child's end: what the
	 * plugin has started may hold the pipe. */
	for (size_t i = 0; i < count; i++)
		ended[i] = children[i].pid != 0 && fds[3 * i].revents != 0;
}

static void conclude(struct probe_child *child, int wait_status)
{
	probe_judge(child, wait_status);
	tell(child->result);
	probe_child_fini(child);
}

static void children_attend(struct probe_child *children, size_t count)
{
	bool ended[PARALLEL_MAX] = { false };
	int64_t now;

	wait_for_news(children, count, ended);
	now = os.monotonic_ns();
	for (size_t i = 0; i < count; i++) {
		struct probe_child *child = &children[i];

		if (child->pid == 0)
			continue;
		probe_child_read(child);
		if (ended[i])
			conclude(child, probe_child_reap(child));
		else if (probe_child_late(child, now))
			conclude(child, 0);
	}
}

/* --- all in one child ---------------------------------------------------- */

/* Whole lines of what it has answered; false where one is none. */
static bool take_answers(struct buffer *heard, struct probe_result *results,
			 size_t count)
{
	const char *end;

	while (heard->length > 0 &&
	       (end = memchr(heard->bytes, '\n', heard->length)) != NULL) {
		struct atom_error error = ATOM_ERROR_INIT;
		size_t length = (size_t)(end - heard->bytes);
		json_t *line = NULL, *answer;
		json_int_t file;
		bool fits;

		if (json_decode(heard->bytes, length, &line, &error) != ATOM_OK)
			return false;
		file = json_integer_value(json_object_get(line, "file"));
		answer = json_object_get(line, "answer");
		fits = file >= 0 && (size_t)file < count &&
		       results[file].answer == NULL &&
		       probe_answer_shaped(answer);
		if (fits) {
			results[file].answer = json_incref(answer);
			tell(&results[file]);
		}
		json_decref(line);
		if (!fits)
			return false;
		buffer_consume(heard, length + 1);
	}
	return !heard->failed;
}

/*
 * Almost always all plugins are in order, and one child that examines them one
 * after another costs as much as two of those that examine one.  What it does
 * not answer for, because it crashed, hung, took longer than a moment or found
 * something wrong, is left to a child of its own, whose verdict counts.
 */
static void probe_together(struct probe_result *results, size_t count)
{
	struct probe_child child;
	bool ended = false;

	if (count < 2)
		return;
	if (!probe_child_start(&child, results, count)) {
		mem_free(TAKE(results->refusal));
		results->passing = false;
		return;
	}
	child.deadline_ns = os.monotonic_ns() + TOGETHER_NS;
	while (!ended) {
		size_t before;
		int64_t now;

		wait_for_news(&child, 1, &ended);
		now = os.monotonic_ns();
		if (ended)
			(void)probe_child_reap(&child);
		else
			probe_child_read(&child);
		before = child.answer.length;
		if (!take_answers(&child.answer, results, count))
			child.deadline_ns = now;
		else if (child.answer.length < before && !child.timed_out)
			child.deadline_ns = now + TOGETHER_NS;
		ended = ended || probe_child_late(&child, now);
	}
	probe_child_fini(&child);
}

/* --- each in one of its own ---------------------------------------------- */

/* The next file that has no answer goes into a free place. */
static void fill_place(struct probe_child *child, struct probe_result *results,
		       size_t count, size_t *next)
{
	while (child->pid == 0 && *next < count) {
		struct probe_result *result = &results[(*next)++];

		if (result->answer == NULL &&
		    !probe_child_start(child, result, 1))
			tell(result);
	}
}

static void probe_all(struct probe_result *results, size_t count)
{
	struct probe_child children[PARALLEL_MAX] = { 0 };
	size_t width = parallel(), next = 0, running;

	do {
		running = 0;
		for (size_t i = 0; i < width; i++) {
			fill_place(&children[i], results, count, &next);
			running += children[i].pid != 0;
		}
		if (running > 0)
			children_attend(children, width);
	} while (running > 0);
}

int plugin_probe_main(int count)
{
	struct probe_result results[PROBE_FILES_MAX] = { 0 };

	if (count < 1 || count > PROBE_FILES_MAX)
		return 1;
	for (int i = 0; i < count; i++)
		results[i].fd = PROBE_FD + i;
	/* Without the daemon nobody reads; the children have it from here, too,
	 * that no plugin becomes more than the daemon is. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (metric_init(0) != ATOM_OK || host_register_basic() != ATOM_OK)
		return 1;
	probe_together(results, (size_t)count);
	probe_all(results, (size_t)count);
	/* All is told, and what it holds goes with it. */
	_exit(0);
}
