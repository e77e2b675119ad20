/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the lean transport connects to one of several addresses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"
#include "probe_fixture.h"
#include "upstream_fixture.h"
#include "ways_fixture.h"

/* What takes as long as this is waited for in vain. */
#define DAY_MS (24 * 3600 * 1000)

static struct upstream upstream;
static struct os real;
static atomic_int alloc_fails_in; /* 0: never */
static atomic_bool alloc_failed;

static bool fail_now(void)
{
	if (loop_current() == NULL || loop_is_control() ||
	    alloc_fails_in == 0 || --alloc_fails_in != 0)
		return false;
	alloc_failed = true;
	return true;
}

static void *faulty_alloc(size_t size)
{
	return fail_now() ? NULL : real.alloc(size);
}

static void *faulty_realloc(void *old, size_t size)
{
	return fail_now() ? NULL : real.realloc(old, size);
}

static bool answer(struct upstream_connection *c)
{
	return upstream_whole(c, "200 OK", "Connection: close\r\n", "ok");
}

/* --- calls ---------------------------------------------------------------------- */

static void init(struct probe *p, const char *host)
{
	char url[96];

	(void)snprintf(url, sizeof(url), "http://%s:8080/", host);
	probe_prepare(p, "GET", url);
	p->request.connect_ms = DAY_MS;
	ways_tried[0] = '\0';
}

static void run(struct probe *p, atom_status status)
{
	probe_run(p);
	if (p->status != status)
		printf("# %s\n", p->error.message);
	CHECK(p->status == status);
	CHECK(ways_open == 0);
	probe_fini(p);
}

/* That these are tried one after the other.  On a loop that is held up another
 * is begun before one is seen to be connected. */
static void expect(const char *host, atom_status status, const char *addresses)
{
	struct probe p;

	init(&p, host);
	run(&p, status);
	if (strncmp(ways_tried, addresses, strlen(addresses)) != 0)
		printf("# tried %s, not %s\n", ways_tried, addresses);
	CHECK(strncmp(ways_tried, addresses, strlen(addresses)) == 0);
	CHECK(status == ATOM_OK || strlen(ways_tried) == strlen(addresses));
}

static void lead_two(enum end first, enum end second)
{
	ways_lead(0, "192.0.2.1", first);
	ways_lead(1, "192.0.2.2", second);
}

/* So that the next call begins to connect within its start(). */
static void resolve(const char *host)
{
	struct way kept[ARRAY_SIZE(ways)];
	struct probe p;

	memcpy(kept, ways, sizeof(kept));
	for (struct way *way = ways; way->end != END_NONE; way++)
		way->end = END_NOWHERE;
	init(&p, host);
	run(&p, ATOM_EIO);
	memcpy(ways, kept, sizeof(kept));
}

static struct lean_attempts *attempts_of(const struct probe *p)
{
	return p->transfer->lean.attempts;
}

/* Attempts of the loop beyond one of each call. */
static const unsigned int *beside(const struct probe *p)
{
	return &p->transfer->client->lean.beside;
}

static void cancel(struct probe *p)
{
	http->cancel(p->transfer);
	CHECK(p->ends == 1 && p->status == ATOM_ECANCELED);
}

/* --- their order ------------------------------------------------------------------- */

static void families_take_turns_as_the_resolver_sorts_them(void)
{
	static const struct {
		const char *answer[10];
		const char *order;
	} names[] = {
		{ { "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1",
		    "192.0.2.2" },
		  "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3 " },
		{ { "192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3" },
		  "192.0.2.1 2001:db8::1 192.0.2.2 192.0.2.3 " },
		{ { "192.0.2.2", "192.0.2.1" }, "192.0.2.2 192.0.2.1 " },
		/* The bound leaves no family out. */
		{ { "2001:db8::9", "2001:db8::8", "2001:db8::7", "2001:db8::6",
		    "2001:db8::5", "2001:db8::4", "2001:db8::3", "2001:db8::2",
		    "192.0.2.1" },
		  "2001:db8::9 192.0.2.1 2001:db8::8 2001:db8::7 2001:db8::6 "
		  "2001:db8::5 2001:db8::4 2001:db8::3 " },
	};
	char host[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (size_t k = 0; names[i].answer[k] != NULL; k++)
			ways_lead(k, names[i].answer[k], END_NOWHERE);
		(void)snprintf(host, sizeof(host), "order-%zu.test", i);
		expect(host, ATOM_EIO, names[i].order);
	}
}

