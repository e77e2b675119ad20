/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/os.h"
#include "daemon_priv.h"

/*
 * SIGTERM, SIGINT and SIGHUP, read from a descriptor.  They are blocked before
 * the first thread starts and stay so to the end of the process: whatever
 * comes late, when the loop has gone and the store is still being written,
 * waits for ever instead of ending it.  Children start with nothing blocked.
 */

static void signals_of(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGHUP);
}

void daemon_block_signals(void)
{
	sigset_t set;

	signals_of(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A write beyond a file size limit fails and is told, as one on a full
	 * disk: it ends nobody. */
	(void)signal(SIGXFSZ, SIG_IGN);
}

void daemon_unblock_signals(void)
{
	sigset_t set;

	signals_of(&set);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct daemon *d = &daemon_state;
	struct signalfd_siginfo got;

	(void)handle;
	(void)status;
	(void)events;
	while (d->signals_fd >= 0 &&
	       os.read(d->signals_fd, &got, sizeof(got)) == sizeof(got)) {
		if (got.ssi_signo == SIGHUP)
			daemon_on_hangup();
		else
			daemon_on_terminate();
	}
}

atom_status daemon_watch_signals(struct atom_error *err)
{
	struct daemon *d = &daemon_state;
	sigset_t set;

	signals_of(&set);
	d->signals_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signals_fd < 0 ||
	    uv_poll_init(loop_uv(loop_control()), &d->signals, d->signals_fd) !=
		    0 ||
	    uv_poll_start(&d->signals, UV_READABLE, on_readable) != 0)
		return atom_fail(err, ATOM_EIO,
				 "signals cannot be watched: no descriptor "
				 "left?");
	return ATOM_OK;
}

static void on_closed(uv_handle_t *handle)
{
	struct daemon *d = &daemon_state;

	(void)handle;
	(void)os.close(d->signals_fd);
	d->signals_fd = -1;
}

void daemon_unwatch_signals(void)
{
	uv_close((uv_handle_t *)&daemon_state.signals, on_closed);
}
