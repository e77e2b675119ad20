/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/refusal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/control.h"
#include "gateway/reply.h"

#define EACH_SECOND 10
#define ADDRESSES   1024
/* A sink that hangs is not waited for. */
#define DEADLINE_MS 5000

/* --- how many of one address --------------------------------------------------- */

struct place {
	char address[ADDRESS_TEXT_MAX]; /* "" = free */
	int64_t second;
	unsigned int recorded;
	uint64_t counted; /* not recorded, not told yet */
};

/* The last place is for those that find no other.  Only who is refused takes
 * the lock, for some ten nanoseconds. */
static struct place places[ADDRESSES + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* FNV-1a. */
static size_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return (size_t)(hash % ADDRESSES);
}

/* [lock held] Its own place, a free one, or one that has nothing to tell. */
static struct place *place_of(const char *address, int64_t second)
{
	size_t at = hash_of(address);

	for (size_t i = 0; i < 8; i++) {
		struct place *p = &places[(at + i) % ADDRESSES];

		if (strcmp(p->address, address) == 0)
			return p;
		if (p->address[0] == '\0' ||
		    (p->second < second && p->counted == 0)) {
			memset(p, 0, sizeof(*p));
			(void)snprintf(p->address, sizeof(p->address), "%s",
				       address);
			return p;
		}
	}
	return &places[ADDRESSES];
}

/* May this one have a record of its own? */
static bool is_recorded(const char *address)
{
	const int64_t second = os.monotonic_ns() / 1000000000;
	struct place *p;
	bool recorded;

	(void)pthread_mutex_lock(&lock);
	p = place_of(address, second);
	if (p->second != second) {
		p->second = second;
		p->recorded = 0;
	}
	recorded = p != &places[ADDRESSES] && p->recorded < EACH_SECOND;
	if (recorded)
		p->recorded++;
	else
		p->counted++;
	(void)pthread_mutex_unlock(&lock);
	return recorded;
}

static void tell(struct place *p)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_LOGIN_FAILED);
	char address[ADDRESS_TEXT_MAX];
	uint64_t count;

	(void)pthread_mutex_lock(&lock);
	count = p->counted;
	p->counted = 0;
	memcpy(address, p->address, sizeof(address));
	(void)pthread_mutex_unlock(&lock);
	if (count == 0)
		return;
	record.address = address;
	audit_number(&record, "count", (int64_t)count);
	audit_text(&record, "reason", "more of the same second");
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

void refusals_tick(void)
{
	for (size_t i = 0; i <= ADDRESSES; i++)
		tell(&places[i]);
}

/* --- one ----------------------------------------------------------------------- */

struct refusal {
	struct audit_waiter waiter;
	struct timer deadline;
	struct http_request *request; /* NULL once answered or gone */
	struct api_error error;
};

static void on_gone(struct http_request *request)
{
	struct refusal *r = http_user(request);

	timer_stop(&r->deadline);
	r->request = NULL;
	http_request_release(request);
}

bool refusal_is_pending(const struct http_request *request)
{
	return http_user(request) != NULL;
}

static void answer(struct refusal *r)
{
	struct http_request *request = TAKE(r->request);

	timer_stop(&r->deadline);
	if (request != NULL)
		reply_error(request, &r->error);
}

static void on_deadline(struct timer *timer)
{
	answer(CONTAINER_OF(timer, struct refusal, deadline));
}

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct refusal *r = CONTAINER_OF(waiter, struct refusal, waiter);

	/* Whether it could be recorded or not: nobody is let in. */
	(void)status;
	answer(r);
	mem_free(r);
}

static void describe(struct audit_record *record,
		     const struct http_request *request,
		     const struct admission *a, const char *agent,
		     const struct api_error *e)
{
	record->event =
		e->status == 401 ? AUDIT_LOGIN_FAILED : AUDIT_ACCESS_DENIED;
	record->address = http_client_address(request);
	record->request_id = http_request_id(request);
	audit_text(record, "agent", agent);
	audit_text(record, "code", e->code);
	audit_text(record, "method", http_method(request));
	if (e->status == 401)
		audit_text(record, "reason",
			   http_field(request, "authorization") != NULL
				   ? "credential refused"
				   : "no credential");
	if (a != NULL && a->principal.name[0] != '\0') {
		record->user = a->principal.name;
		audit_text(record, "role", a->principal.role);
	}
	/* The row's pattern: the path is a stranger's text. */
	if (a != NULL && a->route != NULL)
		audit_text(record, "route", a->route->pattern);
	audit_number(record, "status", e->status);
}

void refusal_answer(struct http_request *request, const struct admission *a,
		    const char *agent, const struct api_error *e)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_NONE);
	struct refusal *r;

	if ((e->status != 401 && e->status != 403) || !audit_enabled() ||
	    !is_recorded(http_client_address(request))) {
		reply_error(request, e);
		return;
	}
	describe(&record, request, a, agent, e);
	r = mem_zalloc(sizeof(*r));
	if (r == NULL) {
		(void)audit_post(&record, AUDIT_SOON, NULL);
		reply_error(request, e);
		return;
	}
	r->request = request;
	r->error = *e;
	r->waiter.loop = http_loop(request);
	r->waiter.done = on_recorded;
	r->deadline.fire = on_deadline;
	if (audit_post(&record, AUDIT_SOON, &r->waiter) != ATOM_OK) {
		mem_free(r);
		reply_error(request, e);
		return;
	}
	http_set_user(request, r);
	http_on_gone(request, on_gone);
	(void)timer_set(http_loop(request), &r->deadline, DEADLINE_MS);
}
