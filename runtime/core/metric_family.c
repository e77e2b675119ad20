/* SPDX-License-Identifier: Apache-2.0 */

/* What may be declared as a family, and making one. */

#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric_priv.h"

static bool is_metric_name(const char *name, bool colon)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++) {
		char c = name[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool digit = c >= '0' && c <= '9' && i > 0;

		if (!letter && !digit && c != '_' && !(colon && c == ':'))
			return false;
	}
	return length > 0 && length <= 200;
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length &&
	       strcmp(name + length - end_length, end) == 0;
}

atom_status metric_family_check_name(const struct atom_metric_spec *spec,
				     struct atom_error *err)
{
	static const char *const parts[] = { "_bucket", "_count", "_sum" };
	const bool counter = spec->type == ATOM_METRIC_COUNTER;

	if (spec->type < ATOM_METRIC_COUNTER ||
	    spec->type > ATOM_METRIC_HISTOGRAM)
		return atom_fail(err, ATOM_EINVAL,
				 "metric %s: type %d is none of counter, "
				 "gauge and histogram",
				 spec->name ? spec->name : "", (int)spec->type);
	if (!spec->name || !is_metric_name(spec->name, true))
		return atom_fail(err, ATOM_EINVAL,
				 "metric name '%.64s': expected "
				 "[a-zA-Z_:][a-zA-Z0-9_:]*",
				 spec->name ? spec->name : "");
	if (ends_with(spec->name, "_total") != counter)
		return atom_fail(err, ATOM_EINVAL,
				 "metric %s: counters, and only they, end in "
				 "_total",
				 spec->name);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (ends_with(spec->name, parts[i]))
			return atom_fail(err, ATOM_EINVAL,
					 "metric %s: names in %s belong to the "
					 "parts of a histogram",
					 spec->name, parts[i]);
	if (!spec->help || !*spec->help)
		return atom_fail(err, ATOM_EINVAL,
				 "metric %s: its help text is empty",
				 spec->name);
	return ATOM_OK;
}

static size_t count_labels(const struct atom_metric_spec *spec)
{
	size_t count = 0;

	while (spec->label_names && spec->label_names[count] &&
	       count <= METRIC_LABELS_MAX)
		count++;
	return count;
}

atom_status metric_family_check_shape(const struct atom_metric_spec *spec,
				      struct atom_error *err)
{
	const size_t labels = count_labels(spec);

	if (labels > METRIC_LABELS_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "metric %s: more than %d labels", spec->name,
				 METRIC_LABELS_MAX);
	for (size_t i = 0; i < labels; i++) {
		const char *label = spec->label_names[i];

		if (!is_metric_name(label, false) ||
		    strncmp(label, "__", 2) == 0 || strcmp(label, "le") == 0)
			return atom_fail(err, ATOM_EINVAL,
					 "metric %s: '%.64s' cannot be a "
					 "label's name",
					 spec->name, label);
		for (size_t j = 0; j < i; j++)
			if (strcmp(label, spec->label_names[j]) == 0)
				return atom_fail(err, ATOM_EINVAL,
						 "metric %s: label %s twice",
						 spec->name, label);
	}
	if (spec->bound_count > METRIC_BOUNDS_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "metric %s: %zu bounds, at most %d are "
				 "possible",
				 spec->name, spec->bound_count,
				 METRIC_BOUNDS_MAX);
	for (size_t i = 0; i < spec->bound_count; i++)
		if (!isfinite(spec->bounds[i]) ||
		    (i > 0 && spec->bounds[i] <= spec->bounds[i - 1]))
			return atom_fail(err, ATOM_EINVAL,
					 "metric %s: bounds are finite numbers "
					 "that rise",
					 spec->name);
	return ATOM_OK;
}

bool metric_family_same(const struct family *family,
			const struct atom_metric_spec *spec)
{
	if (family->type != spec->type ||
	    family->label_count != count_labels(spec) ||
	    family->bound_count != spec->bound_count)
		return false;
	for (size_t i = 0; i < family->label_count; i++)
		if (strcmp(family->label_names[i], spec->label_names[i]) != 0)
			return false;
	for (size_t i = 0; i < family->bound_count; i++)
		if (family->bounds[i] < spec->bounds[i] ||
		    family->bounds[i] > spec->bounds[i])
			return false;
	return true;
}

void metric_family_free(struct family *family)
{
	if (!family)
		return;
	for (size_t i = 0; i < family->series_count; i++)
		mem_free(family->series[i]);
	for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
		mem_free(family->label_names[i]);
	table_fini(&family->by_labels);
	mem_free(family->series);
	mem_free(family->spares);
	mem_free(family->buckets);
	mem_free(family->help);
	mem_free(family->name);
	mem_free(family);
}

struct family *metric_family_new(const struct atom_metric_spec *spec)
{
	struct family *family = mem_zalloc(sizeof(*family));
	bool complete;

	if (!family)
		return NULL;
	family->type = spec->type;
	family->series_max = METRIC_SERIES_MAX;
	family->name = mem_strdup(spec->name);
	family->help = mem_strdup(spec->help);
	complete = family->name && family->help;
	family->label_count = count_labels(spec);
	for (size_t i = 0; i < family->label_count; i++) {
		family->label_names[i] = mem_strdup(spec->label_names[i]);
		complete = complete && family->label_names[i];
	}
	if (spec->bound_count) {
		family->buckets =
			metric_buckets_new(spec->bounds, spec->bound_count);
		complete = complete && family->buckets;
	}
	if (!complete) {
		metric_family_free(family);
		return NULL;
	}
	family->bound_count = spec->bound_count;
	if (family->buckets)
		family->bounds = family->buckets->bounds;
	return family;
}