static void the_one_that_took_the_last_begins(void)
{
	ways_lead(0, "2001:db8::1", END_DEAF);
	ways_lead(1, "192.0.2.1", END_LIVE);
	ways_lead(2, "192.0.2.2", END_NOWHERE);
	expect("last.test", ATOM_OK, "2001:db8::1 192.0.2.1 ");
	expect("last.test", ATOM_OK, "192.0.2.1 ");
	/* Another name has others. */
	expect("other.test", ATOM_OK, "2001:db8::1 192.0.2.1 ");
	/* It fails, and another takes one. */
	ways[1].end = END_REFUSES;
	ways[2].end = END_LIVE;
	ways[0].end = END_NOWHERE;
	expect("last.test", ATOM_OK, "192.0.2.1 2001:db8::1 192.0.2.2 ");
	expect("last.test", ATOM_OK, "192.0.2.2 ");
	/* All fail: it is forgotten. */
	ways[2].end = END_REFUSES;
	expect("last.test", ATOM_EIO, "192.0.2.2 2001:db8::1 192.0.2.1 ");
	expect("last.test", ATOM_EIO, "2001:db8::1 192.0.2.1 192.0.2.2 ");
}

static void a_new_answer_forgets_it(void)
{
	lead_two(END_REFUSES, END_LIVE);
	expect("new.test", ATOM_OK, "192.0.2.1 192.0.2.2 ");
	expect("new.test", ATOM_OK, "192.0.2.2 ");
	ways_clock_jump_s = 31;
	/* Meanwhile the loop looks at its clock. */
	expect("192.0.2.2", ATOM_OK, "192.0.2.2 ");
	expect("new.test", ATOM_OK, "192.0.2.1 192.0.2.2 ");
	expect("new.test", ATOM_OK, "192.0.2.2 ");
}

static struct probe again;

static void begin_again(struct probe *p)
{
	CHECK(p->status == ATOM_EIO);
	ways_lead(0, "192.0.2.1", END_LIVE);
	probe_start_here(&again);
}

/* What was said before it asked is no answer to it. */
static void who_begins_again_at_its_end_asks_again(void)
{
	struct probe p;

	init(&again, "again.test");
	init(&p, "again.test");
	ways[0].end = END_NONE;
	p.on_end = begin_again;
	probe_run(&p);
	probe_wait(&again);
	CHECK(again.started == ATOM_OK && again.status == ATOM_OK);
	probe_fini(&again);
	probe_fini(&p);
}

/* --- when the next begins ---------------------------------------------------------- */

static void expect_one_open(struct probe *p)
{
	CHECK(ways_open == 1 && *beside(p) == 0);
	CHECK(attempts_of(p) == NULL);
}

static void the_next_begins_beside_one_that_does_not_answer(void)
{
	struct probe p;

	ways_lead(0, "2001:db8::1", END_DEAF);
	ways_lead(1, "192.0.2.1", END_DEAF);
	ways_lead(2, "2001:db8::2", END_LIVE);
	init(&p, "deaf.test");
	p.on_head = expect_one_open;
	run(&p, ATOM_OK);
	CHECK(strcmp(ways_tried, "2001:db8::1 192.0.2.1 2001:db8::2 ") == 0);
}

static void wait_for_no_turn(struct probe *p)
{
	attempts_of(p)->turn_ms = INT64_MAX;
}

static void take_one_turn(struct probe *p)
{
	lean_take_turn(p->transfer);
	CHECK(attempts_of(p)->open == 2);
	attempts_of(p)->turn_ms = INT64_MAX;
}

