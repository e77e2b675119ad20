/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"

/*
 * Lean connections, and those that are kept: by the server's name in buckets,
 * the one used last in front, so that what a burst needed grows old and goes;
 * and by age, for the one timer and for the bound.
 *
 * A kept one is watched all the time: a server that closes it, or says what
 * nobody asked for, is heard at once, and neither keeping nor taking one costs
 * a call to the kernel.  What has come since the loop last looked is found by
 * the look right before a request goes in.
 */

#define IDLE_MS ((int64_t)HTTP_IDLE_S * 1000)

/* --- a connection ------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct lean_connection *c = poll->data;
	struct atom_http_transfer *t = c->transfer;

	/* libuv has stopped it; what the matter is will be seen at the next
	 * call to the kernel. */
	if (status < 0) {
		c->events = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (t == NULL) {
		lean_pool_drop(c);
		return;
	}
	if (t->lean.connection != c) {
		lean_connected(c);
		return;
	}
	if ((events & UV_WRITABLE) != 0)
		lean_write(t);
	/* Unless that was its end. */
	if ((events & UV_READABLE) != 0 && t->lean.connection == c)
		lean_readable(t);
}

static void on_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

struct lean_connection *lean_connection_new(struct http_client *client, int fd)
{
	struct lean_connection *c = mem_zalloc(sizeof(*c));

	if (c == NULL ||
	    uv_poll_init(loop_uv(client->loop), &c->poll, fd) != 0) {
		mem_free(c);
		return NULL;
	}
	c->poll.data = c;
	c->client = client;
	c->fd = fd;
	return c;
}

void lean_connection_close(struct lean_connection *c)
{
	c->transfer = NULL;
	uv_close((uv_handle_t *)&c->poll, on_closed);
	os.close(c->fd);
	c->fd = -1;
}

void lean_connection_watch(struct lean_connection *c, int events)
{
	if (events == c->events)
		return;
	c->events = events;
	if (events == 0)
		(void)uv_poll_stop(&c->poll);
	else
		(void)uv_poll_start(&c->poll, events, on_poll);
}

/* --- those that are kept -------------------------------------------------------- */

static struct lean_connection **bucket_of(struct lean_pool *pool, uint64_t name)
{
	return &pool->buckets[name % LEAN_BUCKETS];
}

static void link_in(struct lean_pool *pool, struct lean_connection *c)
{
	struct lean_connection **bucket = bucket_of(pool, c->name);

	c->previous = NULL;
	c->next = *bucket;
	if (c->next != NULL)
		c->next->previous = c;
	*bucket = c;
	c->newer = NULL;
	c->older = pool->newest;
	if (c->older != NULL)
		c->older->newer = c;
	else
		pool->oldest = c;
	pool->newest = c;
	pool->count++;
}

static void link_out(struct lean_pool *pool, struct lean_connection *c)
{
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		*bucket_of(pool, c->name) = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	if (c->older != NULL)
		c->older->newer = c->newer;
	else
		pool->oldest = c->newer;
	if (c->newer != NULL)
		c->newer->older = c->older;
	else
		pool->newest = c->older;
	pool->count--;
}

void lean_pool_drop(struct lean_connection *c)
{
	link_out(&c->client->lean, c);
	lean_connection_close(c);
}

void lean_pool_clear(struct http_client *client)
{
	timer_stop(&client->lean.expiry);
	while (client->lean.oldest != NULL)
		lean_pool_drop(client->lean.oldest);
}

static void on_expiry(struct timer *timer)
{
	struct http_client *client =
		CONTAINER_OF(timer, struct http_client, lean.expiry);
	struct lean_pool *pool = &client->lean;
	int64_t now = loop_now_ms(client->loop);

	while (pool->oldest != NULL && pool->oldest->kept_ms + IDLE_MS <= now)
		lean_pool_drop(pool->oldest);
	if (pool->oldest != NULL &&
	    timer_set(client->loop, timer,
		      pool->oldest->kept_ms + IDLE_MS - now) != ATOM_OK)
		lean_pool_clear(client);
}

void lean_pool_keep(struct lean_connection *c, uint64_t name)
{
	struct http_client *client = c->client;
	struct lean_pool *pool = &client->lean;

	pool->expiry.fire = on_expiry;
	if (client->ended ||
	    (!timer_pending(&pool->expiry) &&
	     timer_set(client->loop, &pool->expiry, IDLE_MS) != ATOM_OK)) {
		lean_connection_close(c);
		return;
	}
	if (pool->count >= HTTP_CONNECTIONS_MAX)
		lean_pool_drop(pool->oldest);
	c->transfer = NULL;
	c->name = name;
	c->kept_ms = loop_now_ms(client->loop);
	link_in(pool, c);
	lean_connection_watch(c, UV_READABLE);
}

static bool is_quiet(const struct lean_connection *c)
{
	char byte;
	ssize_t n;

	do {
		n = os.recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

struct lean_connection *lean_pool_take(struct http_client *client,
				       uint64_t name)
{
	struct lean_pool *pool = &client->lean;
	struct lean_connection *c = *bucket_of(pool, name), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		if (c->name != name)
			continue;
		if (is_quiet(c)) {
			link_out(pool, c);
			return c;
		}
		lean_pool_drop(c);
	}
	return NULL;
}
