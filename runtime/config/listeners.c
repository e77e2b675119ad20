/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "config/config_priv.h"
#include "config/value.h"
#include "core/memory.h"
#include "core/table.h"
#include "core/text.h"

#define HOST_MAX 64

/* An IP address and a port, split. */
struct host_port {
	char host[HOST_MAX]; /* without brackets */
	bool v6;
	int port;
};

static bool split(const char *address, struct host_port *out)
{
	const char *colon = strrchr(address, ':');
	const char *start = address;
	size_t length;
	int64_t port;

	if (colon == NULL || !text_to_int(colon + 1, &port) || port < 0 ||
	    port > 65535 || colon[1] == '-' || colon[1] == '+')
		return false;
	length = (size_t)(colon - address);
	out->v6 = *address == '[';
	if (out->v6) {
		if (length < 2 || address[length - 1] != ']')
			return false;
		start++;
		length -= 2;
	}
	if (length == 0 || length >= sizeof(out->host))
		return false;
	memcpy(out->host, start, length);
	out->host[length] = '\0';
	out->port = (int)port;
	return true;
}

static bool is_ip(const char *host, bool v6)
{
	unsigned char binary[sizeof(struct in6_addr)];

	return inet_pton(v6 ? AF_INET6 : AF_INET, host, binary) == 1;
}

/* The socket's address, absolute and without a name to resolve; NULL on a
 * fault. */
static const char *read_address(struct config_holder *holder,
				const struct setting *at, const char *address,
				struct keys_reading *r)
{
	const char *kept = address;
	struct host_port parts;
	char shown[80];
	size_t size;
	char *made;

	value_quote(address, shown, sizeof(shown));
	if (strncmp(address, "unix:", 5) == 0) {
		if (address[5] == '\0')
			goto bad;
		kept = config_keep_path(holder, address + 5);
		if (kept == NULL)
			goto no_memory;
		if (strlen(kept) >=
		    sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
			config_complain(
				r->errors, at,
				"the path of a unix `address` has at most %zu bytes, %s has %zu",
				sizeof(((struct sockaddr_un *)NULL)->sun_path) -
					1,
				shown, strlen(kept));
			return NULL;
		}
		size = strlen(kept) + sizeof("unix:");
		made = config_keep(holder, size, 1);
		if (made == NULL)
			goto no_memory;
		(void)snprintf(made, size, "unix:%s", kept);
		return made;
	}
	if (!split(address, &parts))
		goto bad;
	if (!parts.v6 && strcmp(parts.host, "localhost") == 0) {
		size = sizeof("127.0.0.1:65535");
		made = config_keep(holder, size, 1);
		if (made == NULL)
			goto no_memory;
		(void)snprintf(made, size, "127.0.0.1:%d", parts.port);
		return made;
	}
	if (is_ip(parts.host, parts.v6))
		return address;
bad:
	config_complain(
		r->errors, at,
		"`address` must be \"IP:PORT\", \"[IPv6]:PORT\", \"localhost:PORT\" or \"unix:PATH\", found \"%s\"",
		shown);
	return NULL;

no_memory:
	r->no_memory = true;
	return NULL;
}

static bool is_unix(const struct config_listener *listener)
{
	return strncmp(listener->address, "unix:", 5) == 0;
}

/* A file of the `tls` group, below the main file's folder. */
static void keep_file(struct config_holder *holder, const char **path,
		      struct keys_reading *r)
{
	if (**path == '\0')
		return;
	*path = config_keep_path(holder, *path);
	if (*path == NULL) {
		*path = "";
		r->no_memory = true;
	}
}

static void check_client_files(const struct config_listener *listener,
			       const struct setting *tls,
			       struct keys_reading *r)
{
	bool ca = *listener->client_ca != '\0';

	if (ca && *listener->certificate == '\0')
		config_complain(
			r->errors, setting_member(tls, "client_ca"),
			"`client_ca` needs `certificate` and `key`: without TLS nobody shows a certificate");
	if (!ca && *listener->client_crl != '\0')
		config_complain(r->errors, setting_member(tls, "client_crl"),
				"`client_crl` needs `client_ca`");
	if (!ca && setting_member(tls, "client_certificate") != NULL)
		config_complain(r->errors,
				setting_member(tls, "client_certificate"),
				"`client_certificate` needs `client_ca`");
}

static void read_tls(struct config_holder *holder,
		     struct config_listener *listener, struct keys_reading *r)
{
	const struct setting *tls = setting_member(listener->setting, "tls");
	bool certificate = *listener->certificate != '\0';
	bool key = *listener->key != '\0';

	if (tls == NULL)
		return;
	check_client_files(listener, tls, r);
	if (certificate != key)
		config_complain(r->errors, tls, "`tls` has a `%s` and no `%s`",
				certificate ? "certificate" : "key",
				certificate ? "key" : "certificate");
	else if (certificate && is_unix(listener))
		config_complain(r->errors, tls,
				"`tls` is for TCP addresses, this one is unix");
	keep_file(holder, &listener->certificate, r);
	keep_file(holder, &listener->key, r);
	keep_file(holder, &listener->client_ca, r);
	keep_file(holder, &listener->client_crl, r);
}