static void expect_after(void (*on_started)(struct probe *), const char *host,
			 atom_status status, const char *addresses)
{
	struct probe p;

	resolve(host);
	init(&p, host);
	if (status == ATOM_ETIMEOUT)
		p.request.connect_ms = 50;
	p.on_started = on_started;
	run(&p, status);
	CHECK(strcmp(ways_tried, addresses) == 0);
}

static void the_failure_of_the_last_begins_the_next(void)
{
	lead_two(END_REFUSES, END_LIVE);
	expect_after(wait_for_no_turn, "only.test", ATOM_OK,
		     "192.0.2.1 192.0.2.2 ");
	lead_two(END_DEAF, END_REFUSES);
	ways_lead(2, "192.0.2.3", END_LIVE);
	expect_after(take_one_turn, "second.test", ATOM_OK,
		     "192.0.2.1 192.0.2.2 192.0.2.3 ");
	/* That of another does not. */
	lead_two(END_REFUSES, END_DEAF);
	ways_lead(2, "192.0.2.3", END_LIVE);
	expect_after(take_one_turn, "first.test", ATOM_ETIMEOUT,
		     "192.0.2.1 192.0.2.2 ");
}

static int64_t wanted_delay_ms;

static void expect_delay(struct probe *p)
{
	CHECK(attempts_of(p)->turn_ms ==
	      loop_now_ms(loop_current()) + wanted_delay_ms);
	cancel(p);
}

static void the_delay_is_250_ms_or_a_share_of_less(void)
{
	static const struct {
		int32_t connect_ms, delay_ms;
	} delays[] = { { DAY_MS, 250 }, { 750, 250 }, { 300, 100 },
		       { 90, 30 },	{ 30, 10 },   { 12, 10 } };
	struct probe p;

	lead_two(END_DEAF, END_DEAF);
	ways_lead(2, "192.0.2.3", END_DEAF);
	resolve("delay.test");
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		init(&p, "delay.test");
		p.request.connect_ms = delays[i].connect_ms;
		wanted_delay_ms = delays[i].delay_ms;
		p.on_started = expect_delay;
		run(&p, ATOM_ECANCELED);
	}
}

static void hold_the_loop_up(struct probe *p)
{
	(void)p;
	ways_clock_jump_s += 1000;
}

/* It finds the turn and the end of `connect_ms` due at once. */
static void a_loop_that_was_held_up_begins_the_next(void)
{
	struct probe p;

	lead_two(END_DEAF, END_LIVE);
	resolve("late.test");
	init(&p, "late.test");
	p.request.connect_ms = 50;
	p.on_started = hold_the_loop_up;
	run(&p, ATOM_OK);
}

/* --- none connects ------------------------------------------------------------------- */

static void expect_message(const char *host, int32_t connect_ms,
			   atom_status status, const char *message)
{
	struct probe p;

	init(&p, host);
	p.request.connect_ms = connect_ms;
	probe_run(&p);
	if (strcmp(p.error.message, message) != 0)
		printf("# %s\n", p.error.message);
	CHECK(p.status == status && !p.request_sent);
	CHECK(strcmp(p.error.message, message) == 0);
	CHECK(ways_open == 0);
	probe_fini(&p);
}

static void what_each_said_is_told(void)
{
	ways_lead(0, "192.0.2.1", END_REFUSES);
	ways_lead(1, "2001:db8::1", END_NOWHERE);
	ways_lead(2, "192.0.2.2", END_REFUSES);
	expect_message("dead.test", DAY_MS, ATOM_EIO,
		       "no connection to dead.test:8080: 192.0.2.1: connection "
		       "refused, [2001:db8::1]: network is unreachable, "
		       "192.0.2.2: connection refused; check the address, and "
		       "that it is up");
	ways[2].end = END_DEAF;
	expect_message("dead.test", 50, ATOM_ETIMEOUT,
		       "no connection to dead.test:8080 within 50 ms: "
		       "192.0.2.1: connection refused, [2001:db8::1]: network "
		       "is unreachable, 192.0.2.2: connection timed out; check "
		       "the address and the way there");
	/* The host is the address. */
	expect_message("192.0.2.1", DAY_MS, ATOM_EIO,
		       "no connection to 192.0.2.1:8080: connection refused; "
		       "check the address, and that it is up");
}

