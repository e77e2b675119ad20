/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"

/*
 * From addresses to a connection, as RFC 8305 ("Happy Eyeballs") has it in its
 * section 5.  One attempt begins when the one before it has failed, or has not
 * succeeded in a while; those before go on.  The first that connects is taken
 * and the others are closed.  `connect_ms` bounds them all.
 *
 * A call is counted with one descriptor.  What its attempts take beyond that
 * has a bound for the loop; at the bound, and where no descriptor is left, an
 * attempt that has had its while gives way to the next.
 */

#define KEEPALIVE_S 60 /* as libcurl has it */
/* Between two attempts: what section 5 recommends, and the least it allows.
 * With a short `connect_ms` each address has an equal share of that. */
#define DELAY_MS     250
#define DELAY_MIN_MS 10
#define MORE_MAX     sizeof(", and 4294967295 more")

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "192.0.2.1" or "[2001:db8::1]"; 0 when it is neither. */
static socklen_t read_address(const char *text, uint16_t port,
			      union address *out)
{
	char address[INET6_ADDRSTRLEN + 2];

	memset(out, 0, sizeof(*out));
	if (text[0] != '[') {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		return inet_pton(AF_INET, text, &out->in.sin_addr) == 1
			       ? sizeof(out->in)
			       : 0;
	}
	(void)snprintf(address, sizeof(address), "%s", text + 1);
	address[strcspn(address, "]")] = '\0';
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	return inet_pton(AF_INET6, address, &out->in6.sin6_addr) == 1
		       ? sizeof(out->in6)
		       : 0;
}

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
				 &options[i].value, sizeof(options[i].value));
}

/* --- one attempt -------------------------------------------------------------- */

/* A socket that connects, or -1 with errno. */
static int connecting_socket(const union address *address, socklen_t length)
{
	int fd = os.socket(address->any.sa_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code;

	if (fd < 0)
		return -1;
	set_options(fd);
	if (os.connect(fd, &address->any, length) == 0 ||
	    errno == EINPROGRESS || errno == EINTR)
		return fd;
	code = errno;
	os.close(fd);
	errno = code;
	return -1;
}

/* 0 when it is under way, else an errno. */
static int begin(struct atom_http_transfer *t, struct lean_attempt *attempt)
{
	struct lean_connection *c;
	union address address;
	uint16_t port = 0;
	socklen_t length;
	int fd;

	for (const char *at = t->peer_port; *at != '\0'; at++)
		port = (uint16_t)(port * 10 + (*at - '0'));
	length = read_address(attempt->address, port, &address);
	if (length == 0)
		return EADDRNOTAVAIL;
	fd = connecting_socket(&address, length);
	if (fd < 0)
		return errno;
	c = lean_connection_new(t->client, fd);
	if (c == NULL) {
		os.close(fd);
		return ENOMEM;
	}
	c->transfer = t;
	attempt->connection = c;
	if (t->lean.attempts->open++ > 0)
		t->client->lean.beside++;
	lean_connection_watch(c, UV_WRITABLE);
	return 0;
}

/* It is under way no more. */
static struct lean_connection *take(struct atom_http_transfer *t,
				    struct lean_attempt *attempt)
{
	if (--t->lean.attempts->open > 0)
		t->client->lean.beside--;
	return TAKE(attempt->connection);
}

static void fail(struct atom_http_transfer *t, struct lean_attempt *attempt,
		 int code)
{
	lean_connection_close(take(t, attempt));
	attempt->code = code;
}

/* --- one after the other -------------------------------------------------------- */

static void give_up_oldest(struct atom_http_transfer *t)
{
	struct lean_attempt *oldest = t->lean.attempts->each;

	while (oldest->connection == NULL)
		oldest++;
	fail(t, oldest, ETIMEDOUT);
}

/* Where there is no descriptor for one more, that of the oldest is. */
static int begin_beside(struct atom_http_transfer *t,
			struct lean_attempt *attempt)
{
	bool alone = t->lean.attempts->open == 0;
	int code = alone || t->client->lean.beside < HTTP_BESIDE_MAX
			   ? begin(t, attempt)
			   : EMFILE;

	if (alone || code != EMFILE)
		return code;
	give_up_oldest(t);
	return begin(t, attempt);
}

/* Until the next has its turn; `transfer_arm()` sees to it. */
static void set_turn(struct atom_http_transfer *t)
{
	struct lean_attempts *all = t->lean.attempts;
	int64_t now = loop_now_ms(t->client->loop);
	int64_t delay = (t->began_ms + t->connect_ms - now) /
			(all->count - all->begun + 1);

	if (all->begun == all->count)
		return;
	if (delay > DELAY_MS)
		delay = DELAY_MS;
	if (delay < DELAY_MIN_MS)
		delay = DELAY_MIN_MS;
	all->turn_ms = now + delay;
	(void)transfer_arm(t);
}

/* The one before it has failed, or has had its while. */
static void begin_next(struct atom_http_transfer *t)
{
	struct lean_attempts *all = t->lean.attempts;

	all->turn_ms = INT64_MAX;
	while (all->begun < all->count) {
		struct lean_attempt *next = &all->each[all->begun++];

		next->code = begin_beside(t, next);
		if (next->code == 0) {
			set_turn(t);
			return;
		}
		resolve_note(t->client, t->peer_host, next->address, false);
	}
	if (all->open == 0)
		lean_fail_later(t, all->each[all->count - 1].code);
}

void lean_take_turn(struct atom_http_transfer *t)
{
	const struct lean_attempts *all = t->lean.attempts;

	resolve_note(t->client, t->peer_host, all->each[all->begun - 1].address,
		     false);
	begin_next(t);
}

bool lean_connect(struct atom_http_transfer *t, const char *addresses)
{
	unsigned int first = resolve_preferred(t->client, t->peer_host);
	size_t length = strlen(addresses) + 1, size;
	struct lean_attempts *all;
	unsigned int count = 1;
	char *text;

	for (const char *at = addresses; (at = strchr(at, ',')) != NULL; at++)
		count++;
	size = sizeof(*all) + count * sizeof(all->each[0]);
	all = mem_zalloc(size + length);
	if (all == NULL)
		return false;
	text = memcpy((char *)all + size, addresses, length);
	all->count = count;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int place = i < first ? i + 1 : i;

		all->each[i == first ? 0 : place].address = strsep(&text, ",");
	}
	t->lean.attempts = all;
	begin_next(t);
	return true;
}

