/* SPDX-License-Identifier: Apache-2.0 */
#include "security/base64url.h"

/* 0 to 63, or -1. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(const char *text, size_t length, uint8_t *bytes,
		      size_t size, size_t *length_r)
{
	uint32_t bits = 0;
	unsigned int count = 0;
	size_t n = 0;

	if (length % 4 == 1)
		return false;
	for (size_t i = 0; i < length; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		if (n == size)
			return false;
		bytes[n++] = (uint8_t)(bits >> count);
	}
	if ((bits & ((1u << count) - 1)) != 0)
		return false;
	*length_r = n;
	return true;
}
