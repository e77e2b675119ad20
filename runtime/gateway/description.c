/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/description.h"

#include <stdio.h>

#include "gateway/handlers.h"
#include "gateway/reply.h"
#include "security/principal.h"

#define PAGE_MAX ((size_t)1024 * 1024)

static struct buffer openapi_text = BUFFER_INIT(PAGE_MAX);
static struct buffer docs_page = BUFFER_INIT(PAGE_MAX);

void description_permissions(uint32_t permissions,
			     char out[PERMISSION_TEXT_MAX])
{
	size_t used = 0;

	(void)snprintf(out, PERMISSION_TEXT_MAX, "%s",
		       permissions == 0 ? "public" : "");
	for (uint32_t bit = 1; bit != 0 && bit <= permissions; bit <<= 1)
		if ((permissions & bit) != 0 && used < PERMISSION_TEXT_MAX)
			used += (size_t)snprintf(
				out + used, PERMISSION_TEXT_MAX - used, "%s%s",
				used > 0 ? " or " : "",
				permission_name((enum permission)bit));
}

atom_status description_init(struct atom_error *err)
{
	atom_status status;

	description_fini();
	status = openapi_build(&openapi_text, err);
	if (status == ATOM_OK)
		status = docs_build(&docs_page, err);
	return status;
}

void description_fini(void)
{
	buffer_fini(&openapi_text);
	buffer_fini(&docs_page);
}

void handle_openapi(struct http_request *request,
		    const struct admission *admission)
{
	(void)admission;
	reply_buffer(request, 200, "application/json", &openapi_text);
}

void handle_docs(struct http_request *request,
		 const struct admission *admission)
{
	(void)admission;
	reply_html(request, &docs_page);
}
