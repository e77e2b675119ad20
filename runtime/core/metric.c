/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry: which families and series there are.  One mutex, held for
 * look-ups and for copying pointers, never while text is made.
 */

#include "core/metric.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric_priv.h"
#include "core/os.h"
#include "core/text.h"

/* Longer than a call may last: an id that a call still holds when its agent
 * goes away must not write into another's series. */
#define SPARE_AFTER_MS (15 * 60 * 1000)

#define LABEL_VALUE_MAX 256

const double metric_duration_bounds[] = {
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
	1,     2.5,    5,     10,   25,	   60,	 120, 300,  600,
};
const size_t metric_duration_bound_count = ARRAY_SIZE(metric_duration_bounds);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct family *families[METRIC_FAMILIES_MAX];
static uint32_t family_count;
static struct table families_by_name;
static unsigned int readings;	 /* under way */
static struct series *graveyard; /* removed during one */
static _Atomic uint64_t series_dropped;

uint64_t metric_series_dropped(void)
{
	return atomic_load_explicit(&series_dropped, memory_order_relaxed);
}

/* --- families ------------------------------------------------------------ */

static atom_status add_family(const struct atom_metric_spec *spec,
			      uint32_t *family_r, struct atom_error *err)
{
	struct family *family = table_get_text(&families_by_name, spec->name);

	if (family) {
		*family_r = family->number;
		return metric_family_same(family, spec)
			       ? ATOM_OK
			       : atom_fail(err, ATOM_EEXIST,
					   "metric %s is declared already, "
					   "with another type, other labels or "
					   "other bounds",
					   spec->name);
	}
	if (family_count == METRIC_FAMILIES_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "metric %s: there are %d families already",
				 spec->name, METRIC_FAMILIES_MAX);
	family = metric_family_new(spec);
	if (!family || table_set(&families_by_name, family->name,
				 strlen(family->name), family, NULL)) {
		metric_family_free(family);
		return atom_fail(err, ATOM_ENOMEM, "metric %s: no memory",
				 spec->name);
	}
	family->number = family_count;
	families[family_count++] = family;
	*family_r = family->number;
	return ATOM_OK;
}

atom_status metric_declare(const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err)
{
	struct atom_metric_spec whole = *spec;
	atom_status status = metric_family_check_name(&whole, err);

	if (!status && whole.type != ATOM_METRIC_HISTOGRAM) {
		whole.bounds = NULL;
		whole.bound_count = 0;
	} else if (!status && whole.bound_count == 0) {
		whole.bounds = metric_duration_bounds;
		whole.bound_count = metric_duration_bound_count;
	}
	if (!status)
		status = metric_family_check_shape(&whole, err);
	if (status)
		return status;
	pthread_mutex_lock(&mutex);
	status = add_family(&whole, family_r, err);
	pthread_mutex_unlock(&mutex);
	return status;
}

void metric_allow(uint32_t family, size_t series_max)
{
	pthread_mutex_lock(&mutex);
	if (family < family_count)
		families[family]->series_max = series_max;
	pthread_mutex_unlock(&mutex);
}

atom_status metric_declare_all(const struct metric_declaration *rows,
			       size_t count, struct atom_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct atom_metric_spec spec = {
			.struct_size = sizeof(spec),
			.type = rows[i].type,
			.name = rows[i].name,
			.help = rows[i].help,
			.unit = rows[i].unit != NULL ? rows[i].unit : "",
			.label_names = rows[i].labels,
			.bounds = rows[i].bounds,
			.bound_count = rows[i].bound_count,
		};
		atom_status status =
			metric_declare(&spec, rows[i].family_r, err);

		if (status != ATOM_OK)
			return status;
		if (rows[i].series_max > 0)
			metric_allow(*rows[i].family_r, rows[i].series_max);
	}
	return ATOM_OK;
}

/* --- series -------------------------------------------------------------- */

/* Label values as the text format wants them; broken UTF-8, which would spoil
 * the whole scrape, becomes U+FFFD. */
static void append_label_value(struct buffer *out, const char *value)
{
	size_t left = strlen(value);

	while (left) {
		size_t length = text_utf8_length(value, left);

		if (*value == '\n')
			buffer_append_text(out, "\\n");
		else if (*value == '"' || *value == '\\')
			buffer_printf(out, "\\%c", *value);
		else if (length)
			buffer_append(out, value, length);
		else
			buffer_append_text(out, "\xef\xbf\xbd");
		value += length ? length : 1;
		left -= length ? length : 1;
	}
}

