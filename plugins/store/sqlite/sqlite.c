/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component `store/sqlite`: its options, its life, its table.
 */
#include "store_priv.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct atom_option options_table[] = {
	ATOM_OPTION_STRING(struct store_options, directory, "", 0,
		"folder of the database; made with mode 0700 when absent"),
	ATOM_OPTION_DURATION(struct store_options, busy_timeout, "5s",
		0, 60000, 0,
		"how long to wait for a lock or for a free reader"),
	ATOM_OPTION_SIZE(struct store_options, checkpoint_size, "4M",
		65536, 1073741824, 0,
		"write-ahead log to gather before it is moved into the database"),
	ATOM_OPTION_SIZE(struct store_options, cache_size, "2M",
		65536, 1073741824, 0,
		"page cache of the writer; each reader has a quarter"),
	ATOM_OPTION_SIZE(struct store_options, max_size, "0",
		0, 1e15, 0,
		"largest size of the database; 0 = as the disk allows"),
	ATOM_OPTION_INT(struct store_options, readers, "4",
		1, STORE_READERS_MAX, 0,
		"connections that may read at once"),
	ATOM_OPTION_DURATION(struct store_options, check_time, "10s",
		0, 3600000, 0,
		"time for the integrity check at start; 0 = no check"),
};
/* clang-format on */

void store_log(struct store *s, int32_t level, const char *event,
	       const char *message)
{
	const struct atom_log_field fields[] = {
		{ "file", s->path, 0 },
	};

	if (s->log)
		s->log->write(s->host, level, event, message, fields, 1);
}

atom_status store_name_check(const char *what, const char *name,
			     struct atom_error *err)
{
	size_t length = name ? strnlen(name, ATOM_STORE_BUCKET_MAX + 1) : 0;

	if (length < 1 || length > ATOM_STORE_BUCKET_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") < length)
		return atom_fail(err, ATOM_EINVAL,
				 "\"%.*s\" is no name of a %s: expected 1 to "
				 "%d of a-z 0-9 _ . -",
				 ATOM_STORE_BUCKET_MAX, name ? name : "", what,
				 ATOM_STORE_BUCKET_MAX);
	return ATOM_OK;
}

void store_note_damage(struct store *s, atom_status status,
		       const struct atom_error *err)
{
	bool first;

	if (status != ATOM_EDATALOSS)
		return;
	(void)pthread_mutex_lock(&s->damage_lock);
	first = !s->damaged;
	if (first) {
		s->damaged = true;
		s->damage = *err;
	}
	(void)pthread_mutex_unlock(&s->damage_lock);
	if (first)
		store_log(s, ATOM_LOG_ERROR, "store_damaged", err->message);
}

/* Writing into a damaged tree makes more damage; reading what is left does
 * not. */
atom_status store_sound(struct store *s, struct atom_error *err)
{
	atom_status status = ATOM_OK;

	(void)pthread_mutex_lock(&s->damage_lock);
	if (s->damaged)
		status =
			atom_fail(err, ATOM_EDATALOSS, "%s", s->damage.message);
	(void)pthread_mutex_unlock(&s->damage_lock);
	return status;
}

static void locks_init(struct store *s)
{
	pthread_condattr_t monotonic;

	(void)pthread_mutex_init(&s->writer_lock, NULL);
	(void)pthread_mutex_init(&s->readers_lock, NULL);
	(void)pthread_mutex_init(&s->damage_lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->readers_changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

static void store_destroy(void *self)
{
	struct store *s = self;

	/* The writer goes last: it moves the log into the database. */
	readers_drain(s);
	connection_close(&s->writer, true);
	directory_release(s);
	(void)pthread_cond_destroy(&s->readers_changed);
	(void)pthread_mutex_destroy(&s->damage_lock);
	(void)pthread_mutex_destroy(&s->readers_lock);
	(void)pthread_mutex_destroy(&s->writer_lock);
	free(s);
}

static atom_status store_create(const struct atom_host *host,
				const void *options, void **self_r,
				struct atom_error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	atom_status status;

	if (!s)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a store");
	s->options = *(const struct store_options *)options;
	s->host = host;
	s->log = atom_service(host, ATOM_LOG);
	s->lock_fd = -1;
	locks_init(s);
	status = sqlite3_threadsafe()
			 ? directory_claim(s, err)
			 : atom_fail(err, ATOM_ENOTSUP,
				     "this SQLite was built without threads");
	if (status == ATOM_OK)
		status = writer_open(s, err);
	if (status == ATOM_OK)
		*self_r = s;
	else
		store_destroy(s);
	return status;
}

static const struct atom_store_ops ops = {
	.struct_size = sizeof(ops),
	.create = store_create,
	.destroy = store_destroy,
	.commit = store_commit,
	.get = store_get,
	.scan = store_scan,
	.append = store_append,
	.read_log = store_read_log,
	.trim_log = store_trim_log,
	.check = store_check,
	.backup = store_backup,
	.buckets = store_buckets,
};

ATOM_PLUGIN("sqlite", "0.1.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_STORE, "sqlite",
			   "durable records in one SQLite database", &ops,
			   options_table, struct store_options));
