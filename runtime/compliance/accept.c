/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/accept.h"

#include <string.h>

#include "compliance/check.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "state/state.h"

#define BUCKET "compliance.accepted"

/* --- reading -------------------------------------------------------------------- */

struct reading {
	void (*done)(void *argument, atom_status status, json_t *accepted,
		     const struct atom_error *err);
	void *argument;
};

static void add_record(json_t *accepted, const struct state_record *record)
{
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *value = NULL;
	int64_t expires_ms;

	if (json_decode(record->value.bytes, record->value.length, &value,
			&err) == ATOM_OK &&
	    text_to_time(json_text(value, "expires", ""), &expires_ms) &&
	    os.realtime_ms() < expires_ms)
		json_object_setn_new(accepted, record->key.bytes,
				     record->key.length, json_incref(value));
	json_decref(value);
}

static void on_scanned(void *argument, atom_status status,
		       const struct state_record *const *records, size_t count,
		       bool more, const struct atom_error *error)
{
	struct reading *reading = argument;
	json_t *accepted = json_object();

	(void)more; /* there are fewer checks than a scan gives */
	for (size_t n = 0; status == ATOM_OK && n < count; n++)
		add_record(accepted, records[n]);
	reading->done(reading->argument, status, accepted, error);
	json_decref(accepted);
	mem_free(reading);
}

void accept_read(void (*done)(void *argument, atom_status status,
			      json_t *accepted, const struct atom_error *err),
		 void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct reading *reading = mem_zalloc(sizeof(*reading));
	atom_status status = ATOM_ENOMEM;

	if (reading != NULL) {
		*reading = (struct reading){ done, argument };
		status = state_scan(BUCKET, state_text(""), state_text(""), 0,
				    on_scanned, reading, &err);
	} else {
		atom_fail(&err, status, "no memory");
	}
	if (status == ATOM_OK)
		return;
	mem_free(reading);
	done(argument, status, NULL, &err);
}

/* --- writing -------------------------------------------------------------------- */

bool compliance_has(const char *id)
{
	for (size_t n = 0; n < check_count; n++)
		if (strcmp(checks[n].id, id) == 0)
			return true;
	return false;
}

static atom_status judge_id(const char *id, struct atom_error *err)
{
	const char **words = mem_array(check_count + 1, sizeof(*words));
	const char *nearest;

	if (words == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	for (size_t n = 0; n < check_count; n++) {
		words[n] = checks[n].id;
		if (strcmp(checks[n].id, id) != 0)
			continue;
		mem_free(words);
		if (checks[n].phase == PHASE_NEVER)
			return atom_fail(err, ATOM_EINVAL,
					 "id: %s is a matter of the "
					 "organisation, there is nothing to "
					 "accept",
					 id);
		return ATOM_OK;
	}
	nearest = text_nearest(id, words);
	atom_fail(err, ATOM_ENOENT, "there is no check '%.64s'%s%s%s", id,
		  nearest != NULL ? "; did you mean '" : "",
		  nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
	mem_free(words);
	return ATOM_ENOENT;
}

struct writing {
	void (*done)(void *argument, atom_status status,
		     const struct atom_error *err);
	void *argument;
};

static void on_written(void *argument, atom_status status,
		       const struct state_transaction *transaction,
		       const struct atom_error *error)
{
	struct writing *writing = argument;

	(void)transaction;
	writing->done(writing->argument, status, error);
	mem_free(writing);
}

static atom_status transaction_of(const struct compliance_acceptance *a,
				  struct state_transaction **transaction_r,
				  struct atom_error *err)
{
	struct buffer text = BUFFER_INIT((size_t)16 * 1024);
	struct state_transaction *t = state_transaction_new();
	char now[TEXT_TIME_MAX], expires[TEXT_TIME_MAX];
	atom_status status = ATOM_ENOMEM;
	json_t *value;

	text_of_time(os.realtime_ms(), now);
	text_of_time(a->expires_ms, expires);
	value = json_pack("{s:s,s:s,s:s,s:s}", "user", a->user, "reason",
			  a->reason, "time", now, "expires", expires);
	if (value != NULL && t != NULL)
		status = json_encode(value, &text);
	if (status == ATOM_OK)
		status = state_transaction_put(
			t, BUCKET, state_text(a->id),
			(struct atom_span){ text.bytes, text.length },
			STATE_ANY, err);
	else
		atom_fail(err, status, "no memory");
	json_decref(value);
	buffer_fini(&text);
	if (status == ATOM_OK)
		*transaction_r = t;
	else
		state_transaction_free(&t);
	return status;
}

void compliance_accept(const struct compliance_acceptance *acceptance,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_error *err),
		       void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct state_transaction *t = NULL;
	struct writing *writing = NULL;
	atom_status status = judge_id(acceptance->id, &err);

	if (status == ATOM_OK)
		status = transaction_of(acceptance, &t, &err);
	if (status == ATOM_OK) {
		writing = mem_zalloc(sizeof(*writing));
		if (writing == NULL)
			status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	}
	if (status == ATOM_OK) {
		*writing = (struct writing){ done, argument };
		status = state_commit(&t, on_written, writing, &err);
	}
	if (status == ATOM_OK) {
		log_line(ATOM_LOG_WARN, "compliance_accepted",
			 "a failed check may pass",
			 LOG_TEXT("check", acceptance->id),
			 LOG_TEXT("user", acceptance->user),
			 LOG_TEXT("reason", acceptance->reason));
		return;
	}
	state_transaction_free(&t);
	mem_free(writing);
	done(argument, status, &err);
}
