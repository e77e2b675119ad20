/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which row of the configuration a client certificate's names fit.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "core/memory.h"
#include "http/server.h"
#include "security/certificate.h"
#include "security/jwk.h"

static const char *const nobody[] = { NULL };
static const char *const agents[] = { "a", NULL };
static char long_uri[300];

static struct config_client_certificate rows[] = {
	{ "CN=ops,O=Example", "", "", "", "operator", nobody, NULL },
	{ "", "spiffe://e/app", "", "", "caller", agents, NULL },
	{ "", "", "Batch.Example.com", "", "read_only", nobody, NULL },
	{ "", "", "", "ann@e", "admin", nobody, NULL },
	{ "", "spiffe://e/app", "", "", "admin", nobody, NULL },
	{ "", long_uri, "", "", "caller", nobody, NULL },
};
static struct certificate_rules *rules;
static struct principal who;

static void set_up(void)
{
	struct config config = {
		.client_certificates = rows,
		.client_certificate_count = ARRAY_SIZE(rows),
	};
	struct atom_error err = ATOM_ERROR_INIT;

	memset(long_uri, 'u', sizeof(long_uri) - 1);
	cr_assert_eq(jwk_init(&err), ATOM_OK);
	cr_assert_eq(certificate_rules_new(&config, &rules, &err), ATOM_OK,
		     "%s", err.message);
}

static void tear_down(void)
{
	certificate_rules_free(&rules);
	jwk_fini();
}

TestSuite(certificate, .init = set_up, .fini = tear_down);

static bool fits(enum http_name_kind kind, const char *text)
{
	const struct http_certificate_name name = { kind, text };
	const struct http_certificate certificate = { 1, &name };

	return certificate_principal(rules, &certificate, &who);
}

Test(certificate, a_name_of_its_kind_gives_role_agents_and_principal)
{
	cr_assert(fits(HTTP_NAME_SUBJECT, "CN=ops,O=Example"));
	cr_assert_str_eq(who.name, "cert:dn:CN=ops,O=Example");
	cr_assert_str_eq(who.role, "operator");
	cr_assert(principal_has(&who, PERMISSION_VIEW_LOGS));
	cr_assert_not(who.limited);
	cr_assert(fits(HTTP_NAME_URI, "spiffe://e/app"));
	/* The first of two rows. */
	cr_assert_str_eq(who.role, "caller");
	cr_assert(who.limited);
	cr_assert(principal_may_invoke(&who, "a"));
	cr_assert_not(principal_may_invoke(&who, "b"));
	cr_assert(fits(HTTP_NAME_DNS, "batch.example.com"));
	cr_assert_str_eq(who.name, "cert:dns:batch.example.com");
	cr_assert(fits(HTTP_NAME_EMAIL, "ann@e"));
	cr_assert_str_eq(who.name, "cert:email:ann@e");
}

Test(certificate, nothing_but_the_whole_name_fits)
{
	static const struct http_certificate_name names[] = {
		{ HTTP_NAME_SUBJECT, "CN=ops,O=Example2" },
		{ HTTP_NAME_SUBJECT, "CN=ops,O=Exampl" },
		{ HTTP_NAME_SUBJECT, "cn=ops,o=example" },
		{ HTTP_NAME_SUBJECT, "O=Example,CN=ops" },
		{ HTTP_NAME_SUBJECT, "CN=ops\\,O=Example" },
		{ HTTP_NAME_SUBJECT, "" },
		{ HTTP_NAME_URI, "spiffe://e/app/" },
		{ HTTP_NAME_URI, "SPIFFE://e/app" },
		{ HTTP_NAME_URI, "CN=ops,O=Example" },
		{ HTTP_NAME_URI, "batch.example.com" },
		{ HTTP_NAME_DNS, "x.batch.example.com" },
		{ HTTP_NAME_DNS, "*.example.com" },
		{ HTTP_NAME_DNS, "spiffe://e/app" },
		{ HTTP_NAME_EMAIL, "Ann@e" },
		{ HTTP_NAME_EMAIL, "bann@e" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_assert_not(fits(names[i].kind, names[i].text), "%s",
			      names[i].text);
	cr_assert_not(certificate_principal(
		rules, &(struct http_certificate){ 0, NULL }, &who));
}

Test(certificate, of_several_names_the_first_row_counts)
{
	const struct http_certificate_name names[] = {
		{ HTTP_NAME_EMAIL, "ann@e" },
		{ HTTP_NAME_DNS, "batch.example.com" },
		{ HTTP_NAME_URI, "else" },
	};
	const struct http_certificate_name turned[] = { names[1], names[0] };
	const struct http_certificate certificate = { 3, names };
	const struct http_certificate other = { 2, turned };

	cr_assert(certificate_principal(rules, &certificate, &who));
	cr_assert_str_eq(who.role, "read_only");
	cr_assert(certificate_principal(rules, &other, &who));
	cr_assert_str_eq(who.role, "read_only");
}

Test(certificate, a_long_name_is_a_hash_in_the_principal_s)
{
	cr_assert(fits(HTTP_NAME_URI, long_uri));
	cr_assert_eq(strncmp(who.name, "cert:uri:#", 10), 0);
	cr_assert_eq(strlen(who.name), 10 + 48);
}
