/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/alert.h"

#include <stdlib.h>
#include <string.h>

#define ALERT_BYTES_MAX (64 * 1024)
#define TAKE_BYTES_MAX	(16 * 1024 * 1024)

uint64_t rule_hash(const struct rule *rule)
{
	const struct label names[] = { { "alert", rule->name },
				       { "group", rule->group },
				       { "nth", rule->nth } };
	const struct labels all = { names, 3 };

	return labels_hash(&all);
}

struct alert *alerts_new(struct alerts *alerts)
{
	struct alert **end = &alerts->first;
	struct alert *alert =
		alerts->count < ALERTS_MAX ? calloc(1, sizeof(*alert)) : NULL;

	if (alert == NULL) {
		alerts->dropped++;
		return NULL;
	}
	while (*end != NULL)
		end = &(*end)->next;
	alert->arena = (struct arena)ARENA_INIT(ALERT_BYTES_MAX);
	*end = alert;
	alerts->count++;
	return alert;
}

static void drop(struct alerts *alerts, struct alert **place)
{
	struct alert *alert = *place;

	*place = alert->next;
	alerts->count--;
	arena_fini(&alert->arena);
	free(alert);
}

static void drop_last(struct alerts *alerts)
{
	struct alert **place = &alerts->first;

	while ((*place)->next != NULL)
		place = &(*place)->next;
	drop(alerts, place);
}

static struct alert *find(struct alerts *alerts, uint64_t rule,
			  const struct labels *labels)
{
	for (struct alert *alert = alerts->first; alert != NULL;
	     alert = alert->next)
		if (alert->rule == rule &&
		    labels_compare(&alert->labels, labels) == 0)
			return alert;
	return NULL;
}

/* --- an alert's labels and annotations -------------------------------------------- */

/* The result's, the rule's over them, and the name. */
static bool make_labels(struct arena *arena, const struct rule *rule,
			const struct expr_element *element,
			struct labels *labels_r)
{
	const char **names =
		arena_array(arena, rule->label_count + 2, sizeof(*names));
	struct labels bare, rest;
	struct label *items;
	size_t count = 0;

	if (names == NULL)
		return false;
	for (size_t i = 0; i < rule->label_count; i++)
		names[i] = rule->labels[i].name;
	names[rule->label_count] = "alertname";
	if (!labels_pick(arena, &element->labels, NULL, 0, false, true,
			 &bare) ||
	    !labels_pick(arena, &element->labels, names, rule->label_count + 1,
			 false, true, &rest))
		return false;
	items = arena_array(arena, rest.count + rule->label_count + 1,
			    sizeof(*items));
	if (items == NULL)
		return false;
	for (size_t i = 0; i < rest.count; i++)
		items[count++] = rest.items[i];
	for (size_t i = 0; i < rule->label_count; i++) {
		const char *value = template_expand(
			arena, rule->labels[i].value, &bare, element->value);

		if (value == NULL)
			return false;
		items[count++] = (struct label){ rule->labels[i].name, value };
	}
	items[count++] = (struct label){ "alertname", rule->name };
	return labels_sort(items, count, labels_r);
}

static bool copy_labels(struct arena *arena, const struct labels *from,
			struct labels *labels_r)
{
	struct label *items =
		arena_array(arena, from->count + 1, sizeof(*items));

	for (size_t i = 0; items != NULL && i < from->count; i++) {
		const struct label *label = &from->items[i];

		items[i].name =
			arena_text(arena, label->name, strlen(label->name));
		items[i].value =
			arena_text(arena, label->value, strlen(label->value));
		if (items[i].name == NULL || items[i].value == NULL)
			return false;
	}
	*labels_r = (struct labels){ items, from->count };
	return items != NULL;
}

/* New texts for the value of now: the arena begins anew, so that an alert that
 * fires for a year does not grow. */
static bool describe(struct alert *alert, const struct rule *rule,
		     const struct expr_element *element,
		     const struct labels *labels)
{
	struct arena arena = ARENA_INIT(ALERT_BYTES_MAX);
	struct label *items =
		arena_array(&arena, rule->annotation_count + 1, sizeof(*items));
	struct labels copied = { 0 };
	bool whole = items != NULL && copy_labels(&arena, labels, &copied);

	for (size_t i = 0; whole && i < rule->annotation_count; i++) {
		const struct label *from = &rule->annotations[i];

		items[i].name =
			arena_text(&arena, from->name, strlen(from->name));
		items[i].value = template_expand(
			&arena, from->value, &element->labels, element->value);
		whole = items[i].name != NULL && items[i].value != NULL;
	}
	if (!whole) {
		arena_fini(&arena);
		return false;
	}
	arena_fini(&alert->arena);
	alert->arena = arena;
	alert->labels = copied;
	alert->annotations = items;
	alert->annotation_count = rule->annotation_count;
	return true;
}

/* --- states ------------------------------------------------------------------------ */

static void enter(struct alert *alert, enum alert_state state, int64_t time_ms)
{
	alert->state = state;
	alert->changed = true;
	switch (state) {
	case ALERT_PENDING:
		alert->active_ms = time_ms;
		alert->fired_ms = alert->resolved_ms = alert->keep_ms = 0;
		break;
	case ALERT_FIRING:
		alert->fired_ms = time_ms;
		break;
	case ALERT_RESOLVED:
		alert->resolved_ms = time_ms;
		alert->keep_ms = 0;
		break;
	}
}

