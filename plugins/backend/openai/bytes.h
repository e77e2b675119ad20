/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPENAI_BYTES_H
#define OPENAI_BYTES_H

/* Bytes that grow up to a maximum. */

#include <stddef.h>

#include <atomd/plugin.h>

struct bytes {
	char *at; /* NULL while capacity is 0 */
	size_t length;
	size_t capacity;
	size_t max;
};

void bytes_init(struct bytes *bytes, size_t max);
void bytes_fini(struct bytes *bytes);
/* Forget what is in it; memory over a page is given back. */
void bytes_clear(struct bytes *bytes);
/* Room for `more` behind length.  ATOM_ELIMIT, ATOM_ENOMEM. */
atom_status bytes_reserve(struct bytes *bytes, size_t more);
atom_status bytes_append(struct bytes *bytes, const char *more, size_t length);

#endif
