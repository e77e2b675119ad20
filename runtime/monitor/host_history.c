/* SPDX-License-Identifier: Apache-2.0 */

/* atom.history/1 for plugins. */

#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "monitor/history.h"
#include "plugin/host.h"

/* A query as the plugin knew it, with what it knew not as 0. */
static struct atom_history_query whole(const struct atom_history_query *query)
{
	struct atom_history_query q = { 0 };

	memcpy(&q, query,
	       query->struct_size < sizeof(q) ? query->struct_size : sizeof(q));
	q.struct_size = sizeof(q);
	return q;
}

static atom_status on_pool(const struct atom_host *host, struct atom_error *err)
{
	(void)host_configured(host);
	return loop_current() == NULL
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ESTATE,
				   "the history is read on a thread that may "
				   "wait, not on an event loop");
}

static void extent(const struct atom_host *host,
		   struct atom_history_extent *extent_r)
{
	struct atom_history_extent e;
	uint32_t size = extent_r->struct_size;

	(void)host_configured(host);
	history_extent(&e);
	if (size < sizeof(e))
		e.struct_size = size;
	memcpy(extent_r, &e, size < sizeof(e) ? size : sizeof(e));
}

static atom_status read_samples(const struct atom_host *host,
				const struct atom_history_query *query,
				atom_history_visit visit, void *argument,
				struct atom_error *err)
{
	const struct atom_history_query q = whole(query);
	atom_status status = on_pool(host, err);

	return status == ATOM_OK ? history_read(&q, visit, argument, err)
				 : status;
}

static atom_status list_series(const struct atom_host *host,
			       const struct atom_history_query *query,
			       atom_history_visit visit, void *argument,
			       struct atom_error *err)
{
	const struct atom_history_query q = whole(query);
	atom_status status = on_pool(host, err);

	return status == ATOM_OK ? history_list(&q, visit, argument, err)
				 : status;
}

static const struct atom_history service = {
	.struct_size = sizeof(service),
	.extent = extent,
	.read = read_samples,
	.list = list_series,
};

atom_status history_register(void)
{
	return host_register(ATOM_HISTORY, &service);
}
