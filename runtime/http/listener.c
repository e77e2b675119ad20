/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners, as control sees them.  A TCP listener has a socket on every loop
 * and the kernel spreads the connections (SO_REUSEPORT).  A unix or inherited
 * socket is one: the first loop accepts and hands the connections round.
 *
 * Descriptors belong to control, which lends them to the loops: an address
 * that is given up and named again in one reload keeps its sockets, and no
 * connection that waits in them is lost.
 */
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "http/server_priv.h"

static bool copy_texts(struct http_listener *listener,
		       const struct http_listener_spec *spec)
{
	const char *const *from = spec->trusted_proxies;
	bool tls = spec->certificate && *spec->certificate;
	size_t n = 0;

	if (tls) {
		/* One file may hold both. */
		const char *key =
			spec->key && *spec->key ? spec->key : spec->certificate;

		listener->certificate = mem_strdup(spec->certificate);
		listener->key = mem_strdup(key);
		listener->client_ca =
			mem_strdup(spec->client_ca ? spec->client_ca : "");
		listener->client_crl =
			mem_strdup(spec->client_crl ? spec->client_crl : "");
		listener->client_required = !spec->client_optional;
		if (!listener->certificate || !listener->key ||
		    !listener->client_ca || !listener->client_crl)
			return false;
	}
	while (from && from[n])
		n++;
	if (n == 0)
		return true;
	listener->trusted = mem_array(n + 1, sizeof(char *));
	if (!listener->trusted)
		return false;
	for (size_t i = 0; i < n; i++) {
		listener->trusted[i] = mem_strdup(from[i]);
		if (!listener->trusted[i])
			return false;
	}
	return true;
}

static void texts_free(struct http_listener *listener)
{
	for (size_t i = 0; listener->trusted && listener->trusted[i]; i++)
		mem_free(listener->trusted[i]);
	mem_free(listener->trusted);
	mem_free(listener->certificate);
	mem_free(listener->key);
	mem_free(listener->client_ca);
	mem_free(listener->client_crl);
}

static atom_status set_name(struct http_listener *listener,
			    const struct http_listener_spec *spec,
			    struct atom_error *err)
{
	if (strlen(spec->address) >= sizeof(listener->name))
		return atom_fail(err, ATOM_EINVAL,
				 "listener address is longer than %zu bytes",
				 sizeof(listener->name) - 1);
	memcpy(listener->name, spec->address, strlen(spec->address) + 1);
	return ATOM_OK;
}

static atom_status listener_new(struct http_server *server,
				const struct http_listener_spec *spec,
				struct http_listener **listener_r,
				struct atom_error *err)
{
	struct http_listener *listener = mem_zalloc(sizeof(*listener));
	atom_status status = ATOM_OK;

	if (!listener)
		return atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				 spec->address);
	listener->server = server;
	listener->admin = spec->admin;
	listener->proxy_protocol = spec->proxy_protocol;
	listener->is_unix = strncmp(spec->address, "unix:", 5) == 0;
	listener->sockets =
		mem_array(server->loop_count, sizeof(*listener->sockets));
	if (!listener->sockets) {
		status = atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				   spec->address);
		goto out;
	}
	for (unsigned int i = 0; i < server->loop_count; i++)
		http_socket_init(&listener->sockets[i], listener,
				 &server->loops[i]);
	status = set_name(listener, spec, err);
	if (status == ATOM_OK && !copy_texts(listener, spec))
		status = atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				   spec->address);
out:
	if (status != ATOM_OK)
		http_listener_free(listener);
	else
		*listener_r = listener;
	return status;
}

void http_listener_free(struct http_listener *listener)
{
	if (!listener)
		return;
	for (unsigned int i = 0;
	     listener->sockets && i < listener->server->loop_count; i++) {
		struct http_socket *s = &listener->sockets[i];

		http_socket_release(s);
		SSL_CTX_free(s->tls);
		SSL_CTX_free(atomic_load(&s->tls_next));
	}
	SSL_CTX_free(listener->tls);
	texts_free(listener);
	mem_free(listener->sockets);
	mem_free(listener);
}

/* The sockets of a listener that was given up a moment ago. */
static bool take_over(struct http_listener *listener)
{
	for (struct http_listener *old = listener->server->listeners; old;
	     old = old->next) {
		if (!old->retired || old->is_unix ||
		    strcmp(old->name, listener->name) != 0 ||
		    !old->sockets[0].ours)
			continue;
		for (unsigned int i = 0; i < listener->server->loop_count;
		     i++) {
			/* Its loop may still be accepting from the old one. */
			listener->sockets[i].fd = old->sockets[i].fd;
			listener->sockets[i].ours = old->sockets[i].ours;
			old->sockets[i].ours = false;
		}
		memcpy(listener->bound, old->bound, sizeof(old->bound));
		listener->handed_round = old->handed_round;
		listener->inherited = old->inherited;
		return true;
	}
	return false;
}

static atom_status check_spec(const struct http_listener_spec *spec,
			      struct atom_error *err)
{
	const char *const *cidr = spec->trusted_proxies;

	for (; cidr && *cidr; cidr++)
		if (!http_cidr_sound(*cidr))
			return atom_fail(err, ATOM_EINVAL,
					 "listener %s: trusted_proxies: \"%s\" "
					 "is no address or CIDR such as "
					 "10.0.0.0/8, and not \"unix\"",
					 spec->address, *cidr);
	if (spec->admin && strncmp(spec->address, "unix:", 5) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: admin = true trusts the peer's "
				 "process and needs a unix: address",
				 spec->address);
	return ATOM_OK;
}

static atom_status listener_tls(struct http_listener *listener,
				struct atom_error *err)
{
	SSL_CTX *tls;

