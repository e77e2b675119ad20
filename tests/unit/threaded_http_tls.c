/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: the handshake and what it refuses, answers and streams through it, new
 * certificates while it serves, and client certificates.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/health.h"
#include "core/os.h"
#include "http/tls_priv.h"
#include "http_fixture.h"

#define H "Host: a\r\n"

static char folder[64];
static char certificate[96], key[96], other_key[96];

/* --- certificates ------------------------------------------------------------------ */

static void write_key(EVP_PKEY *pair, const char *path)
{
	FILE *f = fopen(path, "w");

	CHECK(f);
	CHECK(PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL) == 1);
	CHECK(fclose(f) == 0);
}

static void add_name(GENERAL_NAMES *names, int type, const char *text,
		     size_t length)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();

	CHECK(name && value && ASN1_STRING_set(value, text, (int)length) == 1);
	GENERAL_NAME_set0_value(name, type, value);
	CHECK(sk_GENERAL_NAME_push(names, name) > 0);
}

/* One of each kind, and one that a reader of C strings takes for another. */
static void add_alternatives(X509 *x)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	CHECK(names);
	add_name(names, GEN_URI, "spiffe://e/app", 14);
	add_name(names, GEN_DNS, "Batch.Example", 13);
	add_name(names, GEN_DNS, "root.example\0.evil", 18);
	add_name(names, GEN_DNS, "", 0);
	add_name(names, GEN_EMAIL, "ann@e", 5);
	CHECK(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

/* A new self-signed certificate of this name. */
static void make_certificate(const char *name, const char *certificate_path,
			     const char *key_path)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *subject;
	FILE *f;

	CHECK(pair && x);
	CHECK(X509_set_version(x, 2) == 1);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	CHECK(X509_set_pubkey(x, pair) == 1);
	subject = X509_get_subject_name(x);
	CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					 (const unsigned char *)name, -1, -1,
					 0) == 1);
	CHECK(X509_set_issuer_name(x, subject) == 1);
	add_alternatives(x);
	CHECK(X509_sign(x, pair, EVP_sha256()) > 0);
	f = fopen(certificate_path, "w");
	CHECK(f);
	CHECK(PEM_write_X509(f, x) == 1);
	CHECK(fclose(f) == 0);
	write_key(pair, key_path);
	X509_free(x);
	EVP_PKEY_free(pair);
}

static void make_files(void)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");

	snprintf(folder, sizeof(folder), "/tmp/atomd-tls-XXXXXX");
	CHECK(mkdtemp(folder));
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", folder);
	snprintf(key, sizeof(key), "%s/key.pem", folder);
	snprintf(other_key, sizeof(other_key), "%s/other.pem", folder);
	make_certificate("first", certificate, key);
	write_key(pair, other_key);
	EVP_PKEY_free(pair);
}

static void remove_files(void)
{
	CHECK(unlink(certificate) == 0 && unlink(key) == 0 &&
	      unlink(other_key) == 0 && rmdir(folder) == 0);
}

static const struct http_listener_spec *spec_of(const char *client_ca)
{
	static struct http_listener_spec spec;

	spec = (struct http_listener_spec){
		.address = "127.0.0.1:0",
		.certificate = certificate,
		.key = key,
		.client_ca = client_ca,
		.admin_group = "",
		.inherited_fd = -1,
	};
	return &spec;
}

static void start(const struct http_limits *limits, const char *client_ca)
{
	make_files();
	fixture_start(1, limits, spec_of(client_ca));
}

static void stop(void)
{
	fixture_stop(1000);
	remove_files();
}

/* --- a client --------------------------------------------------------------------------- */

struct client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
	bool connected;
	char name[64]; /* of the server's certificate */
};

