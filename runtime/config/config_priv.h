/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_CONFIG_PRIV_H
#define CONFIG_CONFIG_PRIV_H

/*
 * A configuration while it is read, and what it owns.
 */

#include <stdatomic.h>

#include "config/config.h"
#include "config/keys_priv.h"

/* What config.h calls a configuration is the first member of this. */
struct config_holder {
	struct config config;
	atomic_uint references;
	struct setting *root; /* owned; all names and texts live in it */
	void *kept;	      /* chain of allocations, see config_keep() */
	/* Lists and groups whose members are read one by one. */
	const struct setting *listener_list;
	const struct setting *agent_list;
	const struct setting *monitor_list;
	const struct setting *sink_list;
	const struct setting *role_list;
	const struct setting *jwt_list;
	const struct setting *certificate_list;
	const struct setting *state_group;
	const struct setting *window_list;
	int log_word;
};

struct config_holder *config_holder_new(void);
void config_holder_free(struct config_holder **holder);
/* Zeroed memory that lives as long as the configuration, NULL without. */
void *config_keep(struct config_holder *holder, size_t count, size_t size);
/* `path` below config.directory unless absolute; kept. */
const char *config_keep_path(struct config_holder *holder, const char *path);

/* Each reads one part of the tree into holder->config; faults go to
 * r->errors, lack of memory to r->no_memory. */
void config_read_agents(struct config_holder *holder, struct keys_reading *r);
void config_read_agent(struct config_holder *holder,
		       const struct setting *group, struct config_agent *agent,
		       struct keys_reading *r);
void config_read_listeners(struct config_holder *holder,
			   struct keys_reading *r);
void config_read_security(struct config_holder *holder, struct keys_reading *r);
/* security.jwt and security.client_certificates, once roles are known. */
void config_read_credentials(struct config_holder *holder,
			     struct keys_reading *r);
/* Complains when `role`, the value of the member `name` of `group`, is no
 * role. */
void config_check_role(const struct config *config, const char *role,
		       const struct setting *group, const char *name,
		       struct keys_reading *r);
/* Before references are resolved: files of keys are not read as text. */
atom_status config_take_key_files(struct config_holder *holder);
void config_read_components(struct config_holder *holder,
			    struct keys_reading *r);
/* The `plugin` of a group, checked: its name, and that this version runs it:
 * `only` is "" (any), the one name that is, or NULL (none).  "" on a fault. */
const char *config_read_plugin(const struct setting *group, const char *only,
			       struct keys_reading *r);
/* Is every listener on a loopback or unix address?  Else the first that is
 * not. */
const struct config_listener *config_public_listener(
	const struct config *config);

/* Where an admin socket stands by default, and where `atomd run` keeps its
 * state: $ATOMD_STATE, as the quick start does, or else the installed daemon's
 * folder (root) or the user's own.  Kept; NULL without memory or, the latter,
 * without a home. */
const char *config_default_socket(struct config_holder *holder);
const char *config_user_state(struct config_holder *holder);

/* What every reading ends with: overrides, references, all parts, checks
 * across parts.  Consumes nothing. */
atom_status config_finish(struct config_holder *holder,
			  const struct config_override *overrides,
			  size_t override_count, struct buffer *errors);

#endif
