/* SPDX-License-Identifier: Apache-2.0 */

/*
 * monitor/anomaly: what is unusual for its time of day.  All of it runs on the
 * pool, after a sample of the history:
 *
 *	a start   six hours of the days before are read, newest first, each
 *	          15 s, until all `days` are there
 *	5 min     the values of the 5 minutes that have ended are read, kept,
 *	          and judged by score.h against the same hour of other days
 *
 * What is unusual is told to the other monitors (`anomaly.began`,
 * `anomaly.ended`), as a note and as a metric; nobody is paged by it.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atomd/history.h>
#include <atomd/monitor.h>

#include "plugins/monitor/anomaly/baseline.h"
#include "plugins/monitor/anomaly/signal.h"

#define AGENT_MAX   128
#define SIGNALS_MAX 16
#define CATCH_UP    12 /* slots that a late call may still judge: an hour */
#define TEXT_MAX    512
#define USUAL_MAX   (BASELINE_DAYS * (2 * BASELINE_SIDE + 1))

struct anomaly_options {
	struct atom_groups series; /* struct signal */
	int64_t days;
	int64_t least_days;
	double threshold;
	double ewma_threshold;
	int64_t series_max;
};

static const char *const ways[] = { "rate", "share", "mean",
				    "p95",  "level", NULL };

static const struct atom_option signal_table[] = {
	ATOM_OPTION_STRING(struct signal, name, "", ATOM_REQUIRED,
			   "names it in events, notes and metrics"),
	ATOM_OPTION_STRING(struct signal, metric, "", ATOM_REQUIRED,
			   "the metric it is made of; of a histogram without "
			   "_bucket"),
	ATOM_OPTION_CHOICE(struct signal, as, "rate", ways, 0,
			   "what of it: growth of a counter a second, share of "
			   "its codes 5xx, mean or p95 of a histogram, level "
			   "of a gauge"),
	ATOM_OPTION_STRING(struct signal, label, "", 0,
			   "only series with this label, if any"),
	ATOM_OPTION_STRING(struct signal, value, "", 0, "of that label"),
};

static const struct atom_option anomaly_options[] = {
	ATOM_OPTION_GROUPS(struct anomaly_options, series, struct signal,
			   signal_table, 0, SIGNALS_MAX, 0,
			   "what is watched, by agent; empty: requests, share "
			   "of errors, p95 latency, tokens, wait for an "
			   "instance, ready instances"),
	ATOM_OPTION_INT_UNIT(struct anomaly_options, days, "14", 2,
			     BASELINE_DAYS, 0, "days",
			     "how many days back are compared"),
	ATOM_OPTION_INT_UNIT(struct anomaly_options, least_days, "3", 2,
			     BASELINE_DAYS, 0, "days",
			     "nothing is said before the hour is known of so "
			     "many"),
	ATOM_OPTION_FLOAT(struct anomaly_options, threshold, "6", 3, 100, 0,
			  "robust z of two values in a row that is unusual"),
	ATOM_OPTION_FLOAT(struct anomaly_options, ewma_threshold, "3.5", 1, 8,
			  0, "weighted mean of robust z that is unusual"),
	ATOM_OPTION_INT(struct anomaly_options, series_max, "100", 1, 500, 0,
			"series watched at most; each takes 16 KiB for 14 "
			"days"),
};

#define DURATIONS "atomd_request_duration_seconds"

static const struct signal usual_signals[] = {
	{ "requests", "atomd_requests_total", SIGNAL_RATE, "", "" },
	{ "errors", "atomd_requests_total", SIGNAL_SHARE, "", "" },
	{ "latency_p95", DURATIONS, SIGNAL_P95, "", "" },
	{ "tokens", "atomd_tokens_total", SIGNAL_RATE, "", "" },
	{ "queue_wait", "atomd_queue_wait_seconds", SIGNAL_MEAN, "", "" },
	{ "instances", "atomd_instances", SIGNAL_LEVEL, "state", "ready" },
};

