/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sent a request, where something below fails or says what it seldom does.
 * The linker puts functions of this program before those that ask OpenSSL for
 * the connection's certificate and the issuers for a token (--wrap).
 */
#include "test_config_fixture.h"

#include <grp.h>
#include <limits.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "failing_memory.h"
#include "http/server_priv.h"
#include "security/jwt.h"
#include "security/keys_priv.h"
#include "security/peer.h"
#include "security/principal.h"
#include "security/secret.h"
#include "security/standing.h"

static struct http_listener listener;
static struct http_socket end = { .listener = &listener };
static struct http_connection connection = { .socket = &end,
					     .address = "192.0.2.1",
					     .peer.pidfd = -1 };
static struct http_head head;
static char text[4096];
static struct http_request request = { .connection = &connection,
				       .head = &head,
				       .in = text };
static struct principal who;
static struct atom_error err;

/* --- what the wrapped ones say -------------------------------------------------- */

static const struct http_certificate *certificate;
static enum jwt_verdict verdict;
static bool issuers_give;

const struct http_certificate *__wrap_http_client_certificate(
	const struct http_request *asked);
enum jwt_verdict __wrap_jwt_issuers_judge(const char *bearer,
					  struct principal *principal_r,
					  const char **issuer_r,
					  const char **why_r);
bool __wrap_jwt_issuers_give(uint32_t permissions, bool usable);

const struct http_certificate *__wrap_http_client_certificate(
	const struct http_request *asked)
{
	(void)asked;
	return certificate;
}

enum jwt_verdict __wrap_jwt_issuers_judge(const char *bearer,
					  struct principal *principal_r,
					  const char **issuer_r,
					  const char **why_r)
{
	(void)bearer;
	(void)principal_r;
	*issuer_r = "https://id.example";
	*why_r = "because";
	return verdict;
}

bool __wrap_jwt_issuers_give(uint32_t permissions, bool usable)
{
	(void)permissions;
	(void)usable;
	return issuers_give;
}

/* --- a daemon's policy and a request --------------------------------------------- */

static const uint8_t pepper[SECRET_PEPPER_BYTES] = { 1 };

static void begin(void)
{
	set_up();
	verdict = JWT_FOREIGN;
	ACCEPT("workers = 1;");
	cr_assert_eq(loops_init(1, &err), ATOM_OK);
	cr_assert_eq(metric_init(1), ATOM_OK);
	config->listener_count = 0;
	cr_assert_eq(secret_set_pepper(pepper, &err), ATOM_OK);
	cr_assert_eq(security_init(&err), ATOM_OK, "%s", err.message);
	cr_assert_not(security_has_admin(NULL), "before a policy is there");
	cr_assert_eq(security_apply(config, &err), ATOM_OK, "%s", err.message);
}

static void finish(void)
{
	security_fini();
	metric_fini();
	loops_fini();
	tear_down();
}

TestSuite(principal, .init = begin, .fini = finish);

/* Who sends these fields; Host is one of them where it is said. */
static atom_status ask(const char *fields)
{
	int length = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s\r\n",
			      fields);

	http_head_init_request(&head, HTTP_HEAD_BYTES);
	cr_assert_eq(http_head_parse(&head, text, (size_t)length),
		     HTTP_PARSE_DONE, "%s", head.why);
	err = (struct atom_error)ATOM_ERROR_INIT;
	memset(&who, 0, sizeof(who));
	return principal_of(&request, &who, &err);
}

static void allow_anonymous(void)
{
	config->anonymous_role = "caller";
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	request.client_loopback = true;
}

/* --- keys ------------------------------------------------------------------------- */

Test(principal, a_key_that_cannot_be_hashed_lets_nobody_in)
{
	char bearer[KEY_TEXT_MAX], id[SECRET_ID_LENGTH + 1], fields[200];

	cr_assert_eq(secret_make(bearer, id, &err), ATOM_OK);
	(void)snprintf(fields, sizeof(fields), "Authorization: Bearer   %s\r\n",
		       bearer);
	cr_assert_eq(ask(fields), ATOM_EPERM, "there is no such key");
	secret_fini();
	cr_assert_eq(ask(fields), ATOM_ENOMEM);
	cr_assert_eq(who.permissions, 0);
}

