/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes in and by which door: listeners, issuers of tokens, roles; where
 * it is recorded, and with which key it is sealed.
 */
#include "test_config_fixture.h"

TestSuite(config_security, .init = set_up, .fini = tear_down);

Test(config_security, addresses_are_checked)
{
	static const char *const bad[] = {
		"127.0.0.1",	  "127.0.0.1:99999",
		"localhost:http", "unix:",
		"300.0.0.1:80",	  ":::",
		"[::1:80",	  "::1:80",
		"example.org:80", ":80",
		"127.0.0.1:-1",	  "127.0.0.1:+1",
		"[]:80",	  "",
		"[127.0.0.1]:80",
	};
	char text[256], path[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );",
			       bad[i]);
		REFUSE(1, "`address` must be", text);
	}
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	(void)snprintf(text, sizeof(text),
		       "listeners = ( { address = \"unix:%s\"; } );", path);
	REFUSE(1, "has at most 107 bytes", text);
	REFUSE(1, "nobody can call", "listeners = ( );");
	REFUSE(1, "only a unix address",
	       "listeners = ( { address = \"127.0.0.1:0\"; admin = true; } );");
	REFUSE(1, "`admin_group` needs",
	       "listeners = ( { address = \"unix:a\";"
	       " admin_group = \"x\"; } );");
	REFUSE(1, "has a `certificate` and no `key`",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " tls: { certificate = \"x\"; }; } );");
	REFUSE(1, "`tls` is for TCP",
	       "listeners = ( { address = \"unix:a\";"
	       " tls: { certificate = \"x\"; key = \"y\"; }; } );");
	REFUSE(1, "found \"10.0.0.0/33\"",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " trusted_proxies = [ \"10.0.0.0/33\" ]; } );");
	REFUSE(2, "atomd.conf:1 already",
	       "listeners = ( { address = \"127.0.0.1:80\"; },\n"
	       "{ address = \"localhost:80\"; } );");
	ACCEPT("listeners = ( { address = \"127.0.0.1:0\"; },"
	       " { address = \"127.0.0.1:0\"; } );");
}

Test(config_security, proxy_protocol_needs_tcp_and_somebody_to_trust)
{
	REFUSE(1, "`proxy_protocol` needs `trusted_proxies`",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " proxy_protocol = true; } );");
	REFUSE(1, "this one is unix",
	       "listeners = ( { address = \"unix:a\"; proxy_protocol = true;"
	       " trusted_proxies = [ \"unix\" ]; } );");
	ACCEPT("listeners = ( { address = \"127.0.0.1:0\";"
	       " proxy_protocol = true; trusted_proxies = [ \"::1\" ]; },"
	       " { address = \"unix:a\"; trusted_proxies = [ \"unix\" ]; } );");
	cr_assert(config->listeners[0].proxy_protocol);
	cr_assert_not(config->listeners[1].proxy_protocol);
}

Test(config_security, anonymous_callers_are_for_this_machine_only)
{
	static const char *const open[] = { "0.0.0.0:0", "[::]:80",
					    "10.0.0.1:80",
					    "[::ffff:1.2.3.4]:0" };
	static const char *const here[] = { "127.8.8.8:0", "[::1]:0",
					    "localhost:0", "unix:x",
					    "[::ffff:127.0.0.1]:0" };
	char text[256];

	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );\n"
			       "security: { anonymous_role = \"caller\"; };",
			       open[i]);
		REFUSE(2, "`anonymous_role` would let anyone in", text);
	}
	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );\n"
			       "security: { anonymous_role = \"caller\"; };",
			       here[i]);
		ACCEPT(text);
	}
	REFUSE(1, "there is no role \"calller\"; did you mean `caller`?",
	       "security: { anonymous_role = \"calller\"; };");
}

#define TLS(members) \
	"listeners = ( { address = \"127.0.0.1:0\"; tls: { " members " }; } );"
#define PAIR	     "certificate = \"c\"; key = \"k\"; "
#define CLIENTS(row) "security: { client_certificates = ( { " row " } ); };"

