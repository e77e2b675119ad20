/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The expression language of monitor/alerts on its standard input, a line at a
 * time, for a test that knows what Prometheus says:
 *
 *	series LABELS TIME_MS=VALUE ...   one more series ("stale" is a value)
 *	at TIME_MS EXPRESSION             answered by one line
 *	clear                             no series, rules or alerts any more
 *	rules PATH                        answered by `rules COUNT`
 *	step TIME_MS                      evaluates the rules, answered by
 *	                                  `alerts` and a tab and an alert each:
 *	                                  state, labels as JSON, annotations
 *
 * Answers: `error MESSAGE`, `scalar VALUE`, or `vector` and for each element a
 * tab, its labels as JSON, a blank, its value.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/alert.h"

#define SERIES_MAX 1000

struct store {
	struct arena arena;
	struct expr_series series[SERIES_MAX];
	size_t count;
};

static struct store store;
static struct rules rules = RULES_INIT;
static struct alerts alerts;

static atom_status select_stored(void *self, struct arena *arena,
				 const struct matcher *matchers, size_t count,
				 int64_t from_ms, int64_t to_ms,
				 const struct expr_series **series_r,
				 size_t *count_r, struct atom_error *err)
{
	struct expr_series *found =
		arena_array(arena, store.count + 1, sizeof(*found));

	(void)self;
	if (found == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	*series_r = found;
	for (size_t i = 0; i < store.count; i++) {
		struct expr_series one = store.series[i];

		if (!matchers_match(matchers, count, &one.labels))
			continue;
		while (one.sample_count > 0 &&
		       one.samples[0].time_ms < from_ms) {
			one.samples++;
			one.sample_count--;
		}
		while (one.sample_count > 0 &&
		       one.samples[one.sample_count - 1].time_ms > to_ms)
			one.sample_count--;
		found[(*count_r)++] = one;
	}
	return ATOM_OK;
}

static double number(const char *text)
{
	const uint64_t bits = 0x7ff0000000000002ull;
	double stale;

	memcpy(&stale, &bits, sizeof(stale));
	return strcmp(text, "stale") == 0 ? stale : strtod(text, NULL);
}

static void add_series(char *rest)
{
	char *save = NULL, *word = strtok_r(rest, "\t", &save);
	struct expr_series *series = &store.series[store.count];
	struct expr_sample *samples;
	size_t most = 0;

	for (const char *c = save; *c != '\0'; c++)
		most += *c == '\t';
	samples = arena_array(&store.arena, most + 2, sizeof(*samples));
	if (store.count == SERIES_MAX || samples == NULL ||
	    labels_parse(&store.arena, word, &series->labels) != ATOM_OK) {
		(void)fprintf(stderr, "bad series %s\n", word);
		exit(1);
	}
	series->samples = samples;
	series->sample_count = 0;
	while ((word = strtok_r(NULL, "\t", &save)) != NULL) {
		char *value = strchr(word, '=');

		samples[series->sample_count].time_ms = strtoll(word, NULL, 10);
		samples[series->sample_count++].value = number(value + 1);
	}
	store.count++;
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 32)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	putchar('"');
}

static void print_labels(const struct label *items, size_t count)
{
	putchar('{');
	for (size_t k = 0; k < count; k++) {
		if (k > 0)
			putchar(',');
		print_text(items[k].name);
		putchar(':');
		print_text(items[k].value);
	}
	putchar('}');
}

static void print_value(const struct expr_value *value)
{
	if (value->type == EXPR_SCALAR) {
		printf("scalar %.17g\n", value->scalar);
		return;
	}
	printf("vector");
	for (size_t i = 0; i < value->count; i++) {
		putchar('\t');
		print_labels(value->items[i].labels.items,
			     value->items[i].labels.count);
		printf(" %.17g", value->items[i].value);
	}
	putchar('\n');
}

static void evaluate_line(const char *rest)
{
	const struct expr_source source = { NULL, select_stored };
	struct arena arena = ARENA_INIT(64u * 1024 * 1024);
	struct atom_error error = ATOM_ERROR_INIT;
	const struct expr *expr = NULL;
	struct expr_value value;
	char *end;
	int64_t time_ms = strtoll(rest, &end, 10);
	atom_status status = expr_parse(&arena, end, &expr, &error);

	if (status == ATOM_OK)
		status = expr_evaluate(expr, &source, time_ms, &arena, &value,
				       &error);
	if (status == ATOM_OK)
		print_value(&value);
	else
		printf("error %s\n", error.message);
	(void)fflush(stdout);
	arena_fini(&arena);
}

static void read_rules(const char *path)
{
	struct atom_error error = ATOM_ERROR_INIT;
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "r");

	if (file == NULL || getdelim(&text, &size, '\0', file) < 0) {
		(void)fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	(void)fclose(file);
	if (rules_add(&rules, path, text, strlen(text), &error) == ATOM_OK)
		printf("rules %zu\n", rules.count);
	else
		printf("error %s\n", error.message);
	free(text);
}

static void step(int64_t time_ms)
{
	static const char *const states[] = { "pending", "firing", "resolved" };
	const struct expr_source source = { NULL, select_stored };
	struct atom_error error = ATOM_ERROR_INIT;

	for (size_t i = 0; i < rules.count; i++) {
		struct arena arena = ARENA_INIT(64u * 1024 * 1024);
		struct expr_value value;

		if (expr_evaluate(rules.items[i].expr, &source, time_ms, &arena,
				  &value, &error) != ATOM_OK ||
		    alerts_take(&alerts, &rules.items[i], &value, time_ms,
				&error) != ATOM_OK) {
			(void)fprintf(stderr, "%s: %s\n", rules.items[i].place,
				      error.message);
			exit(1);
		}
		arena_fini(&arena);
	}
	printf("alerts");
	for (const struct alert *alert = alerts.first; alert != NULL;
	     alert = alert->next) {
		printf("\t%s ", states[alert->state]);
		print_labels(alert->labels.items, alert->labels.count);
		print_labels(alert->annotations, alert->annotation_count);
	}
	putchar('\n');
}

static void clear(void)
{
	arena_fini(&store.arena);
	store.count = 0;
	rules_fini(&rules);
	alerts_fini(&alerts);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	store.arena = (struct arena)ARENA_INIT(256u * 1024 * 1024);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "series ", 7) == 0) {
			add_series(line + 7);
		} else if (strncmp(line, "at ", 3) == 0) {
			evaluate_line(line + 3);
		} else if (strncmp(line, "rules ", 6) == 0) {
			read_rules(line + 6);
		} else if (strncmp(line, "step ", 5) == 0) {
			step(strtoll(line + 5, NULL, 10));
		} else {
			clear();
		}
	}
	free(line);
	clear();
	return 0;
}
