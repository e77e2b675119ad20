/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agents.h"
#include "audit/audit.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "daemon_priv.h"
#include "monitor/monitors.h"
#include "plugin/registry.h"
#include "security/encryption.h"
#include "security/principal.h"

/*
 * Reading the configuration again, in steps between which control goes on:
 *
 *	waiting --its turn--> reading --ok--> scanning --ok--> applying --> told
 *	   | too many           | fault         | stop            | fault    ^
 *	   '--------------------'---------------'-----------------'----------'
 *
 * Scanning is the pool's: a new plugin may take its probe's whole deadline.
 * What was read before it is what is applied behind it.  A look through the
 * plugin folders alone, when a file of theirs has changed, takes its turn among
 * the reloads: there is one scan at a time.
 */

#define ERRORS_MAX  ((size_t)256 * 1024)
#define WAITING_MAX 16

static struct {
	struct reload_order *running;
	struct reload_order *waiting; /* the first to come first */
	size_t waiting_count;
	struct config *next;
	struct buffer errors;
	struct reload_order hangup;
	bool hangup_ordered;	   /* SIGHUP's order waits or runs */
	bool hangup_again;	   /* another SIGHUP came while it ran */
	struct reload_order look;  /* at the plugin folders alone */
	bool look_ordered;	   /* it waits or runs */
	bool look_again;	   /* something changed while it ran */
	const char *needs_restart; /* a static word, or NULL */
} reload = { .errors = BUFFER_INIT(ERRORS_MAX) };

static void begin_next(void);

/* --- the end ----------------------------------------------------------------- */

static void tell(struct reload_order *order, atom_status status, json_t *result,
		 const char *errors)
{
	order->done(order, status, result, errors);
}

/* Everybody learns how it went; `err` where no message says it. */
static void finish(atom_status status, json_t *result,
		   const struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	struct reload_order *order = reload.running;
	struct buffer errors = reload.errors;
	const char *said = NULL;

	reload.errors = (struct buffer)BUFFER_INIT(ERRORS_MAX);
	if (status != ATOM_OK && errors.length == 0)
		buffer_printf(&errors, "atomd: %s\n",
			      err->message[0] != '\0' ? err->message
						      : "no memory");
	if (status != ATOM_OK)
		/* There may be no memory to say it in either. */
		said = errors.length > 0 ? errors.bytes : "atomd: no memory\n";
	config_unref(&reload.next);
	if (status == ATOM_OK)
		log_printf(ATOM_LOG_INFO, "reloaded",
			   "the configuration was read again");
	else
		log_line(ATOM_LOG_ERROR, "reload_failed",
			 "the running configuration stays, whole",
			 LOG_TEXT("errors", said));
	metric_inc(d->reloads[status != ATOM_OK]);
	daemon_audit_reload(status == ATOM_OK, reload.needs_restart, &errors);
	health_report("configuration",
		      status == ATOM_OK ? HEALTH_OK : HEALTH_DEGRADED, false,
		      said);
	if (!health_is_stopping())
		notify_ready("serving");
	reload.running = NULL;
	/* Whoever hears of it finds what it has mended. */
	daemon_look();
	tell(order, status, result, said);
	buffer_fini(&errors);
	begin_next();
}

/* --- applying ----------------------------------------------------------------- */

/* The audit log goes back to where it was. */
static void hand_back(struct config *config)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (audit_hand_over(config, &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "audit_not_handed_back", err.message);
}

