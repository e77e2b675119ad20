/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/webhooks.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "agent/rollouts_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "http/client.h"

#define BODY_MAX      (64 * 1024)
#define ANSWER_MAX    (64 * 1024)
#define WAIT_FIRST_MS 1000
#define WAIT_MOST_MS  (5 * 60 * 1000)
#define EXPIRES_MS    (60 * 60 * 1000)

static const char *const events[] = { "before", "step", "after" };

/* One POST of one webhook; `after` stands alone, others are a rollout's. */
struct delivery {
	struct delivery *next;
	struct live *live;     /* NULL: nobody waits */
	struct config *config; /* holds `hook`; a reference */
	const struct config_webhook *hook;
	enum config_webhook_event event;
	int32_t step;
	char id[96];
	struct buffer body;
	struct atom_span span;
	struct atom_http_transfer *transfer;
	int32_t http_status;
	struct timer timer; /* of `after` */
	int64_t made_ms;    /* monotonic */
	int64_t wait_ms;
};

static struct delivery *deliveries;

static int64_t now_ms(void)
{
	return os.monotonic_ns() / 1000000;
}

/* --- what is sent ----------------------------------------------------------------- */

static bool compose(struct delivery *d, const struct live *live)
{
	json_t *json = live_describe(live);
	json_t *body = json_pack("{s:s,s:s,s:s}", "event", events[d->event],
				 "id", d->id, "rollout", live->id);
	static const char *const members[] = { "agent",	 "from",    "to",
					       "phase",	 "weight",  "step",
					       "steps",	 "outcome", "cause",
					       "reason", "analysis" };
	bool done = json != NULL && body != NULL;

	for (size_t i = 0; done && i < ARRAY_SIZE(members); i++)
		done = json_object_set(body, members[i],
				       json_object_get(json, members[i])) == 0;
	done = done && json_encode(body, &d->body) == ATOM_OK;
	json_decref(body);
	json_decref(json);
	d->span = (struct atom_span){ d->body.bytes, d->body.length };
	return done;
}

/* HMAC-SHA-256 over "TIMESTAMP.BODY". */
static bool sign(const struct delivery *d, const char *seconds, char hex[65])
{
	struct buffer text = BUFFER_INIT(BODY_MAX + 64);
	const char *key = d->hook->secret;
	unsigned char out[32];
	unsigned int size = 0;
	bool done;

	buffer_append_text(&text, seconds);
	buffer_append_char(&text, '.');
	done = buffer_append(&text, d->body.bytes, d->body.length) == ATOM_OK &&
	       HMAC(EVP_sha256(), key, (int)strlen(key),
		    (const unsigned char *)text.bytes, text.length, out,
		    &size) != NULL;
	if (done)
		text_to_hex(out, sizeof(out), hex);
	buffer_fini(&text);
	return done;
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error);

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct delivery *d = argument;

	(void)transfer;
	d->http_status = status;
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	(void)argument;
	(void)transfer;
	(void)bytes;
	(void)length;
}

