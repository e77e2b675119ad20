/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "endpoint.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "core/text.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool has_space_or_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return true;
	return false;
}

const char *endpoint_socket(const struct endpoint *endpoint)
{
	return endpoint->is_socket ? endpoint->text + strlen("unix:") : NULL;
}

bool endpoint_parse(struct endpoint *endpoint, const char *text,
		    char error[ENDPOINT_ERROR_MAX])
{
	static const char expected[] =
		"expected http://HOST:PORT, https://HOST or unix:PATH";
	*endpoint = (struct endpoint){ 0 };
	size_t length = strlen(text);
	if (length >= sizeof(endpoint->text)) {
		snprintf(error, ENDPOINT_ERROR_MAX,
			 "the daemon's address has %zu bytes, at most %zu are "
			 "taken",
			 length, sizeof(endpoint->text) - 1);
		return false;
	}
	memcpy(endpoint->text, text, length + 1);

	if (begins(text, "unix:")) {
		endpoint->is_socket = true;
		size_t path_length = strlen(endpoint_socket(endpoint));
		if (path_length == 0 || path_length > SOCKET_PATH_MAX) {
			snprintf(error, ENDPOINT_ERROR_MAX,
				 "%s: expected a path of 1 to %zu bytes behind "
				 "unix:, found %zu",
				 text, SOCKET_PATH_MAX, path_length);
			return false;
		}
		snprintf(endpoint->base, sizeof(endpoint->base), "%s",
			 "http://localhost");
		endpoint->loopback = true;
		return true;
	}

	const char *host = begins(text, "http://")    ? text + 7
			   : begins(text, "https://") ? text + 8
						      : NULL;
	if (!host || !*host || strchr("/:?#", *host) ||
	    has_space_or_control(text) || strpbrk(text, "?#")) {
		snprintf(error, ENDPOINT_ERROR_MAX, "%s, found '%s'", expected,
			 text);
		return false;
	}
	endpoint->loopback = text_is_loopback_url(text);
	while (length && text[length - 1] == '/')
		length--;
	memcpy(endpoint->base, text, length);
	return true;
}

size_t endpoint_defaults(struct endpoint endpoints[ENDPOINTS_MAX],
			 const char *runtime_directory)
{
	char text[ENDPOINT_TEXT_MAX];
	char error[ENDPOINT_ERROR_MAX];
	size_t count = 0;
	if (runtime_directory && *runtime_directory) {
		int length =
			snprintf(text, sizeof(text), "unix:%s/atomd/admin.sock",
				 runtime_directory);
		if (length > 0 && (size_t)length < sizeof(text) &&
		    endpoint_parse(&endpoints[count], text, error))
			count++;
	}
	if (endpoint_parse(&endpoints[count], "unix:/run/atomd/admin.sock",
			   error))
		count++;
	return count;
}

bool endpoint_escape(struct text *path, const char *segment)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "abcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";
	/* A segment of dots alone would climb: RFC 3986, 5.2.4. */
	bool dots = !strcmp(segment, ".") || !strcmp(segment, "..");
	for (; *segment; segment++) {
		bool ok = strchr(unreserved, *segment) && !dots
				  ? text_append(path, segment, 1)
				  : text_append_format(path, "%%%02X",
						       (unsigned char)*segment);
		if (!ok)
			return false;
	}
	return true;
}
