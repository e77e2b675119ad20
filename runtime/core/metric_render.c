/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The families as Prometheus' text format 0.0.4, or as OpenMetrics 1.0, which
 * differs in little: a counter's family is named without `_total`, units are
 * told, a bound is written as a float, quotes in help are escaped, buckets have
 * exemplars, and the text has an end.  `_created` is left out: Prometheus before 2.50 would store
 * it as another series of each.
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric_priv.h"
#include "core/text.h"

/* The shortest of 15 and 17 digits that reads back as the same number. */
void metric_format_number(double value, char text[METRIC_NUMBER_MAX])
{
	if (isnan(value)) {
		(void)snprintf(text, METRIC_NUMBER_MAX, "NaN");
	} else if (isinf(value)) {
		(void)snprintf(text, METRIC_NUMBER_MAX,
			       value > 0 ? "+Inf" : "-Inf");
	} else {
		(void)snprintf(text, METRIC_NUMBER_MAX, "%.15g", value);
		if (strtod(text, NULL) != value)
			(void)snprintf(text, METRIC_NUMBER_MAX, "%.17g", value);
	}
}

static void append_number(struct buffer *out, double value)
{
	char text[METRIC_NUMBER_MAX];

	/* Nearly every number is a count. */
	if (value >= 0 && value < 9007199254740992.0 &&
	    (double)(uint64_t)value == value) {
		buffer_append_u64(out, (uint64_t)value);
	} else {
		metric_format_number(value, text);
		buffer_append_text(out, text);
	}
}

/* Broken UTF-8, which would spoil the whole scrape, becomes U+FFFD. */
static void append_help(struct buffer *out, const char *help,
			enum metric_format format)
{
	size_t left = strlen(help);

	while (left) {
		size_t length = text_utf8_length(help, left);

		if (*help == '\n')
			buffer_append_text(out, "\\n");
		else if (*help == '\\')
			buffer_append_text(out, "\\\\");
		else if (*help == '"' && format == METRIC_OPENMETRICS)
			buffer_append_text(out, "\\\"");
		else if (length)
			buffer_append(out, help, length);
		else
			buffer_append_text(out, "\xef\xbf\xbd");
		help += length ? length : 1;
		left -= length ? length : 1;
	}
}

static bool ends_with(const char *name, size_t length, const char *end)
{
	const size_t end_length = strlen(end);

	return length > end_length &&
	       memcmp(name + length - end_length, end, end_length) == 0;
}

/* `# WORD NAME ` */
static void append_comment(struct buffer *out, const char *word,
			   const char *name, size_t length)
{
	buffer_append_text(out, word);
	buffer_append(out, name, length);
	buffer_append_char(out, ' ');
}

/* The unit is the name's last word, by the rule for names. */
static void append_unit(struct buffer *out, const char *name, size_t length)
{
	static const char *const words[] = { "_seconds", "_bytes", "_ratio",
					     "_celsius" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!ends_with(name, length, words[i]))
			continue;
		append_comment(out, "# UNIT ", name, length);
		buffer_append_text(out, words[i] + 1);
		buffer_append_char(out, '\n');
	}
}

static void append_head(struct buffer *out, const char *name, const char *help,
			int type, enum metric_format format)
{
	static const char *const types[] = {
		[ATOM_METRIC_COUNTER] = "counter",
		[ATOM_METRIC_GAUGE] = "gauge",
		[ATOM_METRIC_HISTOGRAM] = "histogram",
	};
	size_t length = strlen(name);

	if (format == METRIC_OPENMETRICS && ends_with(name, length, "_total"))
		length -= strlen("_total");
	append_comment(out, "# HELP ", name, length);
	append_help(out, help, format);
	buffer_append_char(out, '\n');
	append_comment(out, "# TYPE ", name, length);
	buffer_append_text(out, types[type]);
	buffer_append_char(out, '\n');
	if (format == METRIC_OPENMETRICS)
		append_unit(out, name, length);
}

static void append_sample(struct buffer *out, const char *name,
			  const char *suffix, const char *labels, double value)
{
	buffer_append_text(out, name);
	buffer_append_text(out, suffix);
	buffer_append_text(out, labels);
	buffer_append_char(out, ' ');
	append_number(out, value);
	buffer_append_char(out, '\n');
}