Test(config_security, certificates_of_clients_are_checked)
{
	ACCEPT(TLS(PAIR "client_ca = \"ca\"; client_crl = \"crl\";"));
	cr_assert_str_eq(config->listeners[0].client_ca, at("ca"));
	cr_assert_str_eq(config->listeners[0].client_crl, at("crl"));
	cr_assert_eq(config->listeners[0].client_certificate,
		     CONFIG_CERTIFICATE_REQUIRED);
	ACCEPT(TLS(PAIR "client_ca = \"ca\";"
			" client_certificate = \"optional\";"));
	cr_assert_eq(config->listeners[0].client_certificate,
		     CONFIG_CERTIFICATE_OPTIONAL);
	REFUSE(1, "`client_ca` needs `certificate`",
	       TLS("client_ca = \"ca\";"));
	REFUSE(1, "`client_crl` needs `client_ca`",
	       TLS(PAIR "client_crl = \"crl\";"));
	REFUSE(1, "`client_certificate` needs `client_ca`",
	       TLS(PAIR "client_certificate = \"optional\";"));
	REFUSE(1, "did you mean `optional`",
	       TLS(PAIR "client_ca = \"ca\";"
			" client_certificate = \"optinal\";"));
	ACCEPT(CLIENTS("subject = \"CN=a\"; role = \"caller\";"
		       " agents = [ \"x\" ];"));
	cr_assert_eq(config->client_certificate_count, 1);
	cr_assert_str_eq(config->client_certificates[0].subject, "CN=a");
	cr_assert_str_eq(config->client_certificates[0].agents[0], "x");
	REFUSE(1, "exactly one of", CLIENTS("role = \"caller\";"));
	REFUSE(1, "exactly one of",
	       CLIENTS("dns = \"a\"; uri = \"b\"; role = \"caller\";"));
	REFUSE(1, "without wildcards",
	       CLIENTS("dns = \"*.example\"; role = \"caller\";"));
	REFUSE(1, "`role` is missing", CLIENTS("dns = \"a\";"));
	REFUSE(1, "there is no role \"boss\"",
	       CLIENTS("dns = \"a\"; role = \"boss\";"));
}

#define JWT(members)                                                      \
	"security: { jwt = ( { issuer = \"https://i\"; audience = \"a\";" \
	" " members " } ); };"
#define ROWS "roles = ( { claim = \"c\"; role = \"caller\"; } );"

Test(config_security, an_issuer_of_tokens_is_checked)
{
	ACCEPT(JWT("jwks = \"keys.json\"; " ROWS));
	cr_assert_eq(config->jwt_count, 1);
	cr_assert_str_eq(config->jwt[0].jwks, at("keys.json"));
	cr_assert_str_eq(config->jwt[0].role_claim, "role");
	cr_assert_eq(config->jwt[0].leeway_ms, 30000);
	cr_assert_eq(config->jwt[0].refresh_ms, 300000);
	cr_assert_eq(config->jwt[0].max_stale_ms, 86400000);
	cr_assert_str_eq(config->jwt[0].roles[0].role, "caller");
	ACCEPT(JWT("jwks = \"https://i/k\"; ca_file = \"ca.pem\"; " ROWS));
	cr_assert_str_eq(config->jwt[0].jwks, "https://i/k");
	cr_assert_str_eq(config->jwt[0].ca_file, at("ca.pem"));
	ACCEPT(JWT("jwks = \"http://localhost:80/k\"; " ROWS));
	ACCEPT(JWT("jwks = \"http://[::1]/k\"; " ROWS));
	/* Off, and checked all the same. */
	ACCEPT("security: { jwt = ( { issuer = \"\"; " ROWS " } ); };");
	cr_assert_eq(config->jwt_count, 0);
	REFUSE(1, "`jwks` is missing", JWT(ROWS));
	REFUSE(1, "plain http", JWT("jwks = \"http://i/k\"; " ROWS));
	REFUSE(1, "plain http",
	       JWT("jwks = \"http://localhost.evil/k\"; " ROWS));
	REFUSE(1, "begins with https://", JWT("jwks = \"ftp://i/k\"; " ROWS));
	REFUSE(1, "`ca_file` is for",
	       JWT("jwks = \"k\"; ca_file = \"c\"; " ROWS));
	REFUSE(1, "`roles` is empty", JWT("jwks = \"k\";"));
	REFUSE(1, "there is no role \"boss\"",
	       JWT("jwks = \"k\"; roles = ( { claim = \"c\";"
		   " role = \"boss\"; } );"));
	REFUSE(1, "`role` is missing",
	       JWT("jwks = \"k\"; roles = ( { claim = \"c\"; } );"));
	REFUSE(1, "`leeway` must be",
	       JWT("jwks = \"k\"; leeway = \"1h\"; " ROWS));
	REFUSE(1, "`audience` is missing",
	       "security: { jwt = ( { issuer = \"https://i\"; jwks = \"k\"; " ROWS
	       " } ); };");
	REFUSE(1, "declared at",
	       "security: { jwt = ( { issuer = \"i\"; audience = \"a\";"
	       " jwks = \"k\"; " ROWS " }, { issuer = \"i\";"
	       " audience = \"b\"; jwks = \"k\"; " ROWS " } ); };");
	REFUSE(1, "unknown key `issuers`",
	       "security: { jwt = ( { issuers = \"\"; } ); };");
}

