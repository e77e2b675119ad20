/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_priv.h"

/*
 * Everything about a worker's start that is the same for all of a component
 * is worked out once, on the control thread: it may block (users come from
 * anywhere), a start must not.
 */

#define DEFAULT_USER "atomd-worker"
#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define USER_BYTES ((size_t)16 * 1024)

static const char *const reserved[] = {
	"ATOM_WORKER_FD",
	"ATOM_WORKER_PROTOCOL",
	"ATOM_INSTANCE",
};

static atom_status no_memory(struct atom_error *err)
{
	return atom_fail(err, ATOM_ENOMEM, "process: no memory");
}

/* Finds `name`; ATOM_ENOENT when there is none.  `text` holds the entry. */
static atom_status look_up_user(const char *name, struct passwd *user_r,
				char *text, struct atom_error *err)
{
	struct passwd *found = NULL;
	int why = getpwnam_r(name, user_r, text, USER_BYTES, &found);

	if (found != NULL)
		return ATOM_OK;
	if (why == 0 || why == ENOENT || why == ESRCH)
		return atom_fail(err, ATOM_ENOENT,
				 "user: there is no user \"%s\" on this "
				 "machine",
				 name);
	return atom_fail(err, ATOM_EIO, "user: looking up \"%s\": %s", name,
			 strerror(why));
}

/* Whom workers run as, and that user's home (NULL = the daemon's). */
static atom_status choose_user(struct backend *b, char **home_r,
			       struct atom_error *err)
{
	const char *asked = b->options->user;
	bool any = asked[0] == '\0';
	struct passwd user;
	char *text = malloc(USER_BYTES);
	atom_status status = ATOM_OK;

	if (text == NULL)
		return no_memory(err);
	if (any && geteuid() != 0)
		goto out;
	status = look_up_user(any ? DEFAULT_USER : asked, &user, text, err);
	if (any && status == ATOM_ENOENT) {
		status = ATOM_OK;
		goto out;
	}
	if (status != ATOM_OK)
		goto out;
	if (geteuid() != 0) {
		if (user.pw_uid != geteuid())
			status = atom_fail(
				err, ATOM_EPERM,
				"user: only a daemon that runs as root can "
				"run its workers as \"%s\"; start it as root, "
				"or leave the option out",
				asked);
		goto out;
	}
	b->user = any ? DEFAULT_USER : asked;
	*home_r = strdup(user.pw_dir);
	if (*home_r == NULL)
		status = no_memory(err);
out:
	free(text);
	return status;
}

/* Puts NAME=value at the end, or in the place of one of that name. */
static atom_status set_variable(struct backend *b, const char *name,
				const char *value, struct atom_error *err)
{
	size_t name_length = strlen(name);
	size_t size = name_length + strlen(value) + 2;
	char *text = malloc(size);
	char **place;

	if (text == NULL)
		return no_memory(err);
	(void)snprintf(text, size, "%s=%s", name, value);
	for (place = b->environment; *place != NULL; place++)
		if (strncmp(*place, text, name_length + 1) == 0)
			break;
	b->environment_count += *place == NULL;
	free(*place);
	*place = text;
	return ATOM_OK;
}

static atom_status check_variable(const char *name, struct atom_error *err)
{
	if (name[0] == '\0' || strchr(name, '=') != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "env: \"%s\" is no name of a variable", name);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(name, reserved[i]) == 0)
			return atom_fail(err, ATOM_EINVAL,
					 "env: %s is set by the daemon", name);
	return ATOM_OK;
}

static atom_status make_environment(struct backend *b, const char *home,
				    struct atom_error *err)
{
	static const char *const kept[] = { "PATH", "HOME", "LANG", "TZ" };
	const struct atom_map *env = &b->options->env;
	atom_status status = ATOM_OK;

