/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "http/client_priv.h"

/*
 * libcurl's multi_socket interface on a loop: it says which sockets to watch
 * and when it wants to be called; we call it, and then, outside of it, do
 * what its callbacks could not.
 */

/* libcurl asks for "at once" again and again; after so many rounds others
 * on the loop get theirs. */
#define ROUNDS_MAX 8
/* A timer that is always pending never fails for want of memory. */
#define FAR_MS ((int64_t)3600 * 1000)

/* A socket; freed when libuv has let go of it. */
struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
	int events;
};

static void client_run(struct http_client *client, curl_socket_t fd, int flags);

/* --- what comes from the loop --------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	client_run(watch->client, watch->fd, flags);
}

static void on_timer(struct timer *timer)
{
	struct http_client *client =
		CONTAINER_OF(timer, struct http_client, timer);

	(void)timer_set(client->loop, timer, FAR_MS);
	client_run(client, CURL_SOCKET_TIMEOUT, 0);
}

/* --- what libcurl asks for ------------------------------------------------- */

static void on_watch_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

/* At once, not later: the next socket may have the same number. */
static void watch_free(struct watch *watch)
{
	(void)uv_poll_stop(&watch->poll);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct watch *watch_new(struct http_client *client, curl_socket_t fd)
{
	struct watch *watch = mem_zalloc(sizeof(*watch));

	if (watch == NULL ||
	    uv_poll_init_socket(loop_uv(client->loop), &watch->poll, fd) != 0) {
		mem_free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->client = client;
	watch->fd = fd;
	return watch;
}

/* A socket that cannot be watched: its transfer ends, the others go on (an
 * error told to libcurl would end them all). */
static void cannot_watch(CURL *easy)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_http_transfer *t = NULL;
	char *private = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK)
		t = (struct atom_http_transfer *)(void *)private;
	if (t == NULL || t->ended)
		return;
	atom_fail(&err, ATOM_ENOMEM,
		  "the connection to %s could not be watched: out of memory",
		  t->where);
	transfer_end(t, ATOM_ENOMEM, &err);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *argument,
		     void *socket_argument)
{
	struct http_client *client = argument;
	struct watch *watch = socket_argument;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			watch_free(watch);
		return 0;
	}
	if (watch == NULL) {
		watch = watch_new(client, fd);
		if (watch == NULL) {
			cannot_watch(easy);
			return 0;
		}
		(void)curl_multi_assign(client->multi, fd, watch);
	}
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	if (events == watch->events)
		return 0;
	watch->events = events;
	if (uv_poll_start(&watch->poll, events, on_ready) != 0)
		cannot_watch(easy);
	return 0;
}

static int on_timeout(CURLM *multi, long after_ms, void *argument)
{
	struct http_client *client = argument;

	(void)multi;
	client->due = client->running && after_ms == 0;
	(void)timer_set(client->loop, &client->timer,
			client->due || after_ms < 0 ? FAR_MS : after_ms);
	return 0;
}

/* --- running it ------------------------------------------------------------ */

void client_reap(struct http_client *client)
{
	struct atom_http_transfer *t;

	if (client->inside > 0)
		return;
	while ((t = client->dead) != NULL) {
		client->dead = t->next;
		transfer_free(t);
	}
}

static void launch_later_ones(struct http_client *client)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_http_transfer *t;

	while ((t = client->unlaunched.first) != NULL)
		if (transfer_launch(t, NULL, &err) != ATOM_OK)
			transfer_end(t, err.status, &err);
}

/* What libcurl has finished, and what was begun or resumed from inside. */
static void settle(struct http_client *client)
{
	struct atom_http_transfer *t;
	char *private;
	CURLMsg *message;
	int left;

	client_reap(client);
	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		private = NULL;
		if (message->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
				      &private) != CURLE_OK)
			continue;
		t = (struct atom_http_transfer *)(void *)private;
		if (t != NULL && !t->ended)
			transfer_done(t, message->data.result);
	}
	launch_later_ones(client);
	while ((t = client->resumed) != NULL) {
		client->resumed = t->next_resumed;
		t->resumed = false;
		transfer_go_on(t);
		client_reap(client);
	}
}

static void client_run(struct http_client *client, curl_socket_t fd, int flags)
{
	int left;

	client->running = true;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		client->due = false;
		client->inside++;
		(void)curl_multi_socket_action(client->multi, fd, flags, &left);
		client->inside--;
		settle(client);
		if (!client->due)
			break;
		fd = CURL_SOCKET_TIMEOUT;
		flags = 0;
	}
	client->running = false;
	if (client->due)
		(void)timer_set(client->loop, &client->timer, 0);
}

void client_kick(struct http_client *client)
{
	if (client->running)
		client->due = true;
	else
		(void)timer_set(client->loop, &client->timer, 0);
}

/* --- life ------------------------------------------------------------------- */

atom_status client_loop_init(struct http_client *client)
{
	CURLM *multi = curl_multi_init();

	client->multi = multi;
	if (client->used == NULL)
		client->used = mem_array(HTTP_USED_MAX, sizeof(*client->used));
	if (multi == NULL || client->used == NULL)
		return ATOM_ENOMEM;
	client->timer.fire = on_timer;
	if (timer_set(client->loop, &client->timer, FAR_MS) != ATOM_OK)
		return ATOM_ENOMEM;
	if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) ||
	    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
			      (long)HTTP_CONNECTIONS_MAX))
		return ATOM_ENOMEM;
	return ATOM_OK;
}

void client_loop_fini(struct http_client *client)
{
	if (client->multi != NULL)
		(void)curl_multi_cleanup(client->multi);
	client->multi = NULL;
	mem_free(TAKE(client->used));
	timer_stop(&client->timer);
}
