/* SPDX-License-Identifier: Apache-2.0 */
#include "security/lockout_audit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "audit/audit.h"

/* Lock-outs are rare: ten wrong credentials each. */
static struct {
	pthread_mutex_t lock;
	int64_t second;
	unsigned int recorded; /* in that second */
	uint64_t counted;      /* not recorded, not told yet */
} tally = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* May this one have a record of its own? */
static bool is_recorded(int64_t second)
{
	bool recorded;

	(void)pthread_mutex_lock(&tally.lock);
	if (tally.second != second) {
		tally.second = second;
		tally.recorded = 0;
	}
	recorded = tally.recorded < LOCKOUT_AUDIT_EACH_SECOND;
	if (recorded)
		tally.recorded++;
	else
		tally.counted++;
	(void)pthread_mutex_unlock(&tally.lock);
	return recorded;
}

void lockout_audit(const char *address, int64_t locked_ms, int64_t now_ms)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_ADDRESS_LOCKED);

	if (!audit_enabled() || !is_recorded(now_ms / 1000))
		return;
	record.address = address;
	audit_number(&record, "count", 1);
	audit_number(&record, "seconds", locked_ms / 1000);
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

void lockout_audit_tick(void)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_ADDRESS_LOCKED);
	uint64_t count;

	(void)pthread_mutex_lock(&tally.lock);
	count = tally.counted;
	tally.counted = 0;
	(void)pthread_mutex_unlock(&tally.lock);
	if (count == 0)
		return;
	audit_number(&record, "count", (int64_t)count);
	audit_text(&record, "reason", "more of the same second");
	(void)audit_post(&record, AUDIT_SOON, NULL);
}
