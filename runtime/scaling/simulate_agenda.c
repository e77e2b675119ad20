/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "core/memory.h"
#include "scaling/simulate_priv.h"

#define ROOM_FIRST 64

static bool comes_before(const struct event *a, const struct event *b)
{
	if (a->at_us != b->at_us)
		return a->at_us < b->at_us;
	if (a->kind != b->kind)
		return a->kind < b->kind;
	return a->sequence < b->sequence;
}

bool agenda_add(struct agenda *agenda, struct event event)
{
	size_t at = agenda->count;

	if (agenda->count == agenda->room) {
		size_t room = agenda->room ? agenda->room * 2 : ROOM_FIRST;
		struct event *events =
			mem_realloc(agenda->events, room * sizeof(*events));

		if (events == NULL)
			return false;
		agenda->events = events;
		agenda->room = room;
	}
	event.sequence = agenda->sequence++;
	agenda->count++;
	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (!comes_before(&event, &agenda->events[parent]))
			break;
		agenda->events[at] = agenda->events[parent];
		at = parent;
	}
	agenda->events[at] = event;
	return true;
}

const struct event *agenda_first(const struct agenda *agenda)
{
	return agenda->count ? agenda->events : NULL;
}

void agenda_drop_first(struct agenda *agenda)
{
	struct event *events = agenda->events;
	struct event last;
	size_t at = 0;

	if (agenda->count == 0)
		return;
	last = events[--agenda->count];
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= agenda->count)
			break;
		if (child + 1 < agenda->count &&
		    comes_before(&events[child + 1], &events[child]))
			child++;
		if (!comes_before(&events[child], &last))
			break;
		events[at] = events[child];
		at = child;
	}
	events[at] = last;
}

void agenda_fini(struct agenda *agenda)
{
	mem_free(agenda->events);
	*agenda = (struct agenda){ 0 };
}
