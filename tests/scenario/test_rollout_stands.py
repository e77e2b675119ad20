#!/usr/bin/env python3
"""Rollouts that stand: for the store, for a thaw, for the daemon's stop."""

import os
import signal

from atomd_test import Daemon, agent, config, run, test, wait_for
from audit_log import slow_disk

CANARY = ('plugin = "canary"; judge = "none"; hold = "0"; '
          'rollback_window_ms = 60000; steps = ( '
          '{ percent = 5.0; manual = true; }, { percent = 100.0; } ); ')
ECHO = 'plugin = "echo"; prefix = "%s"; '


def text(prefix):
    return config(agents=agent(
        backend=ECHO % prefix, more="deployment: { %s };" % CANARY))


def path(verb=""):
    return "/admin/v1/deployments/echo" + verb


def order(daemon, verb):
    answer = daemon.admin("POST", path("/" + verb), {})
    assert answer.status < 300, answer


def status(daemon):
    return daemon.admin("GET", path()).json


def split(daemon):
    return {row["revision"]: row["weight"]
            for row in daemon.agents()["echo"]["split"]}


def stands_at_its_first_step(daemon):
    assert daemon.reload(text("new ")).status == 200
    wait_for(lambda: split(daemon) == {1: 9500, 2: 500} and
             status(daemon)["waits_for"] == "person", 20, "step")


@test
def one_that_is_to_be_tried_again_while_the_daemon_stops_is_refused():
    with Daemon(text("old ")) as daemon:
        stands_at_its_first_step(daemon)
        order(daemon, "abort")
        wait_for(lambda: status(daemon)["stage"] == "over", 20, "over")
        look = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        request = daemon.post_bytes(path("/retry"), {})
        others = [daemon.wire(look, admin=True) for _ in range(8)]
        for other in others:
            assert other.answer().status == 200
        wire = daemon.wire(request[:20], admin=True)
        # What came before to a loop has been read once it answers, and some
        # are at each.
        for other in others:
            assert other.send(look).answer().status == 200
        daemon.signal(signal.SIGTERM)
        daemon.wait_event("stopping")
        answer = wire.send(request[20:]).answer()
        assert (answer.status, answer.code) == (409, "conflict"), answer
        assert "stopping" in answer.text, answer
        assert daemon.wait_end() == 0


@test
def one_that_ended_while_the_store_could_not_write_is_stored_later():
    with Daemon(text("old ")) as daemon:
        stands_at_its_first_step(daemon)
        daemon.limit_files(1)
        answer = daemon.admin("POST", "/admin/v1/reload", {"now": True})
        assert answer.status == 200, answer
        daemon.wait_event("rollout_not_stored")
        assert "state.db" in status(daemon)["reason"], status(daemon)
        daemon.limit_files()
        wait_for(lambda: "state.db" not in status(daemon)["reason"], 30,
                 "its end is stored")
        assert status(daemon)["outcome"] == "superseded", status(daemon)
        daemon.kill()
        daemon.start()
        assert split(daemon) == {2: 10000}
        assert daemon.count_event("rollout_resumed") == 0
        assert status(daemon)["outcome"] == "superseded", status(daemon)


@test
def one_does_not_stand_for_a_freeze_that_is_over():
    with Daemon(text("old ")) as daemon:
        stands_at_its_first_step(daemon)
        for _ in range(3):
            assert daemon.admin("POST", "/admin/v1/freeze", {}).status == 200
            assert status(daemon)["waits_for"] == "thaw", status(daemon)
            assert daemon.admin("DELETE", "/admin/v1/freeze").status == 200
            assert status(daemon)["waits_for"] == "person", status(daemon)
        assert daemon.admin("POST", "/admin/v1/freeze", {}).status == 200
        assert daemon.admin("DELETE", "/admin/v1/freeze").status == 200
        order(daemon, "promote")


@test
def one_does_not_stand_for_a_store_that_can_write_again():
    with Daemon(text("old ")) as daemon:
        stands_at_its_first_step(daemon)
        daemon.limit_files(1)
        answer = daemon.admin("POST", path("/pause"), {})
        assert answer.status == 503, answer
        wait_for(lambda: status(daemon)["waits_for"] == "thaw", 20, "look")
        daemon.limit_files()
        now = wait_for(lambda: (lambda s: "state.db" not in s["reason"] and s)(
            status(daemon)), 30, "stored")
        assert now["waits_for"] == "person", now


def an_order_that_waits_for_another_change_is_answered_at_the_stop():
    daemon = Daemon(text("old "))
    waits = slow_disk(daemon)
    with daemon:
        stands_at_its_first_step(daemon)
        daemon.write("waits", "")
        deploy = daemon.post_bytes("/admin/v1/agents/echo/deployments", {
            "config": "backend: { %s}; deployment: { %s};" % (
                ECHO % "third ", CANARY), "supersede": True})
        both = [daemon.wire(deploy, admin=True, timeout=60) for _ in "ab"]
        # The one is being stored as soon as the other is refused for it.
        wait_for(lambda: any(w.answered() for w in both), 20, "refusal")
        refused = next(w for w in both if w.answered())
        answer = refused.answer()
        assert answer.status == 409 and "stored" in answer.text, answer
        wire = daemon.wire(daemon.post_bytes(path("/abort"), {}), admin=True)
        wait_for(lambda: status(daemon)["outcome"] == "aborted", 20, "abort")
        assert not wire.answered()
        daemon.signal(signal.SIGTERM)
        answer = wire.answer()
        assert answer.status == 503, answer
        assert "stopping" in answer.text, answer
        os.unlink(waits)
        assert daemon.wait_end() == 0


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(an_order_that_waits_for_another_change_is_answered_at_the_stop)


if __name__ == "__main__":
    run()
