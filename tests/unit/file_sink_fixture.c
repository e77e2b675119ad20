/* SPDX-License-Identifier: Apache-2.0 */
#include "file_sink_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "audit/chain.h"
#include "core/text.h"

#define LOG_ID	  "00112233445566aa"
#define BATCH_MAX 512

const struct atom_audit_ops *audit_ops;
struct file_options audit_options;
struct audit_log audit_log;
void *audit_sink;
struct atom_error audit_err;
char audit_folder[64];
char audit_path[80];
bool audit_has_seal;
int64_t audit_now_ms;
char audit_event[64];
double audit_stage;

/* What goes wrong here is the test's own fault. */
#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#condition, audit_err.message);                \
			abort();                                               \
		}                                                              \
	} while (0)

/* --- the host ------------------------------------------------------------- */

static void write_log(const struct atom_host *host, int32_t level,
		      const char *event, const char *message,
		      const struct atom_log_field *fields, size_t field_count)
{
	(void)host;
	(void)level;
	(void)message;
	(void)fields;
	(void)field_count;
	(void)snprintf(audit_event, sizeof(audit_event), "%s", event);
}

static int64_t realtime_ms(const struct atom_host *host)
{
	(void)host;
	return audit_now_ms;
}

/* Families are numbered by their length of name: only one is looked at. */
static atom_status declare(const struct atom_host *host,
			   const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err)
{
	(void)host;
	(void)err;
	*family_r = strstr(spec->name, "disk_stage") ? 1 : 2;
	return ATOM_OK;
}

static atom_status series(const struct atom_host *host, uint32_t family,
			  const char *const *label_values, uint32_t *series_r,
			  struct atom_error *err)
{
	(void)host;
	(void)label_values;
	(void)err;
	*series_r = family;
	return ATOM_OK;
}

static void update(const struct atom_host *host, uint32_t number, double value)
{
	(void)host;
	if (number == 1)
		audit_stage = value;
}

/* AES-256-GCM with one key; the nonce stands in front, the tag behind. */
static atom_status seal(const struct atom_host *host,
			const struct atom_span *identity,
			const struct atom_span *plain, char *out,
			size_t *length_r, struct atom_error *err)
{
	static const uint8_t key[32] = "a key that only this test has..";
	static uint64_t nonces;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *to = (uint8_t *)out;
	int length;

	(void)host;
	(void)err;
	memset(to, 0, 12);
	nonces++;
	memcpy(to, &nonces, sizeof(nonces));
	MUST(ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, to));
	MUST(EVP_EncryptUpdate(ctx, NULL, &length,
			       (const uint8_t *)identity->bytes,
			       (int)identity->length));
	MUST(EVP_EncryptUpdate(ctx, to + 12, &length,
			       (const uint8_t *)plain->bytes,
			       (int)plain->length));
	MUST(EVP_EncryptFinal_ex(ctx, to + 12 + length, &length));
	MUST(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16,
				 to + 12 + plain->length));
	EVP_CIPHER_CTX_free(ctx);
	*length_r = plain->length + 28;
	return ATOM_OK;
}

static atom_status unseal(const struct atom_host *host,
			  const struct atom_span *identity,
			  const struct atom_span *sealed, char *out,
			  size_t *length_r, struct atom_error *err)
{
	static const uint8_t key[32] = "a key that only this test has..";
	const uint8_t *from = (const uint8_t *)sealed->bytes;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int length, ended;
	bool fits;

	(void)host;
	if (sealed->length < 28) {
		EVP_CIPHER_CTX_free(ctx);
		return atom_fail(err, ATOM_EDATALOSS, "too short");
	}
	*length_r = sealed->length - 28;
	MUST(ctx &&
	     EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, from));
	MUST(EVP_DecryptUpdate(ctx, NULL, &length,
			       (const uint8_t *)identity->bytes,
			       (int)identity->length));
	MUST(EVP_DecryptUpdate(ctx, (uint8_t *)out, &length, from + 12,
			       (int)*length_r));
	MUST(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16,
				 (void *)(from + 12 + *length_r)));
	fits = EVP_DecryptFinal_ex(ctx, (uint8_t *)out + length, &ended) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return fits ? ATOM_OK
		    : atom_fail(err, ATOM_EDATALOSS, "not sealed by this key");
}

atom_status audit_unseal(void *argument, const struct atom_span *identity,
			 const struct atom_span *sealed, char *out,
			 size_t *length_r, struct atom_error *err)
{
	(void)argument;
	return unseal(NULL, identity, sealed, out, length_r, err);
}

