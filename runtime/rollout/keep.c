/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A rollout as bytes: JSON, so that a person can read what is in the store.
 * Every member is looked for and held against its range: damaged bytes, or
 * bytes of a later version, are told and not half believed.
 */

#include "rollout/rollout_priv.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define VERSION 1
#define NAME	"atomd-rollout"

/* --- fields ----------------------------------------------------------------- */

enum kind {
	KIND_INT32,
	KIND_INT64,
	KIND_TEXT,
	KIND_DOUBLE
};

struct field {
	const char *name;
	size_t offset;
	int kind;
	int64_t least; /* numbers; of a text, `most` is its size */
	int64_t most;
};

#define NUMBER(type, member, least, most)                                \
	{                                                                \
#member, offsetof(type, member), KIND_INT32, least, most \
	}
#define COUNT(type, member)                                               \
	{                                                                 \
#member, offsetof(type, member), KIND_INT64, 0, INT64_MAX \
	}
#define TIME(type, member)                                              \
	{                                                               \
#member, offsetof(type, member), KIND_INT64, INT64_MIN, \
			INT64_MAX                                       \
	}
#define TEXT(type, member)                                     \
	{                                                      \
#member, offsetof(type, member), KIND_TEXT, 0, \
			sizeof(((type *)NULL)->member)         \
	}
#define REAL(type, member)                                         \
	{                                                          \
#member, offsetof(type, member), KIND_DOUBLE, 0, 0 \
	}

#define R struct rollout
static const struct field rollout_fields[] = {
	TEXT(R, id),	  TEXT(R, agent),    TEXT(R, from_hash),
	TEXT(R, to_hash), TEXT(R, strategy), TEXT(R, judge),
	COUNT(R, from),	  COUNT(R, to),	     COUNT(R, mirror_tokens),
};

#define C struct atom_comparison
static const struct field comparison_fields[] = {
	COUNT(C, calls),	 COUNT(C, status_differs),
	COUNT(C, json_differs),	 COUNT(C, similar_calls),
	REAL(C, similarity_sum), REAL(C, old_s_sum),
	REAL(C, new_s_sum),	 COUNT(C, old_tokens),
	COUNT(C, new_tokens),
};

#define P struct rollout_position
static const struct field position_fields[] = {
	NUMBER(P, stage, ROLLOUT_STEPS, ROLLOUT_OVER),
	NUMBER(P, outcome, ROLLOUT_OPEN, ROLLOUT_SUPERSEDED),
	NUMBER(P, step, 0, INT32_MAX),
	NUMBER(P, steps, 0, INT32_MAX),
	NUMBER(P, new_asked, 0, ROLLOUT_INSTANCES_MAX),
	NUMBER(P, old_asked, ROLLOUT_SCALED, ROLLOUT_INSTANCES_MAX),
	NUMBER(P, old_in_force, ROLLOUT_SCALED, ROLLOUT_INSTANCES_MAX),
	NUMBER(P, full_asked, 0, ROLLOUT_INSTANCES_MAX),
	NUMBER(P, weight_asked, 0, ATOM_WEIGHT_ALL),
	NUMBER(P, weight, 0, ATOM_WEIGHT_ALL),
	NUMBER(P, weight_reached, 0, ATOM_WEIGHT_ALL),
	NUMBER(P, mirror_asked, 0, ATOM_WEIGHT_ALL),
	NUMBER(P, hold, 0, 1),
	COUNT(P, mirror_budget),
	NUMBER(P, paused, ROLLOUT_NOT_PAUSED, ROLLOUT_PAUSED_AT_END),
	NUMBER(P, pause_until_person, 0, 1),
	NUMBER(P, paused_by_person, 0, 1),
	NUMBER(P, frozen, 0, 1),
	NUMBER(P, full, 0, 1),
	NUMBER(P, person, ATOM_PERSON_NOTHING, ATOM_PERSON_RESUME),
	NUMBER(P, verdict, ATOM_VERDICT_UNDECIDED, ATOM_VERDICT_NOT_WORSE),
	NUMBER(P, analysis, ATOM_ANALYSIS_NONE, ATOM_ANALYSIS_INCONCLUSIVE),
	NUMBER(P, analysing, ROLLOUT_NOT_ANALYSED, ROLLOUT_ANALYSED),
	NUMBER(P, strategy_errors, 0, INT32_MAX),
	NUMBER(P, judge_errors, 0, INT32_MAX),
	NUMBER(P, attempt, 1, INT32_MAX),
	NUMBER(P, pauses, 0, INT32_MAX),
	TEXT(P, cause),
	TEXT(P, reason),
};

