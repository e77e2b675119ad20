/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

#include "compliance/check.h"
#include "compliance/probe.h"
#include "core/memory.h"
#include "core/os.h"
#include "security/keys.h"

/* Who gets in: every answer below is that of a request sent in this run. */

/* Where a door does stand open, the knock must change nothing: the name in
 * the path is nobody's, and this body is refused by whoever reads it. */
#define NO_ORDER "not JSON"

/* The listener to ask: one of TCP, so that no peer credentials help. */
struct door {
	const char *address;
	bool tls;
};

static bool find_door(const struct inspection *i, struct door *door)
{
	struct probe_handshake h;

	for (size_t n = 0; i->addresses[n] != NULL; n++) {
		if (probe_is_unix(i->addresses[n]))
			continue;
		probe_tls(i->addresses[n], TLS1_2_VERSION, 0, &h);
		door->address = i->addresses[n];
		door->tls = h.done;
		return true;
	}
	return false;
}

static bool open_door(const struct inspection *i, struct door *door,
		      struct finding *f)
{
	if (find_door(i, door))
		return true;
	find(f, CHECK_NOT_APPLICABLE,
	     "no TCP listener: only unix sockets, whose peers are known");
	return false;
}

/* *status_r is 0 when no answer came. */
static bool ask(const struct door *door, const char *method, const char *path,
		const char *key, int *status_r, struct finding *f)
{
	struct probe_request request = {
		.address = door->address,
		.tls = door->tls,
		.method = method,
		.path = path,
		.key = key,
		.body = strcmp(method, "GET") != 0 ? NO_ORDER : NULL,
	};
	struct atom_error err = ATOM_ERROR_INIT;

	switch (probe_ask(&request, status_r, &err)) {
	case ATOM_OK:
		return true;
	case ATOM_EPROTO:
		/* Whoever is refused hears it at once: this one was let in,
		 * and waits. */
		*status_r = 0;
		return true;
	default:
		break;
	}
	find(f, CHECK_ERROR, "%s %.100s: %.300s", method, path, err.message);
	return false;
}

/* --- routes ---------------------------------------------------------------------- */

/* Every route that is not public, and with a key those only that a caller may
 * not use, must be answered `refusal`. */
static void ask_routes(const struct inspection *i, const char *key, int refusal,
		       struct finding *f)
{
	const char *who =
		key != NULL ? "with a caller's key" : "without a credential";
	unsigned int asked = 0, open = 0;
	struct door door;
	int status;