#define LONG	"2001:db8:1111:2222:3333:4444:5555:666"
#define REFUSED "]: connection refused, "

static void as_many_are_told_as_a_message_holds(void)
{
	static const char *const addresses[] = {
		LONG "1", LONG "2", LONG "3", LONG "4",
		LONG "5", LONG "6", LONG "7",
	};
	static const char message[] =
		"no connection to many.test:8080: "
		"[" LONG "1" REFUSED "[" LONG "2" REFUSED "[" LONG "3" REFUSED
		"[" LONG "4" REFUSED "[" LONG "5" REFUSED
		"and 2 more; check the address, and that it is up";

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		ways_lead(i, addresses[i], END_REFUSES);
	expect_message("many.test", DAY_MS, ATOM_EIO, message);
}

/* --- descriptors ----------------------------------------------------------------------- */

static void cancel_with_two_open(struct probe *p)
{
	const unsigned int *count = beside(p);

	lean_take_turn(p->transfer);
	CHECK(attempts_of(p)->open == 2 && ways_open == 2 && *count == 1);
	cancel(p);
	CHECK(ways_open == 0 && *count == 0);
}

static void a_cancelled_one_closes_all_its_attempts(void)
{
	struct probe p;

	lead_two(END_DEAF, END_DEAF);
	resolve("cancel.test");
	init(&p, "cancel.test");
	p.on_started = cancel_with_two_open;
	run(&p, ATOM_ECANCELED);
}

#define MANY (HTTP_BESIDE_MAX + 4)
static struct probe many[MANY];

static void begin_many(int count, const char *host,
		       void (*on_started)(struct probe *))
{
	for (int i = 0; i < count; i++) {
		init(&many[i], host);
		many[i].on_started = on_started;
	}
	for (int i = 0; i < count; i++)
		probe_begin(&many[i]);
}

static void cancel_all_of_them(struct probe *p)
{
	const unsigned int *count = beside(p);

	lean_take_turn(p->transfer);
	if (p != &many[MANY - 1])
		return;
	CHECK(ways_open == MANY + HTTP_BESIDE_MAX);
	CHECK(*count == HTTP_BESIDE_MAX);
	/* One that had no room has begun its second all the same. */
	CHECK(attempts_of(p)->begun == 2 && attempts_of(p)->open == 1);
	CHECK(attempts_of(p)->each[1].connection != NULL);
	for (int i = 0; i < MANY; i++)
		cancel(&many[i]);
	CHECK(ways_open == 0 && *count == 0);
}

static void at_the_bound_of_a_loop_the_oldest_gives_way(void)
{
	lead_two(END_DEAF, END_DEAF);
	resolve("many-at-once.test");
	begin_many(MANY, "many-at-once.test", cancel_all_of_them);
	for (int i = 0; i < MANY; i++) {
		probe_wait(&many[i]);
		probe_fini(&many[i]);
	}
	CHECK(ways_open == 0);
}

static void take_turn_without_a_descriptor(struct probe *p)
{
	ways_socket_failures = 1;
	lean_take_turn(p->transfer);
	CHECK(ways_open == 1 && attempts_of(p)->each[1].connection != NULL);
}

static void take_turn_without_any(struct probe *p)
{
	ways_socket_failures = 2;
	lean_take_turn(p->transfer);
	CHECK(ways_open == 0 && p->ends == 0);
}

static void without_a_descriptor_the_oldest_gives_way(void)
{
	struct probe p;

	lead_two(END_DEAF, END_LIVE);
	resolve("full.test");
	init(&p, "full.test");
	p.on_started = take_turn_without_a_descriptor;
	run(&p, ATOM_OK);
	resolve("none.test");
	init(&p, "none.test");
	p.on_started = take_turn_without_any;
	probe_run(&p);
	CHECK(p.status == ATOM_EIO);
	CHECK(strstr(p.error.message,
		     ": 192.0.2.1: connection timed out, 192.0.2.2: too many "
		     "open files; ") != NULL);
	probe_fini(&p);
}