#define T struct rollout_times
static const struct field time_fields[] = {
	TIME(T, now_ms),	TIME(T, began_ms),
	TIME(T, step_began_ms), COUNT(T, step_paused_ms),
	TIME(T, pause_left_ms), COUNT(T, stalled_ms),
	TIME(T, warm_left_ms),	TIME(T, analysis_began_ms),
	TIME(T, ended_ms),	TIME(T, wall_ms),
};

#define V struct atom_verdict
static const struct field verdict_fields[] = {
	NUMBER(V, verdict, ATOM_VERDICT_UNDECIDED, ATOM_VERDICT_NOT_WORSE),
	REAL(V, value),
	REAL(V, threshold),
	TEXT(V, metric),
	TEXT(V, reason),
};

#define E struct atom_evidence
static const struct field evidence_fields[] = {
	NUMBER(E, kind, 0, INT32_MAX),
	COUNT(E, new_calls),
	COUNT(E, new_bad),
	COUNT(E, old_calls),
	COUNT(E, old_bad),
	REAL(E, ratio),
	REAL(E, worse),
	REAL(E, not_worse),
};

/* --- writing ---------------------------------------------------------------- */

static json_t *field_json(const struct field *field, const void *record)
{
	const char *at = (const char *)record + field->offset;
	int32_t narrow;
	int64_t wide;
	double real;

	switch (field->kind) {
	case KIND_INT32:
		memcpy(&narrow, at, sizeof(narrow));
		return json_integer(narrow);
	case KIND_INT64:
		memcpy(&wide, at, sizeof(wide));
		return json_integer(wide);
	case KIND_DOUBLE:
		memcpy(&real, at, sizeof(real));
		return json_real(real);
	default:
		return json_string(at);
	}
}

/* False: no memory. */
static bool write_fields(json_t *object, const struct field *fields,
			 size_t count, const void *record)
{
	for (size_t i = 0; i < count; i++)
		if (json_object_set_new(object, fields[i].name,
					field_json(&fields[i], record)) != 0)
			return false;
	return true;
}

#define WRITE(object, table, record) \
	write_fields(object, table, ARRAY_SIZE(table), record)

/* A member that is an object of fields; false: no memory. */
static bool write_object(json_t *parent, const char *name,
			 const struct field *fields, size_t count,
			 const void *record)
{
	json_t *object = json_object();

	return json_object_set_new(parent, name, object) == 0 &&
	       write_fields(object, fields, count, record);
}

static bool write_bytes(json_t *parent, const char *name,
			const struct rollout_bytes *bytes)
{
	char *hex = mem_alloc(2 * bytes->size + 1);
	bool done;

	if (hex == NULL)
		return false;
	text_to_hex(bytes->bytes, bytes->size, hex);
	done = json_object_set_new(parent, name, json_string(hex)) == 0;
	mem_free(hex);
	return done;
}

/* [weight, is_new, calls, bad of each kind] */
static bool write_cells(json_t *parent, const char *name,
			const struct rollout_cells *cells)
{
	json_t *list = json_array();

	if (json_object_set_new(parent, name, list) != 0)
		return false;
	for (size_t i = 0; i < cells->count; i++) {
		const struct atom_cell *cell = &cells->cells[i];
		json_t *row = json_array();
		bool failed =
			json_array_append_new(list, row) != 0 ||
			json_array_append_new(
				row, json_integer(cell->weight)) != 0 ||
			json_array_append_new(
				row, json_integer(cell->is_new)) != 0 ||
			json_array_append_new(
				row, json_integer((json_int_t)cell->calls)) !=
				0;

		for (size_t k = 0; k < ATOM_BAD_COUNT && !failed; k++)
			failed =
				json_array_append_new(
					row,
					json_integer(
						(json_int_t)cell->bad[k])) != 0;
		if (failed)
			return false;
	}
	return true;
}

