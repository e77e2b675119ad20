/* SPDX-License-Identifier: Apache-2.0 */

/* Rule files, templates and the states of alerts, by themselves. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/monitor/alerts/message.h"

static const char one_rule[] =
	"groups:\n"
	"- name: g\n"
	"  rules:\n"
	"  - alert: busy\n"
	"    expr: load > 3\n"
	"    for: 30s\n"
	"    keep_firing_for: 1m\n"
	"    labels: {severity: warning, "
	"of: '{{ $labels.x }}'}\n"
	"    annotations: {summary: 'it is {{ $value }}'}\n";

static void read_rules(struct rules *rules, const char *text)
{
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert(rules_add(rules, "r.yml", text, strlen(text), &error) ==
			  ATOM_OK,
		  "%s", error.message);
}

static void refused(const char *text, const char *why)
{
	struct rules rules = RULES_INIT;
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert(rules_add(&rules, "r.yml", text, strlen(text), &error) !=
			  ATOM_OK,
		  "%s is taken", text);
	cr_assert(strncmp(error.message, "r.yml:", 6) == 0 &&
			  strstr(error.message, why) != NULL,
		  "%s", error.message);
	rules_fini(&rules);
}

Test(alerts_rules, a_file_is_read_whole)
{
	struct rules rules = RULES_INIT;

	read_rules(&rules, one_rule);
	cr_assert(rules.count == 1);
	cr_assert(strcmp(rules.items[0].name, "busy") == 0);
	cr_assert(strcmp(rules.items[0].group, "g") == 0);
	cr_assert(strcmp(rules.items[0].place, "r.yml:4") == 0, "%s",
		  rules.items[0].place);
	cr_assert(rules.items[0].for_ms == 30000);
	cr_assert(rules.items[0].keep_ms == 60000);
	cr_assert(rules.items[0].label_count == 2);
	cr_assert_float_eq(rule_threshold(&rules.items[0]), 3, 0);
	rules_fini(&rules);
}

Test(alerts_rules, an_error_names_file_and_line)
{
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n    expr: x >\n",
		"r.yml:5: character 4: expected a selector");
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n    exp: x\n",
		"r.yml:5: expected one of alert, expr");
	refused("groups:\n- name: g\n  rules:\n  - record: a\n    expr: x\n",
		"r.yml:4: expected an `alert`");
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n", "`expr`");
	refused("groups:\n- name: g\n  rules: [{alert: a, expr: x}]\n"
		"- name: g\n",
		"r.yml:4: expected each");
	refused("groups: [\n", "r.yml:2");
	refused("- a\n", "r.yml:1: expected a mapping");
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n    expr: x\n"
		"    for: soon\n",
		"r.yml:6: expected a duration");
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n    expr: x\n"
		"    labels: {b: '{{ query \"x\" }}'}\n",
		"r.yml:6: expected {{ $value }}");
	refused("groups:\n- name: g\n  rules:\n  - alert: a\n    expr: x\n"
		"    expr: y\n",
		"r.yml:6: expected each key once");
}

static void expands(const char *text, double value, const char *expected)
{
	static const struct label items[] = { { "agent", "a" },
					      { "code", "500" } };
	const struct labels labels = { items, 2 };
	struct arena arena = ARENA_INIT(65536);
	const char *got = template_expand(&arena, text, &labels, value);

	cr_assert(got != NULL && strcmp(got, expected) == 0, "%s: %s", text,
		  got);
	arena_fini(&arena);
}

Test(alerts_rules, templates_write_as_prometheus_does)
{
	expands("{{ $labels.agent }}/{{$labels.code}}: {{ $labels.no }}!", 0,
		"a/500: !");
	expands("{{ $value }}", 0.1, "0.1");
	expands("{{ $value }}", 5, "5");
	expands("{{ $value }}", 1e21, "1e+21");
	expands("{{ $value }}", 123456789, "123456789");
	expands("{{ $value }}", 1.0 / 3, "0.3333333333333333");
	expands("{{ $value }}", NAN, "NaN");
	expands("{{ $value }}", INFINITY, "+Inf");
	expands("{{ $value | humanize }}", 1234567, "1.235M");
	expands("{{ $value | humanize }}", 0.0125, "12.5m");
	expands("{{ $value | humanizePercentage }}", 0.0625, "6.25%");
	expands("{{ $value | humanizeDuration }}", 5.25, "5.25s");
	expands("{{ $value | humanizeDuration }}", 90061, "1d 1h 1m 1s");
	expands("{{ $value | humanizeDuration }}", 0.02, "20ms");
}

/* --- states ---------------------------------------------------------------- */

