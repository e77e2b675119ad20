/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/compliance.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compliance/accept.h"
#include "compliance/check.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

#define EVIDENCE_MAX 50
/* How long the key of a run would live if the daemon died in the middle. */
#define PROBE_KEY_MS ((int64_t)10 * 60 * 1000)
/* How long the audit log may take; a sink that hangs is not waited for. */
#define LOG_MS 5000

struct waiter {
	struct waiter *next;
	compliance_done done;
	void *argument;
};

/* The run under way. [control] */
static struct inspection *under_way;

/* --- findings --------------------------------------------------------------------- */

const char *check_status_name(enum check_status status)
{
	static const char *const names[] = { "pass", "fail", "error",
					     "not_applicable", "not_checked" };

	return names[status];
}

void find(struct finding *finding, enum check_status status, const char *format,
	  ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(finding->actual, sizeof(finding->actual), format,
			arguments);
	va_end(arguments);
	/* Or the row would be no JSON: a file's name may be any bytes. */
	text_make_utf8(finding->actual, sizeof(finding->actual));
	finding->status = status;
}

void find_evidence(struct finding *finding, const char *format, ...)
{
	char text[512];
	va_list arguments;

	if (finding->evidence == NULL)
		finding->evidence = json_array();
	if (json_array_size(finding->evidence) >= EVIDENCE_MAX)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	text_make_utf8(text, sizeof(text));
	json_array_append_new(finding->evidence, json_string(text));
}

/* --- the report ------------------------------------------------------------------- */

static json_t *mappings_of(const char *words)
{
	json_t *list = json_array();

	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		if (length > 0)
			json_array_append_new(list,
					      json_stringn(words, length));
		words += length + strspn(words + length, " ");
	}
	return list;
}

static json_t *row_of(const struct check *check, struct finding *finding,
		      const json_t *acceptance)
{
	json_t *row = json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "id", check->id, "title",
		check->title, "status", check_status_name(finding->status),
		"severity", check->severity, "expected", check->expected,
		"actual", finding->actual, "evidence",
		finding->evidence != NULL ? TAKE(finding->evidence)
					  : json_array(),
		"mappings", mappings_of(check->mappings));

	if (acceptance != NULL)
		json_object_set(row, "accepted", (json_t *)acceptance);
	return row;
}

static json_t *report_of(struct inspection *i)
{
	unsigned int counts[CHECK_NOT_CHECKED + 1] = { 0 };
	unsigned int wrong = 0, accepted = 0;
	char now[TEXT_TIME_MAX];
	json_t *rows = json_array();
	json_t *summary = json_object();

	for (size_t n = 0; n < check_count; n++) {
		struct finding *finding = &i->findings[n];
		const json_t *acceptance =
			json_object_get(i->accepted, checks[n].id);
		bool bad = finding->status == CHECK_FAIL ||
			   finding->status == CHECK_ERROR;

		counts[finding->status]++;
		if (bad && acceptance != NULL)
			accepted++;
		else if (bad)
			wrong++;
		json_array_append_new(rows, row_of(&checks[n], finding,
						   bad ? acceptance : NULL));
	}
	for (int s = CHECK_PASS; s <= CHECK_NOT_CHECKED; s++)
		json_object_set_new(summary,
				    check_status_name((enum check_status)s),
				    json_integer(counts[s]));
	json_object_set_new(summary, "accepted", json_integer(accepted));
	text_of_time(os.realtime_ms(), now);
	return json_pack("{s:b,s:s,s:s,s:s,s:o,s:o}", "overall_compliance",
			 wrong == 0, "compliance_level",
			 wrong == 0 && accepted == 0 ? "full" : "partial",
			 "environment", i->config->environment, "time", now,
			 "summary", summary, "checks", rows);
}

/* --- the end ---------------------------------------------------------------------- */

static void inspection_free(struct inspection *i)
{
	for (size_t n = 0; i->findings != NULL && n < check_count; n++)
		json_decref(i->findings[n].evidence);
	for (size_t n = 0; i->addresses != NULL && i->addresses[n] != NULL; n++)
		mem_free(i->addresses[n]);
	mem_free(i->addresses);
	mem_free(i->routes);
	mem_free(i->findings);
	json_decref(i->accepted);
	audit_search_fini(&i->search);
	config_unref(&i->config);
	mem_wipe_free(i, sizeof(*i));
}

