/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address as configured to sockets that listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "http/server_priv.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

/* --- addresses in words ------------------------------------------------------- */

static bool parse_port(const char *text, in_port_t *port_r)
{
	int64_t port;

	if (!text_to_int(text, &port) || port < 0 || port > 65535)
		return false;
	*port_r = htons((uint16_t)port);
	return true;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "*:8080". */
static bool parse_address(const char *text, union address *address_r,
			  socklen_t *length_r)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t length = colon ? (size_t)(colon - text) : 0;
	union address a = { 0 };

	if (length == 0 || length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		a.v6.sin6_family = AF_INET6;
		*length_r = sizeof(a.v6);
		*address_r = a;
		return inet_pton(AF_INET6, host + 1,
				 &address_r->v6.sin6_addr) == 1 &&
		       parse_port(colon + 1, &address_r->v6.sin6_port);
	}
	if (strcmp(host, "*") == 0)
		memcpy(host, "0.0.0.0", 8);
	else if (strcmp(host, "localhost") == 0)
		memcpy(host, "127.0.0.1", 10);
	a.v4.sin_family = AF_INET;
	*length_r = sizeof(a.v4);
	*address_r = a;
	return inet_pton(AF_INET, host, &address_r->v4.sin_addr) == 1 &&
	       parse_port(colon + 1, &address_r->v4.sin_port);
}

