/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "daemon_priv.h"

/*
 * The plugin folders, watched (`plugins.watch`).  A file that comes, changes
 * or goes has them looked through as a reload does, once nothing has happened
 * for a moment: a copy is written in many pieces.  A folder that is missing is
 * told of by the scan, and watched from the reload on that finds it.
 */

#define SETTLE_MS 300

struct watched {
	uv_fs_event_t event;
	struct watched *next;
};

static struct watched *folders;
static struct timer settle;

static void on_settled(struct timer *timer)
{
	(void)timer;
	daemon_on_plugins_changed();
}

static void on_event(uv_fs_event_t *event, const char *file, int events,
		     int status)
{
	size_t length = file != NULL ? strlen(file) : 0;

	(void)event;
	(void)events;
	(void)status;
	if (file != NULL &&
	    (length < 3 || strcmp(file + length - 3, ".so") != 0))
		return;
	settle.fire = on_settled;
	/* Without memory for a timer: at the next event, or at a reload. */
	(void)timer_set(loop_control(), &settle, SETTLE_MS);
}

static void on_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void watch(const char *folder)
{
	struct watched *w = mem_zalloc(sizeof(*w));
	int failed = UV_ENOMEM;

	if (w != NULL)
		failed = uv_fs_event_init(loop_uv(loop_control()), &w->event);
	if (failed != 0) {
		mem_free(w);
	} else {
		w->event.data = w;
		failed = uv_fs_event_start(&w->event, on_event, folder, 0);
		if (failed == 0) {
			w->next = folders;
			folders = w;
		} else {
			uv_close((uv_handle_t *)&w->event, on_closed);
		}
	}
	if (failed != 0 && failed != UV_ENOENT)
		log_line(ATOM_LOG_WARN, "plugins_not_watched",
			 uv_strerror(failed), LOG_TEXT("folder", folder));
}

void daemon_unwatch_plugins(void)
{
	struct watched *w;

	timer_stop(&settle);
	while ((w = folders) != NULL) {
		folders = w->next;
		uv_close((uv_handle_t *)&w->event, on_closed);
	}
}

void daemon_watch_plugins(const struct config *config)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const char **directories = NULL;

	daemon_unwatch_plugins();
	if (!config->plugin_watch)
		return;
	if (daemon_plugin_directories(config, &directories, &err) != ATOM_OK) {
		log_line(ATOM_LOG_WARN, "plugins_not_watched", err.message);
		return;
	}
	for (size_t i = 0; directories[i] != NULL; i++)
		watch(directories[i]);
	mem_free(directories);
}
