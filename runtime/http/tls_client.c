/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of clients (mTLS): asking for them, and reading the names of
 * the one that was shown.
 *
 * A connection may live longer than what its handshake relied on, so a
 * certificate is looked at again when it is needed: after a reload against the
 * authorities and revocation lists of now, and against the clock.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"
#include "http/tls_priv.h"

#define NAMES_MAX	64
#define NAME_LENGTH_MAX 1024
#define CHAIN_DEPTH	4 /* certificates between client and authority */

/* --- asking --------------------------------------------------------------------- */

static atom_status load_crl(SSL_CTX *tls, const struct http_listener *listener,
			    struct atom_error *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

	if (!*listener->client_crl)
		return ATOM_OK;
	if (!lookup || X509_load_crl_file(lookup, listener->client_crl,
					  X509_FILETYPE_PEM) <= 0)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: client_crl %s: %s",
				 listener->name, listener->client_crl,
				 http_tls_reason());
	/* Of each authority of the chain, or it counts as revoked. */
	(void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
						  X509_V_FLAG_CRL_CHECK_ALL);
	return ATOM_OK;
}

atom_status http_tls_ask_clients(SSL_CTX *tls,
				 const struct http_listener *listener,
				 struct atom_error *err)
{
	STACK_OF(X509_NAME) *names = NULL;
	int mode = SSL_VERIFY_PEER;

	if (SSL_CTX_load_verify_file(tls, listener->client_ca) == 1)
		names = SSL_load_client_CA_file(listener->client_ca);
	if (!names)
		return atom_fail(
			err, ATOM_EINVAL, "listener %s: client_ca %s: %s",
			listener->name, listener->client_ca, http_tls_reason());
	SSL_CTX_set_client_CA_list(tls, names);
	if (listener->client_required)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(tls, mode, NULL);
	SSL_CTX_set_verify_depth(tls, CHAIN_DEPTH);
	/* A resumed session would bring along a certificate that nobody looks
	 * at again. */
	SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_num_tickets(tls, 0);
	return load_crl(tls, listener, err);
}

/* --- names ----------------------------------------------------------------------- */

struct certificate {
	struct http_certificate public;
	int64_t expires_ms;
	struct http_certificate_name names[NAMES_MAX];
};

static void certificate_free(struct certificate *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->public.count; i++)
		mem_free((void *)(uintptr_t)c->names[i].text);
	mem_free(c);
}

/* False without memory.  What is too much or holds a NUL is left out: a name
 * that reads otherwise than it is belongs to nobody. */
static bool add_name(struct certificate *c, enum http_name_kind kind,
		     const char *text, int length)
{
	char *copy;

	if (length <= 0 || length > NAME_LENGTH_MAX ||
	    memchr(text, '\0', (size_t)length) || c->public.count == NAMES_MAX)
		return true;
	copy = mem_strndup(text, (size_t)length);
	if (!copy)
		return false;
	/* Domain names have no case. */
	for (char *p = copy; kind == HTTP_NAME_DNS && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	c->names[c->public.count].kind = kind;
	c->names[c->public.count++].text = copy;
	return true;
}

/* As RFC 4514 writes it, in UTF-8; what would be ambiguous is escaped. */
static bool add_subject(struct certificate *c, const X509 *x)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	long length;
	bool done = false;

	if (out && X509_NAME_print_ex(
			   out, X509_get_subject_name(x), 0,
			   XN_FLAG_RFC2253 &
				   ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		length = BIO_get_mem_data(out, &text);
		done = add_name(c, HTTP_NAME_SUBJECT, text, (int)length);
	}
	BIO_free(out);
	return done;
}

static bool add_alternatives(struct certificate *c, const X509 *x)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool done = true;

	for (int i = 0; done && i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(
			sk_GENERAL_NAME_value(names, i), &type);
		enum http_name_kind kind = type == GEN_URI   ? HTTP_NAME_URI
					   : type == GEN_DNS ? HTTP_NAME_DNS
							     : HTTP_NAME_EMAIL;

		if (type != GEN_URI && type != GEN_DNS && type != GEN_EMAIL)
			continue;
		done = add_name(c, kind,
				(const char *)ASN1_STRING_get0_data(value),
				ASN1_STRING_length(value));
	}
	GENERAL_NAMES_free(names);
	return done;
}

static struct certificate *certificate_new(const X509 *x)
{
	struct certificate *c = mem_zalloc(sizeof(*c));
	struct tm end;

	if (!c)
		return NULL;
	c->public.names = c->names;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &end) != 1 ||
	    !add_subject(c, x) || !add_alternatives(c, x)) {
		certificate_free(c);
		return NULL;
	}
	c->expires_ms = (int64_t)timegm(&end) * 1000;
	return c;
}

/* --- the one of a connection -------------------------------------------------------- */

/* Against the authorities and revocation lists of now. */
static bool is_still_good(const struct http_connection *c, X509 *x)
{
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	bool good = check &&
		    X509_STORE_CTX_init(
			    check, SSL_CTX_get_cert_store(c->socket->tls), x,
			    SSL_get_peer_cert_chain(c->ssl)) == 1 &&
		    X509_STORE_CTX_set_default(check, "ssl_client") == 1;

	if (good) {
		X509_STORE_CTX_set_depth(check, CHAIN_DEPTH);
		good = X509_verify_cert(check) == 1;
	}
	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return good;
}

static void read_certificate(struct http_connection *c)
{
	X509 *x = SSL_get0_peer_certificate(c->ssl);
	bool same = c->tls_generation == c->socket->tls_generation;

	http_certificate_free(c);
	c->certificate_read = true;
	c->tls_generation = c->socket->tls_generation;
	if (x && SSL_get_verify_result(c->ssl) == X509_V_OK &&
	    (same || is_still_good(c, x)))
		c->certificate = certificate_new(x);
}

const struct http_certificate *http_client_certificate(
	const struct http_request *request)
{
	struct http_connection *c = request->connection;

	if (!c->ssl || !c->socket->tls || !c->socket->listener->client_ca ||
	    !*c->socket->listener->client_ca)
		return NULL;
	if (!c->certificate_read ||
	    c->tls_generation != c->socket->tls_generation)
		read_certificate(c);
	if (!c->certificate || os.realtime_ms() >= c->certificate->expires_ms)
		return NULL;
	return &c->certificate->public;
}

void http_certificate_free(struct http_connection *c)
{
	certificate_free(TAKE(c->certificate));
}
