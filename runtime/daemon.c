/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agents.h"
#include "agent/pool.h"
#include "agent/session.h"
#include "audit/audit.h"
#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/notify.h"
#include "core/os.h"
#include "daemon_priv.h"
#include "gateway/gateway.h"
#include "http/server.h"
#include "monitor/calls.h"
#include "monitor/history.h"
#include "monitor/monitors.h"
#include "plugin/host.h"
#include "plugin/host_process.h"
#include "plugin/registry.h"
#include "http/client.h"
#include "security/encryption.h"
#include "security/principal.h"
#include "state/state.h"

/*
 * The start, in order; each step is told to health and shows in
 * `atomctl status`:
 *
 *	core_orchestrator  configuration, plugins, loops, listeners, store
 *	monitoring_system  metrics, the log
 *	security_layer     keys, roles, peers
 *	health_checks      every agent has its first instances
 *
 * Listeners accept before the last step, so that /healthz and /readyz
 * answer; /readyz says 503 until all of it succeeded.
 */

/* The graceful stop: calls and connections may take this long to end. */
#define DRAIN_MS 30000
/* How long agents may take to start before the start counts as failed. */
#define START_MS 60000
#define TICK_MS	 1000

struct daemon daemon_state;

/* --- reading ----------------------------------------------------------------- */

atom_status daemon_read_config(const struct daemon_options *options,
			       struct config **config_r, struct buffer *errors)
{
	if (options->command != NULL)
		return config_of_command(options->command, options->overrides,
					 options->override_count, config_r,
					 errors);
	return config_load(options->config_path, options->overrides,
			   options->override_count, config_r, errors);
}

atom_status daemon_plugin_directories(const struct config *config,
				      const char ***directories_r,
				      struct atom_error *err)
{
	const char *built_in = getenv("ATOMD_PLUGIN_DIR");
	const char **directories;
	size_t n = 0;

	while (config->plugin_directories[n] != NULL)
		n++;
	directories = mem_array(n + 2, sizeof(*directories));
	if (directories == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	directories[0] = built_in != NULL && built_in[0] != '\0'
				 ? built_in
				 : ATOMD_PLUGIN_DIR;
	memcpy(directories + 1, config->plugin_directories,
	       n * sizeof(*directories));
	*directories_r = directories;
	return ATOM_OK;
}

static atom_status scan_plugins(const struct config *config,
				struct atom_error *err)
{
	const char **directories = NULL;
	atom_status status;