static struct rules rules = RULES_INIT;
static struct alerts alerts;

/* The rule's expression has this value for x="1", or none. */
static void at(int64_t time_ms, bool is_true, double value)
{
	static const struct label items[] = { { "__name__", "load" },
					      { "x", "1" } };
	const struct expr_element element = { { items, 2 }, value };
	const struct expr_value vector = { EXPR_VECTOR, 0, &element,
					   is_true ? 1 : 0 };
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert(alerts_take(&alerts, &rules.items[0], &vector, time_ms,
			      &error) == ATOM_OK,
		  "%s", error.message);
}

static void state_is(enum alert_state state)
{
	cr_assert(alerts.count == 1);
	cr_assert(alerts.first->state == state, "state %d",
		  (int)alerts.first->state);
}

static void begin(void)
{
	read_rules(&rules, one_rule);
}

static void end(void)
{
	alerts_fini(&alerts);
	rules_fini(&rules);
}

Test(alerts_states, for_and_keep_firing_for_are_waited, .init = begin,
     .fini = end)
{
	at(0, true, 4);
	state_is(ALERT_PENDING);
	at(15000, true, 4);
	state_is(ALERT_PENDING);
	at(30000, true, 4.5);
	state_is(ALERT_FIRING);
	cr_assert(strcmp(labels_get(&alerts.first->labels, "of"), "1") == 0);
	cr_assert(strcmp(labels_get(&alerts.first->labels, "alertname"),
			 "busy") == 0);
	cr_assert(strcmp(alerts.first->annotations[0].value, "it is 4.5") == 0);
	at(45000, false, 0);
	state_is(ALERT_FIRING);
	at(60000, true, 9);
	at(75000, false, 0);
	at(134000, false, 0);
	state_is(ALERT_FIRING);
	at(135000, false, 0);
	state_is(ALERT_RESOLVED);
	cr_assert(alerts.first->resolved_ms == 135000);
}

Test(alerts_states, what_was_pending_only_leaves_no_trace, .init = begin,
     .fini = end)
{
	at(0, true, 4);
	at(15000, false, 0);
	state_is(ALERT_RESOLVED); /* until it was told */
	cr_assert(alerts.first->fired_ms == 0 && alerts.first->changed);
	alerts.first->changed = false;
	at(30000, false, 0);
	cr_assert(alerts.count == 0);
}

Test(alerts_states, a_resolved_one_is_kept_for_a_while_and_may_come_again,
     .init = begin, .fini = end)
{
	at(0, true, 4);
	at(30000, true, 4);
	at(45000, false, 0);
	at(105000, false, 0);
	state_is(ALERT_RESOLVED);
	at(120000, true, 4);
	state_is(ALERT_PENDING);
	at(150000, true, 4);
	state_is(ALERT_FIRING);
	at(165000, false, 0);
	at(225000, false, 0);
	state_is(ALERT_RESOLVED);
	at(225000 + ALERT_RESOLVED_MS + 1, false, 0);
	cr_assert(alerts.count == 0);
}

Test(alerts_states, one_whose_labels_are_too_long_is_not_kept_without_them,
     .init = begin, .fini = end)
{
	static char text[70000];
	const struct label items[] = { { "x", text } };
	const struct expr_element element = { { items, 1 }, 4 };
	const struct expr_value vector = { EXPR_VECTOR, 0, &element, 1 };

	memset(text, 'x', sizeof(text) - 1);
	at(0, true, 4);
	for (int64_t i = 1; i < 4; i++) {
		struct atom_error error = ATOM_ERROR_INIT;

		cr_assert(alerts_take(&alerts, &rules.items[0], &vector,
				      i * 15000, &error) == ATOM_ELIMIT);
		at(i * 15000, true, 4);
		cr_assert(alerts.count == 1, "%zu", alerts.count);
	}
}

