/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The child of a helper.  Nothing here need survive a bad plugin: a crash, a
 * hang or a flood is the answer, and the helper says so.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/json.h"
#include "plugin/entry.h"
#include "plugin/host_priv.h"
#include "plugin/library.h"
#include "plugin/options.h"
#include "plugin/probe_priv.h"
#include "plugin/registry.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOW_MEMORY 1
#endif
#endif

static void limit(int resource, rlim_t value)
{
	struct rlimit now;

	if (getrlimit(resource, &now) != 0)
		return;
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		value = now.rlim_max;
	now.rlim_cur = now.rlim_max = value;
	(void)setrlimit(resource, &now);
}

static void limit_all(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 256);
	limit(RLIMIT_CPU, 2 * PROBE_DEADLINE_MS / 1000);
#ifndef SHADOW_MEMORY
	limit(RLIMIT_AS, (rlim_t)4 << 30);
#endif
}

/* Those that are examined together tell no stages. */
static void stage(int answer_fd, const char *name)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "@%s\n", name);

	/* A parent that is gone will not read the answer either. */
	if (answer_fd >= 0 && write(answer_fd, line, (size_t)length) < 0)
		_exit(1);
}

/* --- the answer ---------------------------------------------------------- */

static json_t *describe_component(const struct atom_component *component)
{
	return json_pack(
		"{s:s, s:s, s:s, s:I, s:o}", "kind", component->kind, "name",
		component->name, "summary", component->summary, "flags",
		(json_int_t)component->ops->flags, "options",
		options_describe(component->options, component->option_count));
}

static json_t *refuse_component(const struct atom_component *component,
				const struct atom_error *error)
{
	const char *kind =
		component->kind != NULL ? kind_word_of(component->kind) : NULL;
	const char *name =
		component->name != NULL && plugin_name_legal(component->name)
			? component->name
			: "?";

	return json_pack("{s:s, s:s, s:s}", "kind", kind != NULL ? kind : "?",
			 "name", name, "why", error->message);
}

static json_t *describe(const struct atom_plugin *entry)
{
	json_t *components = json_array();
	json_t *refused = json_array();
	json_t *notices = json_array();

	for (uint32_t i = 0; i < entry->component_count; i++) {
		const struct atom_component *component =
			entry_component(entry, i);
		struct atom_error error = ATOM_ERROR_INIT;
		const struct kind *kind = NULL;

		switch (entry_check_component(entry, i, &kind, &error)) {
		case ATOM_OK:
			(void)json_array_append_new(
				components, describe_component(component));
			break;
		case ATOM_ENOTSUP:
			(void)json_array_append_new(
				notices, json_sprintf("%s: %s", component->name,
						      error.message));
			break;
		default:
			(void)json_array_append_new(
				refused, refuse_component(component, &error));
			break;
		}
	}
	return json_pack(
		"{s:s, s:s, s:s, s:o, s:i, s:I, s:o, s:o, s:o}", "name",
		entry->name, "version", entry->version, "license",
		entry->license, "abi",
		json_sprintf("%u.%u", entry->abi_major, entry->abi_minor),
		"needs", (int)entry->needs_minor, "flags",
		(json_int_t)entry->flags, "components", components, "refused",
		refused, "notices", notices);
}

/* --- loading ------------------------------------------------------------- */

/* What to give to dlopen: the copy by its descriptor, or the installed file
 * itself by its own path, for $ORIGIN. */
static void library_path(int fd, char *path, size_t path_size)
{
	char link[64];
	ssize_t length;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, path_size - 1);
	if (length > 0)
		path[length] = '\0';
	if (length <= 0 || strncmp(path, "/memfd:", 7) == 0 ||
	    access(path, R_OK) != 0)
		(void)snprintf(path, path_size, "%s", link);
}

static atom_status read_note(int fd, struct note *note_r,
			     struct atom_error *err)
{
	struct stat st;
	void *bytes;
	atom_status status;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 ||
	    st.st_size > PLUGIN_FILE_MAX)
		return atom_fail(err, ATOM_EINVAL, "descriptor %d: no file",
				 fd);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return atom_fail(err, ATOM_ENOMEM, "cannot be mapped: %s",
				 strerror(errno));
	status = note_read(bytes, (size_t)st.st_size, note_r, err);
	if (status == ATOM_OK)
		status = note_check(note_r, err);
	(void)munmap(bytes, (size_t)st.st_size);
	return status;
}