static bool is_cidr(const char *text)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char host[HOST_MAX];
	bool v6 = strchr(text, ':') != NULL;
	int64_t bits = 0;

	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (slash && (!text_to_int(slash + 1, &bits) || bits < 0 ||
		      bits > (v6 ? 128 : 32)))
		return false;
	return is_ip(host, v6);
}

static void check_proxies(const struct config_listener *listener,
			  struct keys_reading *r)
{
	const struct setting *list =
		setting_member(listener->setting, "trusted_proxies");

	for (size_t i = 0; listener->trusted_proxies[i]; i++) {
		char shown[64];

		if (is_cidr(listener->trusted_proxies[i]) ||
		    strcmp(listener->trusted_proxies[i], "unix") == 0)
			continue;
		value_quote(listener->trusted_proxies[i], shown, sizeof(shown));
		config_complain(
			r->errors, list,
			"`trusted_proxies` takes addresses such as \"10.0.0.0/8\" or \"::1\", found \"%s\"",
			shown);
	}
}

static void check_proxy_protocol(const struct config_listener *listener,
				 struct keys_reading *r)
{
	const struct setting *at =
		setting_member(listener->setting, "proxy_protocol");

	if (!listener->proxy_protocol)
		return;
	if (is_unix(listener))
		config_complain(
			r->errors, at,
			"`proxy_protocol` is for TCP addresses, this one is unix");
	else if (listener->trusted_proxies[0] == NULL)
		config_complain(
			r->errors, at,
			"`proxy_protocol` needs `trusted_proxies`: who may say for whom it speaks");
}

static void read_listener(struct config_holder *holder,
			  const struct setting *group,
			  struct config_listener *listener,
			  struct keys_reading *r)
{
	const struct setting *at = setting_member(group, "address");
	const struct setting *admin = setting_member(group, "admin");

	keys_read(&listener_keys, group, listener, r);
	listener->setting = group;
	if (at == NULL || at->type != SETTING_STRING || keys_is_unresolved(at))
		return;
	listener->address = read_address(holder, at, listener->address, r);
	if (listener->address == NULL) {
		listener->address = "";
		return;
	}
	if (listener->admin && !is_unix(listener))
		config_complain(
			r->errors, admin,
			"`admin` trusts the peer's credentials: only a unix address has them");
	if (*listener->admin_group && !listener->admin)
		config_complain(r->errors, setting_member(group, "admin_group"),
				"`admin_group` needs `admin = true`");
	read_tls(holder, listener, r);
	check_proxies(listener, r);
	check_proxy_protocol(listener, r);
}

/* Port 0 is another port each time. */
static bool is_any_port(const char *address)
{
	const char *colon = strrchr(address, ':');

	return strncmp(address, "unix:", 5) != 0 && colon &&
	       strcmp(colon, ":0") == 0;
}

static void default_listeners(struct config_holder *holder,
			      struct keys_reading *r)
{
	static const char *const nobody[] = { NULL };
	struct config_listener *listeners =
		config_keep(holder, 2, sizeof(*listeners));
	const char *socket = config_default_socket(holder);

	if (listeners == NULL || socket == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < 2; i++)
		listeners[i] = (struct config_listener){
			.address = i == 0 ? "127.0.0.1:8080" : socket,
			.certificate = "",
			.key = "",
			.client_ca = "",
			.client_crl = "",
			.trusted_proxies = nobody,
			.admin = i == 1,
			.admin_group = "",
		};
	holder->config.listeners = listeners;
	holder->config.listener_count = 2;
}

void config_read_listeners(struct config_holder *holder, struct keys_reading *r)
{
	const struct setting *list = holder->listener_list;
	struct table addresses = TABLE_INIT;
	struct config_listener *listeners;

	if (list == NULL) {
		if (setting_member(holder->root, "listeners") == NULL)
			default_listeners(holder, r);
		return;
	}
	if (list->member_count == 0)
		config_complain(
			r->errors, list,
			"`listeners` is empty: without an address nobody can call");
	listeners = config_keep(holder, list->member_count, sizeof(*listeners));
	if (listeners == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++) {
		struct config_listener *one = &listeners[i], *other;

		read_listener(holder, list->members[i], one, r);
		if (*one->address == '\0' || is_any_port(one->address))
			continue;
		other = table_get_text(&addresses, one->address);
		if (other)
			config_complain(
				r->errors, one->setting,
				"the address %s is listened on at %s:%d already",
				one->address, other->setting->file,
				other->setting->line);
		else if (table_set(&addresses, one->address,
				   strlen(one->address), one, NULL) != ATOM_OK)
			r->no_memory = true;
	}
	table_fini(&addresses);
	holder->config.listeners = listeners;
	holder->config.listener_count = list->member_count;
}

static bool is_loopback(const char *address)
{
	struct host_port parts;
	struct in6_addr v6;

	/* A fault of the address was told: it is not public as well. */
	if (*address == '\0' || strncmp(address, "unix:", 5) == 0 ||
	    !split(address, &parts))
		return true;
	if (!parts.v6)
		return strncmp(parts.host, "127.", 4) == 0;
	return inet_pton(AF_INET6, parts.host, &v6) == 1 &&
	       (IN6_IS_ADDR_LOOPBACK(&v6) ||
		(IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127));
}

const struct config_listener *config_public_listener(
	const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (!is_loopback(config->listeners[i].address))
			return &config->listeners[i];
	return NULL;
}
