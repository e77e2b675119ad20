#!/usr/bin/env python3
"""Slowloris: clients that open connections and send a byte now and then."""

import select

from atomd_test import Closed, Daemon, config, run, test, wait_for

MANY = 300
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


if __name__ == "__main__":
    run()
