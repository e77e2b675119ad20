/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A receiver that is a command: run for each message, one at a time, with the
 * message on its standard input.
 *
 *	spawn -> exited 0: sent
 *	      -> exited else: failed
 *	      -> timeout: SIGTERM to its group -> GRACE_MS: SIGKILL -> failed
 *
 * Its standard output and error are kept for the log, their last part alone.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/monitor/alerts/receiver_priv.h"

#define GRACE_MS     2000
#define VARIABLE_MAX 256

static const char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:"
				    "/usr/sbin:/usr/bin:/sbin:/bin";
static const char *const search_path = path_variable + 5;

/* --- while it runs -------------------------------------------------------------- */

static void on_data(void *argument, const char *bytes, size_t length)
{
	struct receiver *receiver = argument;
	size_t keep;

	if (length > RECEIVER_OUTPUT_MAX) {
		bytes += length - RECEIVER_OUTPUT_MAX;
		length = RECEIVER_OUTPUT_MAX;
	}
	keep = RECEIVER_OUTPUT_MAX - length;
	if (receiver->output_length > keep) {
		memmove(receiver->output,
			receiver->output + receiver->output_length - keep,
			keep);
		receiver->output_length = keep;
	}
	memcpy(receiver->output + receiver->output_length, bytes, length);
	receiver->output_length += length;
}

static void on_drained(void *argument)
{
	(void)argument;
}

/* Only its exit says how it went. */
static void on_closed(void *argument)
{
	(void)argument;
}

static void on_timeout(void *argument)
{
	struct receiver *receiver = argument;

	if (receiver->child == NULL)
		return;
	receiver->process->signal(receiver->child,
				  receiver->late ? SIGKILL : SIGTERM);
	if (!receiver->late)
		receiver->timers->set(receiver->timer, GRACE_MS, 0);
	receiver->late = true;
}

/* Text for the log: a NUL would end it. */
static const char *output_of(struct receiver *receiver)
{
	for (size_t i = 0; i < receiver->output_length; i++)
		if (receiver->output[i] == '\0')
			receiver->output[i] = '?';
	receiver->output[receiver->output_length] = '\0';
	return receiver->output;
}

static void on_exited(void *argument, int32_t exit_code, int32_t number)
{
	struct receiver *receiver = argument;
	char why[96];

	receiver->timers->stop(receiver->timer);
	receiver->process->free(&receiver->child);
	receiver->status = exit_code;
	if (receiver->late)
		(void)snprintf(why, sizeof(why),
			       "the command took longer than %lld ms",
			       (long long)receiver->options->timeout);
	else if (exit_code < 0)
		(void)snprintf(why, sizeof(why),
			       "the command was ended by signal %d",
			       (int)number);
	else
		(void)snprintf(why, sizeof(why),
			       "expected the command to exit with 0, found %d",
			       (int)exit_code);
	if (exit_code == 0 && !receiver->late)
		receiver_sent(receiver);
	else
		receiver_failed(receiver, why, output_of(receiver), false);
}

static const struct atom_process_events events = {
	.struct_size = sizeof(events),
	.data = on_data,
	.drained = on_drained,
	.closed = on_closed,
	.exited = on_exited,
};

/* --- its start ------------------------------------------------------------------ */

