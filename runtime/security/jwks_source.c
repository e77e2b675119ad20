/* SPDX-License-Identifier: Apache-2.0 */
#include "security/jwks_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <atomd/host.h>

#include "core/buffer.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "http/client.h"

#define FLOOR_MS   10000
#define CONNECT_MS 5000
#define TOTAL_MS   20000

struct jwks_source {
	char *issuer;
	char *where; /* path or URL */
	char *ca_file;
	int64_t refresh_ms;
	int64_t max_stale_ms;
	void (*changed)(void);
	struct jwks *keys;
	uint8_t text_hash[32]; /* of the text that `keys` came from */
	struct timer timer;
	struct timer stale;
	bool attempted;
	bool busy;
	bool orphan; /* to be freed when the pool is done with it */
	int64_t attempted_ms;
	unsigned int failures; /* in a row */
	char error[ATOM_ERROR_MESSAGE_MAX];
	metric_id results[2]; /* ok, failed */
	/* An attempt. */
	struct work work;
	atom_status read_status;
	struct atom_error read_error;
	struct atom_http_transfer *transfer;
	int32_t http_status;
	struct buffer body;
};

static uint32_t refreshes;
static uint32_t key_counts;
static uint32_t successes;

/* --- what is counted ------------------------------------------------------------ */

static atom_status declare(int type, const char *name, const char *help,
			   const char *const *labels, uint32_t *family_r,
			   struct atom_error *err)
{
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = help,
		.unit = "",
		.label_names = labels,
	};

	return metric_declare(&spec, family_r, err);
}

atom_status jwks_source_init(struct atom_error *err)
{
	static const char *const plain[] = { "issuer", NULL };
	static const char *const results[] = { "issuer", "result", NULL };
	atom_status status;

	status = declare(ATOM_METRIC_COUNTER, "atomd_jwks_refreshes_total",
			 "Attempts to read the keys of an issuer of tokens.",
			 results, &refreshes, err);
	if (status == ATOM_OK)
		status = declare(ATOM_METRIC_GAUGE, "atomd_jwks_keys",
				 "Usable keys of an issuer of tokens.", plain,
				 &key_counts, err);
	if (status == ATOM_OK)
		status = declare(ATOM_METRIC_GAUGE,
				 "atomd_jwks_last_success_timestamp_seconds",
				 "When the keys of an issuer were last read.",
				 plain, &successes, err);
	return status;
}

static void show_keys(const struct jwks_source *s)
{
	const char *const labels[] = { s->issuer, NULL };

	metric_set(metric_series(key_counts, labels),
		   (double)jwks_count(s->keys));
}

static void count_success(const struct jwks_source *s)
{
	const char *const labels[] = { s->issuer, NULL };

	metric_inc(s->results[0]);
	metric_set(metric_series(successes, labels),
		   (double)os.realtime_ms() / 1000);
}

void jwks_source_forget(const char *issuer)
{
	const char *const plain[] = { issuer, NULL };
	const char *const ok[] = { issuer, "ok", NULL };
	const char *const failed[] = { issuer, "failed", NULL };

	metric_remove(key_counts, plain);
	metric_remove(successes, plain);
	metric_remove(refreshes, ok);
	metric_remove(refreshes, failed);
}

/* --- the outcome of an attempt ---------------------------------------------------- */

static bool is_url(const char *where)
{
	return strncasecmp(where, "https://", 8) == 0 ||
	       strncasecmp(where, "http://", 7) == 0;
}

/* ATOM_OK also when the keys are the same as before; *changed_r says. */
static atom_status take_text(struct jwks_source *s, bool *changed_r,
			     struct atom_error *err)
{
	struct jwks *keys = NULL;
	uint8_t hash[32];
	atom_status status;

	*changed_r = false;
	if (!jwk_sha256(s->body.bytes, s->body.length, hash))
		return atom_fail(err, ATOM_ENOMEM, "no memory for keys");
	if (s->keys != NULL && memcmp(hash, s->text_hash, sizeof(hash)) == 0)
		return ATOM_OK;
	status = jwks_parse(s->body.bytes, s->body.length, &keys, err);
	if (status != ATOM_OK)
		return status;
	jwks_unref(&s->keys);
	s->keys = keys;
	memcpy(s->text_hash, hash, sizeof(hash));
	*changed_r = true;
	return ATOM_OK;
}