static struct client client_new(int version_max, const char *protocols,
				bool with_certificate, SSL_SESSION *session)
{
	struct client c = { .fd = client_connect() };

	c.context = SSL_CTX_new(TLS_client_method());
	CHECK(c.context);
	CHECK(SSL_CTX_set_max_proto_version(c.context, version_max) == 1);
	/* Old versions only if the server, not this client, refuses them. */
	SSL_CTX_set_security_level(c.context, 0);
	if (with_certificate) {
		CHECK(SSL_CTX_use_certificate_file(c.context, certificate,
						   SSL_FILETYPE_PEM) == 1);
		CHECK(SSL_CTX_use_PrivateKey_file(c.context, key,
						  SSL_FILETYPE_PEM) == 1);
	}
	c.ssl = SSL_new(c.context);
	CHECK(c.ssl && SSL_set_fd(c.ssl, c.fd) == 1);
	if (session)
		CHECK(SSL_set_session(c.ssl, session) == 1);
	if (protocols)
		CHECK(SSL_set_alpn_protos(
			      c.ssl, (const unsigned char *)protocols,
			      (unsigned int)strlen(protocols)) == 0);
	c.connected = SSL_connect(c.ssl) == 1;
	if (c.connected) {
		X509 *x = SSL_get1_peer_certificate(c.ssl);

		CHECK(x);
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
					  NID_commonName, c.name,
					  sizeof(c.name));
		X509_free(x);
	}
	return c;
}

static void client_free(struct client *c)
{
	ERR_clear_error();
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
	close(c->fd);
}

static void say(struct client *c, const char *text)
{
	CHECK(SSL_write(c->ssl, text, (int)strlen(text)) == (int)strlen(text));
}

/* Reads until this text; how many bytes that were, 0 at the end. */
static size_t until(struct client *c, const char *text)
{
	static char seen[8 << 20];
	size_t n = 0, length = strlen(text);

	while (n + 1 < sizeof(seen)) {
		size_t got;

		if (SSL_read_ex(c->ssl, seen + n, sizeof(seen) - n - 1, &got) !=
		    1)
			return 0;
		n += got;
		seen[n] = '\0';
		if (n >= length && strcmp(seen + n - length, text) == 0)
			return n;
	}
	return 0;
}

/* --- handshakes ---------------------------------------------------------------------------- */

static void requests_are_served_by_tls(void)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };

	start(NULL, "");
	for (int i = 0; i < 2; i++) {
		struct client c = client_new(versions[i], NULL, false, NULL);

		CHECK(c.connected && SSL_version(c.ssl) == versions[i]);
		say(&c, "GET /who HTTP/1.1\r\n" H "\r\n");
		CHECK(until(&c, "tls=1 local=1"));
		/* Two in one record, the second from a timer. */
		say(&c,
		    "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\none"
		    "POST /later HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\ntwo"
		    "GET /who HTTP/1.1\r\n" H "\r\n");
		CHECK(until(&c, "tls=1 local=1"));
		client_free(&c);
	}
	stop();
}

static void old_versions_and_other_protocols_are_refused(void)
{
	struct client c;

	start(NULL, "");
	c = client_new(TLS1_1_VERSION, NULL, false, NULL);
	CHECK(!c.connected);
	client_free(&c);
	c = client_new(TLS1_3_VERSION, "\x02h2", false, NULL);
	CHECK(!c.connected);
	client_free(&c);
	c = client_new(TLS1_3_VERSION, "\x02h2\x08http/1.1", false, NULL);
	CHECK(c.connected);
	say(&c, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&c, "\r\n\r\n"));
	client_free(&c);
	stop();
}