void http_address_text(const struct sockaddr *address, socklen_t length,
		       char out[HTTP_ADDRESS_MAX])
{
	const union address *a = (const void *)address;
	char host[INET6_ADDRSTRLEN] = "?";

	switch (address->sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
		snprintf(out, HTTP_ADDRESS_MAX, "%s:%u", host,
			 (unsigned int)ntohs(a->v4.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
		snprintf(out, HTTP_ADDRESS_MAX, "[%s]:%u", host,
			 (unsigned int)ntohs(a->v6.sin6_port));
		break;
	default:
		snprintf(out, HTTP_ADDRESS_MAX, "unix:%.*s",
			 (int)(length - offsetof(struct sockaddr_un, sun_path)),
			 a->un.sun_path);
		break;
	}
}

/* --- TCP ------------------------------------------------------------------------- */

static bool option_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

/* A socket that listens, or -1 with errno. */
static int tcp_listen(const union address *a, socklen_t length, bool shared)
{
	int fd = os.socket(a->any.sa_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	/* Accepted sockets inherit TCP_NODELAY: one call less for each. */
	if (!option_on(fd, SOL_SOCKET, SO_REUSEADDR) ||
	    !option_on(fd, IPPROTO_TCP, TCP_NODELAY) ||
	    (a->any.sa_family == AF_INET6 &&
	     !option_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
	    (shared && !option_on(fd, SOL_SOCKET, SO_REUSEPORT)) ||
	    os.bind(fd, &a->any, length) != 0 || os.listen(fd, BACKLOG) != 0) {
		saved = errno;
		os.close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static atom_status bind_failed(const struct http_listener *listener,
			       struct atom_error *err)
{
	int reason = errno;

	if (reason == EADDRINUSE)
		return atom_fail(err, ATOM_EEXIST,
				 "listener %s: the address is in use: another "
				 "process listens there",
				 listener->name);
	if (reason == EACCES)
		return atom_fail(err, ATOM_EPERM,
				 "listener %s: no permission to bind; ports "
				 "below 1024 need CAP_NET_BIND_SERVICE",
				 listener->name);
	return atom_fail(err, ATOM_EIO, "listener %s: %s", listener->name,
			 strerror(reason));
}

/*
 * The first socket listens alone, so that a second daemon gets EADDRINUSE and
 * not half of the calls.  Only then is the address opened to the other loops'
 * sockets; the kernel makes a group of them when the second one listens.
 */
static atom_status tcp_bind(struct http_listener *listener,
			    struct atom_error *err)
{
	union address a;
	socklen_t length;

	if (!parse_address(listener->name, &a, &length))
		return atom_fail(err, ATOM_EINVAL,
				 "listener \"%s\": expected ADDRESS:PORT such "
				 "as 127.0.0.1:8080 or [::1]:8080, or "
				 "unix:PATH",
				 listener->name);
	for (unsigned int i = 0; i < listener->server->loop_count; i++) {
		int fd = tcp_listen(&a, length, i > 0);

		if (fd < 0)
			return bind_failed(listener, err);
		http_socket_own(&listener->sockets[i], fd);
		if (i > 0)
			continue;
		if (getsockname(fd, &a.any, &length) != 0 ||
		    !option_on(fd, SOL_SOCKET, SO_REUSEPORT))
			return bind_failed(listener, err);
	}
	http_address_text(&a.any, length, listener->bound);
	return ATOM_OK;
}

/* --- unix --------------------------------------------------------------------------- */

/* The file of a socket that nobody listens on any more may be replaced. */
static atom_status unix_clear(const struct http_listener *listener,
			      const union address *a, socklen_t length,
			      struct atom_error *err)
{
	const char *path = a->un.sun_path;
	struct stat file;
	int fd, result, reason;

	if (lstat(path, &file) != 0)
		return ATOM_OK;
	if (!S_ISSOCK(file.st_mode))
		return atom_fail(err, ATOM_EEXIST,
				 "listener %s: the file exists and is no "
				 "socket",
				 listener->name);
	fd = os.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_failed(listener, err);
	result = connect(fd, &a->any, length);
	reason = errno;
	os.close(fd);
	if (result == 0 || reason == EAGAIN)
		return atom_fail(err, ATOM_EEXIST,
				 "listener %s: another process listens there",
				 listener->name);
	if (reason != ECONNREFUSED)
		return atom_fail(err, ATOM_EPERM,
				 "listener %s: a socket is there and cannot be "
				 "tried: %s",
				 listener->name, strerror(reason));
	if (os.unlink(path) != 0)
		return atom_fail(err, ATOM_EIO,
				 "listener %s: remove the stale socket: %s",
				 listener->name, strerror(errno));
	return ATOM_OK;
}

static atom_status group_find(const struct http_listener *listener,
			      const char *name, gid_t *gid_r,
			      struct atom_error *err)
{
	struct group entry, *found = NULL;
	char bytes[4096];

	if (getgrnam_r(name, &entry, bytes, sizeof(bytes), &found) != 0 ||
	    !found)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: admin_group: no group \"%s\"",
				 listener->name, name);
	*gid_r = found->gr_gid;
	return ATOM_OK;
}

/*
 * An admin socket is for its owner and the group; any other is for every local
 * user, as a TCP port on loopback is.  On Linux the file gets the socket's own
 * mode when it is bound, so that there is no moment with a wider one.
 */
static atom_status unix_open(struct http_listener *listener,
			     const union address *a, socklen_t length,
			     const char *group, int fd, struct atom_error *err)
{
	bool grouped = group && *group;
	mode_t mode = !listener->admin ? 0666 : grouped ? 0660 : 0600;
	const char *path = a->un.sun_path;
	struct stat file;
	gid_t gid = 0;

	if (grouped) {
		atom_status status = group_find(listener, group, &gid, err);

		if (status != ATOM_OK)
			return status;
	}
	if (fchmod(fd, grouped ? 0600 : mode) != 0 ||
	    os.bind(fd, &a->any, length) != 0)
		return bind_failed(listener, err);
	if ((grouped && chown(path, (uid_t)-1, gid) != 0) ||
	    chmod(path, mode) != 0 || lstat(path, &file) != 0)
		return atom_fail(err, ATOM_EPERM,
				 "listener %s: set mode and group: %s",
				 listener->name, strerror(errno));
	listener->device = file.st_dev;
	listener->inode = file.st_ino;
	if (os.listen(fd, BACKLOG) != 0)
		return bind_failed(listener, err);
	return ATOM_OK;
}

/* The folder a socket is put into, if only its last part is missing. */
static atom_status make_folder(const struct http_listener *listener,
			       const char *path, struct atom_error *err)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat there;
	int why;
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length == 0)
		return ATOM_OK;
	memcpy(folder, path, length);
	folder[length] = '\0';
	if (os.mkdir(folder, 0755) == 0 || errno == EEXIST)
		return ATOM_OK;
	why = errno;
	/* What is wrong with one that is there, bind tells. */
	if (lstat(folder, &there) == 0)
		return ATOM_OK;
	return atom_fail(err, ATOM_EIO,
			 "listener %s: its folder %s cannot be made: %s; make "
			 "it for the daemon's user, or name another address",
			 listener->name, folder, strerror(why));
}

static atom_status unix_bind(struct http_listener *listener, const char *group,
			     struct atom_error *err)
{
	union address a = { .un = { .sun_family = AF_UNIX } };
	const char *path = listener->name + strlen("unix:");
	size_t path_length = strlen(path);
	socklen_t length;
	atom_status status;
	int fd;

	if (path_length == 0 || path_length >= sizeof(a.un.sun_path))
		return atom_fail(err, ATOM_EINVAL,
				 "listener \"%s\": a socket's path has 1 to "
				 "%zu bytes",
				 listener->name, sizeof(a.un.sun_path) - 1);
	memcpy(a.un.sun_path, path, path_length + 1);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			     path_length + 1);
	status = make_folder(listener, path, err);
	if (status != ATOM_OK)
		return status;
	status = unix_clear(listener, &a, length, err);
	if (status != ATOM_OK)
		return status;
	fd = os.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_failed(listener, err);
	http_socket_own(&listener->sockets[0], fd);
	listener->handed_round = true;
	memcpy(listener->bound, listener->name, sizeof(listener->bound));
	return unix_open(listener, &a, length, group, fd, err);
}

void http_listener_unlink(struct http_listener *listener)
{
	const char *path = listener->name + strlen("unix:");
	struct stat file;

	if (!listener->is_unix || listener->inherited || !listener->inode)
		return;
	/* Another daemon may have put its own there since. */
	if (lstat(path, &file) == 0 && file.st_dev == listener->device &&
	    file.st_ino == listener->inode)
		(void)os.unlink(path);
	listener->inode = 0;
}

atom_status http_listener_bind(struct http_listener *listener,
			       const char *group, struct atom_error *err)
{
	return listener->is_unix ? unix_bind(listener, group, err)
				 : tcp_bind(listener, err);
}

/* --- handed to us -------------------------------------------------------------------- */

bool http_inherited_is_at(int fd, const char *address)
{
	union address a = { 0 };
	socklen_t length = sizeof(a);
	char text[HTTP_ADDRESS_MAX];

	if (getsockname(fd, &a.any, &length) != 0)
		return false;
	http_address_text(&a.any, length, text);
	return strcmp(text, address) == 0;
}

bool http_inherited_is_unix(int fd)
{
	union address a = { 0 };
	socklen_t length = sizeof(a);

	return getsockname(fd, &a.any, &length) == 0 &&
	       a.any.sa_family == AF_UNIX;
}

atom_status http_listener_inherit(struct http_listener *listener, int fd,
				  struct atom_error *err)
{
	union address a = { 0 };
	socklen_t length = sizeof(a);
	int listening = 0;
	socklen_t option_length = sizeof(listening);
	int flags = fcntl(fd, F_GETFL);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening,
		       &option_length) != 0 ||
	    !listening || getsockname(fd, &a.any, &length) != 0 || flags < 0)
		return atom_fail(err, ATOM_EINVAL,
				 "inherited descriptor %d is no listening "
				 "stream socket",
				 fd);
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return bind_failed(listener, err);
	if (a.any.sa_family != AF_UNIX)
		(void)option_on(fd, IPPROTO_TCP, TCP_NODELAY);
	listener->is_unix = a.any.sa_family == AF_UNIX;
	listener->inherited = true;
	listener->handed_round = true;
	http_socket_own(&listener->sockets[0], fd);
	http_address_text(&a.any, length, listener->bound);
	return ATOM_OK;
}
