/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/poster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "plugins/audit/remote/text.h"

#define HEADER_MAX 8192
/* Of an answer; the rest is not read. */
#define ANSWER_MAX (64u * 1024)
#define QUOTE_MAX  160

struct poster {
	const struct poster_settings *settings;
	CURL *easy;
	EVP_MAC *hmac;
	size_t answered; /* bytes of the answer so far */
	char quote[QUOTE_MAX + 1];
	char reason[CURL_ERROR_SIZE];
};

/* --- what the receiver says -------------------------------------------------- */

/* Keeps the beginning for an error message and ends an endless answer. */
static size_t take_answer(const char *bytes, size_t size, size_t count,
			  void *argument)
{
	struct poster *poster = argument;
	size_t length = size * count;

	for (size_t i = 0; i < length && poster->answered + i < QUOTE_MAX;
	     i++) {
		unsigned char c = (unsigned char)bytes[i];

		poster->quote[poster->answered + i] =
			c >= 32 && c < 127 ? (char)c : ' ';
	}
	poster->answered += length;
	return poster->answered > ANSWER_MAX ? 0 : length;
}

static int look_for_stop(void *argument, curl_off_t down_total, curl_off_t down,
			 curl_off_t up_total, curl_off_t up)
{
	const struct poster *poster = argument;

	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	return atomic_load(poster->settings->stop);
}

/* --- life -------------------------------------------------------------------- */

static CURLcode set_tls(CURL *easy, const struct poster_settings *settings)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLVERSION,
					 (long)CURL_SSLVERSION_TLSv1_2);

	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER,
					settings->verify ? 1L : 0L);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST,
					settings->verify ? 2L : 0L);
	if (code == CURLE_OK && *settings->ca_file != '\0')
		code = curl_easy_setopt(easy, CURLOPT_CAINFO,
					settings->ca_file);
	if (code == CURLE_OK && *settings->certificate != '\0') {
		code = curl_easy_setopt(easy, CURLOPT_SSLCERT,
					settings->certificate);
		if (code == CURLE_OK)
			code = curl_easy_setopt(
				easy, CURLOPT_SSLKEY,
				*settings->key ? settings->key
					       : settings->certificate);
	}
	return code;
}

static CURLcode set_texts(struct poster *poster)
{
	const struct poster_settings *settings = poster->settings;
	CURLcode code =
		curl_easy_setopt(poster->easy, CURLOPT_URL, settings->url);

	if (code == CURLE_OK)
		code = curl_easy_setopt(poster->easy, CURLOPT_PROTOCOLS_STR,
					"http,https");
	/* An empty text is no proxy at all; NULL would ask the environment. */
	if (code == CURLE_OK)
		code = curl_easy_setopt(poster->easy, CURLOPT_PROXY,
					settings->proxy);
	if (code == CURLE_OK)
		code = curl_easy_setopt(poster->easy, CURLOPT_USERAGENT,
					"atomd");
	if (code == CURLE_OK)
		code = set_tls(poster->easy, settings);
	return code;
}

static CURLcode set_options(struct poster *poster)
{
	static const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },   /* its signals are the daemon's */
		{ CURLOPT_QUICK_EXIT, 1 }, /* do not wait for a name server */
		{ CURLOPT_POST, 1 },
		{ CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		{ CURLOPT_NOPROGRESS, 0 },
		{ CURLOPT_TCP_KEEPALIVE, 1 },
	};
	CURLcode code = set_texts(poster);

	for (size_t i = 0;
	     i < sizeof(numbers) / sizeof(numbers[0]) && code == CURLE_OK; i++)
		code = curl_easy_setopt(poster->easy, numbers[i].option,
					numbers[i].value);
	if (code != CURLE_OK)
		return code;
	(void)curl_easy_setopt(poster->easy, CURLOPT_WRITEFUNCTION,
			       take_answer);
	(void)curl_easy_setopt(poster->easy, CURLOPT_WRITEDATA, poster);
	(void)curl_easy_setopt(poster->easy, CURLOPT_XFERINFOFUNCTION,
			       look_for_stop);
	(void)curl_easy_setopt(poster->easy, CURLOPT_XFERINFODATA, poster);
	return curl_easy_setopt(poster->easy, CURLOPT_ERRORBUFFER,
				poster->reason);
}

