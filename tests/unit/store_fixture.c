/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- syncs that fail on command ------------------------------------------ */

int syncs;
int syncs_to_fail;

static int sync_or_fail(long call, int fd)
{
	syncs++;
	if (syncs_to_fail > 0) {
		syncs_to_fail--;
		errno = EIO;
		return -1;
	}
	return (int)syscall(call, fd);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int fsync(int fd)
{
	return sync_or_fail(SYS_fsync, fd);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}

/* --- a host, a folder, a store ------------------------------------------- */

char last_event[64];

static void note_log(const struct atom_host *host, int32_t level,
		     const char *event, const char *message,
		     const struct atom_log_field *fields, size_t field_count)
{
	(void)host;
	(void)level;
	(void)message;
	(void)fields;
	(void)field_count;
	(void)snprintf(last_event, sizeof(last_event), "%s", event);
}

static const void *service(const struct atom_host *host, const char *id)
{
	static const struct atom_log log = { sizeof(log), 0, note_log, NULL };

	(void)host;
	return strcmp(id, ATOM_LOG) == 0 ? &log : NULL;
}

const struct atom_host store_host = {
	.struct_size = sizeof(store_host),
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.version = "test",
	.directory = "/tmp",
	.service = service,
};

const struct atom_store_ops *ops;
struct store_options options;
static char folder[64];
void *store;
struct atom_error err;

const struct atom_component *load(void)
{
	const char *plugins = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_plugin *plugin;
	char path[4096];
	void *so;

	(void)snprintf(path, sizeof(path), "%s/store-sqlite.so",
		       plugins ? plugins : "plugins/built");
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(so, "%s", dlerror());
	plugin = dlsym(so, ATOM_PLUGIN_SYMBOL);
	cr_assert(plugin, "%s", dlerror());
	return plugin->components;
}

atom_status open_store(void)
{
	err = (struct atom_error)ATOM_ERROR_INIT;
	return ops->create(&store_host, &options, &store, &err);
}

void close_store(void)
{
	ops->destroy(store);
	store = NULL;
}

void reopen(void)
{
	close_store();
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
}

void path_in(char *path, const char *name)
{
	(void)snprintf(path, 128, "%s/state/%s", folder, name);
}

void store_begin(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/atomd-store-XXXXXX");
	cr_assert(mkdtemp(folder));
	char *directory = malloc(128);

	path_in(directory, "");
	options = (struct store_options){
		.directory = directory,
		.busy_timeout = 5000,
		.checkpoint_size = 65536 * 4,
		.cache_size = 2 << 20,
		.readers = 4,
		.check_time = 10000,
	};
	ops = (const struct atom_store_ops *)load()->ops;
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
}

static void remove_all(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	char name[512];

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path,
			       entry->d_name);
		if (entry->d_type == DT_DIR)
			remove_all(name);
		else
			(void)unlink(name);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

void store_end(void)
{
	if (store)
		close_store();
	free((char *)options.directory);
	remove_all(folder);
}

/* --- one-liners ---------------------------------------------------------- */

struct atom_span span(const char *text)
{
	return (struct atom_span){ text, strlen(text) };
}

struct atom_store_write write_of(const char *key, const char *value,
				 uint64_t expected)
{
	return (struct atom_store_write){
		.struct_size = sizeof(struct atom_store_write),
		.remove = value == NULL,
		.bucket = "b",
		.key = span(key),
		.value = span(value ? value : ""),
		.expected_version = expected,
	};
}

struct atom_store_transaction transaction_of(struct atom_store_write *writes,
					     size_t count)
{
	return (struct atom_store_transaction){
		.struct_size = sizeof(struct atom_store_transaction),
		.write_stride = sizeof(*writes),
		.writes = writes,
		.write_count = count,
		.status_r = -1,
	};
}

atom_status commit_write(struct atom_store_write *write)
{
	struct atom_store_transaction t = transaction_of(write, 1);
	struct atom_store_transaction *all[] = { &t };
	atom_status status = ops->commit(store, all, 1, &err);

	return status == ATOM_OK ? t.status_r : status;
}

atom_status put(const char *key, const char *value, uint64_t expected,
		uint64_t *version_r)
{
	struct atom_store_write write = write_of(key, value, expected);
	atom_status status = commit_write(&write);

	if (version_r)
		*version_r = write.version_r;
	return status;
}

int32_t see(void *argument, const struct atom_store_record *record)
{
	struct seen *seen = argument;
	size_t used = strlen(seen->keys);

	(void)snprintf(seen->keys + used, sizeof(seen->keys) - used, "%s%.*s",
		       seen->count ? " " : "", (int)record->key.length,
		       record->key.bytes);
	(void)snprintf(seen->value, sizeof(seen->value), "%.*s",
		       (int)record->value.length, record->value.bytes);
	seen->version = record->version;
	seen->value_length = record->value.length;
	seen->count++;
	return 0;
}

atom_status get(const char *key, struct seen *seen)
{
	const struct atom_span k = span(key);

	memset(seen, 0, sizeof(*seen));
	return ops->get(store, "b", &k, see, seen, &err);
}

void fill(void)
{
	char key[16], value[1000];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		cr_assert_eq(put(key, value, 0, NULL), ATOM_OK);
	}
}
