/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "compliance/check.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/registry.h"

/* The process itself, its workers, and what it loads. */

#define PROC_TEXT_MAX ((size_t)256 * 1024)

/* A file of /proc; the caller's, NULL when it cannot be read. */
static char *read_proc(const char *path, size_t *length_r)
{
	char *text = mem_alloc(PROC_TEXT_MAX + 1);
	size_t length = 0;
	ssize_t n;
	int fd;

	if (text == NULL)
		return NULL;
	fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		mem_free(text);
		return NULL;
	}
	while (length < PROC_TEXT_MAX &&
	       (n = os.read(fd, text + length, PROC_TEXT_MAX - length)) > 0)
		length += (size_t)n;
	(void)os.close(fd);
	text[length] = '\0';
	*length_r = length;
	return text;
}

/* A number of /proc/PID/status: "NoNewPrivs:\t1". */
static bool status_number(const char *status, const char *name, int base,
			  unsigned long long *value_r)
{
	const char *line = strstr(status, name);
	char *end;

	if (line == NULL)
		return false;
	line += strlen(name);
	*value_r = strtoull(line, &end, base);
	return end != line;
}

void check_privileges(struct inspection *i, struct finding *f)
{
	unsigned long long capabilities = 0, fresh = 0;
	size_t length;
	char *status = read_proc("/proc/self/status", &length);
	bool good;

	(void)i;
	if (status == NULL ||
	    !status_number(status, "CapEff:", 16, &capabilities) ||
	    !status_number(status, "NoNewPrivs:", 10, &fresh)) {
		find(f, CHECK_ERROR, "/proc/self/status cannot be read");
		mem_free(status);
		return;
	}
	mem_free(status);
	find_evidence(f, "effective user %lu", (unsigned long)geteuid());
	find_evidence(f, "effective capabilities 0x%llx", capabilities);
	find_evidence(f, "no_new_privs %llu", fresh);
	/* CAP_NET_BIND_SERVICE alone is what the unit leaves. */
	good = geteuid() != 0 && (capabilities & ~(1ULL << 10)) == 0 &&
	       fresh == 1;
	find(f, good ? CHECK_PASS : CHECK_FAIL,
	     "runs as user %lu, %s capabilities, no_new_privs %s",
	     (unsigned long)geteuid(), capabilities == 0 ? "without" : "with",
	     fresh == 1 ? "on" : "off");
}

void check_core_dumps(struct inspection *i, struct finding *f)
{
	int dumpable = prctl(PR_GET_DUMPABLE);
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	(void)i;
	(void)getrlimit(RLIMIT_CORE, &limit);
	find_evidence(f, "PR_GET_DUMPABLE: %d", dumpable);
	find_evidence(f, "RLIMIT_CORE: %llu bytes",
		      (unsigned long long)limit.rlim_cur);
	find(f, dumpable == 0 && limit.rlim_cur == 0 ? CHECK_PASS : CHECK_FAIL,
	     "the process %s be dumped", dumpable == 0 ? "cannot" : "can");
}

/* --- workers --------------------------------------------------------------------- */

/* Does it stand in the daemon's own environment, value and all?  What a
 * worker's interpreter or a script around it sets itself does not. */
static bool is_of_daemon(const char *variable, size_t length)
{
	for (char *const *own = environ; own != NULL && *own != NULL; own++)
		if (strlen(*own) == length &&
		    memcmp(*own, variable, length) == 0)
			return true;
	return false;
}

static bool is_allowed(const struct inspection *i, const char *variable,
		       size_t length)
{
	/* The last three are what every shell sets for itself. */
	static const char *const known[] = { "PATH", "HOME",  "LANG", "TZ",
					     "PWD",  "SHLVL", "_" };

	if (strncmp(variable, "ATOM_", 5) == 0)
		return true;
	for (size_t n = 0; n < ARRAY_SIZE(known); n++)
		if (strlen(known[n]) == length &&
		    memcmp(known[n], variable, length) == 0)
			return true;
	for (size_t n = 0; n < i->config->agent_count; n++) {
		const struct setting *env = setting_member(
			i->config->agents[n].backend_options, "env");

		for (size_t m = 0; env != NULL && m < env->member_count; m++)
			if (env->members[m]->name != NULL &&
			    strlen(env->members[m]->name) == length &&
			    memcmp(env->members[m]->name, variable, length) ==
				    0)
				return true;
	}
	return false;
}

