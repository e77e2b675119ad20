/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

/*
 * What callers and operators reach: the route table (path, method,
 * permission, handler), the OpenAI surface, the native and the admin API,
 * the API description.  Runs on the loops; what concerns control (admin
 * calls) is posted there and its answer posted back.
 */

#include <stdbool.h>

#include <jansson.h>

#include <atomd/host.h>

#include "config/config.h"
#include "core/buffer.h"
#include "http/server.h"

/* One order to read the configuration again; whoever gives it embeds this.
 * [control] */
struct reload_order {
	struct reload_order *next; /* the daemon's own */
	bool now;
	/* How it went; the order is its giver's again.  ATOM_OK: `result` (the
	 * receiver's) is as agents_apply() gives it.  ATOM_EBUSY: too many
	 * wait.  ATOM_EUNAVAILABLE: the daemon stops.  Any other: nothing has
	 * changed, and `errors` says why (lent). */
	void (*done)(struct reload_order *order, atom_status status,
		     json_t *result, const char *errors);
};

/* What the gateway needs of the daemon around it. [control] */
struct gateway_hooks {
	/* Reads the configuration again, after the orders before this one.
	 * `done` may run within. */
	void (*reload)(struct reload_order *order);
	/* The configuration in force; no reference is taken. */
	struct config *(*config)(void);
	/* The i-th listener's address as it is bound, NULL behind the last. */
	const char *(*address)(size_t i);
};

/* [control] What it offers to plugins; before any is configured. */
atom_status gateway_register_services(void);
/* Checks the route table: a route without a permission row is a bug and
 * fails here. */
atom_status gateway_init(const struct gateway_hooks *hooks,
			 struct atom_error *err);
/* For http_server_new(). */
const struct http_handler *gateway_handler(void);
/* [control] Once a second. */
void gateway_tick(void);
/* The daemon stops: streams that would go on for ever end. [control] */
void gateway_stopping(void);
/* Something happened, for those who watch the overview; the texts are copied.
 * [any] */
void gateway_event(const char *name, const char *agent,
		   const struct atom_span *json);
/* Is some call or answer still under way? [any] */
uint64_t gateway_active(void);
void gateway_fini(void);

#endif
