/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/address.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/audit/remote/deadline.h"

/* Shared by the thread and the one who asked; the last frees it. */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t finished_changed;
	int holders;
	bool finished;
	int code; /* EAI_* */
	struct addrinfo hints;
	struct addrinfo *list;
	char port[8];
	char host[];
};

static void lookup_release(struct lookup *lookup)
{
	bool last;

	(void)pthread_mutex_lock(&lookup->lock);
	last = --lookup->holders == 0;
	(void)pthread_mutex_unlock(&lookup->lock);
	if (!last)
		return;
	if (lookup->list != NULL)
		freeaddrinfo(lookup->list);
	(void)pthread_cond_destroy(&lookup->finished_changed);
	(void)pthread_mutex_destroy(&lookup->lock);
	free(lookup);
}

static void *look_up(void *argument)
{
	struct lookup *lookup = argument;
	struct addrinfo *list = NULL;
	int code =
		getaddrinfo(lookup->host, lookup->port, &lookup->hints, &list);

	(void)pthread_mutex_lock(&lookup->lock);
	lookup->code = code;
	lookup->list = code == 0 ? list : NULL;
	lookup->finished = true;
	(void)pthread_cond_signal(&lookup->finished_changed);
	(void)pthread_mutex_unlock(&lookup->lock);
	lookup_release(lookup);
	return NULL;
}

static struct lookup *lookup_new(const char *host, const char *port,
				 const struct addrinfo *hints)
{
	size_t length = strlen(host) + 1;
	struct lookup *lookup = calloc(1, sizeof(*lookup) + length);
	pthread_condattr_t monotonic;

	if (lookup == NULL)
		return NULL;
	memcpy(lookup->host, host, length);
	(void)snprintf(lookup->port, sizeof(lookup->port), "%s", port);
	lookup->hints = *hints;
	lookup->holders = 1;
	(void)pthread_mutex_init(&lookup->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&lookup->finished_changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	return lookup;
}

/* The thread sees no signal: they are the daemon's. */
static bool lookup_start(struct lookup *lookup)
{
	sigset_t all, before;
	pthread_t thread;
	int failed;

	lookup->holders = 2;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, look_up, lookup);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0) {
		lookup->holders = 1;
		return false;
	}
	(void)pthread_detach(thread);
	return true;
}

static bool lookup_wait(struct lookup *lookup, int64_t deadline)
{
	const struct timespec until = {
		.tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000,
	};
	bool finished;

	(void)pthread_mutex_lock(&lookup->lock);
	while (!lookup->finished &&
	       pthread_cond_timedwait(&lookup->finished_changed, &lookup->lock,
				      &until) != ETIMEDOUT)
		continue;
	finished = lookup->finished;
	(void)pthread_mutex_unlock(&lookup->lock);
	return finished;
}

atom_status resolver_resolve(struct resolver *resolver, const char *host,
			     int64_t port, int socktype, int64_t deadline,
			     struct addrinfo **list_r, struct atom_error *err)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = socktype,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	atom_status status = ATOM_OK;
	struct lookup *lookup;
	char text[8];

	(void)snprintf(text, sizeof(text), "%d", (int)port);
	if (getaddrinfo(host, text, &hints, list_r) == 0)
		return ATOM_OK;
	lookup = resolver->running;
	if (lookup == NULL) {
		hints.ai_flags = AI_NUMERICSERV;
		lookup = lookup_new(host, text, &hints);
		if (lookup == NULL || !lookup_start(lookup)) {
			if (lookup != NULL)
				lookup_release(lookup);
			return atom_fail(err, ATOM_ENOMEM,
					 "no thread to look up %s", host);
		}
		resolver->running = lookup;
	}
	if (!lookup_wait(lookup, deadline))
		return atom_fail(err, ATOM_ETIMEOUT,
				 "%s: no answer from the name service in time",
				 host);
	resolver->running = NULL;
	if (lookup->code == 0) {
		*list_r = lookup->list;
		lookup->list = NULL;
	} else {
		status = atom_fail(err, ATOM_EIO, "%s: %s", host,
				   gai_strerror(lookup->code));
	}
	lookup_release(lookup);
	return status;
}

void resolver_fini(struct resolver *resolver)
{
	if (resolver->running != NULL)
		lookup_release(resolver->running);
	resolver->running = NULL;
}
