/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `atomd run -- COMMAND`: the tree that a small file would have given, made
 * here, so that all that follows is the same.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/complain_priv.h"
#include "config/config_priv.h"
#include "config/override_priv.h"
#include "config/reference_priv.h"
#include "config/setting_priv.h"
#include "core/memory.h"

#define COMMAND_WORDS_MAX 1000

static const char *keep_join(struct config_holder *holder, const char *prefix,
			     const char *directory, const char *rest)
{
	size_t size = strlen(prefix) + strlen(directory) + strlen(rest) + 1;
	char *text = config_keep(holder, size, 1);

	if (text)
		(void)snprintf(text, size, "%s%s%s", prefix, directory, rest);
	return text;
}

/* A folder named by a variable, when it is set to an absolute path. */
static const char *folder_of(const char *variable)
{
	const char *folder = getenv(variable);

	return folder && *folder == '/' ? folder : NULL;
}

const char *config_default_socket(struct config_holder *holder)
{
	const char *runtime = folder_of("XDG_RUNTIME_DIR");
	const char *state = holder->config.state_directory;

	if (geteuid() == 0)
		return keep_join(holder, "unix:", "/run/atomd", "/admin.sock");
	if (runtime)
		return keep_join(holder, "unix:", runtime, "/atomd/admin.sock");
	return keep_join(holder, "unix:", state ? state : "/run/atomd",
			 "/admin.sock");
}

const char *config_user_state(struct config_holder *holder)
{
	const char *chosen = folder_of("ATOMD_STATE");
	const char *state = folder_of("XDG_STATE_HOME");
	const char *home = folder_of("HOME");

	if (chosen)
		return chosen;
	if (geteuid() == 0)
		return ATOMD_STATE_DIR;
	if (state)
		return keep_join(holder, "", state, "/atomd");
	if (home)
		return keep_join(holder, "", home, "/.local/state/atomd");
	return NULL;
}

/* A member is made and added, or the failure is remembered: a run of these
 * is checked once. */
struct building {
	bool failed;
};

static struct setting *add(struct building *b, struct setting *parent,
			   struct setting *member)
{
	if (member == NULL || parent == NULL ||
	    setting_add(parent, member) != ATOM_OK) {
		setting_free(&member);
		b->failed = true;
	}
	return member;
}

static struct setting *add_group(struct building *b, struct setting *parent,
				 enum setting_type type, const char *name)
{
	return add(b, parent, setting_new(type, name, NULL, 0));
}

static void add_text(struct building *b, struct setting *parent,
		     const char *name, const char *text)
{
	char *escaped = reference_escape(text);

	(void)add(b, parent,
		  escaped ? setting_new_string(name, escaped, NULL, 0) : NULL);
	mem_free(escaped);
}

static void add_true(struct building *b, struct setting *parent,
		     const char *name)
{
	struct setting *made = add_group(b, parent, SETTING_BOOL, name);

	if (made)
		made->integer = 1;
}

static void build_agent(struct building *b, struct setting *root,
			char *const *command, const char *directory)
{
	struct setting *agents = add_group(b, root, SETTING_LIST, "agents");
	struct setting *agent = add_group(b, agents, SETTING_GROUP, NULL);
	struct setting *backend;
	struct setting *words;

	add_text(b, agent, "name", "agent");
	backend = add_group(b, agent, SETTING_GROUP, "backend");
	add_text(b, backend, "plugin", "process");
	words = add_group(b, backend, SETTING_LIST, "command");
	for (size_t i = 0; command[i]; i++)
		add_text(b, words, NULL, command[i]);
	add_text(b, backend, "directory", directory);
}

static void build(struct building *b, struct config_holder *holder,
		  char *const *command, const char *state)
{
	struct setting *root = holder->root, *list, *group;
	const char *socket;

	holder->config.state_directory = state;
	socket = config_default_socket(holder);
	group = add_group(b, root, SETTING_GROUP, "state");
	add_text(b, group, "directory", state);
	list = add_group(b, root, SETTING_LIST, "listeners");
	group = add_group(b, list, SETTING_GROUP, NULL);
	add_text(b, group, "address", "127.0.0.1:8080");
	group = add_group(b, list, SETTING_GROUP, NULL);
	add_text(b, group, "address", socket ? socket : "");
	add_true(b, group, "admin");
	group = add_group(b, root, SETTING_GROUP, "security");
	add_text(b, group, "anonymous_role", "caller");
	build_agent(b, root, command, holder->config.directory);
	if (socket == NULL)
		b->failed = true;
}

static atom_status of_command(struct config_holder *holder,
			      char *const *command,
			      const struct config_override *overrides,
			      size_t override_count, struct buffer *errors)
{
	const char *state = config_user_state(holder);
	struct building b = { .failed = false };
	char here[PATH_MAX];
	size_t count = 0;

	while (command[count])
		count++;
	if (count == 0 || count > COMMAND_WORDS_MAX) {
		complain_at(errors, "run", 0,
			    "a command of 1 to %d words was expected after --",
			    COMMAND_WORDS_MAX);
		return ATOM_EINVAL;
	}
	if (getcwd(here, sizeof(here)) == NULL) {
		complain_at(errors, "run", 0, "the current folder is gone");
		return ATOM_EINVAL;
	}
	if (state == NULL) {
		complain_at(
			errors, "run", 0,
			"neither XDG_STATE_HOME nor HOME says where to keep state; set one of them");
		return ATOM_EINVAL;
	}
	holder->config.directory = keep_join(holder, "", here, "");
	holder->root = setting_new(SETTING_GROUP, NULL, NULL, 0);
	if (holder->config.directory == NULL || holder->root == NULL)
		return ATOM_ENOMEM;
	build(&b, holder, command, state);
	if (b.failed)
		return ATOM_ENOMEM;
	return config_finish(holder, overrides, override_count, errors);
}

atom_status config_of_command(char *const *command,
			      const struct config_override *overrides,
			      size_t override_count, struct config **config_r,
			      struct buffer *errors)
{
	struct config_holder *holder = config_holder_new();
	size_t before = errors->length;
	atom_status status = ATOM_ENOMEM;

	if (holder)
		status = of_command(holder, command, overrides, override_count,
				    errors);
	if (status == ATOM_ENOMEM)
		complain_at(errors, "run", 0, "no memory");
	else if (errors->length > before || errors->failed)
		status = ATOM_EINVAL;
	if (status == ATOM_OK)
		*config_r = &TAKE(holder)->config;
	config_holder_free(&holder);
	return status;
}
