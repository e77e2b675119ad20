/* SPDX-License-Identifier: Apache-2.0 */
#include "config/reference_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/complain_priv.h"
#include "config/config.h"
#include "config/setting_priv.h"
#include "config/source_priv.h"
#include "config/value.h"
#include "core/log.h"
#include "core/memory.h"

static const char *const reference_words[] = { "env", "file", "environment",
					       NULL };

struct resolving {
	const struct reference_scope *scope;
	struct buffer *errors;
	struct setting *setting;
	struct buffer out;
};

/* The text between "${" and "}". */
struct inside {
	const char *at;
	size_t length;
};

static bool begins(struct inside inside, const char *word)
{
	size_t length = strlen(word);

	return inside.length >= length && memcmp(inside.at, word, length) == 0;
}

static bool is_variable(const char *name)
{
	return *name && !(*name >= '0' && *name <= '9') &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789_")] ==
		       '\0';
}

static atom_status append_bytes(struct resolving *r, const char *bytes,
				size_t length)
{
	atom_status status = buffer_append(&r->out, bytes, length);

	if (status != ATOM_ELIMIT)
		return status;
	config_complain(
		r->errors, r->setting,
		"the references of this string make it longer than %zu KiB",
		REFERENCE_TEXT_MAX / 1024);
	return ATOM_EINVAL;
}

static atom_status append(struct resolving *r, const char *text)
{
	return append_bytes(r, text, strlen(text));
}

static atom_status append_variable(struct resolving *r, struct inside inside)
{
	char name[256], shown[64];
	const char *fallback, *value;
	char *instead;
	size_t bad;

	inside.at += 4; /* env: */
	inside.length -= 4;
	if (inside.length >= sizeof(name))
		goto bad_name;
	memcpy(name, inside.at, inside.length);
	name[inside.length] = '\0';
	instead = strstr(name, ":+");
	if (instead) {
		*instead = '\0';
		if (!is_variable(name))
			goto bad_name;
		value = getenv(name);
		return value && *value ? append(r, instead + 2) : ATOM_OK;
	}
	fallback = strstr(name, ":-");
	if (fallback) {
		name[fallback - name] = '\0';
		fallback += 2;
	}
	if (!is_variable(name))
		goto bad_name;
	value = getenv(name);
	if (fallback && (value == NULL || *value == '\0'))
		return append(r, fallback);
	if (value == NULL) {
		config_complain(
			r->errors, r->setting,
			"the variable %s is not set; set it, or write ${env:%s:-DEFAULT}",
			name, name);
		return ATOM_EINVAL;
	}
	if (!source_is_utf8(value, strlen(value), &bad)) {
		config_complain(r->errors, r->setting,
				"the variable %s is not UTF-8", name);
		return ATOM_EINVAL;
	}
	return append(r, value);

bad_name:
	if (inside.length >= sizeof(name))
		inside.length = sizeof(name) - 1;
	memcpy(name, inside.at, inside.length);
	name[inside.length] = '\0';
	value_quote(name, shown, sizeof(shown));
	config_complain(r->errors, r->setting,
			"${env:%s}: the name of a variable was expected",
			shown);
	return ATOM_EINVAL;
}

/* PATH of a file reference, relative to the folder of the file it is in. */
static char *reference_path(const struct resolving *r, struct inside inside)
{
	struct buffer path = BUFFER_INIT(8192);
	const char *file = r->setting->file;
	const char *slash = r->setting->line > 0 ? strrchr(file, '/') : NULL;

	if (inside.length == 0 || inside.at[0] != '/') {
		if (slash) {
			(void)buffer_append(&path, file,
					    (size_t)(slash + 1 - file));
		} else if (r->scope->directory) {
			(void)buffer_append_text(&path, r->scope->directory);
			(void)buffer_append_char(&path, '/');
		}
	}
	(void)buffer_append(&path, inside.at, inside.length);
	if (path.failed) {
		buffer_fini(&path);
		return NULL;
	}
	return buffer_take(&path, NULL);
}

