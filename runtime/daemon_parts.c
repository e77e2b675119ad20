/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/agents.h"
#include "agent/session.h"
#include "config.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "core/os.h"
#include "gateway/gateway.h"
#include "monitor/calls.h"
#include "monitor/history.h"
#include "monitor/monitors.h"
#include "plugin/registry.h"
#include "security/encryption.h"
#include "security/principal.h"
#include "state/state.h"

#define SPARE_MIN     ((int64_t)8 * 1024 * 1024)
#define SPARE_LOOK_MS 10000
/* A daemon that has used less than one part in so many of a processor since the
 * last look idles. */
#define IDLE_PARTS 100
#define SETTLE_MIN ((int64_t)512 * 1024)
#define SETTLE_MS  20000

/* --- the store ------------------------------------------------------------------ */

static const char *const store_ignored[] = { "store", NULL };

/* The options of the store: the `state` group as it stands, so that faults
 * name its lines; where it says no folder, the default one is added. */
static atom_status store_settings(const struct config *config,
				  struct setting **group_r,
				  struct atom_error *err)
{
	json_t *value = json_object();
	struct setting *group = NULL;
	atom_status status = ATOM_OK;

	if (config->state_options != NULL)
		group = setting_copy(config->state_options);
	else
		status = setting_of_json(value, "state", &group, err);
	json_decref(value);
	if (status == ATOM_OK && group == NULL)
		status = atom_fail(err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK && setting_member(group, "directory") == NULL)
		status = setting_add_text(group, "directory",
					  config->state_directory);
	if (status == ATOM_OK)
		*group_r = group;
	else
		setting_free(&group);
	return status;
}

atom_status daemon_check_store(const struct config *config,
			       struct buffer *errors, struct atom_error *err)
{
	const struct component *component;
	struct options *options = NULL;
	struct setting *group = NULL;
	atom_status status;

	status = registry_component("store", config->state_store, &component,
				    err);
	if (status == ATOM_OK)
		status = store_settings(config, &group, err);
	if (status == ATOM_OK)
		status = options_fill(component->declared, group, store_ignored,
				      &options, errors);
	options_free(&options);
	setting_free(&group);
	return status;
}

atom_status daemon_open_store(const struct config *config,
			      struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	struct buffer errors = BUFFER_INIT(65536);
	struct configured_spec spec = {
		.ignored = store_ignored,
		.agent = "",
		.directory = config->directory,
	};
	struct setting *group = NULL;
	atom_status status;

	status = registry_component("store", config->state_store,
				    &spec.component, err);
	if (status == ATOM_OK)
		status = store_settings(config, &group, err);
	spec.group = group;
	if (status == ATOM_OK)
		status = configured_new(&spec, &d->store, &errors, err);
	if (status != ATOM_OK && errors.length > 0)
		atom_fail(err, status, "%.*s", (int)errors.length,
			  errors.bytes);
	if (status == ATOM_OK)
		status = state_attach(
			(const struct atom_store_ops *)(const void *)
				spec.component->ops,
			configured_self(d->store), err);
	if (status != ATOM_OK)
		health_report("state", HEALTH_FAILED, false, err->message);
	buffer_fini(&errors);
	setting_free(&group);
	/* A damaged store is no reason not to serve: sessions and keys made
	 * by the API are out of reach, and the daemon says so. */
	return status == ATOM_EDATALOSS || status == ATOM_EIO ? ATOM_OK
							      : status;
}

/* --- privileges -------------------------------------------------------------------- */

