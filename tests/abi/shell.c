/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A registry without a daemon: what the tests of this folder and the
 * generated pages of docs/plugins talk to.  Commands come one a line on
 * standard input, answers go one JSON document a line to standard output.
 *
 *	scan DIR...              null, or {"error"}
 *	list                     registry_list()
 *	describe KIND NAME       registry_describe()
 *	open KIND NAME           null, or {"error"}
 *	create KIND NAME [JSON]  the same, with options; destroyed at once
 *	count KIND NAME          counts a call of an open component
 *
 * `--in-place` loads the installed files, `--state DIR` keeps the copies
 * there.  As `--probe FD` it is the probe's child.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "plugin/host.h"
#include "plugin/registry.h"

#define WORDS_MAX 16

static void answer(json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(value);
}

static void answer_status(atom_status status, const struct atom_error *error)
{
	if (status == ATOM_OK)
		answer(json_null());
	else
		answer(json_pack("{s:s}", "error", error->message));
}

static void scan(char **words, size_t count)
{
	const char *directories[WORDS_MAX + 1] = { NULL };
	struct atom_error error = ATOM_ERROR_INIT;

	for (size_t i = 1; i < count; i++)
		directories[i - 1] = words[i];
	answer_status(registry_scan(directories, &error), &error);
}

static void create(const char *kind, const char *name, const char *json)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct buffer faults = BUFFER_INIT(64 * 1024);
	const struct component *component = NULL;
	struct configured *configured = NULL;
	struct setting *group = NULL;
	json_t *options = NULL;
	atom_status status = registry_component(kind, name, &component, &error);

	if (status == ATOM_OK && json != NULL)
		status = json_decode(json, strlen(json), &options, &error);
	if (status == ATOM_OK && options != NULL)
		status = setting_of_json(options, "options", &group, &error);
	if (status == ATOM_OK) {
		struct configured_spec spec = { .component = component,
						.group = group,
						.agent = "" };

		status = configured_new(&spec, &configured, &faults, &error);
	}
	if (faults.length > 0)
		answer(json_pack("{s:s}", "error", faults.bytes));
	else
		answer_status(status, &error);
	configured_free(&configured);
	setting_free(&group);
	if (options != NULL)
		json_decref(options);
	buffer_fini(&faults);
}

static void obey(char **words, size_t count)
{
	struct atom_error error = ATOM_ERROR_INIT;
	const struct component *component = NULL;
	json_t *row;

	if (strcmp(words[0], "scan") == 0) {
		scan(words, count);
	} else if (strcmp(words[0], "list") == 0) {
		answer(registry_list());
	} else if (strcmp(words[0], "describe") == 0 && count == 3) {
		row = registry_describe(words[1], words[2]);
		answer(row != NULL ? row : json_null());
	} else if (strcmp(words[0], "open") == 0 && count == 3) {
		answer_status(registry_component(words[1], words[2], &component,
						 &error),
			      &error);
	} else if (strcmp(words[0], "count") == 0 && count == 3) {
		if (registry_component(words[1], words[2], &component,
				       &error) == ATOM_OK)
			component_count_call(component);
		answer(json_null());
	} else if (strcmp(words[0], "create") == 0 && count >= 3) {
		create(words[1], words[2], count > 3 ? words[3] : NULL);
	} else {
		answer(json_pack("{s:s}", "error", "unknown command"));
	}
}

int main(int argc, char **argv)
{
	struct atom_error error = ATOM_ERROR_INIT;
	const char *state = NULL;
	bool in_place = false;
	char line[16 * 1024];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--probe") == 0 && i + 1 < argc)
			return plugin_probe_main(
				(int)strtol(argv[i + 1], NULL, 10));
		if (strcmp(argv[i], "--in-place") == 0)
			in_place = true;
		if (strcmp(argv[i], "--state") == 0 && i + 1 < argc)
			state = argv[++i];
	}
	if (metric_init(0) != ATOM_OK || host_register_basic() != ATOM_OK ||
	    registry_init(state, in_place, &error) != ATOM_OK) {
		(void)fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *words[WORDS_MAX] = { NULL }, *rest = line;
		size_t count = 0;

		line[strcspn(line, "\n")] = '\0';
		/* Tabs divide: paths and JSON hold blanks. */
		while (rest != NULL && count < WORDS_MAX)
			words[count++] = strsep(&rest, "\t");
		obey(words, count);
	}
	registry_fini();
	metric_fini();
	log_fini();
	return 0;
}