static void plain_http_on_a_tls_port_is_told_so(void)
{
	struct answer a;
	int fd;

	start(NULL, "");
	fd = client_connect();
	client_text(fd, "GET / HTTP/1.1\r\n" H "\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 400);
	CHECK(strstr(a.body, "TLS"));
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	fd = client_connect();
	client_text(fd, "\x01\x02\x03\x04garbage garbage garbage");
	CHECK(!client_until(fd, "HTTP/1.1 200"));
	close(fd);
	stop();
}

static void a_handshake_must_end_in_time(void)
{
	struct http_limits limits = http_limits_default;
	int fd;

	limits.tls_handshake_ms = 50;
	start(&limits, "");
	fd = client_connect();
	CHECK(client_at_end(fd));
	close(fd);
	stop();
}

static void clients_need_a_certificate_where_one_is_asked_for(void)
{
	struct client c;
	char byte;

	start(NULL, certificate);
	c = client_new(TLS1_3_VERSION, NULL, true, NULL);
	CHECK(c.connected);
	say(&c, "GET /who HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&c, "local=1"));
	client_free(&c);
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	/* In TLS 1.3 the client learns of it with its first read. */
	CHECK(!c.connected || SSL_read(c.ssl, &byte, 1) <= 0);
	client_free(&c);
	stop();
}

static void names_of_a_client_are_read_as_they_are(void)
{
	struct client c;

	make_files();
	/* A comma in a name is not the end of it. */
	make_certificate("ops,O=x\n\xc3\xa4", certificate, key);
	fixture_start(1, NULL, spec_of(certificate));
	c = client_new(TLS1_3_VERSION, NULL, true, NULL);
	CHECK(c.connected);
	say(&c, "GET /certificate HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&c, "\r\n\r\n(dn:CN=ops\\,O=x\\0A\xc3\xa4)"
			"(uri:spiffe://e/app)(dns:batch.example)(email:ann@e)"
			"end"));
	client_free(&c);
	stop();
}

/* --- much data ------------------------------------------------------------------------------ */

static void streams_and_bodies_survive_tls(void)
{
	struct client c;
	char head[128];
	char *body = malloc(1000000);

	CHECK(body);
	memset(body, 'b', 1000000);
	start(NULL, "");
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	say(&c, "GET /stream?n=2000&size=1000 HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&c, "\r\n0\r\n\r\n") > 2000000);
	snprintf(head, sizeof(head),
		 "POST /later HTTP/1.1\r\n" H
		 "Content-Length: 1000000\r\n\r\n");
	say(&c, head);
	for (int i = 0; i < 10; i++)
		CHECK(SSL_write(c.ssl, body + i * 100000, 100000) == 100000);
	CHECK(until(&c, "bbbbbbbbbb") > 0);
	client_free(&c);
	free(body);
	stop();
}

static void leaving_is_noticed_through_tls(void)
{
	struct client c;

	start(NULL, "");
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	say(&c, "GET /hold HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_held, 1);
	SSL_shutdown(c.ssl);
	fixture_wait(&fixture_gone, 1);
	client_free(&c);
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	say(&c, "GET /quiet HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_held, 2);
	client_free(&c);
	fixture_wait(&fixture_gone, 2);
	stop();
}

/* --- new files --------------------------------------------------------------------------------- */

static atom_status reloaded;
static struct atom_error reload_error;

static void reload(void *argument)
{
	(void)argument;
	reloaded = http_server_reload_tls(fixture_server, &reload_error);
}

static void new_certificates_serve_new_connections(void)
{
	struct client old, c;
	SSL_SESSION *session;

	start(NULL, "");
	old = client_new(TLS1_3_VERSION, NULL, false, NULL);
	CHECK(strcmp(old.name, "first") == 0);
	say(&old, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&old, "\r\n\r\n"));
	session = SSL_get1_session(old.ssl);

	make_certificate("second", certificate, key);
	fixture_on_control(reload, NULL);
	CHECK(reloaded == ATOM_OK);
	/* The loop swaps by message: this request is behind it. */
	say(&old, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&old, "\r\n\r\n"));
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	CHECK(strcmp(c.name, "second") == 0);
	client_free(&c);
	c = client_new(TLS1_3_VERSION, NULL, false, session);
	CHECK(c.connected && SSL_session_reused(c.ssl));
	client_free(&c);
	SSL_SESSION_free(session);
	client_free(&old);

	/* What is not sound changes nothing. */
	CHECK(rename(other_key, key) == 0);
	fixture_on_control(reload, NULL);
	CHECK(reloaded == ATOM_EINVAL);
	CHECK(strstr(reload_error.message, "key"));
	c = client_new(TLS1_3_VERSION, NULL, false, NULL);
	CHECK(strcmp(c.name, "second") == 0);
	client_free(&c);
	CHECK(link(key, other_key) == 0);
	stop();
}

/* --- sessions, and the end of certificates ------------------------------------------------------- */

static void rotate(void *argument)
{
	CHECK(http_tickets_rotate(argument) == ATOM_OK);
}

/* One handshake with the session of another; was it resumed? */
static bool resumes(int version, SSL_SESSION *session)
{
	struct client c = client_new(version, NULL, false, session);
	bool resumed = c.connected && SSL_session_reused(c.ssl);

	CHECK(c.connected);
	/* A session that ends without a word is not used again. */
	SSL_shutdown(c.ssl);
	client_free(&c);
	return resumed;
}

static SSL_SESSION *session_of(int version)
{
	struct client c = client_new(version, NULL, false, NULL);
	SSL_SESSION *session;

	say(&c, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(until(&c, "\r\n\r\n"));
	session = SSL_get1_session(c.ssl);
	CHECK(session);
	SSL_shutdown(c.ssl);
	client_free(&c);
	return session;
}

static void keys_of_tickets_are_good_for_one_change(void)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct atom_error err = ATOM_ERROR_INIT;

	start(NULL, "");
	for (int i = 0; i < 2; i++) {
		SSL_SESSION *session = session_of(versions[i]);

		CHECK(resumes(versions[i], session));
		fixture_on_control(rotate, &err);
		CHECK(resumes(versions[i], session));
		fixture_on_control(rotate, &err);
		CHECK(!resumes(versions[i], session));
		SSL_SESSION_free(session);
	}
	stop();
}

/* It would bring along a certificate that nobody looks at again. */
static void no_session_is_resumed_where_clients_show_certificates(void)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };

	start(NULL, certificate);
	for (int i = 0; i < 2; i++) {
		struct client c = client_new(versions[i], NULL, true, NULL);
		SSL_SESSION *session;

		CHECK(c.connected);
		say(&c, "GET /echo HTTP/1.1\r\n" H "\r\n");
		CHECK(until(&c, "\r\n\r\n"));
		session = SSL_get1_session(c.ssl);
		SSL_shutdown(c.ssl);
		client_free(&c);
		c = client_new(versions[i], NULL, true, session);
		CHECK(c.connected && !SSL_session_reused(c.ssl));
		client_free(&c);
		SSL_SESSION_free(session);
	}
	stop();
}

