/* SPDX-License-Identifier: Apache-2.0 */
#include "security/encryption.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "keyring/kek.h"
#include "keyring/keyring.h"
#include "keyring/locked.h"
#include "plugin/host_seal.h"
#include "state/state.h"

#define COMMAND_MS 10000
#define CARE_MS	   1000
#define ID_KEY	   "id" /* in STATE_PLAIN_BUCKET: the keyring of this store */

static struct keyring *keyring;
static struct timer care_timer;
/* Where the key comes from that the data keys are under. */
static const char *source_in_force = "state_folder";

/* --- key-encryption keys ------------------------------------------------- */

/* What encryption_read_keys() has found. */
static struct {
	uint8_t *kek;	   /* NULL: the file in the state folder */
	uint8_t *previous; /* NULL: none */
	const char *source;
	char *command; /* that was run, its words joined */
} keys = { .source = "state_folder" };

static char *join(const char *const *words)
{
	struct buffer text = BUFFER_INIT((size_t)64 * 1024);

	for (size_t i = 0; words && words[i]; i++) {
		buffer_append_text(&text, words[i]);
		buffer_append_char(&text, '\x1f');
	}
	return text.length > 0 ? buffer_take(&text, NULL) : NULL;
}

static atom_status read_current(const struct config_encryption *from,
				uint8_t *kek, const char **source_r,
				struct atom_error *err)
{
	if (*from->key_file) {
		*source_r = "file";
		return kek_read_file(from->key_file, kek, err);
	}
	if (*from->credential) {
		*source_r = "credential";
		return kek_read_credential(from->credential, kek, err);
	}
	*source_r = "command";
	return kek_run(from->command, COMMAND_MS, kek, err);
}

/* The old key may be thrown away as soon as it is not needed any more. */
static atom_status read_previous(const struct config_encryption *from,
				 uint8_t **previous_r, struct atom_error *err)
{
	uint8_t *key = NULL;
	atom_status status = ATOM_OK;

	if (*from->previous_key_file == '\0')
		return ATOM_OK;
	key = locked_new();
	if (!key)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	status = kek_read_file(from->previous_key_file, key, err);
	if (status == ATOM_OK)
		*previous_r = TAKE(key);
	locked_free(&key);
	return status == ATOM_ENOENT ? ATOM_OK : status;
}

atom_status encryption_read_keys(const struct config *config, bool run,
				 struct atom_error *err)
{
	const struct config_encryption *from = &config->encryption;
	bool by_command = from->command && from->command[0];
	char *command = by_command ? join(from->command) : NULL;
	bool made = *from->key_file == '\0' && *from->credential == '\0' &&
		    !by_command;
	uint8_t *kek = NULL, *previous = NULL;
	const char *source = "state_folder";
	atom_status status = ATOM_OK;

	if (by_command && command && keys.command &&
	    strcmp(command, keys.command) == 0)
		goto out; /* the same command has given its key */
	if (!made && (run || !by_command)) {
		kek = locked_new();
		status = kek ? read_current(from, kek, &source, err)
			     : atom_fail(err, ATOM_ENOMEM,
					 "no memory for a key");
	}
	if (status == ATOM_OK)
		status = read_previous(from, &previous, err);
	if (status != ATOM_OK)
		goto out;
	locked_free(&keys.kek);
	locked_free(&keys.previous);
	mem_free(keys.command);
	keys.kek = TAKE(kek);
	keys.previous = TAKE(previous);
	keys.command = TAKE(command);
	keys.source = source;
out:
	locked_free(&kek);
	locked_free(&previous);
	mem_free(command);
	return status;
}

