/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_TREE_H
#define AUDIT_TREE_H

/*
 * The Merkle tree of RFC 6962 (SHA-256): a leaf is SHA-256(0x00 || bytes), a
 * node SHA-256(0x01 || left || right).  A signed root lets one prove to
 * somebody who has nothing but two signed roots that a record is in the log
 * (inclusion) and that the later log is the earlier one with more behind it
 * (consistency).
 *
 * A growing tree is kept as a compact range: the roots of the largest perfect
 * subtrees from the left, one for each bit that is set in the size, largest
 * first.  That is all that appending and the root need.
 *
 * Leaves are counted from 0: record n of the audit log is leaf n - 1.  Pure,
 * no allocation; false or ATOM_ENOMEM when OpenSSL has no memory.  [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#define TREE_HASH      32
#define TREE_RANGE_MAX 64
/* Hashes of the longest proof (RFC 6962, 2.1.2: ceil(log2(n)) + 1). */
#define TREE_PROOF_MAX 65

struct tree_range {
	uint64_t size; /* leaves */
	uint8_t nodes[TREE_RANGE_MAX][TREE_HASH];
};

struct tree_proof {
	uint32_t count;
	uint8_t hashes[TREE_PROOF_MAX][TREE_HASH];
};

/* How many nodes the range of a tree of `size` leaves has. */
static inline uint32_t tree_range_count(uint64_t size)
{
	return (uint32_t)__builtin_popcountll(size);
}

bool tree_leaf(const void *bytes, size_t length, uint8_t hash_r[TREE_HASH]);
bool tree_node(const uint8_t left[TREE_HASH], const uint8_t right[TREE_HASH],
	       uint8_t hash_r[TREE_HASH]);

/* A range of `size` leaves from its nodes, one after the other as
 * `range->nodes` has them.  False: `count` does not fit the size. */
bool tree_range_load(struct tree_range *range, uint64_t size,
		     const uint8_t *nodes, size_t count);
/* One leaf more; on failure the range is unchanged. */
bool tree_append(struct tree_range *range, const uint8_t leaf[TREE_HASH]);
/* The root; of no leaves: SHA-256 of nothing. */
bool tree_root(const struct tree_range *range, uint8_t root_r[TREE_HASH]);

/* --- proofs -------------------------------------------------------------- */

/* Where a proof takes its hashes from: the leaves from `before.size` on, and
 * for those that are no longer kept the range of the tree they made. */
struct tree_source {
	struct tree_range before;
	uint64_t leaf_count; /* of `leaves` */
	const uint8_t (*leaves)[TREE_HASH];
};

/* RFC 6962, 2.1.1: that leaf `index` is in the tree of `size` leaves.
 * ATOM_EINVAL: index >= size, or more leaves than the source has;
 * ATOM_ENOENT: the leaf is one of those that are no longer kept. */
atom_status tree_prove_inclusion(const struct tree_source *source,
				 uint64_t index, uint64_t size,
				 struct tree_proof *proof_r,
				 struct atom_error *err);
/* RFC 6962, 2.1.2: that the tree of `from` leaves is the beginning of the
 * one of `size`.  Equal sizes: an empty proof.  ATOM_EINVAL: from 0, or above
 * `size`; ATOM_ENOENT: it takes leaves that are no longer kept. */
atom_status tree_prove_consistency(const struct tree_source *source,
				   uint64_t from, uint64_t size,
				   struct tree_proof *proof_r,
				   struct atom_error *err);

/* RFC 9162, 2.1.3.2. */
bool tree_verify_inclusion(uint64_t index, uint64_t size,
			   const uint8_t leaf[TREE_HASH],
			   const uint8_t root[TREE_HASH],
			   const struct tree_proof *proof);
/* RFC 9162, 2.1.4.2. */
bool tree_verify_consistency(uint64_t from, uint64_t size,
			     const uint8_t from_root[TREE_HASH],
			     const uint8_t root[TREE_HASH],
			     const struct tree_proof *proof);

#endif
