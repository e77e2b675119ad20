/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "http/client_priv.h"

/*
 * Names to addresses, on the pool: libcurl would resolve on threads of its
 * own and wait for them when a transfer is taken away.  Answers are kept for
 * a while, one question is asked at a time for a name, and when it fails the
 * addresses of before are good for a little longer.
 *
 * The families take turns, in the order in which getaddrinfo() has the
 * addresses (RFC 8305, section 4), so that a family that leads nowhere costs
 * one attempt and not one for each of its addresses.
 */

#define KEEP_MS	      ((int64_t)30 * 1000)
#define KEEP_STALE_MS ((int64_t)5 * 1000)
#define STALE_MAX_MS  ((int64_t)600 * 1000)
#define ADDRESSES_MAX 8

struct lookup {
	uv_getaddrinfo_t request;
	struct http_client *client;
	char *host;
	char *addresses; /* "192.0.2.1,[2001:db8::1]", NULL = none known */
	unsigned int preferred; /* which of them took a connection, from 0 */
	int64_t found_ms;
	int64_t until_ms; /* good so long */
	bool asking;
	bool telling; /* those who waited are being told */
	struct transfer_list waiting;
};

static void lookup_free(struct lookup *lookup)
{
	mem_free(lookup->host);
	mem_free(lookup->addresses);
	mem_free(lookup);
}

/* --- addresses ------------------------------------------------------------- */

static atom_status append_address(struct buffer *out,
				  const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN];
	const void *raw;

	if (address->sa_family == AF_INET)
		raw = &((const struct sockaddr_in *)(const void *)address)
			       ->sin_addr;
	else
		raw = &((const struct sockaddr_in6 *)(const void *)address)
			       ->sin6_addr;
	if (inet_ntop(address->sa_family, raw, text, sizeof(text)) == NULL)
		return ATOM_EINVAL;
	return buffer_printf(out,
			     address->sa_family == AF_INET ? "%s%s" : "%s[%s]",
			     out->length > 0 ? "," : "", text);
}

static const struct addrinfo *first_of(const struct addrinfo *found, int family)
{
	while (found != NULL && found->ai_family != family)
		found = found->ai_next;
	return found;
}

/* NULL without memory or addresses. */
static char *addresses_of(const struct addrinfo *found)
{
	const struct addrinfo *next[] = {
		[false] = first_of(found, AF_INET6),
		[true] = first_of(found, AF_INET),
	};
	/* The first of them all begins. */
	bool v4 = next[true] != NULL &&
		  first_of(next[true], AF_INET6) == next[false];
	struct buffer out = BUFFER_INIT(1024);
	char *text = NULL;
	int count = 0;

	for (; count < ADDRESSES_MAX; v4 = !v4) {
		if (next[v4] == NULL)
			v4 = !v4;
		if (next[v4] == NULL)
			break;
		if (append_address(&out, next[v4]->ai_addr) == ATOM_OK)
			count++;
		next[v4] = first_of(next[v4]->ai_next, next[v4]->ai_family);
	}
	if (count > 0 && !out.failed)
		text = buffer_take(&out, NULL);
	buffer_fini(&out);
	return text;
}

/* Nothing to ask: an address, or the name that everybody has. */
static bool is_known(const char *host)
{
	struct in_addr ignored;

	return host[0] == '[' || inet_pton(AF_INET, host, &ignored) == 1 ||
	       strcasecmp(host, "localhost") == 0;
}

/* --- which of them to begin with ---------------------------------------------- */

unsigned int resolve_preferred(const struct http_client *client,
			       const char *host)
{
	const struct lookup *lookup = table_get_text(&client->names, host);

	return lookup != NULL ? lookup->preferred : 0;
}

void resolve_note(struct http_client *client, const char *host,
		  const char *address, bool connected)
{
	struct lookup *lookup = table_get_text(&client->names, host);
	const char *at = lookup != NULL ? lookup->addresses : NULL;
	size_t length = strlen(address);

	for (unsigned int i = 0; at != NULL; i++) {
		size_t n = strcspn(at, ",");

		if (n == length && memcmp(at, address, n) == 0) {
			if (connected)
				lookup->preferred = i;
			else if (lookup->preferred == i)
				lookup->preferred = 0;
			return;
		}
		at = at[n] == ',' ? at + n + 1 : NULL;
	}
}

/* --- asking ------------------------------------------------------------------ */

/* Those who waited for the answer: who begins anew at its end asks anew. */
static void tell_waiting(struct lookup *lookup, int code)
{
	struct transfer_list waited = lookup->waiting;
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_http_transfer *t;
	atom_status status;

	lookup->waiting.first = NULL;
	for (t = waited.first; t != NULL; t = t->next)
		t->list = &waited;
	lookup->telling = true;
	while ((t = waited.first) != NULL) {
		if (lookup->addresses != NULL)
			status = transfer_launch(t, lookup->addresses, &err);
		else
			status = atom_fail(
				&err, ATOM_EIO,
				"the name %.253s (for %.260s) could not be "
				"resolved: %s; check its spelling and the "
				"name servers",
				lookup->host, t->where,
				code != 0 ? uv_strerror(code)
					  : "it has no address");
		if (status != ATOM_OK)
			transfer_end(t, status, &err);
	}
	lookup->telling = false;
}

