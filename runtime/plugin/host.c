/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/host_priv.h"
#include "plugin/registry.h"

#define SERVICES_MAX 32
#define SLOW_NS	     (50 * 1000000ll)

struct service {
	const char *id;
	const void *table;
	bool in_init; /* there already when init() runs */
};

static struct service services[SERVICES_MAX];
static size_t service_count;
static uint32_t slow_calls;

/* --- which services there are -------------------------------------------- */

static atom_status add(const struct service *added)
{
	for (size_t i = 0; i < service_count; i++)
		if (strcmp(services[i].id, added->id) == 0)
			return services[i].table == added->table ? ATOM_OK
								 : ATOM_EEXIST;
	if (service_count == SERVICES_MAX)
		return ATOM_ELIMIT;
	services[service_count++] = *added;
	return ATOM_OK;
}

atom_status host_register(const char *service_id, const void *table)
{
	return add(&(struct service){ .id = service_id, .table = table });
}

atom_status host_register_basic(void)
{
	static const struct service basic[] = {
		{ ATOM_LOG, &host_log_service, true },
		{ ATOM_METRIC, &host_metric_service, true },
		{ ATOM_CLOCK, &host_clock_service, true },
		{ ATOM_SECRET, &host_secret_service, true },
		{ ATOM_THREAD, &host_thread_service, true },
		{ ATOM_TIMER, &host_timer_service, false },
		{ ATOM_WORK, &host_work_service, false },
		{ ATOM_SEAL, &host_seal_service, false },
		{ ATOM_STATE, &host_state_service, false },
		{ ATOM_EVENT, &host_event_service, false },
	};
	static const char *const labels[] = { "plugin", "function", NULL };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_plugin_slow_calls_total",
		.help = "Calls into a plugin on an event loop or the control "
			"thread that took over 50 ms.",
		.unit = "",
		.label_names = labels,
	};
	atom_status status = metric_declare(&spec, &slow_calls, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(basic) && status == ATOM_OK; i++)
		status = add(&basic[i]);
	return status;
}

static const void *find_service(const struct atom_host *host, const char *id)
{
	const struct configured *configured = host_private(host);
	const struct service *found = NULL;

	for (size_t i = 0; id != NULL && i < service_count; i++)
		if (strcmp(services[i].id, id) == 0)
			found = &services[i];
	if (found == NULL || (configured->only_init && !found->in_init))
		return NULL;
	return found->table;
}

/* --- who is asking ------------------------------------------------------- */

struct configured *host_private(const struct atom_host *host)
{
	struct configured *configured =
		host != NULL ? host->host_private : NULL;

	if (configured == NULL || configured->magic != CONFIGURED_MAGIC) {
		log_printf(ATOM_LOG_ERROR, "plugin_fault",
			   "a plugin called the host with a pointer that is "
			   "no host, or after its destroy");
		abort();
	}
	return configured;
}

const struct configured *host_configured(const struct atom_host *host)
{
	return host_private(host);
}

void *host_owner(const struct atom_host *host)
{
	return host_private(host)->owner;
}

const char *host_agent(const struct atom_host *host)
{
	const char *agent = host_private(host)->agent;

	return agent != NULL ? agent : "";
}

const char *host_component_name(const struct atom_host *host)
{
	return host_private(host)->name;
}

const char *host_plugin_name(const struct atom_host *host)
{
	return host_private(host)->plugin_name;
}

bool host_thread_fine(bool fine, const struct configured *configured,
		      const char *service)
{
	if (fine)
		return true;
	log_line(ATOM_LOG_ERROR, "plugin_fault",
		 "a plugin called a service on a thread where it may not",
		 LOG_TEXT("plugin", configured->plugin_name),
		 LOG_TEXT("component", configured->name),
		 LOG_TEXT("service", service));
#ifdef ATOMD_DEBUG_THREADS
	abort();
#endif
	return false;
}

/* --- shells -------------------------------------------------------------- */

/* Where relative paths start when nobody says: where the process does. */
static char *working_directory(void)
{
	char path[PATH_MAX];

	return mem_strdup(getcwd(path, sizeof(path)) != NULL ? path : "/");
}

struct configured *configured_shell_new(const char *kind_word, const char *name,
					const char *plugin_name,
					const char *directory)
{
	struct configured *configured = mem_zalloc(sizeof(*configured));

	if (configured == NULL)
		return NULL;
	configured->directory = directory != NULL && directory[0] != '\0'
					? mem_strdup(directory)
					: working_directory();
	if (configured->directory == NULL ||
	    pthread_mutex_init(&configured->lock, NULL) != 0) {
		mem_free(configured->directory);
		mem_free(configured);
		return NULL;
	}
	configured->magic = CONFIGURED_MAGIC;
	configured->host = (struct atom_host){
		.struct_size = sizeof(struct atom_host),
		.abi_major = ATOM_ABI_MAJOR,
		.abi_minor = ATOM_ABI_MINOR,
		.version = PACKAGE_VERSION,
		.directory = configured->directory,
		.service = find_service,
		.host_private = configured,
	};
	(void)snprintf(configured->name, sizeof(configured->name), "%s%s%s",
		       kind_word != NULL ? kind_word : "",
		       kind_word != NULL ? "/" : "", name);
	(void)snprintf(configured->plugin_name, sizeof(configured->plugin_name),
		       "%s", plugin_name);
	configured->loop = loop_current();
	return configured;
}

void configured_shell_free(struct configured **configured)
{
	struct configured *c = *configured;

	if (c == NULL)
		return;
	*configured = NULL;
	c->magic = 0;
	options_free(&c->options);
	(void)pthread_mutex_destroy(&c->lock);
	mem_free(c->agent);
	mem_free(c->directory);
	mem_free(c);
}

atom_status host_for_init(const char *plugin_name,
			  struct configured **configured_r,
			  struct atom_error *err)
{
	struct configured *shell =
		configured_shell_new(NULL, plugin_name, plugin_name, NULL);

	if (shell == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	shell->only_init = true;
	*configured_r = shell;
	return ATOM_OK;
}

atom_status host_for_tests(const char *name, const struct atom_host **host_r)
{
	struct configured *shell = configured_shell_new(NULL, name, name, NULL);

	if (shell == NULL)
		return ATOM_ENOMEM;
	*host_r = &shell->host;
	return ATOM_OK;
}

void host_for_tests_free(const struct atom_host **host)
{
	struct configured *shell;

	if (*host == NULL)
		return;
	shell = host_private(*host);
	*host = NULL;
	host_timers_end(shell);
	configured_shell_free(&shell);
}

/* --- calls into plugins, timed ------------------------------------------- */

int64_t host_call_begin(void)
{
	return os.monotonic_ns();
}

void host_call_end(int64_t began_ns, const struct component *component,
		   const char *function)
{
	int64_t took_ns = os.monotonic_ns() - began_ns;
	const char *values[3] = { NULL };
	char text[160];
	const char *name = text;

	if (took_ns < SLOW_NS || component == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s/%s", component->kind_word,
		       component->name);
	values[0] = name;
	values[1] = function;
	metric_inc(metric_series(slow_calls, values));
	log_line(ATOM_LOG_WARN, "plugin_slow",
		 "a plugin held up its thread for over 50 ms",
		 LOG_TEXT("plugin", name), LOG_TEXT("function", function),
		 LOG_NUMBER("took_ms", took_ns / 1000000));
}