	if (!listener->certificate)
		return ATOM_OK;
	tls = http_tls_new(listener, err);
	if (!tls)
		return ATOM_EINVAL;
	for (unsigned int i = 0; i < listener->server->loop_count; i++) {
		SSL_CTX_up_ref(tls);
		listener->sockets[i].tls = tls;
		listener->sockets[i].tls_generation = 1;
	}
	listener->tls = tls;
	return ATOM_OK;
}

atom_status http_listener_check(const struct http_listener_spec *spec,
				struct atom_error *err)
{
	struct http_listener listener = { .server = NULL };
	atom_status status = check_spec(spec, err);
	SSL_CTX *tls;

	if (status == ATOM_OK)
		status = set_name(&listener, spec, err);
	if (status == ATOM_OK && !copy_texts(&listener, spec))
		status = atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				   spec->address);
	if (status == ATOM_OK && listener.certificate) {
		tls = http_tls_new(&listener, err);
		status = tls ? ATOM_OK : ATOM_EINVAL;
		SSL_CTX_free(tls);
	}
	texts_free(&listener);
	return status;
}

atom_status http_server_listen(struct http_server *server,
			       const struct http_listener_spec *spec,
			       struct atom_error *err)
{
	struct http_listener *listener = NULL, **last;
	atom_status status = check_spec(spec, err);

	if (status == ATOM_OK)
		status = listener_new(server, spec, &listener, err);
	if (status != ATOM_OK)
		return status;
	status = listener_tls(listener, err);
	if (status != ATOM_OK)
		goto out;
	if (spec->inherited_fd >= 0)
		status = http_listener_inherit(listener, spec->inherited_fd,
					       err);
	else if (!take_over(listener))
		status = http_listener_bind(listener, spec->admin_group, err);
	if (status != ATOM_OK)
		goto out;
	if (listener->tls)
		http_expiry_renewed(listener);
	for (last = &server->listeners; *last; last = &(*last)->next)
		;
	*last = TAKE(listener);
out:
	http_listener_free(listener);
	return status;
}

void http_server_accept(struct http_server *server)
{
	server->accepting = true;
	http_expiry_check(server);
	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (l->accepting || l->retired)
			continue;
		l->accepting = true;
		for (unsigned int i = 0; i < server->loop_count; i++) {
			struct http_socket *s = &l->sockets[i];

			if (!s->ours)
				continue;
			l->open_sockets++;
			loop_post(s->owner->loop, &s->open_message);
		}
		log_line(ATOM_LOG_INFO, "listening", "accepting connections",
			 LOG_TEXT("address", l->bound));
	}
}

void http_listener_retire(struct http_listener *l, bool last)
{
	l->retired = true;
	if (l->tls)
		http_expiry_forget(l);
	http_listener_unlink(l);
	for (unsigned int i = 0; i < l->server->loop_count; i++) {
		struct http_socket *s = &l->sockets[i];

		if (!s->ours)
			continue;
		if (l->accepting) {
			s->last = last;
			loop_post(s->owner->loop, &s->close_message);
		} else {
			http_socket_release(s);
		}
	}
}

void http_server_unlisten(struct http_server *server, const char *address)
{
	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (l->retired || strcmp(l->name, address) != 0)
			continue;
		http_listener_retire(l, false);
		log_line(ATOM_LOG_INFO, "listener_closed",
			 "no longer accepting connections",
			 LOG_TEXT("address", l->bound));
	}
}

/* The loops take it with a message. */
static void hand_tls(struct http_listener *l, SSL_CTX *next)
{
	for (unsigned int i = 0; i < l->server->loop_count; i++) {
		struct http_socket *s = &l->sockets[i];
		SSL_CTX *untaken;

		SSL_CTX_up_ref(next);
		untaken = atomic_exchange(&s->tls_next, next);
		if (untaken)
			SSL_CTX_free(untaken);
		else
			loop_post(s->owner->loop, &s->renew_message);
	}
}

/* Connections of a listener that was changed belong to the one before: the
 * certificates of their clients are held against the files of now. */
static void renew_retired(struct http_server *server)
{
	for (struct http_listener *old = server->listeners; old;
	     old = old->next) {
		struct http_listener *l = server->listeners;

		if (!old->retired || !old->tls)
			continue;
		while (l && (l->retired || strcmp(l->name, old->name) != 0))
			l = l->next;
		if (l && l->tls)
			hand_tls(old, l->tls);
	}
}

atom_status http_server_reload_tls(struct http_server *server,
				   struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (struct http_listener *l = server->listeners; l; l = l->next) {
		SSL_CTX *next;

		if (l->retired || !l->certificate)
			continue;
		/* The first failure is told, the others are still renewed. */
		next = http_tls_new(l, status == ATOM_OK ? err : NULL);
		if (!next) {
			status = ATOM_EINVAL;
			continue;
		}
		hand_tls(l, next);
		SSL_CTX_free(l->tls);
		l->tls = next;
		http_expiry_renewed(l);
	}
	renew_retired(server);
	server->tls_reload_failed = status != ATOM_OK;
	if (status != ATOM_OK && err)
		server->tls_reload_error = *err;
	http_expiry_check(server);
	return status;
}

const char *http_server_address(const struct http_server *server, size_t i)
{
	for (const struct http_listener *l = server->listeners; l; l = l->next)
		if (!l->retired && i-- == 0)
			return l->bound;
	return NULL;
}

size_t http_server_listener_count(const struct http_server *server)
{
	size_t n = 0;

	for (const struct http_listener *l = server->listeners; l; l = l->next)
		n += !l->retired;
	return n;
}