static const void *service(const struct atom_host *host, const char *id)
{
	static const struct atom_log log = { sizeof(log), 0, write_log, NULL };
	static const struct atom_clock clock = { sizeof(clock), 0, NULL,
						 realtime_ms };
	static const struct atom_metric metric = { sizeof(metric), 0, declare,
						   series, update };
	static const struct atom_seal seals = { sizeof(seals), 0, seal,
						unseal };

	(void)host;
	if (strcmp(id, ATOM_LOG) == 0)
		return &log;
	if (strcmp(id, ATOM_CLOCK) == 0)
		return &clock;
	if (strcmp(id, ATOM_METRIC) == 0)
		return &metric;
	return strcmp(id, ATOM_SEAL) == 0 && audit_has_seal ? &seals : NULL;
}

static struct atom_host host = {
	.struct_size = sizeof(host),
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.version = "test",
	.directory = audit_folder,
	.service = service,
};

/* --- plugin and sink ------------------------------------------------------ */

void *audit_load_file(const char *path)
{
	const struct atom_component *component;
	const struct atom_plugin *plugin;
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	MUST(so != NULL);
	plugin = dlsym(so, ATOM_PLUGIN_SYMBOL);
	MUST(plugin != NULL);
	component = plugin->components;
	/* The struct above is the plugin's. */
	MUST(component->options_size == sizeof(struct file_options));
	MUST(component->option_count == 8);
	MUST(component->options[6].offset ==
	     offsetof(struct file_options, encrypt));
	audit_ops = (const struct atom_audit_ops *)component->ops;
	return so;
}

void audit_load(void)
{
	const char *plugins = getenv("ATOMD_BUILD_PLUGINS");
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/audit-file.so",
		       plugins ? plugins : "plugins/built");
	(void)audit_load_file(path);
}

void audit_begin(void)
{
	uint8_t seed[NOTE_KEY_BYTES];

	memset(seed, AUDIT_SEED, sizeof(seed));
	audit_log = (struct audit_log){ 0 };
	MUST(note_signer_init(&audit_log.signer, LOG_ID, seed, &audit_err) ==
	     ATOM_OK);
	MUST(chain_genesis(LOG_ID, audit_log.hash));
	(void)snprintf(audit_folder, sizeof(audit_folder),
		       "/tmp/atomd-audit-XXXXXX");
	MUST(mkdtemp(audit_folder) != NULL);
	(void)snprintf(audit_path, sizeof(audit_path), "%s/log", audit_folder);
	audit_now_ms = 1767323045678;
	audit_event[0] = '\0';
	audit_has_seal = true;
	audit_options = (struct file_options){
		.path = "log",
		.segment_size = 1 << 20,
	};
}

void audit_end(void)
{
	audit_close();
	audit_remove(audit_folder);
}

atom_status audit_open(void)
{
	audit_err = (struct atom_error)ATOM_ERROR_INIT;
	return audit_ops->create(&host, &audit_options, &audit_sink,
				 &audit_err);
}

void audit_close(void)
{
	if (audit_sink != NULL)
		audit_ops->destroy(audit_sink);
	audit_sink = NULL;
}

static int32_t take_up(void *argument, const struct atom_audit_record *record)
{
	uint8_t leaf[TREE_HASH];

	(void)argument;
	MUST(tree_leaf(record->json.bytes, record->json.length, leaf));
	MUST(tree_append(&audit_log.range, leaf));
	return 0;
}

atom_status audit_resume(void)
{
	struct atom_audit_position position = { .struct_size =
							sizeof(position) };
	atom_status status = audit_ops->last(audit_sink, &position, &audit_err);

	if (status != ATOM_OK)
		return status;
	audit_log.sequence = position.sequence;
	MUST(tree_range_load(&audit_log.range, position.checkpoint,
			     position.range[0], position.range_count));
	if (position.sequence > 0)
		memcpy(audit_log.hash, position.hash, 32);
	else
		MUST(chain_genesis(LOG_ID, audit_log.hash));
	status = audit_ops->read(audit_sink, position.checkpoint, UINT64_MAX,
				 take_up, NULL, &audit_err);
	MUST(status != ATOM_OK || audit_log.range.size == position.sequence);
	return status;
}

/* --- records -------------------------------------------------------------- */

static size_t write_json(char *out, size_t size, uint64_t sequence)
{
	char time[TEXT_TIME_MAX];

	text_of_time(audit_now_ms, time);
	return (size_t)snprintf(
		out, size,
		"{\"category\":\"security_events\",\"details\":{\"text\":\"a "
		"\\\"quoted, {braced}\\\" one\"},\"event_type\":\"test.record\","
		"\"sequence\":%llu,\"severity\":\"warn\",\"time\":\"%s\","
		"\"user\":\"key:%llu\"}",
		(unsigned long long)sequence, time,
		(unsigned long long)(sequence * 7919 % 1000));
}

struct atom_audit_record audit_record(uint64_t sequence)
{
	static char json[512];

	return (struct atom_audit_record){
		.struct_size = sizeof(struct atom_audit_record),
		.severity = ATOM_LOG_WARN,
		.sequence = sequence,
		.time_ms = audit_now_ms,
		.category = "security_events",
		.event_type = "test.record",
		.json = { json, write_json(json, sizeof(json), sequence) },
	};
}