/* A signal of an agent. */
struct track {
	size_t signal;
	char agent[AGENT_MAX];
	struct baseline baseline;
	struct course course;
	double calls; /* of the slot that is judged */
	bool shown;   /* it has a series of the metric */
	uint32_t score;
};

struct anomaly {
	const struct atom_host *host;
	const struct anomaly_options *options;
	const struct atom_history *history;
	const struct atom_log *log;
	const struct atom_event *event;
	const struct atom_metric *metric;
	const struct atom_monitor_host *monitors;
	uint32_t scores, begun, failures; /* families; a series */
	const struct signal *signals[SIGNALS_MAX];
	size_t signal_count;
	struct track *tracks;
	size_t track_count, tracks_full;
	int64_t first; /* slot at the start; 0 = not begun */
	int64_t judged;
	int quarters; /* quarters of a day that were read of before */
};

/* --- tracks ------------------------------------------------------------------- */

struct taking {
	struct anomaly *anomaly;
	size_t signal;
	struct track *last;
};

static bool is_track(const struct track *track, size_t signal,
		     const char *agent)
{
	return track->signal == signal && strcmp(track->agent, agent) == 0;
}

/* One that nothing was heard of for all the days gives its place. */
static struct track *old_track(struct anomaly *a)
{
	for (size_t i = 0; i < a->track_count; i++) {
		struct track *track = &a->tracks[i];

		if (a->judged - track->baseline.last >
		    a->options->days * SLOTS_A_DAY) {
			baseline_fini(&track->baseline);
			return track;
		}
	}
	return NULL;
}

static struct track *track_of(struct taking *taking, const char *agent)
{
	struct anomaly *a = taking->anomaly;
	struct track *track = taking->last;

	if (track != NULL && is_track(track, taking->signal, agent))
		return track;
	for (size_t i = 0; i < a->track_count; i++)
		if (is_track(&a->tracks[i], taking->signal, agent))
			return taking->last = &a->tracks[i];
	if (a->track_count < (size_t)a->options->series_max)
		track = &a->tracks[a->track_count];
	else
		track = old_track(a);
	if (track == NULL || strlen(agent) >= AGENT_MAX)
		return NULL;
	*track = (struct track){ .signal = taking->signal };
	(void)snprintf(track->agent, sizeof(track->agent), "%s", agent);
	if (!baseline_init(&track->baseline, (int)a->options->days)) {
		/* A place that others stand behind stays, as an old one. */
		track->signal = SIGNALS_MAX;
		return NULL;
	}
	if (track == &a->tracks[a->track_count])
		a->track_count++;
	return taking->last = track;
}

static void take(void *argument, const char *agent, int64_t slot, double value,
		 double calls)
{
	struct track *track = track_of(argument, agent);

	if (track == NULL)
		return;
	baseline_set(&track->baseline, slot, value);
	track->calls = calls;
}

static void read_slots(struct anomaly *a, int64_t from, int64_t to)
{
	for (size_t i = 0; i < a->signal_count; i++) {
		struct taking taking = { .anomaly = a, .signal = i };
		struct atom_error error = ATOM_ERROR_INIT;

		if (signal_read(a->host, a->history, a->signals[i], from, to,
				(size_t)a->options->series_max, take, &taking,
				&error) == ATOM_OK)
			continue;
		a->log->write(a->host, ATOM_LOG_WARN, "anomaly_unread",
			      error.message,
			      (const struct atom_log_field[]){
				      { "signal", a->signals[i]->name, 0 } },
			      1);
		if (a->metric != NULL)
			a->metric->update(a->host, a->failures, 1);
	}
}

/* --- what is told --------------------------------------------------------------- */

static void show(struct anomaly *a, struct track *track, bool began)
{
	const char *values[] = { a->signals[track->signal]->name,
				 track->agent };
	struct atom_error error = ATOM_ERROR_INIT;
	uint32_t counter;

	if (a->metric == NULL)
		return;
	if (!track->shown &&
	    a->metric->series(a->host, a->scores, values, &track->score,
			      &error) == ATOM_OK)
		track->shown = true;
	if (track->shown)
		a->metric->update(a->host, track->score,
				  course_score(&track->course,
					       a->options->threshold,
					       a->options->ewma_threshold));
	if (began && a->metric->series(a->host, a->begun, values, &counter,
				       &error) == ATOM_OK)
		a->metric->update(a->host, counter, 1);
}

