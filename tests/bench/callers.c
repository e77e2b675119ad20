/* SPDX-License-Identifier: Apache-2.0 */
#include "callers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"
#include "request.h"

#define READ_SIZE      ((size_t)256 * 1024)
#define EVENTS_AT_ONCE 256
/* Connections that have not had an answer yet, at any time: a proxy's queue
 * of new ones is not what is measured. */
#define OPENING_MAX 128

enum caller_state {
	CALLER_CLOSED,
	CALLER_IDLE,
	CALLER_CONNECTING,
	CALLER_SENDING,
	CALLER_READING,
};

struct caller {
	enum caller_state state;
	int fd;
	bool opening; /* counted there */
	bool heard;   /* something of the answer has come */
	bool waits_to_send;
	uint64_t number;
	uint64_t began_ns;
	size_t sent;
	struct message answer;
	struct check check;
	struct caller *next_idle;
};

struct callers {
	struct callers_plan plan;
	struct callers_tally tally;
	struct check_rules rules;
	int epoll;
	bool stopped;
	struct caller *all;
	struct caller *idle; /* with a rate: free for the next call */
	uint32_t unopened;   /* of `all`, from the end */
	uint32_t opening;
	uint32_t busy;
	uint32_t open;
	uint32_t ended;
	uint64_t next_number;
	uint64_t next_due_ns;
	char *input;
	struct request request;
	char complaint[256];
};

/* --- the life of a call --------------------------------------------------- */

static void complain(struct callers *callers, const struct caller *c,
		     const char *what)
{
	if (callers->complaint[0] == '\0')
		(void)snprintf(callers->complaint, sizeof(callers->complaint),
			       "call %llu, status %d, %llu bytes of body: %s",
			       (unsigned long long)c->number, c->answer.status,
			       (unsigned long long)c->answer.body_bytes, what);
}

static void shut(struct callers *callers, struct caller *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->state != CALLER_CLOSED && c->state != CALLER_IDLE)
		callers->busy--;
	if (c->opening) {
		c->opening = false;
		callers->opening--;
	}
	c->state = CALLER_CLOSED;
}

static void watch(struct callers *callers, struct caller *c, int op,
		  uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(callers->epoll, op, c->fd, &event) < 0)
		perror("load: epoll_ctl");
}

/* false: the connection failed. */
static bool send_on(struct callers *callers, struct caller *c)
{
	request_number(&callers->request, c->number);
	while (c->sent < callers->request.length) {
		ssize_t n =
			send(c->fd, callers->request.bytes + c->sent,
			     callers->request.length - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0) {
			c->state = CALLER_SENDING;
			if (!c->waits_to_send)
				watch(callers, c, EPOLL_CTL_MOD,
				      EPOLLIN | EPOLLOUT);
			c->waits_to_send = true;
			return true;
		}
		c->sent += (size_t)n;
	}
	if (c->waits_to_send)
		watch(callers, c, EPOLL_CTL_MOD, EPOLLIN);
	c->waits_to_send = false;
	c->state = CALLER_READING;
	return true;
}

