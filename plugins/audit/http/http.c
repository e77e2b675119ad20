/* SPDX-License-Identifier: Apache-2.0 */

/* audit/http: audit records in batches to an HTTP receiver, with a spill on
 * disk for the time when it is away. */

#include "plugins/audit/http/http_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "plugins/audit/remote/deadline.h"
#include "plugins/audit/remote/path.h"
#include "plugins/audit/remote/text.h"

#define FIRST_RETRY_MS 500

static const char *const formats[] = { "ndjson", "json", NULL };

static const struct atom_option http_options[] = {
	ATOM_OPTION_STRING(struct http_options, url, "", ATOM_REQUIRED,
			   "where batches are posted, http:// or https://"),
	ATOM_OPTION_STRING(struct http_options, spill, "", ATOM_REQUIRED,
			   "folder of its own for what waits and for the "
			   "position; made when absent"),
	ATOM_OPTION_SIZE(struct http_options, spill_size, "64M", 1048576,
			 1099511627776, 0,
			 "most that may wait on disk; beyond it no more is "
			 "taken"),
	ATOM_OPTION_CHOICE(struct http_options, format, "ndjson", formats, 0,
			   "one JSON document a line, or one JSON array"),
	ATOM_OPTION_MAP(struct http_options, headers, 0, 32, 0,
			"further header fields of every request"),
	ATOM_OPTION_SECRET(struct http_options, authorization, 0,
			   "value of the header field Authorization, such as "
			   "\"Bearer ...\""),
	ATOM_OPTION_SECRET(struct http_options, signature_key, 0,
			   "signs every request by HMAC-SHA256; empty: none"),
	ATOM_OPTION_INT_UNIT(struct http_options, batch_records, "500", 1,
			     10000, 0, "records", "most in one request"),
	ATOM_OPTION_SIZE(struct http_options, batch_size, "1M", 4096, 16777216,
			 0, "longest request; a longer record goes alone"),
	ATOM_OPTION_DURATION(struct http_options, timeout, "4s", 10, 300000, 0,
			     "longest wait for the receiver at a time"),
	ATOM_OPTION_DURATION(struct http_options, connect_timeout, "2s", 10,
			     300000, 0, "of it, to be connected"),
	ATOM_OPTION_DURATION(struct http_options, retry_max, "1m", 10, 3600000,
			     0,
			     "longest pause between tries, and the pause after "
			     "a refusal"),
	ATOM_OPTION_STRING(struct http_options, ca_file, "", 0,
			   "authorities that may sign the receiver's "
			   "certificate; empty: the system's"),
	ATOM_OPTION_STRING(struct http_options, certificate, "", 0,
			   "our own certificate, when the receiver asks for "
			   "one: PEM, with the chain"),
	ATOM_OPTION_STRING(struct http_options, key, "", 0,
			   "its private key; empty: in the same file"),
	ATOM_OPTION_BOOL(struct http_options, verify, "true", 0,
			 "verify the receiver's certificate and name"),
	ATOM_OPTION_STRING(struct http_options, proxy, "", 0,
			   "URL of a proxy; the environment is not asked"),
};

/* --- life ------------------------------------------------------------------ */

static atom_status check_options(const struct http_options *options,
				 struct atom_error *err)
{
	atom_status status = ATOM_OK;

	if (*options->spill == '\0')
		return atom_fail(err, ATOM_EINVAL, "option `spill` is empty");
	if (options->spill_size < 4 * options->batch_size)
		return atom_fail(err, ATOM_EINVAL,
				 "option `spill_size`: expected at least four "
				 "times batch_size");
	for (size_t i = 0; i < options->headers.count && status == ATOM_OK; i++)
		status = poster_check_header(options->headers.items[i].key,
					     options->headers.items[i].value,
					     err);
	for (const char *at = options->authorization;
	     *at != '\0' && status == ATOM_OK; at++)
		if ((unsigned char)*at < 32 || *at == 127)
			status = atom_fail(err, ATOM_EINVAL,
					   "option `authorization` holds "
					   "control bytes; a line end at the "
					   "end of its file, perhaps");
	return status;
}

