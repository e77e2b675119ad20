/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

struct tls_context {
	SSL_CTX *ssl;
	const char *server_name; /* lives as long as the options */
	bool verify;
	bool has_certificate;
};

struct tls {
	SSL *ssl;
	BIO *in; /* owned by `ssl` */
	BIO *out;
};

/* The oldest reason that OpenSSL has, and none is left behind. */
static const char *reason(void)
{
	unsigned long code = ERR_get_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text != NULL ? text : "no reason given";
}

static atom_status read_files(struct tls_context *context,
			      const struct tls_settings *settings,
			      struct atom_error *err)
{
	const char *key =
		*settings->key ? settings->key : settings->certificate;

	if (*settings->ca_file != '\0') {
		if (SSL_CTX_load_verify_locations(context->ssl,
						  settings->ca_file, NULL) != 1)
			return atom_fail(err, ATOM_EINVAL,
					 "option `ca_file`: %s holds no usable "
					 "certificate (%s)",
					 settings->ca_file, reason());
	} else if (SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
		return atom_fail(err, ATOM_EIO,
				 "the system's certificate authorities cannot "
				 "be read (%s); set ca_file",
				 reason());
	}
	if (*settings->certificate == '\0')
		return ATOM_OK;
	if (SSL_CTX_use_certificate_chain_file(context->ssl,
					       settings->certificate) != 1)
		return atom_fail(err, ATOM_EINVAL,
				 "option `certificate`: %s holds no usable "
				 "certificate (%s)",
				 settings->certificate, reason());
	if (SSL_CTX_use_PrivateKey_file(context->ssl, key, SSL_FILETYPE_PEM) !=
		    1 ||
	    SSL_CTX_check_private_key(context->ssl) != 1)
		return atom_fail(err, ATOM_EINVAL,
				 "option `key`: %s holds no private key that "
				 "belongs to %s (%s)",
				 key, settings->certificate, reason());
	context->has_certificate = true;
	return ATOM_OK;
}

atom_status tls_context_new(const struct tls_settings *settings,
			    struct tls_context **context_r,
			    struct atom_error *err)
{
	struct tls_context *context = calloc(1, sizeof(*context));
	atom_status status;

	if (context == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	context->server_name = settings->server_name;
	context->verify = settings->verify;
	context->ssl = SSL_CTX_new(TLS_client_method());
	if (context->ssl == NULL ||
	    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION) != 1) {
		status = atom_fail(err, ATOM_EIO, "OpenSSL: %s", reason());
		goto out;
	}
	SSL_CTX_set_verify(context->ssl,
			   settings->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
			   NULL);
	status = read_files(context, settings, err);
out:
	if (status != ATOM_OK)
		tls_context_free(&context);
	*context_r = context;
	return status;
}

void tls_context_free(struct tls_context **context)
{
	if (*context == NULL)
		return;
	SSL_CTX_free((*context)->ssl);
	free(*context);
	*context = NULL;
}

bool tls_context_has_certificate(const struct tls_context *context)
{
	return context->has_certificate;
}

/* The certificate must name the receiver; an address is looked for among the
 * certificate's addresses and is no name for SNI. */
static bool expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

atom_status tls_new(struct tls_context *context, struct tls **tls_r,
		    struct atom_error *err)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	tls->ssl = SSL_new(context->ssl);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
		BIO_free(tls->in);
		BIO_free(tls->out);
		goto failed;
	}
	(void)BIO_set_mem_eof_return(tls->in, -1);
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_connect_state(tls->ssl);
	if (!expect_name(tls->ssl, context->server_name))
		goto failed;
	*tls_r = tls;
	return ATOM_OK;
failed:
	tls_free(&tls);
	return atom_fail(err, ATOM_ENOMEM, "OpenSSL: %s", reason());
}

void tls_free(struct tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_free((*tls)->ssl);
	free(*tls);
	*tls = NULL;
}

atom_status tls_received(struct tls *tls, const char *bytes, size_t length,
			 struct atom_error *err)
{
	if (BIO_write(tls->in, bytes, (int)length) != (int)length)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	return ATOM_OK;
}

size_t tls_take(struct tls *tls, char *out, size_t room)
{
	int taken = BIO_read(tls->out, out, (int)room);

	return taken > 0 ? (size_t)taken : 0;
}

atom_status tls_handshake(struct tls *tls, struct atom_error *err)
{
	long verified;
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	if (result == 1)
		return ATOM_OK;
	if (SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ)
		return ATOM_EBUSY;
	verified = SSL_get_verify_result(tls->ssl);
	if (verified != X509_V_OK) {
		ERR_clear_error();
		return atom_fail(err, ATOM_EPERM,
				 "the receiver's certificate is not accepted: "
				 "%s; set ca_file or server_name",
				 X509_verify_cert_error_string(verified));
	}
	return atom_fail(err, ATOM_EPROTO, "TLS handshake: %s", reason());
}

atom_status tls_write(struct tls *tls, const char *bytes, size_t length,
		      struct atom_error *err)
{
	size_t written = 0;

	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, bytes, length, &written) != 1 ||
	    written != length)
		return atom_fail(err, ATOM_EIO, "TLS: %s", reason());
	return ATOM_OK;
}

atom_status tls_read(struct tls *tls, struct atom_error *err)
{
	char thrown_away[1024];
	size_t length;
	int result;

	ERR_clear_error();
	do
		result = SSL_read_ex(tls->ssl, thrown_away, sizeof(thrown_away),
				     &length);
	while (result == 1);
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return ATOM_OK;
	case SSL_ERROR_ZERO_RETURN:
		return atom_fail(err, ATOM_EIO, "the receiver has closed");
	default:
		return atom_fail(err, ATOM_EIO, "TLS: %s", reason());
	}
}

void tls_shutdown(struct tls *tls)
{
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

bool tls_judges_late(const struct tls *tls)
{
	return SSL_version(tls->ssl) >= TLS1_3_VERSION;
}
