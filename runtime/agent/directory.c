/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/directory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/directory_priv.h"
#include "agent/pool.h"
#include "agent/trial.h"
#include "core/id.h"
#include "core/memory.h"
#include "core/qsbr.h"
#include "core/table.h"

struct entry {
	struct split split; /* with references */
	int32_t cell;	    /* of its weight in the trial */
	int32_t mirror_cell;
};

struct snapshot {
	struct table by_name;
	struct entry *sorted;
	size_t count;
};

static struct snapshot *_Atomic current;

static void entry_fini(struct entry *entry)
{
	const struct split *split = &entry->split;

	revision_unref(split->stable);
	if (split->next != NULL)
		revision_unref(split->next);
	if (split->previous != NULL)
		revision_unref(split->previous);
	trial_unref(split->trial);
}

static void entry_init(struct entry *entry, const struct split *split)
{
	entry->split = *split;
	revision_ref(split->stable);
	if (split->next != NULL)
		revision_ref(split->next);
	if (split->previous != NULL)
		revision_ref(split->previous);
	entry->cell = entry->mirror_cell = -1;
	if (split->trial == NULL)
		return;
	trial_ref(split->trial);
	entry->cell = trial_weight(split->trial, split->weight);
	if (split->mirror > 0)
		entry->mirror_cell =
			trial_weight(split->trial, ATOM_WEIGHT_ALL / 2);
}

static void snapshot_free(void *object)
{
	struct snapshot *s = object;

	for (size_t i = 0; i < s->count; i++)
		entry_fini(&s->sorted[i]);
	table_fini(&s->by_name);
	mem_free(s->sorted);
	mem_free(s);
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	return strcmp(x->split.stable->agent->name,
		      y->split.stable->agent->name);
}

/* NULL: nobody is routed. */
static void put_in_force(struct snapshot *next)
{
	struct snapshot *old =
		atomic_exchange_explicit(&current, next, memory_order_acq_rel);

	if (old != NULL)
		qsbr_retire(snapshot_free, old);
}

atom_status directory_publish(const struct split *splits, size_t count)
{
	struct snapshot *next = mem_zalloc(sizeof(*next));
	atom_status status = ATOM_ENOMEM;

	if (next == NULL)
		return ATOM_ENOMEM;
	next->sorted = mem_array(count + 1, sizeof(*next->sorted));
	if (next->sorted == NULL)
		goto fail;
	for (; next->count < count; next->count++)
		entry_init(&next->sorted[next->count], &splits[next->count]);
	qsort(next->sorted, count, sizeof(next->sorted[0]), by_name);
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = &next->sorted[i];
		const char *name = entry->split.stable->agent->name;

		status = table_set(&next->by_name, name, strlen(name), entry,
				   NULL);
		if (status != ATOM_OK)
			goto fail;
	}
	put_in_force(next);
	return ATOM_OK;
fail:
	snapshot_free(next);
	return status;
}

void directory_clear(void)
{
	put_in_force(NULL);
}

static const struct entry *find(const char *agent, size_t length)
{
	struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);

	return s != NULL ? table_get(&s->by_name, agent, length) : NULL;
}

struct revision *directory_find(const char *agent, size_t length)
{
	const struct entry *entry = find(agent, length);

	if (entry == NULL)
		return NULL;
	revision_ref(entry->split.stable);
	return entry->split.stable;
}

/* The one of this number that can answer.  The stable one starts an instance
 * when it has none; the others would not be asked then. */
static struct revision *named(const struct split *split, const char *label)
{
	struct revision *others[] = { split->next, split->previous };

	if (strcmp(split->stable->label, label) == 0)
		return split->stable;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i] != NULL && strcmp(others[i]->label, label) == 0)
			return atomic_load(&others[i]->pool.ready) > 0
				       ? others[i]
				       : NULL;
	return NULL;
}

static bool drawn_new(const struct split *split, uint64_t session)
{
	if (split->trial != NULL && trial_is_closed(split->trial))
		return false;
	return trial_session_is_new(session != 0 ? session : id_random(),
				    split->weight);
}

/* Is this call one of those that are repeated?  Drawn whichever revision it
 * goes to: while both have weight it counts with its pair or not at all, and
 * those that are not chosen are still split by the weight. */
static void choose_mirrored(const struct entry *entry,
			    struct assignment *assignment)
{
	const struct split *split = &entry->split;

	if (split->mirror == 0 ||
	    id_random() % ATOM_WEIGHT_ALL >= (uint64_t)split->mirror)
		return;
	assignment->mirrored = !assignment->is_new;
	if (split->weight > 0)
		assignment->cell = -1;
}

static void assign(const struct entry *entry, const struct route_wish *wish,
		   struct assignment *assignment)
{
	const struct split *split = &entry->split;
	struct trial *trial = split->trial;

	assignment->weight = split->weight;
	if (trial != NULL && wish->session != NULL)
		assignment->session =
			trial_session(trial, wish->principal, wish->session);
	assignment->is_new = drawn_new(split, assignment->session);
	if (trial == NULL)
		return;
	if (assignment->is_new)
		trial_note_new(trial);
	/* What comes behind the end was not drawn by the weight. */
	if (trial_is_closed(trial))
		return;
	trial_ref(trial);
	assignment->trial = trial;
	assignment->cell = entry->cell;
	if (!wish->mirrors)
		return;
	choose_mirrored(entry, assignment);
	/* Where both revisions answer; alike for both. */
	assignment->graded = split->weight > 0 &&
			     split->weight < ATOM_WEIGHT_ALL &&
			     grading_draws(trial_grading(trial));
}

bool directory_mirror(const char *agent, size_t length,
		      const struct trial *trial, struct mirror_route *route_r)
{
	const struct entry *entry = find(agent, length);
	const struct split *split = entry != NULL ? &entry->split : NULL;

	if (split == NULL || split->next == NULL || split->trial != trial ||
	    split->mirror == 0 || trial_is_closed(trial))
		return false;
	revision_ref(split->next);
	*route_r = (struct mirror_route){
		.revision = split->next,
		.cell = entry->mirror_cell,
		.budget = split->mirror_budget,
	};
	return true;
}

enum route_result directory_route(const struct route_wish *wish,
				  struct revision **revision_r,
				  struct assignment *assignment_r)
{
	const struct entry *entry = find(wish->agent, wish->agent_length);
	struct revision *revision;

	*assignment_r = (struct assignment){ .cell = -1 };
	if (entry == NULL)
		return ROUTE_NO_AGENT;
	revision = entry->split.stable;
	if (wish->revision != NULL) {
		revision = named(&entry->split, wish->revision);
		if (revision == NULL)
			return ROUTE_NO_REVISION;
	} else if (entry->split.next != NULL) {
		assign(entry, wish, assignment_r);
		if (assignment_r->is_new)
			revision = entry->split.next;
	}
	revision_ref(revision);
	*revision_r = revision;
	return ROUTE_FOUND;
}

void directory_visit(void (*visit)(void *argument, struct revision *revision),
		     void *argument)
{
	struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);

	for (size_t i = 0; s != NULL && i < s->count; i++)
		visit(argument, s->sorted[i].split.stable);
}