static const struct atom_http_events http_events = {
	.struct_size = sizeof(http_events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

static atom_status start(struct delivery *d, struct atom_error *err)
{
	char key[128], timestamp[64], signature[96], seconds[24], hex[65];
	const char *headers[4] = { "Content-Type: application/json", key };
	struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "POST",
		.url = d->hook->url,
		.headers = headers,
		.header_count = 2,
		.body = &d->span,
		.body_count = 1,
		.total_ms = (int32_t)d->hook->timeout_ms,
		.answer_max = ANSWER_MAX,
	};

	d->http_status = 0;
	(void)snprintf(key, sizeof(key), "Idempotency-Key: %s", d->id);
	if (d->hook->secret[0] != '\0') {
		(void)snprintf(seconds, sizeof(seconds), "%lld",
			       (long long)(os.realtime_ms() / 1000));
		if (!sign(d, seconds, hex))
			return atom_fail(err, ATOM_ENOMEM,
					 "it could not be signed");
		(void)snprintf(timestamp, sizeof(timestamp),
			       "X-Atomd-Timestamp: %s", seconds);
		(void)snprintf(signature, sizeof(signature),
			       "X-Atomd-Signature: v1=%s", hex);
		headers[request.header_count++] = timestamp;
		headers[request.header_count++] = signature;
	}
	return http_client_service()->start(NULL, &request, &http_events, d,
					    &d->transfer, err);
}

/* --- its life ----------------------------------------------------------------------- */

static void delivery_free(struct delivery *d)
{
	struct delivery **at = &deliveries;

	while (*at != NULL && *at != d)
		at = &(*at)->next;
	if (*at == d)
		*at = d->next;
	timer_stop(&d->timer);
	buffer_fini(&d->body);
	config_unref(&d->config);
	mem_free(d);
}

static void complain(const struct delivery *d, const char *why)
{
	log_line(ATOM_LOG_WARN, "webhook_failed", why,
		 LOG_TEXT("webhook", d->hook->url),
		 LOG_TEXT("when", events[d->event]), LOG_TEXT("id", d->id),
		 LOG_NUMBER("status", d->http_status));
}

/* An answer that a rollout waits for. */
static void take_answer(struct delivery *d, const char *failure)
{
	struct live *live = d->live;
	struct live_webhooks *w = &live->webhooks;

	w->open--;
	if (failure != NULL && d->hook->required && w->failed[0] == '\0')
		(void)snprintf(w->failed, sizeof(w->failed),
			       "webhook %.100s, %s: %.90s", d->hook->url,
			       events[d->event], failure);
	if (w->open == 0 && w->failed[0] == '\0') {
		if (d->event == CONFIG_WEBHOOK_BEFORE)
			w->before_done = true;
		else
			w->step_cleared = d->step;
	}
	live_look_after(live, 0);
}

static void try_again(struct timer *timer);

static void retry_later(struct delivery *d)
{
	bool for_good = d->http_status >= 400 && d->http_status < 500 &&
			d->http_status != 408 && d->http_status != 429;

	if (for_good || now_ms() - d->made_ms > EXPIRES_MS) {
		delivery_free(d);
		return;
	}
	d->timer.fire = try_again;
	if (timer_set(loop_control(), &d->timer, d->wait_ms) != ATOM_OK)
		delivery_free(d);
	else if (d->wait_ms < WAIT_MOST_MS)
		d->wait_ms *= 2;
}

static void ended(struct delivery *d, const char *failure)
{
	if (failure != NULL)
		complain(d, failure);
	if (d->event == CONFIG_WEBHOOK_AFTER && failure != NULL) {
		retry_later(d);
		return;
	}
	if (d->live != NULL)
		take_answer(d, failure);
	delivery_free(d);
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct delivery *d = argument;
	char words[64];

	(void)request_sent;
	d->transfer = NULL;
	if (status == ATOM_ECANCELED) {
		delivery_free(d);
	} else if (status != ATOM_OK) {
		ended(d, error != NULL ? error->message : "it failed");
	} else if (d->http_status < 200 || d->http_status > 299) {
		(void)snprintf(words, sizeof(words),
			       "expected a status of 2xx, found %d",
			       d->http_status);
		ended(d, words);
	} else {
		ended(d, NULL);
	}
}

static void try_again(struct timer *timer)
{
	struct delivery *d = CONTAINER_OF(timer, struct delivery, timer);
	struct atom_error err = ATOM_ERROR_INIT;

	if (start(d, &err) != ATOM_OK)
		ended(d, err.message);
}

static void post(struct live *live, const struct config_webhook *hook,
		 enum config_webhook_event event, int32_t step)
{
	struct delivery *d = mem_zalloc(sizeof(*d));
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (d == NULL) {
		if (event == CONFIG_WEBHOOK_AFTER)
			return;
		live->webhooks.open--;
		(void)snprintf(live->webhooks.failed,
			       sizeof(live->webhooks.failed),
			       "no memory to ask webhook %.100s", hook->url);
		return;
	}
	d->next = deliveries;
	deliveries = d;
	d->live = event == CONFIG_WEBHOOK_AFTER ? NULL : live;
	d->config = config_ref(live->config);
	d->hook = hook;
	d->event = event;
	d->step = step;
	buffer_init(&d->body, BODY_MAX);
	d->made_ms = now_ms();
	d->wait_ms = WAIT_FIRST_MS;
	(void)snprintf(d->id, sizeof(d->id), "%s.%d.%s.%d", live->id,
		       live->state->at.attempt, events[event], step);
	status = compose(d, live) ? start(d, &err)
				  : atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status != ATOM_OK)
		ended(d, err.message);
}