/* Tells all who wait; the run is over. */
static void conclude(struct inspection *i, atom_status status,
		     const struct atom_error *err)
{
	json_t *report = status == ATOM_OK ? report_of(i) : NULL;
	struct waiter *waiter;

	if (under_way == i)
		under_way = NULL;
	while ((waiter = i->waiters) != NULL) {
		i->waiters = waiter->next;
		waiter->done(waiter->argument, status, report, err);
		mem_free(waiter);
	}
	json_decref(report);
	inspection_free(i);
}

/* --- the phases -------------------------------------------------------------------- */

static void run_phase(struct inspection *i, enum check_phase phase)
{
	for (size_t n = 0; n < check_count; n++)
		if (checks[n].phase == phase)
			checks[n].run(i, &i->findings[n]);
}

/* [pool] */
static void on_pool(struct work *work)
{
	struct inspection *i = CONTAINER_OF(work, struct inspection, work);

	run_phase(i, i->phase);
}

static void on_revoked(void *argument, atom_status status,
		       const struct atom_error *err);

static void finish_checks(struct inspection *i, atom_status searched)
{
	i->searched = searched;
	if (searched != ATOM_OK && i->search.error.message[0] == '\0')
		atom_fail(&i->search.error, searched,
			  "the audit log cannot be written or searched now");
	run_phase(i, PHASE_CONTROL);
	conclude(i, ATOM_OK, NULL);
}

/* --- the audit log ----------------------------------------------------------------- */

/* A record of a run, durable, and then looked for.  It lives on alone when the
 * log does not answer in time. */
struct trial {
	struct audit_waiter recorded;
	struct audit_search search;
	struct timer deadline;
	struct inspection *inspection; /* NULL once it is not waited for */
};

static void trial_end(struct trial *trial, atom_status status)
{
	struct inspection *i = trial->inspection;

	timer_stop(&trial->deadline);
	if (i != NULL)
		i->search = trial->search; /* its lines, too */
	else
		audit_search_fini(&trial->search);
	mem_free(trial);
	if (i != NULL)
		finish_checks(i, status);
}

static void on_deadline(struct timer *timer)
{
	struct trial *trial = CONTAINER_OF(timer, struct trial, deadline);

	finish_checks(TAKE(trial->inspection), ATOM_EUNAVAILABLE);
}

static void on_searched(struct audit_waiter *waiter, atom_status status)
{
	trial_end(CONTAINER_OF(waiter, struct trial, search.waiter), status);
}

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct trial *trial = CONTAINER_OF(waiter, struct trial, recorded);
	struct audit_search *search = &trial->search;

	if (status == ATOM_OK && trial->inspection != NULL) {
		(void)snprintf(search->query.type, sizeof(search->query.type),
			       "compliance.probe");
		search->query.since_ms = trial->inspection->began_ms;
		search->query.limit = 1;
		search->waiter.loop = loop_control();
		search->waiter.done = on_searched;
		status = audit_search(search);
		if (status == ATOM_OK)
			return;
	}
	trial_end(trial, status);
}

static void try_log(struct inspection *i)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_COMPLIANCE_PROBE);
	struct trial *trial = mem_zalloc(sizeof(*trial));
	atom_status status;

	if (trial == NULL) {
		finish_checks(i, ATOM_ENOMEM);
		return;
	}
	record.user = "compliance";
	audit_text(&record, "id", i->key_id);
	trial->inspection = i;
	trial->recorded.loop = loop_control();
	trial->recorded.done = on_recorded;
	trial->deadline.fire = on_deadline;
	status = audit_post(&record, AUDIT_GATED, &trial->recorded);
	if (status == ATOM_OK)
		(void)timer_set(loop_control(), &trial->deadline, LOG_MS);
	else
		trial_end(trial, status);
}

static void on_phase_done(struct work *work, atom_status status)
{
	struct inspection *i = CONTAINER_OF(work, struct inspection, work);
	struct atom_error err = ATOM_ERROR_INIT;

	if (status != ATOM_OK) {
		atom_fail(&err, status, "the daemon is stopping");
		conclude(i, status, &err);
	} else if (i->phase == PHASE_WITH_KEY) {
		keys_revoke(i->key_id, on_revoked, i);
	} else {
		try_log(i);
	}
}

static void start_phase(struct inspection *i, enum check_phase phase)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	i->phase = phase;
	i->work.run = on_pool;
	i->work.done = on_phase_done;
	status = work_submit(loop_control(), &i->work);
	if (status == ATOM_OK)
		return;
	atom_fail(&err, status, "the daemon is stopping, or has no memory");
	conclude(i, status, &err);
}

