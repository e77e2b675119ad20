/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"
#include "core/log.h"
#include "keyring/keyring.h"

/* --- the daemon and its clock --------------------------------------------- */

struct os real_os;
int64_t now_ms;
static char folder[64];
char history_folder[96];
static struct keyring *keyring;

static int64_t fake_time(void)
{
	return now_ms;
}

void begin(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(metric_init(1), ATOM_OK);
	metric_attach(0);
	cr_assert_eq(history_init(history_folder, keyring, &err), ATOM_OK, "%s",
		     err.message);
}

void finish(void)
{
	history_fini();
	metric_fini();
}

void set_up(void)
{
	static const uint8_t kek[KEYRING_KEY_BYTES] = { 1 };
	struct atom_error err = ATOM_ERROR_INIT;
	char path[128];

	log_set_descriptor(-1);
	real_os = os;
	os.realtime_ms = fake_time;
	now_ms = START_MS;
	(void)snprintf(folder, sizeof(folder), "/tmp/test_history.XXXXXX");
	cr_assert(mkdtemp(folder));
	(void)snprintf(history_folder, sizeof(history_folder), "%s/history",
		       folder);
	(void)snprintf(path, sizeof(path), "%s/keyring", folder);
	cr_assert_eq(keyring_create(path, kek, true, &keyring, &err), ATOM_OK,
		     "%s", err.message);
	begin();
}

void tear_down(void)
{
	char command[128];

	finish();
	keyring_free(&keyring);
	os = real_os;
	health_fini();
	log_fini();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	cr_assert_eq(system(command), 0);
}

void tick(void)
{
	now_ms += HISTORY_RAW_MS;
	history_sample();
}

/* --- metrics -------------------------------------------------------------- */

const char *const agent_label[] = { "agent", NULL };
const char *const revision_labels[] = { "agent", "revision", NULL };

uint32_t family(int type, const char *name, const char *const *labels)
{
	static const double bounds[] = { 1, 5 };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = "help",
		.label_names = labels,
		.bounds = type == ATOM_METRIC_HISTOGRAM ? bounds : NULL,
		.bound_count = type == ATOM_METRIC_HISTOGRAM ? 2 : 0,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	uint32_t number;

	cr_assert_eq(metric_declare(&spec, &number, &err), ATOM_OK, "%s",
		     err.message);
	return number;
}

metric_id series(uint32_t number, const char *a, const char *b)
{
	const char *values[] = { a, b };

	return metric_series(number, values);
}

/* --- reading -------------------------------------------------------------- */

static char text[65536];
size_t visited;

int32_t on_series(void *argument, const struct atom_history_series *s,
		  const void *samples, size_t stride, size_t count)
{
	size_t length = strlen(text);

	visited++;
	length += (size_t)snprintf(text + length, sizeof(text) - length, "%s",
				   s->name);
	for (size_t i = 0; i < s->label_count; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   " %s=%s", s->labels[i].name,
					   s->labels[i].value);
	for (size_t i = 0; i < count; i++) {
		const struct atom_history_sample *at =
			(const void *)((const char *)samples + i * stride);

		length += (size_t)snprintf(
			text + length, sizeof(text) - length, " %g:%g",
			(double)(at->time_ms - START_MS) / HISTORY_RAW_MS,
			at->value);
		if (argument)
			length += (size_t)snprintf(text + length,
						   sizeof(text) - length,
						   "(%g,%g,%g)", at->lowest,
						   at->highest, at->mean);
	}
	(void)snprintf(text + length, sizeof(text) - length, "\n");
	return 0;
}

const char *read_query(struct atom_history_query *q)
{
	struct atom_error err = ATOM_ERROR_INIT;
	static int spread;

	text[0] = '\0';
	visited = 0;
	q->struct_size = sizeof(*q);
	if (q->to_ms == 0)
		q->to_ms = now_ms;
	cr_assert_eq(history_read(q, on_series,
				  q->resolution == ATOM_HISTORY_ROLLED ? &spread
								       : NULL,
				  &err),
		     ATOM_OK, "%s", err.message);
	return text;
}

const char *read_name(const char *name)
{
	return read_query(&(struct atom_history_query){
		.name = name, .resolution = ATOM_HISTORY_RAW });
}
