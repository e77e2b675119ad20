/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a configuration that are the machine's: its users and groups.
 * Apart from reading, which asks nothing but files.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "config/config_priv.h"
#include "core/memory.h"

static void check_user(const struct config_holder *holder,
		       struct buffer *errors)
{
	const struct config *config = &holder->config;
	const struct setting *at = setting_member(holder->root, "user");

	if (config->user[0] == '\0')
		return;
	errno = 0;
	if (getpwnam(config->user) != NULL)
		return;
	config_complain(
		errors, at,
		"`user`: there is no user \"%s\" on this machine%s%s; make it (adduser --system %s), name another one, or leave it empty to stay who starts atomd",
		config->user, errno != 0 ? ": " : "",
		errno != 0 ? strerror(errno) : "", config->user);
}

static void check_group(const struct config_listener *listener,
			struct buffer *errors)
{
	if (listener->admin_group[0] == '\0')
		return;
	errno = 0;
	if (getgrnam(listener->admin_group) != NULL)
		return;
	config_complain(
		errors, setting_member(listener->setting, "admin_group"),
		"`admin_group`: there is no group \"%s\" on this machine%s%s; make it (addgroup --system %s), name another one, or leave it empty: root and the daemon's user are admin without it",
		listener->admin_group, errno != 0 ? ": " : "",
		errno != 0 ? strerror(errno) : "", listener->admin_group);
}

atom_status config_check_names(const struct config *config,
			       struct buffer *errors)
{
	const struct config_holder *holder =
		(const struct config_holder *)(const void *)config;
	size_t before = errors->length;

	check_user(holder, errors);
	for (size_t i = 0; i < config->listener_count; i++)
		check_group(&config->listeners[i], errors);
	return errors->length == before && !errors->failed ? ATOM_OK
							   : ATOM_EINVAL;
}
