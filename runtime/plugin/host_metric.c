/* SPDX-License-Identifier: Apache-2.0 */

/*
 * atom.metric/1 over the registry.  A series knows not its type, and `update`
 * is one function for all three: the type travels in the two top bits of the
 * number that the plugin keeps.
 */

#include <pthread.h>
#include <stddef.h>

#include "core/metric.h"
#include "plugin/host_priv.h"

#define FAMILIES_MAX 2048
#define TYPE_SHIFT   30
#define SERIES_MASK  ((1u << TYPE_SHIFT) - 1)
#define LABELS_MAX   4

struct family {
	uint32_t id;
	int32_t type;
	int32_t label_count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct family families[FAMILIES_MAX];
static uint32_t family_count;

static atom_status note_family(uint32_t id, int32_t type, int32_t label_count,
			       uint32_t *index_r)
{
	atom_status status = ATOM_OK;
	uint32_t i = 0;

	(void)pthread_mutex_lock(&lock);
	while (i < family_count && families[i].id != id)
		i++;
	if (i == FAMILIES_MAX)
		status = ATOM_ELIMIT;
	else if (i == family_count)
		families[family_count++] =
			(struct family){ id, type, label_count };
	(void)pthread_mutex_unlock(&lock);
	*index_r = i;
	return status;
}

/* By value: the array may be written meanwhile. */
static struct family family_at(uint32_t index)
{
	struct family family = { 0 };

	(void)pthread_mutex_lock(&lock);
	if (index < family_count)
		family = families[index];
	(void)pthread_mutex_unlock(&lock);
	return family;
}

static atom_status declare(const struct atom_host *host,
			   const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err)
{
	int32_t labels = 0;
	uint32_t id = 0;
	atom_status status;

	(void)host_private(host);
	while (spec->label_names != NULL && spec->label_names[labels] != NULL)
		if (++labels > LABELS_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "metric %s: more than %d labels",
					 spec->name, LABELS_MAX);
	status = metric_declare(spec, &id, err);
	if (status != ATOM_OK)
		return status;
	status = note_family(id, spec->type, labels, family_r);
	if (status != ATOM_OK)
		(void)atom_fail(err, status, "metric %s: too many families",
				spec->name);
	return status;
}

static atom_status series(const struct atom_host *host, uint32_t index,
			  const char *const *label_values, uint32_t *series_r,
			  struct atom_error *err)
{
	struct family family = family_at(index);
	const char *values[LABELS_MAX + 1] = { NULL };
	metric_id id;

	(void)host_private(host);
	if (family.type == 0)
		return atom_fail(err, ATOM_EINVAL, "no such metric family");
	for (int32_t i = 0; i < family.label_count; i++) {
		if (label_values == NULL || label_values[i] == NULL)
			return atom_fail(err, ATOM_EINVAL,
					 "the metric has %d labels",
					 (int)family.label_count);
		values[i] = label_values[i];
	}
	id = metric_series(family.id, family.label_count > 0 ? values : NULL);
	if (id == 0 || id > SERIES_MASK)
		return atom_fail(err, ATOM_ELIMIT,
				 "no room for another series of the metric");
	*series_r = (uint32_t)family.type << TYPE_SHIFT | id;
	return ATOM_OK;
}

static void update(const struct atom_host *host, uint32_t number, double value)
{
	metric_id id = number & SERIES_MASK;

	(void)host;
	switch (number >> TYPE_SHIFT) {
	case ATOM_METRIC_COUNTER:
		if (value >= 0)
			metric_add(id, value);
		break;
	case ATOM_METRIC_GAUGE:
		metric_set(id, value);
		break;
	case ATOM_METRIC_HISTOGRAM:
		metric_observe(id, value);
		break;
	default: /* a series that was never there */
		break;
	}
}

const struct atom_metric host_metric_service = {
	.struct_size = sizeof(struct atom_metric),
	.declare = declare,
	.series = series,
	.update = update,
};