Test(config_security, a_bootstrap_key_that_could_be_guessed_is_refused)
{
	REFUSE(1, "expected at least 24 characters, found 23",
	       "security: { bootstrap_admin_key = "
	       "\"0123456789abcdefghijklm\"; };");
	REFUSE(1, "2 different characters",
	       "security: { bootstrap_admin_key = "
	       "\"abababababababababababababab\"; };");
	REFUSE(1, "white space",
	       "security: { bootstrap_admin_key = "
	       "\"0123456789 abcdefghijklmnopq\"; };");
	ACCEPT("security: { bootstrap_admin_key = \"\"; };");
}

Test(config_security, roles_are_checked)
{
	REFUSE(1, "unknown permission \"view_log\"; did you mean `view_logs`?",
	       "security: { roles = ( { name = \"a\";"
	       " permissions = [ \"view_log\" ]; } ); };");
	REFUSE(1, "is built in",
	       "security: { roles = ( { name = \"admin\";"
	       " permissions = [ ]; } ); };");
	REFUSE(2, "atomd.conf:1 already",
	       "security: { roles = ( { name = \"a\"; },\n"
	       "{ name = \"a\"; } ); };");
}

static size_t required_of(const char *text)
{
	size_t required = SIZE_MAX;

	ACCEPT(text);
	for (size_t i = 0; i < config->audit_sink_count; i++)
		if (config->audit_sinks[i].required) {
			cr_assert_eq(required, SIZE_MAX, "two in %s", text);
			required = i;
		}
	return required;
}

Test(config_security, exactly_one_audit_sink_is_required)
{
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"syslog\"; },"
				 " { plugin = \"http\"; } );"),
		     0);
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"syslog\"; },"
				 " { plugin = \"file\"; },"
				 " { plugin = \"file\"; x = 1; } );"),
		     1);
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"file\"; },"
				 " { plugin = \"http\"; required = true; } );"),
		     1);
	cr_assert_eq(required_of("audit_sinks = ( );"), SIZE_MAX);
	REFUSE(3, "a second sink is `required`; the sink at ",
	       "audit_sinks = (\n{ plugin = \"file\"; required = true; },\n"
	       "{ plugin = \"http\"; required = true; } );");
}

Test(config_security, how_calls_are_recorded_is_one_of_three_words)
{
	ACCEPT("workers = 1;");
	cr_assert_eq(config->audit_calls, CONFIG_AUDIT_BATCHED);
	ACCEPT("security: { audit_calls = \"strict\"; };");
	cr_assert_eq(config->audit_calls, CONFIG_AUDIT_STRICT);
	REFUSE(1, "audit_calls", "security: { audit_calls = \"never\"; };");
}

Test(config_security, a_key_of_encryption_is_a_file_and_is_not_read_here)
{
	const struct config_encryption *e;

	ACCEPT("security: { };");
	e = &config->encryption;
	cr_assert_str_eq(e->key_file, "");
	cr_assert_str_eq(e->previous_key_file, "");
	cr_assert_str_eq(e->credential, "");
	cr_assert_null(e->command[0]);
	/* Nobody has made the files. */
	ACCEPT("security: { encryption: { key = \"${file:a.key}\";"
	       " previous_key = \"${file:/else/where}\"; }; };");
	e = &config->encryption;
	cr_assert_str_eq(e->key_file, at("a.key"));
	cr_assert_str_eq(e->previous_key_file, "/else/where");
	ACCEPT("security: { encryption: { command = [ \"a\", \"b c\" ]; }; };");
	cr_assert_str_eq(config->encryption.command[1], "b c");
	cr_assert_null(config->encryption.command[2]);
}

Test(config_security, a_key_of_encryption_that_stands_somewhere_is_refused)
{
	static const char *const keys[] = {
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
		"${env:HOME}",
		"${file:a.key}${file:b.key}",
		"x${file:a.key}",
	};
	char text[256];

	put("a.key", "secret a");
	put("b.key", "secret b");
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		(void)snprintf(text, sizeof(text),
			       "security: { encryption: { key = \"%s\"; }; };",
			       keys[i]);
		REFUSE(1, "must be one reference to a file", text);
		(void)snprintf(text, sizeof(text),
			       "security: { encryption: { previous_key = "
			       "\"%s\"; }; };",
			       keys[i]);
		REFUSE(1, "must be one reference to a file", text);
	}
	REFUSE(1, "from one place",
	       "security: { encryption: { key = \"${file:a.key}\";"
	       " credential = \"b\"; }; };");
	REFUSE(1, "without a new key",
	       "security: { encryption: { previous_key = \"${file:a.key}\";"
	       " }; };");
}
