/* SPDX-License-Identifier: Apache-2.0 */

/* atom.log/1: a plugin's lines, with its name, and not without end. */

#include <stdbool.h>

#include "core/log.h"
#include "core/os.h"
#include "plugin/host_priv.h"

#define FIELDS_MAX	 16   /* of the plugin's own */
#define LINES_PER_SECOND 1000 /* of one component */

/* Has the component lines left in this second?  Says once how many the last
 * flood has lost. */
static bool may_write(struct configured *c)
{
	long long now = os.monotonic_ns() / 1000000000;
	long long then = atomic_load(&c->log_second);
	unsigned int lines;

	if (now != then &&
	    atomic_compare_exchange_strong(&c->log_second, &then, now)) {
		lines = atomic_exchange(&c->log_lines, 0);
		if (lines > LINES_PER_SECOND)
			log_line(ATOM_LOG_WARN, "log_flood",
				 "lines of a plugin were dropped",
				 LOG_TEXT("plugin", c->plugin_name),
				 LOG_TEXT("component", c->name),
				 LOG_NUMBER("dropped",
					    lines - LINES_PER_SECOND));
	}
	return atomic_fetch_add(&c->log_lines, 1) < LINES_PER_SECOND;
}

static void write_line(const struct atom_host *host, int32_t level,
		       const char *event, const char *message,
		       const struct atom_log_field *fields, size_t field_count)
{
	struct configured *c = host_private(host);
	struct atom_log_field all[FIELDS_MAX + 3];
	size_t count = 0;

	if (level < ATOM_LOG_ERROR)
		level = ATOM_LOG_ERROR;
	if (level > ATOM_LOG_DEBUG)
		level = ATOM_LOG_DEBUG;
	if (!log_enabled(level) || !may_write(c))
		return;
	all[count++] =
		(struct atom_log_field)LOG_TEXT("plugin", c->plugin_name);
	all[count++] = (struct atom_log_field)LOG_TEXT("component", c->name);
	if (c->agent != NULL && c->agent[0] != '\0')
		all[count++] =
			(struct atom_log_field)LOG_TEXT("agent", c->agent);
	for (size_t i = 0; fields != NULL && i < field_count && i < FIELDS_MAX;
	     i++)
		if (fields[i].name != NULL)
			all[count++] = fields[i];
	log_write(level, event != NULL && event[0] != '\0' ? event : "plugin",
		  message != NULL ? message : "", all, count);
}

static int32_t enabled(const struct atom_host *host, int32_t level)
{
	(void)host;
	return level >= ATOM_LOG_ERROR && level <= ATOM_LOG_DEBUG &&
	       log_enabled(level);
}

const struct atom_log host_log_service = {
	.struct_size = sizeof(struct atom_log),
	.write = write_line,
	.enabled = enabled,
};
