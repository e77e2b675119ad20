/* SPDX-License-Identifier: Apache-2.0 */

/* Which series a query means: Prometheus' matchers (pattern.h). */

#include <inttypes.h>
#include <string.h>

#include "monitor/history_priv.h"
#include "monitor/pattern.h"

static atom_status compile(struct history_matcher *m, struct atom_error *err)
{
	atom_status status =
		pattern_compile(m->label, m->value, &m->pattern, err);

	m->compiled = status == ATOM_OK;
	return status;
}

static atom_status take_matcher(struct history_matcher *m,
				const struct atom_history_matcher *given,
				struct atom_error *err)
{
	*m = (struct history_matcher){ .type = given->type,
				       .label = given->label,
				       .value = given->value };
	if (!m->label || !m->value ||
	    strlen(m->value) > ATOM_HISTORY_PATTERN_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a matcher needs a label and a value of at "
				 "most %d bytes",
				 ATOM_HISTORY_PATTERN_MAX);
	switch (m->type) {
	case ATOM_HISTORY_EQUAL:
	case ATOM_HISTORY_NOT_EQUAL:
		return ATOM_OK;
	case ATOM_HISTORY_MATCHES:
	case ATOM_HISTORY_NOT_MATCHES:
		return compile(m, err);
	default:
		return atom_fail(err, ATOM_EINVAL,
				 "matcher of %s: there is no type %" PRId32,
				 m->label, m->type);
	}
}

atom_status history_match_init(struct history_match *match,
			       const struct atom_history_query *query,
			       struct atom_error *err)
{
	const char *at = query->matchers;
	atom_status status = ATOM_OK;

	match->name = query->name;
	match->count = 0;
	if (query->matcher_count > ATOM_HISTORY_MATCHERS_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "expected at most %d matchers, found %" PRIu32,
				 ATOM_HISTORY_MATCHERS_MAX,
				 query->matcher_count);
	for (uint32_t i = 0; i < query->matcher_count && status == ATOM_OK; i++)
		status = take_matcher(
			&match->matchers[match->count++],
			(const struct atom_history_matcher
				 *)(const void
					    *)(at +
					       (size_t)i *
						       query->matcher_stride),
			err);
	if (status != ATOM_OK)
		history_match_fini(match);
	return status;
}

void history_match_fini(struct history_match *match)
{
	for (size_t i = 0; i < match->count; i++)
		if (match->matchers[i].compiled)
			regfree(&match->matchers[i].pattern);
	match->count = 0;
}

static bool holds(const struct history_matcher *m, const char *value)
{
	switch (m->type) {
	case ATOM_HISTORY_EQUAL:
		return strcmp(value, m->value) == 0;
	case ATOM_HISTORY_NOT_EQUAL:
		return strcmp(value, m->value) != 0;
	case ATOM_HISTORY_MATCHES:
		return regexec(&m->pattern, value, 0, NULL, 0) == 0;
	default:
		return regexec(&m->pattern, value, 0, NULL, 0) != 0;
	}
}

bool history_matches(const struct history_match *match, const char *name,
		     const struct atom_history_label *labels,
		     size_t label_count)
{
	if (match->name && strcmp(match->name, name) != 0)
		return false;
	for (size_t i = 0; i < match->count; i++) {
		const struct history_matcher *m = &match->matchers[i];
		const char *value =
			strcmp(m->label, "__name__") == 0 ? name : "";

		for (size_t j = 0; j < label_count; j++)
			if (strcmp(labels[j].name, m->label) == 0)
				value = labels[j].value;
		if (!holds(m, value))
			return false;
	}
	return true;
}
