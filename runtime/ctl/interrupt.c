/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_open(bool resize)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (resize)
		sigaddset(&signals, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		return -1;
	return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

int interrupt_take(int descriptor)
{
	struct signalfd_siginfo signal;
	if (read(descriptor, &signal, sizeof(signal)) != sizeof(signal))
		return 0;
	return (int)signal.ssi_signo;
}
