/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/os.h"
#include "plugin/host_process_priv.h"

/* A child that floods hurts nobody: longer lines are cut, more lines a second
 * than these are counted instead of written. */
#define LINE_MAX_BYTES 4096
#define LINES_A_SECOND 200

void output_init(struct output *output, const char *name, const char *agent,
		 const char *instance)
{
	memset(output, 0, sizeof(*output));
	output->name = name;
	(void)snprintf(output->agent, sizeof(output->agent), "%s", agent);
	(void)snprintf(output->instance, sizeof(output->instance), "%s",
		       instance != NULL ? instance : "");
	buffer_init(&output->line, LINE_MAX_BYTES + 1);
}

static void tell_dropped(struct output *output)
{
	if (output->dropped == 0)
		return;
	log_line(ATOM_LOG_WARN, "worker_output_dropped",
		 "a worker wrote more lines than are kept",
		 LOG_TEXT("agent", output->agent),
		 LOG_TEXT("instance", output->instance),
		 LOG_TEXT("stream", output->name),
		 LOG_NUMBER("lines", output->dropped));
	output->dropped = 0;
}

static void line_end(struct output *output)
{
	int64_t second = os.monotonic_ns() / 1000000000;

	if (output->line.length == 0)
		return;
	if (second != output->second) {
		output->second = second;
		output->lines = 0;
		tell_dropped(output);
	}
	if (++output->lines > LINES_A_SECOND)
		output->dropped++;
	else
		log_line(ATOM_LOG_INFO, "worker_output", output->line.bytes,
			 LOG_TEXT("agent", output->agent),
			 LOG_TEXT("instance", output->instance),
			 LOG_TEXT("stream", output->name));
	buffer_clear(&output->line);
}

void output_feed(struct output *output, const char *bytes, size_t length)
{
	while (length > 0) {
		const char *end = memchr(bytes, '\n', length);
		size_t n = end != NULL ? (size_t)(end - bytes) : length;
		size_t room = LINE_MAX_BYTES - output->line.length;

		/* What does not fit is cut off; a NUL would end the text. */
		for (size_t i = 0; i < n && i < room; i++)
			(void)buffer_append_char(&output->line,
						 bytes[i] != '\0' ? bytes[i]
								  : '?');
		if (end == NULL)
			return;
		line_end(output);
		bytes += n + 1;
		length -= n + 1;
	}
}

void output_end(struct output *output)
{
	line_end(output);
	tell_dropped(output);
	buffer_fini(&output->line);
}
