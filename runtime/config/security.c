/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config/complain_priv.h"
#include "config/config_priv.h"
#include "config/reference_priv.h"
#include "config/setting_priv.h"
#include "config/value.h"
#include "core/log.h"
#include "core/text.h"

static const char *const built_in_roles[] = { "admin", "operator", "read_only",
					      "caller", NULL };

static const char *const permission_words[] = {
	"create_agent",	 "delete_agent",
	"modify_config", "view_all",
	"view_metrics",	 "view_logs",
	"restart_agent", "view_public_logs",
	"invoke_agent",	 NULL
};

static bool is_word(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static void check_permissions(const struct config_role *role,
			      const struct setting *group,
			      struct keys_reading *r)
{
	const struct setting *list = setting_member(group, "permissions");

	for (size_t i = 0; role->permissions[i]; i++) {
		char hint[COMPLAIN_HINT_MAX], shown[64];

		if (is_word(role->permissions[i], permission_words))
			continue;
		value_quote(role->permissions[i], shown, sizeof(shown));
		config_complain(r->errors, list, "unknown permission \"%s\"%s",
				shown,
				complain_hint(role->permissions[i],
					      permission_words, hint));
	}
}

static void check_role_name(const struct config_holder *holder, size_t index,
			    struct keys_reading *r)
{
	const struct config_role *roles = holder->config.roles;
	const struct setting *group = holder->role_list->members[index];
	const struct setting *at = setting_member(group, "name");
	const char *name = roles[index].name;
	char shown[80];

	if (at == NULL || at->type != SETTING_STRING || keys_is_unresolved(at))
		return;
	value_quote(name, shown, sizeof(shown));
	if (!text_is_name(name))
		config_complain(r->errors, at,
				"`name` of a role is not \"%s\": a-z 0-9 _ . -",
				shown);
	else if (is_word(name, built_in_roles))
		config_complain(r->errors, at,
				"the role %s is built in and stays as it is",
				shown);
	for (size_t i = 0; i < index; i++)
		if (strcmp(roles[i].name, name) == 0) {
			const struct setting *other =
				holder->role_list->members[i];

			config_complain(
				r->errors, at,
				"the role %s is declared at %s:%d already",
				shown, other->file, other->line);
			return;
		}
}

#define ROLES_MAX 1000

static void read_roles(struct config_holder *holder, struct keys_reading *r)
{
	const struct setting *list = holder->role_list;
	struct config_role *roles;

	if (list == NULL)
		return;
	if (list->member_count > ROLES_MAX) {
		config_complain(r->errors, list, "more than %d roles",
				ROLES_MAX);
		return;
	}
	roles = config_keep(holder, list->member_count, sizeof(*roles));
	if (roles == NULL) {
		r->no_memory = true;
		return;
	}
	holder->config.roles = roles;
	for (size_t i = 0; i < list->member_count; i++) {
		keys_read(&role_keys, list->members[i], &roles[i], r);
		check_role_name(holder, i, r);
		check_permissions(&roles[i], list->members[i], r);
	}
	holder->config.role_count = list->member_count;
}

static bool is_role(const struct config *config, const char *name)
{
	if (is_word(name, built_in_roles))
		return true;
	for (size_t i = 0; i < config->role_count; i++)
		if (strcmp(config->roles[i].name, name) == 0)
			return true;
	return false;
}

void config_check_role(const struct config *config, const char *role,
		       const struct setting *group, const char *name,
		       struct keys_reading *r)
{
	char hint[COMPLAIN_HINT_MAX], shown[64];

	if (is_role(config, role))
		return;
	value_quote(role, shown, sizeof(shown));
	config_complain(r->errors, setting_member(group, name),
			"`%s`: there is no role \"%s\"%s", name, shown,
			complain_hint(role, built_in_roles, hint));
}

static void check_anonymous(const struct config_holder *holder,
			    struct keys_reading *r)
{
	const struct config *config = &holder->config;
	const struct setting *at = setting_member(
		setting_member(holder->root, "security"), "anonymous_role");
	const struct config_listener *open;

	if (*config->anonymous_role == '\0')
		return;
	config_check_role(config, config->anonymous_role,
			  setting_member(holder->root, "security"),
			  "anonymous_role", r);
	open = config_public_listener(config);
	if (open)
		config_complain(
			r->errors, at,
			"`anonymous_role` would let anyone in at %s (%s:%d): it is taken only where every listener is on a loopback or unix address",
			open->address, open->setting->file,
			open->setting->line);
}

#define BOOTSTRAP_MIN	   24
#define BOOTSTRAP_DISTINCT 6

/* Its holder may do everything: what one could guess is refused. */
static void check_bootstrap(const struct config_holder *holder,
			    struct keys_reading *r)
{
	const struct setting *at =
		setting_member(setting_member(holder->root, "security"),
			       "bootstrap_admin_key");
	const char *key = holder->config.bootstrap_admin_key;
	size_t length = strlen(key), distinct = 0;

	if (length == 0)
		return;
	for (size_t i = 0; i < length; i++)
		distinct += memchr(key, key[i], i) == NULL;
	if (length < BOOTSTRAP_MIN)
		config_complain(
			r->errors, at,
			"`bootstrap_admin_key`: expected at least %d characters, found %zu; `openssl rand -base64 32` makes a good one",
			BOOTSTRAP_MIN, length);
	else if (distinct < BOOTSTRAP_DISTINCT)
		config_complain(
			r->errors, at,
			"`bootstrap_admin_key` is made of %zu different characters: anybody could guess it; `openssl rand -base64 32` makes a good one",
			distinct);
	else if (strpbrk(key, " \t\r\n") != NULL)
		config_complain(
			r->errors, at,
			"`bootstrap_admin_key` has white space in it: no client could send it");
}

/* --- encryption ---------------------------------------------------------- */

static const char *const key_files[] = { "key", "previous_key", NULL };

atom_status config_take_key_files(struct config_holder *holder)
{
	const struct reference_scope scope = {
		.directory = holder->config.directory,
	};
	struct setting *group =
		setting_member_mutable(holder->root, "security");
	atom_status status = ATOM_OK;

	if (group)
		group = setting_member_mutable(group, "encryption");
	for (size_t i = 0; group && key_files[i]; i++) {
		struct setting *at =
			setting_member_mutable(group, key_files[i]);

		if (status == ATOM_OK && at)
			status = reference_take_path(at, &scope);
	}
	return status;
}

/* A key that stands in the configuration, in the environment or in an
 * argument is read by more people than one thinks. */
static void check_encryption(const struct config_holder *holder,
			     struct keys_reading *r)
{
	const struct config_encryption *e = &holder->config.encryption;
	const struct setting *group = setting_member(
		setting_member(holder->root, "security"), "encryption");
	int sources;

	if (group == NULL || group->type != SETTING_GROUP)
		return;
	sources = (*e->key_file != '\0') + (*e->credential != '\0') +
		  (e->command[0] != NULL);
	for (size_t i = 0; key_files[i]; i++) {
		const struct setting *at = setting_member(group, key_files[i]);

		if (at == NULL || at->type != SETTING_STRING ||
		    *at->raw == '\0' || reference_is_file(at->raw))
			continue;
		(void)log_add_secret(at->text);
		config_complain(
			r->errors, at,
			"`%s` must be one reference to a file, \"${file:PATH}\": a key is not written into a configuration, a variable or an argument",
			key_files[i]);
	}
	if (sources > 1)
		config_complain(
			r->errors, group,
			"`encryption` takes its key from one place: `key`, `credential` or `command`");
	if (*e->previous_key_file != '\0' && sources == 0)
		config_complain(
			r->errors, group,
			"`previous_key` without a new key: say where that is (`key`, `credential` or `command`)");
}

void config_read_security(struct config_holder *holder, struct keys_reading *r)
{
	/* Written out in the file it is a secret all the same. */
	if (*holder->config.bootstrap_admin_key)
		(void)log_add_secret(holder->config.bootstrap_admin_key);
	check_bootstrap(holder, r);
	read_roles(holder, r);
	check_anonymous(holder, r);
	config_read_credentials(holder, r);
	check_encryption(holder, r);
}