/* Told once they are in force, as all that is told here. */
static void tell_loaded(const struct jwks_source *s)
{
	log_line(ATOM_LOG_INFO, "jwks_loaded", "new keys of an issuer",
		 LOG_TEXT("issuer", s->issuer),
		 LOG_NUMBER("keys", jwks_count(s->keys)),
		 LOG_NUMBER("left_out", jwks_skipped(s->keys)));
}

static int64_t floor_ms(const struct jwks_source *s)
{
	return s->refresh_ms < FLOOR_MS ? s->refresh_ms : FLOOR_MS;
}

/* Up to `refresh`. */
static int64_t retry_ms(const struct jwks_source *s)
{
	unsigned int doublings = s->failures < 16 ? s->failures - 1 : 15;
	int64_t ms = floor_ms(s) << doublings;

	return ms < s->refresh_ms ? ms : s->refresh_ms;
}

static void succeed(struct jwks_source *s)
{
	if (s->failures > 0)
		log_line(ATOM_LOG_INFO, "jwks_recovered",
			 "the keys of an issuer can be read again",
			 LOG_TEXT("issuer", s->issuer));
	s->failures = 0;
	s->error[0] = '\0';
	count_success(s);
	show_keys(s);
	(void)timer_set(loop_control(), &s->stale, s->max_stale_ms);
	(void)timer_set(loop_control(), &s->timer, s->refresh_ms);
}

static void fail(struct jwks_source *s, const struct atom_error *err)
{
	s->failures++;
	(void)snprintf(s->error, sizeof(s->error), "%s", err->message);
	metric_inc(s->results[1]);
	show_keys(s);
	log_line(ATOM_LOG_WARN, "jwks_failed", err->message,
		 LOG_TEXT("issuer", s->issuer),
		 LOG_NUMBER("retry_ms", retry_ms(s)),
		 LOG_NUMBER("keys_kept", jwks_count(s->keys)));
	(void)timer_set(loop_control(), &s->timer, retry_ms(s));
}

/* The body is here, or `status` says why not. */
static void attempt_end(struct jwks_source *s, atom_status status,
			struct atom_error *err)
{
	char before[sizeof(s->error)];
	bool changed = false;

	memcpy(before, s->error, sizeof(before));
	s->busy = false;
	if (status == ATOM_OK)
		status = take_text(s, &changed, err);
	buffer_fini(&s->body);
	if (status == ATOM_OK)
		succeed(s);
	else
		fail(s, err);
	/* Health wants to hear of failures too, of others, and of their end. */
	if (changed || strcmp(before, s->error) != 0)
		s->changed();
	if (changed)
		tell_loaded(s);
}

static void on_stale(struct timer *timer)
{
	struct jwks_source *s = CONTAINER_OF(timer, struct jwks_source, stale);

	jwks_unref(&s->keys);
	show_keys(s);
	s->changed();
	log_line(ATOM_LOG_ERROR, "jwks_stale",
		 "the keys of an issuer could not be read for too long: its "
		 "tokens are refused",
		 LOG_TEXT("issuer", s->issuer),
		 LOG_NUMBER("max_stale_ms", s->max_stale_ms));
}

/* --- from a file ------------------------------------------------------------------- */

static atom_status read_all(int fd, const char *path, struct buffer *out,
			    struct atom_error *err)
{
	struct stat about;
	char bytes[8192];
	ssize_t n;

