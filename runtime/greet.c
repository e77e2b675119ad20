/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/directory.h"
#include "core/os.h"
#include "daemon_priv.h"
#include "security/keys.h"

/*
 * What a person who starts the daemon by hand sees: where it is and two
 * lines to try.  An agent that callers without a key may not use has a key
 * in its line, made for it and good for a day.
 */

#define KEY_DAY_MS ((int64_t)24 * 3600 * 1000)

static void first_address(const char **tcp_r, const char **local_r)
{
	const struct http_server *server = daemon_state.server;

	*tcp_r = *local_r = NULL;
	for (size_t i = http_server_listener_count(server); i-- > 0;) {
		const char *address = http_server_address(server, i);

		if (strncmp(address, "unix:", 5) == 0)
			*local_r = address;
		else
			*tcp_r = address;
	}
}

static void print_curl(const char *address, const char *agent, const char *key)
{
	(void)printf("  curl http://%s/v1/chat/completions ", address);
	if (key != NULL)
		(void)printf("-H 'Authorization: Bearer %s' ", key);
	(void)printf("-H 'Content-Type: application/json' "
		     "-d '{\"model\":\"%s\",\"messages\":[{\"role\":\"user\","
		     "\"content\":\"Hello, atomd\"}]}'\n",
		     agent);
}

struct tour {
	const char *address;
	bool keyed; /* this round is about agents that need a key */
	bool shown; /* one line without a key is enough */
};

static bool is_open(const char *agent)
{
	const char *const *open = daemon_state.config->anonymous_agents;

	if (open[0] == NULL)
		return true;
	for (; *open != NULL; open++)
		if (strcmp(*open, agent) == 0)
			return true;
	return false;
}

static void greet_agent(void *argument, struct revision *revision)
{
	struct tour *tour = argument;
	const char *name = revision_agent(revision);
	const char *agents[] = { name, NULL };
	struct key_request request = {
		.limits = KEY_LIMITS_NONE,
		.role = "caller",
		.agents = agents,
		.expires_ms = os.realtime_ms() + KEY_DAY_MS,
		.name = "made at start",
		.created_by = "atomd",
		.allowed = UINT32_MAX,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	char key[KEY_TEXT_MAX];

	if (is_open(name) == tour->keyed)
		return;
	if (!tour->keyed && !tour->shown)
		print_curl(tour->address, name, NULL);
	tour->shown = true;
	if (tour->keyed && keys_create_now(&request, key, &err) == ATOM_OK)
		print_curl(tour->address, name, key);
}

void daemon_greet(void)
{
	const struct config *config = daemon_state.config;
	struct tour tour = { .keyed = false };
	const char *local;

	/* A log collector wants JSON lines and nothing else. */
	if (!isatty(STDOUT_FILENO) &&
	    strcmp(config->environment, "development") != 0)
		return;
	first_address(&tour.address, &local);
	if (tour.address == NULL)
		return;
	(void)printf("atomd serves on http://%s (API: http://%s/docs). Try:\n",
		     tour.address, tour.address);
	if (config->anonymous_role[0] != '\0') {
		directory_visit(greet_agent, &tour);
		tour.keyed = true;
		directory_visit(greet_agent, &tour);
	}
	if (local != NULL)
		(void)printf("  atomctl --url %s agents\n", local);
	(void)printf("Ctrl-C stops it.\n");
	(void)fflush(stdout);
}
