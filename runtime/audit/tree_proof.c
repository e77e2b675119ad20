/* SPDX-License-Identifier: Apache-2.0 */

/* Proofs: the other half of tree.h. */

#include <string.h>

#include "audit/tree.h"

/* The largest power of two that is smaller than n > 1: where RFC 6962 splits
 * a list of n leaves. */
static uint64_t split_of(uint64_t n)
{
	return 1ULL << (63 - __builtin_clzll(n - 1));
}

/* The node of the range that stands for `count` leaves from `begin` on, or
 * NULL. */
static const uint8_t *kept_node(const struct tree_range *range, uint64_t begin,
				uint64_t count)
{
	uint64_t at = 0;
	uint32_t index = 0;

	for (uint64_t left = range->size; left;) {
		uint64_t step = 1ULL << (63 - __builtin_clzll(left));

		if (at == begin && step == count)
			return range->nodes[index];
		at += step;
		left -= step;
		index++;
	}
	return NULL;
}

/* The root of the leaves begin to end - 1.  Where all of them are gone the
 * range has it: an aligned subtree inside of it that a proof asks for is
 * always one of its nodes, for the subtree above it reaches out. */
static atom_status subtree(const struct tree_source *source, uint64_t begin,
			   uint64_t end, uint8_t hash_r[TREE_HASH])
{
	uint64_t before = source->before.size;
	uint64_t middle;
	const uint8_t *node;
	uint8_t left[TREE_HASH], right[TREE_HASH];
	atom_status status;

	if (end <= before) {
		node = kept_node(&source->before, begin, end - begin);
		if (node) {
			memcpy(hash_r, node, TREE_HASH);
			return ATOM_OK;
		}
		if (end - begin == 1)
			return ATOM_ENOENT;
	} else if (end - begin == 1) {
		memcpy(hash_r, source->leaves[begin - before], TREE_HASH);
		return ATOM_OK;
	}
	middle = begin + split_of(end - begin);
	status = subtree(source, begin, middle, left);
	if (status == ATOM_OK)
		status = subtree(source, middle, end, right);
	if (status == ATOM_OK && !tree_node(left, right, hash_r))
		status = ATOM_ENOMEM;
	return status;
}

static atom_status add(const struct tree_source *source, uint64_t begin,
		       uint64_t end, struct tree_proof *proof)
{
	atom_status status =
		subtree(source, begin, end, proof->hashes[proof->count]);

	if (status == ATOM_OK)
		proof->count++;
	return status;
}

static void turn_round(struct tree_proof *proof)
{
	uint8_t kept[TREE_HASH];

	for (uint32_t i = 0; i < proof->count / 2; i++) {
		uint32_t other = proof->count - 1 - i;

		memcpy(kept, proof->hashes[i], TREE_HASH);
		memcpy(proof->hashes[i], proof->hashes[other], TREE_HASH);
		memcpy(proof->hashes[other], kept, TREE_HASH);
	}
}

static atom_status finish(struct tree_proof *proof, atom_status status,
			  const struct tree_source *source,
			  struct atom_error *err)
{
	if (status == ATOM_ENOENT)
		return atom_fail(
			err, status,
			"the proof takes hashes of records up to %llu, which are pruned",
			(unsigned long long)source->before.size);
	if (status != ATOM_OK)
		return atom_fail(err, status, "no memory to hash with");
	turn_round(proof);
	return ATOM_OK;
}

static bool size_is_kept(const struct tree_source *source, uint64_t size)
{
	return size <= source->before.size + source->leaf_count;
}

/* From the root down; RFC 6962's recursion gives the hashes from the leaf
 * up, so the list is turned round at the end. */
atom_status tree_prove_inclusion(const struct tree_source *source,
				 uint64_t index, uint64_t size,
				 struct tree_proof *proof_r,
				 struct atom_error *err)
{
	uint64_t begin = 0, end = size;
	atom_status status = ATOM_OK;