void daemon_make_state_folder(const struct config *config)
{
	char *path = mem_strdup(config->state_directory);
	char *slash = path;

	while (slash != NULL && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	if (path != NULL)
		(void)mkdir(path, 0700);
	mem_free(path);
}

static atom_status own_state(const struct config *config,
			     const struct passwd *user, struct atom_error *err)
{
	if (chown(config->state_directory, user->pw_uid, user->pw_gid) != 0)
		return atom_fail(err, ATOM_EIO,
				 "state.directory %s: give it to user %s: %s",
				 config->state_directory, user->pw_name,
				 strerror(errno));
	return ATOM_OK;
}

/* Nobody of the same user may look into this process, no core dump may hold
 * its secrets, and nothing it starts gains privileges. */
static void seal_process(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

atom_status daemon_drop_privileges(const struct config *config,
				   struct atom_error *err)
{
	struct passwd *user;
	atom_status status;

	seal_process();
	if (config->user[0] == '\0')
		return ATOM_OK;
	user = getpwnam(config->user);
	if (user == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "user: there is no user '%s' on this machine",
				 config->user);
	if (geteuid() == user->pw_uid)
		return ATOM_OK;
	status = own_state(config, user, err);
	if (status != ATOM_OK)
		return status;
	if (initgroups(user->pw_name, user->pw_gid) != 0 ||
	    setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
		return atom_fail(err, ATOM_EPERM,
				 "user: cannot switch to '%s': %s; start as "
				 "root, or leave `user` empty",
				 config->user, strerror(errno));
	/* The switch made it dumpable again. */
	seal_process();
	return ATOM_OK;
}

/* --- what the process tells of itself ----------------------------------------------- */

/* 0: not known.  Without what is shared with files: `own_r`. */
static int64_t resident_bytes(int64_t *own_r)
{
	char text[128];
	long long total, resident = 0, shared = 0;
	int fd = os.open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = os.read(fd, text, sizeof(text) - 1);
	(void)os.close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%lld %lld %lld", &total, &resident, &shared) != 3)
		return 0;
	*own_r = (resident - shared) * sysconf(_SC_PAGESIZE);
	return resident * sysconf(_SC_PAGESIZE);
}

/*
 * The C library keeps what is freed below the last block in use, which after
 * a load is nearly all of it.  What the process has beyond what is in use is
 * that and a rest which cannot be given back, stacks and heap in pieces: the
 * least of it, since the last time.  What is above that at two looks nobody has
 * needed in between, so that a load does not wait for the library while it
 * takes memory anew.
 */
static bool give_back_spare(struct daemon *d, int64_t own)
{
	int64_t spare, before;

	own -= (int64_t)mem_used();
	if (d->memory_rest == 0 || own < d->memory_rest)
		d->memory_rest = own;
	spare = own - d->memory_rest;
	before = d->memory_spare;
	d->memory_spare = spare;
	if (spare < SPARE_MIN || before < SPARE_MIN)
		return false;
	mem_give_back();
	d->memory_spare = 0;
	(void)resident_bytes(&own);
	d->memory_rest = own - (int64_t)mem_used();
	return true;
}

/*
 * What runs now and then, a report, a signature below the audit log, leaves its
 * code resident as a start does.  That of a daemon with something to do stays.
 */
static bool settle(struct daemon *d, int64_t now_ms, int64_t shared)
{
	const int64_t cpu_ms = (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
	const int64_t used_ms = cpu_ms - d->memory_cpu_ms;
	int64_t own = 0;

	d->memory_cpu_ms = cpu_ms;
	if (used_ms * IDLE_PARTS > SPARE_LOOK_MS ||
	    now_ms < d->memory_settle_ms ||
	    shared - d->memory_settled < SETTLE_MIN)
		return false;
	mem_settle();
	d->memory_settle_ms = now_ms + SETTLE_MS;
	d->memory_settled = resident_bytes(&own) - own;
	return true;
}

int64_t daemon_memory(struct daemon *d)
{
	int64_t now_ms = loop_now_ms(loop_control());
	int64_t own = 0, resident = resident_bytes(&own);
	bool changed;

	if (resident <= 0 || now_ms < d->memory_next_ms)
		return resident;
	d->memory_next_ms = now_ms + SPARE_LOOK_MS;
	changed = give_back_spare(d, own);
	changed |= settle(d, now_ms, resident - own);
	return changed ? resident_bytes(&own) : resident;
}

void daemon_build_info(void)
{
	static const char *const labels[] = { "version", "abi", NULL };
	static const char *const values[] = {
		PACKAGE_VERSION,
		ATOM_STRING_(ATOM_ABI_MAJOR) "." ATOM_STRING_(ATOM_ABI_MINOR)
	};
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_GAUGE,
		.name = "atomd_build_info",
		.help = "Which atomd this is; always 1.",
		.unit = "",
		.label_names = labels,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	uint32_t family;

	if (metric_declare(&spec, &family, &err) == ATOM_OK)
		metric_set(metric_series(family, values), 1);
}

/* --- the state folder's disk ---------------------------------------------------- */

static char state_folder[PATH_MAX];

/* What others than root may still write, or all there is, in bytes; NaN when
 * nobody knows. */
static double disk_bytes(bool all)
{
	struct statvfs volume;

	if (statvfs(state_folder, &volume) != 0)
		return NAN;
	return (double)(all ? volume.f_blocks : volume.f_bavail) *
	       (double)volume.f_frsize;
}

static double disk_free(void *argument)
{
	(void)argument;
	return disk_bytes(false);
}

static double disk_size(void *argument)
{
	(void)argument;
	return disk_bytes(true);
}

atom_status daemon_watch_disk(const struct config *config)
{
	atom_status status;

	(void)snprintf(state_folder, sizeof(state_folder), "%s",
		       config->state_directory);
	status = metric_gauge_callback("atomd_state_disk_free_bytes",
				       "What is free on the disk of the state "
				       "folder.",
				       disk_free, NULL);
	return status == ATOM_OK ? metric_gauge_callback(
					   "atomd_state_disk_size_bytes",
					   "The size of the disk of the state "
					   "folder.",
					   disk_size, NULL)
				 : status;
}

atom_status daemon_start_history(const struct config *config,
				 struct atom_error *err)
{
	char folder[PATH_MAX];
	atom_status status;

	(void)snprintf(folder, sizeof(folder), "%s/history",
		       config->state_directory);
	status = history_init(folder, encryption_keyring(), err);
	if (status == ATOM_OK &&
	    history_run(config->monitoring_interval_ms, agents_measure,
			monitors_sampled) != ATOM_OK)
		status = atom_fail(err, ATOM_ENOMEM, "history: no memory");
	return status;
}

/* libuv joins the pool's threads, here and when the process exits.  The store
 * and the audit log are closed; what such a thread may still use stays. */
static void leave_stuck(struct daemon *d, int exit_status)
{
	http_server_free(&d->server);
	log_fini();
	_exit(exit_status);
}

void daemon_free(int exit_status)
{
	struct daemon *d = &daemon_state;
	struct atom_error err = ATOM_ERROR_INIT;

	daemon_audit_end();
	/* What could not be stored it has said itself. */
	if (d->store != NULL) {
		security_flush();
		(void)state_detach(&err);
	}
	monitors_fini();
	calls_fini();
	configured_free(&d->store);
	session_fini();
	security_fini();
	agents_fini();
	/* After a start that failed the loops end here, and tell those that
	 * wait for it: the server is still there. */
	loops_fini();
	if (loops_stuck())
		leave_stuck(d, exit_status);
	/* The pool's threads end before OpenSSL cleans up at exit: what it has
	 * kept for them is theirs to free. */
	uv_library_shutdown();
	gateway_fini();
	http_server_free(&d->server);
	registry_fini();
	history_fini();
	encryption_close();
	config_unref(&d->config);
	metric_fini();
	health_fini();
	log_fini();
}
