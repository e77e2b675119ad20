/* SPDX-License-Identifier: Apache-2.0 */
#include "security/role.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/qsbr.h"
#include "security/principal.h"

#define READ_ONLY (PERMISSION_VIEW_METRICS | PERMISSION_VIEW_PUBLIC_LOGS)
#define OPERATOR                                              \
	(PERMISSION_VIEW_METRICS | PERMISSION_RESTART_AGENT | \
	 PERMISSION_VIEW_LOGS)
#define ADMIN                                                        \
	(PERMISSION_CREATE_AGENT | PERMISSION_DELETE_AGENT |         \
	 PERMISSION_MODIFY_CONFIG | PERMISSION_VIEW_ALL | OPERATOR | \
	 READ_ONLY | PERMISSION_INVOKE_AGENT)

static const struct {
	const char *name;
	uint32_t permissions;
} built_in[] = {
	{ "admin", ADMIN },
	{ "operator", OPERATOR },
	{ "read_only", READ_ONLY },
	{ "caller", PERMISSION_INVOKE_AGENT },
};

static const struct {
	const char *word;
	enum permission permission;
} words[] = {
	{ "create_agent", PERMISSION_CREATE_AGENT },
	{ "delete_agent", PERMISSION_DELETE_AGENT },
	{ "modify_config", PERMISSION_MODIFY_CONFIG },
	{ "view_all", PERMISSION_VIEW_ALL },
	{ "view_metrics", PERMISSION_VIEW_METRICS },
	{ "restart_agent", PERMISSION_RESTART_AGENT },
	{ "view_logs", PERMISSION_VIEW_LOGS },
	{ "view_public_logs", PERMISSION_VIEW_PUBLIC_LOGS },
	{ "invoke_agent", PERMISSION_INVOKE_AGENT },
};

struct own_role {
	char name[64];
	uint32_t permissions;
};

struct roles {
	size_t count;
	struct own_role own[];
};

static struct roles *_Atomic current;

const char *permission_name(enum permission permission)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].permission == permission)
			return words[i].word;
	return "none";
}

enum permission permission_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].permission;
	return PERMISSION_NONE;
}

static bool find(const char *name, uint32_t *permissions_r)
{
	const struct roles *roles =
		atomic_load_explicit(&current, memory_order_acquire);

	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (strcmp(built_in[i].name, name) == 0) {
			*permissions_r = built_in[i].permissions;
			return true;
		}
	for (size_t i = 0; roles != NULL && i < roles->count; i++)
		if (strcmp(roles->own[i].name, name) == 0) {
			*permissions_r = roles->own[i].permissions;
			return true;
		}
	return false;
}

uint32_t role_permissions(const char *name)
{
	uint32_t permissions = 0;

	(void)find(name, &permissions);
	return permissions;
}

bool role_exists(const char *name)
{
	uint32_t permissions;

	return find(name, &permissions);
}

atom_status roles_apply(const struct config *config, struct atom_error *err)
{
	struct roles *next = mem_zalloc(
		sizeof(*next) + config->role_count * sizeof(next->own[0]));
	struct roles *old;

	if (next == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for the roles");
	next->count = config->role_count;
	for (size_t i = 0; i < config->role_count; i++) {
		const struct config_role *from = &config->roles[i];

		(void)snprintf(next->own[i].name, sizeof(next->own[i].name),
			       "%s", from->name);
		for (size_t p = 0; from->permissions[p] != NULL; p++)
			next->own[i].permissions |=
				permission_of(from->permissions[p]);
	}
	old = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
	if (old != NULL)
		qsbr_retire(mem_free, old);
	return ATOM_OK;
}

void roles_fini(void)
{
	mem_free(atomic_exchange(&current, NULL));
}