	status = daemon_plugin_directories(config, &directories, err);
	if (status != ATOM_OK)
		return status;
	status = registry_scan(directories, err);
	mem_free(directories);
	return status;
}

static void print_errors(const struct buffer *errors,
			 const struct atom_error *err)
{
	if (errors->length > 0)
		(void)fprintf(stderr, "%.*s", (int)errors->length,
			      errors->bytes);
	else
		(void)fprintf(stderr, "atomd: %s\n",
			      err->message[0] != '\0' ? err->message
						      : "no memory");
}

/* Events are for monitors and for who watches the dashboard. */
static void tell_event(const char *name, const char *agent,
		       const struct atom_span *json)
{
	monitors_event(name, agent, json);
	gateway_event(name, agent, json);
}

/* Everything that -t looks at; what it makes is in daemon_state. */
static atom_status prepare(const struct daemon_options *options, bool check,
			   struct buffer *errors, struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	atom_status status;

	status = daemon_read_config(options, &d->config, errors);
	if (status != ATOM_OK)
		return status;
	status = config_check_names(d->config, errors);
	if (status != ATOM_OK)
		return status;
	/* A check says faults, and nothing of how it went. */
	log_set_level(check ? ATOM_LOG_WARN : d->config->log_level);
	if (d->config->log_journal) {
		status = log_use_journal(err);
		if (status != ATOM_OK)
			return status;
	}
	status = loops_init((unsigned int)d->config->workers, err);
	if (status == ATOM_OK)
		status = metric_init(loops_serving());
	if (status == ATOM_OK)
		status = host_register_basic();
	host_set_event_sink(tell_event);
	if (status == ATOM_OK)
		status = http_client_register(err);
	if (status == ATOM_OK)
		status = host_process_register(err);
	if (status == ATOM_OK)
		status = agents_init(err);
	if (status == ATOM_OK)
		status = gateway_register_services();
	if (status == ATOM_OK)
		status = history_register();
	if (status == ATOM_OK)
		status = calls_register();
	if (status == ATOM_OK)
		status = monitors_register();
	if (status == ATOM_OK)
		status = registry_init(NULL, d->config->plugin_load_in_place,
				       err);
	if (status == ATOM_OK)
		status = scan_plugins(d->config, err);
	if (status == ATOM_OK)
		status = agents_check(d->config, errors);
	if (status == ATOM_OK)
		status = audit_check(d->config, errors);
	if (status == ATOM_OK)
		status = monitors_check(d->config, errors);
	if (status == ATOM_OK)
		status = daemon_check_store(d->config, errors, err);
	if (status == ATOM_OK)
		status = security_check(d->config, err);
	if (status == ATOM_OK)
		status = daemon_check_listeners(NULL, d->config, err);
	return status;
}

int daemon_check(const struct daemon_options *options)
{
	struct buffer errors = BUFFER_INIT((size_t)256 * 1024);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;
	int exit_status;

	log_set_level(ATOM_LOG_WARN);
	status = prepare(options, true, &errors, &err);
	if (status == ATOM_OK)
		status = encryption_read_keys(daemon_state.config, false, &err);
	if (status != ATOM_OK)
		print_errors(&errors, &err);
	else
		(void)fprintf(stderr, "atomd: the configuration%s%s is good\n",
			      options->config_path != NULL ? " " : "",
			      daemon_state.config->path);
	buffer_fini(&errors);
	exit_status = status == ATOM_OK ? EXIT_SUCCESS : EXIT_CONFIG;
	daemon_free(exit_status);
	return exit_status;
}

/* --- what others ask -------------------------------------------------------------- */

static struct config *config_in_force(void)
{
	return daemon_state.config;
}

static const char *address_of(size_t i)
{
	const struct http_server *server = daemon_state.server;

	return i < http_server_listener_count(server)
		       ? http_server_address(server, i)
		       : NULL;
}

/* --- stop ------------------------------------------------------------------------ */

static void one_stopped(void *argument)
{
	struct daemon *d = argument;

	if (--d->stopping > 0)
		return;
	timer_stop(&d->tick);
	monitors_stop();
	daemon_unwatch_plugins();
	daemon_unwatch_signals();
	loops_stop();
}

void daemon_on_terminate(void)
{
	struct daemon *d = &daemon_state;
	int64_t drain_ms = DRAIN_MS;

	if (d->stopping > 0) {
		/* Asked twice: no more patience. */
		log_printf(ATOM_LOG_WARN, "stop_forced",
			   "asked to stop again: calls are cut now");
		daemon_unblock_signals();
		agents_cut();
		return;
	}
	/* Whoever hears of the stop finds it so: no agent takes a call. */
	health_stopping();
	gateway_stopping();
	d->stopping = 2;
	agents_stop(drain_ms, one_stopped, d);
	log_printf(ATOM_LOG_INFO, "stopping",
		   "no new work; calls under way may end for %d s",
		   DRAIN_MS / 1000);
	notify_stopping();
	http_server_drain(d->server, drain_ms + 10000, one_stopped, d);
}

/* --- start ------------------------------------------------------------------------ */

/* The last step of the start; looked at again until it is a success. */
static void check_health(struct daemon *d)
{
	d->healthy = agents_ready();
	health_step("health_checks", d->healthy,
		    d->healthy ? "every agent has its instances"
			       : "some agent has no instance that is ready");
}

void daemon_look(void)
{
	struct daemon *d = &daemon_state;

	agents_measure();
	if (d->started && !d->healthy && agents_ready())
		check_health(d);
}

static void tell_security(atom_status audited, const struct atom_error *why)
{
	struct atom_error keyless = ATOM_ERROR_INIT;
	atom_status known = security_knows_keys(&keyless);

	daemon_state.audit_late = audited == ATOM_ETIMEOUT;
	health_step("security_layer", audited == ATOM_OK && known == ATOM_OK,
		    audited != ATOM_OK ? why->message
		    : known != ATOM_OK ? keyless.message
		    : audit_enabled()  ? "keys, roles and peers are known, "
					 "the audit log is taken up"
				       : "keys, roles and peers are known");
}

/* An audit log that opened late is no reason any more not to be ready. */
static void look_at_audit(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status audited = audit_taken_up(&err);

	if (audited != ATOM_ETIMEOUT)
		tell_security(audited, &err);
}

static void on_tick(struct timer *timer)
{
	struct daemon *d = CONTAINER_OF(timer, struct daemon, tick);

	pool_set_daemon_memory(daemon_memory(d));
	daemon_look();
	audit_tick();
	if (d->audit_late)
		look_at_audit();
	security_tick();
	gateway_tick();
	if (d->watchdog_ms > 0 &&
	    loop_now_ms(loop_control()) >= d->watchdog_next_ms) {
		notify_watchdog();
		d->watchdog_next_ms =
			loop_now_ms(loop_control()) + d->watchdog_ms;
	}
	(void)timer_set(loop_control(), timer,
			d->watchdog_ms > 0 && d->watchdog_ms < TICK_MS
				? d->watchdog_ms
				: TICK_MS);
}

static void on_started(void *argument)
{
	struct daemon *d = argument;

	/* The stop came first, and is what its manager has heard of. */
	if (d->stopping > 0)
		return;
	agents_measure();
	check_health(d);
	d->started = true;
	health_started();
	mem_settle();
	notify_ready("serving");
	log_line(ATOM_LOG_INFO, "ready", "atomd serves",
		 LOG_NUMBER("agents", d->config->agent_count),
		 LOG_NUMBER("loops", loops_serving()));
	daemon_greet();
}

/* Before anything is read from the store.  A key that does not fit is the
 * configuration's fault, not the machine's. */
static atom_status open_keyring(struct daemon *d, struct atom_error *err)
{
	atom_status status = encryption_open(d->config, err);

	if (status != ATOM_OK) {
		d->no_keyring = true;
		health_step("security_layer", false, err->message);
	}
	return status;
}

/* Listeners, store, keys: what must be there before loops run. */
static atom_status open_all(struct daemon *d, struct atom_error *err)
{
	struct atom_error no_store = ATOM_ERROR_INIT;
	static const struct gateway_hooks hooks = { daemon_reload,
						    config_in_force,
						    address_of };
	atom_status status;

	status = gateway_init(&hooks, err);
	if (status == ATOM_OK)
		status = http_server_new(&http_limits_default,
					 gateway_handler(), &d->server, err);
	if (status == ATOM_OK) {
		daemon_make_state_folder(d->config);
		status = daemon_listen(d->config, err);
	}
	if (status == ATOM_OK)
		status = daemon_drop_privileges(d->config, err);
	if (status == ATOM_OK)
		status = daemon_open_store(d->config, err);
	if (status == ATOM_OK)
		status = open_keyring(d, err);
	if (status == ATOM_OK)
		status = session_init();
	if (status != ATOM_OK)
		health_step("core_orchestrator", false, err->message);
	else if (state_attached(&no_store) == ATOM_OK)
		health_step("core_orchestrator", true,
			    "configuration, plugins, listeners and store are "
			    "up");
	else
		health_step("core_orchestrator", true,
			    "configuration, plugins and listeners are up; "
			    "the store is not, see the component state");
	return status;
}

/* Without its audit log the daemon serves, but refuses control actions and is
 * not ready; nor is it where it cannot tell a good key from a bad one. */
static void start_audit(struct daemon *d, atom_status status,
			const struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;

	if (status != ATOM_OK) {
		health_step("security_layer", false, err->message);
		return;
	}
	tell_security(audit_start(d->config, &why), &why);
	daemon_audit_start(d->config);
}

static atom_status start(struct daemon *d, struct atom_error *err)
{
	static const char *const labels[] = { "result", NULL };
	static const char *const results[] = { "ok", "failed" };
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_reloads_total",
		.help = "Times the configuration was read again.",
		.unit = "",
		.label_names = labels,
	};
	uint32_t family;
	atom_status status = open_all(d, err);

