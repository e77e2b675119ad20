/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the file of a plugin: what is read from it is a legal name and
 * a printable version; and any two versions have one order.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_note(const uint8_t *bytes, size_t size)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct note note = { 0 };

	if (note_read(bytes, size, &note, &err) != ATOM_OK) {
		if (err.message[0] == '\0')
			abort();
		return;
	}
	if (!plugin_name_legal(note.name) || note.version[0] == '\0')
		abort();
	for (const char *at = note.version; *at != '\0'; at++)
		if (!isgraph((unsigned char)*at))
			abort();
	if (note_check(&note, &err) == ATOM_OK &&
	    (note.abi_major != ATOM_ABI_MAJOR ||
	     note.needs_minor > ATOM_ABI_MINOR))
		abort();
}

/* The bytes, cut at their first NUL or newline, as two versions. */
static void check_order(const uint8_t *bytes, size_t size)
{
	char a[256] = "", b[256] = "";
	const uint8_t *middle = memchr(bytes, '\n', size);
	size_t first = middle != NULL ? (size_t)(middle - bytes) : size;
	size_t second = middle != NULL ? size - first - 1 : 0;
	int forth, back;

	if (first >= sizeof(a) || second >= sizeof(b))
		return;
	memcpy(a, bytes, first);
	if (second > 0)
		memcpy(b, middle + 1, second);
	forth = version_compare(a, b);
	back = version_compare(b, a);
	if ((forth < 0) != (back > 0) || (forth > 0) != (back < 0) ||
	    version_compare(a, a) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	check_note(bytes, size);
	check_order(bytes, size);
	return 0;
}