static int64_t (*real_clock)(void);

static int64_t two_hours_later(void)
{
	return real_clock() + 7200000;
}

static void check_expiry(void *argument)
{
	json_t *list, *one;
	size_t i;

	http_expiry_check(fixture_server);
	list = health_components();
	json_array_foreach(
		list, i,
		one) if (strcmp(json_string_value(json_object_get(one, "name")),
				"tls") == 0)(void)
		snprintf(argument, 256, "%s: %s",
			 json_string_value(json_object_get(one, "status")),
			 json_string_value(json_object_get(one, "last_error")));
	json_decref(list);
}

static void the_end_of_a_certificate_is_noticed_while_it_serves(void)
{
	char text[256] = "";

	/* The clock is read by loops: set before they run. */
	real_clock = os.realtime_ms;
	start(NULL, "");
	fixture_on_control(check_expiry, text);
	CHECK(strncmp(text, "degraded: ", 10) == 0);
	CHECK(strstr(text, " expires at "));
	stop();
	os.realtime_ms = two_hours_later;
	start(NULL, "");
	fixture_on_control(check_expiry, text);
	CHECK(strstr(text, " has expired at "));
	stop();
	os.realtime_ms = real_clock;
}

static atom_status listened;

static void listen_with_no_file(void *argument)
{
	const struct http_listener_spec spec = {
		.address = "127.0.0.1:0",
		.certificate = "/no/such/certificate.pem",
		.key = "",
		.client_ca = "",
		.admin_group = "",
		.inherited_fd = -1,
	};

	listened = http_server_listen(fixture_server, &spec, argument);
}

static void a_missing_file_is_named(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	fixture_start(1, NULL, NULL);
	fixture_on_control(listen_with_no_file, &err);
	CHECK(listened == ATOM_EINVAL);
	CHECK(strstr(err.message, "/no/such/certificate.pem"));
	CHECK(strstr(err.message, "No such file"));
	fixture_stop(1000);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(requests_are_served_by_tls),
		TAP_TEST(old_versions_and_other_protocols_are_refused),
		TAP_TEST(plain_http_on_a_tls_port_is_told_so),
		TAP_TEST(a_handshake_must_end_in_time),
		TAP_TEST(clients_need_a_certificate_where_one_is_asked_for),
		TAP_TEST(names_of_a_client_are_read_as_they_are),
		TAP_TEST(streams_and_bodies_survive_tls),
		TAP_TEST(leaving_is_noticed_through_tls),
		TAP_TEST(new_certificates_serve_new_connections),
		TAP_TEST(keys_of_tickets_are_good_for_one_change),
		TAP_TEST(no_session_is_resumed_where_clients_show_certificates),
		TAP_TEST(the_end_of_a_certificate_is_noticed_while_it_serves),
		TAP_TEST(a_missing_file_is_named),
	};

	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