static atom_status examine(int fd, int answer_fd, json_t **answer_r,
			   struct atom_error *err)
{
	struct note note = { 0 };
	const struct atom_plugin *entry;
	char path[PATH_MAX];
	void *library;
	atom_status status;

	status = read_note(fd, &note, err);
	if (status != ATOM_OK)
		return status;
	stage(answer_fd, "load");
	library_path(fd, path, sizeof(path));
	status = library_open(path, &library, &entry, err);
	if (status != ATOM_OK)
		return status;
	stage(answer_fd, "check");
	status = entry_check(entry, &note, err);
	if (status != ATOM_OK)
		return status;
	*answer_r = describe(entry);
	if (*answer_r == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (entry->init != NULL) {
		struct atom_error error = ATOM_ERROR_INIT;
		struct configured *init_host = NULL;

		stage(answer_fd, "init");
		status = host_for_init(entry->name, &init_host, err);
		if (status == ATOM_OK &&
		    entry->init(&init_host->host, &error) != ATOM_OK)
			status = atom_fail(err, ATOM_EINVAL,
					   "its init() failed: %s",
					   error.message);
	}
	if (status == ATOM_OK && entry->fini != NULL) {
		stage(answer_fd, "fini");
		entry->fini();
	}
	stage(answer_fd, "end");
	return status;
}

/* At once: jansson would write each word of it by itself, and the helper wake
 * as often. */
static atom_status say(int answer_fd, const json_t *answer, const char *end)
{
	struct buffer text = BUFFER_INIT(PROBE_ANSWER_MAX);
	atom_status status = json_encode(answer, &text);

	if (status == ATOM_OK)
		status = buffer_append_text(&text, end);
	while (status == ATOM_OK && text.length > 0) {
		ssize_t n = write(answer_fd, text.bytes, text.length);

		if (n > 0)
			buffer_consume(&text, (size_t)n);
		else if (n == 0 || errno != EINTR)
			status = ATOM_EIO;
	}
	buffer_fini(&text);
	return status;
}

static int answer_one(int fd, int answer_fd)
{
	struct atom_error error = ATOM_ERROR_INIT;
	json_t *answer = NULL;
	atom_status status = examine(fd, answer_fd, &answer, &error);

	if (status != ATOM_OK) {
		if (answer != NULL)
			json_decref(answer);
		answer = json_pack("{s:s}", "error", error.message);
	}
	status = answer != NULL ? say(answer_fd, answer, "") : ATOM_ENOMEM;
	if (answer != NULL)
		json_decref(answer);
	return status == ATOM_OK ? 0 : 1;
}

/* Of what is not in order nothing is said: that is looked at alone. */
static int answer_all(int count, int answer_fd)
{
	for (int i = 0; i < count; i++) {
		struct atom_error error = ATOM_ERROR_INIT;
		json_t *answer = NULL, *line;

		if (examine(PROBE_FD + i, -1, &answer, &error) == ATOM_OK) {
			line = json_pack("{s:i, s:O}", "file", i, "answer",
					 answer);
			if (line != NULL)
				(void)say(answer_fd, line, "\n");
			if (line != NULL)
				json_decref(line);
		}
		if (answer != NULL)
			json_decref(answer);
	}
	return 0;
}

/* What the plugin prints is not the answer, and of the helper's descriptors it
 * has none.  The pipes are above all files. */
static void place(int answer_fd, int said_fd)
{
	(void)setpgid(0, 0);
	if (dup2(said_fd, STDOUT_FILENO) < 0 ||
	    dup2(said_fd, STDERR_FILENO) < 0 ||
	    (answer_fd != PROBE_ANSWER_FD &&
	     dup3(answer_fd, PROBE_ANSWER_FD, O_CLOEXEC) < 0))
		_exit(1);
	closefrom(PROBE_ANSWER_FD + 1);
}

_Noreturn void probe_child_main(const struct probe_result *results,
				size_t count, int answer_fd, int said_fd)
{
	int status;

	place(answer_fd, said_fd);
	if (count == 1) {
		if (results->fd != PROBE_FD && dup2(results->fd, PROBE_FD) < 0)
			_exit(1);
		for (int fd = PROBE_FD + 1; fd < PROBE_ANSWER_FD; fd++)
			(void)close(fd);
	}
	limit_all();
	status = count == 1 ? answer_one(PROBE_FD, PROBE_ANSWER_FD)
			    : answer_all((int)count, PROBE_ANSWER_FD);
	/* Threads and exit handlers of the plugin are not waited for. */
	_exit(status);
}
