/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chain, tree and signed heads where OpenSSL fails: nothing is proved, nothing
 * is signed, and what was there is as it was.
 */
#include <string.h>

#include "audit/chain.h"
#include "audit/digest.h"
#include "audit/note.h"
#include "audit/segment_read.h"
#include "audit/tree.h"
#include "failing_openssl.h"
#include "fails_closed.h"

#define LEAVES 7

static uint8_t leaves[LEAVES][TREE_HASH];
static uint8_t roots[LEAVES + 1][TREE_HASH];
static struct tree_range ranges[LEAVES + 1];

static void make_tree(void)
{
	cr_assert(tree_root(&ranges[0], roots[0]));
	for (uint64_t i = 0; i < LEAVES; i++) {
		ranges[i + 1] = ranges[i];
		cr_assert(tree_leaf(&i, sizeof(i), leaves[i]));
		cr_assert(tree_append(&ranges[i + 1], leaves[i]));
		cr_assert(tree_root(&ranges[i + 1], roots[i + 1]));
	}
}

TestSuite(audit_closed, .init = make_tree);

Test(audit_closed, no_digest_and_no_step_of_the_chain)
{
	uint8_t hash[DIGEST_BYTES], before[CHAIN_HASH] = { 1 };
	uint8_t blocks[DIGEST_TWO_BLOCKS] = { 0 };

	FAILS_CLOSED(failing_openssl, digest_of("a", 1, "b", 1, hash));
	FAILS_CLOSED(failing_openssl, digest_of_two(blocks, 64, hash));
	FAILS_CLOSED(failing_openssl, chain_genesis("0123456789abcdef", hash));
	FAILS_CLOSED(failing_openssl, chain_step(before, hash));
}

/* Appends where the range stands at 7 leaves, so that three nodes join. */
static bool appends(void)
{
	struct tree_range range = ranges[LEAVES];
	bool done = tree_append(&range, leaves[0]);

	if (!done)
		cr_assert_eq(range.size, LEAVES);
	return done;
}

Test(audit_closed, no_root_and_no_leaf_more)
{
	uint8_t hash[TREE_HASH];

	FAILS_CLOSED(failing_openssl, tree_leaf("a", 1, hash));
	FAILS_CLOSED(failing_openssl, tree_root(&ranges[LEAVES], hash));
	FAILS_CLOSED(failing_openssl, tree_root(&ranges[0], hash));
	FAILS_CLOSED(failing_openssl, appends());
}

Test(audit_closed, no_proof)
{
	struct tree_source source = {
		.leaf_count = LEAVES,
		.leaves = (const uint8_t(*)[TREE_HASH])leaves,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	struct tree_proof proof;

	/* A right child's, a left one's, and the last of an odd row's. */
	for (uint64_t i = 0; i < LEAVES; i++) {
		FAILS_CLOSED(failing_openssl,
			     tree_prove_inclusion(&source, i, LEAVES, &proof,
						  &err) == ATOM_OK);
		FAILS_CLOSED(failing_openssl,
			     tree_verify_inclusion(i, LEAVES, leaves[i],
						   roots[LEAVES], &proof));
	}
	for (uint64_t from = 1; from < LEAVES; from++) {
		FAILS_CLOSED(failing_openssl,
			     tree_prove_consistency(&source, from, LEAVES,
						    &proof, &err) == ATOM_OK);
		FAILS_CLOSED(failing_openssl,
			     tree_verify_consistency(from, LEAVES, roots[from],
						     roots[LEAVES], &proof));
	}
}

static struct note_signer signer;

static bool makes_signer(void)
{
	static const uint8_t seed[NOTE_KEY_BYTES] = { 7 };
	struct atom_error err = ATOM_ERROR_INIT;
	bool made = note_signer_init(&signer, "0123456789abcdef", seed, &err) ==
		    ATOM_OK;

	/* Of a key that was not made nothing stays behind. */
	if (!made)
		cr_assert_eq(signer.seed[0], 0);
	return made;
}

Test(audit_closed, no_key_and_no_signature)
{
	char text[NOTE_TEXT_MAX], public[NOTE_VERIFIER_MAX];
	char private[NOTE_PRIVATE_KEY_MAX];
	struct note_head head = { .log_id = "0123456789abcdef", .size = 3 };
	struct note_verifier verifier;
	struct note_signer again;
	struct atom_error err = ATOM_ERROR_INIT;
	size_t length;

	FAILS_CLOSED(failing_openssl, makes_signer());
	FAILS_CLOSED(failing_openssl,
		     note_make(&signer, &head, text, &length, &err) == ATOM_OK);
	FAILS_CLOSED(failing_openssl,
		     note_verify(text, length, &signer.verifier, &head, &err) ==
			     ATOM_OK);
	note_verifier_text(&signer.verifier, public);
	note_signer_text(&signer, private);
	FAILS_CLOSED(failing_openssl,
		     note_verifier_parse(public, &verifier, &err) == ATOM_OK);
	FAILS_CLOSED(failing_openssl,
		     note_signer_parse(private, &again, &err) == ATOM_OK);
}
