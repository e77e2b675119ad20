/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One element of the list: a range and its parameters. */
struct range {
	const char *type;
	size_t length;
	double weight;
	bool other_version; /* it names one that is not 1.0.0 */
};

static const char *skip(const char *at)
{
	return at + strspn(at, " \t");
}

static void take_parameter(const char *at, size_t length, struct range *range)
{
	static const char version[] = "version=";

	if (length > 2 && strncasecmp(at, "q=", 2) == 0)
		range->weight = strtod(at + 2, NULL);
	if (length <= strlen(version) ||
	    strncasecmp(at, version, strlen(version)) != 0)
		return;
	at += strlen(version);
	at += *at == '"';
	range->other_version = strcspn(at, "\",; \t") != strlen("1.0.0") ||
			       strncmp(at, "1.0.0", strlen("1.0.0")) != 0;
}

/* Behind it. */
static const char *take_range(const char *at, struct range *range)
{
	at = skip(at);
	*range = (struct range){ .type = at, .weight = 1 };
	range->length = strcspn(at, ",; \t");
	at += strcspn(at, ",;");
	while (*at == ';') {
		at = skip(at + 1);
		take_parameter(at, strcspn(at, ",;"), range);
		at += strcspn(at, ",;");
	}
	return *at == ',' ? at + 1 : at;
}

static bool is(const struct range *range, const char *type)
{
	return range->length == strlen(type) &&
	       strncasecmp(range->type, type, range->length) == 0;
}

bool accept_openmetrics(const char *accept)
{
	double open = 0, text = 0;
	struct range range;

	while (accept && *accept) {
		accept = take_range(accept, &range);
		if (is(&range, "application/openmetrics-text") &&
		    !range.other_version && range.weight > open)
			open = range.weight;
		if (is(&range, "text/plain") && range.weight > text)
			text = range.weight;
	}
	return open > 0 && open >= text;
}