static bool write_verdict(json_t *parent, const struct atom_verdict *verdict)
{
	json_t *object = json_object(), *rows;

	if (json_object_set_new(parent, "judged", object) != 0)
		return false;
	rows = json_array();
	if (json_object_set_new(object, "evidence", rows) != 0 ||
	    !WRITE(object, verdict_fields, verdict))
		return false;
	for (uint32_t i = 0; i < verdict->evidence_count; i++) {
		json_t *row = json_object();

		if (json_array_append_new(rows, row) != 0 ||
		    !WRITE(row, evidence_fields, &verdict->evidence[i]))
			return false;
	}
	return true;
}

static bool write_rollout(json_t *root, const struct rollout *rollout)
{
	char salt[17];

	(void)snprintf(salt, sizeof(salt), "%016" PRIx64, rollout->salt);
	return json_object_set_new(root, "format", json_string(NAME)) == 0 &&
	       json_object_set_new(root, "version", json_integer(VERSION)) ==
		       0 &&
	       json_object_set_new(root, "salt", json_string(salt)) == 0 &&
	       WRITE(root, rollout_fields, rollout) &&
	       write_object(root, "at", position_fields,
			    ARRAY_SIZE(position_fields), &rollout->at) &&
	       write_object(root, "times", time_fields, ARRAY_SIZE(time_fields),
			    &rollout->times) &&
	       write_bytes(root, "strategy_state", &rollout->strategy_state) &&
	       write_bytes(root, "judge_state", &rollout->judge_state) &&
	       write_cells(root, "counted", &rollout->counted) &&
	       write_cells(root, "analysed", &rollout->analysed) &&
	       write_object(root, "compared", comparison_fields,
			    ARRAY_SIZE(comparison_fields),
			    &rollout->compared) &&
	       write_verdict(root, &rollout->judged);
}

static int append(const char *bytes, size_t length, void *out)
{
	return buffer_append(out, bytes, length) == ATOM_OK ? 0 : -1;
}

atom_status rollout_encode(const struct rollout *rollout, struct buffer *out)
{
	json_t *root = json_object();
	atom_status status = ATOM_ENOMEM;

	/* jansson goes on after the name of a member that failed. */
	if (root != NULL && write_rollout(root, rollout) &&
	    json_dump_callback(root, append, out,
			       JSON_COMPACT | JSON_REAL_PRECISION(17)) == 0 &&
	    !out->failed)
		status = ATOM_OK;
	json_decref(root);
	return status;
}

/* --- reading ---------------------------------------------------------------- */

static atom_status damaged(struct atom_error *err, const char *name,
			   const char *expected)
{
	return atom_fail(err, ATOM_EDATALOSS,
			 "the rollout that was kept is damaged: `%s` is not %s",
			 name, expected);
}

static bool printable(const char *text)
{
	for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
		n = text_utf8_length(text, left);
		if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static atom_status read_number(const struct field *field, const json_t *value,
			       void *at, struct atom_error *err)
{
	int64_t wide = json_integer_value(value);
	int32_t narrow = (int32_t)wide;

	if (!json_is_integer(value) || wide < field->least ||
	    wide > field->most)
		return damaged(err, field->name, "a number in its range");
	if (field->kind == KIND_INT32)
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &wide, sizeof(wide));
	return ATOM_OK;
}

