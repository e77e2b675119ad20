/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/tree.h"

#include <string.h>

#include "audit/digest.h"

bool tree_leaf(const void *bytes, size_t length, uint8_t hash_r[TREE_HASH])
{
	return digest_of("\0", 1, bytes, length, hash_r);
}

bool tree_node(const uint8_t left[TREE_HASH], const uint8_t right[TREE_HASH],
	       uint8_t hash_r[TREE_HASH])
{
	uint8_t blocks[DIGEST_TWO_BLOCKS];

	blocks[0] = 1;
	memcpy(blocks + 1, left, TREE_HASH);
	memcpy(blocks + 1 + TREE_HASH, right, TREE_HASH);
	return digest_of_two(blocks, (size_t)1 + (size_t)2 * TREE_HASH, hash_r);
}

bool tree_range_load(struct tree_range *range, uint64_t size,
		     const uint8_t *nodes, size_t count)
{
	if (count != tree_range_count(size))
		return false;
	range->size = size;
	memset(range->nodes, 0, sizeof(range->nodes));
	if (count)
		memcpy(range->nodes, nodes, count * TREE_HASH);
	return true;
}

/* As a binary counter: a new leaf joins the perfect subtrees of 1, 2, 4 ...
 * leaves that stand at the right end, one for each trailing one of the
 * size. */
bool tree_append(struct tree_range *range, const uint8_t leaf[TREE_HASH])
{
	uint32_t count = tree_range_count(range->size);
	uint8_t joined[TREE_HASH];

	memcpy(joined, leaf, TREE_HASH);
	for (uint64_t left = range->size; left & 1; left >>= 1)
		if (!tree_node(range->nodes[--count], joined, joined))
			return false;
	memcpy(range->nodes[count], joined, TREE_HASH);
	range->size++;
	return true;
}

bool tree_root(const struct tree_range *range, uint8_t root_r[TREE_HASH])
{
	uint32_t count = tree_range_count(range->size);
	uint8_t joined[TREE_HASH];

	if (count == 0)
		return digest_of("", 0, "", 0, root_r);
	memcpy(joined, range->nodes[--count], TREE_HASH);
	while (count > 0)
		if (!tree_node(range->nodes[--count], joined, joined))
			return false;
	memcpy(root_r, joined, TREE_HASH);
	return true;
}