/* Words of configuration, but this is JSON. */
static void append_name(char *out, size_t size, const char *name)
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < size; name++)
		if ((unsigned char)*name >= ' ' && *name != '"' &&
		    *name != '\\')
			out[n++] = *name;
	out[n] = '\0';
}

static void tell(struct anomaly *a, const struct track *track, bool began,
		 double value, double usual)
{
	double score = course_score(&track->course, a->options->threshold,
				    a->options->ewma_threshold);
	char name[AGENT_MAX], agent[AGENT_MAX], text[TEXT_MAX];
	struct atom_span json = { .bytes = text };
	int length;

	append_name(name, sizeof(name), a->signals[track->signal]->name);
	append_name(agent, sizeof(agent), track->agent);
	length = snprintf(text, sizeof(text),
			  "{\"signal\":\"%s\",\"agent\":\"%s\",\"value\":%.6g,"
			  "\"usual\":%.6g,\"score\":%.3g}",
			  name, agent, value, usual, score);
	json.length = (size_t)length;
	if (a->event != NULL && (size_t)length < sizeof(text))
		a->event->publish(a->host,
				  began ? "anomaly.began" : "anomaly.ended",
				  track->agent, &json);
	if (!began || a->monitors == NULL)
		return;
	(void)snprintf(text, sizeof(text),
		       "%s is unusual for this time of day: %.4g, usually "
		       "%.4g (score %.1f)",
		       name, value, usual, score);
	a->monitors->annotate(
		a->host, &(const struct atom_annotation){
				 .struct_size = sizeof(struct atom_annotation),
				 .agent = track->agent,
				 .alert = "",
				 .text = text,
				 .prompt_hash = "",
			 });
}

/* --- judgement -------------------------------------------------------------------- */

static void judge(struct anomaly *a, struct track *track, int64_t slot)
{
	const struct signal *signal = a->signals[track->signal];
	double value = baseline_get(&track->baseline, slot);
	double others[USUAL_MAX];
	enum course_change change;
	struct spread spread = { .scale = 1 };
	size_t count = baseline_usual(&track->baseline, slot,
				      (int)a->options->least_days, others);

	if (isnan(value) || count == 0) {
		change = course_miss(&track->course);
	} else {
		double usual = median(others, count);

		spread = spread_of(others, count,
				   signal_floor(signal, usual, track->calls));
		change = course_step(&track->course, robust_z(&spread, value),
				     a->options->threshold,
				     a->options->ewma_threshold);
	}
	show(a, track, change == COURSE_BEGAN);
	if (change != COURSE_SAME)
		tell(a, track, change == COURSE_BEGAN, isnan(value) ? 0 : value,
		     spread.middle);
}

/* Nothing is known, and nothing unusual any more. */
static void begin_anew(struct anomaly *a)
{
	for (size_t i = 0; i < a->track_count; i++) {
		struct track *track = &a->tracks[i];
		bool unusual = track->course.unusual;

		track->course = (struct course){ 0 };
		if (track->shown)
			show(a, track, false);
		if (unusual)
			tell(a, track, false, 0, 0);
		baseline_fini(&track->baseline);
	}
	a->track_count = 0;
	a->first = 0;
	a->quarters = 0;
}

