/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_OCTETS_H
#define AUDIT_HTTP_OCTETS_H

/*
 * Numbers in files: little-endian, whatever the machine is.
 */

#include <stdint.h>

static inline void put_le32(uint8_t *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> 8 * i);
}

static inline void put_le64(uint8_t *out, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t get_le32(const uint8_t *from)
{
	uint32_t value = 0;

	for (int i = 3; i >= 0; i--)
		value = value << 8 | from[i];
	return value;
}

static inline uint64_t get_le64(const uint8_t *from)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | from[i];
	return value;
}

#endif
