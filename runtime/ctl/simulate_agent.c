/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "simulate.h"

#include "config/parse.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERRORS_MAX ((size_t)64 * 1024)
#define READ_FIRST 65536

char *simulate_read_file(struct ctl *ctl, const char *option, const char *path,
			 size_t max, size_t *length_r)
{
	size_t length = 0, room = READ_FIRST;
	char *text = mem_alloc(room + 1);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t more = -1;
	while (file >= 0 && text && length <= max) {
		more = read(file, text + length, room - length);
		if (more <= 0)
			break;
		length += (size_t)more;
		if (length < room)
			continue;
		room *= 2;
		char *larger = mem_realloc(text, room + 1);
		if (!larger)
			mem_free(TAKE(text));
		else
			text = larger;
	}
	int error = errno;
	if (file >= 0)
		close(file);
	if (!text)
		ctl_fail_memory(ctl);
	else if (file < 0 || more < 0)
		ctl_fail(ctl, CTL_FAILED, "%s %s: %s", option, path,
			 strerror(error));
	else if (length > max)
		ctl_fail(ctl, CTL_FAILED,
			 "%s %s: expected at most %zu bytes, found more",
			 option, path, max);
	if (!text || file < 0 || more < 0 || length > max) {
		mem_free(text);
		return NULL;
	}
	text[length] = '\0';
	*length_r = length;
	return text;
}

static int fail_errors(struct ctl *ctl, struct buffer *errors)
{
	while (errors->length && errors->bytes[errors->length - 1] == '\n')
		errors->length--;
	return ctl_fail(ctl, CTL_FAILED, "%.*s", (int)errors->length,
			errors->bytes ? errors->bytes : "");
}

/* What --agent-config must say that a daemon would not ask for. */
static int judge(struct ctl *ctl, const char *path,
		 const struct config_agent *agent)
{
	if (agent->instances.present)
		return CTL_DONE;
	return ctl_fail(ctl, CTL_FAILED,
			"%s: expected `instances` with min, max and "
			"concurrency, found none: there is nothing to scale",
			path);
}

int simulate_agent_read(struct ctl *ctl, const char *path,
			struct simulate_agent *agent_r)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct setting *body = NULL;
	size_t length;
	char *text = simulate_read_file(ctl, "--agent-config", path,
					PARSE_FILE_MAX, &length);
	*agent_r = (struct simulate_agent){ 0 };
	if (!text)
		return CTL_FAILED;
	const char *slash = strrchr(path, '/');
	agent_r->directory =
		slash ? mem_strndup(path, (size_t)(slash - path) + 1)
		      : mem_strdup("./");
	const struct config defaults = {
		.path = path,
		.directory = agent_r->directory ? agent_r->directory : "",
		.environment = "production",
		.max_agents = SIMULATE_INSTANCES_MAX,
	};
	atom_status status = ATOM_ENOMEM;
	if (agent_r->directory)
		status = parse_text(text, length, path, &body, &errors);
	/* As in `deploy -f FILE`, a body need not repeat the name. */
	if (status == ATOM_OK && !setting_member(body, "name"))
		status = setting_add_text(body, "name", "agent");
	if (status == ATOM_OK)
		status = config_agent_of_setting(body, &defaults,
						 &agent_r->config, &errors);
	mem_free(text);
	int code;
	if (status == ATOM_OK) {
		agent_r->agent = agent_r->config->agents;
		code = judge(ctl, path, agent_r->agent);
	} else {
		setting_free(&body);
		code = fail_errors(ctl, &errors);
	}
	buffer_fini(&errors);
	return code;
}

void simulate_agent_fini(struct simulate_agent *agent)
{
	if (agent->config)
		config_unref(&agent->config);
	mem_free(agent->directory);
	*agent = (struct simulate_agent){ 0 };
}
