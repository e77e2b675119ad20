/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/chain.h"

#include <string.h>

#include "audit/digest.h"
#include "core/text.h"

static const char genesis[] = "atomd-audit/1 ";

bool chain_is_log_id(const char *text)
{
	return strlen(text) == CHAIN_LOG_ID &&
	       strspn(text, "0123456789abcdef") == CHAIN_LOG_ID;
}

void chain_log_id(const uint8_t random[CHAIN_LOG_ID / 2],
		  char log_id_r[CHAIN_LOG_ID + 1])
{
	text_to_hex(random, CHAIN_LOG_ID / 2, log_id_r);
}

bool chain_genesis(const char *log_id, uint8_t hash_r[CHAIN_HASH])
{
	return chain_is_log_id(log_id) &&
	       digest_of(genesis, sizeof(genesis) - 1, log_id, CHAIN_LOG_ID,
			 hash_r);
}

bool chain_step(uint8_t hash[CHAIN_HASH], const uint8_t leaf[CHAIN_HASH])
{
	uint8_t blocks[DIGEST_TWO_BLOCKS];

	memcpy(blocks, hash, CHAIN_HASH);
	memcpy(blocks + CHAIN_HASH, leaf, CHAIN_HASH);
	return digest_of_two(blocks, (size_t)2 * CHAIN_HASH, hash);
}
