/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "http/client_priv.h"
#include "plugin/host.h"

/*
 * One transfer: its life, libcurl's callbacks, pausing, and its one end.
 */

/* --- lists ------------------------------------------------------------------ */

void transfer_list_add(struct transfer_list *list, struct atom_http_transfer *t)
{
	t->list = list;
	t->previous = NULL;
	t->next = list->first;
	if (t->next != NULL)
		t->next->previous = t;
	list->first = t;
}

void transfer_list_remove(struct atom_http_transfer *t)
{
	if (t->list == NULL)
		return;
	if (t->previous != NULL)
		t->previous->next = t->next;
	else
		t->list->first = t->next;
	if (t->next != NULL)
		t->next->previous = t->previous;
	t->list = NULL;
	t->next = t->previous = NULL;
}

static void leave_resumed(struct atom_http_transfer *t)
{
	struct atom_http_transfer **link = &t->client->resumed;

	if (!t->resumed)
		return;
	while (*link != t)
		link = &(*link)->next_resumed;
	*link = t->next_resumed;
	t->resumed = false;
}

/* --- calling the plugin ------------------------------------------------------ */

static void plugin_end(const struct atom_host *host, int64_t began_ns,
		       const char *function)
{
	if (host == NULL)
		return;
	host_call_end(began_ns, configured_component(host_configured(host)),
		      function);
}

bool transfer_tell_head(struct atom_http_transfer *t, int32_t status)
{
	int64_t began;

	t->phase = PHASE_BEGUN;
	/* Without memory for the timer, that of `total` is still there. */
	(void)transfer_arm(t);
	began = host_call_begin();
	t->events->head(t->argument, t, status);
	plugin_end(t->host, began, "http_head");
	return !t->ended;
}

bool transfer_tell_data(struct atom_http_transfer *t, const char *bytes,
			size_t length)
{
	int64_t began = host_call_begin();

	t->events->data(t->argument, t, bytes, length);
	plugin_end(t->host, began, "http_data");
	return !t->ended;
}

/* --- life -------------------------------------------------------------------- */

struct atom_http_transfer *transfer_new(struct http_client *client,
					const struct atom_http_request *request,
					size_t behind)
{
	size_t count = request->body_count;
	struct atom_http_transfer *t =
		mem_zalloc(sizeof(*t) + count * sizeof(t->pieces[0]) + behind);

	if (t == NULL)
		return NULL;
	t->client = client;
	t->began_ms = loop_now_ms(client->loop);
	t->last_ms = t->began_ms;
	t->connect_ms =
		request->connect_ms > 0 ? request->connect_ms : HTTP_CONNECT_MS;
	t->head_ms = request->head_ms;
	t->stall_ms = request->stall_ms;
	t->total_ms = request->total_ms;
	t->answer_max =
		request->answer_max > 0 ? request->answer_max : HTTP_ANSWER_MAX;
	t->piece_count = count;
	for (size_t i = 0; i < count; i++)
		t->pieces[i] = request->body[i];
	client->transfer_count++;
	return t;
}

char *transfer_behind(struct atom_http_transfer *t)
{
	return (char *)&t->pieces[t->piece_count];
}

static void free_easy(struct atom_http_transfer *t)
{
	struct http_client *client = t->client;

	if (t->added)
		(void)curl_multi_remove_handle(client->multi, t->easy);
	if (t->easy != NULL)
		easy_give(client, t->easy);
	curl_slist_free_all(t->fields);
	curl_slist_free_all(t->addresses);
	mem_free(t->peer_host);
	mem_free(t->peer_port);
	mem_free(t->where);
}

void transfer_free(struct atom_http_transfer *t)
{
	struct http_client *client = t->client;

	timer_stop(&t->timer);
	transfer_list_remove(t);
	if (t->is_lean)
		lean_free(t);
	else
		free_easy(t);
	mem_free(t);
	client->transfer_count--;
}

static atom_status set_addresses(struct atom_http_transfer *t,
				 const char *addresses)
{
	struct buffer entry = BUFFER_INIT(4096);
	atom_status status = ATOM_ENOMEM;

	if (buffer_printf(&entry, "+%s:%s:%s", t->peer_host, t->peer_port,
			  addresses) != ATOM_OK)
		goto out;
	t->addresses = curl_slist_append(NULL, entry.bytes);
	if (t->addresses != NULL && curl_easy_setopt(t->easy, CURLOPT_RESOLVE,
						     t->addresses) == CURLE_OK)
		status = ATOM_OK;
out:
	buffer_fini(&entry);
	return status;
}

atom_status transfer_launch(struct atom_http_transfer *t, const char *addresses,
			    struct atom_error *err)
{
	struct http_client *client = t->client;

	transfer_list_remove(t);
	t->phase = PHASE_CONNECTING;
	if (t->is_lean) {
		transfer_list_add(&client->transfers, t);
		return lean_launch(t, addresses, err);
	}
	if (addresses != NULL && set_addresses(t, addresses) != ATOM_OK)
		goto fail;
	if (client->inside > 0) {
		transfer_list_add(&client->unlaunched, t);
		client_kick(client);
		return ATOM_OK;
	}
	if (curl_multi_add_handle(client->multi, t->easy) != CURLM_OK)
		goto fail;
	t->added = true;
	transfer_list_add(&client->transfers, t);
	return ATOM_OK;
fail:
	return atom_fail(err, ATOM_ENOMEM, "no memory for a request to %s",
			 t->where);
}