static void path_in(const struct config *config, const char *name,
		    char path_r[PATH_MAX])
{
	(void)snprintf(path_r, PATH_MAX, "%s/%s", config->state_directory,
		       name);
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The key file of the state folder: made only where no keyring needs another
 * one. */
static atom_status key_of_folder(const char *path, bool may_make, uint8_t *kek,
				 struct atom_error *err)
{
	if (is_there(path) || may_make)
		return kek_make_file(path, kek, err);
	return atom_fail(err, ATOM_EPERM,
			 "there is a keyring but no key for it: %s is gone, "
			 "and security.encryption names none; restore that "
			 "file, or give the key that was configured before",
			 path);
}

/* --- the keyring --------------------------------------------------------- */

/* "" where the store names none.  ATOM_OK or why the store cannot tell. */
static atom_status read_store_id(char id_r[2 * KEYRING_ID_BYTES + 1],
				 struct atom_error *err)
{
	struct state_record *record = NULL;
	atom_status status = state_get_now(STATE_PLAIN_BUCKET,
					   state_text(ID_KEY), &record, err);

	id_r[0] = '\0';
	if (status == ATOM_OK)
		(void)snprintf(id_r, 2 * KEYRING_ID_BYTES + 1, "%s",
			       record->value.bytes);
	mem_free(record);
	return status == ATOM_ENOENT ? ATOM_OK : status;
}

static atom_status write_store_id(const char *id, struct atom_error *err)
{
	struct state_transaction *t = state_transaction_new();
	atom_status status = ATOM_ENOMEM;

	if (t)
		status = state_transaction_put(t, STATE_PLAIN_BUCKET,
					       state_text(ID_KEY),
					       state_text(id), STATE_NEW, err);
	if (status == ATOM_OK)
		status = state_commit_now(t, err);
	state_transaction_free(&t);
	return status;
}

static atom_status make(const char *path, const uint8_t *kek,
			const char *store_id, struct atom_error *err)
{
	bool empty = false;
	atom_status status;

	if (store_id[0] != '\0')
		return atom_fail(err, ATOM_EDATALOSS,
				 "what is stored was sealed by the keyring %s, "
				 "and %s is gone: restore it from a backup (to "
				 "give up all that is stored, move the whole "
				 "state folder away)",
				 store_id, path);
	status = state_is_empty(&empty, err);
	if (status == ATOM_OK)
		status = keyring_create(path, kek, empty, &keyring, err);
	if (status == ATOM_OK)
		log_line(ATOM_LOG_INFO, "keyring_made",
			 empty ? "what is stored is encrypted"
			       : "what is stored is encrypted; records of an "
				 "older atomd follow in the background",
			 LOG_TEXT("path", path),
			 LOG_TEXT("key_source", keys.source));
	return status;
}

/* Under the key given; else under one before it, whose data keys are then
 * wrapped anew. */
static atom_status open_under(const char *path, const char *store_id,
			      const char *folder_key, const uint8_t *kek,
			      struct atom_error *err)
{
	uint8_t *of_folder = NULL;
	struct atom_error unread = ATOM_ERROR_INIT;
	atom_status status =
		keyring_open(path, store_id, kek, keys.previous, &keyring, err);

	if (status != ATOM_EPERM || !keys.kek || !is_there(folder_key))
		return status;
	of_folder = locked_new();
	if (of_folder &&
	    kek_make_file(folder_key, of_folder, &unread) == ATOM_OK)
		status = keyring_open(path, store_id, kek, of_folder, &keyring,
				      err);
	locked_free(&of_folder);
	if (status == ATOM_OK)
		log_line(ATOM_LOG_WARN, "keyring_rekeyed",
			 "the data keys are under the configured key now; the "
			 "key file of the state folder opens old copies of "
			 "the keyring only: remove it",
			 LOG_TEXT("path", folder_key));
	return status;
}

static atom_status open_or_make(const struct config *config,
				const char *store_id, struct atom_error *err)
{
	char path[PATH_MAX], folder_key[PATH_MAX];
	uint8_t *made = NULL;
	const uint8_t *kek = keys.kek;
	atom_status status = ATOM_OK;
	bool there;

	path_in(config, KEYRING_FILE, path);
	path_in(config, KEK_FILE, folder_key);
	(void)os.mkdir(config->state_directory, 0700);
	there = is_there(path);
	if (!kek) {
		made = locked_new();
		status = made ? key_of_folder(folder_key,
					      !there && store_id[0] == '\0',
					      made, err)
			      : atom_fail(err, ATOM_ENOMEM,
					  "no memory for a key");
		kek = made;
	}
	if (status == ATOM_OK && there)
		status = open_under(path, store_id, folder_key, kek, err);
	else if (status == ATOM_OK)
		status = make(path, kek, store_id, err);
	locked_free(&made);
	return status;
}

/* From now on the two belong together. */
static atom_status name_keyring(struct atom_error *err)
{
	static struct keyring_status status;

	keyring_status(keyring, &status);
	return write_store_id(status.id, err);
}

/* --- what of it could not be kept ---------------------------------------- */

enum fault {
	NOT_WRITTEN = 1,
	NOT_REKEYED = 2
};

/* The component "keyring" is well without any; "encryption" tells of records
 * that do not open, which no success here mends.  [control] */
static unsigned int faults;

static void begin_fault(enum fault fault, const struct atom_error *err)
{
	faults |= fault;
	log_line(ATOM_LOG_ERROR,
		 fault == NOT_WRITTEN ? "keyring_not_written"
				      : "keyring_not_rekeyed",
		 err->message);
	health_report("keyring", HEALTH_DEGRADED, false, err->message);
}

static void end_fault(enum fault fault)
{
	const unsigned int before = faults;

	faults &= ~(unsigned int)fault;
	if (before != 0 && faults == 0)
		health_report("keyring", HEALTH_OK, false, NULL);
}

/* --- care ---------------------------------------------------------------- */

enum errand_kind {
	CARE,
	ROTATE,
	REWRAP
};

/* Something that writes the keyring's file, on the pool. */
struct errand {
	struct work work;
	enum errand_kind kind;
	uint32_t retire;
	uint32_t version; /* the current one after it */
	bool rotated;
	encryption_done done;
	void *argument;
	atom_status status;
	struct atom_error error;
};

static bool caring;

static void run_errand(struct work *work)
{
	struct errand *e = CONTAINER_OF(work, struct errand, work);

	switch (e->kind) {
	case CARE:
		e->status = keyring_care(keyring, &e->rotated, &e->error);
		break;
	case ROTATE:
		e->rotated = true;
		e->status = keyring_rotate(keyring, &e->version, &e->error);
		break;
	case REWRAP:
		e->status = e->retire ? keyring_retire(keyring, e->retire,
						       &e->error)
				      : ATOM_OK;
		if (e->status == ATOM_OK)
			e->status = keyring_begin_rewrap(keyring, &e->version,
							 &e->error);
		break;
	}
	e->version = keyring_current(keyring);
}

static void end_errand(struct work *work, atom_status status)
{
	struct errand *e = CONTAINER_OF(work, struct errand, work);

	if (status != ATOM_OK)
		e->status = atom_fail(&e->error, status, "the daemon stops");
	if (e->kind == CARE)
		caring = false;
	if (e->status == ATOM_OK)
		end_fault(NOT_WRITTEN);
	else if (e->kind == CARE)
		begin_fault(NOT_WRITTEN, &e->error);
	if (e->status == ATOM_OK && e->kind == REWRAP)
		e->status = state_rewrap(&e->error);
	if (e->status == ATOM_OK && e->rotated)
		log_line(ATOM_LOG_INFO, "keyring_rotated",
			 e->kind == CARE ? "the data key has sealed its share; "
					   "another one is in force"
					 : "another data key is in force",
			 LOG_NUMBER("version", e->version));
	if (e->done)
		e->done(e->argument, e->status,
			e->status == ATOM_OK ? NULL : &e->error);
	mem_free(e);
}

static void begin_errand(enum errand_kind kind, uint32_t retire,
			 encryption_done done, void *argument)
{
	struct errand *e = keyring ? mem_zalloc(sizeof(*e)) : NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (!e) {
		status = keyring ? ATOM_ENOMEM : ATOM_EUNAVAILABLE;
		(void)atom_fail(&err, status,
				keyring ? "no memory"
					: "there is no keyring: the store "
					  "could not be read at the start");
		if (done)
			done(argument, status, &err);
		return;
	}
	e->kind = kind;
	e->retire = retire;
	e->done = done;
	e->argument = argument;
	e->work.run = run_errand;
	e->work.done = end_errand;
	status = work_submit(loop_control(), &e->work);
	if (status == ATOM_OK)
		caring |= kind == CARE;
	else
		end_errand(&e->work, status);
}

void encryption_rotate(encryption_done done, void *argument)
{
	begin_errand(ROTATE, 0, done, argument);
}

void encryption_rewrap(uint32_t retire, encryption_done done, void *argument)
{
	begin_errand(REWRAP, retire, done, argument);
}

static void on_care(struct timer *timer)
{
	if (!caring && keyring_needs_care(keyring))
		begin_errand(CARE, 0, NULL, NULL);
	(void)timer_set(loop_control(), timer, CARE_MS);
}

/* --- life ---------------------------------------------------------------- */

static double version_now(void *argument)
{
	(void)argument;
	return keyring ? keyring_current(keyring) : 0;
}

static double current_since(void *argument)
{
	struct keyring_status status;

	(void)argument;
	if (!keyring)
		return 0;
	keyring_status(keyring, &status);
	for (size_t i = 0; i < status.count; i++)
		if (status.versions[i].version == status.current)
			return (double)status.versions[i].created_ms / 1000;
	return 0;
}

static double versions_now(void *argument)
{
	struct keyring_status status;

	(void)argument;
	if (!keyring)
		return 0;
	keyring_status(keyring, &status);
	return (double)status.count;
}

/* Without what the store says nobody knows whether a keyring was there. */
static atom_status do_without(const struct atom_error *why)
{
	health_report("encryption", HEALTH_FAILED, false, why->message);
	log_line(ATOM_LOG_ERROR, "encryption_unavailable", why->message);
	return ATOM_OK;
}

atom_status encryption_open(const struct config *config, struct atom_error *err)
{
	char store_id[2 * KEYRING_ID_BYTES + 1];
	struct atom_error why = ATOM_ERROR_INIT;
	static struct keyring_status now;
	atom_status status = read_store_id(store_id, &why);

	if (status != ATOM_OK)
		return do_without(&why);
	status = open_or_make(config, store_id, err);
	if (status == ATOM_OK && store_id[0] == '\0')
		status = name_keyring(err);
	if (status != ATOM_OK) {
		health_report("encryption", HEALTH_FAILED, true, err->message);
		keyring_free(&keyring);
		return status;
	}
	source_in_force = keys.source;
	state_use_keyring(keyring);
	host_seal_use(keyring);
	health_report("encryption", HEALTH_OK, false, NULL);
	(void)metric_gauge_callback("atomd_keyring_version",
				    "The data key that seals now.", version_now,
				    NULL);
	(void)metric_gauge_callback("atomd_keyring_versions",
				    "Data keys that the keyring holds.",
				    versions_now, NULL);
	(void)metric_gauge_callback(
		"atomd_keyring_created_timestamp_seconds",
		"When the data key that seals now was made.", current_since,
		NULL);
	care_timer.fire = on_care;
	(void)timer_set(loop_control(), &care_timer, CARE_MS);
	keyring_status(keyring, &now);
	return now.state_sealed && now.rewrap == 0 ? ATOM_OK
						   : state_rewrap(err);
}

void encryption_apply(const struct config *config)
{
	struct atom_error err = ATOM_ERROR_INIT;
	static struct keyring_status before, after;
	char folder_key[PATH_MAX];
	uint8_t *made = NULL;
	const uint8_t *kek = keys.kek;
	atom_status status = ATOM_OK;

	if (!keyring)
		return;
	if (!kek) {
		path_in(config, KEK_FILE, folder_key);
		made = locked_new();
		status = made ? kek_make_file(folder_key, made, &err)
			      : ATOM_ENOMEM;
		kek = made;
	}
	keyring_status(keyring, &before);
	if (status == ATOM_OK)
		status = keyring_set_kek(keyring, kek, &err);
	keyring_status(keyring, &after);
	locked_free(&made);
	if (status != ATOM_OK) {
		begin_fault(NOT_REKEYED, &err);
		return;
	}
	end_fault(NOT_REKEYED);
	source_in_force = keys.source;
	if (strcmp(before.kek_id, after.kek_id) != 0)
		log_line(ATOM_LOG_INFO, "keyring_rekeyed",
			 "the data keys are under another key-encryption key; "
			 "the old one is no longer needed",
			 LOG_TEXT("key_source", keys.source),
			 LOG_TEXT("key_id", after.kek_id));
}

void encryption_close(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	timer_stop(&care_timer);
	host_seal_use(NULL);
	if (keyring && keyring_close(keyring, &err) != ATOM_OK)
		log_line(ATOM_LOG_WARN, "keyring_not_written", err.message);
	keyring_free(&keyring);
	locked_free(&keys.kek);
	locked_free(&keys.previous);
	mem_free(TAKE(keys.command));
}

/* --- looking ------------------------------------------------------------- */

static json_t *versions_of(const struct keyring_status *status)
{
	json_t *list = json_array();

	for (size_t i = 0; i < status->count; i++) {
		const struct keyring_version_status *v = &status->versions[i];
		char created[TEXT_TIME_MAX];

		text_of_time(v->created_ms, created);
		json_array_append_new(
			list,
			json_pack("{s:I,s:s,s:s,s:I,s:b,s:b}", "version",
				  (json_int_t)v->version, "state",
				  v->version == status->current ? "current"
								: "old",
				  "created", created, "messages",
				  (json_int_t)v->messages, "used_by_components",
				  (int)v->for_components, "retire",
				  (int)v->retire));
	}
	return list;
}

struct keyring *encryption_keyring(void)
{
	return keyring;
}

json_t *encryption_status(void)
{
	static const char *const phases[] = { "idle", "counting", "moving",
					      "checking" };
	static struct keyring_status status;
	struct state_rewrap rewrap;

	if (!keyring)
		return NULL;
	keyring_status(keyring, &status);
	state_rewrap_status(&rewrap);
	return json_pack(
		"{s:s,s:s,s:s,s:I,s:b,s:o,s:{s:s,s:I,s:I,s:I,s:I,s:s}}", "id",
		status.id, "key_id", status.kek_id, "key_source",
		source_in_force, "current", (json_int_t)status.current,
		"all_sealed", (int)status.state_sealed, "versions",
		versions_of(&status), "rewrap", "state",
		/* Asked for, and not yet begun after a restart. */
		rewrap.phase == STATE_REWRAP_IDLE && status.rewrap != 0
			? "counting"
			: phases[rewrap.phase],
		"left", (json_int_t)rewrap.left, "moved",
		(json_int_t)rewrap.moved, "checked", (json_int_t)rewrap.checked,
		"damaged", (json_int_t)rewrap.damaged, "message",
		rewrap.message);
}
