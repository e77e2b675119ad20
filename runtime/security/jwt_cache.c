/* SPDX-License-Identifier: Apache-2.0 */
#include "security/jwt_cache.h"

#include <string.h>

#include "core/memory.h"

#define SETS 256
#define WAYS 4

struct place {
	uint8_t hash[32];
	uint64_t generation; /* 0: empty */
	uint32_t used;
	struct jwt_identity identity;
};

struct jwt_cache {
	uint32_t clock;
	struct place places[SETS][WAYS];
};

struct jwt_cache *jwt_cache_new(void)
{
	return mem_zalloc(sizeof(struct jwt_cache));
}

void jwt_cache_free(struct jwt_cache **cache)
{
	struct jwt_cache *c = TAKE(*cache);

	if (c == NULL)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			jwt_agents_free(&c->places[i][k].identity.agents);
	mem_free(c);
}

/* A good hash is even in every byte. */
static struct place *set_of(struct jwt_cache *cache, const uint8_t hash[32])
{
	return cache->places[hash[0] % SETS];
}

static bool is_alive(const struct place *p, uint64_t generation, int64_t now_ms)
{
	return p->generation == generation && now_ms < p->identity.expires_ms;
}

const struct jwt_identity *jwt_cache_find(struct jwt_cache *cache,
					  const uint8_t hash[32],
					  uint64_t generation, int64_t now_ms)
{
	struct place *set = set_of(cache, hash);

	for (size_t i = 0; i < WAYS; i++)
		if (is_alive(&set[i], generation, now_ms) &&
		    memcmp(set[i].hash, hash, sizeof(set[i].hash)) == 0) {
			set[i].used = ++cache->clock;
			return &set[i].identity;
		}
	return NULL;
}

const struct jwt_identity *jwt_cache_put(struct jwt_cache *cache,
					 const uint8_t hash[32],
					 uint64_t generation, int64_t now_ms,
					 struct jwt_identity *identity)
{
	struct place *set = set_of(cache, hash), *chosen = &set[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (!is_alive(&set[i], generation, now_ms)) {
			chosen = &set[i];
			break;
		}
		/* The clock may turn over. */
		if (cache->clock - set[i].used > cache->clock - chosen->used)
			chosen = &set[i];
	}
	jwt_agents_free(&chosen->identity.agents);
	memcpy(chosen->hash, hash, sizeof(chosen->hash));
	chosen->generation = generation;
	chosen->used = ++cache->clock;
	chosen->identity = *identity;
	identity->agents = NULL;
	return &chosen->identity;
}
