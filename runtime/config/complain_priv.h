/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_COMPLAIN_PRIV_H
#define CONFIG_COMPLAIN_PRIV_H

/*
 * Messages about a configuration: one a line, "FILE:LINE: what", at most
 * CONFIG_ERRORS_MAX of them.
 */

#include <stdarg.h>

#include "core/buffer.h"

/* Where line 0 is no line but the file as a whole. */
ATOM_PRINTF(4, 5)
void complain_at(struct buffer *errors, const char *file, int line,
		 const char *format, ...);
void complain_at_v(struct buffer *errors, const char *file, int line,
		   const char *format, va_list args);
/* "; did you mean `x`?" when one of `words` is near to `wrong`, else "". */
#define COMPLAIN_HINT_MAX 96
const char *complain_hint(const char *wrong, const char *const *words,
			  char out[COMPLAIN_HINT_MAX]);

#endif