static atom_status read_field(const struct field *field, const json_t *object,
			      void *record, struct atom_error *err)
{
	const json_t *value = json_object_get(object, field->name);
	char *at = (char *)record + field->offset;
	double real;

	switch (field->kind) {
	case KIND_TEXT:
		if (!json_is_string(value) ||
		    json_string_length(value) >= (size_t)field->most ||
		    !printable(json_string_value(value)))
			return damaged(err, field->name, "a text of its size");
		memcpy(at, json_string_value(value),
		       json_string_length(value) + 1);
		return ATOM_OK;
	case KIND_DOUBLE:
		if (!json_is_number(value))
			return damaged(err, field->name, "a number");
		real = json_number_value(value);
		memcpy(at, &real, sizeof(real));
		return ATOM_OK;
	default:
		return read_number(field, value, at, err);
	}
}

static atom_status read_fields(const json_t *object, const struct field *fields,
			       size_t count, void *record,
			       struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < count && status == ATOM_OK; i++)
		status = read_field(&fields[i], object, record, err);
	return status;
}

#define READ(object, table, record, err) \
	read_fields(object, table, ARRAY_SIZE(table), record, err)

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static atom_status read_bytes(const json_t *root, const char *name,
			      struct rollout_bytes *bytes,
			      struct atom_error *err)
{
	const json_t *value = json_object_get(root, name);
	const char *hex = json_string_value(value);
	size_t length = json_string_length(value);

	if (hex == NULL || length % 2 != 0 || length / 2 > sizeof(bytes->bytes))
		return damaged(err, name, "so many bytes in hexadecimal");
	for (size_t i = 0; i < length; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return damaged(err, name, "hexadecimal");
		bytes->bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	bytes->size = length / 2;
	return ATOM_OK;
}

/* One row; false: it is none. */
static bool read_cell(const json_t *row, struct atom_cell *cell)
{
	int64_t numbers[3 + ATOM_BAD_COUNT];

	if (json_array_size(row) != ARRAY_SIZE(numbers))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const json_t *value = json_array_get(row, i);

		numbers[i] = json_integer_value(value);
		if (!json_is_integer(value) || numbers[i] < 0 ||
		    (i > 2 && numbers[i] > numbers[2]))
			return false;
	}
	if (numbers[0] > ATOM_WEIGHT_ALL || numbers[1] > 1)
		return false;
	*cell = (struct atom_cell){
		.struct_size = sizeof(*cell),
		.weight = (int32_t)numbers[0],
		.is_new = (int32_t)numbers[1],
		.bad_kinds = ATOM_BAD_COUNT,
		.calls = (uint64_t)numbers[2],
	};
	for (size_t i = 0; i < ATOM_BAD_COUNT; i++)
		cell->bad[i] = (uint64_t)numbers[3 + i];
	return true;
}

static bool twice(const struct rollout_cells *cells, size_t last)
{
	for (size_t i = 0; i < last; i++)
		if (cells->cells[i].weight == cells->cells[last].weight &&
		    cells->cells[i].is_new == cells->cells[last].is_new)
			return true;
	return false;
}

static atom_status read_cells(const json_t *root, const char *name,
			      struct rollout_cells *cells,
			      struct atom_error *err)
{
	const json_t *list = json_object_get(root, name);
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > ROLLOUT_CELLS_MAX)
		return damaged(err, name, "a list of so many cells");
	for (size_t i = 0; i < count; i++)
		if (!read_cell(json_array_get(list, i), &cells->cells[i]) ||
		    twice(cells, i))
			return damaged(err, name, "a list of cells");
	cells->count = count;
	return ATOM_OK;
}

static atom_status read_verdict(const json_t *root,
				struct atom_verdict *verdict,
				struct atom_error *err)
{
	const json_t *object = json_object_get(root, "judged");
	const json_t *rows = json_object_get(object, "evidence");
	size_t count = json_array_size(rows);
	atom_status status;

	if (!json_is_array(rows) || count > ARRAY_SIZE(verdict->evidence))
		return damaged(err, "evidence", "a list of so many rows");
	verdict->struct_size = sizeof(*verdict);
	verdict->evidence_count = (uint32_t)count;
	status = READ(object, verdict_fields, verdict, err);
	for (size_t i = 0; i < count && status == ATOM_OK; i++)
		status = READ(json_array_get(rows, i), evidence_fields,
			      &verdict->evidence[i], err);
	return status;
}