static atom_status append_file(struct resolving *r, struct inside inside)
{
	struct buffer bytes = BUFFER_INIT(REFERENCE_FILE_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;
	size_t bad;
	char *path;

	inside.at += 5; /* file: */
	inside.length -= 5;
	path = reference_path(r, inside);
	if (path == NULL)
		return ATOM_ENOMEM;
	status = source_read(path, &bytes, NULL, &err);
	if (status == ATOM_OK && bytes.length &&
	    !source_is_utf8(bytes.bytes, bytes.length, &bad))
		status = atom_fail(&err, ATOM_EINVAL, "is not UTF-8");
	if (status != ATOM_OK) {
		config_complain(r->errors, r->setting, "${file:...}: %s %s",
				path, err.message);
		if (status != ATOM_ENOMEM)
			status = ATOM_EINVAL;
		goto out;
	}
	if (bytes.length && bytes.bytes[bytes.length - 1] == '\n')
		bytes.bytes[--bytes.length] = '\0';
	if (bytes.length && bytes.bytes[bytes.length - 1] == '\r')
		bytes.bytes[--bytes.length] = '\0';
	r->setting->secret = true;
	if (bytes.length == 0)
		goto out;
	/* The log's own net below ours: what no longer fits into it, or is
	 * too short for it, is still never printed from here. */
	(void)log_add_secret(bytes.bytes);
	status = append(r, bytes.bytes);
out:
	mem_free(path);
	if (bytes.length)
		explicit_bzero(bytes.bytes, bytes.length);
	buffer_fini(&bytes);
	return status;
}

static atom_status append_environment(struct resolving *r)
{
	if (r->scope->environment)
		return append(r, r->scope->environment);
	config_complain(r->errors, r->setting,
			"${environment} is not known here");
	return ATOM_EINVAL;
}

static atom_status append_reference(struct resolving *r, struct inside inside)
{
	char word[64], shown[64], hint[COMPLAIN_HINT_MAX];
	size_t length = inside.length;

	if (begins(inside, "env:"))
		return append_variable(r, inside);
	if (begins(inside, "file:"))
		return append_file(r, inside);
	if (length == 11 && begins(inside, "environment"))
		return append_environment(r);
	if (length >= sizeof(word))
		length = sizeof(word) - 1;
	memcpy(word, inside.at, length);
	word[length] = '\0';
	value_quote(word, shown, sizeof(shown));
	word[strcspn(word, ":")] = '\0';
	config_complain(
		r->errors, r->setting,
		"${%s} is no reference%s (${env:NAME}, ${env:NAME:-default}, ${env:NAME:+word}, ${file:PATH}, ${environment}; $${ for a plain ${)",
		shown, complain_hint(word, reference_words, hint));
	return ATOM_EINVAL;
}

/* One step from `p`: plain text up to the next '$', or one reference. */
static atom_status step(struct resolving *r, const char **at)
{
	const char *p = *at, *close;
	struct inside inside;

	if (p[0] == '$' && p[1] == '$' && p[2] == '{') {
		*at = p + 3;
		return append(r, "${");
	}
	if (p[0] != '$' || p[1] != '{') {
		size_t plain = 1 + strcspn(p + 1, "$");

		*at = p + plain;
		return append_bytes(r, p, plain);
	}
	close = strchr(p + 2, '}');
	inside.at = p + 2;
	inside.length = close ? (size_t)(close - inside.at) : 0;
	if (close == NULL || memmem(inside.at, inside.length, "${", 2)) {
		config_complain(
			r->errors, r->setting,
			close ? "references do not nest: ${ within ${...}"
			      : "a reference without its }: ${...} (write $${ for a plain ${)");
		return ATOM_EINVAL;
	}
	*at = close + 1;
	return append_reference(r, inside);
}

static atom_status resolve_string(struct setting *setting,
				  const struct reference_scope *scope,
				  struct buffer *errors)
{
	struct resolving r = {
		.scope = scope,
		.errors = errors,
		.setting = setting,
		.out = BUFFER_INIT(REFERENCE_TEXT_MAX),
	};
	const char *at = setting->raw;
	atom_status status = ATOM_OK;
	size_t length;
	char *text;

	if (strstr(at, "${") == NULL)
		return ATOM_OK;
	while (status == ATOM_OK && *at)
		status = step(&r, &at);
	if (status != ATOM_OK)
		goto out;
	text = buffer_take(&r.out, &length);
	if (text == NULL) {
		status = ATOM_ENOMEM;
		goto out;
	}
	setting_set_text(setting, text);
	if (strncmp(setting->raw, "${", 2) == 0 &&
	    strchr(setting->raw, '}')[1] == '\0')
		setting->convertible = true;
out:
	buffer_fini(&r.out);
	return status;
}

bool reference_is_file(const char *raw)
{
	const char *close = strchr(raw, '}');

	return strncmp(raw, "${file:", 7) == 0 && close && close[1] == '\0' &&
	       close > raw + 7;
}

atom_status reference_take_path(struct setting *setting,
				const struct reference_scope *scope)
{
	struct resolving r = { .scope = scope, .setting = setting };
	struct inside inside;
	char *path;

	if (setting->type != SETTING_STRING || !reference_is_file(setting->raw))
		return ATOM_OK;
	inside.at = setting->raw + 7;
	inside.length = strlen(inside.at) - 1;
	path = reference_path(&r, inside);
	if (path == NULL)
		return ATOM_ENOMEM;
	setting_set_text(setting, path);
	return ATOM_OK;
}

/* Goes on after a fault, so that all are told. */
atom_status reference_resolve(struct setting *tree,
			      const struct reference_scope *scope,
			      struct buffer *errors)
{
	atom_status status = ATOM_OK;

	if (tree->type == SETTING_STRING)
		return tree->text == tree->raw
			       ? resolve_string(tree, scope, errors)
			       : ATOM_OK;
	for (size_t i = 0; i < tree->member_count; i++) {
		atom_status one =
			reference_resolve(tree->members[i], scope, errors);

		if (one == ATOM_ENOMEM)
			return one;
		if (one != ATOM_OK)
			status = one;
	}
	return status;
}

char *reference_escape(const char *text)
{
	struct buffer out = BUFFER_INIT(2 * REFERENCE_TEXT_MAX);

	(void)buffer_reserve(&out, 1);
	for (const char *p = text; *p; p++) {
		if (p[0] == '$' && p[1] == '{')
			(void)buffer_append_char(&out, '$');
		(void)buffer_append_char(&out, *p);
	}
	if (out.failed) {
		buffer_fini(&out);
		return NULL;
	}
	return buffer_take(&out, NULL);
}