void transfer_end(struct atom_http_transfer *t, atom_status status,
		  const struct atom_error *error)
{
	struct http_client *client = t->client;
	const struct atom_host *host = t->host;
	int64_t began;

	t->ended = true;
	timer_stop(&t->timer);
	transfer_list_remove(t);
	if (t->is_lean)
		lean_leave(t, status == ATOM_OK);
	else
		leave_resumed(t);
	client_count_end(t, status);
	began = host_call_begin();
	t->events->end(t->argument, status, t->phase >= PHASE_SENT, error);
	plugin_end(host, began, "http_end");
	t->next = client->dead;
	client->dead = t;
	client_reap(client);
	if (host != NULL)
		host_release(host);
}

/* Nothing of it was sent: once more, in a connection of its own. */
static atom_status begin_anew(struct atom_http_transfer *t,
			      struct atom_error *err)
{
	(void)curl_multi_remove_handle(t->client->multi, t->easy);
	t->added = t->unquiet = false;
	t->piece = t->piece_offset = 0;
	if (curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for a request to %s", t->where);
	return transfer_launch(t, NULL, err);
}

void transfer_done(struct atom_http_transfer *t, CURLcode result)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	if (result == CURLE_ABORTED_BY_CALLBACK && t->unquiet) {
		status = begin_anew(t, &err);
		if (status != ATOM_OK)
			transfer_end(t, status, &err);
		return;
	}
	if (result == CURLE_OK)
		used_note(t->client, t->easy);
	if (result != CURLE_OK || t->phase != PHASE_BEGUN)
		status = transfer_explain(t, result, &err);
	transfer_end(t, status, &err);
}

/* --- libcurl's callbacks -------------------------------------------------------- */

size_t transfer_on_read(char *out, size_t size, size_t count, void *argument)
{
	struct atom_http_transfer *t = argument;
	size_t room = size * count, taken = 0;

	if (t->ended)
		return CURL_READFUNC_ABORT;
	while (taken < room && t->piece < t->piece_count) {
		const struct atom_span *piece = &t->pieces[t->piece];
		size_t length = piece->length - t->piece_offset;

		if (length > room - taken)
			length = room - taken;
		if (length > 0)
			memcpy(out + taken, piece->bytes + t->piece_offset,
			       length);
		taken += length;
		t->piece_offset += length;
		if (t->piece_offset == piece->length) {
			t->piece++;
			t->piece_offset = 0;
		}
	}
	return taken;
}

/* NOLINTBEGIN(readability-non-const-parameter): libcurl's types. */
int transfer_on_connected(void *argument, char *peer, char *own, int peer_port,
			  int own_port)
{
	struct atom_http_transfer *t = argument;
	long connects = 0;

	if (t->ended)
		return CURL_PREREQFUNC_ABORT;
	if (curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects) ==
		    CURLE_OK &&
	    connects == 0 &&
	    !used_is_quiet(t->client, peer, peer_port, own, own_port)) {
		t->unquiet = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (t->phase < PHASE_SENT)
		t->phase = PHASE_SENT;
	return CURL_PREREQFUNC_OK;
}

/* The empty line behind a head; 1xx heads are only passing through. */
static bool head_ended(struct atom_http_transfer *t)
{
	long status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status < 200 || transfer_tell_head(t, (int32_t)status);
}

size_t transfer_on_field(char *bytes, size_t size, size_t count, void *argument)
{
	struct atom_http_transfer *t = argument;
	size_t length = size * count;

	if (t->ended)
		return 0;
	if (length > HTTP_HEAD_MAX - t->head_bytes) {
		t->head_too_long = true;
		return 0;
	}
	t->head_bytes += length;
	t->last_ms = loop_now_ms(t->client->loop);
	if (t->phase == PHASE_BEGUN || length > 2 ||
	    (bytes[0] != '\r' && bytes[0] != '\n'))
		return length;
	return head_ended(t) ? length : 0;
}
/* NOLINTEND(readability-non-const-parameter) */

size_t transfer_on_body(char *bytes, size_t size, size_t count, void *argument)
{
	struct atom_http_transfer *t = argument;
	size_t length = size * count;

	/* A body without a head: it switched protocols unasked. */
	if (t->ended || t->phase != PHASE_BEGUN)
		return 0;
	if (t->paused) {
		t->stopped = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (length > t->answer_max - t->received) {
		t->answer_too_long = true;
		return 0;
	}
	t->received += length;
	t->last_ms = loop_now_ms(t->client->loop);
	if (length == 0)
		return 0;
	return transfer_tell_data(t, bytes, length) ? length : 0;
}

/* --- backpressure ----------------------------------------------------------------- */

void transfer_pause(struct atom_http_transfer *t)
{
	t->paused = true;
	if (t->is_lean && !t->ended)
		lean_watch(t);
}

void transfer_resume(struct atom_http_transfer *t)
{
	if (t->ended || !t->paused)
		return;
	t->paused = false;
	t->last_ms = loop_now_ms(t->client->loop);
	(void)transfer_arm(t);
	if (t->is_lean) {
		lean_resume(t);
		return;
	}
	if (t->resumed || !t->stopped)
		return;
	t->resumed = true;
	t->next_resumed = t->client->resumed;
	t->client->resumed = t;
	client_kick(t->client);
}

void transfer_go_on(struct atom_http_transfer *t)
{
	struct http_client *client = t->client;

	if (t->paused)
		return;
	t->stopped = false;
	client->inside++;
	(void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
	client->inside--;
}
