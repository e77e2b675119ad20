/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "core/os.h"

/* splitmix64 (Steele, Lea, Flood 2014), to spread a poor seed. */
static uint64_t spread(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

/* xoshiro256** (Blackman and Vigna 2018), a state a thread. */
uint64_t id_random(void)
{
	static _Thread_local uint64_t s[4];
	static _Thread_local bool seeded;

	if (!seeded) {
		if (os.random(s, sizeof(s)) != 0) {
			uint64_t state = (uint64_t)os.monotonic_ns() ^
					 (uint64_t)(uintptr_t)s;

			for (int i = 0; i < 4; i++)
				s[i] = spread(&state);
		}
		seeded = true;
	}

	const uint64_t result = rotate(s[1] * 5, 7) * 9;
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

void id_new(const char *prefix, char out[ID_MAX])
{
	/* Crockford's base32: no i, l, o, u. */
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	const size_t length = strlen(prefix);
	uint64_t time = (uint64_t)os.realtime_ms();
	uint64_t high = id_random();
	uint64_t low = id_random();
	char *at = out + length;

	assert(length <= 7);
	memcpy(out, prefix, length);
	/* 48 bits in ten digits, most significant first: ids sort by time. */
	for (int shift = 45; shift >= 0; shift -= 5)
		*at++ = digits[time >> shift & (shift == 45 ? 7 : 31)];
	for (int i = 0; i < 8; i++)
		*at++ = digits[high >> (5 * i) & 31];
	for (int i = 0; i < 8; i++)
		*at++ = digits[low >> (5 * i) & 31];
	*at = '\0';
}