/* `key`: each value with its NUL.  False: a value is missing or too long, or
 * there is no memory. */
static bool make_key(const struct family *family,
		     const char *const *label_values, struct buffer *key)
{
	for (size_t i = 0; i < family->label_count; i++) {
		const char *value = label_values ? label_values[i] : NULL;

		if (!value || strlen(value) > LABEL_VALUE_MAX ||
		    buffer_append(key, value, strlen(value) + 1))
			return false;
	}
	return true;
}

static struct series *series_new(const struct family *family,
				 const struct buffer *key)
{
	struct buffer labels = BUFFER_INIT(16 * 1024);
	struct series *series = NULL;
	const char *value = key->bytes;

	buffer_reserve(&labels, 0);
	for (size_t i = 0; i < family->label_count; i++) {
		buffer_printf(&labels, "%c%s=\"", i ? ',' : '{',
			      family->label_names[i]);
		append_label_value(&labels, value);
		buffer_append_text(&labels, "\"");
		value += strlen(value) + 1;
	}
	if (family->label_count)
		buffer_append_char(&labels, '}');
	if (!labels.failed)
		series = mem_zalloc(sizeof(*series) + key->length +
				    labels.length + 1);
	if (series) {
		char *text = series->key + key->length;

		if (key->length)
			memcpy(series->key, key->bytes, key->length);
		memcpy(text, labels.bytes, labels.length + 1);
		series->key_length = key->length;
		series->labels = text;
		series->since_ms = os.realtime_ms();
	}
	buffer_fini(&labels);
	return series;
}

static metric_id take_spare(struct family *family)
{
	metric_id id;

	if (family->spare_count == 0 ||
	    os.monotonic_ns() / 1000000 - family->spares[0].since_ms <
		    SPARE_AFTER_MS)
		return 0;
	id = family->spares[0].id;
	memmove(family->spares, family->spares + 1,
		--family->spare_count * sizeof(*family->spares));
	metric_cells_clear(id);
	return id;
}

static void keep_spare(struct family *family, metric_id id)
{
	if (family->spare_count == family->spare_capacity) {
		size_t capacity = family->spare_capacity * 2 + 8;
		struct spare *spares =
			mem_realloc(family->spares, capacity * sizeof(*spares));

		if (!spares)
			return; /* its cells are never used again */
		family->spares = spares;
		family->spare_capacity = capacity;
	}
	family->spares[family->spare_count++] =
		(struct spare){ id, os.monotonic_ns() / 1000000 };
}

static bool room_for_series(struct family *family)
{
	if (family->series_count >= family->series_max)
		return false;
	if (family->series_count < family->series_capacity)
		return true;

	size_t capacity = family->series_capacity * 2 + 1;
	struct series **all =
		mem_realloc((void *)family->series, capacity * sizeof(*all));

	if (!all)
		return false;
	family->series = all;
	family->series_capacity = capacity;
	return true;
}

/* Takes `series` over, or frees it and returns NULL. */
static struct series *add_series(struct family *family, struct series *series)
{
	if (!series || !room_for_series(family) ||
	    table_set(&family->by_labels, series->key, series->key_length,
		      series, NULL)) {
		mem_free(series);
		return NULL;
	}
	family->series[family->series_count++] = series;
	return series;
}

static metric_id find_or_add(struct family *family, const struct buffer *key)
{
	struct series *series =
		table_get(&family->by_labels, key->bytes, key->length);

	if (series)
		return series->id;
	series = add_series(family, series_new(family, key));
	if (!series)
		return 0;
	series->id = take_spare(family);
	if (!series->id)
		series->id = metric_cells_new(family->type, family->buckets);
	return series->id;
}

metric_id metric_series(uint32_t family, const char *const *label_values)
{
	struct buffer key =
		BUFFER_INIT(METRIC_LABELS_MAX * (LABEL_VALUE_MAX + 1));
	metric_id id = 0;

	/* An empty key has bytes, too. */
	buffer_reserve(&key, 0);
	pthread_mutex_lock(&mutex);
	if (family < family_count && !key.failed &&
	    make_key(families[family], label_values, &key))
		id = find_or_add(families[family], &key);
	pthread_mutex_unlock(&mutex);
	buffer_fini(&key);
	if (id == 0)
		atomic_fetch_add_explicit(&series_dropped, 1,
					  memory_order_relaxed);
	return id;
}