Test(principal, a_lock_out_of_many_days_is_told_in_what_fits)
{
	config->lockout = (struct config_lockout){
		.failures = 1,
		.window_ms = 1000,
		.ban_ms = (int64_t)INT32_MAX * 10,
		.ban_max_ms = (int64_t)INT32_MAX * 10,
	};
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert_eq(ask("Authorization: Bearer atm_x\r\n"), ATOM_EPERM);
	cr_assert_eq(err.retry_after_ms, INT32_MAX);
	cr_assert_eq(ask("Authorization: Bearer atm_x\r\n"), ATOM_EPERM);
	cr_assert_eq(err.retry_after_ms, INT32_MAX);
}

Test(principal, agents_are_for_who_may_invoke_them)
{
	const char *const agents[] = { "a", NULL };
	struct principal caller = { .permissions = PERMISSION_INVOKE_AGENT,
				    .limited = true,
				    .agents = agents };
	struct principal viewer = { .permissions = PERMISSION_VIEW_METRICS };

	cr_assert(principal_may_invoke(&caller, "a"));
	cr_assert_not(principal_may_invoke(&caller, "b"));
	cr_assert_not(principal_may_invoke(&caller, "ab"));
	cr_assert_not(principal_may_invoke(&viewer, "a"));
}

/* --- tokens ----------------------------------------------------------------------- */

Test(principal, a_token_is_answered_by_what_was_found_of_it)
{
	static const struct {
		enum jwt_verdict verdict;
		atom_status status;
		const char *word; /* of what the caller hears */
		bool why;	  /* hears the reason */
	} rows[] = {
		{ JWT_GOOD, ATOM_OK, "", false },
		{ JWT_FAILED, ATOM_ENOMEM, "because", true },
		{ JWT_NO_ROLE, ATOM_EINVAL, "gives no role", true },
		{ JWT_REFUSED, ATOM_EPERM, "not valid", true },
		{ JWT_BAD, ATOM_EPERM, "not valid", false },
		{ JWT_FOREIGN, ATOM_EPERM, "API key is not valid", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		verdict = rows[i].verdict;
		cr_assert_eq(ask("Authorization: bearer a.b.c\r\n"),
			     rows[i].status, "%zu: %s", i, err.message);
		cr_assert_not_null(strstr(err.message, rows[i].word));
		cr_assert_eq(strstr(err.message, "because") != NULL,
			     rows[i].why);
	}
}

/* --- nobody in particular ------------------------------------------------------------ */

Test(principal, without_a_key_a_page_of_another_origin_is_not_served)
{
	static const struct {
		const char *fields;
		atom_status status;
	} rows[] = {
		{ "", ATOM_OK },
		{ "Host: localhost\r\n", ATOM_OK },
		{ "Host: 127.0.0.1:8080\r\n", ATOM_OK },
		{ "Host: [::1]:8080\r\n", ATOM_OK },
		{ "Host: localhost.example\r\n", ATOM_EINVAL },
		{ "Host: example\r\n", ATOM_EINVAL },
		{ "Host: localhost\r\nOrigin: http://localhost\r\n", ATOM_OK },
		{ "Host: localhost\r\nOrigin: http://example\r\n",
		  ATOM_EINVAL },
		{ "Host: localhost\r\nOrigin: null\r\n", ATOM_EINVAL },
		{ "Origin: http://localhost\r\n", ATOM_EINVAL },
		/* As SDKs do, which always send some bearer. */
		{ "Authorization: Bearer x\r\n", ATOM_OK },
		{ "Authorization: Basic x\r\n", ATOM_OK },
	};

	cr_assert_eq(ask(""), ATOM_ENOENT, "nobody is let in");
	cr_assert_eq(ask("Authorization: Bearer x\r\n"), ATOM_EPERM);
	allow_anonymous();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_assert_eq(ask(rows[i].fields), rows[i].status, "%s: %s",
			     rows[i].fields, err.message);
		cr_assert_eq(who.permissions != 0, rows[i].status == ATOM_OK);
	}
	/* On a unix socket the name is anybody's choice. */
	(void)snprintf(connection.address, sizeof(connection.address), "unix");
	cr_assert_eq(ask("Host: example\r\n"), ATOM_OK);
	request.client_loopback = false;
	cr_assert_eq(ask("Host: localhost\r\n"), ATOM_ENOENT);
}

