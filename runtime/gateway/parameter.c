/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/parameter.h"

bool parameter_read(const struct http_request *request, const char *name,
		    char *out, size_t out_size, struct api_error *e)
{
	if (http_query_value(request, name, out, out_size))
		return true;
	out[0] = '\0';
	if (!http_query_has(request, name))
		return true;
	api_error_set(e, "invalid_request", name,
		      "%s: expected at most %zu bytes, each as it is or as "
		      "%%XX",
		      name, out_size - 1);
	return false;
}