atom_status poster_new(const struct poster_settings *settings,
		       struct poster **poster_r, struct atom_error *err)
{
	struct poster *poster = calloc(1, sizeof(*poster));
	atom_status status = ATOM_OK;
	CURLcode code;

	if (poster == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	poster->settings = settings;
	poster->easy = curl_easy_init();
	poster->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (poster->easy == NULL || poster->hmac == NULL) {
		status = atom_fail(err, ATOM_ENOMEM,
				   "libcurl or OpenSSL has no memory");
	} else {
		code = set_options(poster);
		if (code != CURLE_OK)
			status = atom_fail(err, ATOM_EINVAL, "libcurl: %s",
					   curl_easy_strerror(code));
	}
	if (status != ATOM_OK)
		poster_free(&poster);
	*poster_r = poster;
	return status;
}

void poster_free(struct poster **poster)
{
	if (*poster == NULL)
		return;
	curl_easy_cleanup((*poster)->easy);
	EVP_MAC_free((*poster)->hmac);
	free(*poster);
	*poster = NULL;
}

/* --- a request --------------------------------------------------------------- */

/* One more line; on failure the list is gone and NULL. */
ATOM_PRINTF(2, 3)
static bool add_header(struct curl_slist **headers, const char *format, ...)
{
	char line[HEADER_MAX];
	struct curl_slist *longer = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < sizeof(line))
		longer = curl_slist_append(*headers, line);
	if (longer == NULL)
		curl_slist_free_all(*headers);
	*headers = longer;
	return longer != NULL;
}