	/* Ours, the map's, ATOM_INSTANCE, the end. */
	b->environment = calloc(env->count + 8, sizeof(char *));
	if (b->environment == NULL)
		return no_memory(err);
	for (size_t i = 0; i < 4 && status == ATOM_OK; i++) {
		const char *value = getenv(kept[i]);

		if (strcmp(kept[i], "PATH") == 0 && value == NULL)
			value = DEFAULT_PATH;
		if (strcmp(kept[i], "HOME") == 0 && home != NULL)
			value = home;
		if (value != NULL)
			status = set_variable(b, kept[i], value, err);
	}
	if (status == ATOM_OK)
		status = set_variable(b, "ATOM_WORKER_PROTOCOL", "1", err);
	if (status == ATOM_OK && b->options->transport == TRANSPORT_FD3)
		status = set_variable(b, "ATOM_WORKER_FD", "3", err);
	for (size_t i = 0; i < env->count && status == ATOM_OK; i++) {
		status = check_variable(env->items[i].key, err);
		if (status == ATOM_OK)
			status = set_variable(b, env->items[i].key,
					      env->items[i].value, err);
	}
	return status;
}

static atom_status make_directory(struct backend *b, struct atom_error *err)
{
	const char *directory = b->options->directory;
	bool absolute = directory[0] == '/';
	size_t size = strlen(b->host->directory) + strlen(directory) + 2;

	b->directory = malloc(size);
	if (b->directory == NULL)
		return no_memory(err);
	if (absolute)
		(void)snprintf(b->directory, size, "%s", directory);
	else if (strcmp(directory, ".") == 0 || directory[0] == '\0')
		(void)snprintf(b->directory, size, "%s", b->host->directory);
	else
		(void)snprintf(b->directory, size, "%s/%s", b->host->directory,
			       directory);
	return ATOM_OK;
}

static atom_status make_command(struct backend *b, struct atom_error *err)
{
	const struct atom_strings *command = &b->options->command;

	if (command->count == 0 || command->items[0][0] == '\0')
		return atom_fail(err, ATOM_EINVAL,
				 "command: expected a program and its "
				 "arguments, found none");
	b->command = calloc(command->count + 1, sizeof(char *));
	if (b->command == NULL)
		return no_memory(err);
	memcpy(b->command, command->items, command->count * sizeof(char *));
	return ATOM_OK;
}

atom_status launch_prepare(struct backend *b, struct atom_error *err)
{
	char *home = NULL;
	atom_status status = make_command(b, err);

	if (status == ATOM_OK)
		status = make_directory(b, err);
	if (status == ATOM_OK)
		status = choose_user(b, &home, err);
	if (status == ATOM_OK)
		status = make_environment(b, home, err);
	free(home);
	return status;
}

void launch_free(struct backend *b)
{
	for (size_t i = 0; i < b->environment_count; i++)
		free(b->environment[i]);
	free(b->environment);
	free(b->directory);
	free(b->command);
}

atom_status launch(struct worker *w, const struct atom_process_events *events,
		   struct atom_error *err)
{
	const struct backend *b = w->backend;
	const struct process_options *o = b->options;
	size_t count = b->environment_count;
	const char **environment = calloc(count + 2, sizeof(char *));
	size_t size = strlen(w->name) + sizeof("ATOM_INSTANCE=");
	char *instance = malloc(size);
	struct atom_process_request request = {
		.struct_size = sizeof(request),
		.flags = o->transport == TRANSPORT_STDIO ? ATOM_PROCESS_STDIO
							 : 0,
		.command = b->command,
		.directory = b->directory,
		.environment = environment,
		.user = b->user,
		.log_name = w->name,
		.memory_max = o->address_space_max,
		.open_files_max = o->open_files_max,
	};
	atom_status status;

	if (environment == NULL || instance == NULL) {
		status = no_memory(err);
		goto out;
	}
	(void)snprintf(instance, size, "ATOM_INSTANCE=%s", w->name);
	for (size_t i = 0; i < count; i++)
		environment[i] = b->environment[i];
	environment[count] = instance;
	status = b->process->spawn(b->host, &request, events, w, &w->process,
				   err);
out:
	free(environment);
	free(instance);
	return status;
}
