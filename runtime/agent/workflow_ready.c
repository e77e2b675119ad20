/* SPDX-License-Identifier: Apache-2.0 */

/* The last step of a workflow: is there room for it, and does what stands
 * around it hold? */

#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/workflow_priv.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"

#define CERTIFICATE_FAMILY "atomd_tls_certificate_expiry_timestamp_seconds"

/* --- capacity ---------------------------------------------------------------------- */

/* What the new one still needs for the agent's whole size must find room,
 * beside what the strategy gives back of the old one. */
static bool check_capacity(struct workflow *w)
{
	const struct live *live = w->live;
	const struct pool *pool = &live->to->pool;
	int64_t full = agent_desired(live->agent, live->agent->stable);
	int64_t has = atomic_load(&pool->desired);
	int64_t needs, room, back = 0;
	const char *limit = "";

	if (full < 1)
		full = 1;
	needs = full > has ? full - has : 0;
	room = pool_room(pool, &limit);
	/* A strategy that sizes the old one takes from it as it goes. */
	if (live->orders.old_instances != ROLLOUT_SCALED)
		back = atomic_load(&live->from->pool.desired);
	if (needs > 0 && needs > room + back) {
		workflow_say(w,
			     "%lld more instances are needed for all calls, "
			     "there is room for %lld: %.120s",
			     (long long)needs,
			     (long long)(room > 0 ? room + back : back), limit);
		return false;
	}
	workflow_evidence(w,
			  "%lld of %lld instances are there, and there is "
			  "room for %lld more",
			  (long long)has, (long long)full, (long long)needs);
	return true;
}

/* --- certificates -------------------------------------------------------------------- */

struct certificates {
	unsigned int count;
	double first_s; /* when the first of them ends, Unix time */
};

static void look_at_certificate(void *argument, const struct metric_view *view)
{
	struct certificates *c = argument;

	if (strcmp(view->name, CERTIFICATE_FAMILY) != 0)
		return;
	if (c->count++ == 0 || view->value < c->first_s)
		c->first_s = view->value;
}

static bool check_certificates(struct workflow *w)
{
	struct certificates c = { .count = 0 };
	double left_s;

	metric_visit(look_at_certificate, &c);
	left_s = c.first_s - (double)os.realtime_ms() / 1000;
	if (c.count > 0 && left_s <= 0) {
		workflow_say(w, "a listener's certificate has ended %.0f s ago",
			     -left_s);
		return false;
	}
	if (c.count > 0)
		workflow_evidence(w,
				  "of %u certificates of listeners the "
				  "first ends in %.1f days",
				  c.count, left_s / 86400);
	else
		workflow_evidence(w, "no listener has a certificate");
	return true;
}

/* --- the audit log --------------------------------------------------------------------- */

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct workflow_question *question =
		CONTAINER_OF(waiter, struct workflow_question, waiter);
	struct workflow_answer *a = workflow_place(question);

	if (a != NULL)
		a->status = status;
	workflow_answered(question);
}

/* A record of this workflow, made durable by the required sink. */
static enum workflow_verdict check_audit(struct workflow *w)
{
	struct workflow_answer *a = &w->answers[SLOT_AUDIT];
	struct workflow_question *question;
	atom_status status;

	if (!a->put && !audit_enabled()) {
		a->put = a->there = true;
		a->status = ATOM_ENOENT;
		workflow_evidence(w, "no audit sink is configured");
	}
	if (a->there && a->status != ATOM_OK && a->status != ATOM_ENOENT) {
		workflow_say(w, "the required audit sink has not kept a record "
				"of this step");
		return STEP_FAILS;
	}
	if (a->there)
		return STEP_IS_DONE;
	workflow_say(w, "the required audit sink has not answered");
	if (a->put)
		return STEP_GOES_ON;
	question = workflow_ask(w, SLOT_AUDIT);
	if (question == NULL)
		return STEP_GOES_ON;
	question->waiter.loop = loop_control();
	question->waiter.done = on_recorded;
	status = live_record_checked(w->live, &question->waiter);
	if (status != ATOM_OK) {
		a->there = true;
		a->status = status;
		workflow_answered(question);
	}
	return STEP_GOES_ON;
}

