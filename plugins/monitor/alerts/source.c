/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/source.h"

#include <string.h>

#define SERIES_MAX 20000

struct reading {
	struct arena *arena;
	const struct matcher *matchers;
	size_t matcher_count;
	struct expr_series *series;
	size_t count;
	size_t capacity;
	bool full;
};

static bool copy_labels(struct arena *arena,
			const struct atom_history_series *from,
			struct labels *labels_r)
{
	struct label *items =
		arena_array(arena, from->label_count + 1, sizeof(*items));

	if (items == NULL)
		return false;
	for (size_t i = 0; i <= from->label_count; i++) {
		const char *name = i < from->label_count ? from->labels[i].name
							 : LABEL_NAME;
		const char *value = i < from->label_count
					    ? from->labels[i].value
					    : from->name;

		items[i].name = arena_text(arena, name, strlen(name));
		items[i].value = arena_text(arena, value, strlen(value));
		if (items[i].name == NULL || items[i].value == NULL)
			return false;
	}
	return labels_sort(items, from->label_count + 1, labels_r);
}

static bool grow(struct reading *reading)
{
	size_t capacity = reading->capacity == 0 ? 64 : 2 * reading->capacity;
	struct expr_series *series =
		capacity > SERIES_MAX ? NULL
				      : arena_array(reading->arena, capacity,
						    sizeof(*series));

	if (series == NULL)
		return false;
	if (reading->count > 0)
		memcpy(series, reading->series,
		       reading->count * sizeof(*series));
	reading->series = series;
	reading->capacity = capacity;
	return true;
}

static bool keep(struct reading *reading,
		 const struct atom_history_series *series, const void *samples,
		 size_t stride, size_t count)
{
	struct expr_series one = { .sample_count = count };
	struct expr_sample *copied;

	if (!copy_labels(reading->arena, series, &one.labels))
		return false;
	if (!matchers_match(reading->matchers, reading->matcher_count,
			    &one.labels))
		return true;
	if (reading->count == reading->capacity && !grow(reading))
		return false;
	copied = arena_array(reading->arena, count + 1, sizeof(*copied));
	if (copied == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct atom_history_sample sample;

		memcpy(&sample, (const char *)samples + i * stride,
		       sizeof(sample));
		copied[i].time_ms = sample.time_ms;
		copied[i].value = sample.value;
	}
	one.samples = copied;
	reading->series[reading->count++] = one;
	return true;
}

static int32_t visit(void *argument, const struct atom_history_series *series,
		     const void *samples, size_t stride, size_t count)
{
	struct reading *reading = argument;

	reading->full = !keep(reading, series, samples, stride, count);
	return reading->full;
}

/* Names and equal labels are the history's to find; what is a regular
 * expression is matched here, where it is compiled already. */
static atom_status select_series(void *self, struct arena *arena,
				 const struct matcher *matchers, size_t count,
				 int64_t from_ms, int64_t to_ms,
				 const struct expr_series **series_r,
				 size_t *count_r, struct atom_error *err)
{
	const struct history_source *source = self;
	struct atom_history_matcher equal[ATOM_HISTORY_MATCHERS_MAX];
	struct atom_history_query query = {
		.struct_size = sizeof(query),
		.matchers = equal,
		.matcher_stride = sizeof(equal[0]),
		.from_ms = from_ms,
		.to_ms = to_ms,
	};
	struct reading reading = {
		.arena = arena,
		.matchers = matchers,
		.matcher_count = count,
	};
	atom_status status;

	for (size_t i = 0; i < count; i++) {
		const struct matcher *matcher = &matchers[i];

		if (matcher->kind != MATCH_EQUAL)
			continue;
		if (strcmp(matcher->name, LABEL_NAME) == 0)
			query.name = matcher->value;
		else if (query.matcher_count < ATOM_HISTORY_MATCHERS_MAX &&
			 strlen(matcher->value) < ATOM_HISTORY_PATTERN_MAX)
			equal[query.matcher_count++] =
				(struct atom_history_matcher){
					.struct_size = sizeof(equal[0]),
					.type = ATOM_HISTORY_EQUAL,
					.label = matcher->name,
					.value = matcher->value,
				};
	}
	status = source->history->read(source->host, &query, visit, &reading,
				       err);
	if (reading.full)
		return atom_fail(err, ATOM_ENOMEM,
				 "more series or samples than an evaluation "
				 "may take");
	*series_r = reading.series;
	*count_r = reading.count;
	return status;
}

struct expr_source history_as_source(struct history_source *source)
{
	return (struct expr_source){ source, select_series };
}
