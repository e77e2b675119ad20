/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/traceparent.h"

#include <stddef.h>
#include <string.h>

/* `length` lower-case hexadecimal digits, not all of them 0 if `some`. */
static bool is_hex(const char *text, size_t length, bool some)
{
	return strspn(text, "0123456789abcdef") >= length &&
	       (!some || strspn(text, "0") < length);
}

bool traceparent_valid(const char *text)
{
	if (strlen(text) != TRACEPARENT_LENGTH)
		return false;
	return text[2] == '-' && text[35] == '-' && text[52] == '-' &&
	       is_hex(text, 2, false) && strncmp(text, "ff", 2) != 0 &&
	       is_hex(text + 3, 32, true) && is_hex(text + 36, 16, true) &&
	       is_hex(text + 53, 2, false);
}