Test(alerts_states, a_restart_takes_up_where_it_was, .init = begin, .fini = end)
{
	char *text;

	at(0, true, 4);
	at(15000, true, 4.25);
	text = alerts_save(&alerts);
	cr_assert(text != NULL);
	alerts_fini(&alerts);
	cr_assert(alerts_restore(&alerts, text) == ATOM_OK);
	state_is(ALERT_PENDING);
	cr_assert_float_eq(alerts.first->value, 4.25, 0);
	at(30000, true, 4);
	state_is(ALERT_FIRING);
	/* One alert, found again by its labels. */
	cr_assert(alerts.count == 1);
	free(text);
}

Test(alerts_states, a_damaged_text_restores_what_stands_before_the_damage,
     .init = begin, .fini = end)
{
	char *text, *cut;

	at(0, true, 4);
	text = alerts_save(&alerts);
	cr_assert(text != NULL);
	cut = malloc(2 * strlen(text));
	cr_assert(cut != NULL);
	(void)snprintf(cut, 2 * strlen(text), "%s17 9 zzz{}\n", text);
	alerts_fini(&alerts);
	cr_assert(alerts_restore(&alerts, cut) == ATOM_EDATALOSS);
	state_is(ALERT_PENDING);
	alerts_fini(&alerts);
	cr_assert(alerts_restore(&alerts, "other") == ATOM_EDATALOSS);
	cr_assert(alerts.count == 0);
	free(cut);
	free(text);
}

/* --- texts ------------------------------------------------------------------ */

/* The linker gives the rules' and the texts' calls here (--wrap). */
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned int realloc_left; /* the last of them has no memory */

void *__wrap_realloc(void *old, size_t size)
{
	if (realloc_left > 0 && --realloc_left == 0)
		return NULL;
	return __real_realloc(old, size);
}

static char *made_message(void)
{
	size_t count = 0, firing = 0;
	char *text = message_make(&alerts, MESSAGE_WEBHOOK, 30000, false, 0, 0,
				  &count, &firing);

	cr_assert(count == 1 && firing == 1);
	return text;
}

static char *made_states(void)
{
	return alerts_save(&alerts);
}

/* A part that has no memory is no text; the others do not suffer from it. */
Test(alerts_states, a_text_is_whole_or_none, .init = begin, .fini = end)
{
	static char *(*const ways[])(void) = { made_message, made_states };
	static char long_value[100000];
	static const struct label long_one = { "x", long_value };
	struct labels labels;

	memset(long_value, 'x', sizeof(long_value) - 1);
	at(0, true, 4);
	at(30000, true, 4);
	state_is(ALERT_FIRING);
	labels = alerts.first->labels;
	alerts.first->labels = (struct labels){ &long_one, 1 };
	for (size_t i = 0; i < 2; i++) {
		char *whole = ways[i](), *text;
		unsigned int nth = 1;

		cr_assert(whole != NULL && strlen(whole) > 100000);
		for (bool failed = true; failed; nth++) {
			realloc_left = nth;
			text = ways[i]();
			failed = realloc_left == 0;
			realloc_left = 0;
			cr_assert(failed == (text == NULL));
			cr_assert(failed || strcmp(text, whole) == 0);
			free(text);
		}
		cr_assert(nth > 4, "it fails %u times", nth - 2);
		free(whole);
	}
	alerts.first->labels = labels;
}

Test(alerts_states, the_alerts_of_a_rule_that_is_gone_resolve, .init = begin,
     .fini = end)
{
	const struct rules none = { 0 };

	at(0, true, 4);
	at(30000, true, 4);
	state_is(ALERT_FIRING);
	alerts_keep(&alerts, &none, 45000);
	state_is(ALERT_RESOLVED);
	alerts_keep(&alerts, &none, 45000 + ALERT_RESOLVED_MS + 1);
	cr_assert(alerts.count == 0);
}