/* --- compliance ------------------------------------------------------------------------ */

static bool counts(const json_t *check, enum config_compliance demand)
{
	const char *status = json_text(check, "status", "");

	if ((strcmp(status, "fail") != 0 && strcmp(status, "error") != 0) ||
	    json_object_get(check, "accepted") != NULL)
		return false;
	return demand == CONFIG_COMPLIANCE_ALL ||
	       strcmp(json_text(check, "severity", ""), "critical") == 0;
}

static void weigh_report(struct workflow *w, struct workflow_answer *a,
			 const json_t *report)
{
	const json_t *checks = json_object_get(report, "checks"), *check;
	char failed[160] = "";
	size_t i, length = 0, count = 0;

	json_array_foreach(checks, i, check)
	{
		int n;

		if (!counts(check, workflow_demand(w)))
			continue;
		count++;
		n = snprintf(failed + length, sizeof(failed) - length,
			     "%s%.40s", length > 0 ? ", " : "",
			     json_text(check, "id", "?"));
		length += n > 0 && (size_t)n < sizeof(failed) - length
				  ? (size_t)n
				  : 0;
	}
	a->status = count == 0 ? ATOM_OK : ATOM_EPERM;
	if (count > 0)
		(void)snprintf(a->message, sizeof(a->message),
			       "%zu compliance checks fail: %s", count, failed);
	else
		workflow_evidence(w,
				  "%zu compliance checks have run, none "
				  "that is demanded fails",
				  json_array_size(checks));
}

static void on_report(void *argument, atom_status status, json_t *report,
		      const struct atom_error *err)
{
	struct workflow_question *question = argument;
	struct workflow_answer *a = workflow_place(question);

	if (a != NULL && status == ATOM_OK) {
		weigh_report(question->workflow, a, report);
	} else if (a != NULL) {
		a->status = status;
		(void)snprintf(a->message, sizeof(a->message),
			       "the compliance checks did not run: %.160s",
			       err->message);
	}
	workflow_answered(question);
}

static enum workflow_verdict check_compliance(struct workflow *w)
{
	static const char *const demands[] = {
		[CONFIG_COMPLIANCE_NONE] = "no compliance is demanded",
		[CONFIG_COMPLIANCE_CRITICAL] =
			"no critical compliance check may fail",
		[CONFIG_COMPLIANCE_ALL] = "no compliance check may fail",
	};
	enum config_compliance demand = workflow_demand(w);
	struct workflow_answer *a = &w->answers[SLOT_COMPLIANCE];
	struct workflow_question *question;

	if (demand == CONFIG_COMPLIANCE_NONE || a->there)
		workflow_evidence(w, "environment \"%.60s\": %s",
				  w->live->config->environment,
				  demands[demand]);
	if (demand == CONFIG_COMPLIANCE_NONE)
		return STEP_IS_DONE;
	if (a->there && a->status != ATOM_OK)
		workflow_say(w, "%s", a->message);
	if (a->there)
		return a->status == ATOM_OK ? STEP_IS_DONE : STEP_FAILS;
	workflow_say(w, "the compliance checks run");
	if (a->put)
		return STEP_GOES_ON;
	if (workflow_outside == NULL) {
		workflow_say(w, "nothing here can run the compliance checks");
		return STEP_FAILS;
	}
	question = workflow_ask(w, SLOT_COMPLIANCE);
	if (question != NULL)
		workflow_outside->comply(on_report, question);
	return STEP_GOES_ON;
}

/* --- the step --------------------------------------------------------------------------- */

enum workflow_verdict workflow_readiness(struct workflow *w)
{
	enum workflow_verdict verdict;

	/* What is looked at on the spot, once. */
	if (!w->answers[SLOT_AUDIT].put &&
	    (!check_capacity(w) || !check_certificates(w)))
		return STEP_FAILS;
	verdict = check_audit(w);
	if (verdict == STEP_IS_DONE)
		verdict = check_compliance(w);
	if (verdict == STEP_IS_DONE)
		workflow_say(w, "there is room, and what is demanded holds");
	return verdict;
}
