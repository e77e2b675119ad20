/* SPDX-License-Identifier: Apache-2.0 */

/*
 * atom.state/1: a plugin's small records, in the bucket `plugin` under
 * KIND.NAME/AGENT/KEY.  A read or write under way holds the component.
 */

#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"
#include "state/state.h"

#define BUCKET "plugin"

struct record_read {
	struct configured *configured;
	void (*done)(void *argument, atom_status status,
		     const struct atom_span *value, uint64_t version);
	void *argument;
};

struct record_write {
	struct configured *configured;
	void (*done)(void *argument, atom_status status, uint64_t version);
	void *argument;
};

/* "backend.openai/summarizer/KEY" */
static atom_status full_key(const struct configured *c, const char *key,
			    char out[ATOM_STORE_KEY_MAX],
			    struct atom_error *err)
{
	char *slash;
	int length;

	if (key == NULL || key[0] == '\0' ||
	    strnlen(key, ATOM_STATE_KEY_MAX + 1) > ATOM_STATE_KEY_MAX)
		return atom_fail(err, ATOM_EINVAL, "a key has 1 to %d bytes",
				 ATOM_STATE_KEY_MAX);
	length = snprintf(out, ATOM_STORE_KEY_MAX, "%s/%s/%s", c->name,
			  c->agent != NULL ? c->agent : "", key);
	if (length >= ATOM_STORE_KEY_MAX)
		return atom_fail(err, ATOM_ELIMIT, "the key is too long");
	slash = strchr(out, '/');
	if (strchr(c->name, '/') != NULL && slash != NULL)
		*slash = '.';
	return ATOM_OK;
}

static atom_status check_thread(const struct configured *c,
				struct atom_error *err)
{
	if (host_thread_fine(loop_current() != NULL, c, ATOM_STATE))
		return ATOM_OK;
	return atom_fail(err, ATOM_ESTATE,
			 "state is asked on an event loop or the control "
			 "thread");
}

static void on_got(void *argument, atom_status status,
		   const struct state_record *record,
		   const struct atom_error *error)
{
	static const struct atom_span nothing = { NULL, 0 };
	struct record_read *job = argument;
	struct configured *c = job->configured;
	int64_t began = host_call_begin();

	(void)error;
	job->done(job->argument, status,
		  record != NULL ? &record->value : &nothing,
		  record != NULL ? record->version : 0);
	host_call_end(began, c->component, "state_done");
	mem_free(job);
	host_release(&c->host);
}

static atom_status get(const struct atom_host *host, const char *key,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_span *value,
				    uint64_t version),
		       void *argument, struct atom_error *err)
{
	struct configured *c = host_private(host);
	char name[ATOM_STORE_KEY_MAX];
	struct record_read *job = NULL;
	atom_status status = check_thread(c, err);

	if (status == ATOM_OK)
		status = full_key(c, key, name, err);
	if (status != ATOM_OK)
		return status;
	job = mem_zalloc(sizeof(*job));
	if (job == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	*job = (struct record_read){ c, done, argument };
	host_hold(host);
	status = state_get(BUCKET, state_text(name), on_got, job, err);
	if (status != ATOM_OK) {
		mem_free(job);
		host_release(host);
	}
	return status;
}

static void on_put(void *argument, atom_status status,
		   const struct state_transaction *transaction,
		   const struct atom_error *error)
{
	struct record_write *job = argument;
	struct configured *c = job->configured;
	int64_t began = host_call_begin();

	(void)error;
	job->done(job->argument, status,
		  status == ATOM_OK ? state_transaction_version(transaction, 0)
				    : 0);
	host_call_end(began, c->component, "state_done");
	mem_free(job);
	host_release(&c->host);
}

static atom_status put(const struct atom_host *host, const char *key,
		       const struct atom_span *value, uint64_t expected_version,
		       void (*done)(void *argument, atom_status status,
				    uint64_t version),
		       void *argument, struct atom_error *err)
{
	struct configured *c = host_private(host);
	struct state_transaction *transaction = NULL;
	char name[ATOM_STORE_KEY_MAX];
	struct record_write *job = NULL;
	bool held = false;
	atom_status status = check_thread(c, err);

	if (status == ATOM_OK)
		status = full_key(c, key, name, err);
	if (status == ATOM_OK && value != NULL &&
	    value->length > ATOM_STATE_VALUE_MAX)
		status = atom_fail(err, ATOM_ELIMIT,
				   "a value has at most %d bytes",
				   ATOM_STATE_VALUE_MAX);
	if (status != ATOM_OK)
		goto out;
	transaction = state_transaction_new();
	job = mem_zalloc(sizeof(*job));
	if (transaction == NULL || job == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
		goto out;
	}
	*job = (struct record_write){ c, done, argument };
	if (value == NULL || value->bytes == NULL)
		status = state_transaction_remove(transaction, BUCKET,
						  state_text(name),
						  expected_version, err);
	else
		status = state_transaction_put(transaction, BUCKET,
					       state_text(name), *value,
					       expected_version, err);
	if (status != ATOM_OK)
		goto out;
	host_hold(host);
	held = true;
	status = state_commit(&transaction, on_put, job, err);
	if (status == ATOM_OK) {
		job = NULL;
		held = false;
	}
out:
	if (held)
		host_release(host);
	state_transaction_free(&transaction);
	mem_free(job);
	return status;
}

const struct atom_state host_state_service = {
	.struct_size = sizeof(struct atom_state),
	.get = get,
	.put = put,
};
