/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/calls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/id.h"
#include "core/memory.h"
#include "plugin/host.h"

#define READ_AT_ONCE 64

struct kept {
	struct atom_ended_call call; /* its texts are not set */
	char agent[64];
	char revision[24];
	char backend[64];
	char request_id[ID_MAX];
	char trace_id[33];
	char parent_id[17];
	char span_id[17];
	char attempt_id[17];
};

static _Atomic int watchers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* under it */
static struct kept *ring; /* CALLS_KEPT; NULL: nobody has ever watched */
static uint64_t added;	  /* since the start */

bool calls_watched(void)
{
	return atomic_load_explicit(&watchers, memory_order_relaxed) > 0;
}

static void keep(char *out, size_t size, const char *text)
{
	size_t length = strnlen(text, size - 1);

	memcpy(out, text, length);
	out[length] = '\0';
}

void calls_add(const struct atom_ended_call *call)
{
	struct kept one = { .call = *call };

#define KEEP(field) keep(one.field, sizeof(one.field), call->field)
	KEEP(agent);
	KEEP(revision);
	KEEP(backend);
	KEEP(request_id);
	KEEP(trace_id);
	KEEP(parent_id);
	KEEP(span_id);
	KEEP(attempt_id);
#undef KEEP
	(void)pthread_mutex_lock(&lock);
	if (ring != NULL)
		ring[added++ % CALLS_KEPT] = one;
	(void)pthread_mutex_unlock(&lock);
}

static atom_status watch(const struct atom_host *host, int32_t more,
			 struct atom_error *err)
{
	atom_status status = ATOM_OK;

	(void)host;
	(void)pthread_mutex_lock(&lock);
	if (more != 0 && ring == NULL)
		ring = mem_array(CALLS_KEPT, sizeof(*ring));
	if (ring == NULL)
		status = atom_fail(err, ATOM_ENOMEM, "no memory for calls");
	else
		atomic_fetch_add(&watchers, more != 0 ? 1 : -1);
	(void)pthread_mutex_unlock(&lock);
	return status;
}

static size_t copy(struct kept *out, size_t most, uint64_t *cursor,
		   uint64_t *missed)
{
	size_t count = 0;

	(void)pthread_mutex_lock(&lock);
	if (*cursor > added)
		*cursor = added;
	if (added - *cursor > CALLS_KEPT) {
		*missed += added - *cursor - CALLS_KEPT;
		*cursor = added - CALLS_KEPT;
	}
	for (; count < most && *cursor < added; count++)
		out[count] = ring[(*cursor)++ % CALLS_KEPT];
	(void)pthread_mutex_unlock(&lock);
	return count;
}

static void read_calls(const struct atom_host *host, uint64_t *cursor,
		       size_t most,
		       void (*visit)(void *argument,
				     const struct atom_ended_call *call),
		       void *argument, uint64_t *missed_r)
{
	struct kept some[READ_AT_ONCE];
	size_t count = READ_AT_ONCE;

	(void)host;
	*missed_r = 0;
	while (most > 0 && count == READ_AT_ONCE) {
		count = copy(some, most < READ_AT_ONCE ? most : READ_AT_ONCE,
			     cursor, missed_r);
		most -= count;
		for (size_t i = 0; i < count; i++) {
			struct atom_ended_call *call = &some[i].call;

			call->agent = some[i].agent;
			call->revision = some[i].revision;
			call->backend = some[i].backend;
			call->request_id = some[i].request_id;
			call->trace_id = some[i].trace_id;
			call->parent_id = some[i].parent_id;
			call->span_id = some[i].span_id;
			call->attempt_id = some[i].attempt_id;
			visit(argument, call);
		}
	}
}

static const struct atom_calls service = {
	.struct_size = sizeof(service),
	.watch = watch,
	.read = read_calls,
};

atom_status calls_register(void)
{
	return host_register(ATOM_CALLS, &service);
}

void calls_fini(void)
{
	mem_free(TAKE(ring));
	added = 0;
	atomic_store(&watchers, 0);
}
