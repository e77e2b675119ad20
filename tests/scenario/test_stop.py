#!/usr/bin/env python3
"""Stops at bad moments: while the daemon starts, and of a start that fails."""

import os
import shlex
import signal
import subprocess
import sys

from atomd_test import (Daemon, Folder, agent, config, daemon_environment,
                        process_agent, run, seconds, source, spoken, test)
from places import atomd_path

CC = shlex.split(os.environ.get("CC", "cc"))
WORKER = source("tests", "scenario", "worker.py")
ENDLESS = agent("echo", 'plugin = "echo"; chunk_delay_ms = 600000;')
# A minute passes at once when the file LATER comes to be.
LATER = """
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
	const char *flag = getenv("LATER");
	int failed = (int)syscall(SYS_clock_gettime, clock, now);

	if (!failed && flag != NULL && access(flag, F_OK) == 0 &&
	    (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE))
		now->tv_sec += 61;
	return failed;
}
"""


def one_that_stops_while_it_starts_is_never_ready():
    slow = process_agent("w", [sys.executable, WORKER, "--slow-ready",
                               "600000"])
    daemon = Daemon(config(agents=[ENDLESS, slow]), wait="listening")
    library, flag = daemon.dir + "/later.so", daemon.dir + "/later"
    subprocess.run(
        [*CC, "-D_GNU_SOURCE", "-shared", "-fPIC", "-x", "c", "-", "-o",
         library], input=LATER.encode(), check=True)
    daemon.env = {"LD_PRELOAD": library, "LATER": flag}
    with daemon:
        stream = daemon.chat_stream("echo", "a b c")
        next(iter(stream))
        daemon.signal(signal.SIGTERM)
        daemon.wait_event("stopping")
        assert daemon.count_event("ready") == 0
        with open(flag, "wb"):
            pass
        assert daemon.wait_end() == 0
        assert daemon.count_event("ready") == 0


def a_start_whose_loops_get_no_thread_is_told_and_ends_at_once():
    limits = "ulimit -s 1048576; ulimit -v 16777216; "
    with Folder() as folder:
        path = folder.write("atomd.conf", config().replace(
            "@DIR@", folder.path))
        done = subprocess.run(
            ["sh", "-c", limits + 'exec "$0" -c "$1" -D workers=32',
             atomd_path(), path], env=daemon_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=seconds(30), check=False)
        assert done.returncode == 1, done
        assert "start loop" in spoken(done), done
        assert "loop_handle_left" not in spoken(done), done


# A sanitizer wants to be loaded before all others, and more memory.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(one_that_stops_while_it_starts_is_never_ready)
    test(a_start_whose_loops_get_no_thread_is_told_and_ends_at_once)


if __name__ == "__main__":
    run()