atom_status audit_write(size_t count)
{
	static struct atom_audit_record records[BATCH_MAX];
	static char json[BATCH_MAX][512];
	struct audit_log after = audit_log;
	uint8_t leaf[TREE_HASH];
	atom_status status;

	MUST(count <= BATCH_MAX);
	for (size_t i = 0; i < count; i++) {
		records[i] = audit_record(++after.sequence);
		records[i].json.bytes = json[i];
		memcpy(json[i], audit_record(after.sequence).json.bytes,
		       records[i].json.length + 1);
		MUST(tree_leaf(json[i], records[i].json.length, leaf));
		MUST(chain_step(after.hash, leaf));
		memcpy(records[i].hash, after.hash, 32);
		MUST(tree_append(&after.range, leaf));
	}
	status = audit_ops->write(audit_sink, records, count,
				  sizeof(records[0]), &audit_err);
	if (status == ATOM_OK)
		audit_log = after;
	return status;
}

atom_status audit_sync(void)
{
	return audit_ops->sync(audit_sink, &audit_err);
}

size_t audit_note(char out[NOTE_TEXT_MAX])
{
	struct note_head head = { .log_id = LOG_ID,
				  .size = audit_log.sequence,
				  .time_ms = audit_now_ms };
	size_t length;

	memcpy(head.chain, audit_log.hash, 32);
	MUST(tree_root(&audit_log.range, head.root));
	MUST(note_make(&audit_log.signer, &head, out, &length, &audit_err) ==
	     ATOM_OK);
	return length;
}

atom_status audit_checkpoint(void)
{
	char note[NOTE_TEXT_MAX], verifier[NOTE_VERIFIER_MAX];
	struct atom_audit_checkpoint head = {
		.struct_size = sizeof(head),
		.range_count = tree_range_count(audit_log.sequence),
		.sequence = audit_log.sequence,
		.time_ms = audit_now_ms,
		.range = audit_log.range.nodes[0],
		.note = { note, audit_note(note) },
		.verifier = verifier,
	};

	note_verifier_text(&audit_log.signer.verifier, verifier);
	memcpy(head.hash, audit_log.hash, 32);
	MUST(tree_root(&audit_log.range, head.root));
	return audit_ops->checkpoint(audit_sink, &head, &audit_err);
}

void audit_fill(size_t count)
{
	while (count > 0) {
		size_t batch = 1 + (audit_log.sequence * 31 % 16);

		if (batch > count)
			batch = count;
		MUST(audit_write(batch) == ATOM_OK);
		MUST(audit_sync() == ATOM_OK);
		count -= batch;
	}
}

/* --- files ---------------------------------------------------------------- */

static void path_of(char *path, size_t size, const char *name)
{
	(void)snprintf(path, size, "%s/%s", audit_path, name);
}

char *audit_file(const char *name, size_t *length_r)
{
	char path[512];
	struct stat st;
	char *bytes;
	FILE *file;

	path_of(path, sizeof(path), name);
	file = fopen(path, "r");
	if (file == NULL)
		return NULL;
	MUST(fstat(fileno(file), &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	MUST(bytes != NULL);
	*length_r = fread(bytes, 1, (size_t)st.st_size, file);
	MUST(*length_r == (size_t)st.st_size);
	bytes[*length_r] = '\0';
	(void)fclose(file);
	return bytes;
}

/* Cut to its length last: a file system that is told to truncate to nothing
 * flushes the new bytes at once, and thousands of times. */
void audit_put_file(const char *name, const char *bytes, size_t length)
{
	char path[512];
	int fd;

	path_of(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
	MUST(ftruncate(fd, (off_t)length) == 0 && close(fd) == 0);
}

void audit_copy_log(const char *to)
{
	char from[80];
	struct dirent *entry;
	DIR *names = opendir(audit_path);

	MUST(names != NULL && (mkdir(to, 0700) == 0));
	(void)snprintf(from, sizeof(from), "%s", audit_path);
	while ((entry = readdir(names)) != NULL) {
		size_t length;
		char *bytes;

		if (entry->d_name[0] == '.')
			continue;
		bytes = audit_file(entry->d_name, &length);
		MUST(bytes != NULL);
		(void)snprintf(audit_path, sizeof(audit_path), "%s", to);
		audit_put_file(entry->d_name, bytes, length);
		(void)snprintf(audit_path, sizeof(audit_path), "%s", from);
		free(bytes);
	}
	(void)closedir(names);
}

void audit_remove(const char *path)
{
	struct dirent *entry;
	DIR *names = opendir(path);
	char name[1024];

	while (names != NULL && (entry = readdir(names)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path,
			       entry->d_name);
		if (entry->d_type == DT_DIR)
			audit_remove(name);
		else
			(void)unlink(name);
	}
	if (names != NULL)
		(void)closedir(names);
	(void)rmdir(path);
}