	proof_r->count = 0;
	if (index >= size || !size_is_kept(source, size))
		return atom_fail(err, ATOM_EINVAL,
				 "no leaf %llu in a tree of %llu leaves",
				 (unsigned long long)index,
				 (unsigned long long)size);
	if (index < source->before.size)
		return finish(proof_r, ATOM_ENOENT, source, err);
	while (status == ATOM_OK && end - begin > 1) {
		uint64_t middle = begin + split_of(end - begin);

		if (index < middle) {
			status = add(source, middle, end, proof_r);
			end = middle;
		} else {
			status = add(source, begin, middle, proof_r);
			begin = middle;
		}
	}
	return finish(proof_r, status, source, err);
}

atom_status tree_prove_consistency(const struct tree_source *source,
				   uint64_t from, uint64_t size,
				   struct tree_proof *proof_r,
				   struct atom_error *err)
{
	uint64_t begin = 0, end = size;
	atom_status status = ATOM_OK;

	proof_r->count = 0;
	if (from == 0 || from > size || !size_is_kept(source, size))
		return atom_fail(err, ATOM_EINVAL,
				 "no tree of %llu leaves in one of %llu",
				 (unsigned long long)from,
				 (unsigned long long)size);
	while (status == ATOM_OK && from != end) {
		uint64_t middle = begin + split_of(end - begin);

		if (from <= middle) {
			status = add(source, middle, end, proof_r);
			end = middle;
		} else {
			status = add(source, begin, middle, proof_r);
			begin = middle;
		}
	}
	/* The whole old tree needs no hash: whoever verifies has its root. */
	if (status == ATOM_OK && begin != 0)
		status = add(source, begin, end, proof_r);
	return finish(proof_r, status, source, err);
}

/* --- verification -------------------------------------------------------- */

bool tree_verify_inclusion(uint64_t index, uint64_t size,
			   const uint8_t leaf[TREE_HASH],
			   const uint8_t root[TREE_HASH],
			   const struct tree_proof *proof)
{
	uint64_t fn = index, sn = size - 1;
	uint8_t r[TREE_HASH];

	if (index >= size || proof->count > TREE_PROOF_MAX)
		return false;
	memcpy(r, leaf, TREE_HASH);
	for (uint32_t i = 0; i < proof->count; i++) {
		const uint8_t *p = proof->hashes[i];

		if (sn == 0)
			return false;
		/* Where it is even it is sn, and that is not 0. */
		if ((fn & 1) || fn == sn) {
			if (!tree_node(p, r, r))
				return false;
			while (!(fn & 1)) {
				fn >>= 1;
				sn >>= 1;
			}
		} else if (!tree_node(r, p, r)) {
			return false;
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(r, root, TREE_HASH) == 0;
}

bool tree_verify_consistency(uint64_t from, uint64_t size,
			     const uint8_t from_root[TREE_HASH],
			     const uint8_t root[TREE_HASH],
			     const struct tree_proof *proof)
{
	uint64_t fn = from - 1, sn = size - 1;
	uint8_t fr[TREE_HASH], sr[TREE_HASH];
	uint32_t i = 0;

	if (from == 0 || from > size || proof->count > TREE_PROOF_MAX)
		return false;
	if (from == size)
		return proof->count == 0 &&
		       memcmp(from_root, root, TREE_HASH) == 0;
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	/* A perfect old tree is its own first hash. */
	if ((from & (from - 1)) == 0) {
		memcpy(fr, from_root, TREE_HASH);
	} else {
		if (proof->count == 0)
			return false;
		memcpy(fr, proof->hashes[i++], TREE_HASH);
	}
	memcpy(sr, fr, TREE_HASH);
	for (; i < proof->count; i++) {
		const uint8_t *c = proof->hashes[i];

		if (sn == 0)
			return false;
		/* As above. */
		if ((fn & 1) || fn == sn) {
			if (!tree_node(c, fr, fr) || !tree_node(c, sr, sr))
				return false;
			while (!(fn & 1)) {
				fn >>= 1;
				sn >>= 1;
			}
		} else if (!tree_node(sr, c, sr)) {
			return false;
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(fr, from_root, TREE_HASH) == 0 &&
	       memcmp(sr, root, TREE_HASH) == 0;
}