static void note_damage(void *argument, const char *path, uint64_t at,
			uint64_t lost)
{
	struct http_sink *sink = argument;
	char message[256];

	if (lost == 0) {
		(void)snprintf(message, sizeof(message),
			       "spill file %s ends in a torn entry at byte "
			       "%" PRIu64 ", which was never acknowledged",
			       path, at);
		report_log(&sink->report, ATOM_LOG_INFO, "audit_spill_torn",
			   message, "lost", 0);
		return;
	}
	(void)snprintf(message, sizeof(message),
		       "spill file %s: entries at or before byte %" PRIu64
		       " are damaged or missing; the receiver will not get "
		       "them",
		       path, at);
	report_log(&sink->report, ATOM_LOG_ERROR, "audit_spill_damaged",
		   message, "lost", (int64_t)lost);
	report_add(&sink->report, REPORT_DROPPED, lost);
}

static atom_status make_settings(struct http_sink *sink, struct atom_error *err)
{
	const struct http_options *options = sink->options;

	sink->ca_file = absolute_path(sink->host, options->ca_file);
	sink->certificate = absolute_path(sink->host, options->certificate);
	sink->key = absolute_path(sink->host, options->key);
	if (sink->ca_file == NULL || sink->certificate == NULL ||
	    sink->key == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	sink->settings = (struct poster_settings){
		.url = options->url,
		.headers = &options->headers,
		.authorization = options->authorization,
		.signature_key = options->signature_key,
		.ca_file = sink->ca_file,
		.certificate = sink->certificate,
		.key = sink->key,
		.proxy = options->proxy,
		.connect_timeout = options->connect_timeout,
		.verify = options->verify,
		.array = options->format == 1,
		.stop = &sink->stop,
	};
	return ATOM_OK;
}

static atom_status open_spill(struct http_sink *sink, struct atom_error *err)
{
	char *folder = absolute_path(sink->host, sink->options->spill);
	const struct spill_sealer sealer = {
		.host = sink->host,
		.seal = atom_service(sink->host, ATOM_SEAL),
	};
	atom_status status;

	if (folder == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = spill_open(&sink->spill, folder, &sealer,
			    (uint64_t)sink->options->spill_size, note_damage,
			    sink, &sink->position_file, &sink->position, err);
	free(folder);
	if (status == ATOM_OK)
		report_waiting(&sink->report, sink->spill.bytes);
	return status;
}

static atom_status start(struct http_sink *sink, struct atom_error *err)
{
	pthread_condattr_t monotonic;
	atom_status status;

	sink->threads = atom_service(sink->host, ATOM_THREAD);
	if (sink->threads == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "this daemon has no service %s", ATOM_THREAD);
	status = make_settings(sink, err);
	if (status == ATOM_OK)
		status = poster_new(&sink->settings, &sink->poster, err);
	if (status == ATOM_OK)
		status =
			poster_new(&sink->settings, &sink->courier_poster, err);
	if (status == ATOM_OK)
		status = open_spill(sink, err);
	if (status != ATOM_OK)
		return status;
	sink->ordinal = sink->position.taken;
	(void)pthread_mutex_init(&sink->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sink->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	status = sink->threads->create(sink->host, "audit-http",
				       delivery_run_courier, sink,
				       &sink->courier, err);
	if (status == ATOM_OK)
		return status;
	(void)pthread_cond_destroy(&sink->changed);
	(void)pthread_mutex_destroy(&sink->lock);
	position_close(&sink->position_file);
	spill_close(&sink->spill);
	return status;
}

static void free_sink(struct http_sink *sink)
{
	poster_free(&sink->poster);
	poster_free(&sink->courier_poster);
	pack_fini(&sink->pending);
	pack_fini(&sink->courier_pack);
	body_fini(&sink->body);
	body_fini(&sink->courier_body);
	free(sink->ca_file);
	free(sink->certificate);
	free(sink->key);
	free(sink);
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct http_sink *sink = calloc(1, sizeof(*sink));
	char target[256];
	atom_status status;

	if (sink == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	sink->options = options;
	sink->host = host;
	sink->batch_records = (size_t)sink->options->batch_records;
	backoff_init(&sink->backoff,
		     FIRST_RETRY_MS < sink->options->retry_max
			     ? FIRST_RETRY_MS
			     : sink->options->retry_max,
		     sink->options->retry_max);
	status = check_options(sink->options, err);
	if (status == ATOM_OK)
		status = poster_check_url(sink->options->url, target, err);
	if (status == ATOM_OK)
		status = report_init(&sink->report, host, target, err);
	if (status == ATOM_OK) {
		status = start(sink, err);
		if (status != ATOM_OK)
			report_fini(&sink->report);
	}
	if (status == ATOM_OK)
		*self_r = sink;
	else
		free_sink(sink);
	return status;
}

static int64_t deadline_of(const struct http_sink *sink)
{
	return monotonic_ms() + sink->options->timeout;
}

static void destroy(void *self)
{
	struct http_sink *sink = self;
	struct atom_error error = ATOM_ERROR_INIT;

	if (delivery_flush(sink, deadline_of(sink), &error) != ATOM_OK) {
		report_add(&sink->report, REPORT_DROPPED, sink->pending.count);
		report_log(&sink->report, ATOM_LOG_ERROR,
			   "audit_records_dropped", error.message, "records",
			   (int64_t)sink->pending.count);
	}
	(void)pthread_mutex_lock(&sink->lock);
	atomic_store(&sink->stop, true);
	(void)pthread_cond_signal(&sink->changed);
	(void)pthread_mutex_unlock(&sink->lock);
	sink->threads->join(sink->host, &sink->courier);
	(void)pthread_cond_destroy(&sink->changed);
	(void)pthread_mutex_destroy(&sink->lock);
	position_close(&sink->position_file);
	spill_close(&sink->spill);
	report_fini(&sink->report);
	free_sink(sink);
}

/* --- records --------------------------------------------------------------- */

/* Into `pending`; makes room first. */
static atom_status take(struct http_sink *sink, struct entry *entry,
			int64_t deadline, struct atom_error *err)
{
	atom_status status = ATOM_OK;

	if (!delivery_has_room(sink, entry_size(entry)))
		status = delivery_flush(sink, deadline, err);
	entry->ordinal = sink->ordinal + 1;
	if (status == ATOM_OK)
		status = pack_add(&sink->pending, entry, err);
	if (status == ATOM_OK)
		sink->ordinal++;
	return status;
}

static atom_status take_record(struct http_sink *sink,
			       const struct atom_audit_record *record,
			       int64_t deadline, struct atom_error *err)
{
	struct entry entry = {
		.kind = ENTRY_RECORD,
		.sequence = record->sequence,
		.hash = record->hash,
	};
	size_t room = record->json.length + 160, used;
	char hash[HEX32_SIZE], *line = malloc(room);
	atom_status status;

	if (line == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	hex32(hash, record->hash);
	used = (size_t)snprintf(line, room,
				"{\"hash\":\"%s\",\"record\":", hash);
	memcpy(line + used, record->json.bytes, record->json.length);
	used += record->json.length;
	used += (size_t)snprintf(line + used, room - used,
				 ",\"sequence\":%" PRIu64
				 ",\"type\":\"record\"}",
				 record->sequence);
	entry.line = (struct atom_span){ line, used };
	status = take(sink, &entry, deadline, err);
	free(line);
	return status;
}

/* A record that was taken before, from a call that failed after it, is not
 * taken again. */
static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct http_sink *sink = self;
	int64_t deadline = deadline_of(sink);

	for (size_t i = 0; i < count; i++) {
		const struct atom_audit_record *record =
			(const void *)((const char *)records + i * stride);
		atom_status status;

		if (record->sequence <= sink->given)
			continue;
		status = take_record(sink, record, deadline, err);
		if (status != ATOM_OK)
			return status;
		sink->given = record->sequence;
	}
	return ATOM_OK;
}

static atom_status sync_records(void *self, struct atom_error *err)
{
	struct http_sink *sink = self;

	return delivery_flush(sink, deadline_of(sink), err);
}

static atom_status checkpoint(void *self,
			      const struct atom_audit_checkpoint *head,
			      struct atom_error *err)
{
	struct http_sink *sink = self;
	int64_t deadline = deadline_of(sink);
	struct entry entry = {
		.kind = ENTRY_CHECKPOINT,
		.range_count = head->range_count,
		.sequence = head->sequence,
		.hash = head->hash,
		.range = head->range,
	};
	const struct atom_span verifier = { head->verifier,
					    strlen(head->verifier) };
	char hash[HEX32_SIZE], *line;
	size_t room = JSON_STRING_MAX(head->note.length) +
		      JSON_STRING_MAX(verifier.length) + 256;
	atom_status status;
	size_t used;

	line = malloc(room);
	if (line == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	hex32(hash, head->hash);
	used = (size_t)snprintf(line, room, "{\"checkpoint\":");
	used += json_ascii(line + used, &head->note);
	used += (size_t)snprintf(line + used, room - used,
				 ",\"hash\":\"%s\",\"sequence\":%" PRIu64
				 ",\"type\":\"checkpoint\",\"verifier\":",
				 hash, head->sequence);
	used += json_ascii(line + used, &verifier);
	line[used++] = '}';
	entry.line = (struct atom_span){ line, used };
	status = take(sink, &entry, deadline, err);
	free(line);
	if (status == ATOM_OK)
		status = delivery_flush(sink, deadline, err);
	return status;
}

static atom_status last(void *self, struct atom_audit_position *position_r,
			struct atom_error *err)
{
	struct http_sink *sink = self;

	(void)err;
	(void)pthread_mutex_lock(&sink->lock);
	position_r->sequence = sink->position.sequence;
	position_r->checkpoint = sink->position.checkpoint;
	position_r->range_count = sink->position.range_count;
	memcpy(position_r->hash, sink->position.hash, sizeof(position_r->hash));
	memcpy(position_r->range, sink->position.range,
	       sizeof(position_r->range));
	(void)pthread_mutex_unlock(&sink->lock);
	return ATOM_OK;
}

/* --- the plugin ------------------------------------------------------------ */

/* The daemon has set libcurl up before; this counts one user more.  It may
 * run beside other threads only where libcurl says so (all builds since 7.84
 * on machines with atomic operations). */
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	const curl_version_info_data *version =
		curl_version_info(CURLVERSION_NOW);

	(void)host;
	if ((version->features & CURL_VERSION_THREADSAFE) == 0)
		return atom_fail(err, ATOM_ENOTSUP,
				 "libcurl %s cannot be set up beside other "
				 "threads; 7.84 or newer can",
				 version->version);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return atom_fail(err, ATOM_ENOMEM, "libcurl has no memory");
	return ATOM_OK;
}

static void fini(void)
{
	curl_global_cleanup();
}

static const struct atom_audit_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.write = write_records,
	.sync = sync_records,
	.checkpoint = checkpoint,
	.last = last,
};

ATOM_PLUGIN_FULL("http", "1.0.0", "Apache-2.0", 0, init, fini,
		 ATOM_COMPONENT(ATOM_KIND_AUDIT, "http",
				"audit records in batches to an HTTP receiver",
				&ops, http_options, struct http_options));
