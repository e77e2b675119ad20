/* SPDX-License-Identifier: Apache-2.0 */

/* monitor/logger: writes the daemon's events into its log. */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <atomd/monitor.h>

struct logger_options {
	int32_t severity; /* ATOM_LOG_*: the words stand in that order */
	struct atom_strings events;
};

static const char *const severities[] = { "error", "warn", "info", "debug",
					  NULL };

static const struct atom_option logger_options[] = {
	ATOM_OPTION_CHOICE(struct logger_options, severity, "info", severities,
			   ATOM_RELOADABLE, "the least severity to write"),
	ATOM_OPTION_STRINGS(struct logger_options, events, 1, 0,
			    ATOM_RELOADABLE,
			    "beginnings of event names; empty: every event"),
};

struct logger {
	const struct atom_host *host;
	const struct atom_log *log;
	/* Events come on another thread than new options. */
	_Atomic(const struct logger_options *) options;
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	const struct atom_log *log = atom_service(host, ATOM_LOG);
	struct logger *logger;

	if (log == NULL)
		return atom_fail(err, ATOM_ENOTSUP, "the host has no log");
	logger = calloc(1, sizeof(*logger));
	if (logger == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	logger->host = host;
	logger->log = log;
	atomic_init(&logger->options, options);
	*self_r = logger;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct logger *logger = self;

	(void)err;
	atomic_store(&logger->options, options);
	return ATOM_OK;
}

static int wanted(const struct logger_options *options,
		  const struct atom_monitor_event *event)
{
	const struct atom_strings *names = &options->events;

	if (event->severity > options->severity)
		return 0;
	for (size_t i = 0; i < names->count; i++)
		if (strncmp(event->name, names->items[i],
			    strlen(names->items[i])) == 0)
			return 1;
	return names->count == 0;
}

static void on_event(void *self, const struct atom_monitor_event *event)
{
	struct logger *logger = self;
	char details[1024];
	size_t length = event->details.length;

	if (!wanted(atomic_load(&logger->options), event))
		return;
	if (length >= sizeof(details))
		length = sizeof(details) - 1;
	if (length > 0)
		memcpy(details, event->details.bytes, length);
	details[length] = '\0';
	logger->log->write(
		logger->host, event->severity, event->name, "event",
		(const struct atom_log_field[]){
			{ "of_agent", event->agent, 0 },
			{ "sequence", NULL, (int64_t)event->sequence },
			{ "details", details, 0 } },
		3);
}

static const struct atom_monitor_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.event = on_event,
};

ATOM_PLUGIN("logger", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_MONITOR, "logger",
			   "writes events into the daemon's log", &ops,
			   logger_options, struct logger_options));