/* --- what becomes of them ---------------------------------------------------------- */

static int code_of(const struct lean_connection *c)
{
	socklen_t size = sizeof(int);
	int code = 0;

	return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0
		       ? code
		       : errno;
}

void lean_connected(struct lean_connection *c)
{
	struct atom_http_transfer *t = c->transfer;
	struct lean_attempts *all = t->lean.attempts;
	struct lean_attempt *attempt = all->each;
	int code = code_of(c);

	while (attempt->connection != c)
		attempt++;
	resolve_note(t->client, t->peer_host, attempt->address, code == 0);
	if (code == 0) {
		t->lean.connection = take(t, attempt);
		lean_forget_attempts(t);
		lean_write(t);
		return;
	}
	fail(t, attempt, code);
	/* Beside an older one the next waits for its turn. */
	if (attempt == &all->each[all->begun - 1] || all->open == 0)
		begin_next(t);
}

void lean_give_up_attempts(struct atom_http_transfer *t)
{
	while (t->lean.attempts != NULL && t->lean.attempts->open > 0)
		give_up_oldest(t);
}

void lean_forget_attempts(struct atom_http_transfer *t)
{
	lean_give_up_attempts(t);
	mem_free(TAKE(t->lean.attempts));
}

bool lean_tell_attempts(const struct atom_http_transfer *t, char *out,
			size_t size)
{
	const struct lean_attempts *all = t->lean.attempts;
	size_t length = 0;

	if (all == NULL || strcmp(all->each[0].address, t->peer_host) == 0)
		return false;
	for (unsigned int i = 0; i < all->begun; i++) {
		const struct lean_attempt *attempt = &all->each[i];
		int code = attempt->code != 0 ? attempt->code : ETIMEDOUT;
		int n = snprintf(out + length, size - length, "%s%s: %s",
				 i > 0 ? ", " : "", attempt->address,
				 uv_strerror(uv_translate_sys_error(code)));

		if (length + (size_t)n + MORE_MAX > size) {
			(void)snprintf(out + length, size - length,
				       ", and %u more", all->begun - i);
			break;
		}
		length += (size_t)n;
	}
	return true;
}
