/* SPDX-License-Identifier: Apache-2.0 */
#include "config/complain_priv.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/value.h"
#include "core/text.h"

#define MESSAGE_MAX 400

static size_t count_lines(const struct buffer *errors)
{
	size_t lines = 0;

	for (size_t i = 0; i < errors->length; i++)
		lines += errors->bytes[i] == '\n';
	return lines;
}

/* A fault may be met twice: `environment` is read before the rest. */
static void drop_if_told(struct buffer *errors, size_t from)
{
	const char *line = errors->bytes + from;
	size_t length = errors->length - from;
	const char *told = errors->bytes, *end;

	while (told < line &&
	       (end = memchr(told, '\n', (size_t)(line - told))) != NULL) {
		if ((size_t)(++end - told) == length &&
		    memcmp(told, line, length) == 0) {
			errors->length = from;
			errors->bytes[from] = '\0';
			return;
		}
		told = end;
	}
}

void complain_at_v(struct buffer *errors, const char *file, int line,
		   const char *format, va_list args)
{
	char message[MESSAGE_MAX], shown[MESSAGE_MAX];
	size_t lines = count_lines(errors), from = errors->length;

	if (lines > CONFIG_ERRORS_MAX)
		return;
	if (lines == CONFIG_ERRORS_MAX) {
		(void)buffer_append_text(errors,
					 "(more faults are not shown)\n");
		return;
	}
	(void)vsnprintf(message, sizeof(message), format, args);
	/* One message is one line, whatever it quotes. */
	value_quote(message, shown, sizeof(shown));
	if (file && *file && line > 0)
		(void)buffer_printf(errors, "%s:%d: %s\n", file, line, shown);
	else if (file && *file)
		(void)buffer_printf(errors, "%s: %s\n", file, shown);
	else
		(void)buffer_printf(errors, "%s\n", shown);
	if (!errors->failed)
		drop_if_told(errors, from);
}

void complain_at(struct buffer *errors, const char *file, int line,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_v(errors, file, line, format, args);
	va_end(args);
}

void config_complain(struct buffer *errors, const struct setting *where,
		     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_v(errors, where ? where->file : NULL,
		      where ? where->line : 0, format, args);
	va_end(args);
}

const char *complain_hint(const char *wrong, const char *const *words,
			  char out[COMPLAIN_HINT_MAX])
{
	const char *nearest = text_nearest(wrong, words);

	out[0] = '\0';
	if (nearest)
		(void)snprintf(out, COMPLAIN_HINT_MAX, "; did you mean `%s`?",
			       nearest);
	return out;
}
