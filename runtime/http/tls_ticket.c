/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets (RFC 5077 section 4): one ring for all
 * listeners, so that sessions outlive a reload, made new twice a day, so that
 * who gets hold of keys later cannot read what was recorded before (TLS 1.2
 * tickets are the weak spot of its forward secrecy).  Keys exist in memory
 * alone.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "http/tls_priv.h"

#define NAME_BYTES 16 /* OpenSSL's */
#define KEY_BYTES  32

struct ticket_key {
	unsigned char name[NAME_BYTES];
	unsigned char aes[KEY_BYTES];
	unsigned char mac[KEY_BYTES];
};

/* What loops read. */
struct ring {
	struct ticket_key now;
	struct ticket_key before;
	bool has_before;
};

static struct ring *_Atomic current;
static EVP_CIPHER *aes;

static void ring_free(void *ring)
{
	if (ring)
		mem_wipe_free(ring, sizeof(struct ring));
}

atom_status http_tickets_rotate(struct atom_error *err)
{
	struct ring *old = atomic_load(&current);
	struct ring *next = mem_zalloc(sizeof(*next));

	if (!aes)
		aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!next || !aes) {
		ring_free(next);
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for keys of TLS sessions");
	}
	if (os.random(&next->now, sizeof(next->now)) != 0) {
		ring_free(next);
		return atom_fail(err, ATOM_EIO, "no random bytes to be had");
	}
	if (old) {
		next->before = old->now;
		next->has_before = true;
	}
	atomic_store_explicit(&current, next, memory_order_release);
	if (old)
		qsbr_retire(ring_free, old);
	return ATOM_OK;
}

void http_tickets_fini(void)
{
	ring_free(atomic_exchange(&current, NULL));
	EVP_CIPHER_free(aes);
	aes = NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac,
						  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* Results as SSL_CTX_set_tlsext_ticket_key_evp_cb(3) has them: 1 go on, 2 go
 * on and give a new ticket, 0 no ticket, -1 an error. */
static int seal(struct ring *ring, unsigned char *name, unsigned char *iv,
		EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	if (os.random(iv, (size_t)EVP_CIPHER_get_iv_length(aes)) != 0)
		return -1;
	memcpy(name, ring->now.name, NAME_BYTES);
	return EVP_EncryptInit_ex2(cipher, aes, ring->now.aes, iv, NULL) == 1 &&
			       set_mac(mac, &ring->now)
		       ? 1
		       : -1;
}

static int unseal(struct ring *ring, const unsigned char *name,
		  const unsigned char *iv, EVP_CIPHER_CTX *cipher,
		  EVP_MAC_CTX *mac)
{
	struct ticket_key *key = NULL;

	if (memcmp(name, ring->now.name, NAME_BYTES) == 0)
		key = &ring->now;
	else if (ring->has_before &&
		 memcmp(name, ring->before.name, NAME_BYTES) == 0)
		key = &ring->before;
	if (!key)
		return 0;
	if (!set_mac(mac, key) ||
	    EVP_DecryptInit_ex2(cipher, aes, key->aes, iv, NULL) != 1)
		return -1;
	return key == &ring->now ? 1 : 2;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct ring *ring =
		atomic_load_explicit(&current, memory_order_acquire);

	(void)ssl;
	if (!ring)
		return 0;
	return encrypt ? seal(ring, name, iv, cipher, mac)
		       : unseal(ring, name, iv, cipher, mac);
}

void http_tickets_use(SSL_CTX *tls)
{
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(tls, on_ticket);
}
