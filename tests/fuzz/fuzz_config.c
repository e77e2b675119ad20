/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as a configuration: text, then after a NUL byte "PATH=VALUE" of
 * an override.  Nothing may crash, hang or leak; and a text that was read
 * must print, as libconfig and as JSON, what reads back the same.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_priv.h"
#include "config/parse.h"
#include "core/memory.h"
#include "core/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define TEXT_MAX ((size_t)64 * 1024 * 1024)

/* A reference may name any file of the machine. */
static int open_nothing(const char *path, int flags, mode_t mode)
{
	(void)path;
	(void)flags;
	(void)mode;
	errno = ENOENT;
	return -1;
}

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void canonical(const struct setting *tree, struct buffer *out)
{
	buffer_clear(out);
	need(setting_canonical(tree, out) == ATOM_OK);
}

static void check_printing(const struct setting *tree, struct buffer *errors)
{
	struct buffer text = BUFFER_INIT(TEXT_MAX);
	struct buffer before = BUFFER_INIT(TEXT_MAX);
	struct buffer after = BUFFER_INIT(TEXT_MAX);
	struct setting *again = NULL;

	canonical(tree, &before);
	need(setting_print(tree, 0, NULL, &text) == ATOM_OK);
	need(parse_text(text.length ? text.bytes : "", text.length, "again",
			&again, errors) == ATOM_OK);
	canonical(again, &after);
	need(strcmp(before.bytes, after.bytes) == 0);
	setting_free(&again);
	buffer_fini(&text);
	buffer_fini(&before);
	buffer_fini(&after);
}

static void check_json(const struct setting *tree)
{
	struct buffer before = BUFFER_INIT(TEXT_MAX);
	struct buffer after = BUFFER_INIT(TEXT_MAX);
	json_t *json = setting_to_json(tree, NULL);
	struct setting *again = NULL;

	need(json != NULL);
	need(setting_of_json(json, NULL, &again, NULL) == ATOM_OK);
	canonical(tree, &before);
	canonical(again, &after);
	need(strcmp(before.bytes, after.bytes) == 0);
	setting_free(&again);
	json_decref(json);
	buffer_fini(&before);
	buffer_fini(&after);
}

static void check_whole(struct setting *tree, char *override,
			struct buffer *errors)
{
	struct config_holder *holder = config_holder_new();
	struct config_override one = { .path = override, .value = NULL };
	char *equals = override ? strchr(override, '=') : NULL;

	need(holder != NULL);
	if (equals) {
		*equals = '\0';
		one.value = equals + 1;
	}
	holder->root = tree;
	holder->config.directory = "/nonexistent";
	(void)config_finish(holder, &one, equals ? 1 : 0, errors);
	config_holder_free(&holder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct buffer errors = BUFFER_INIT((size_t)1024 * 1024);
	const uint8_t *nul = size ? memchr(bytes, '\0', size) : NULL;
	size_t length = nul ? (size_t)(nul - bytes) : size;
	struct setting *tree = NULL;
	char *override = NULL;
	atom_status status;

	os.open = open_nothing;
	if (nul)
		override =
			mem_strndup((const char *)nul + 1, size - length - 1);
	status = parse_text(size ? (const char *)bytes : "", length, "fuzz",
			    &tree, &errors);
	need((status == ATOM_OK) == (errors.length == 0));
	/* Grammar is judged by scan.c: libconfig has nothing to add. */
	need(status == ATOM_OK || !strstr(errors.bytes, ": syntax error\n"));
	if (status == ATOM_OK) {
		check_printing(tree, &errors);
		check_json(tree);
		check_whole(tree, override, &errors);
	}
	mem_free(override);
	buffer_fini(&errors);
	return 0;
}