	if (status != ATOM_OK)
		return status;
	status = metric_declare(&spec, &family, err);
	for (int i = 0; i < 2 && status == ATOM_OK; i++)
		d->reloads[i] = metric_series(family, &results[i]);
	if (status == ATOM_OK)
		daemon_build_info();
	if (status == ATOM_OK)
		status = daemon_watch_disk(d->config);
	if (status == ATOM_OK && d->config->monitoring_enabled)
		status = daemon_start_history(d->config, err);
	health_step("monitoring_system", status == ATOM_OK,
		    status == ATOM_OK ? "metrics and log are up"
				      : err->message);
	if (status == ATOM_OK)
		status = security_init(err);
	if (status == ATOM_OK)
		status = security_load(err);
	if (status == ATOM_OK)
		status = security_apply(d->config, err);
	start_audit(d, status, err);
	if (status == ATOM_OK)
		status = daemon_watch_signals(err);
	if (status != ATOM_OK)
		return status;
	status = loops_start(err);
	if (status != ATOM_OK) {
		/* What is open on a loop holds up its end. */
		daemon_unwatch_signals();
		return status;
	}
	d->threaded = true;
	(void)agents_apply(d->config, true, NULL, err);
	status = monitors_start(d->config, err);
	if (status != ATOM_OK)
		return status;
	daemon_watch_plugins(d->config);
	http_server_accept(d->server);
	d->watchdog_ms = notify_watchdog_ms();
	d->tick.fire = on_tick;
	on_tick(&d->tick);
	agents_when_started(START_MS, on_started, d);
	return ATOM_OK;
}

int daemon_serve(const struct daemon_options *options)
{
	struct daemon *d = &daemon_state;
	struct buffer errors = BUFFER_INIT((size_t)256 * 1024);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;
	int exit_status = EXIT_SUCCESS;

	d->options = *options;
	d->signals_fd = -1;
	daemon_block_signals();
	status = prepare(options, false, &errors, &err);
	if (status == ATOM_OK)
		status = encryption_read_keys(d->config, true, &err);
	if (status != ATOM_OK) {
		print_errors(&errors, &err);
		exit_status = EXIT_CONFIG;
		goto out;
	}
	status = start(d, &err);
	if (status != ATOM_OK) {
		log_line(ATOM_LOG_ERROR, "start_failed", err.message);
		exit_status = d->no_keyring ? EXIT_CONFIG : EXIT_FAILURE;
		if (!d->threaded)
			goto out;
		/* Agents run on the loops by now: as after a SIGTERM. */
		daemon_on_terminate();
	}
	loops_run_control();
	log_printf(ATOM_LOG_INFO, "stopped", "atomd has stopped");
out:
	buffer_fini(&errors);
	daemon_free(exit_status);
	return exit_status;
}