/* --- a rollout's rounds ----------------------------------------------------------------- */

static const struct config_webhooks *hooks_of(const struct live *live)
{
	return &live->settings->deployment.webhooks;
}

static bool wanted(const struct live *live, enum config_webhook_event event)
{
	const struct config_webhooks *hooks = hooks_of(live);

	for (size_t i = 0; i < hooks->count; i++)
		if ((hooks->list[i].when & 1u << event) != 0)
			return true;
	return false;
}

static void ask_all(struct live *live, enum config_webhook_event event,
		    int32_t step)
{
	const struct config_webhooks *hooks = hooks_of(live);

	/* All of them count before the first can answer. */
	for (size_t i = 0; i < hooks->count; i++)
		live->webhooks.open +=
			(hooks->list[i].when & 1u << event) != 0 &&
			event != CONFIG_WEBHOOK_AFTER;
	for (size_t i = 0; i < hooks->count; i++)
		if ((hooks->list[i].when & 1u << event) != 0)
			post(live, &hooks->list[i], event, step);
}

/* What an earlier process was told: what it did says so. */
static void recall(struct live *live)
{
	const struct rollout_position *at = &live->state->at;
	struct live_webhooks *w = &live->webhooks;

	w->began = true;
	w->attempt = at->attempt;
	w->before_done = at->new_asked > 0 || at->hold;
	w->step_cleared =
		at->weight_reached > 0 && at->weight_reached == at->weight_asked
			? at->step
			: -1;
	w->failed[0] = '\0';
	w->after_sent = at->outcome != ROLLOUT_OPEN;
}

static bool asked_before(struct live *live, struct rollout_seen *seen)
{
	struct live_webhooks *w = &live->webhooks;

	if (w->before_done || !wanted(live, CONFIG_WEBHOOK_BEFORE))
		return true;
	/* Not while it may not begin anyway. */
	if (seen->frozen == NULL && w->open == 0)
		ask_all(live, CONFIG_WEBHOOK_BEFORE, 0);
	if (seen->frozen == NULL)
		seen->frozen = "a webhook has to answer before it begins";
	return false;
}

static void ask_step(struct live *live, struct rollout_seen *seen)
{
	const struct rollout_position *at = &live->state->at;
	int32_t step = rollout_step_to_clear(live->state);
	struct live_webhooks *w = &live->webhooks;

	if (!wanted(live, CONFIG_WEBHOOK_STEP))
		return;
	/* The strategy has said what its step is. */
	if (step >= 0 && step != w->step_cleared && w->open == 0 &&
	    seen->frozen == NULL && (at->new_asked > 0 || at->hold))
		ask_all(live, CONFIG_WEBHOOK_STEP, step);
	seen->steps_gated = true;
	seen->step_cleared = w->step_cleared;
}

void webhooks_look(struct live *live, struct rollout_seen *seen)
{
	struct live_webhooks *w = &live->webhooks;

	if (hooks_of(live)->count == 0 ||
	    live->state->at.outcome != ROLLOUT_OPEN)
		return;
	if (!w->began || w->attempt != live->state->at.attempt)
		recall(live);
	if (w->failed[0] == '\0' && asked_before(live, seen))
		ask_step(live, seen);
	if (w->failed[0] == '\0')
		return;
	seen->gate = ROLLOUT_GATE_FAILED;
	seen->gate_cause = "webhook";
	seen->gate_reason = w->failed;
}

void webhooks_follow(struct live *live)
{
	struct live_webhooks *w = &live->webhooks;

	if (live->state->at.outcome == ROLLOUT_OPEN || !w->began ||
	    w->after_sent)
		return;
	w->after_sent = true;
	webhooks_end(live);
	ask_all(live, CONFIG_WEBHOOK_AFTER, 0);
}

void webhooks_end(struct live *live)
{
	struct delivery *d, *next;

	for (d = deliveries; d != NULL; d = next) {
		next = d->next;
		if (d->live != live)
			continue;
		d->live = NULL;
		if (d->transfer != NULL)
			http_client_service()->cancel(d->transfer);
	}
	live->webhooks.open = 0;
}

void webhooks_stop(void)
{
	struct delivery *d;

	while ((d = deliveries) != NULL) {
		d->live = NULL;
		if (d->transfer != NULL)
			http_client_service()->cancel(d->transfer);
		else
			delivery_free(d);
	}
}