static void on_answer(uv_getaddrinfo_t *request, int code,
		      struct addrinfo *found)
{
	struct lookup *lookup = request->data;
	struct http_client *client = lookup->client;
	int64_t now = loop_now_ms(client->loop);
	char *addresses = code == 0 ? addresses_of(found) : NULL;

	uv_freeaddrinfo(found);
	lookup->asking = false;
	if (addresses != NULL) {
		mem_free(lookup->addresses);
		lookup->addresses = addresses;
		lookup->preferred = 0;
		lookup->found_ms = now;
		lookup->until_ms = now + KEEP_MS;
	} else if (lookup->addresses != NULL &&
		   now < lookup->found_ms + STALE_MAX_MS) {
		lookup->until_ms = now + KEEP_STALE_MS;
	} else {
		mem_free(TAKE(lookup->addresses));
	}
	tell_waiting(lookup, code);
	client_unref_lookup(client);
}

static atom_status ask(struct lookup *lookup, struct atom_error *err)
{
	struct http_client *client = lookup->client;
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG,
	};
	int code;

	if (lookup->asking)
		return ATOM_OK;
	lookup->request.data = lookup;
	code = uv_getaddrinfo(loop_uv(client->loop), &lookup->request,
			      on_answer, lookup->host, NULL, &hints);
	if (code != 0)
		return atom_fail(err,
				 code == UV_ENOMEM ? ATOM_ENOMEM : ATOM_EIO,
				 "the name %.253s could not be resolved: %s",
				 lookup->host, uv_strerror(code));
	lookup->asking = true;
	client->lookups++;
	return ATOM_OK;
}

/* --- the names of a loop -------------------------------------------------------- */

static bool is_idle(const struct lookup *lookup)
{
	return !lookup->asking && !lookup->telling &&
	       lookup->waiting.first == NULL;
}

/* Makes room for one more: the one that was found longest ago goes. */
static bool make_room(struct http_client *client)
{
	struct lookup *oldest = NULL, *l;
	size_t at = 0;

	if (client->names.count < HTTP_NAMES_MAX)
		return true;
	while ((l = table_next(&client->names, &at)) != NULL)
		if (is_idle(l) &&
		    (oldest == NULL || l->found_ms < oldest->found_ms))
			oldest = l;
	if (oldest == NULL)
		return false;
	(void)table_remove(&client->names, oldest->host, strlen(oldest->host));
	lookup_free(oldest);
	return true;
}

static struct lookup *lookup_of(struct http_client *client, const char *host,
				struct atom_error *err)
{
	struct lookup *lookup = table_get_text(&client->names, host);

	if (lookup != NULL)
		return lookup;
	if (!make_room(client)) {
		atom_fail(err, ATOM_EBUSY,
			  "%d names are being resolved at once; try later",
			  HTTP_NAMES_MAX);
		return NULL;
	}
	lookup = mem_zalloc(sizeof(*lookup));
	if (lookup == NULL)
		goto fail;
	lookup->client = client;
	lookup->host = mem_strdup(host);
	if (lookup->host != NULL &&
	    table_set(&client->names, lookup->host, strlen(lookup->host),
		      lookup, NULL) == ATOM_OK)
		return lookup;
	lookup_free(lookup);
fail:
	atom_fail(err, ATOM_ENOMEM, "no memory to resolve a name");
	return NULL;
}

atom_status resolve_and_launch(struct atom_http_transfer *t,
			       struct atom_error *err)
{
	struct http_client *client = t->client;
	struct lookup *lookup;
	atom_status status;

	if (is_known(t->peer_host))
		return transfer_launch(t, NULL, err);
	lookup = lookup_of(client, t->peer_host, err);
	if (lookup == NULL)
		return err != NULL ? err->status : ATOM_EBUSY;
	if (lookup->addresses != NULL &&
	    loop_now_ms(client->loop) < lookup->until_ms)
		return transfer_launch(t, lookup->addresses, err);
	status = ask(lookup, err);
	if (status == ATOM_OK)
		transfer_list_add(&lookup->waiting, t);
	return status;
}

void resolve_end(struct http_client *client, atom_status status,
		 const struct atom_error *error)
{
	struct lookup *lookup;
	size_t at = 0;

	while ((lookup = table_next(&client->names, &at)) != NULL) {
		while (lookup->waiting.first != NULL)
			transfer_end(lookup->waiting.first, status, error);
		if (lookup->asking)
			(void)uv_cancel((uv_req_t *)&lookup->request);
	}
}

void resolve_fini(struct http_client *client)
{
	struct lookup *lookup;
	size_t at = 0;

	while ((lookup = table_next(&client->names, &at)) != NULL)
		lookup_free(lookup);
	table_fini(&client->names);
}