static void begin(struct receiver *receiver)
{
	const struct atom_strings *command = &receiver->options->command;
	const struct receiver_message *message = &receiver->sending;
	const char **words = calloc(command->count + 1, sizeof(*words));
	char count[VARIABLE_MAX], name[VARIABLE_MAX];
	const char *const environment[] = {
		path_variable,
		"LANG=C.UTF-8",
		message->firing > 0 ? "ATOMD_ALERT_STATUS=firing"
				    : "ATOMD_ALERT_STATUS=resolved",
		count,
		name,
		NULL,
	};
	const struct atom_process_request request = {
		.struct_size = sizeof(request),
		.flags = ATOM_PROCESS_STDIO | ATOM_PROCESS_STDERR,
		.command = words,
		.directory = receiver->host->directory,
		.environment = environment,
		.log_name = receiver->options->name,
	};
	struct atom_error error = ATOM_ERROR_INIT;
	atom_status status = ATOM_ENOMEM;

	receiver->output_length = 0;
	receiver->late = false;
	(void)snprintf(count, sizeof(count), "ATOMD_ALERT_COUNT=%zu",
		       message->count);
	(void)snprintf(name, sizeof(name), "ATOMD_ALERT_RECEIVER=%s",
		       receiver->options->name);
	if (words != NULL) {
		memcpy(words, command->items, command->count * sizeof(*words));
		status = receiver->process->spawn(receiver->host, &request,
						  &events, receiver,
						  &receiver->child, &error);
	}
	free(words);
	if (status != ATOM_OK) {
		receiver->child = NULL;
		receiver_failed(receiver,
				words != NULL ? error.message : "out of memory",
				NULL, false);
		return;
	}
	receiver->timers->set(receiver->timer, receiver->options->timeout, 0);
	/* One that does not read all of it says by its exit how it went; what
	 * is too long for the host's buffer gets there never. */
	if (receiver->process->write(receiver->child, message->body,
				     message->length) != ATOM_ELIMIT) {
		receiver->process->close_input(receiver->child);
		return;
	}
	receiver->timers->stop(receiver->timer);
	receiver->process->free(&receiver->child);
	receiver_failed(receiver, "the message is too long for a command", NULL,
			true);
}

/* --- life ------------------------------------------------------------------------ */

/* A folder of the search path holds the program. */
static bool is_in_path(const char *program)
{
	const char *path = search_path;
	char whole[4096];

	while (*path != '\0') {
		size_t n = strcspn(path, ":");

		if (snprintf(whole, sizeof(whole), "%.*s/%s", (int)n, path,
			     program) < (int)sizeof(whole) &&
		    access(whole, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* What is missing is told at the start, not when something has happened. */
static bool is_there(const struct receiver *receiver, const char *program)
{
	const char *directory = receiver->host->directory;
	char whole[4096];

	if (strchr(program, '/') == NULL)
		return is_in_path(program);
	if (program[0] == '/')
		return access(program, X_OK) == 0;
	return snprintf(whole, sizeof(whole), "%s/%s", directory, program) <
		       (int)sizeof(whole) &&
	       access(whole, X_OK) == 0;
}

static atom_status init(struct receiver *receiver, struct atom_error *err)
{
	const struct receiver_options *options = receiver->options;

	receiver->process = atom_service(receiver->host, ATOM_PROCESS);
	receiver->timers = atom_service(receiver->host, ATOM_TIMER);
	if (receiver->process == NULL || receiver->timers == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "receiver %s: the host starts no processes, "
				 "or has no timers",
				 options->name);
	if (options->format != MESSAGE_WEBHOOK ||
	    *options->signature_key != '\0' ||
	    *options->authorization != '\0' || *options->ca_file != '\0')
		return atom_fail(err, ATOM_EINVAL,
				 "receiver %s: `format`, `signature_key`, "
				 "`authorization` and `ca_file` are for a "
				 "`url`, not for a `command`",
				 options->name);
	if (!is_there(receiver, options->command.items[0]))
		return atom_fail(err, ATOM_EINVAL,
				 "receiver %s: option `command`: expected a "
				 "program that can be run, in a folder of "
				 "%s or by a path with a `/`, found %s",
				 options->name, search_path,
				 options->command.items[0]);
	return receiver->timers->create(receiver->host, on_timeout, receiver,
					&receiver->timer, err);
}

static void fini(struct receiver *receiver)
{
	if (receiver->timer != NULL)
		receiver->timers->free(&receiver->timer);
	if (receiver->child != NULL)
		receiver->process->free(&receiver->child);
}

const struct receiver_kind receiver_exec = {
	.init = init,
	.begin = begin,
	.fini = fini,
};
