/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "core/json_scan.h"
#include "core/memory.h"

static _Thread_local unsigned int failures;

/*
 * Where a text has no memory to grow, jansson's decoder loses bytes of it, or
 * ends the process by an assertion.  So it gets the rest of what it wants from
 * a block that was set aside, and what it made is thrown away.
 */
static _Thread_local struct {
	char *bytes; /* NULL: nothing is decoded */
	size_t size, used;
} aside;

static void *take(size_t size)
{
	void *taken = mem_alloc(size);

	if (taken != NULL)
		return taken;
	failures++;
	size = (size + 15) / 16 * 16;
	if (aside.bytes == NULL || size > aside.size - aside.used)
		return NULL;
	taken = aside.bytes + aside.used;
	aside.used += size;
	return taken;
}

static void give_back(void *old)
{
	const char *at = old;

	if (aside.bytes == NULL || at < aside.bytes ||
	    at >= aside.bytes + aside.size)
		mem_free(old);
}

unsigned int json_failures(void)
{
	return failures;
}

/* Before main(): jansson must take and give back with one pair only. */
__attribute__((constructor)) static void use_the_seam(void)
{
	json_set_alloc_funcs(take, give_back);
}

static void find_place(const char *text, size_t offset, int *line_r,
		       int *column_r)
{
	*line_r = *column_r = 1;
	for (size_t i = 0; i < offset; i++) {
		*column_r += 1;
		if (text[i] == '\n') {
			*line_r += 1;
			*column_r = 1;
		}
	}
}

static bool set_aside(size_t length)
{
	aside.size = 16384 + 16 * length;
	aside.used = 0;
	aside.bytes = mem_alloc(aside.size);
	return aside.bytes != NULL;
}

static void put_away(void)
{
	mem_free(TAKE(aside.bytes));
}

atom_status json_decode(const char *text, size_t length, json_t **value_r,
			struct atom_error *err)
{
	struct json_scan_error wrong = { 0, "" };
	struct json_span whole;
	const unsigned int before = failures;
	json_error_t why;
	json_t *value = NULL;
	int line, column;

	/* Before jansson, which nests 2,048 deep. */
	if (json_scan_value(text, length, JSON_DEPTH_MAX, &whole, &wrong)) {
		find_place(text, wrong.offset, &line, &column);
		return atom_fail(err, ATOM_EINVAL,
				 "JSON, line %d, column %d: %s", line, column,
				 wrong.what);
	}
	if (!set_aside(length))
		return atom_fail(err, ATOM_ENOMEM, "no memory for the JSON");
	value = json_loadb(text, length,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (failures != before)
		json_decref(TAKE(value));
	put_away();
	if (failures != before)
		return atom_fail(err, ATOM_ENOMEM, "no memory for the JSON");
	if (!value)
		return atom_fail(err, ATOM_EINVAL,
				 "JSON, line %d, column %d: %s", why.line,
				 why.column, why.text);
	*value_r = value;
	return ATOM_OK;
}

struct encoding {
	struct buffer *out;
	atom_status status;
};

static int append(const char *bytes, size_t length, void *argument)
{
	struct encoding *encoding = argument;

	/* jansson goes on after the name of a member that failed. */
	if (encoding->status == ATOM_OK)
		encoding->status = buffer_append(encoding->out, bytes, length);
	return encoding->status ? -1 : 0;
}

atom_status json_encode(const json_t *value, struct buffer *out)
{
	const size_t start = out->length;
	struct encoding encoding = { out, buffer_reserve(out, 0) };

	if (encoding.status)
		return encoding.status;
	if (json_dump_callback(value, append, &encoding,
			       JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return ATOM_OK;
	out->length = start;
	out->bytes[start] = '\0';
	/* No appending failed: a circle, or no JSON value. */
	return encoding.status ? encoding.status : ATOM_EINVAL;
}

char *json_write(const json_t *value, size_t flags)
{
	const unsigned int before = failures;
	char *text = json_dumps(value, flags);

	if (failures == before)
		return text;
	mem_free(text);
	return NULL;
}

const char *json_text(const json_t *object, const char *name,
		      const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : fallback;
}
