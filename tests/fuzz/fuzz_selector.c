/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a series selector, or, where it begins with a bracket, as the
 * JSON list of matchers of a silence.  A selector is refused with a message,
 * or what was read, written out again, is read as the same; its matchers as
 * such a list hold for the same labels.  Whatever pattern is taken is bounded:
 * one that is not shows as a slow input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "monitor/matchers.h"
#include "monitor/pattern.h"
#include "monitor/selector.h"

#define MATCHERS_MOST 16

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What a label may be: nothing, a plain word, a line's end, much of the same. */
static const char *const values[] = {
	"",	      "a",
	"1",	      "a\nb",
	"summarizer", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
};
#define VALUES (sizeof(values) / sizeof(*values))

static const char *const operators[] = {
	[ATOM_HISTORY_EQUAL] = "=",
	[ATOM_HISTORY_NOT_EQUAL] = "!=",
	[ATOM_HISTORY_MATCHES] = "=~",
	[ATOM_HISTORY_NOT_MATCHES] = "!~",
};

static bool is_pattern(const struct atom_history_matcher *m)
{
	return m->type == ATOM_HISTORY_MATCHES ||
	       m->type == ATOM_HISTORY_NOT_MATCHES;
}

static bool is_negative(const struct atom_history_matcher *m)
{
	return m->type == ATOM_HISTORY_NOT_EQUAL ||
	       m->type == ATOM_HISTORY_NOT_MATCHES;
}

/* --- written out again -------------------------------------------------------- */

static void write_value(FILE *out, const char *value)
{
	(void)fputc('"', out);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			(void)fputc('\\', out);
		if (*value == '\n')
			(void)fputs("\\n", out);
		else
			(void)fputc(*value, out);
	}
	(void)fputc('"', out);
}

static char *write_selector(const struct selector *s)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		abort();
	(void)fprintf(out, "%s{", s->name != NULL ? s->name : "");
	for (size_t i = 0; i < s->count; i++) {
		(void)fprintf(out, "%s%s%s", i > 0 ? "," : "",
			      s->matchers[i].label,
			      operators[s->matchers[i].type]);
		write_value(out, s->matchers[i].value);
	}
	(void)fputc('}', out);
	(void)fclose(out);
	return text;
}

static void is_read_the_same(const struct selector *s)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct selector again;
	char *text = write_selector(s);

	/* A backslash before what needs none takes one byte more. */
	if (strlen(text) >= SELECTOR_MAX) {
		free(text);
		return;
	}
	if (selector_parse(text, &again, &err) != ATOM_OK ||
	    again.count != s->count ||
	    (again.name == NULL) != (s->name == NULL) ||
	    (s->name != NULL && strcmp(again.name, s->name) != 0))
		abort();
	for (size_t i = 0; i < s->count; i++)
		if (again.matchers[i].type != s->matchers[i].type ||
		    strcmp(again.matchers[i].label, s->matchers[i].label) !=
			    0 ||
		    strcmp(again.matchers[i].value, s->matchers[i].value) != 0)
			abort();
	free(text);
}

/* --- as matchers --------------------------------------------------------------- */

/* A label of each matcher's name has `value`. */
static json_t *labels_of(const struct selector *s, const char *value)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < s->count; i++)
		(void)json_object_set_new(labels, s->matchers[i].label,
					  json_string(value));
	return labels;
}

/* By the selector's own reading; false where a pattern is refused. */
static bool holds(const struct selector *s, const char *value, bool *holds_r)
{
	struct atom_error err = ATOM_ERROR_INIT;

	*holds_r = true;
	for (size_t i = 0; i < s->count; i++) {
		const struct atom_history_matcher *m = &s->matchers[i];
		bool same = strcmp(m->value, value) == 0;
		regex_t pattern;

		if (is_pattern(m)) {
			if (pattern_compile(m->label, m->value, &pattern,
					    &err) != ATOM_OK)
				return false;
			same = regexec(&pattern, value, 0, NULL, 0) == 0;
			regfree(&pattern);
		}
		*holds_r = *holds_r && same != is_negative(m);
	}
	return true;
}

static json_t *list_of(const struct selector *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++) {
		const struct atom_history_matcher *m = &s->matchers[i];
		json_t *item =
			json_pack("{s:s,s:s,s:b,s:b}", "name", m->label,
				  "value", m->value, "regex", is_pattern(m),
				  "equal", !is_negative(m));

		/* No UTF-8: no JSON either. */
		if (item == NULL) {
			json_decref(list);
			return NULL;
		}
		(void)json_array_append_new(list, item);
	}
	return list;
}

static void holds_the_same(const struct selector *s)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct matchers *matchers = NULL;
	json_t *list = list_of(s);
	bool expected;

	if (list != NULL && matchers_new(list, MATCHERS_MOST, PATTERN_MAX,
					 &matchers, &err) == ATOM_OK) {
		for (size_t i = 0; i < VALUES; i++) {
			json_t *labels = labels_of(s, values[i]);

			if (!holds(s, values[i], &expected) ||
			    matchers_hold(matchers, labels) != expected)
				abort();
			json_decref(labels);
		}
	}
	matchers_free(&matchers);
	json_decref(list);
}

/* A list says of itself what makes it again. */
static void take_list(const char *text)
{
	struct matchers *matchers = NULL, *again = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *told = NULL, *told_again = NULL;
	atom_status status;

	if (list == NULL)
		return;
	status =
		matchers_new(list, MATCHERS_MOST, PATTERN_MAX, &matchers, &err);
	if ((status == ATOM_OK) != (matchers != NULL) ||
	    (status != ATOM_OK && err.message[0] == '\0'))
		abort();
	if (status == ATOM_OK) {
		told = matchers_describe(matchers);
		if (matchers_new(told, MATCHERS_MOST, PATTERN_MAX, &again,
				 &err) != ATOM_OK)
			abort();
		told_again = matchers_describe(again);
		if (!json_equal(told, told_again))
			abort();
	}
	json_decref(told_again);
	json_decref(told);
	matchers_free(&again);
	matchers_free(&matchers);
	json_decref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char *text = calloc(1, size + 1);
	struct selector s;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, bytes, size);
	if (text[0] == '[') {
		take_list(text);
	} else if (selector_parse(text, &s, &err) == ATOM_OK) {
		is_read_the_same(&s);
		holds_the_same(&s);
	} else if (err.message[0] == '\0') {
		abort();
	}
	free(text);
	return 0;
}