	if (os.fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
		return atom_fail(err, ATOM_EINVAL, "%s is no regular file",
				 path);
	while ((n = os.read(fd, bytes, sizeof(bytes))) > 0)
		if (buffer_append(out, bytes, (size_t)n) != ATOM_OK)
			return atom_fail(err, ATOM_ELIMIT, "%s is over %zu KiB",
					 path, JWKS_BYTES_MAX / 1024);
	return n == 0 ? ATOM_OK
		      : atom_fail(err, ATOM_EIO, "read %s: %s", path,
				  strerror(errno));
}

/* [pool] or [control] */
static atom_status read_file(const char *path, struct buffer *out,
			     struct atom_error *err)
{
	/* Without O_NONBLOCK a FIFO would hold us. */
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	atom_status status;

	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "open %s: %s", path,
				 strerror(errno));
	status = read_all(fd, path, out, err);
	(void)os.close(fd);
	return status;
}

static void on_pool(struct work *work)
{
	struct jwks_source *s = CONTAINER_OF(work, struct jwks_source, work);

	s->read_status = read_file(s->where, &s->body, &s->read_error);
}

static void source_free_now(struct jwks_source *s)
{
	jwks_unref(&s->keys);
	buffer_fini(&s->body);
	mem_free(s->issuer);
	mem_free(s->where);
	mem_free(s->ca_file);
	mem_free(s);
}

static void on_pool_done(struct work *work, atom_status status)
{
	struct jwks_source *s = CONTAINER_OF(work, struct jwks_source, work);

	if (s->orphan) {
		source_free_now(s);
	} else if (status == ATOM_OK) {
		attempt_end(s, s->read_status, &s->read_error);
	} else {
		s->busy = false;
		buffer_fini(&s->body);
	}
}

static atom_status start_read(struct jwks_source *s, struct atom_error *err)
{
	s->work.run = on_pool;
	s->work.done = on_pool_done;
	s->read_error = (struct atom_error)ATOM_ERROR_INIT;
	return work_submit(loop_control(), &s->work) == ATOM_OK
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM, "no memory to read %s",
				   s->where);
}

/* --- from a server ------------------------------------------------------------------- */

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct jwks_source *s = argument;

	(void)transfer;
	s->http_status = status;
}

static void on_body(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	struct jwks_source *s = argument;

	(void)transfer;
	/* What does not fit shows in `failed`; the client has the same limit. */
	(void)buffer_append(&s->body, bytes, length);
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct jwks_source *s = argument;
	struct atom_error err = ATOM_ERROR_INIT;

	(void)request_sent;
	s->transfer = NULL;
	if (status == ATOM_ECANCELED) {
		s->busy = false;
		buffer_fini(&s->body);
		return;
	}
	if (status != ATOM_OK)
		err = *error;
	else if (s->http_status != 200)
		status = atom_fail(&err, ATOM_EPROTO,
				   "%s answered %d; expected 200 and a JWK set",
				   s->where, (int)s->http_status);
	else if (s->body.failed)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory for keys");
	attempt_end(s, status, &err);
}

static atom_status start_fetch(struct jwks_source *s, struct atom_error *err)
{
	static const struct atom_http_events events = {
		.struct_size = sizeof(events),
		.head = on_head,
		.data = on_body,
		.end = on_end,
	};
	static const char *const headers[] = {
		"Accept: application/jwk-set+json, application/json"
	};
	const struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "GET",
		.url = s->where,
		.headers = headers,
		.header_count = ARRAY_SIZE(headers),
		.ca_file = *s->ca_file != '\0' ? s->ca_file : NULL,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.answer_max = JWKS_BYTES_MAX,
	};

	s->http_status = 0;
	return http_client_service()->start(NULL, &request, &events, s,
					    &s->transfer, err);
}

/* --- when ------------------------------------------------------------------------------ */

static void on_time(struct timer *timer)
{
	struct jwks_source *s = CONTAINER_OF(timer, struct jwks_source, timer);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (s->busy)
		return;
	s->busy = true;
	s->attempted = true;
	s->attempted_ms = loop_now_ms(loop_control());
	buffer_init(&s->body, JWKS_BYTES_MAX);
	status = is_url(s->where) ? start_fetch(s, &err) : start_read(s, &err);
	if (status == ATOM_ECANCELED)
		s->busy = false; /* the daemon is stopping */
	else if (status != ATOM_OK)
		attempt_end(s, status, &err);
}