static void is_true(struct alert *alert, const struct rule *rule,
		    int64_t time_ms)
{
	alert->keep_ms = 0;
	if (alert->state == ALERT_RESOLVED)
		enter(alert, ALERT_PENDING, time_ms);
	if (alert->state == ALERT_PENDING &&
	    time_ms - alert->active_ms >= rule->for_ms)
		enter(alert, ALERT_FIRING, time_ms);
}

/* False: forget it. */
static bool is_false(struct alert *alert, int64_t keep_ms, int64_t time_ms)
{
	switch (alert->state) {
	case ALERT_PENDING:
		enter(alert, ALERT_RESOLVED, time_ms);
		return true;
	case ALERT_FIRING:
		if (keep_ms > 0 && alert->keep_ms == 0)
			alert->keep_ms = time_ms;
		if (keep_ms == 0 || time_ms - alert->keep_ms >= keep_ms)
			enter(alert, ALERT_RESOLVED, time_ms);
		return true;
	case ALERT_RESOLVED:
		if (alert->fired_ms == 0)
			return alert->changed;
		return time_ms - alert->resolved_ms <= ALERT_RESOLVED_MS ||
		       alert->told_firing;
	}
	return false;
}

static atom_status take_element(struct alerts *alerts, const struct rule *rule,
				const struct expr_element *element,
				const struct labels *labels, int64_t time_ms)
{
	uint64_t hash = rule_hash(rule);
	struct alert *alert = find(alerts, hash, labels);
	bool found = alert != NULL;

	if (!found) {
		alert = alerts_new(alerts);
		if (alert == NULL)
			return ATOM_ENOMEM;
		alert->rule = hash;
		enter(alert, ALERT_PENDING, time_ms);
		alert->changed = false;
	}
	alert->seen = true;
	alert->value = element->value;
	alert->threshold = rule_threshold(rule);
	is_true(alert, rule, time_ms);
	if (describe(alert, rule, element, labels))
		return ATOM_OK;
	/* Without labels nobody would find it again. */
	if (!found)
		drop_last(alerts);
	return ATOM_ENOMEM;
}

static atom_status label_all(struct arena *arena, const struct rule *rule,
			     const struct expr_value *vector,
			     struct labels **labels_r, struct atom_error *err)
{
	struct labels *labels =
		arena_array(arena, vector->count + 1, sizeof(*labels));
	struct label_table table;
	size_t number;

	*labels_r = labels;
	if (labels == NULL || !label_table_init(&table, arena, vector->count))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	for (size_t i = 0; i < vector->count; i++) {
		if (!make_labels(arena, rule, &vector->items[i], &labels[i]))
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		if (!label_table_add(&table, &labels[i], &number))
			return atom_fail(err, ATOM_EINVAL,
					 "%s: two results have the same labels "
					 "with those of the rule",
					 rule->place);
	}
	return ATOM_OK;
}

atom_status alerts_take(struct alerts *alerts, const struct rule *rule,
			const struct expr_value *value, int64_t time_ms,
			struct atom_error *err)
{
	struct arena arena = ARENA_INIT(TAKE_BYTES_MAX);
	const struct expr_element only = { .value = value->scalar };
	const struct expr_value scalar = { EXPR_VECTOR, 0, &only, 1 };
	const struct expr_value *vector =
		value->type == EXPR_SCALAR ? &scalar : value;
	uint64_t hash = rule_hash(rule);
	struct labels *labels = NULL;
	atom_status status = label_all(&arena, rule, vector, &labels, err);

	if (status != ATOM_OK)
		goto out;
	for (struct alert *alert = alerts->first; alert != NULL;
	     alert = alert->next)
		alert->seen = false;
	for (size_t i = 0; i < vector->count; i++)
		if (take_element(alerts, rule, &vector->items[i], &labels[i],
				 time_ms) != ATOM_OK)
			status = atom_fail(err, ATOM_ELIMIT,
					   "%s: more alerts, or longer ones, "
					   "than are kept (%d)",
					   rule->place, ALERTS_MAX);
	for (struct alert **place = &alerts->first; *place != NULL;)
		if ((*place)->rule == hash && !(*place)->seen &&
		    !is_false(*place, rule->keep_ms, time_ms))
			drop(alerts, place);
		else
			place = &(*place)->next;
out:
	arena_fini(&arena);
	return status;
}

static void not_after(int64_t *ms, int64_t now_ms)
{
	if (*ms > now_ms)
		*ms = now_ms;
}

void alerts_not_after(struct alerts *alerts, int64_t time_ms)
{
	for (struct alert *alert = alerts->first; alert != NULL;
	     alert = alert->next) {
		not_after(&alert->active_ms, time_ms);
		not_after(&alert->fired_ms, time_ms);
		not_after(&alert->resolved_ms, time_ms);
		not_after(&alert->keep_ms, time_ms);
		not_after(&alert->told_ms, time_ms);
	}
}

static bool is_there(const struct rules *rules, uint64_t hash)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rule_hash(&rules->items[i]) == hash)
			return true;
	return false;
}

void alerts_keep(struct alerts *alerts, const struct rules *rules,
		 int64_t time_ms)
{
	for (struct alert **place = &alerts->first; *place != NULL;)
		if (!is_there(rules, (*place)->rule) &&
		    !is_false(*place, 0, time_ms))
			drop(alerts, place);
		else
			place = &(*place)->next;
}

void alerts_fini(struct alerts *alerts)
{
	while (alerts->first != NULL)
		drop(alerts, &alerts->first);
}
