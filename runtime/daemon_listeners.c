/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "daemon_priv.h"

/*
 * The listeners of a configuration: at start, where sockets may be handed
 * over by a service manager, and at a reload.
 */

static struct http_listener_spec spec_of(const struct config_listener *from,
					 int inherited)
{
	return (struct http_listener_spec){
		.address = from->address,
		.certificate = from->certificate,
		.key = from->key,
		.client_ca = from->client_ca,
		.client_crl = from->client_crl,
		.client_optional =
			from->client_certificate == CONFIG_CERTIFICATE_OPTIONAL,
		.trusted_proxies = from->trusted_proxies,
		.proxy_protocol = from->proxy_protocol,
		.admin = from->admin,
		.admin_group = from->admin_group,
		.inherited_fd = inherited,
	};
}

/* The sockets that the service manager has opened. */
struct handed {
	int first;
	unsigned int count;
	bool *taken;
};

static int take_handed(struct handed *handed, unsigned int i)
{
	handed->taken[i] = true;
	return handed->first + (int)i;
}

static int handed_at(struct handed *handed, const char *address)
{
	for (unsigned int i = 0; i < handed->count; i++)
		if (!handed->taken[i] &&
		    http_inherited_is_at(handed->first + (int)i, address))
			return take_handed(handed, i);
	return -1;
}

/* A name such as localhost:8080, or a port that the manager chose: the first
 * socket of its kind that no listener has by its address. */
static int handed_of_kind(struct handed *handed, const char *address)
{
	bool is_unix = strncmp(address, "unix:", 5) == 0;

	for (unsigned int i = 0; i < handed->count; i++)
		if (!handed->taken[i] &&
		    http_inherited_is_unix(handed->first + (int)i) == is_unix)
			return take_handed(handed, i);
	return -1;
}

static atom_status listen_all(const struct config *config,
			      struct handed *handed, int *inherited,
			      struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < config->listener_count; i++)
		inherited[i] = handed_at(handed, config->listeners[i].address);
	for (size_t i = 0; i < config->listener_count; i++)
		if (inherited[i] < 0)
			inherited[i] = handed_of_kind(
				handed, config->listeners[i].address);
	for (size_t i = 0; i < config->listener_count && status == ATOM_OK;
	     i++) {
		struct http_listener_spec spec =
			spec_of(&config->listeners[i], inherited[i]);

		status = http_server_listen(daemon_state.server, &spec, err);
	}
	for (unsigned int i = 0; i < handed->count && status == ATOM_OK; i++)
		if (!handed->taken[i])
			log_line(ATOM_LOG_WARN, "socket_unused",
				 "no listener stands for a socket that was "
				 "handed over (LISTEN_FDS)",
				 LOG_NUMBER("fd", handed->first + (int)i));
	return status;
}

atom_status daemon_listen(const struct config *config, struct atom_error *err)
{
	struct handed handed = { .first = -1 };
	int *inherited = mem_array(config->listener_count + 1, sizeof(int));
	atom_status status;

	handed.count = notify_listen_fds(&handed.first);
	handed.taken = mem_array(handed.count + 1, sizeof(*handed.taken));
	if (inherited != NULL && handed.taken != NULL)
		status = listen_all(config, &handed, inherited, err);
	else
		status = atom_fail(err, ATOM_ENOMEM, "no memory");
	mem_free(inherited);
	mem_free(handed.taken);
	return status;
}

static const struct config_listener *listener_of(const struct config *config,
						 const char *address)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (strcmp(config->listeners[i].address, address) == 0)
			return &config->listeners[i];
	return NULL;
}

/* Certificates are read anew at every reload; what else a listener says is
 * part of its sockets. */
static bool is_same_listener(const struct config_listener *a,
			     const struct config_listener *b)
{
	struct buffer one = BUFFER_INIT(65536), other = BUFFER_INIT(65536);
	bool same = false;

	if (setting_canonical(a->setting, &one) == ATOM_OK &&
	    setting_canonical(b->setting, &other) == ATOM_OK)
		same = one.length == other.length &&
		       memcmp(one.bytes, other.bytes, one.length) == 0;
	buffer_fini(&one);
	buffer_fini(&other);
	return same;
}

/* Two listeners on any free port have one name, and cannot be told apart. */
static bool is_only_one(const struct config *config, const char *address)
{
	size_t count = 0;

	for (size_t i = 0; i < config->listener_count; i++)
		count += strcmp(config->listeners[i].address, address) == 0;
	return count == 1;
}

atom_status daemon_check_listeners(const struct config *now,
				   const struct config *next,
				   struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < next->listener_count && status == ATOM_OK; i++) {
		const struct config_listener *one = &next->listeners[i];
		const struct config_listener *before =
			now != NULL ? listener_of(now, one->address) : NULL;
		struct http_listener_spec spec = spec_of(one, -1);

		if (before == NULL || !is_same_listener(before, one))
			status = http_listener_check(&spec, err);
	}
	return status;
}

atom_status daemon_add_listeners(const struct config *next,
				 struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	atom_status status = ATOM_OK;
	size_t count = next->listener_count, i;

	for (i = 0; i < count && status == ATOM_OK; i++) {
		struct http_listener_spec spec =
			spec_of(&next->listeners[i], -1);

		if (listener_of(d->config, spec.address) == NULL)
			status = http_server_listen(d->server, &spec, err);
	}
	if (status != ATOM_OK)
		daemon_drop_listeners(next, i - 1);
	return status;
}

void daemon_drop_listeners(const struct config *next, size_t count)
{
	struct daemon *d = &daemon_state;

	for (size_t i = 0; i < count; i++)
		if (listener_of(d->config, next->listeners[i].address) == NULL)
			http_server_unlisten(d->server,
					     next->listeners[i].address);
}

/* A TCP address keeps its sockets, and what waits in them; a unix socket's
 * file would be gone for a moment. */
static void change_listener(const struct config_listener *before,
			    const struct http_listener_spec *after)
{
	struct daemon *d = &daemon_state;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (strncmp(after->address, "unix:", 5) == 0 ||
	    !is_only_one(d->config, after->address)) {
		log_line(ATOM_LOG_WARN, "restart_needed",
			 "a changed listener on a unix socket or port 0 takes "
			 "effect at the next start only",
			 LOG_TEXT("address", after->address));
		return;
	}
	http_server_unlisten(d->server, before->address);
	status = http_server_listen(d->server, after, &err);
	if (status != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "listen_failed", err.message,
			 LOG_TEXT("address", after->address));
}

void daemon_update_listeners(const struct config *next)
{
	struct daemon *d = &daemon_state;
	const struct config *now = d->config;

	for (size_t i = 0; i < now->listener_count; i++)
		if (listener_of(next, now->listeners[i].address) == NULL)
			http_server_unlisten(d->server,
					     now->listeners[i].address);
	for (size_t i = 0; i < next->listener_count; i++) {
		const struct config_listener *after = &next->listeners[i];
		const struct config_listener *before =
			listener_of(now, after->address);

		if (before != NULL && !is_same_listener(before, after)) {
			struct http_listener_spec spec = spec_of(after, -1);

			change_listener(before, &spec);
		}
	}
	http_server_accept(d->server);
}
