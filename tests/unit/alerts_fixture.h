/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_FIXTURE_H
#define ALERTS_FIXTURE_H

/*
 * monitor/alerts as the daemon loads it, between a history, a clock and an
 * HTTP client that are played here: one rule file, one receiver, and a series
 * `load{agent="a"}` that is what the test says.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/host.h>

#include "plugins/monitor/alerts/receiver.h"

#define KEY	 "s3cret" /* that messages are signed with */
#define STEP_MS	 15000
#define TEXT_MAX 65536

/* As in alerts_priv.h, which a plugin's user does not see. */
struct options {
	struct atom_strings rules;
	int64_t interval;
	int64_t repeat;
	struct atom_groups receivers;
};

/* What the next open_monitor() is given, and the one receiver in it. */
extern struct options options;
extern const struct receiver_options receiver;
/* Of the configuration, with the rule file in it. */
extern char folder[];

struct alerts_host {
	int64_t now_ms;
	double load; /* of the one series */
	char log[TEXT_MAX];
	char told[TEXT_MAX];  /* alerts, as the daemon hears them */
	char pairs[TEXT_MAX]; /* labels, annotations and age of the last */
	const char *silenced; /* severity of those that are, or NULL */
	void (*fire)(void *argument);
	void *fire_argument;
	char *stored;
	atom_status put_status; /* what the store says to a put */
	/* the HTTP client */
	char url[256];
	char ca_file[256];
	char body[TEXT_MAX];
	char headers[TEXT_MAX];
	int requests;
	const struct atom_http_events *events;
	void *events_argument;
	bool cancelled;
};

extern struct alerts_host host_state;

/* A test's init and fini; between them the monitor is open. */
void set_up(void);
void tear_down(void);

/* Another rule file, taken up with the next step. */
void write_rules(const char *text);
void open_monitor(void);
void close_monitor(void);

/* One interval later, with this load. */
void step(double load);
/* The monitor's timer, now. */
void fire_timer(void);
/* Ends the transfer with this answer. */
void answer(int32_t status);

/* What the daemon heard in the last step. */
void told_is(const char *expected);

#endif
