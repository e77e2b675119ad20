/* SPDX-License-Identifier: Apache-2.0 */
#include "config/setting_priv.h"

#include "core/memory.h"

static json_t *list_to_json(const struct setting *list,
			    const char *const *secret_names)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < list->member_count; i++)
		if (json_array_append_new(array,
					  setting_to_json(list->members[i],
							  secret_names)) != 0) {
			json_decref(array);
			array = NULL;
		}
	return array;
}

static json_t *group_to_json(const struct setting *group,
			     const char *const *secret_names)
{
	json_t *object = json_object();

	for (size_t i = 0; object && i < group->member_count; i++) {
		const struct setting *member = group->members[i];

		if (json_object_set_new(
			    object, member->name,
			    setting_to_json(member, secret_names)) != 0) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

json_t *setting_to_json(const struct setting *setting,
			const char *const *secret_names)
{
	switch (setting->type) {
	case SETTING_BOOL:
		return json_boolean(setting->integer != 0);
	case SETTING_INT:
		return json_integer((json_int_t)setting->integer);
	case SETTING_FLOAT:
		return json_real(setting->number);
	case SETTING_STRING:
		return json_string(setting_shown_text(setting, secret_names));
	case SETTING_GROUP:
		return group_to_json(setting, secret_names);
	case SETTING_LIST:
		return list_to_json(setting, secret_names);
	}
	return NULL;
}

struct building {
	size_t count;
	struct atom_error *err;
};

static atom_status of_json(const json_t *value, const char *name, int depth,
			   struct building *building,
			   struct setting **setting_r);

static atom_status add_json(struct setting *parent, const json_t *value,
			    const char *name, int depth,
			    struct building *building)
{
	struct setting *member = NULL;
	atom_status status;

	status = of_json(value, name, depth + 1, building, &member);
	if (status == ATOM_OK)
		status = setting_add(parent, member);
	if (status != ATOM_OK)
		setting_free(&member);
	return status;
}

static atom_status add_object(struct setting *group, const json_t *object,
			      int depth, struct building *building)
{
	atom_status status = ATOM_OK;
	const char *name;
	json_t *value;

	if (json_object_size(object) > SETTING_MEMBERS_MAX)
		return atom_fail(building->err, ATOM_EINVAL,
				 "an object of more than %d members",
				 SETTING_MEMBERS_MAX);
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (!setting_name_is_legal(name))
			return atom_fail(
				building->err, ATOM_EINVAL,
				"`%.60s` is no key: letters, digits, - and _, a letter first",
				name);
		status = add_json(group, value, name, depth, building);
		if (status != ATOM_OK)
			break;
	}
	return status;
}

static atom_status add_array(struct setting *list, const json_t *array,
			     int depth, struct building *building)
{
	atom_status status = ATOM_OK;
	size_t count = json_array_size(array);

	for (size_t i = 0; status == ATOM_OK && i < count; i++)
		status = add_json(list, json_array_get(array, i), NULL, depth,
				  building);
	return status;
}

static struct setting *new_of_json(const json_t *value, const char *name)
{
	struct setting *setting;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return setting_new_string(name, json_string_value(value), NULL,
					  0);
	case JSON_INTEGER:
		setting = setting_new(SETTING_INT, name, NULL, 0);
		if (setting)
			setting->integer = json_integer_value(value);
		return setting;
	case JSON_REAL:
		setting = setting_new(SETTING_FLOAT, name, NULL, 0);
		if (setting)
			setting->number = json_real_value(value);
		return setting;
	case JSON_TRUE:
	case JSON_FALSE:
		setting = setting_new(SETTING_BOOL, name, NULL, 0);
		if (setting)
			setting->integer = json_is_true(value);
		return setting;
	case JSON_OBJECT:
		return setting_new(SETTING_GROUP, name, NULL, 0);
	default:
		return setting_new(SETTING_LIST, name, NULL, 0);
	}
}

static atom_status of_json(const json_t *value, const char *name, int depth,
			   struct building *building,
			   struct setting **setting_r)
{
	struct setting *setting;
	atom_status status = ATOM_OK;

	if (depth > SETTING_DEPTH_MAX)
		return atom_fail(building->err, ATOM_EINVAL,
				 "nested deeper than %d", SETTING_DEPTH_MAX);
	if (++building->count > SETTING_COUNT_MAX)
		return atom_fail(building->err, ATOM_EINVAL,
				 "more than %d values", SETTING_COUNT_MAX);
	if (json_is_null(value))
		return atom_fail(building->err, ATOM_EINVAL,
				 "`%.60s` is null: leave it out instead",
				 name ? name : "a member of a list");
	setting = new_of_json(value, name);
	if (setting == NULL)
		return atom_fail(building->err, ATOM_ENOMEM, "no memory");
	if (setting->type == SETTING_GROUP)
		status = add_object(setting, value, depth, building);
	else if (setting->type == SETTING_LIST)
		status = add_array(setting, value, depth, building);
	if (status != ATOM_OK) {
		setting_free(&setting);
		return status;
	}
	*setting_r = setting;
	return ATOM_OK;
}

atom_status setting_of_json(const json_t *value, const char *name,
			    struct setting **setting_r, struct atom_error *err)
{
	struct building building = { .count = 0, .err = err };

	return of_json(value, name, 0, &building, setting_r);
}
