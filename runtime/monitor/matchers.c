/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/matchers.h"

#include <ctype.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "monitor/pattern.h"

#define NAME_MAX_LENGTH 128

struct label_matcher {
	char *name;
	char *value;
	bool regex, equal;
	bool compiled;
	regex_t pattern;
};

struct matchers {
	size_t count;
	struct label_matcher items[];
};

static bool is_label_name(const char *name)
{
	size_t length = 0;

	while (name[length] == '_' || isalpha((unsigned char)name[length]) ||
	       (length > 0 && isdigit((unsigned char)name[length])))
		length++;
	return length > 0 && length <= NAME_MAX_LENGTH && name[length] == '\0';
}

/* A member that may be absent. */
static bool read_flag(const json_t *item, const char *name, bool *flag)
{
	const json_t *value = json_object_get(item, name);

	if (value == NULL)
		return true;
	*flag = json_is_true(value);
	return json_is_boolean(value);
}

static bool has_others(const json_t *item)
{
	static const char *const known[] = { "name", "value", "regex",
					     "equal" };
	size_t count = json_object_size(item);

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		count -= json_object_get(item, known[i]) != NULL;
	return count > 0;
}

static atom_status take(struct label_matcher *m, const json_t *item,
			size_t value_max, struct atom_error *err)
{
	const char *name = json_text(item, "name", "");
	const char *value = json_text(item, "value", NULL);

	m->equal = true;
	if (!is_label_name(name) || value == NULL ||
	    !read_flag(item, "regex", &m->regex) ||
	    !read_flag(item, "equal", &m->equal) || has_others(item))
		return atom_fail(err, ATOM_EINVAL,
				 "a matcher: expected {\"name\": a label's "
				 "name, \"value\": a text, \"regex\": false, "
				 "\"equal\": true}");
	if (strlen(value) > value_max ||
	    json_string_length(json_object_get(item, "value")) != strlen(value))
		return atom_fail(err, ATOM_EINVAL,
				 "matcher of %s: expected a value of at most "
				 "%zu bytes, none of them 0",
				 name, value_max);
	m->name = mem_strdup(name);
	m->value = mem_strdup(value);
	if (m->name == NULL || m->value == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	if (m->regex) {
		atom_status status =
			pattern_compile(name, value, &m->pattern, err);

		m->compiled = status == ATOM_OK;
		return status;
	}
	return ATOM_OK;
}

static bool holds(const struct label_matcher *m, const char *value)
{
	bool same = m->regex ? regexec(&m->pattern, value, 0, NULL, 0) == 0
			     : strcmp(m->value, value) == 0;

	return same == m->equal;
}

/* Would they hold for an alert without labels? */
static bool hold_for_all(const struct matchers *matchers)
{
	for (size_t i = 0; i < matchers->count; i++)
		if (!holds(&matchers->items[i], ""))
			return false;
	return true;
}

atom_status matchers_new(const json_t *list, size_t most, size_t value_max,
			 struct matchers **matchers_r, struct atom_error *err)
{
	size_t count = json_array_size(list);
	struct matchers *made;
	atom_status status = ATOM_OK;

	if (!json_is_array(list) || count == 0 || count > most)
		return atom_fail(err, ATOM_EINVAL,
				 "matchers: expected a list of 1 to %zu", most);
	made = mem_zalloc(sizeof(*made) + count * sizeof(made->items[0]));
	if (made == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	made->count = count;
	for (size_t i = 0; i < count && status == ATOM_OK; i++)
		status = take(&made->items[i], json_array_get(list, i),
			      value_max, err);
	if (status == ATOM_OK && hold_for_all(made))
		status = atom_fail(err, ATOM_EINVAL,
				   "matchers: expected one at least that does "
				   "not hold for an empty label; these hold "
				   "for every alert");
	if (status == ATOM_OK)
		*matchers_r = made;
	else
		matchers_free(&made);
	return status;
}

void matchers_free(struct matchers **matchers)
{
	struct matchers *m = *matchers;

	*matchers = NULL;
	for (size_t i = 0; m != NULL && i < m->count; i++) {
		if (m->items[i].compiled)
			regfree(&m->items[i].pattern);
		mem_free(m->items[i].name);
		mem_free(m->items[i].value);
	}
	mem_free(m);
}

bool matchers_hold(const struct matchers *matchers, const json_t *labels)
{
	for (size_t i = 0; i < matchers->count; i++)
		if (!holds(&matchers->items[i],
			   json_text(labels, matchers->items[i].name, "")))
			return false;
	return true;
}

json_t *matchers_describe(const struct matchers *matchers)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < matchers->count; i++) {
		const struct label_matcher *m = &matchers->items[i];

		if (json_array_append_new(
			    list, json_pack("{s:s,s:s,s:b,s:b}", "name",
					    m->name, "value", m->value, "regex",
					    m->regex, "equal", m->equal)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}
