/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sizing.h"

#include "core/loop.h"
#include "core/memory.h"
#include "gateway/control.h"
#include "monitor/week.h"

struct sizing {
	struct work work;
	struct control_call *call;
	void (*answer)(struct control_call *call,
		       const struct agents_past *past);
	struct week week;
};

/* [pool] */
static void on_pool(struct work *work)
{
	struct sizing *sizing = CONTAINER_OF(work, struct sizing, work);

	week_read(sizing->call->params[0], &sizing->week);
}

static void on_done(struct work *work, atom_status status)
{
	struct sizing *sizing = CONTAINER_OF(work, struct sizing, work);
	struct agents_past past = { 0 };

	if (status == ATOM_OK)
		past = (struct agents_past){ sizing->week.loads,
					     sizing->week.count,
					     sizing->week.peak };
	sizing->answer(sizing->call, &past);
	mem_free(sizing);
}

void sizing_read(struct control_call *call,
		 void (*answer)(struct control_call *call,
				const struct agents_past *past))
{
	struct sizing *sizing = mem_zalloc(sizeof(*sizing));

	if (sizing == NULL) {
		answer(call, &(const struct agents_past){ 0 });
		return;
	}
	sizing->call = call;
	sizing->answer = answer;
	sizing->work.run = on_pool;
	sizing->work.done = on_done;
	if (work_submit(loop_control(), &sizing->work) != ATOM_OK)
		on_done(&sizing->work, ATOM_EUNAVAILABLE);
}