static void on_revoked(void *argument, atom_status status,
		       const struct atom_error *err)
{
	struct inspection *i = argument;

	i->revoked = status == ATOM_OK;
	i->revoked_ns = os.monotonic_ns();
	if (!i->revoked)
		log_line(ATOM_LOG_ERROR, "compliance_key",
			 "the key of a compliance run was not revoked",
			 LOG_TEXT("key", i->key_id),
			 LOG_TEXT("error", err->message));
	start_phase(i, PHASE_REVOKED);
}

static void on_key(void *argument, atom_status status, json_t *row,
		   const struct atom_error *err)
{
	struct inspection *i = argument;

	if (status != ATOM_OK) {
		conclude(i, status, err);
		return;
	}
	(void)snprintf(i->key, sizeof(i->key), "%s",
		       json_string_value(json_object_get(row, "key")));
	(void)snprintf(i->key_id, sizeof(i->key_id), "%s",
		       json_string_value(json_object_get(row, "id")));
	start_phase(i, PHASE_WITH_KEY);
}

/* A key that opens no agent, whose record holds the canary. */
static void make_key(struct inspection *i)
{
	static const char *const agents[] = { "compliance-probe", NULL };
	struct key_request request = {
		.role = "caller",
		.agents = agents,
		.expires_ms = os.realtime_ms() + PROBE_KEY_MS,
		.name = i->canary,
		.created_by = "compliance",
		.allowed = UINT32_MAX,
	};

	keys_create(&request, on_key, i);
}

static void on_accepted(void *argument, atom_status status, json_t *accepted,
			const struct atom_error *err)
{
	struct inspection *i = argument;

	if (status != ATOM_OK) {
		conclude(i, status, err);
		return;
	}
	i->accepted = json_incref(accepted);
	make_key(i);
}

/* --- the beginning ------------------------------------------------------------------- */

static atom_status copy_subject(struct inspection *i,
				const struct compliance_subject *subject)
{
	size_t count = 0;

	while (subject->addresses[count] != NULL)
		count++;
	i->addresses = mem_array(count + 1, sizeof(*i->addresses));
	i->routes = mem_array(subject->route_count + 1, sizeof(*i->routes));
	i->findings = mem_array(check_count, sizeof(*i->findings));
	if (i->addresses == NULL || i->routes == NULL || i->findings == NULL)
		return ATOM_ENOMEM;
	for (size_t n = 0; n < count; n++) {
		i->addresses[n] = mem_strdup(subject->addresses[n]);
		if (i->addresses[n] == NULL)
			return ATOM_ENOMEM;
	}
	memcpy(i->routes, subject->routes,
	       subject->route_count * sizeof(*i->routes));
	i->route_count = subject->route_count;
	for (size_t n = 0; n < check_count; n++)
		if (checks[n].phase == PHASE_NEVER)
			find(&i->findings[n], CHECK_NOT_CHECKED,
			     "a matter of the organisation that runs the "
			     "daemon");
	return ATOM_OK;
}

static atom_status plant_canary(struct inspection *i, struct atom_error *err)
{
	uint8_t bytes[12];
	char hex[2 * sizeof(bytes) + 1];

	if (os.random(bytes, sizeof(bytes)) != 0)
		return atom_fail(err, ATOM_EIO, "no randomness for a canary");
	text_to_hex(bytes, sizeof(bytes), hex);
	(void)snprintf(i->canary, sizeof(i->canary), "canary-%s", hex);
	return ATOM_OK;
}

static bool wait_for_report(struct inspection *i, compliance_done done,
			    void *argument)
{
	struct waiter *waiter = mem_zalloc(sizeof(*waiter));

	if (waiter == NULL)
		return false;
	*waiter = (struct waiter){ i->waiters, done, argument };
	i->waiters = waiter;
	return true;
}

void compliance_run(const struct compliance_subject *subject,
		    compliance_done done, void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct inspection *i = under_way;
	atom_status status;

	if (i == NULL) {
		i = mem_zalloc(sizeof(*i));
		if (i != NULL)
			i->config = config_ref(subject->config);
	}
	if (i == NULL || !wait_for_report(i, done, argument)) {
		atom_fail(&err, ATOM_ENOMEM, "no memory for the report");
		if (i != NULL && i != under_way)
			inspection_free(i);
		done(argument, ATOM_ENOMEM, NULL, &err);
		return;
	}
	if (i == under_way)
		return;
	under_way = i;
	i->began_ms = os.realtime_ms();
	status = copy_subject(i, subject);
	if (status != ATOM_OK)
		atom_fail(&err, status, "no memory for the report");
	if (status == ATOM_OK)
		status = plant_canary(i, &err);
	if (status == ATOM_OK)
		accept_read(on_accepted, i);
	else
		conclude(i, status, &err);
}
