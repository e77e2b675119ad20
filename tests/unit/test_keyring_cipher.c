/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "keyring/cipher.h"

/* Known answers through our own wrappers: AES-256-GCM from "The
 * Galois/Counter Mode of Operation" (McGrew and Viega), test cases 13 to 16,
 * HKDF from RFC 5869, appendix A, AES key wrap from RFC 3394, 4.6, HMAC from
 * RFC 4231; and what must not pass. */

#define BYTES_MAX 512

struct bytes {
	char bytes[BYTES_MAX];
	size_t length;
};

static struct bytes hex(const char *text)
{
	struct bytes b = { .length = strlen(text) / 2 };

	for (size_t i = 0; i < b.length; i++) {
		unsigned int byte;

		cr_assert_eq(sscanf(text + 2 * i, "%2x", &byte), 1);
		b.bytes[i] = (char)byte;
	}
	return b;
}

static const uint8_t *of(const struct bytes *b)
{
	return (const uint8_t *)b->bytes;
}

static struct atom_span span(const struct bytes *b)
{
	return (struct atom_span){ b->bytes, b->length };
}

/* --- AES-256-GCM --------------------------------------------------------- */

struct gcm_case {
	const char *key;
	const char *nonce;
	const char *associated;
	const char *plain;
	const char *sealed;
	const char *tag;
};

#define KEY_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_F "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define PLAIN_60                                                           \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_60                                                          \
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" \
	"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const struct gcm_case gcm_cases[] = {
	{ KEY_0, "000000000000000000000000", "", "", "",
	  "530f8afbc74536b9a963b4f1c4cb738b" },
	{ KEY_0, "000000000000000000000000", "",
	  "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18",
	  "d0d1c8a799996bf0265b98b5d48ab919" },
	{ KEY_F, "cafebabefacedbaddecaf888", "", PLAIN_60 "1aafd255",
	  SEALED_60 "898015ad", "b094dac5d93471bdec1a502270e3cc6c" },
	{ KEY_F, "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2", PLAIN_60, SEALED_60,
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
};

#define GCM_CASES (sizeof(gcm_cases) / sizeof(gcm_cases[0]))

Test(gcm, seals_and_opens_as_published)
{
	for (size_t i = 0; i < GCM_CASES; i++) {
		const struct gcm_case *c = &gcm_cases[i];
		struct bytes key = hex(c->key), nonce = hex(c->nonce);
		struct bytes plain = hex(c->plain), sealed = hex(c->sealed);
		struct bytes associated = hex(c->associated);
		struct bytes tag = hex(c->tag);
		struct atom_span a = span(&associated), p = span(&plain);
		struct atom_span s = span(&sealed);
		struct gcm *gcm = gcm_new(of(&key));
		char out[BYTES_MAX];
		uint8_t got[CIPHER_TAG_BYTES];

		cr_assert(gcm);
		/* Twice: a context is used again and again. */
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(
				gcm_seal(gcm, of(&nonce), &a, &p, out, got),
				ATOM_OK);
			cr_assert_arr_eq(out, sealed.bytes, sealed.length,
					 "case %zu", i);
			cr_assert_arr_eq(got, tag.bytes, sizeof(got),
					 "tag of case %zu", i);
			cr_assert_eq(gcm_open(gcm, of(&nonce), &a, &s, out,
					      of(&tag)),
				     ATOM_OK);
			cr_assert_arr_eq(out, plain.bytes, plain.length);
		}
		gcm_free(&gcm);
		cr_assert_null(gcm);
	}
}

Test(gcm, no_changed_bit_of_text_tag_nonce_or_associated_bytes_opens)
{
	for (size_t i = 0; i < GCM_CASES; i++) {
		const struct gcm_case *c = &gcm_cases[i];
		struct bytes key = hex(c->key), sealed = hex(c->sealed);
		struct bytes parts[4] = { sealed, hex(c->tag), hex(c->nonce),
					  hex(c->associated) };
		struct gcm *gcm = gcm_new(of(&key));

		for (size_t part = 0; part < 4; part++) {
			for (size_t bit = 0; bit < 8 * parts[part].length;
			     bit++) {
				char out[BYTES_MAX];
				struct atom_span a, s;
				atom_status status;

				parts[part].bytes[bit / 8] ^=
					(char)(1 << bit % 8);
				a = span(&parts[3]);
				s = span(&parts[0]);
				memset(out, 'x', sizeof(out));
				status = gcm_open(gcm, of(&parts[2]), &a, &s,
						  out, of(&parts[1]));
				cr_assert_eq(status, ATOM_EDATALOSS,
					     "case %zu part %zu bit %zu", i,
					     part, bit);
				for (size_t n = 0; n < s.length; n++)
					cr_assert_eq(out[n], 0,
						     "text nobody vouches for "
						     "is left");
				parts[part].bytes[bit / 8] ^=
					(char)(1 << bit % 8);
			}
		}
		gcm_free(&gcm);
	}
}

