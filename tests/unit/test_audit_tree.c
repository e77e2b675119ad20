/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/tree.h"
#include "core/text.h"

/* The Merkle tree: RFC 6962's roots, and proofs of every size up to 70. */

/* The leaves and roots with which Certificate Transparency's own
 * implementations are tested: the trees of the first 0 to 8 of these. */
static const struct {
	const char *leaf; /* the last one of the tree */
	size_t length;
	const char *root;
} published[] = {
	{ NULL, 0,
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "", 0,
	  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
	{ "\x00", 1,
	  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
	{ "\x10", 1,
	  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
	{ "\x20\x21", 2,
	  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
	{ "\x30\x31", 2,
	  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
	{ "\x40\x41\x42\x43", 4,
	  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
	{ "\x50\x51\x52\x53\x54\x55\x56\x57", 8,
	  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
	{ "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
	  16,
	  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
};

static void check_root(const struct tree_range *range, const char *want)
{
	uint8_t root[TREE_HASH];
	char text[TREE_HASH * 2 + 1];

	cr_assert(tree_root(range, root));
	text_to_hex(root, sizeof(root), text);
	cr_assert_str_eq(text, want, "size %llu: %s",
			 (unsigned long long)range->size, text);
}

Test(tree, roots_are_the_published_ones)
{
	struct tree_range range = { .size = 0 };
	uint8_t leaf[TREE_HASH];

	check_root(&range, published[0].root);
	for (size_t i = 1; i < sizeof(published) / sizeof(*published); i++) {
		cr_assert(tree_leaf(published[i].leaf, published[i].length,
				    leaf));
		cr_assert(tree_append(&range, leaf));
		cr_assert_eq(range.size, i);
		check_root(&range, published[i].root);
	}
}

Test(tree, a_range_goes_on_where_it_was_saved)
{
	for (uint64_t cut = 0; cut < 40; cut++) {
		struct tree_range whole = { .size = 0 };
		struct tree_range saved = { .size = 0 };
		uint8_t leaf[TREE_HASH], one[TREE_HASH], other[TREE_HASH];

		for (uint64_t i = 0; i < 40; i++) {
			if (i == cut)
				cr_assert(tree_range_load(&saved, i,
							  whole.nodes[0],
							  tree_range_count(i)));
			cr_assert(tree_leaf(&i, sizeof(i), leaf));
			cr_assert(tree_append(&whole, leaf));
			if (i >= cut)
				cr_assert(tree_append(&saved, leaf));
		}
		cr_assert(tree_root(&whole, one));
		cr_assert(tree_root(&saved, other));
		cr_assert_arr_eq(one, other, TREE_HASH);
	}
}

Test(tree, a_range_of_the_wrong_length_is_refused)
{
	struct tree_range range;
	uint8_t nodes[4][TREE_HASH] = { { 0 } };

	cr_assert(tree_range_load(&range, 7, nodes[0], 3));
	cr_assert_not(tree_range_load(&range, 7, nodes[0], 2));
	cr_assert_not(tree_range_load(&range, 8, nodes[0], 3));
	cr_assert_not(tree_range_load(&range, 0, nodes[0], 1));
}

/* --- proofs -------------------------------------------------------------- */

#define LEAVES 70

static uint8_t leaves[LEAVES][TREE_HASH];
static uint8_t roots[LEAVES + 1][TREE_HASH];
static struct tree_range ranges[LEAVES + 1];

static void make_tree(void)
{
	for (uint64_t i = 0; i < LEAVES; i++) {
		ranges[i + 1] = ranges[i];
		cr_assert(tree_leaf(&i, sizeof(i), leaves[i]));
		cr_assert(tree_append(&ranges[i + 1], leaves[i]));
		cr_assert(tree_root(&ranges[i + 1], roots[i + 1]));
	}
}

static struct tree_source source_after(uint64_t before)
{
	return (struct tree_source){
		.before = ranges[before],
		.leaf_count = LEAVES - before,
		.leaves = (const uint8_t(*)[TREE_HASH])leaves + before,
	};
}

Test(tree, each_leaf_is_proved_in_each_tree, .init = make_tree)
{
	struct tree_source source = source_after(0);
	struct tree_proof proof;

	for (uint64_t size = 1; size <= LEAVES; size++)
		for (uint64_t i = 0; i < size; i++) {
			cr_assert_eq(tree_prove_inclusion(&source, i, size,
							  &proof, NULL),
				     ATOM_OK);
			cr_assert(tree_verify_inclusion(i, size, leaves[i],
							roots[size], &proof));
			cr_assert_not(tree_verify_inclusion(
				i, size, leaves[(i + 1) % LEAVES], roots[size],
				&proof));
			if (i + 1 < size)
				cr_assert_not(tree_verify_inclusion(
					i + 1, size, leaves[i], roots[size],
					&proof));
		}
}

Test(tree, each_tree_is_proved_to_begin_each_later_one, .init = make_tree)
{
	struct tree_source source = source_after(0);
	struct tree_proof proof;

	for (uint64_t size = 1; size <= LEAVES; size++)
		for (uint64_t from = 1; from <= size; from++) {
			cr_assert_eq(tree_prove_consistency(&source, from, size,
							    &proof, NULL),
				     ATOM_OK);
			cr_assert(tree_verify_consistency(
				from, size, roots[from], roots[size], &proof));
			if (from < size)
				cr_assert_not(tree_verify_consistency(
					from, size, roots[size], roots[size],
					&proof));
			if (from > 1)
				cr_assert_not(tree_verify_consistency(
					from - 1, size, roots[from],
					roots[size], &proof));
		}
}

Test(tree, a_changed_proof_proves_nothing, .init = make_tree)
{
	struct tree_source source = source_after(0);
	struct tree_proof proof, changed;

	cr_assert_eq(tree_prove_inclusion(&source, 13, LEAVES, &proof, NULL),
		     ATOM_OK);
	for (uint32_t i = 0; i < proof.count; i++)
		for (int bit = 0; bit < 8; bit++) {
			changed = proof;
			changed.hashes[i][i] ^= (uint8_t)(1 << bit);
			cr_assert_not(
				tree_verify_inclusion(13, LEAVES, leaves[13],
						      roots[LEAVES], &changed));
		}
	changed = proof;
	changed.count--;
	cr_assert_not(tree_verify_inclusion(13, LEAVES, leaves[13],
					    roots[LEAVES], &changed));
	changed = proof;
	changed.count++;
	cr_assert_not(tree_verify_inclusion(13, LEAVES, leaves[13],
					    roots[LEAVES], &changed));
	cr_assert_eq(tree_prove_consistency(&source, 13, LEAVES, &proof, NULL),
		     ATOM_OK);
	for (uint32_t i = 0; i < proof.count; i++) {
		changed = proof;
		changed.hashes[i][0] ^= 1;
		cr_assert_not(tree_verify_consistency(13, LEAVES, roots[13],
						      roots[LEAVES], &changed));
	}
}

/* Behind a pruned beginning the range stands for what is gone. */
Test(tree, proofs_do_without_the_leaves_that_are_pruned, .init = make_tree)
{
	struct tree_proof proof;

	for (uint64_t before = 1; before < LEAVES; before++) {
		struct tree_source source = source_after(before);

		for (uint64_t i = before; i < LEAVES; i++) {
			cr_assert_eq(tree_prove_inclusion(&source, i, LEAVES,
							  &proof, NULL),
				     ATOM_OK, "leaf %d behind %d", (int)i,
				     (int)before);
			cr_assert(tree_verify_inclusion(i, LEAVES, leaves[i],
							roots[LEAVES], &proof));
			cr_assert_eq(tree_prove_consistency(&source, i, LEAVES,
							    &proof, NULL),
				     ATOM_OK);
			cr_assert(tree_verify_consistency(
				i, LEAVES, roots[i], roots[LEAVES], &proof));
		}
		cr_assert_eq(tree_prove_inclusion(&source, before - 1, LEAVES,
						  &proof, NULL),
			     ATOM_ENOENT);
	}
}

/* From a tree that ends within what is gone: either it can still be proved,
 * or it is said that it cannot; never a proof that is none. */
Test(tree, no_proof_is_made_up_of_what_is_pruned, .init = make_tree)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct tree_proof proof;
	unsigned int gone = 0;

	for (uint64_t before = 2; before < LEAVES; before++) {
		struct tree_source source = source_after(before);

		for (uint64_t from = 1; from < before; from++) {
			atom_status status = tree_prove_consistency(
				&source, from, LEAVES, &proof, &err);

			gone += status == ATOM_ENOENT;
			cr_assert(status == ATOM_ENOENT ||
				  tree_verify_consistency(
					  from, LEAVES, roots[from],
					  roots[LEAVES], &proof));
		}
	}
	cr_assert_gt(gone, 0);
}

Test(tree, a_proof_of_no_such_tree_is_none, .init = make_tree)
{
	struct tree_proof proof = { .count = TREE_PROOF_MAX + 1 };

	cr_assert_not(tree_verify_inclusion(7, 7, leaves[0], roots[7], &proof));
	cr_assert_not(tree_verify_inclusion(0, 7, leaves[0], roots[7], &proof));
	cr_assert_not(
		tree_verify_consistency(3, 7, roots[3], roots[7], &proof));
	proof.count = 0;
	cr_assert_not(
		tree_verify_consistency(0, 7, roots[0], roots[7], &proof));
	cr_assert_not(
		tree_verify_consistency(8, 7, roots[8], roots[7], &proof));
	cr_assert_not(
		tree_verify_consistency(3, 7, roots[3], roots[7], &proof));
	/* The same size is the same tree, and needs no proof. */
	cr_assert(tree_verify_consistency(7, 7, roots[7], roots[7], &proof));
	cr_assert_not(
		tree_verify_consistency(7, 7, roots[7], roots[6], &proof));
	proof.count = 1;
	cr_assert_not(
		tree_verify_consistency(7, 7, roots[7], roots[7], &proof));
}

Test(tree, what_is_not_in_the_tree_is_an_error, .init = make_tree)
{
	struct tree_source source = source_after(3);
	struct atom_error err = ATOM_ERROR_INIT;
	struct tree_proof proof;

	cr_assert_eq(tree_prove_inclusion(&source, 7, 7, &proof, &err),
		     ATOM_EINVAL);
	cr_assert_eq(tree_prove_inclusion(&source, 0, LEAVES + 1, &proof, &err),
		     ATOM_EINVAL);
	cr_assert_eq(
		tree_prove_consistency(&source, 1, LEAVES + 1, &proof, &err),
		ATOM_EINVAL);
	cr_assert_eq(tree_prove_consistency(&source, 0, 7, &proof, &err),
		     ATOM_EINVAL);
	cr_assert_eq(tree_prove_consistency(&source, 8, 7, &proof, &err),
		     ATOM_EINVAL);
	/* Tree 1 is a part of node 1-2, whose leaves are gone. */
	cr_assert_eq(tree_prove_consistency(&source, 1, 7, &proof, &err),
		     ATOM_ENOENT);
}