/* ` # {trace_id="...",request_id="..."} VALUE SECONDS` */
static void append_exemplar(struct buffer *out, struct exemplar_slot *slots,
			    size_t bucket)
{
	struct exemplar is;
	char value[METRIC_NUMBER_MAX];

	if (!exemplar_get(slots, bucket, &is))
		return;
	metric_format_number(is.value, value);
	buffer_append_text(out, " # {");
	if (is.trace_id[0] != '\0')
		buffer_printf(out, "trace_id=\"%s\"%s", is.trace_id,
			      is.request_id[0] != '\0' ? "," : "");
	if (is.request_id[0] != '\0')
		buffer_printf(out, "request_id=\"%s\"", is.request_id);
	buffer_printf(out, "} %s %" PRId64 ".%03d", value, is.time_ms / 1000,
		      (int)(is.time_ms % 1000));
}

static void append_histogram(struct buffer *out, const struct family *family,
			     char (*bounds)[METRIC_NUMBER_MAX],
			     const struct series *series,
			     enum metric_format format)
{
	struct exemplar_slot *exemplars = format == METRIC_OPENMETRICS
						  ? metric_exemplars(series->id)
						  : NULL;
	const size_t labels_length = strlen(series->labels);
	double counts[METRIC_BOUNDS_MAX + 1];
	double below = 0;

	metric_bucket_counts(series->id, counts);
	for (size_t i = 0; i <= family->bound_count; i++) {
		below += counts[i];
		buffer_append_text(out, family->name);
		buffer_append_text(out, "_bucket");
		/* Without the brace that ends them. */
		if (labels_length) {
			buffer_append(out, series->labels, labels_length - 1);
			buffer_append_char(out, ',');
		} else {
			buffer_append_char(out, '{');
		}
		buffer_append_text(out, "le=\"");
		buffer_append_text(out, bounds[i]);
		buffer_append_text(out, "\"} ");
		append_number(out, below);
		append_exemplar(out, exemplars, i);
		buffer_append_char(out, '\n');
	}
	append_sample(out, family->name, "_sum", series->labels,
		      metric_value(series->id));
	/* The last bucket and the count are one number, whatever is counted
	 * meanwhile. */
	append_sample(out, family->name, "_count", series->labels, below);
}

/* OpenMetrics writes a whole one as a float. */
static void format_bound(double bound, enum metric_format format,
			 char out[METRIC_NUMBER_MAX])
{
	size_t length;

	metric_format_number(bound, out);
	length = strlen(out);
	if (format == METRIC_OPENMETRICS && strpbrk(out, ".eIN") == NULL &&
	    length + 3 <= METRIC_NUMBER_MAX)
		memcpy(out + length, ".0", 3);
}

static void append_family(struct buffer *out, const struct reading *reading,
			  enum metric_format format)
{
	const struct family *family = reading->family;
	char bounds[METRIC_BOUNDS_MAX + 1][METRIC_NUMBER_MAX];

	/* Without a series yet, too: who reads finds every name there is. */
	for (size_t i = 0; i < family->bound_count; i++)
		format_bound(family->bounds[i], format, bounds[i]);
	metric_format_number(INFINITY, bounds[family->bound_count]);

	append_head(out, family->name, family->help, family->type, format);
	for (size_t i = 0; i < reading->count && !out->failed; i++) {
		const struct series *series = reading->series[i];

		if (family->type == ATOM_METRIC_HISTOGRAM && series->id)
			append_histogram(out, family, bounds, series, format);
		else if (series->id || series->read)
			append_sample(out, family->name, "", series->labels,
				      metric_read_series(series));
	}
}

/* What needs no family. */
static void append_plain(struct buffer *out, enum metric_format format)
{
	struct metric_plain all[METRIC_PLAIN_MAX];
	const size_t count = metric_read_plain(all);

	for (size_t i = 0; i < count; i++) {
		append_head(out, all[i].name, all[i].help, all[i].type, format);
		append_sample(out, all[i].name, "", "", all[i].value);
	}
}

atom_status metric_render(struct buffer *out, enum metric_format format)
{
	const size_t start = out->length;
	const bool failed_before = out->failed;
	atom_status status = ATOM_OK;
	struct reading reading;

	out->failed = false;
	metric_reading_begin(&reading);
	for (uint32_t i = 0; metric_reading_next(&reading, i); i++)
		append_family(out, &reading, format);
	/* It ends early only without memory for its list. */
	if (reading.family)
		status = ATOM_ENOMEM;
	metric_reading_end(&reading);
	append_plain(out, format);
	if (format == METRIC_OPENMETRICS)
		buffer_append_text(out, "# EOF\n");
	if (out->failed) {
		/* No piece is longer than a series' labels. */
		status = out->max - out->length < 16384 ? ATOM_ELIMIT
							: ATOM_ENOMEM;
		out->length = start;
		if (out->bytes)
			out->bytes[start] = '\0';
	}
	out->failed |= failed_before;
	return status;
}
