/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "audit/verify.h"
#include "compliance/check.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "security/lockout.h"

/* What is recorded, and whether it can still be believed; and what happens to
 * those who try too much. */

/* Regulation (EU) 2024/1689, articles 19(1) and 26(6): logs are kept for six
 * months at least. */
#define RETENTION_MIN_MS ((int64_t)183 * 24 * 3600 * 1000)
/* RFC 5737: an address that is nobody's. */
#define GUESSER	     "192.0.2.1"
#define FAILURES_MAX 10000

static const struct config_component *required_sink(const struct config *config)
{
	for (size_t n = 0; n < config->audit_sink_count; n++)
		if (config->audit_sinks[n].required)
			return &config->audit_sinks[n];
	return NULL;
}

static const char *option_of(const struct config_component *sink,
			     const char *name)
{
	const struct setting *setting = setting_member(sink->options, name);

	return setting != NULL && setting->type == SETTING_STRING
		       ? setting->text
		       : NULL;
}

/* Its record names the key of this run, so that no other is taken for it. */
void check_audit_logging(struct inspection *i, struct finding *f)
{
	const char *line = i->search.lines.bytes;

	if (required_sink(i->config) == NULL) {
		find(f, CHECK_FAIL,
		     "audit_sinks is empty: nothing is recorded");
		return;
	}
	if (i->searched != ATOM_OK) {
		find(f, CHECK_FAIL, "%.400s", i->search.error.message);
		return;
	}
	if (i->search.count == 0 || strstr(line, i->key_id) == NULL) {
		find(f, CHECK_FAIL,
		     "the record of this run is not in the audit log");
		return;
	}
	find_evidence(f, "the log has %llu records",
		      (unsigned long long)i->search.last);
	find_evidence(f, "of this run: %.*s", (int)strcspn(line, "\n"), line);
	find(f, CHECK_PASS, "a record of this run was durable and read back");
}

static void judge_log(const struct verify_result *r, struct finding *f)
{
	find_evidence(f, "%llu records from %llu to %llu are chained",
		      (unsigned long long)r->records,
		      (unsigned long long)r->first,
		      (unsigned long long)r->last);
	find_evidence(f, "signed heads cover 1 to %llu",
		      (unsigned long long)r->signed_records);
	if (r->unread > 0)
		find(f, CHECK_ERROR,
		     "%llu records are sealed; `atomctl audit verify` opens "
		     "them with the keyring",
		     (unsigned long long)r->unread);
	else if (r->verdict != VERIFY_SOUND)
		find(f, CHECK_FAIL, "%s, record %llu: %.300s",
		     verify_verdict_name(r->verdict),
		     (unsigned long long)r->first_bad, r->reason);
	else
		find(f, CHECK_PASS, "all %llu records are sound",
		     (unsigned long long)r->records);
}

void check_audit_integrity(struct inspection *i, struct finding *f)
{
	const struct config_component *sink = required_sink(i->config);
	const char *path = sink != NULL ? option_of(sink, "path") : NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	struct verify_request request = { .path = path };
	struct verify_result result;
	char absolute[4096];

	if (sink == NULL) {
		find(f, CHECK_FAIL, "there is no audit log");
		return;
	}
	if (strcmp(sink->plugin, "file") != 0 || path == NULL) {
		find(f, CHECK_NOT_APPLICABLE,
		     "the sink %s is verified where it keeps its records",
		     sink->plugin);
		return;
	}
	if (path[0] != '/') {
		(void)snprintf(absolute, sizeof(absolute), "%s/%s",
			       i->config->directory, path);
		request.path = absolute;
	}
	if (verify_log(&request, &result, &err) != ATOM_OK) {
		find(f, CHECK_ERROR, "%.400s", err.message);
		return;
	}
	judge_log(&result, f);
	verify_result_fini(&result);
}