/* Names only: a value may be a secret. */
static unsigned int foreign_variables(const struct inspection *i,
				      const char *pid, const char *environment,
				      size_t length, struct finding *f)
{
	unsigned int foreign = 0;

	for (size_t at = 0; at < length;) {
		const char *variable = environment + at;
		size_t size = strnlen(variable, length - at);
		size_t name = strcspn(variable, "=");

		if (size > 0 && is_of_daemon(variable, size) &&
		    !is_allowed(i, variable, name)) {
			foreign++;
			find_evidence(f, "process %s has the daemon's %.*s",
				      pid, (int)name, variable);
		}
		at += size + 1;
	}
	return foreign;
}

/* A direct child of this process, but for the short-lived probes of plugins.
 * Returns what is wrong with it. */
static unsigned int look_at_child(const struct inspection *i, const char *pid,
				  struct finding *f)
{
	unsigned long long fresh = 0;
	unsigned int wrong = 0;
	size_t length;
	char path[64];
	char *text;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
	text = read_proc(path, &length);
	if (text != NULL && status_number(text, "NoNewPrivs:", 10, &fresh) &&
	    fresh != 1) {
		wrong++;
		find_evidence(f, "process %s may gain privileges", pid);
	}
	mem_free(text);
	(void)snprintf(path, sizeof(path), "/proc/%.16s/environ", pid);
	text = read_proc(path, &length);
	if (text != NULL)
		wrong += foreign_variables(i, pid, text, length, f);
	mem_free(text);
	return wrong;
}

static bool is_child(const char *pid)
{
	unsigned long long parent = 0;
	size_t length;
	char path[64];
	char *status;
	bool child;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
	status = read_proc(path, &length);
	child = status != NULL && status_number(status, "PPid:", 10, &parent) &&
		parent == (unsigned long long)getpid();
	mem_free(status);
	return child;
}

