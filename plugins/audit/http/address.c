/* SPDX-License-Identifier: Apache-2.0 */

/* What the configuration says about the receiver, checked before anything is
 * sent there. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "plugins/audit/http/poster.h"

atom_status poster_check_url(const char *url, char *target_r,
			     struct atom_error *err)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *password = NULL;
	atom_status status = ATOM_OK;
	CURLUcode code;

	if (parsed == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	code = curl_url_set(parsed, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(parsed, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(parsed, CURLUPART_PORT, &port,
				    CURLU_DEFAULT_PORT);
	if (code != CURLUE_OK)
		status = atom_fail(err, ATOM_EINVAL,
				   "option `url`: expected http://... or "
				   "https://..., found one that does not parse "
				   "(%s)",
				   curl_url_strerror(code));
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		status = atom_fail(err, ATOM_EINVAL,
				   "option `url`: expected http:// or "
				   "https://, found %s://",
				   scheme);
	else if (curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) ==
		 CURLUE_OK)
		status = atom_fail(err, ATOM_EINVAL,
				   "option `url`: a password there would stand "
				   "in logs; use `authorization`");
	else
		(void)snprintf(target_r, 256, "%s:%s", host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(password);
	curl_url_cleanup(parsed);
	return status;
}

/* RFC 9110 5.6.2. */
static bool is_token(const char *name)
{
	return *name != '\0' &&
	       strspn(name, "!#$%&'*+-.^_`|~0123456789"
			    "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(name);
}

atom_status poster_check_header(const char *name, const char *value,
				struct atom_error *err)
{
	static const char *const ours[] = {
		"Authorization",     "Connection", "Content-Length",
		"Content-Type",	     "Expect",	   "Idempotency-Key",
		"Transfer-Encoding", NULL
	};

	if (!is_token(name))
		return atom_fail(err, ATOM_EINVAL,
				 "option `headers`: \"%s\" is no name of a "
				 "header field",
				 name);
	for (const char *const *our = ours; *our != NULL; our++)
		if (strcasecmp(name, *our) == 0)
			return atom_fail(err, ATOM_EINVAL,
					 "option `headers`: %s is set by the "
					 "sink itself",
					 *our);
	if (strncasecmp(name, "x-atomd-", 8) == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "option `headers`: X-Atomd-... are set by the "
				 "sink itself");
	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char)*at < 32 || *at == 127)
			return atom_fail(err, ATOM_EINVAL,
					 "the value of the header field %s "
					 "holds control bytes",
					 name);
	return ATOM_OK;
}