/* --- a policy that cannot be made ----------------------------------------------------- */

static bool applies(void)
{
	return security_apply(config, &err) == ATOM_OK;
}

static bool begins(void)
{
	metric_fini();
	return metric_init(1) == ATOM_OK && security_init(&err) == ATOM_OK;
}

Test(principal, a_policy_is_in_force_as_a_whole_or_not_at_all)
{
	struct config_listener wrong = {
		.admin = true,
		.admin_group = "no-such-group",
		.client_ca = "",
	};
	bool applied = false, begun;
	unsigned int refused = 0;

	allow_anonymous();
	config->anonymous_role = "";
	config->bootstrap_admin_key = "a-bootstrap-key";
	config->listeners = &wrong;
	config->listener_count = 1;
	cr_assert_eq(security_apply(config, &err), ATOM_EINVAL);
	cr_assert_eq(ask(""), ATOM_OK, "as before");
	config->listener_count = 0;
	secret_fini();
	cr_assert_neq(security_apply(config, &err), ATOM_OK);
	cr_assert_eq(ask(""), ATOM_OK, "as before");
	cr_assert_eq(secret_set_pepper(pepper, &err), ATOM_OK);
	for (unsigned int n = 1, failed = 1; failed; n++) {
		failing_memory_begin(n);
		applied |= applies();
		failed = failing_memory_end();
		cr_assert_eq(ask(""), applied ? ATOM_ENOENT : ATOM_OK,
			     "failure %u", n);
	}
	cr_assert(applied);
	cr_assert_eq(ask("Authorization: Bearer a-bootstrap-key\r\n"), ATOM_OK);
	cr_assert_str_eq(who.name, "bootstrap");
	cr_assert_eq(ask("Authorization: Bearer another\r\n"), ATOM_EPERM);
	/* A series that is not there costs a count; a family stops it. */
	for (unsigned int n = 1, failed = 1; failed; n++) {
		failing_memory_begin(n);
		begun = begins();
		failed = failing_memory_end();
		refused += !begun;
	}
	cr_assert(begun);
	cr_assert_gt(refused, 0);
}

static bool is_of_admins(gid_t gid)
{
	connection.peer.uid = 65533;
	connection.peer.gid = gid;
	return peer_stays_admin(&request);
}

Test(principal, admin_groups_of_a_refused_policy_are_not_in_force)
{
	const struct group *group = getgrgid(0);
	struct config_listener admins = { .admin = true, .client_ca = "" };
	struct config_jwt unread = {
		.issuer = "https://id.example",
		.audience = "atomd",
		.jwks = "/no/such/folder/jwks.json",
		.ca_file = "",
		.role_claim = "role",
		.agents_claim = "",
		.refresh_ms = 60000,
		.max_stale_ms = 60000,
	};

	cr_assert_not_null(group);
	admins.admin_group = group->gr_name;
	config->listeners = &admins;
	config->listener_count = 1;
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert(is_of_admins(0));
	group = getgrgid(1);
	cr_assert_not_null(group);
	admins.admin_group = group->gr_name;
	config->jwt = &unread;
	config->jwt_count = 1;
	cr_assert_neq(security_apply(config, &err), ATOM_OK);
	cr_assert_not_null(strstr(err.message, unread.jwks), "%s", err.message);
	cr_assert_not(is_of_admins(1), "a group of the refused one");
	cr_assert(is_of_admins(0), "as before");
	config->jwt_count = 0;
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert(is_of_admins(1));
	cr_assert_not(is_of_admins(0), "another group before");
}