	if (!open_door(i, &door, f))
		return;
	for (size_t n = 0; n < i->route_count; n++) {
		const struct compliance_route *route = &i->routes[n];

		if (route->is_public || (key != NULL && route->caller_may))
			continue;
		if (!ask(&door, route->method, route->path, key, &status, f))
			return;
		asked++;
		if (status == refusal)
			continue;
		open++;
		find_evidence(f, "%s %s %s: %d", route->method, route->path,
			      who, status);
	}
	if (open == 0)
		find_evidence(f, "%u routes asked %s at %s, each answered %d",
			      asked, who, door.address, refusal);
	find(f, open == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u routes refused who came %s", asked - open, asked, who);
}

void check_access_control(struct inspection *i, struct finding *f)
{
	ask_routes(i, NULL, 401, f);
}

void check_least_privilege(struct inspection *i, struct finding *f)
{
	ask_routes(i, i->key, 403, f);
}

/* --- keys ------------------------------------------------------------------------ */

void check_key_in_use(struct inspection *i, struct finding *f)
{
	struct door door;
	int status;

	if (!open_door(i, &door, f) ||
	    !ask(&door, "GET", "/v1/models", i->key, &status, f))
		return;
	find_evidence(f, "key %s made for this run, GET /v1/models: %d",
		      i->key_id, status);
	find(f, status == 200 ? CHECK_PASS : CHECK_FAIL,
	     "a key made for this run was answered %d", status);
}

void check_key_revoked(struct inspection *i, struct finding *f)
{
	struct door door;
	int64_t after_ms;
	int status;

	if (!open_door(i, &door, f))
		return;
	if (!i->revoked) {
		find(f, CHECK_ERROR, "the key of this run was not revoked");
		return;
	}
	if (!ask(&door, "GET", "/v1/models", i->key, &status, f))
		return;
	after_ms = (os.monotonic_ns() - i->revoked_ns) / 1000000;
	find_evidence(f, "key %s, GET /v1/models %lld ms after revocation: %d",
		      i->key_id, (long long)after_ms, status);
	find(f, status == 401 ? CHECK_PASS : CHECK_FAIL,
	     "a revoked key was answered %d", status);
}

void check_wrong_key(struct inspection *i, struct finding *f)
{
	char wrong[KEY_TEXT_MAX];
	struct door door;
	size_t last;
	int status;

	if (!open_door(i, &door, f))
		return;
	(void)snprintf(wrong, sizeof(wrong), "%s", i->key);
	last = strlen(wrong) - 1;
	wrong[last] = wrong[last] == 'a' ? 'b' : 'a';
	if (!ask(&door, "GET", "/v1/models", wrong, &status, f))
		return;
	find_evidence(f, "key %s with its last character changed: %d",
		      i->key_id, status);
	find(f, status == 401 || status == 429 ? CHECK_PASS : CHECK_FAIL,
	     "a key with one wrong character was answered %d", status);
}

void check_anonymous(struct inspection *i, struct finding *f)
{
	const char *role = i->config->anonymous_role;

	if (role[0] == '\0') {
		find_evidence(f, "security.anonymous_role is empty; what that "
				 "means is probed by access_control");
		find(f, CHECK_PASS, "no caller is served without a credential");
		return;
	}
	find_evidence(f, "security.anonymous_role = \"%s\"", role);
	find(f, CHECK_FAIL,
	     "callers from this machine have the role %s without a credential",
	     role);
}

/* --- the keys there are ------------------------------------------------------------ */

void check_key_expiry(struct inspection *i, struct finding *f)
{
	const char *next;
	json_t *list = keys_list("", SIZE_MAX, &next), *row;
	unsigned int active = 0, endless = 0;
	size_t index;

	(void)i;
	json_array_foreach(list, index, row)
	{
		const char *state =
			json_string_value(json_object_get(row, "state"));

		if (state == NULL || strcmp(state, "active") != 0)
			continue;
		active++;
		if (!json_is_null(json_object_get(row, "expires")))
			continue;
		endless++;
		find_evidence(
			f, "key %s (role %s, made by %s) never ends",
			json_string_value(json_object_get(row, "id")),
			json_string_value(json_object_get(row, "role")),
			json_string_value(json_object_get(row, "created_by")));
	}
	json_decref(list);
	if (active == 0) {
		find(f, CHECK_NOT_APPLICABLE, "there is no active key");
		return;
	}
	if (endless == 0)
		find_evidence(f, "%u active keys looked at", active);
	find(f, endless == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u active keys have no end", endless, active);
}

void check_bootstrap_key(struct inspection *i, struct finding *f)
{
	bool there = i->config->bootstrap_admin_key[0] != '\0';

	if (there)
		find_evidence(f, "security.bootstrap_admin_key is set");
	else
		find_evidence(f, "no configured secret opens the admin API");
	find(f, there ? CHECK_FAIL : CHECK_PASS,
	     there ? "a key that never ends and cannot be revoked is "
		     "configured"
		   : "there is none");
}

/* --- what a stranger may send -------------------------------------------------------- */

void check_request_bounds(struct inspection *i, struct finding *f)
{
	struct probe_request request = {
		.method = "POST",
		.path = "/v1/chat/completions",
		.key = i->key,
		.padding = (size_t)64 * 1024,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	int head = 0, body = 0;
	struct door door;

	if (!open_door(i, &door, f))
		return;
	request.address = door.address;
	request.tls = door.tls;
	if (probe_ask(&request, &head, &err) != ATOM_OK) {
		find(f, CHECK_ERROR, "%.400s", err.message);
		return;
	}
	request.padding = 0;
	request.content_length = (int64_t)1 << 40;
	if (probe_ask(&request, &body, &err) != ATOM_OK) {
		find(f, CHECK_ERROR, "%.400s", err.message);
		return;
	}
	find_evidence(f, "a head of 64 KiB: %d", head);
	find_evidence(f, "a body announced with 1 TiB: %d", body);
	find(f, head == 431 && body == 413 ? CHECK_PASS : CHECK_FAIL,
	     "an outsized head was answered %d, an outsized body %d", head,
	     body);
}
