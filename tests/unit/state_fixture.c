/* SPDX-License-Identifier: Apache-2.0 */
#include "state_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/metric.h"
#include "core/os.h"

struct atom_error err;

/* --- one lock and one bell for everything that is waited for -------------- */

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

void ring(void)
{
	(void)pthread_cond_broadcast(&bell);
}

/* --- the store, and what stands in front of it ---------------------------- */

struct guarded_store store;

static bool is_poison(const struct atom_store_transaction *t)
{
	const struct atom_store_write *write = t->writes;

	return write->key.length == 6 &&
	       memcmp(write->key.bytes, "poison", 6) == 0;
}

static atom_status guarded_commit(void *self,
				  struct atom_store_transaction **transactions,
				  size_t count, struct atom_error *why)
{
	struct atom_store_transaction *good[1024];
	size_t good_count = 0;
	bool fail, no_memory;

	(void)pthread_mutex_lock(&lock);
	store.commits++;
	if (count > store.largest)
		store.largest = count;
	store.held++;
	ring();
	WAIT_UNTIL(!store.hold);
	store.held--;
	fail = store.fail;
	no_memory = store.no_memory;
	(void)pthread_mutex_unlock(&lock);
	if (no_memory)
		return atom_fail(why, ATOM_ENOMEM, "no memory to commit");
	if (fail)
		return atom_fail(why, ATOM_EIO, "no room left");
	for (size_t i = 0; i < count; i++) {
		if (is_poison(transactions[i]))
			transactions[i]->status_r = ATOM_ELIMIT;
		else
			good[good_count++] = transactions[i];
	}
	return store.real->commit(self, good, good_count, why);
}

static atom_status guarded_check(void *self, struct atom_error *why)
{
	bool fail, damaged, no_memory;

	(void)pthread_mutex_lock(&lock);
	store.checks++;
	ring();
	WAIT_UNTIL(!store.hold_checks);
	fail = store.fail;
	no_memory = store.no_memory;
	damaged = store.damaged;
	(void)pthread_mutex_unlock(&lock);
	if (damaged)
		return atom_fail(why, ATOM_EDATALOSS, "a page is damaged");
	if (no_memory)
		return atom_fail(why, ATOM_ENOMEM, "no memory to check");
	return fail ? atom_fail(why, ATOM_EIO, "no room left")
		    : store.real->check(self, why);
}

static atom_status guarded_get(void *self, const char *bucket,
			       const struct atom_span *key,
			       atom_store_visit visit, void *argument,
			       struct atom_error *why)
{
	bool damaged;

	(void)pthread_mutex_lock(&lock);
	damaged = store.damaged;
	(void)pthread_mutex_unlock(&lock);
	if (damaged)
		return atom_fail(why, ATOM_EDATALOSS, "a page is damaged");
	return store.real->get(self, bucket, key, visit, argument, why);
}

static struct atom_store_ops guarded;