Test(principal, an_admin_is_whoever_could_come_as_one)
{
	cr_assert_not(security_has_admin(NULL));
	issuers_give = true;
	cr_assert(security_has_admin(NULL));
	issuers_give = false;
	config->bootstrap_admin_key = "a-bootstrap-key";
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert(security_has_admin(NULL));
}

/* --- still let in? ---------------------------------------------------------------------- */

static const char *const nobody[] = { NULL };
static struct config_client_certificate rows[] = {
	{ "CN=a", "", "", "", "operator", nobody, NULL },
	{ "CN=b", "", "", "", "operator", nobody, NULL },
	{ "CN=c", "", "", "", "caller", nobody, NULL },
};

static struct http_certificate_name name = { HTTP_NAME_SUBJECT, "CN=a" };
static const struct http_certificate one = { 1, &name };

Test(principal, who_came_by_a_certificate_stays_as_long_as_it_says_the_same)
{
	struct standing standing;

	config->client_certificates = rows;
	config->client_certificate_count = ARRAY_SIZE(rows);
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	certificate = &one;
	cr_assert_eq(ask(""), ATOM_OK);
	cr_assert_str_eq(who.role, "operator");
	standing_begin(&standing, &who);
	cr_assert(standing_holds(&standing, &request));
	name.text = "CN=b";
	cr_assert_not(standing_holds(&standing, &request), "somebody else");
	name.text = "CN=a";
	rows[0].role = "caller";
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert_not(standing_holds(&standing, &request), "another role");
	certificate = NULL;
	cr_assert_not(standing_holds(&standing, &request), "none any more");
}

Test(principal, who_came_by_a_key_stays_as_long_as_it_is_good)
{
	struct principal gone = { .name = "key:gone", .role = "caller" };
	struct principal local = { .name = "unix:0", .role = "caller" };
	struct standing standing;

	standing_begin(&standing, &gone);
	cr_assert_not(standing_holds(&standing, &request));
	standing_begin(&standing, &local);
	cr_assert(standing_holds(&standing, &request));
	connection.peer.uid = UINT32_MAX - 1;
	cr_assert_not(standing_holds(&standing, &request), "of no group");
	connection.peer.uid = 0;
	standing.permissions = PERMISSION_CREATE_AGENT;
	cr_assert_not(standing_holds(&standing, &request), "of no role");
	standing.permissions = 0;
	standing.expires_ms = os.realtime_ms() - 1;
	cr_assert_not(standing_holds(&standing, &request), "it has ended");
	standing.expires_ms = os.realtime_ms() + 60000;
	cr_assert(standing_holds(&standing, &request));
}

Test(principal, who_came_by_the_configuration_stays_as_long_as_it_says_so)
{
	struct principal token = { .name = "jwt:0123456789ab:me",
				   .role = "caller" };
	struct standing anyone, bootstrap, of_issuer;

	config->bootstrap_admin_key = "a-bootstrap-key";
	allow_anonymous();
	cr_assert_eq(ask("Host: localhost\r\n"), ATOM_OK);
	cr_assert_str_eq(who.name, "anonymous");
	standing_begin(&anyone, &who);
	cr_assert_eq(ask("Authorization: Bearer a-bootstrap-key\r\n"), ATOM_OK);
	standing_begin(&bootstrap, &who);
	standing_begin(&of_issuer, &token);
	cr_assert(standing_holds(&anyone, &request));
	cr_assert(standing_holds(&bootstrap, &request));
	cr_assert_not(standing_holds(&of_issuer, &request), "no such issuer");
	config->anonymous_role = "read_only";
	config->bootstrap_admin_key = "another-bootstrap-key";
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert_not(standing_holds(&anyone, &request), "another role");
	cr_assert_not(standing_holds(&bootstrap, &request), "another key");
	config->anonymous_role = "";
	config->bootstrap_admin_key = "";
	cr_assert_eq(security_apply(config, &err), ATOM_OK);
	cr_assert_not(standing_holds(&anyone, &request), "none any more");
	cr_assert_not(standing_holds(&bootstrap, &request), "none any more");
}