/* Where memory was lacking for the second it waits in vain for the first. */
static void take_turn_or_leave(struct probe *p)
{
	lean_take_turn(p->transfer);
	if (attempts_of(p)->open == 1)
		cancel(p);
}

static void without_memory_nothing_stays_open(void)
{
	bool failed = true;
	struct probe p;

	lead_two(END_DEAF, END_LIVE);
	for (int after = 1; failed; after++) {
		resolve("memory.test");
		init(&p, "memory.test");
		CHECK(buffer_reserve(&p.got, 100) == ATOM_OK);
		p.on_started = take_turn_or_leave;
		alloc_failed = false;
		alloc_fails_in = after;
		probe_run(&p);
		alloc_fails_in = 0;
		failed = alloc_failed;
		CHECK(ways_open == 0);
		CHECK(failed || (p.status == ATOM_OK && probe_got(&p, "ok")));
		CHECK(after < 100);
		probe_fini(&p);
	}
}

/* --- the real ones --------------------------------------------------------------------- */

/* Listens at the port of the server, on ::1.  -1 where there is no IPv6. */
static int deaf_v6_listener(int *others)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int on = 1;

	address.sin6_port = htons((uint16_t)upstream.port);
	address.sin6_addr = in6addr_loopback;
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    ways_fill_listener(fd, others) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void run_localhost(void)
{
	struct probe p;

	init(&p, "localhost");
	(void)snprintf(p.url, sizeof(p.url), "http://localhost:%d/",
		       upstream.port);
	run(&p, ATOM_OK);
}

static void localhost_is_either_family_s(void)
{
	int others[WAYS_DEAF], deaf;

	ways_are_real = true;
	/* ::1 refuses; then it says nothing. */
	run_localhost();
	deaf = deaf_v6_listener(others);
	if (deaf < 0) {
		printf("# skipped: no IPv6 here\n");
	} else {
		run_localhost();
		for (int i = 0; i < WAYS_DEAF; i++)
			(void)close(others[i]);
		(void)close(deaf);
	}
	ways_are_real = false;
}

/* --- the whole ---------------------------------------------------------------------------- */

static unsigned int open_now(void)
{
	return (unsigned int)ways_open;
}

static void open_attempts_end_with_the_loop(void)
{
	lead_two(END_DEAF, END_DEAF);
	resolve("stop.test");
	begin_many(4, "stop.test", take_one_turn);
	probe_until(open_now, 8);
	loops_stop();
	for (int i = 0; i < 4; i++) {
		probe_wait(&many[i]);
		CHECK(many[i].status == ATOM_ECANCELED);
		probe_fini(&many[i]);
	}
	CHECK(ways_open == 0);
}

static const struct tap_test tests[] = {
	TAP_TEST(families_take_turns_as_the_resolver_sorts_them),
	TAP_TEST(the_one_that_took_the_last_begins),
	TAP_TEST(a_new_answer_forgets_it),
	TAP_TEST(who_begins_again_at_its_end_asks_again),
	TAP_TEST(the_next_begins_beside_one_that_does_not_answer),
	TAP_TEST(the_failure_of_the_last_begins_the_next),
	TAP_TEST(the_delay_is_250_ms_or_a_share_of_less),
	TAP_TEST(a_loop_that_was_held_up_begins_the_next),
	TAP_TEST(what_each_said_is_told),
	TAP_TEST(as_many_are_told_as_a_message_holds),
	TAP_TEST(a_cancelled_one_closes_all_its_attempts),
	TAP_TEST(at_the_bound_of_a_loop_the_oldest_gives_way),
	TAP_TEST(without_a_descriptor_the_oldest_gives_way),
	TAP_TEST(without_memory_nothing_stays_open),
	TAP_TEST(localhost_is_either_family_s),
	TAP_TEST(open_attempts_end_with_the_loop),
};

int main(void)
{
	real = os;
	os.alloc = faulty_alloc;
	os.realloc = faulty_realloc;
	upstream_start(&upstream, answer);
	ways_begin(upstream.port);
	probe_main(tests, ARRAY_SIZE(tests));
	upstream_stop(&upstream);
	return 0;
}