static void set_times(struct jwks_source *s, const struct config_jwt *config)
{
	s->refresh_ms = config->refresh_ms;
	s->max_stale_ms = config->max_stale_ms;
}

static atom_status read_first(struct jwks_source *s, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	bool changed;
	atom_status status;

	buffer_init(&s->body, JWKS_BYTES_MAX);
	status = read_file(s->where, &s->body, &why);
	if (status == ATOM_OK)
		status = take_text(s, &changed, &why);
	buffer_fini(&s->body);
	if (status != ATOM_OK)
		return atom_fail(err, status,
				 "security.jwt: the keys of %.200s: %.250s",
				 s->issuer, why.message);
	if (changed)
		tell_loaded(s);
	s->attempted = true;
	s->attempted_ms = loop_now_ms(loop_control());
	succeed(s);
	return ATOM_OK;
}

atom_status jwks_source_check(const struct config_jwt *config,
			      struct atom_error *err)
{
	struct buffer text = BUFFER_INIT(JWKS_BYTES_MAX);
	struct atom_error why = ATOM_ERROR_INIT;
	struct jwks *keys = NULL;
	atom_status status;

	if (is_url(config->jwks))
		return ATOM_OK;
	status = read_file(config->jwks, &text, &why);
	if (status == ATOM_OK)
		status = jwks_parse(text.bytes, text.length, &keys, &why);
	jwks_unref(&keys);
	buffer_fini(&text);
	if (status != ATOM_OK)
		(void)atom_fail(err, status,
				"security.jwt: the keys of %.200s: %.250s",
				config->issuer, why.message);
	return status;
}

atom_status jwks_source_new(const struct config_jwt *config,
			    void (*changed)(void),
			    struct jwks_source **source_r,
			    struct atom_error *err)
{
	const char *const ok[] = { config->issuer, "ok", NULL };
	const char *const failed[] = { config->issuer, "failed", NULL };
	struct jwks_source *s = mem_zalloc(sizeof(*s));
	atom_status status = ATOM_OK;

	if (s == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for keys");
	s->issuer = mem_strdup(config->issuer);
	s->where = mem_strdup(config->jwks);
	s->ca_file = mem_strdup(config->ca_file);
	s->changed = changed;
	s->timer.fire = on_time;
	s->stale.fire = on_stale;
	set_times(s, config);
	if (s->issuer == NULL || s->where == NULL || s->ca_file == NULL) {
		source_free_now(s);
		return atom_fail(err, ATOM_ENOMEM, "no memory for keys");
	}
	s->results[0] = metric_series(refreshes, ok);
	s->results[1] = metric_series(refreshes, failed);
	if (is_url(s->where))
		status = timer_set(loop_control(), &s->timer, 0);
	else
		status = read_first(s, err);
	if (status != ATOM_OK)
		jwks_source_free(&s);
	else
		*source_r = s;
	return status;
}

void jwks_source_free(struct jwks_source **source)
{
	struct jwks_source *s = TAKE(*source);

	if (s == NULL)
		return;
	timer_stop(&s->timer);
	timer_stop(&s->stale);
	if (s->transfer != NULL)
		http_client_service()->cancel(s->transfer);
	if (s->busy)
		s->orphan = true;
	else
		source_free_now(s);
}

bool jwks_source_fits(const struct jwks_source *s,
		      const struct config_jwt *config)
{
	return strcmp(s->issuer, config->issuer) == 0 &&
	       strcmp(s->where, config->jwks) == 0 &&
	       strcmp(s->ca_file, config->ca_file) == 0;
}

void jwks_source_renew(struct jwks_source *s, const struct config_jwt *config)
{
	int64_t since_ms = loop_now_ms(loop_control()) - s->attempted_ms;

	set_times(s, config);
	if (s->busy || !s->attempted)
		return;
	(void)timer_set(loop_control(), &s->timer,
			since_ms < floor_ms(s) ? floor_ms(s) - since_ms : 0);
}

struct jwks *jwks_source_keys(const struct jwks_source *s)
{
	return s->keys;
}

const char *jwks_source_error(const struct jwks_source *s)
{
	return s->error;
}