void check_worker_isolation(struct inspection *i, struct finding *f)
{
	DIR *processes = opendir("/proc");
	unsigned int children = 0, wrong = 0;
	struct dirent *entry;

	if (processes == NULL) {
		find(f, CHECK_ERROR, "/proc: %s", strerror(errno));
		return;
	}
	while ((entry = readdir(processes)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !is_child(entry->d_name))
			continue;
		children++;
		wrong += look_at_child(i, entry->d_name, f);
	}
	(void)closedir(processes);
	if (children == 0) {
		find(f, CHECK_NOT_APPLICABLE, "no worker is running");
		return;
	}
	if (wrong == 0)
		find_evidence(f,
			      "%u workers looked at: no_new_privs, and no "
			      "variable of the daemon but the listed ones",
			      children);
	find(f, wrong == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u findings in %u workers", wrong, children);
}

/* --- clock, log ------------------------------------------------------------------- */

void check_clock(struct inspection *i, struct finding *f)
{
	struct timex clock = { .modes = 0 };
	int state = adjtimex(&clock);
	bool good;

	(void)i;
	if (state < 0) {
		find(f, CHECK_ERROR, "adjtimex: %s", strerror(errno));
		return;
	}
	good = state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0;
	find_evidence(f, "adjtimex: state %d, status 0x%x", state,
		      (unsigned int)clock.status);
	find_evidence(f, "estimated error %ld us", clock.esterror);
	find(f, good ? CHECK_PASS : CHECK_FAIL,
	     "the kernel says that the clock is %s",
	     good ? "synchronised" : "not synchronised");
}

struct log_look {
	const char *word;
	const char *event;
	bool written;
	bool shown;
};

static bool look_at_line(void *argument, const struct log_kept *line)
{
	struct log_look *look = argument;

	if (memmem(line->json, line->length, look->event,
		   strlen(look->event)) != NULL)
		look->written = true;
	if (memmem(line->json, line->length, look->word, strlen(look->word)) !=
	    NULL)
		look->shown = true;
	return true;
}

/* A word like a secret of the configuration: registered once, as those are,
 * then logged and looked for in the lines that are kept. */
static const char *planted_secret(void)
{
	static char secret[2 * 16 + 1]; /* [control] alone */
	uint8_t bytes[16];

	if (secret[0] != '\0')
		return secret;
	if (os.random(bytes, sizeof(bytes)) != 0)
		return NULL;
	text_to_hex(bytes, sizeof(bytes), secret);
	if (log_add_secret(secret) == ATOM_OK)
		return secret;
	secret[0] = '\0';
	return NULL;
}

void check_log_redaction(struct inspection *i, struct finding *f)
{
	struct log_look look = { .word = planted_secret(),
				 .event = "compliance_canary" };
	uint64_t before;

	(void)i;
	if (look.word == NULL) {
		find(f, CHECK_ERROR, "the log takes no more secrets");
		return;
	}
	before = log_visit(UINT64_MAX, look_at_line, &look);
	/* An error, so that it is written whatever the level. */
	log_line(ATOM_LOG_ERROR, look.event,
		 "a planted secret is logged on purpose",
		 LOG_TEXT("planted", look.word));
	look.written = look.shown = false;
	(void)log_visit(before, look_at_line, &look);
	if (!look.written) {
		find(f, CHECK_ERROR, "the line with the canary was not kept");
		return;
	}
	find_evidence(f, "a line with a planted secret was logged; it shows %s",
		      look.shown ? "it" : "***");
	find(f, look.shown ? CHECK_FAIL : CHECK_PASS,
	     "a secret that was logged is %s", look.shown ? "shown" : "masked");
}

/* --- plugins, bounds, components ----------------------------------------------------- */

static bool is_ours_alone(const char *path, struct finding *f)
{
	struct stat info;

	if (stat(path, &info) != 0) {
		find_evidence(f, "%.300s: %s", path, strerror(errno));
		return false;
	}
	if ((info.st_mode & 022) == 0 &&
	    (info.st_uid == 0 || info.st_uid == geteuid()))
		return true;
	find_evidence(f, "%.300s: owner %lu, mode %04o", path,
		      (unsigned long)info.st_uid, info.st_mode & 07777);
	return false;
}

void check_plugin_files(struct inspection *i, struct finding *f)
{
	json_t *list = registry_list(), *row;
	unsigned int looked = 0, open = 0;
	size_t index;

	(void)i;
	json_array_foreach(list, index, row)
	{
		const char *path =
			json_string_value(json_object_get(row, "path"));
		char folder[4096];
		char *slash;

		if (path == NULL)
			continue;
		(void)snprintf(folder, sizeof(folder), "%s", path);
		slash = strrchr(folder, '/');
		if (slash != NULL)
			*slash = '\0';
		looked++;
		if (!is_ours_alone(path, f) || !is_ours_alone(folder, f))
			open++;
	}
	json_decref(list);
	if (open == 0)
		find_evidence(f, "%u plugin files and their folders looked at",
			      looked);
	find(f, open == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u plugin files may be replaced by others", open, looked);
}

void check_resource_bounds(struct inspection *i, struct finding *f)
{
	const struct config *config = i->config;
	bool good = config->max_agents > 0 && config->memory_limit_mib > 0 &&
		    config->token_limit > 0;

	find_evidence(f, "max_agents %lld", (long long)config->max_agents);
	find_evidence(f, "memory_limit %lld MiB",
		      (long long)config->memory_limit_mib);
	find_evidence(f, "token_limit %lld", (long long)config->token_limit);
	find(f, good ? CHECK_PASS : CHECK_FAIL,
	     good ? "instances, memory and tokens are bounded"
		  : "a bound is switched off");
}

void check_components(struct inspection *i, struct finding *f)
{
	json_t *list = health_components(), *row;
	unsigned int looked = 0, bad = 0;
	size_t index;

	(void)i;
	json_array_foreach(list, index, row)
	{
		const char *name =
			json_string_value(json_object_get(row, "name"));
		const char *status =
			json_string_value(json_object_get(row, "status"));

		looked++;
		if (status != NULL && strcmp(status, "ok") == 0)
			continue;
		bad++;
		find_evidence(f, "%s is %s", name != NULL ? name : "?",
			      status != NULL ? status : "?");
	}
	json_decref(list);
	if (bad == 0)
		find_evidence(f, "%u components say ok", looked);
	find(f, bad == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u components are not as they should be", bad, looked);
}