static bool begin_connection(struct callers *callers, struct caller *c)
{
	static const int on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(callers->plan.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->state = CALLER_CONNECTING;
	callers->busy++;
	if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno != EINPROGRESS)
		return false;
	c->waits_to_send = true;
	watch(callers, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	return true;
}

static void fail(struct callers *callers, struct caller *c, const char *what)
{
	complain(callers, c, what);
	callers->tally.broken++;
	shut(callers, c);
}

/* The next question, counted from `began`. */
static void ask(struct callers *callers, struct caller *c, uint64_t began)
{
	struct answer answer;

	c->number = callers->next_number++;
	c->began_ns = began;
	c->sent = 0;
	c->heard = false;
	message_init(&c->answer);
	request_number(&callers->request, c->number);
	request_answer(&callers->request, &answer);
	check_begin(&c->check, &callers->rules, &answer);
	if (c->state == CALLER_CLOSED) {
		if (!begin_connection(callers, c))
			fail(callers, c, "cannot connect");
		return;
	}
	callers->busy++;
	c->state = CALLER_SENDING;
	if (!send_on(callers, c))
		fail(callers, c, "closed before the question was sent");
}

/* One that has nothing to do asks now, or waits for a call to be due. */
static void go_on(struct callers *callers, struct caller *c)
{
	if (callers->stopped || callers->plan.once || callers_gave_up(callers))
		return;
	if (callers->plan.rate <= 0.0) {
		ask(callers, c, clock_ns());
		return;
	}
	c->next_idle = callers->idle;
	callers->idle = c;
}

static void finish(struct callers *callers, struct caller *c)
{
	struct callers_tally *tally = &callers->tally;
	bool right = check_end(&c->check);

	if (!right) {
		complain(callers, c, c->check.wrong);
		tally->wrong++;
	} else {
		tally->calls++;
		histogram_add(&tally->latency,
			      callers->rules.now_ns - c->began_ns);
	}
	if (c->opening) {
		c->opening = false;
		callers->opening--;
	}
	callers->ended++;
	if (c->answer.close || !right || callers->plan.once) {
		tally->reconnects += c->answer.close;
		shut(callers, c);
	} else {
		callers->busy--;
		c->state = CALLER_IDLE;
	}
	go_on(callers, c);
}

/* --- input ---------------------------------------------------------------- */

struct arrival {
	struct callers *callers;
	struct caller *caller;
};

static void hear(struct callers *callers, struct caller *c)
{
	c->heard = true;
	histogram_add(&callers->tally.first,
		      callers->rules.now_ns - c->began_ns);
	callers->open++;
	if (c->opening) {
		c->opening = false;
		callers->opening--;
	}
}

static bool take_body(void *owner, const char *bytes, size_t length)
{
	const struct arrival *arrival = owner;
	struct caller *c = arrival->caller;

	if (c->answer.status != 200) {
		if (arrival->callers->complaint[0] == '\0')
			fprintf(stderr, "load: status %d: %.*s\n",
				c->answer.status,
				(int)(length < 300 ? length : 300), bytes);
		return true;
	}
	if (!c->heard)
		hear(arrival->callers, c);
	return check_body(&c->check, bytes, length);
}

static void take_input(struct callers *callers, struct caller *c)
{
	struct arrival arrival = { callers, c };
	ssize_t n = recv(c->fd, callers->input, READ_SIZE, 0), taken;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (c->state == CALLER_IDLE) {
		/* A proxy may close what waits; the next call reconnects. */
		if (n > 0)
			fail(callers, c, "an answer to nothing");
		callers->tally.reconnects++;
		shut(callers, c);
		return;
	}
	callers->rules.now_ns = clock_ns();
	request_number(&callers->request, c->number);
	taken = n <= 0 ? n
		       : message_take(&c->answer, callers->input, (size_t)n,
				      take_body, &arrival);
	if (c->check.wrong != NULL || (n > 0 && taken != n)) {
		complain(callers, c,
			 c->check.wrong != NULL ? c->check.wrong
						: "an answer that is no HTTP");
		callers->tally.wrong++;
		shut(callers, c);
		go_on(callers, c);
	} else if (n <= 0) {
		fail(callers, c, "closed before the answer was whole");
		go_on(callers, c);
	} else if (c->answer.state == MESSAGE_DONE) {
		if (c->answer.status == 200) {
			finish(callers, c);
			return;
		}
		complain(callers, c, "not answered");
		callers->tally.refused++;
		shut(callers, c);
		go_on(callers, c);
	}
}

/* --- the loop ------------------------------------------------------------- */

static void start_what_is_due(struct callers *callers)
{
	const struct callers_plan *plan = &callers->plan;

	while (callers->unopened > 0 && callers->opening < OPENING_MAX &&
	       !callers->stopped && !callers_gave_up(callers)) {
		struct caller *c = &callers->all[--callers->unopened];

		if (plan->rate > 0.0) {
			go_on(callers, c);
			continue;
		}
		c->opening = true;
		callers->opening++;
		ask(callers, c, clock_ns());
	}
	while (callers->idle != NULL && !callers->stopped &&
	       callers->next_due_ns <= clock_ns()) {
		struct caller *c = callers->idle;

		callers->idle = c->next_idle;
		ask(callers, c, callers->next_due_ns);
		callers->next_due_ns += (uint64_t)(1e9 / plan->rate);
	}
}

void callers_turn(struct callers *callers, uint64_t until_ns,
		  bool (*done)(const struct callers *callers))
{
	struct epoll_event events[EVENTS_AT_ONCE];
	uint64_t now;

	if (callers->plan.rate > 0.0 && callers->next_due_ns == 0)
		callers->next_due_ns = clock_ns();
	while ((now = clock_ns()) < until_ns && !callers_gave_up(callers) &&
	       (done == NULL || !done(callers))) {
		struct timespec wait;
		uint64_t next = until_ns;
		int n;

		start_what_is_due(callers);
		if (callers->idle != NULL && callers->next_due_ns < next)
			next = callers->next_due_ns;
		next = next > now ? next - now : 0;
		wait.tv_sec = (time_t)(next / 1000000000u);
		wait.tv_nsec = (long)(next % 1000000000u);
		n = epoll_pwait2(callers->epoll, events, EVENTS_AT_ONCE, &wait,
				 NULL);
		for (int i = 0; i < n; i++) {
			struct caller *c = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) != 0 &&
			    !send_on(callers, c)) {
				fail(callers, c, "cannot connect or send");
				go_on(callers, c);
			} else if ((events[i].events & ~EPOLLOUT) != 0) {
				take_input(callers, c);
			}
		}
	}
}

