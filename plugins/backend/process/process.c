/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "process_priv.h"

/* The component `backend/process`: its options, its life, its table. */

static const char *const transports[] = { "fd3", "stdio", NULL };

/* clang-format off */
static const struct atom_option process_options[] = {
	ATOM_OPTION_STRINGS(struct process_options, command, 1, 200,
		ATOM_REQUIRED,
		"the worker program and its arguments; searched in PATH"),
	ATOM_OPTION_STRING(struct process_options, directory, ".", 0,
		"working folder, from the configuration file's folder on"),
	ATOM_OPTION_MAP(struct process_options, env, 0, 200, 0,
		"more environment variables; none of the daemon's own are "
		"passed on but PATH HOME LANG TZ"),
	ATOM_OPTION_STRING(struct process_options, user, "", 0,
		"run workers as this user when the daemon is root; else "
		"atomd-worker if there is such a user"),
	ATOM_OPTION_CHOICE(struct process_options, transport, "fd3",
		transports, 0,
		"where the worker finds its socket: descriptor 3, or its "
		"standard input and output"),
	ATOM_OPTION_DURATION(struct process_options, ready_timeout_ms, "30s",
		1, 3600000, 0,
		"time from its start until a worker must say ready"),
	ATOM_OPTION_DURATION(struct process_options, cancel_grace_ms, "5s",
		0, 3600000, 0,
		"time to end after cancel or drain before SIGTERM"),
	ATOM_OPTION_DURATION(struct process_options, kill_grace_ms, "5s",
		0, 3600000, 0,
		"time to end after SIGTERM before SIGKILL"),
	ATOM_OPTION_DURATION(struct process_options, no_progress_ms, "0",
		0, 86400000, 0,
		"longest silence about a call before it is cancelled; "
		"0 = none"),
	ATOM_OPTION_DURATION(struct process_options, ping_every_ms, "30s",
		0, 86400000, 0,
		"ping idle workers that list the cap, and replace one that "
		"does not answer in that time; 0 = never"),
	ATOM_OPTION_INT(struct process_options, max_requests, "0",
		0, 1e12, 0,
		"replace a worker after this many calls and up to a tenth "
		"more; 0 = never"),
	ATOM_OPTION_DURATION(struct process_options, max_age, "0",
		0, 31536000000.0, 0,
		"replace a worker of this age and up to a tenth more; "
		"0 = never"),
	ATOM_OPTION_SIZE(struct process_options, max_memory, "0",
		0, 1e15, 0,
		"replace a worker whose processes hold more memory than "
		"this; 0 = never"),
	ATOM_OPTION_SIZE(struct process_options, address_space_max, "0",
		0, 1e15, 0,
		"RLIMIT_AS of a worker; 0 = none"),
	ATOM_OPTION_INT(struct process_options, open_files_max, "1024",
		16, 1048576, 0,
		"RLIMIT_NOFILE of a worker"),
	ATOM_OPTION_SIZE(struct process_options, line_max, "8M",
		1024, 67108864, 0,
		"longest line from a worker"),
	ATOM_OPTION_SIZE(struct process_options, credit_bytes, "256K",
		4096, 1048576, 0,
		"how much one call may send ahead of a slow client when a "
		"worker serves several"),
	ATOM_OPTION_INT(struct process_options, junk_lines_max, "1000",
		0, 1000000, 0,
		"stdio: lines in a row that are no protocol before the "
		"worker is replaced"),
};
/* clang-format on */

static void process_destroy(void *self)
{
	struct backend *b = self;

	if (b != NULL)
		launch_free(b);
	free(b);
}

static atom_status process_create(const struct atom_host *host,
				  const void *options, void **self_r,
				  struct atom_error *err)
{
	struct backend *b = calloc(1, sizeof(*b));
	atom_status status;

