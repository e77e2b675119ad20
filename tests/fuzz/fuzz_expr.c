/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as an alert expression: it is refused with a message, or it can be
 * evaluated over some series of every shape; a second parse of the same text
 * says the same.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/expr.h"

#define NOW_MS 1000000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct expr_sample samples[] = {
	{ NOW_MS - 60000, 1 },	 { NOW_MS - 45000, 4 }, { NOW_MS - 30000, 2 },
	{ NOW_MS - 15000, NAN }, { NOW_MS, INFINITY },
};

static atom_status pick_some(void *self, struct arena *arena,
			     const struct matcher *matchers, size_t count,
			     int64_t from_ms, int64_t to_ms,
			     const struct expr_series **series_r,
			     size_t *count_r, struct atom_error *err)
{
	static const struct label first[] = { { "__name__", "a" },
					      { "le", "1" },
					      { "x", "1" } };
	static const struct label second[] = { { "__name__", "a" },
					       { "le", "+Inf" },
					       { "x", "1" } };
	static const struct label third[] = { { "x", "2" } };
	static const struct expr_series all[] = {
		{ { first, 3 }, samples, 5 },
		{ { second, 3 }, samples + 1, 3 },
		{ { third, 1 }, samples, 1 },
	};
	struct expr_series *some = arena_array(arena, 3, sizeof(*some));

	(void)self;
	if (some == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	*count_r = 0;
	for (size_t i = 0; i < 3 && from_ms < to_ms; i++)
		if (matchers_match(matchers, count, &all[i].labels))
			some[(*count_r)++] = all[i];
	*series_r = some;
	return ATOM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct expr_source source = { NULL, pick_some };
	struct atom_error error = ATOM_ERROR_INIT, again = ATOM_ERROR_INIT;
	struct arena arena = ARENA_INIT(1024 * 1024);
	struct arena values = ARENA_INIT(1024 * 1024);
	char *text = calloc(1, size + 1);
	const struct expr *expr = NULL, *second = NULL;
	struct expr_value value;
	atom_status status;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, bytes, size);
	status = expr_parse(&arena, text, &expr, &error);
	if (status != expr_parse(&values, text, &second, &again) ||
	    strcmp(error.message, again.message) != 0)
		abort();
	arena_fini(&values);
	if ((status == ATOM_OK) != (expr != NULL) ||
	    (status != ATOM_OK && *error.message == '\0'))
		abort();
	if (status == ATOM_OK && expr_evaluate(expr, &source, NOW_MS, &values,
					       &value, &error) == ATOM_OK)
		for (size_t i = 0; value.type == EXPR_VECTOR && i < value.count;
		     i++)
			for (size_t k = 0; k < i; k++)
				if (labels_compare(&value.items[i].labels,
						   &value.items[k].labels) == 0)
					abort();
	arena_fini(&values);
	arena_fini(&arena);
	free(text);
	return 0;
}
