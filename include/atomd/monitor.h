/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_MONITOR_H
#define ATOMD_MONITOR_H

/*
 * atom.monitor/1: is told what happens, may raise alerts and annotate; it
 * cannot veto.  The host may drop what a slow monitor does not take, and
 * counts it.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atom_monitor_event {
	uint32_t struct_size;
	int32_t severity;	  /* ATOM_LOG_* */
	int64_t time_ms;	  /* Unix time */
	uint64_t sequence;	  /* gaps were dropped */
	const char *name;	  /* stable word: "instance.lost" */
	const char *agent;	  /* "" = none */
	struct atom_span details; /* one JSON object */
};

/* One series at the time of a snapshot. */
struct atom_metric_value {
	uint32_t struct_size;
	int32_t type;	    /* ATOM_METRIC_* */
	const char *name;   /* family */
	const char *labels; /* `a="b",c="d"`, Prometheus escaping; "" */
	double value;	    /* histograms: the sum */
	uint64_t count;	    /* histograms: observations */
	const char *help;   /* of the family */
	/* Counters, histograms: they began at 0 then, Unix time; 0: not known.
	 * A series that goes and comes again begins again. */
	int64_t since_ms;
	/* Histograms: the upper bound of each bucket, rising, but of the last
	 * one, which has none; and the observations in each bucket alone, of
	 * which `count` is the sum.  Else NULL and 0. */
	size_t bound_count;
	const double *bounds;	/* bound_count */
	const uint64_t *counts; /* bound_count + 1 */
};

struct atom_metric_snapshot {
	uint32_t struct_size;
	uint32_t value_stride;
	int64_t time_ms;
	const void *values; /* struct atom_metric_value, by value_stride */
	size_t value_count;
};

/* How an alert is. */
enum {
	ATOM_ALERT_RESOLVED = 0, /* also a pending one that will not fire */
	ATOM_ALERT_FIRING = 1,
	ATOM_ALERT_PENDING = 2 /* would fire if it went on */
};

struct atom_alert {
	uint32_t struct_size;
	int32_t state;	      /* ATOM_ALERT_* */
	const char *name;     /* printable, below ATOM_ALERT_NAME_MAX bytes */
	const char *severity; /* "critical" "warning" "info" */
	const char *agent;    /* "" = none */
	const char *message;
	double value;
	double threshold;
	int64_t since_ms; /* in this state, Unix time; 0: now */
	/* Name and value by turns, NULL-ended; NULL: none.  At most 4 KiB. */
	const char *const *labels;
	const char *const *annotations; /* the same, 8 KiB */
};

#define ATOM_ALERT_NAME_MAX 128	 /* bytes with the NUL */
#define ATOM_SILENCE_ID_MAX 40	 /* the same */
#define ATOM_ANNOTATION_MAX 4096 /* bytes of its text that are kept */

/* A note for people.  Its text may come from anywhere: what is no printable
 * UTF-8 or line end is replaced, and nothing is done by what it says. */
struct atom_annotation {
	uint32_t struct_size;
	uint32_t flags;	   /* 0 */
	const char *agent; /* beside which it stands; "" = none */
	const char *alert; /* name of the alert it stands beside; "" = none */
	const char *text;
	/* "sha256:HEX" of what an agent was asked for it; "" = none was. */
	const char *prompt_hash;
};

#define ATOM_MONITOR_HOST "atom.monitor-host/1"

struct atom_monitor_host {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] Raise, change or resolve: the same name, agent and labels are
	 * one alert.  At most 2,000 are kept; what is wrong is logged. */
	void (*alert)(const struct atom_host *host,
		      const struct atom_alert *alert);
	/* [any] Shown beside the agent and the alert, kept over restarts (the
	 * newest 200 of all monitors), and recorded. */
	void (*annotate)(const struct atom_host *host,
			 const struct atom_annotation *annotation);
	/* [any] 1: people want to hear nothing of this alert now; id_r is the
	 * silence's.  Who tells others of alerts asks each time.  Its state
	 * and value do not matter. */
	int32_t (*silenced)(const struct atom_host *host,
			    const struct atom_alert *alert,
			    char id_r[ATOM_SILENCE_ID_MAX]);
};

struct atom_monitor_ops {
	ATOM_OPS_HEAD;
	/* [pool] in order; NULL: not wanted. */
	void (*event)(void *self, const struct atom_monitor_event *event);
	/* [pool] after each sample of the history (atomd/history.h), which
	 * stands at a whole multiple of `raw_every_ms`; NULL: not wanted. */
	void (*metrics)(void *self,
			const struct atom_metric_snapshot *snapshot);
};

#ifdef __cplusplus
}
#endif

#endif