static atom_status read_salt(const json_t *root, uint64_t *salt,
			     struct atom_error *err)
{
	const char *text = json_string_value(json_object_get(root, "salt"));

	*salt = 0;
	if (text == NULL || strlen(text) != 16)
		return damaged(err, "salt", "16 hexadecimal digits");
	for (size_t i = 0; i < 16; i++) {
		if (digit(text[i]) < 0)
			return damaged(err, "salt", "16 hexadecimal digits");
		*salt = *salt << 4 | (uint64_t)digit(text[i]);
	}
	return ATOM_OK;
}

/* Which outcomes a stage can have: bits 1 << ROLLOUT_*. */
static const unsigned outcomes[] = {
	[ROLLOUT_STEPS] = 1U << ROLLOUT_OPEN,
	[ROLLOUT_FINISHING] = 1U << ROLLOUT_OPEN,
	[ROLLOUT_WARM] = 1U << ROLLOUT_PROMOTED,
	[ROLLOUT_RETURNING] = 1U << ROLLOUT_ABORTED,
	[ROLLOUT_OVER] = 1U << ROLLOUT_PROMOTED | 1U << ROLLOUT_ABORTED |
			 1U << ROLLOUT_SUPERSEDED,
};

static atom_status read_rollout(const json_t *root, struct rollout *rollout,
				struct atom_error *err)
{
	atom_status status = READ(root, rollout_fields, rollout, err);

	if (status == ATOM_OK)
		status = read_salt(root, &rollout->salt, err);
	if (status == ATOM_OK)
		status = READ(json_object_get(root, "at"), position_fields,
			      &rollout->at, err);
	if (status == ATOM_OK)
		status = READ(json_object_get(root, "times"), time_fields,
			      &rollout->times, err);
	if (status == ATOM_OK)
		status = read_bytes(root, "strategy_state",
				    &rollout->strategy_state, err);
	if (status == ATOM_OK)
		status = read_bytes(root, "judge_state", &rollout->judge_state,
				    err);
	if (status == ATOM_OK)
		status = read_cells(root, "counted", &rollout->counted, err);
	if (status == ATOM_OK)
		status = read_cells(root, "analysed", &rollout->analysed, err);
	if (status == ATOM_OK)
		status = READ(json_object_get(root, "compared"),
			      comparison_fields, &rollout->compared, err);
	if (status == ATOM_OK)
		status = read_verdict(root, &rollout->judged, err);
	if (status != ATOM_OK)
		return status;
	if ((outcomes[rollout->at.stage] >> rollout->at.outcome & 1U) == 0)
		return damaged(err, "outcome", "one that its stage can have");
	if (rollout->from < 1 || rollout->to < 1 ||
	    rollout->from == rollout->to)
		return damaged(err, "to", "another revision than `from`");
	return ATOM_OK;
}

atom_status rollout_decode(struct rollout *rollout, const char *text,
			   size_t length, struct atom_error *err)
{
	json_error_t where;
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
	const char *format = json_string_value(json_object_get(root, "format"));
	json_int_t version =
		json_integer_value(json_object_get(root, "version"));
	atom_status status;

	memset(rollout, 0, sizeof(*rollout));
	if (format == NULL || strcmp(format, NAME) != 0)
		status = damaged(err, "format", NAME);
	else if (version != VERSION)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "the rollout that was kept has version "
				   "%lld; this atomd reads version %d",
				   (long long)version, VERSION);
	else
		status = read_rollout(root, rollout, err);
	json_decref(root);
	if (status != ATOM_OK)
		return status;
	rollout->before = rollout->counted;
	rollout->compared.struct_size = sizeof(rollout->compared);
	rollout->compared_before = rollout->compared;
	rollout->kept_ms = rollout->times.now_ms;
	return ATOM_OK;
}