void check_audit_outside(struct inspection *i, struct finding *f)
{
	unsigned int outside = 0;

	for (size_t n = 0; n < i->config->audit_sink_count; n++) {
		const struct config_component *sink =
			&i->config->audit_sinks[n];

		if (strcmp(sink->plugin, "http") != 0 &&
		    strcmp(sink->plugin, "syslog") != 0)
			continue;
		outside++;
		find_evidence(f, "sink %s gets every record and signed head",
			      sink->plugin);
	}
	find(f, outside > 0 ? CHECK_PASS : CHECK_FAIL,
	     outside > 0 ? "%u sinks keep a copy elsewhere"
			 : "%u sinks keep a copy elsewhere: who has this "
			   "machine can write the log anew",
	     outside);
}

void check_audit_retention(struct inspection *i, struct finding *f)
{
	const struct config_component *sink = required_sink(i->config);
	const struct setting *setting;
	int64_t ms = 0;

	if (sink == NULL) {
		find(f, CHECK_FAIL, "there is no audit log");
		return;
	}
	setting = setting_member(sink->options, "retention");
	if (setting != NULL && setting->type == SETTING_INT)
		ms = setting->integer;
	else if (setting != NULL && setting->type == SETTING_STRING &&
		 !text_to_duration(setting->text, 1, &ms))
		ms = 1;
	find_evidence(f, "sink %s, retention %lld ms (0: for ever)",
		      sink->plugin, (long long)ms);
	find(f, ms == 0 || ms >= RETENTION_MIN_MS ? CHECK_PASS : CHECK_FAIL,
	     ms == 0 ? "records are kept for ever"
		     : "records are kept for %lld days",
	     (long long)(ms / 86400000));
}

/* --- who tries too much --------------------------------------------------------- */

void check_lockout(struct inspection *i, struct finding *f)
{
	const struct config_lockout *settings = &i->config->lockout;
	int64_t now_ms = os.monotonic_ns() / 1000000;
	struct lockout_verdict verdict = { .locked_ms = 0 };
	int64_t tries = 0;

	if (settings->failures == 0) {
		find(f, CHECK_FAIL, "nothing locks an address out");
		return;
	}
	while (verdict.locked_ms == 0 && tries < settings->failures &&
	       tries < FAILURES_MAX) {
		verdict = lockout_failed(GUESSER, now_ms);
		tries++;
	}
	if (verdict.locked_ms > 0 && !verdict.begun) {
		find_evidence(f,
			      "%s, an address that is nobody's (RFC 5737), is "
			      "locked out for %lld ms more by an earlier run",
			      GUESSER, (long long)verdict.locked_ms);
		find(f, CHECK_PASS,
		     "the address that guessed in an earlier run is still "
		     "locked out");
		return;
	}
	find_evidence(f,
		      "%lld wrong credentials in the name of %s, an address "
		      "that is nobody's (RFC 5737): locked out for %lld ms",
		      (long long)tries, GUESSER, (long long)verdict.locked_ms);
	find(f, verdict.locked_ms > 0 ? CHECK_PASS : CHECK_FAIL,
	     verdict.locked_ms > 0
		     ? "%lld wrong credentials lock an address out"
		     : "%lld wrong credentials do not lock an address out",
	     (long long)tries);
}

void check_rate_limits(struct inspection *i, struct finding *f)
{
	const struct config_limits *key = &i->config->key_limits;
	const struct config_limits *agent = &i->config->agent_limits;
	bool some = key->requests_per_minute > 0 ||
		    key->tokens_per_minute > 0 || key->concurrent > 0 ||
		    agent->requests_per_minute > 0 ||
		    agent->tokens_per_minute > 0 || agent->concurrent > 0;

	find_evidence(f,
		      "of each key: %lld requests, %lld tokens a minute, "
		      "%lld calls at once (0: no limit)",
		      (long long)key->requests_per_minute,
		      (long long)key->tokens_per_minute,
		      (long long)key->concurrent);
	find_evidence(f,
		      "of each agent: %lld requests, %lld tokens a minute, "
		      "%lld calls at once",
		      (long long)agent->requests_per_minute,
		      (long long)agent->tokens_per_minute,
		      (long long)agent->concurrent);
	find(f, some ? CHECK_PASS : CHECK_FAIL,
	     some ? "callers are limited by default"
		  : "no limit of callers is set by default");
}
