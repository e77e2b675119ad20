/* SPDX-License-Identifier: Apache-2.0 */
#include "security/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/os.h"
#include "http/server.h"
#include "plugin/host_process.h"

#define NO_GROUP UINT32_MAX
#define RETRY_MS 1000

/* Written by control when a configuration is applied, read by loops; an
 * entry is one group of some admin listener. */
static _Atomic uint32_t admin_groups[PEER_GROUPS_MAX];

atom_status peer_groups_read(const struct config *config,
			     struct peer_groups *groups_r,
			     struct atom_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		const char *name = config->listeners[i].admin_group;
		struct group *group;

		if (!config->listeners[i].admin || name[0] == '\0')
			continue;
		group = getgrnam(name);
		if (group == NULL)
			return atom_fail(err, ATOM_EINVAL,
					 "listeners: admin_group: there is no "
					 "group '%s' on this machine",
					 name);
		if (n == PEER_GROUPS_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "listeners: more than %d admin "
					 "groups",
					 PEER_GROUPS_MAX);
		groups_r->gids[n++] = group->gr_gid;
	}
	groups_r->count = n;
	return ATOM_OK;
}

void peer_groups_apply(const struct peer_groups *groups)
{
	for (size_t i = 0; i < PEER_GROUPS_MAX; i++)
		atomic_store(&admin_groups[i],
			     i < groups->count ? groups->gids[i] : NO_GROUP);
}

static bool is_admin_group(unsigned long gid)
{
	for (size_t i = 0; i < PEER_GROUPS_MAX; i++)
		if (atomic_load(&admin_groups[i]) == gid && gid != NO_GROUP)
			return true;
	return false;
}

/* Does it say nothing of the process, but that the daemon is short of what it
 * takes to look? */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static atom_status cannot_look(int error, struct atom_error *err)
{
	atom_status status = atom_fail(
		err, ATOM_EUNAVAILABLE,
		"the process that connected cannot be looked at: %s; connect "
		"again later, or use an API key",
		strerror(error));

	err->retry_after_ms = RETRY_MS;
	return status;
}

/* Supplementary groups of a process, from /proc; errno says why none could be
 * read. */
static bool in_admin_group(const struct http_peer *peer)
{
	char path[64], text[8192];
	const char *line;
	ssize_t n;
	int fd;

	errno = 0;
	if (is_admin_group(peer->gid))
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)peer->pid);
	fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = os.read(fd, text, sizeof(text) - 1);
	(void)os.close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nGroups:");
	if (line == NULL)
		return false;
	line += strlen("\nGroups:");
	for (;;) {
		char *end;
		unsigned long gid = strtoul(line, &end, 10);

		/* The kernel ends each with a space: what ends with the text
		 * is the beginning of one. */
		if (end == line || *end == '\0' ||
		    memchr(line, '\n', (size_t)(end - line)))
			return false;
		if (is_admin_group(gid))
			return true;
		line = end;
	}
}

/* By its user or group; errno says why the groups could not be looked at. */
static bool is_admin(const struct http_peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid() || in_admin_group(peer);
}

/* A pid may have been given to another process by now: its pidfd tells. */
static bool is_gone(const struct http_peer *peer)
{
	struct pollfd poll_fd = { .fd = peer->pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) != 0;
}

atom_status peer_is_admin(const struct http_request *request,
			  struct atom_error *err)
{
	const struct http_peer *peer = http_peer(request);

	if (!http_is_admin_listener(request) || !peer->known)
		return ATOM_ENOENT;
	if (peer->pidfd < 0 && is_shortage(peer->pidfd_error))
		return cannot_look(peer->pidfd_error, err);
	if (peer->pidfd < 0 || is_gone(peer))
		return atom_fail(err, ATOM_EINVAL,
				 "the process that connected is gone: nobody "
				 "can vouch for it");
	if (host_process_is_descendant(peer->pid))
		return is_shortage(errno)
			       ? cannot_look(errno, err)
			       : atom_fail(err, ATOM_EINVAL,
					   "a process that the daemon started "
					   "may not administer it; use an API "
					   "key");
	if (!is_admin(peer))
		return is_shortage(errno) ? cannot_look(errno, err)
					  : ATOM_ENOENT;
	/* Groups and ancestors were read under a pid: was it still theirs? */
	if (is_gone(peer))
		return atom_fail(err, ATOM_EINVAL,
				 "the process that connected is gone: nobody "
				 "can vouch for it");
	return ATOM_OK;
}

bool peer_stays_admin(const struct http_request *request)
{
	return is_admin(http_peer(request)) || is_shortage(errno);
}