static bool sign(const struct poster *poster, const struct body *body,
		 const char *seconds, char hex[HEX32_SIZE])
{
	const char *key = poster->settings->signature_key;
	char digest_name[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest_name, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(poster->hmac);
	uint8_t out[32];
	size_t size = 0;
	bool done = mac != NULL &&
		    EVP_MAC_init(mac, (const unsigned char *)key, strlen(key),
				 params) == 1 &&
		    EVP_MAC_update(mac, (const unsigned char *)seconds,
				   strlen(seconds)) == 1 &&
		    EVP_MAC_update(mac, (const unsigned char *)".", 1) == 1 &&
		    EVP_MAC_update(mac, (const unsigned char *)body->bytes,
				   body->length) == 1 &&
		    EVP_MAC_final(mac, out, &size, sizeof(out)) == 1 &&
		    size == sizeof(out);

	EVP_MAC_CTX_free(mac);
	if (done)
		hex32(hex, out);
	return done;
}

static bool add_signature(const struct poster *poster, const struct body *body,
			  struct curl_slist **headers)
{
	char seconds[24], hex[HEX32_SIZE];

	if (*poster->settings->signature_key == '\0')
		return true;
	(void)snprintf(seconds, sizeof(seconds), "%lld", (long long)time(NULL));
	if (!sign(poster, body, seconds, hex))
		return false;
	return add_header(headers, "X-Atomd-Timestamp: %s", seconds) &&
	       add_header(headers, "X-Atomd-Signature: v1=%s", hex);
}

static struct curl_slist *headers_of(const struct poster *poster,
				     const struct body *body)
{
	const struct poster_settings *settings = poster->settings;
	unsigned long long first = body->first, last = body->last_sequence;
	struct curl_slist *headers = NULL;
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[HEX32_SIZE];
	bool added;

	if (EVP_Digest(body->bytes, body->length, digest, NULL, EVP_sha256(),
		       NULL) != 1)
		return NULL;
	hex32(hex, digest);
	/* "Expect:" is for servers that a client does not know. */
	added = add_header(&headers, "Content-Type: application/%s",
			   settings->array ? "json" : "x-ndjson") &&
		add_header(&headers, "Expect:") &&
		add_header(&headers, "Idempotency-Key: %llu-%llu-%.16s", first,
			   last, hex) &&
		add_header(&headers, "X-Atomd-Sequence: %llu-%llu", first,
			   last) &&
		add_header(&headers, "X-Atomd-Records: %zu", body->count);
	for (size_t i = 0; added && i < settings->headers->count; i++)
		added = add_header(&headers, "%s: %s",
				   settings->headers->items[i].key,
				   settings->headers->items[i].value);
	if (added && *settings->authorization != '\0')
		added = add_header(&headers, "Authorization: %s",
				   settings->authorization);
	if (added && !add_signature(poster, body, &headers) &&
	    headers != NULL) {
		curl_slist_free_all(headers);
		headers = NULL;
	}
	return headers;
}

static atom_status status_of(long http)
{
	if (http == 429)
		return ATOM_EQUOTA;
	if (http == 413)
		return ATOM_ELIMIT;
	if (http == 408 || http == 425 || http >= 500)
		return ATOM_EIO;
	return ATOM_EPERM;
}

/* A day is as long as any receiver may ask us to wait. */
#define RETRY_AFTER_MAX_S 86400

static atom_status judge(struct poster *poster, CURLcode code,
			 struct atom_error *err)
{
	curl_off_t retry_after = 0;
	atom_status status;
	long http = 0;

	(void)curl_easy_getinfo(poster->easy, CURLINFO_RESPONSE_CODE, &http);
	/* A final status has come; how the answer's body goes on or ends is of
	 * no interest. */
	if (http >= 200 && http < 300 &&
	    (code == CURLE_OK || code == CURLE_WRITE_ERROR))
		return ATOM_OK;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return atom_fail(err, ATOM_ECANCELED, "stopped");
	if (code != CURLE_OK && code != CURLE_WRITE_ERROR)
		return atom_fail(err,
				 code == CURLE_OPERATION_TIMEDOUT
					 ? ATOM_ETIMEOUT
					 : ATOM_EIO,
				 "%s",
				 *poster->reason ? poster->reason
						 : curl_easy_strerror(code));
	status = status_of(http);
	poster->quote[poster->answered < QUOTE_MAX ? poster->answered
						   : QUOTE_MAX] = '\0';
	(void)atom_fail(err, status, "answered %ld%s%s", http,
			*poster->quote ? ": " : "", poster->quote);
	if (err != NULL) {
		(void)curl_easy_getinfo(poster->easy, CURLINFO_RETRY_AFTER,
					&retry_after);
		if (retry_after > RETRY_AFTER_MAX_S)
			retry_after = RETRY_AFTER_MAX_S;
		err->http_status = (int32_t)http;
		err->retry_after_ms =
			retry_after > 0 ? (int32_t)(retry_after * 1000) : 0;
	}
	return status;
}

atom_status poster_post(struct poster *poster, const struct body *body,
			int64_t timeout_ms, struct atom_error *err)
{
	int64_t connect = poster->settings->connect_timeout;
	struct curl_slist *headers;
	atom_status status;
	CURLcode code;

	if (timeout_ms <= 0)
		return atom_fail(err, ATOM_ETIMEOUT, "no time is left");
	headers = headers_of(poster, body);
	if (headers == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	poster->answered = 0;
	poster->reason[0] = '\0';
	(void)curl_easy_setopt(poster->easy, CURLOPT_HTTPHEADER, headers);
	/* Not copied; it outlives the request.  That libcurl may send such a
	 * body again when a kept connection dies is what its key is for. */
	(void)curl_easy_setopt(poster->easy, CURLOPT_POSTFIELDS, body->bytes);
	(void)curl_easy_setopt(poster->easy, CURLOPT_POSTFIELDSIZE_LARGE,
			       (curl_off_t)body->length);
	(void)curl_easy_setopt(poster->easy, CURLOPT_TIMEOUT_MS,
			       (long)timeout_ms);
	(void)curl_easy_setopt(
		poster->easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(connect < timeout_ms ? connect : timeout_ms));
	code = curl_easy_perform(poster->easy);
	status = judge(poster, code, err);
	(void)curl_easy_setopt(poster->easy, CURLOPT_HTTPHEADER, NULL);
	(void)curl_easy_setopt(poster->easy, CURLOPT_POSTFIELDS, NULL);
	curl_slist_free_all(headers);
	return status;
}
