/* SPDX-License-Identifier: Apache-2.0 */
#include "metric_fixture.h"

#include <criterion/criterion.h>

#include <string.h>

#include "core/log.h"

const char *const one_label[] = { "agent", NULL };
const char *const two_labels[] = { "agent", "code", NULL };

void set_up(void)
{
	log_set_descriptor(-1);
	cr_assert_eq(metric_init(2), ATOM_OK);
	metric_attach(0);
}

void tear_down(void)
{
	metric_fini();
	log_fini();
}

uint32_t declare(int type, const char *name, const char *const *labels,
		 const double *bounds, size_t bound_count)
{
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = "help",
		.label_names = labels,
		.bounds = bounds,
		.bound_count = bound_count,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	uint32_t family = UINT32_MAX;

	cr_assert_eq(metric_declare(&spec, &family, &err), ATOM_OK, "%s",
		     err.message);
	return family;
}

metric_id series(uint32_t family, const char *first, const char *second)
{
	const char *values[] = { first, second };

	return metric_series(family, values);
}

char *render(struct buffer *out)
{
	buffer_clear(out);
	cr_assert_eq(metric_render(out, METRIC_TEXT), ATOM_OK);

	char *own = strstr(out->bytes, "# HELP atomd_log_dropped_total");

	cr_assert(own);
	*own = '\0';
	return out->bytes;
}