/* Out of its family; NULL when it is not in it. */
static struct series *take_out(struct family *family, const struct buffer *key)
{
	struct series *series =
		table_remove(&family->by_labels, key->bytes, key->length);
	size_t at = 0;

	if (!series)
		return NULL;
	while (family->series[at] != series)
		at++;
	family->series_count--;
	memmove((void *)(family->series + at),
		(void *)(family->series + at + 1),
		(family->series_count - at) * sizeof(*family->series));
	return series;
}

void metric_remove(uint32_t family, const char *const *label_values)
{
	struct buffer key =
		BUFFER_INIT(METRIC_LABELS_MAX * (LABEL_VALUE_MAX + 1));
	struct series *series = NULL;

	buffer_reserve(&key, 0);
	pthread_mutex_lock(&mutex);
	if (family < family_count && !key.failed &&
	    make_key(families[family], label_values, &key))
		series = take_out(families[family], &key);
	if (series && series->id)
		keep_spare(families[family], series->id);
	if (series && readings) {
		series->next = graveyard;
		graveyard = TAKE(series);
	}
	pthread_mutex_unlock(&mutex);
	mem_free(series);
	buffer_fini(&key);
}

metric_id metric_single(int type, const char *name, const char *help)
{
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = help,
	};
	struct atom_error error = ATOM_ERROR_INIT;
	uint32_t family = 0;
	metric_id id = 0;

	if (metric_declare(&spec, &family, &error) == ATOM_OK)
		id = metric_series(family, NULL);
	if (!id)
		log_line(ATOM_LOG_WARN, "metric_missing",
			 "a metric could not be made", LOG_TEXT("metric", name),
			 LOG_TEXT("why", error.message));
	return id;
}

atom_status metric_gauge_callback(const char *name, const char *help,
				  double (*read)(void *argument),
				  void *argument)
{
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_GAUGE,
		.name = name,
		.help = help,
	};
	struct buffer key = BUFFER_INIT(1);
	struct series *series;
	uint32_t number = 0;
	atom_status status = metric_declare(&spec, &number, NULL);

	if (status)
		return status;
	if (buffer_reserve(&key, 0))
		return ATOM_ENOMEM;
	pthread_mutex_lock(&mutex);
	if (families[number]->series_count) {
		status = ATOM_EEXIST;
	} else {
		series = add_series(families[number],
				    series_new(families[number], &key));
		if (series) {
			series->read = read;
			series->argument = argument;
		} else {
			status = ATOM_ENOMEM;
		}
	}
	pthread_mutex_unlock(&mutex);
	buffer_fini(&key);
	return status;
}

/* --- readings ------------------------------------------------------------ */

static void free_series_list(struct series *series)
{
	while (series) {
		struct series *next = series->next;

		mem_free(series);
		series = next;
	}
}

void metric_reading_begin(struct reading *reading)
{
	*reading = (struct reading){ .family = NULL };
	pthread_mutex_lock(&mutex);
	readings++;
	pthread_mutex_unlock(&mutex);
}

bool metric_reading_next(struct reading *reading, uint32_t number)
{
	size_t wanted = 0;

	do {
		if (wanted > reading->capacity) {
			struct series **all = mem_realloc(
				(void *)reading->series, wanted * sizeof(*all));

			if (!all)
				return false;
			reading->series = all;
			reading->capacity = wanted;
		}
		pthread_mutex_lock(&mutex);
		reading->family =
			number < family_count ? families[number] : NULL;
		wanted = reading->family ? reading->family->series_count : 0;
		reading->count = wanted;
		if (wanted && wanted <= reading->capacity)
			memcpy((void *)reading->series,
			       (void *)reading->family->series,
			       wanted * sizeof(struct series *));
		pthread_mutex_unlock(&mutex);
	} while (wanted > reading->capacity);
	return reading->family != NULL;
}

void metric_reading_end(struct reading *reading)
{
	struct series *gone = NULL;

	pthread_mutex_lock(&mutex);
	if (--readings == 0)
		gone = TAKE(graveyard);
	pthread_mutex_unlock(&mutex);
	free_series_list(gone);
	mem_free((void *)reading->series);
}

/* --- life ---------------------------------------------------------------- */

atom_status metric_init(unsigned int serving_loops)
{
	return metric_shards_init(serving_loops);
}

void metric_fini(void)
{
	for (uint32_t i = 0; i < family_count; i++)
		metric_family_free(TAKE(families[i]));
	family_count = 0;
	table_fini(&families_by_name);
	metric_shards_fini();
	atomic_store(&series_dropped, 0);
}