static void on_metrics(void *self, const struct atom_metric_snapshot *snapshot)
{
	struct anomaly *a = self;
	int64_t now = snapshot->time_ms / SLOT_MS;

	/* A clock that was set back a little waits for what was judged
	 * already; one that was set far on does not judge what is between. */
	if (now < a->judged - CATCH_UP)
		begin_anew(a);
	if (a->first == 0) {
		a->first = now;
		a->judged = now - 1;
	}
	if (now - a->judged > CATCH_UP)
		a->judged = now - CATCH_UP;
	for (; a->judged < now; a->judged++) {
		int64_t slot = a->judged + 1;

		read_slots(a, slot, slot);
		for (size_t i = 0; i < a->track_count; i++)
			if (a->tracks[i].signal < a->signal_count)
				judge(a, &a->tracks[i], slot);
	}
	if (a->quarters < 4 * (int)a->options->days) {
		int64_t to =
			a->first - 1 - (int64_t)a->quarters * SIGNAL_SLOTS_MAX;

		read_slots(a, to - SIGNAL_SLOTS_MAX + 1, to);
		a->quarters++;
	}
}

/* --- life [control] ------------------------------------------------------------------ */

static atom_status declare(struct anomaly *a, struct atom_error *err)
{
	static const char *const labels[] = { "signal", "agent", NULL };
	const struct atom_metric_spec specs[] = {
		{ .struct_size = sizeof(specs[0]),
		  .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_anomaly_score",
		  .help = "How unusual a signal is for its time of day, in "
			  "robust standard deviations.",
		  .unit = "",
		  .label_names = labels },
		{ .struct_size = sizeof(specs[0]),
		  .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_anomalies_total",
		  .help = "Times that a signal became unusual.",
		  .unit = "",
		  .label_names = labels },
		{ .struct_size = sizeof(specs[0]),
		  .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_anomaly_failures_total",
		  .help = "Readings of the history that failed.",
		  .unit = "" },
	};
	uint32_t *families[] = { &a->scores, &a->begun, &a->failures };
	atom_status status = ATOM_OK;

	if (a->metric == NULL)
		return ATOM_OK;
	for (size_t i = 0; i < 3 && status == ATOM_OK; i++)
		status = a->metric->declare(a->host, &specs[i], families[i],
					    err);
	return status == ATOM_OK ? a->metric->series(a->host, a->failures, NULL,
						     &a->failures, err)
				 : status;
}

static void choose_signals(struct anomaly *a)
{
	const struct atom_groups *own = &a->options->series;
	size_t count = own->count > 0 ? own->count
				      : sizeof(usual_signals) /
						sizeof(usual_signals[0]);

	for (size_t i = 0; i < count; i++)
		a->signals[i] =
			own->count == 0
				? &usual_signals[i]
				: (const struct signal
					   *)(const void *)((const char *)
								    own->items +
							    i * own->stride);
	a->signal_count = count;
}

static void destroy(void *self)
{
	struct anomaly *a = self;

	for (size_t i = 0; i < a->track_count; i++)
		baseline_fini(&a->tracks[i].baseline);
	free(a->tracks);
	free(a);
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct anomaly *a = calloc(1, sizeof(*a));
	atom_status status;

	if (a == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	a->host = host;
	a->options = options;
	a->history = atom_service(host, ATOM_HISTORY);
	a->log = atom_service(host, ATOM_LOG);
	a->event = atom_service(host, ATOM_EVENT);
	a->metric = atom_service(host, ATOM_METRIC);
	a->monitors = atom_service(host, ATOM_MONITOR_HOST);
	choose_signals(a);
	a->tracks =
		calloc((size_t)a->options->series_max + 1, sizeof(*a->tracks));
	if (a->tracks == NULL)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	else if (a->history == NULL || a->log == NULL)
		status = atom_fail(err, ATOM_ENOTSUP, "the host has no %s",
				   a->log == NULL ? "log"
						  : "history of metrics");
	else if (a->options->least_days > a->options->days)
		status = atom_fail(err, ATOM_EINVAL,
				   "option `least_days`: expected at most "
				   "`days` (%lld), found %lld",
				   (long long)a->options->days,
				   (long long)a->options->least_days);
	else
		status = declare(a, err);
	if (status == ATOM_OK)
		*self_r = a;
	else
		destroy(a);
	return status;
}

static const struct atom_monitor_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.metrics = on_metrics,
};

ATOM_PLUGIN("anomaly", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_MONITOR, "anomaly",
			   "what is unusual for its time of day", &ops,
			   anomaly_options, struct anomaly_options));
