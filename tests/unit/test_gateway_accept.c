/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets OpenMetrics. */
#include <criterion/criterion.h>

#include "gateway/accept.h"

Test(gateway_accept, openmetrics_is_for_who_asks_for_a_version_we_have)
{
	static const struct {
		const char *accept;
		bool open;
	} rows[] = {
		{ NULL, false },
		{ "", false },
		{ "*/*", false },
		{ "text/plain", false },
		{ "application/openmetrics-text", true },
		{ "Application/OpenMetrics-Text; version=1.0.0", true },
		{ "application/openmetrics-text; version=\"1.0.0\"", true },
		{ "application/openmetrics-text;version=0.0.1", false },
		{ "application/openmetrics-text;version=1.0.01", false },
		/* Prometheus 2.42 and 3.0 */
		{ "application/openmetrics-text;version=1.0.0,"
		  "application/openmetrics-text;version=0.0.1;q=0.75,"
		  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  true },
		{ "application/openmetrics-text;version=1.0.0;"
		  "escaping=allow-utf-8;q=0.6,"
		  "application/openmetrics-text;version=0.0.1;q=0.5,"
		  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
		  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		  true },
		{ "text/plain, application/openmetrics-text;q=0.9", false },
		{ "application/openmetrics-text;q=0", false },
		{ "application/openmetrics-text;q=0,", false },
		{ "application/openmetrics-texts", false },
		{ ";;,,;q=1", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(accept_openmetrics(rows[i].accept), rows[i].open,
			     "%s", rows[i].accept);
}
