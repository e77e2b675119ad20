/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "core/os.h"

/* What each note begins with, and each of its signature lines: an em dash. */
static const char origin[] = "atomd-audit/";
static const char dash[] = "\xe2\x80\x94 ";

#define JSON_LEVELS 16

struct adding {
	struct outside_notes *notes;
	const char *name; /* of the file */
	size_t line;	  /* counted from 1 */
	struct atom_error *err;
};

static atom_status add_note(struct adding *adding, const char *text,
			    size_t length)
{
	struct outside_notes *notes = adding->notes;
	struct atom_error why = ATOM_ERROR_INIT;
	struct outside_note note = { .length = length };

	if (note_parse(text, length, &note.head, &why) != ATOM_OK)
		return atom_fail(adding->err, ATOM_EINVAL,
				 "%s:%zu: begins like a signed head, but %s",
				 adding->name, adding->line, why.message);
	if (notes->count == notes->room) {
		size_t room = notes->room ? 2 * notes->room : 64;
		struct outside_note *items =
			mem_realloc(notes->items, room * sizeof(*items));

		if (items == NULL)
			return atom_fail(adding->err, ATOM_ENOMEM,
					 "out of memory");
		notes->items = items;
		notes->room = room;
	}
	note.text = mem_strndup(text, length);
	if (note.text == NULL)
		return atom_fail(adding->err, ATOM_ENOMEM, "out of memory");
	notes->items[notes->count++] = note;
	return ATOM_OK;
}

/* Every text in it that is a note. */
static atom_status add_json(struct adding *adding, const json_t *value,
			    int level)
{
	atom_status status = ATOM_OK;
	const char *name;
	json_t *member;
	size_t index;

	if (level == JSON_LEVELS)
		return ATOM_OK;
	if (json_is_string(value) && json_string_length(value) > 64 &&
	    strncmp(json_string_value(value), origin, sizeof(origin) - 1) == 0)
		return add_note(adding, json_string_value(value),
				json_string_length(value));
	if (json_is_array(value))
		json_array_foreach(value, index, member) if (status == ATOM_OK)
			status = add_json(adding, member, level + 1);
	if (json_is_object(value))
		json_object_foreach((json_t *)value, name,
				    member) if (status == ATOM_OK) status =
			add_json(adding, member, level + 1);
	return status;
}

/* A line that ends in a JSON object, whatever a log has put in front of it. */
static atom_status add_line(struct adding *adding, const char *line,
			    size_t length)
{
	const char *object = memchr(line, '{', length);
	atom_status status;
	json_t *value;

	if (object == NULL ||
	    memmem(line, length, origin, sizeof(origin) - 1) == NULL)
		return ATOM_OK;
	value = json_loadb(object, length - (size_t)(object - line),
			   JSON_REJECT_DUPLICATES, NULL);
	if (value == NULL)
		return ATOM_OK;
	status = add_json(adding, value, 0);
	json_decref(value);
	return status;
}

static bool begins(const char *at, const char *end, const char *with)
{
	size_t length = strlen(with);

	return (size_t)(end - at) >= length && memcmp(at, with, length) == 0;
}

static const char *line_end(const char *at, const char *end)
{
	const char *found = memchr(at, '\n', (size_t)(end - at));

	return found ? found + 1 : end;
}

/* Behind the note that begins here: its lines, an empty one, its signatures. */
static const char *note_end(const char *at, const char *end)
{
	while (at < end && *at != '\n')
		at = line_end(at, end);
	if (at < end)
		at++;
	while (at < end && begins(at, end, dash))
		at = line_end(at, end);
	return at;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct outside_note *)a)->head.size;
	uint64_t y = ((const struct outside_note *)b)->head.size;

	return x < y ? -1 : x > y;
}

static void forget(struct outside_notes *notes, size_t count)
{
	while (notes->count > count)
		mem_free(notes->items[--notes->count].text);
}

atom_status outside_add_text(struct outside_notes *notes, const char *name,
			     const char *text, size_t length,
			     struct atom_error *err)
{
	struct adding adding = { notes, name, 1, err };
	const char *at = text, *end = text + length;
	size_t before = notes->count;
	atom_status status = ATOM_OK;

	while (status == ATOM_OK && at < end) {
		const char *next = line_end(at, end);

		if (begins(at, end, origin)) {
			next = note_end(at, end);
			status = add_note(&adding, at, (size_t)(next - at));
		} else {
			status = add_line(&adding, at, (size_t)(next - at));
		}
		for (; at < next; at++)
			adding.line += *at == '\n';
	}
	if (status == ATOM_OK && notes->count == before)
		status = atom_fail(err, ATOM_EINVAL,
				   "%s: no signed head in it; expected notes "
				   "that begin with %s, or lines of JSON with "
				   "such a text",
				   name, origin);
	if (status != ATOM_OK)
		forget(notes, before);
	else
		qsort(notes->items, notes->count, sizeof(*notes->items),
		      by_size);
	return status;
}

atom_status outside_add_file(struct outside_notes *notes, const char *path,
			     struct atom_error *err)
{
	struct buffer text = BUFFER_INIT(OUTSIDE_FILE_MAX);
	int fd = os.open(path, O_RDONLY | O_CLOEXEC, 0);
	atom_status status = ATOM_OK;
	ssize_t got = 1;

	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "cannot open %s: %s", path,
				 strerror(errno));
	while (status == ATOM_OK && got > 0) {
		status = buffer_reserve(&text, 65536);
		if (status != ATOM_OK)
			break;
		got = os.read(fd, text.bytes + text.length, 65536);
		if (got > 0)
			text.length += (size_t)got;
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	if (status != ATOM_OK)
		(void)atom_fail(err, status, "%s has more than %zu MiB", path,
				OUTSIDE_FILE_MAX >> 20);
	else if (got < 0)
		status = atom_fail(err, ATOM_EIO, "cannot read %s: %s", path,
				   strerror(errno));
	else
		status = outside_add_text(notes, path,
					  text.bytes ? text.bytes : "",
					  text.length, err);
	(void)os.close(fd);
	buffer_fini(&text);
	return status;
}

void outside_fini(struct outside_notes *notes)
{
	forget(notes, 0);
	mem_free(notes->items);
	*notes = (struct outside_notes){ 0 };
}
