/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "http/client_priv.h"

/*
 * libcurl's codes as statuses and sentences: who, what failed, what to do.
 * Only the host and port of a URL are named, for the rest may be secret.
 */

/* libcurl's own words, which may quote the server. */
static const char *reason_of(const struct atom_http_transfer *t,
			     CURLcode result, char *out, size_t size)
{
	const char *in = t->reason != NULL && t->reason[0] != '\0'
				 ? t->reason
				 : curl_easy_strerror(result);
	size_t n = 0;

	for (; *in != '\0' && n + 1 < size; in++)
		out[n++] = (unsigned char)*in < ' ' || *in == 127 ? ' ' : *in;
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return out;
}

atom_status transfer_explain_cut(const struct atom_http_transfer *t,
				 const char *reason, struct atom_error *err)
{
	if (t->phase == PHASE_BEGUN)
		return atom_fail(err, ATOM_EIO,
				 "%s broke off within its answer, after %llu "
				 "bytes of it: %s",
				 t->where, (unsigned long long)t->received,
				 reason);
	if (t->phase == PHASE_SENT)
		return atom_fail(err, ATOM_EIO,
				 "%s closed the connection without an answer: "
				 "%s",
				 t->where, reason);
	return atom_fail(err, ATOM_EIO, "the connection to %s broke: %s",
			 t->where, reason);
}

atom_status transfer_explain_connect(const struct atom_http_transfer *t,
				     const char *reason, struct atom_error *err)
{
	return atom_fail(err, ATOM_EIO,
			 "no connection to %s: %s; check the address, and that "
			 "it is up",
			 t->where, reason);
}

atom_status transfer_explain_answer(const struct atom_http_transfer *t,
				    const char *reason, struct atom_error *err)
{
	return atom_fail(err, ATOM_EPROTO, "what %s sent is no HTTP answer: %s",
			 t->where, reason);
}

atom_status transfer_explain_head(const struct atom_http_transfer *t,
				  struct atom_error *err)
{
	return atom_fail(err, ATOM_ELIMIT,
			 "the head of the answer of %s is over %d bytes",
			 t->where, HTTP_HEAD_MAX);
}

atom_status transfer_explain_announced(const struct atom_http_transfer *t,
				       struct atom_error *err)
{
	return atom_fail(err, ATOM_ELIMIT,
			 "the answer of %s is announced with over %llu bytes",
			 t->where, (unsigned long long)t->answer_max);
}

atom_status transfer_explain_length(const struct atom_http_transfer *t,
				    struct atom_error *err)
{
	return atom_fail(err, ATOM_ELIMIT,
			 "the answer of %s is over %llu bytes", t->where,
			 (unsigned long long)t->answer_max);
}

atom_status transfer_explain(const struct atom_http_transfer *t,
			     CURLcode result, struct atom_error *err)
{
	char reason[160];

	(void)reason_of(t, result, reason, sizeof(reason));
	if (t->head_too_long)
		return transfer_explain_head(t, err);
	if (t->answer_too_long)
		return transfer_explain_length(t, err);
	switch (result) {
	case CURLE_OUT_OF_MEMORY:
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for a request to %s", t->where);
	case CURLE_OPERATION_TIMEDOUT:
		return atom_fail(err, ATOM_ETIMEOUT,
				 "%s did not answer in time: %s", t->where,
				 reason);
	case CURLE_FILESIZE_EXCEEDED:
		return transfer_explain_announced(t, err);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
		return transfer_explain_connect(t, reason, err);
	case CURLE_SSL_CACERT_BADFILE:
		return atom_fail(err, ATOM_EINVAL,
				 "the file of certificate authorities for %s "
				 "could not be read: %s",
				 t->where, reason);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		return atom_fail(err, ATOM_EPROTO,
				 "the certificate of %s is not trusted: %s; "
				 "check its name and date, and the file of "
				 "certificate authorities",
				 t->where, reason);
	case CURLE_SSL_CONNECT_ERROR:
		return atom_fail(err, ATOM_EIO, "no TLS with %s: %s", t->where,
				 reason);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_WRITE_ERROR:
	case CURLE_OK:
		return transfer_explain_answer(t, reason, err);
	default:
		return transfer_explain_cut(t, reason, err);
	}
}