	if (b == NULL)
		return atom_fail(err, ATOM_ENOMEM, "process: no memory");
	b->host = host;
	b->options = options;
	b->calls = atom_service(host, ATOM_BACKEND_HOST);
	b->process = atom_service(host, ATOM_PROCESS);
	b->timer = atom_service(host, ATOM_TIMER);
	b->clock = atom_service(host, ATOM_CLOCK);
	b->secret = atom_service(host, ATOM_SECRET);
	b->log = atom_service(host, ATOM_LOG);
	if (b->calls == NULL || b->process == NULL || b->timer == NULL ||
	    b->clock == NULL)
		status = atom_fail(
			err, ATOM_ENOTSUP,
			"process: this host lacks one of " ATOM_BACKEND_HOST
			", " ATOM_PROCESS ", " ATOM_TIMER ", " ATOM_CLOCK);
	else
		status = launch_prepare(b, err);
	if (status != ATOM_OK)
		process_destroy(b);
	else
		*self_r = b;
	return status;
}

static atom_status process_instance_start(void *self, atom_unit unit,
					  const struct atom_unit_spec *spec,
					  void **unit_self_r,
					  struct atom_error *err)
{
	struct worker *w = NULL;
	atom_status status = worker_start(self, unit, spec, &w, err);

	if (status == ATOM_OK)
		*unit_self_r = w;
	return status;
}

static void process_instance_stop(void *self, void *unit_self, int32_t force)
{
	(void)self;
	worker_enter(unit_self);
	worker_stop(unit_self, force != 0);
	worker_leave(unit_self);
}

static atom_status process_invoke(void *self, void *unit_self, atom_call call,
				  struct atom_error *err)
{
	atom_status status;

	(void)self;
	worker_enter(unit_self);
	status = call_begin(unit_self, call, err);
	worker_leave(unit_self);
	return status;
}

static const struct {
	const char *word;
	const char *text;
} reasons[] = {
	[ATOM_CANCEL_CLIENT_GONE] = { "client_gone",
				      "cancelled: the client has gone" },
	[ATOM_CANCEL_DEADLINE] = { "deadline",
				   "cancelled: the deadline has passed" },
	[ATOM_CANCEL_SHUTDOWN] = { "shutdown",
				   "cancelled: the daemon is stopping" },
	[ATOM_CANCEL_ADMIN] = { "admin", "cancelled by the administrator" },
};

static void process_cancel(void *self, void *unit_self, atom_call handle,
			   int32_t why)
{
	struct worker *w = unit_self;
	struct call *call;

	(void)self;
	if (why < ATOM_CANCEL_CLIENT_GONE || why > ATOM_CANCEL_ADMIN)
		why = ATOM_CANCEL_ADMIN;
	worker_enter(w);
	call = call_of_handle(w, handle);
	if (call != NULL)
		call_cancel(w, call, reasons[why].word, ATOM_ECANCELED,
			    reasons[why].text);
	worker_leave(w);
}

static void process_resume(void *self, void *unit_self, atom_call handle)
{
	struct worker *w = unit_self;
	struct call *call;

	(void)self;
	worker_enter(w);
	call = call_of_handle(w, handle);
	if (call != NULL)
		call_resume(w, call);
	worker_leave(w);
}

/* For what comes behind its own SIGKILL. */
#define STOP_SPARE_MS 5000

/* It ends its workers itself; by force only where that did not work. */
static int32_t process_stop_ms(void *self)
{
	const struct backend *b = self;

	return (int32_t)(b->options->cancel_grace_ms +
			 b->options->kill_grace_ms) +
	       STOP_SPARE_MS;
}

static const struct atom_backend_ops process_ops = {
	.struct_size = sizeof(process_ops),
	.create = process_create,
	.destroy = process_destroy,
	.instance_start = process_instance_start,
	.instance_stop = process_instance_stop,
	.invoke = process_invoke,
	.cancel = process_cancel,
	.resume = process_resume,
	.stop_ms = process_stop_ms,
};

ATOM_PLUGIN("process", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_BACKEND, "process",
			   "agents in any language, as child processes",
			   &process_ops, process_options,
			   struct process_options));