static atom_status apply(json_t **result_r, struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	struct config *next = reload.next;
	struct config_difference difference;
	atom_status status;

	status = config_check_names(next, &reload.errors);
	if (status == ATOM_OK)
		status = agents_check(next, &reload.errors);
	if (status == ATOM_OK)
		status = audit_check(next, &reload.errors);
	if (status == ATOM_OK)
		status = monitors_check(next, &reload.errors);
	if (status == ATOM_OK)
		status = encryption_read_keys(next, true, err);
	if (status == ATOM_OK)
		status = daemon_check_listeners(d->config, next, err);
	if (status == ATOM_OK)
		status = config_compare(d->config, next, &difference);
	if (status != ATOM_OK)
		return status;
	reload.needs_restart = difference.needs_restart;
	config_difference_fini(&difference);
	status = daemon_add_listeners(next, err);
	if (status != ATOM_OK)
		return status;
	status = audit_hand_over(next, err);
	if (status == ATOM_OK) {
		status = security_apply(next, err);
		if (status != ATOM_OK)
			hand_back(d->config);
	}
	if (status != ATOM_OK) {
		daemon_drop_listeners(next, next->listener_count);
		return status;
	}
	audit_apply(next, &reload.needs_restart);
	if (reload.needs_restart != NULL)
		log_line(ATOM_LOG_WARN, "restart_needed",
			 "a changed key takes effect at the next start only",
			 LOG_TEXT("key", reload.needs_restart));
	encryption_apply(next);
	log_set_level(next->log_level);
	daemon_update_listeners(next);
	if (http_server_reload_tls(d->server, err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "tls_reload_failed", err->message);
	/* What fails from here is an agent's own affair: it is logged, and
	 * the others go on. */
	(void)agents_apply(next, reload.running->now, result_r, err);
	if (reload.needs_restart != NULL)
		json_object_set_new(*result_r, "needs_restart",
				    json_string(reload.needs_restart));
	if (d->config->monitoring_enabled)
		monitors_apply(next);
	config_unref(&d->config);
	d->config = TAKE(reload.next);
	daemon_watch_plugins(d->config);
	return ATOM_OK;
}

static void on_scanned(void *argument, atom_status status)
{
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *result = NULL;

	(void)argument;
	if (health_is_stopping())
		status =
			atom_fail(&err, ATOM_EUNAVAILABLE, "atomd is stopping");
	else if (status != ATOM_OK)
		(void)atom_fail(&err, status,
				"out of memory while plugins were read");
	else
		status = apply(&result, &err);
	finish(status, result, &err);
}

/* --- the beginning ------------------------------------------------------------- */

static void begin(struct reload_order *order)
{
	struct daemon *d = &daemon_state;
	struct atom_error err = ATOM_ERROR_INIT;
	const char **directories = NULL;
	atom_status status;

	reload.running = order;
	reload.needs_restart = NULL;
	notify_reloading();
	status = daemon_read_config(&d->options, &reload.next, &reload.errors);
	if (status == ATOM_OK)
		status = daemon_plugin_directories(reload.next, &directories,
						   &err);
	if (status == ATOM_OK)
		status = registry_scan_start(directories, on_scanned, NULL,
					     &err);
	mem_free(directories);
	if (status != ATOM_OK)
		finish(status, NULL, &err);
}

static void on_looked(void *argument, atom_status status)
{
	struct reload_order *order = reload.running;

	(void)argument;
	reload.running = NULL;
	tell(order, status, NULL, NULL);
	begin_next();
}

static void begin_look(struct reload_order *order)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const char **directories = NULL;
	atom_status status = daemon_plugin_directories(daemon_state.config,
						       &directories, &err);

	reload.running = order;
	if (status == ATOM_OK)
		status =
			registry_scan_start(directories, on_looked, NULL, &err);
	mem_free(directories);
	if (status == ATOM_OK)
		return;
	log_line(ATOM_LOG_ERROR, "plugins_not_looked_at", err.message);
	reload.running = NULL;
	tell(order, status, NULL, NULL);
}

static void begin_next(void)
{
	struct reload_order *order;

	while (reload.running == NULL && (order = reload.waiting) != NULL) {
		reload.waiting = order->next;
		reload.waiting_count--;
		if (health_is_stopping())
			tell(order, ATOM_EUNAVAILABLE, NULL,
			     "atomd is stopping\n");
		else if (order == &reload.look)
			begin_look(order);
		else
			begin(order);
	}
}

void daemon_reload(struct reload_order *order)
{
	struct reload_order **last = &reload.waiting;

	if (reload.waiting_count == WAITING_MAX) {
		tell(order, ATOM_EBUSY, NULL, NULL);
		return;
	}
	while (*last != NULL)
		last = &(*last)->next;
	order->next = NULL;
	*last = order;
	reload.waiting_count++;
	begin_next();
}

/* --- SIGHUP ---------------------------------------------------------------------- */

static void hangup_done(struct reload_order *order, atom_status status,
			json_t *result, const char *errors)
{
	(void)status;
	(void)errors;
	json_decref(result);
	reload.hangup_ordered = reload.hangup_again;
	reload.hangup_again = false;
	if (reload.hangup_ordered)
		daemon_reload(order);
}

void daemon_on_hangup(void)
{
	if (reload.hangup_ordered) {
		/* One that waits will read what is there then. */
		reload.hangup_again = reload.running == &reload.hangup;
		return;
	}
	reload.hangup_ordered = true;
	reload.hangup = (struct reload_order){ .done = hangup_done };
	daemon_reload(&reload.hangup);
}

/* --- plugin folders ---------------------------------------------------------------- */

static void look_done(struct reload_order *order, atom_status status,
		      json_t *result, const char *errors)
{
	(void)status;
	(void)result;
	(void)errors;
	reload.look_ordered = reload.look_again;
	reload.look_again = false;
	if (reload.look_ordered)
		daemon_reload(order);
}

void daemon_on_plugins_changed(void)
{
	if (reload.look_ordered) {
		reload.look_again = reload.running == &reload.look;
		return;
	}
	reload.look_ordered = true;
	reload.look = (struct reload_order){ .done = look_done };
	daemon_reload(&reload.look);
}
