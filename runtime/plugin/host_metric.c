/* SPDX-License-Identifier: Apache-2.0 */

/* atom.metric/1 over the registry of core/metric.h; the numbers that a plugin
 * keeps are the registry's own. */

#include "core/metric.h"
#include "plugin/host_priv.h"

static atom_status declare(const struct atom_host *host,
			   const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err)
{
	(void)host_private(host);
	return metric_declare(spec, family_r, err);
}

static atom_status series(const struct atom_host *host, uint32_t family,
			  const char *const *label_values, uint32_t *series_r,
			  struct atom_error *err)
{
	metric_id id = metric_series(family, label_values);

	(void)host_private(host);
	if (id == 0)
		return atom_fail(err, ATOM_ELIMIT,
				 "no series: no such metric family, not as "
				 "many label values as it has, or no room");
	*series_r = id;
	return ATOM_OK;
}

static void update(const struct atom_host *host, uint32_t number, double value)
{
	(void)host;
	switch (metric_type(number)) {
	case ATOM_METRIC_COUNTER:
		if (value >= 0)
			metric_add(number, value);
		break;
	case ATOM_METRIC_GAUGE:
		metric_set(number, value);
		break;
	case ATOM_METRIC_HISTOGRAM:
		metric_observe(number, value);
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