void set(bool *flag, bool value)
{
	(void)pthread_mutex_lock(&lock);
	*flag = value;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

void wait_held(size_t count)
{
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(store.held == count);
	(void)pthread_mutex_unlock(&lock);
}

static const void *no_service(const struct atom_host *host, const char *id)
{
	(void)host;
	(void)id;
	return NULL;
}

/* As in the plugin; test_store_sqlite watches over its size. */
struct store_options {
	const char *directory;
	int64_t busy_timeout;
	int64_t checkpoint_size;
	int64_t cache_size;
	int64_t max_size;
	int64_t readers;
	int64_t check_time;
};

static struct store_options options = {
	.directory = store.folder,
	.busy_timeout = 5000,
	.checkpoint_size = 1 << 20,
	.cache_size = 1 << 20,
	.readers = 4,
	.check_time = 1000,
};

static void open_store(void)
{
	static const struct atom_host host = {
		.struct_size = sizeof(host),
		.abi_major = ATOM_ABI_MAJOR,
		.abi_minor = ATOM_ABI_MINOR,
		.version = "test",
		.service = no_service,
	};
	const char *plugins = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_plugin *plugin;
	char path[4096];
	void *so;

	(void)snprintf(path, sizeof(path), "%s/store-sqlite.so",
		       plugins ? plugins : "plugins/built");
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CHECK(so);
	plugin = dlsym(so, ATOM_PLUGIN_SYMBOL);
	CHECK(plugin);
	store.real = (const struct atom_store_ops *)plugin->components->ops;
	CHECK(store.real->create(&host, &options, &store.self, &err) ==
	      ATOM_OK);
	guarded = *store.real;
	guarded.commit = guarded_commit;
	guarded.check = guarded_check;
	guarded.get = guarded_get;
}

static void remove_folder(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	char name[512];

	while (dir && (entry = readdir(dir))) {
		(void)snprintf(name, sizeof(name), "%s/%s", path,
			       entry->d_name);
		(void)unlink(name);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

/* --- doing things on a loop ----------------------------------------------- */

struct errand {
	struct message message;
	void (*run)(void *argument);
	void *argument;
	bool over;
};

static void run_errand(struct loop *loop, struct message *message)
{
	struct errand *errand = CONTAINER_OF(message, struct errand, message);

	(void)loop;
	errand->run(errand->argument);
	(void)pthread_mutex_lock(&lock);
	errand->over = true;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

/* Run there, and wait for it. */
void on(struct loop *loop, void (*run)(void *argument), void *argument)
{
	struct errand errand = {
		.message.deliver = run_errand,
		.run = run,
		.argument = argument,
	};

	loop_post(loop, &errand.message);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(errand.over);
	(void)pthread_mutex_unlock(&lock);
}

static void committed(void *argument, atom_status status,
		      const struct state_transaction *t,
		      const struct atom_error *error)
{
	struct commit *c = argument;

	(void)pthread_mutex_lock(&lock);
	c->status = status;
	c->answers++;
	c->version = state_transaction_version(t, 0);
	c->on_own_loop = loop_current() == c->loop;
	if (error)
		(void)snprintf(c->message, sizeof(c->message), "%s",
			       error->message);
	ring();
	(void)pthread_mutex_unlock(&lock);
}

void begin_commit(void *argument)
{
	struct state_transaction *t = state_transaction_new();
	struct atom_error why = ATOM_ERROR_INIT;
	struct commit *c = argument;

	CHECK(t);
	if (c->value)
		CHECK(state_transaction_put(t, "b", state_text(c->key),
					    state_text(c->value), c->expected,
					    &why) == ATOM_OK);
	else
		CHECK(state_transaction_remove(t, "b", state_text(c->key),
					       c->expected, &why) == ATOM_OK);
	c->begun = state_commit(&t, committed, c, &why);
	CHECK((t == NULL) == (c->begun == ATOM_OK));
	c->retry_after_ms = why.retry_after_ms;
	state_transaction_free(&t);
}

void wait_answer(struct commit *c)
{
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(c->answers > 0);
	(void)pthread_mutex_unlock(&lock);
	CHECK(c->answers == 1);
	CHECK(c->on_own_loop);
}

void start_commit(struct commit *c, const char *key, const char *value,
		  uint64_t expected)
{
	*c = (struct commit){
		.key = key,
		.value = value,
		.expected = expected,
		.loop = loops_get(0),
	};
	on(c->loop, begin_commit, c);
}

atom_status commit(struct commit *c, const char *key, const char *value,
		   uint64_t expected)
{
	start_commit(c, key, value, expected);
	if (c->begun != ATOM_OK)
		return c->begun;
	wait_answer(c);
	return c->status;
}

void behind(const char *key, const char *value)
{
	struct atom_span span = { NULL, 0 };

	CHECK(state_write_behind("b", state_text(key),
				 value ? state_text(value) : span,
				 &err) == ATOM_OK);
}

static void keep_got(void *argument, atom_status status,
		     const struct state_record *record,
		     const struct atom_error *error)
{
	struct got *got = argument;

	CHECK((record != NULL) == (status == ATOM_OK));
	CHECK((error != NULL) == (status != ATOM_OK && status != ATOM_ENOENT));
	(void)pthread_mutex_lock(&lock);
	got->status = status;
	if (record) {
		got->version = record->version;
		CHECK(record->value.bytes[record->value.length] == '\0');
		(void)snprintf(got->value, sizeof(got->value), "%s",
			       record->value.bytes);
	}
	got->over = true;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

static void begin_get(void *argument)
{
	struct got *got = argument;

	CHECK(state_get("b", state_text(got->key), keep_got, got, &err) ==
	      ATOM_OK);
}

struct got get(const char *key)
{
	struct got got = { .key = key };

	on(loops_get(1), begin_get, &got);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(got.over);
	(void)pthread_mutex_unlock(&lock);
	return got;
}

/* What the store holds, state left aside. */
static int32_t copy_value(void *argument,
			  const struct atom_store_record *record)
{
	(void)snprintf(argument, 64, "%.*s", (int)record->value.length,
		       record->value.bytes);
	return 0;
}

static const char *stored(const char *key)
{
	const struct atom_span k = state_text(key);
	static char value[64];

	return store.real->get(store.self, "b", &k, copy_value, value, &err) ==
			       ATOM_OK
		       ? value
		       : "(none)";
}

bool stored_is(const char *key, const char *value)
{
	return strcmp(stored(key), value) == 0;
}

/* Wait until the health is this; it changes with a check or a commit. */
void wait_health(bool degraded)
{
	struct state_health health;

	(void)pthread_mutex_lock(&lock);
	for (state_health(&health); health.degraded != degraded;
	     state_health(&health)) {
		size_t checks = store.checks;
		struct timespec soon;

		/* The change follows the check, so the bell is not enough. */
		(void)clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += 5000000;
		if (soon.tv_nsec >= 1000000000) {
			soon.tv_sec++;
			soon.tv_nsec -= 1000000000;
		}
		while (store.checks == checks &&
		       pthread_cond_timedwait(&bell, &lock, &soon) == 0)
			;
	}
	(void)pthread_mutex_unlock(&lock);
}

static void keep_scanned(void *argument, atom_status status,
			 const struct state_record *const *records,
			 size_t count, bool more,
			 const struct atom_error *error)
{
	struct scanned *s = argument;

	CHECK((error != NULL) == (status != ATOM_OK));
	(void)pthread_mutex_lock(&lock);
	s->status = status;
	s->more = more;
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(s->keys);

		(void)snprintf(s->keys + used, sizeof(s->keys) - used, "%s ",
			       records[i]->key.bytes);
	}
	s->over = true;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

static void begin_scan(void *argument)
{
	struct scanned *s = argument;

	CHECK(state_scan("b", state_text(s->prefix), state_text(s->after),
			 s->limit, keep_scanned, s, &err) == ATOM_OK);
}

struct scanned scan(const char *prefix, const char *after, size_t limit)
{
	struct scanned s = { .prefix = prefix, .after = after, .limit = limit };

	on(loops_get(0), begin_scan, &s);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(s.over);
	(void)pthread_mutex_unlock(&lock);
	return s;
}

/* --- the run -------------------------------------------------------------- */

static int alloc_left;

static void *scarce_alloc(size_t size)
{
	return alloc_left-- > 0 ? malloc(size) : NULL;
}

static void *scarce_realloc(void *old, size_t size)
{
	return alloc_left-- > 0 ? realloc(old, size) : NULL;
}

/* Before there are threads. */
static void without_memory_nothing_is_half_built(void)
{
	struct os whole = os;

	os.alloc = scarce_alloc;
	os.realloc = scarce_realloc;
	for (int i = 0; i < 3; i++) {
		struct state_transaction *t;
		atom_status status = ATOM_ENOMEM;

		alloc_left = i;
		t = state_transaction_new();
		if (t)
			status =
				state_transaction_put(t, "b", state_text("k"),
						      state_text("v"), 0, &err);
		CHECK(status == ATOM_ENOMEM);
		state_transaction_free(&t);
	}
	os = whole;
}

static void not_attached_is_said(void)
{
	struct state_health health;
	struct state_record *record;

	state_health(&health);
	CHECK(!health.attached);
	CHECK(state_write_behind("b", state_text("k"), state_text("v"), &err) ==
	      ATOM_EUNAVAILABLE);
	CHECK(state_get_now("b", state_text("k"), &record, &err) ==
	      ATOM_EUNAVAILABLE);
	CHECK(state_detach(&err) == ATOM_EUNAVAILABLE);
}

static void *drive(void *argument)
{
	const struct one_case *one = argument;

	one->run();
	loops_stop();
	return NULL;
}

void (*when_attached)(void);

/* In a process of its own. */
static int run_case(const struct one_case *one)
{
	pthread_t thread;

	log_set_descriptor(-1);
	without_memory_nothing_is_half_built();
	CHECK(metric_init(2) == ATOM_OK);
	CHECK(loops_init(2, &err) == ATOM_OK);
	not_attached_is_said();
	open_store();
	CHECK(state_attach(&guarded, store.self, &err) == ATOM_OK);
	CHECK(state_attach(&guarded, store.self, &err) == ATOM_ESTATE);
	if (when_attached)
		when_attached();
	CHECK(loops_start(&err) == ATOM_OK);
	CHECK(pthread_create(&thread, NULL, drive, (void *)one) == 0);
	loops_run_control();
	(void)pthread_join(thread, NULL);
	CHECK(state_detach(&err) == one->detached);
	CHECK(!one->after || one->after());
	store.real->destroy(store.self);
	loops_fini();
	metric_fini();
	log_fini();
	return 0;
}

/* The pool's threads end first: OpenSSL keeps something for each. */
static void end_child(int code)
{
	uv_library_shutdown();
	exit(code);
}

int run_cases(const struct one_case *cases, size_t count)
{
	int failed = 0;

	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		int status = -1;
		pid_t child;

		(void)snprintf(store.folder, sizeof(store.folder),
			       "/tmp/atomd-state-XXXXXX");
		CHECK(mkdtemp(store.folder));
		(void)fflush(stdout);
		child = fork();
		if (child == 0)
			end_child(run_case(&cases[i]));
		(void)waitpid(child, &status, 0);
		remove_folder(store.folder);
		printf("%s %zu - %s\n", status == 0 ? "ok" : "not ok", i + 1,
		       cases[i].name);
		failed += status != 0;
	}
	return failed ? 1 : 0;
}
