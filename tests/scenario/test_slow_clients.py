#!/usr/bin/env python3
"""Slowloris: clients that open connections and send a byte now and then; and
what is left of them."""

import os
import resource
import select

from atomd_test import Closed, Daemon, config, run, test, wait_for

MANY = 300
HEADS = 1600
LONG = b"a" * 15000
HELD = 24 * 1024 * 1024
# Two loops keep 256 buffers each for the next calls.
LEFT = 8 * 1024 * 1024
BEGIN = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def ended(sockets):
    """Those that the daemon has answered or closed."""
    return select.select(sockets, [], [], 0)[0]


def trickle(sockets):
    """A byte more on each connection that is still there."""
    for s in sockets:
        try:
            s.sendall(b"a")
        except OSError:
            pass


@test
def heads_that_trickle_end_in_time_are_counted_and_hold_nobody_up():
    with Daemon(config()) as daemon:
        wires = {w.sock: w for w in (daemon.wire(BEGIN, timeout=60)
                                     for _ in range(MANY))}
        left, answers = dict(wires), []

        def all_ended():
            trickle(left)
            for s in ended(list(left)):
                wire = left.pop(s)
                try:
                    answers.append(wire.answer().status)
                except (Closed, OSError):
                    answers.append(None)
            assert daemon.chat("echo", "hi").content == "hi"
            return not left
        wait_for(all_ended, 60, "every trickling connection has ended")
        for wire in wires.values():
            wire.close()
        assert set(answers) <= {408, None}, set(answers)
        metrics = daemon.metrics()
        assert metrics.sum("atomd_http_timeouts_total",
                           phase="head") == MANY, metrics.text
        assert metrics.sum("atomd_http_timeouts_total", phase="idle") == 0


def memory_that_a_load_has_left_goes_back():
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Daemon(config()) as daemon:
        def resident():
            with open("/proc/%d/statm" % daemon.pid) as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        def connections():
            return daemon.metrics().sum("atomd_http_connections")
        assert daemon.chat("echo", "hi").content == "hi"
        before = resident()
        wires = [daemon.wire(BEGIN + LONG, timeout=60) for _ in range(HEADS)]
        wait_for(lambda: resident() - before > HELD, 30,
                 "the daemon holds %d heads" % HEADS)
        # What is free beside what is not goes as well, and then the rest.
        for left in HEADS // 2, 0:
            while len(wires) > left:
                wires.pop().close()
            wait_for(lambda: connections() < left + 10, 30, "they are gone")
            wait_for(lambda: resident() - before < LEFT + left * len(LONG),
                     40, "their memory is the system's again")
        assert daemon.chat("echo", "hi").content == "hi"


def code_that_ran_once_goes_back_while_the_daemon_idles():
    with Daemon(config()) as daemon:
        def shared():
            with open("/proc/%d/statm" % daemon.pid) as f:
                return int(f.read().split()[2]) * os.sysconf("SC_PAGESIZE")
        for path in ("/metrics", "/docs", "/openapi.json",
                     "/admin/v1/compliance", "/admin/v1/plugins"):
            assert daemon.admin("GET", path).status == 200, path
        assert daemon.chat("echo", "hi").content == "hi"
        before = shared()
        wait_for(lambda: shared() < before * 3 / 4, 60,
                 "a quarter of %d bytes went back" % before)
        assert daemon.chat("echo", "hi").content == "hi"


# Their allocator is another one, and their code is larger.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(memory_that_a_load_has_left_goes_back)
    test(code_that_ran_once_goes_back_while_the_daemon_idles)

if __name__ == "__main__":
    run()
