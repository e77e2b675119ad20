/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/receiver_priv.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_FIRST_MS 1000
#define WAIT_MOST_MS  (5 * 60 * 1000)

static int64_t now_ms(const struct receiver *receiver)
{
	return receiver->clock->monotonic_ns(receiver->host) / 1000000;
}

static void count(const struct receiver *receiver, uint32_t series)
{
	if (receiver->metric != NULL)
		receiver->metric->update(receiver->host, series, 1);
}

static atom_status make_series(struct receiver *receiver, uint32_t family,
			       struct atom_error *err)
{
	const struct {
		const char *result;
		uint32_t *series;
	} rows[] = {
		{ "sent", &receiver->sent },
		{ "failed", &receiver->failed },
		{ "dropped", &receiver->dropped },
	};
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < 3 && status == ATOM_OK; i++) {
		const char *values[] = { receiver->options->name,
					 rows[i].result };

		status = receiver->metric->series(receiver->host, family,
						  values, rows[i].series, err);
	}
	return status;
}

atom_status receiver_init(struct receiver *receiver,
			  const struct atom_host *host,
			  const struct receiver_options *options,
			  uint32_t family, struct atom_error *err)
{
	bool has_url = *options->url != '\0';
	atom_status status;

	*receiver = (struct receiver){
		.kind = has_url ? &receiver_http : &receiver_exec,
		.host = host,
		.log = atom_service(host, ATOM_LOG),
		.clock = atom_service(host, ATOM_CLOCK),
		.metric = atom_service(host, ATOM_METRIC),
		.options = options,
		.wait_ms = WAIT_FIRST_MS,
	};
	(void)pthread_mutex_init(&receiver->lock, NULL);
	if (receiver->clock == NULL)
		return atom_fail(err, ATOM_ENOTSUP, "the host has no clock");
	if (has_url == (options->command.count > 0))
		return atom_fail(err, ATOM_EINVAL,
				 "receiver %s: expected either `url` or "
				 "`command`, found %s",
				 options->name, has_url ? "both" : "neither");
	status = receiver->kind->init(receiver, err);
	return status == ATOM_OK && receiver->metric != NULL
		       ? make_series(receiver, family, err)
		       : status;
}

void receiver_fini(struct receiver *receiver)
{
	receiver->kind->fini(receiver);
	free(receiver->sending.body);
	for (size_t i = 0; i < receiver->count; i++)
		free(receiver->queue[(receiver->first + i) % RECEIVER_QUEUE_MAX]
			     .body);
	(void)pthread_mutex_destroy(&receiver->lock);
}

void receiver_add(struct receiver *receiver, char *body, size_t alerts,
		  size_t firing)
{
	struct receiver_message *place;

	(void)pthread_mutex_lock(&receiver->lock);
	if (receiver->count == RECEIVER_QUEUE_MAX) {
		free(receiver->queue[receiver->first].body);
		receiver->first = (receiver->first + 1) % RECEIVER_QUEUE_MAX;
		receiver->count--;
		count(receiver, receiver->dropped);
	}
	place = &receiver->queue[(receiver->first + receiver->count++) %
				 RECEIVER_QUEUE_MAX];
	*place = (struct receiver_message){
		.body = body,
		.length = strlen(body),
		.count = alerts,
		.firing = firing,
		.made_ms = now_ms(receiver),
	};
	(void)pthread_mutex_unlock(&receiver->lock);
}

/* --- what the receiver says -------------------------------------------------------- */

static void complain(const struct receiver *receiver, const char *why,
		     const char *output, bool given_up)
{
	const struct atom_log_field fields[] = {
		{ "receiver", receiver->options->name, 0 },
		{ "status", NULL, receiver->status },
		{ "given_up", given_up ? "yes" : "no", 0 },
		{ "output", output, 0 },
	};

	if (receiver->log != NULL)
		receiver->log->write(receiver->host, ATOM_LOG_WARN,
				     "alert_not_delivered", why, fields,
				     output != NULL ? 4 : 3);
}

static void finish(struct receiver *receiver)
{
	free(receiver->sending.body);
	receiver->sending.body = NULL;
}

void receiver_sent(struct receiver *receiver)
{
	receiver->busy = false;
	count(receiver, receiver->sent);
	finish(receiver);
	receiver->due_ms = 0;
	receiver->wait_ms = WAIT_FIRST_MS;
}

void receiver_failed(struct receiver *receiver, const char *why,
		     const char *output, bool for_good)
{
	bool first = receiver->wait_ms == WAIT_FIRST_MS;
	bool old = now_ms(receiver) - receiver->sending.made_ms >
		   RECEIVER_EXPIRES_MS;

	receiver->busy = false;
	/* What it says is said once, until a message gets there. */
	complain(receiver, why, first ? output : NULL, for_good || old);
	count(receiver, receiver->failed);
	if (for_good || old) {
		count(receiver, receiver->dropped);
		finish(receiver);
	}
	receiver->due_ms = now_ms(receiver) + receiver->wait_ms;
	receiver->wait_ms = receiver->wait_ms * 2 < WAIT_MOST_MS
				    ? receiver->wait_ms * 2
				    : WAIT_MOST_MS;
}

void receiver_pump(struct receiver *receiver)
{
	if (receiver->busy || now_ms(receiver) < receiver->due_ms)
		return;
	if (receiver->sending.body == NULL) {
		(void)pthread_mutex_lock(&receiver->lock);
		if (receiver->count > 0) {
			receiver->sending = receiver->queue[receiver->first];
			receiver->first =
				(receiver->first + 1) % RECEIVER_QUEUE_MAX;
			receiver->count--;
		}
		(void)pthread_mutex_unlock(&receiver->lock);
	}
	if (receiver->sending.body == NULL)
		return;
	receiver->busy = true;
	receiver->status = 0;
	receiver->kind->begin(receiver);
}