/* --- in and out ----------------------------------------------------------- */

struct callers *callers_new(const struct callers_plan *plan)
{
	struct callers *callers = calloc(1, sizeof(*callers));

	if (callers == NULL)
		goto fail;
	callers->plan = *plan;
	callers->rules.kind = plan->kind;
	callers->unopened = plan->connections;
	callers->epoll = epoll_create1(EPOLL_CLOEXEC);
	callers->input = malloc(READ_SIZE);
	callers->all = calloc(plan->connections, sizeof(*callers->all));
	if (callers->epoll < 0 || callers->input == NULL ||
	    callers->all == NULL) {
		fprintf(stderr, "load: no memory for the callers\n");
		goto fail;
	}
	for (uint32_t i = 0; i < plan->connections; i++)
		callers->all[i].fd = -1;
	if (!request_init(&callers->request, plan->port, plan->path, plan->key,
			  &plan->shape, plan->request_size))
		goto fail;
	callers->rules.text = callers->request.text;
	callers->rules.text_length = callers->request.text_length;
	return callers;
fail:
	callers_free(&callers);
	return NULL;
}

void callers_free(struct callers **callers)
{
	struct callers *gone = *callers;

	*callers = NULL;
	if (gone == NULL)
		return;
	for (uint32_t i = 0; gone->all != NULL && i < gone->plan.connections;
	     i++) {
		shut(gone, &gone->all[i]);
		check_fini(&gone->all[i].check);
	}
	if (gone->epoll >= 0)
		close(gone->epoll);
	free(gone->all);
	free(gone->input);
	request_fini(&gone->request);
	free(gone);
}

void callers_reset(struct callers *callers)
{
	struct callers_tally *tally = &callers->tally;

	tally->calls = 0;
	tally->reconnects = 0;
	tally->latency = tally->first = (struct histogram){ 0 };
	callers->rules.events = 0;
	callers->rules.delays = (struct histogram){ 0 };
}

void callers_stop(struct callers *callers)
{
	callers->stopped = true;
}

const struct callers_tally *callers_tally(const struct callers *callers)
{
	return &callers->tally;
}

const struct check_rules *callers_rules(const struct callers *callers)
{
	return &callers->rules;
}

const char *callers_complaint(const struct callers *callers)
{
	return callers->complaint;
}

uint64_t callers_errors(const struct callers *callers)
{
	return callers->tally.wrong + callers->tally.refused +
	       callers->tally.broken;
}

bool callers_gave_up(const struct callers *callers)
{
	return callers_errors(callers) >= CALLERS_ERRORS_MAX;
}

uint32_t callers_busy(const struct callers *callers)
{
	return callers->busy;
}

uint32_t callers_open(const struct callers *callers)
{
	return callers->open;
}

uint32_t callers_ended(const struct callers *callers)
{
	return callers->ended;
}