/* --- HKDF ---------------------------------------------------------------- */

struct hkdf_case {
	const char *key;
	const char *salt;
	const char *info;
	const char *out;
};

static const struct hkdf_case hkdf_cases[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
	  "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
	  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
	  "34007208d5b887185865" },
	{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	  "404142434445464748494a4b4c4d4e4f",
	  "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
	  "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
	  "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	  "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
	  "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
	  "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
	  "cc30c58179ec3e87c14c01d5c1f3434f1d87" },
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
	  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
	  "9d201395faa4b61a96c8" },
};

Test(hkdf, derives_as_published)
{
	for (size_t i = 0; i < sizeof(hkdf_cases) / sizeof(hkdf_cases[0]);
	     i++) {
		const struct hkdf_case *c = &hkdf_cases[i];
		struct bytes key = hex(c->key), salt = hex(c->salt);
		struct bytes info = hex(c->info), wanted = hex(c->out);
		struct atom_span k = span(&key), s = span(&salt);
		struct atom_span n = span(&info);
		uint8_t out[BYTES_MAX];

		cr_assert_eq(cipher_hkdf(&k, &s, &n, out, wanted.length),
			     ATOM_OK);
		cr_assert_arr_eq(out, wanted.bytes, wanted.length, "case %zu",
				 i + 1);
	}
}

/* --- HMAC ---------------------------------------------------------------- */

Test(hmac, is_that_of_rfc_4231)
{
	/* Case 2's key "Jefe", filled up with zeros to a key of 32 bytes, is
	 * the same key to HMAC. */
	struct bytes key = hex("4a656665" /* Jefe */
			       "00000000000000000000000000000000000000000000"
			       "000000000000");
	struct bytes text = hex("7768617420646f2079612077616e7420666f72206e6f"
				"7468696e673f");
	struct bytes wanted = hex("5bdcc146bf60754e6a042426089575c75a003f089d27"
				  "39839dec58b964ec3843");
	struct atom_span t = span(&text);
	uint8_t out[CIPHER_HASH_BYTES];

	cr_assert_eq(key.length, CIPHER_KEY_BYTES);
	cr_assert_eq(cipher_hmac(of(&key), &t, out), ATOM_OK);
	cr_assert_arr_eq(out, wanted.bytes, sizeof(out));
}

/* --- key wrap ------------------------------------------------------------ */

#define WRAPPING \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define WRAPPED_KEY \
	"00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"
#define WRAPPED                                                            \
	"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43b" \
	"fb988b9b7a02dd21"

Test(wrap, wraps_and_unwraps_as_published)
{
	struct bytes wrapping = hex(WRAPPING), key = hex(WRAPPED_KEY);
	struct bytes wrapped = hex(WRAPPED);
	uint8_t out[CIPHER_WRAPPED_BYTES], back[CIPHER_KEY_BYTES];

	cr_assert_eq(cipher_wrap(of(&wrapping), of(&key), out), ATOM_OK);
	cr_assert_arr_eq(out, wrapped.bytes, sizeof(out));
	cr_assert_eq(cipher_unwrap(of(&wrapping), out, back), ATOM_OK);
	cr_assert_arr_eq(back, key.bytes, sizeof(back));
}

Test(wrap, no_changed_bit_unwraps)
{
	struct bytes wrapping = hex(WRAPPING), wrapped = hex(WRAPPED);
	uint8_t back[CIPHER_KEY_BYTES];

	for (size_t bit = 0; bit < 8 * wrapped.length; bit++) {
		wrapped.bytes[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_eq(cipher_unwrap(of(&wrapping), of(&wrapped), back),
			     ATOM_EDATALOSS, "bit %zu", bit);
		wrapped.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * wrapping.length; bit++) {
		wrapping.bytes[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_eq(cipher_unwrap(of(&wrapping), of(&wrapped), back),
			     ATOM_EDATALOSS, "bit %zu of the key", bit);
		wrapping.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
}
