#!/usr/bin/env python3
"""Going back and forth between revisions: by one swap while they are warm."""

import statistics
import threading
import time

from atomctl_test import succeeds
from atomd_test import Daemon, agent, config, run, seconds, test, wait_for

SLOW = "chunk_bytes = 3; chunk_delay_ms = 2;"


def canary(prefix, window=60000, steps="", backend=SLOW):
    return agent(
        backend='plugin = "echo"; prefix = "%s"; %s' % (prefix, backend),
        more='deployment: { plugin = "canary"; hold = "0"; judge = "none"; '
        'rollback_window_ms = %d; %s };' % (window, steps))


def reload(daemon, text):
    daemon.configure(config(agents=text))
    answer = daemon.admin("POST", "/admin/v1/reload", {})
    assert answer.status == 200, answer


def undo(daemon, to=None, status=200):
    answer = daemon.admin("POST", "/admin/v1/agents/echo/undo",
                          {} if to is None else {"to": to})
    assert answer.status == status, answer
    return answer.json


def status(daemon):
    return daemon.admin("GET", "/admin/v1/deployments/echo").json


def serving(daemon):
    return daemon.chat("echo", "x").headers["x-atomd-revision"]


def promoted(daemon, number):
    daemon.wait_line(lambda l: l.get("event") == "rollout_promoted" and
                     l["to"] == number, 60, "revision %d" % number)


class Callers:
    """Threads that call, half of them streaming, and remember of each answer
    when it was asked for, when it came, and which revision gave it."""

    def __init__(self, daemon, count=6):
        self.daemon, self.stopping = daemon, False
        self.answers, self.faults = [], []
        self.threads = [threading.Thread(target=self._call, args=(n % 2 == 0,),
                                         daemon=True) for n in range(count)]

    def _ask(self, stream):
        if not stream:
            answer = self.daemon.chat("echo", "hello " * 5)
            assert answer.status == 200, answer
            return answer.headers["x-atomd-revision"]
        with self.daemon.chat_stream("echo", "hello " * 5) as events:
            pieces = list(events)
            assert pieces[-1].text == "[DONE]", pieces[-1]
            return events.headers["x-atomd-revision"]

    def _call(self, stream):
        while not self.stopping:
            asked = time.monotonic()
            try:
                revision = self._ask(stream)
                self.answers.append((asked, time.monotonic(), revision))
            except Exception as e:  # pylint: disable=broad-except
                self.faults.append(e)
                return

    def wait_more(self, count):
        before = len(self.answers)
        wait_for(lambda: self.faults or len(self.answers) >= before + count,
                 60, "%d more calls" % count)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stopping = True
        for thread in self.threads:
            thread.join(seconds(30))
        assert not self.faults, self.faults[:3]


@test
def back_and_forth_is_one_swap_and_no_call_is_lost():
    """Who asks after the answer gets what was gone back to."""
    with Daemon(config(agents=canary("one "))) as daemon:
        reload(daemon, canary("two "))
        promoted(daemon, 2)
        spans, took = [], []
        with Callers(daemon) as callers:
            for n in range(30):
                to = 1 if n % 2 == 0 else 2
                made = undo(daemon)
                done = time.monotonic()
                assert made["way"] == "swap" and made["changed"], made
                assert (made["revision"], made["from"]) == (to, 3 - to), made
                assert made["outcome"] == "promoted", made
                assert made["cause"] == "undo", made
                took.append(made["closed_us"])
                callers.wait_more(12)
                spans.append((done, time.monotonic(), str(to)))
        for begins, ends, to in spans:
            given = [r for asked, came, r in callers.answers
                     if begins < asked and came < ends]
            assert given and set(given) == {to}, (to, given)
        assert all(us > 0 for us in took), took
        print("# from the order to the last call that could go to the other: "
              "median %.0f us, most %.0f us" % (statistics.median(took),
                                                max(took)))
        assert [r["revision"] for r in daemon.admin(
            "GET", "/admin/v1/agents/echo/revisions").json["revisions"]] == [
                2, 1], "a swap makes no revision"


@test
def a_rollout_that_runs_is_aborted_by_it():
    with Daemon(config(agents=canary("one "))) as daemon:
        held = ('steps = ( { percent = 50.0; manual = true; }, '
                '{ percent = 100.0; } );')
        reload(daemon, canary("two ", steps=held))
        wait_for(lambda: status(daemon).get("weight") == 5000, 30, "half")
        made = undo(daemon)
        assert made["way"] == "swap" and made["closed_us"] > 0, made
        assert (made["revision"], made["from"]) == (1, 2), made
        assert {serving(daemon) for _ in range(20)} == {"1"}
        now = status(daemon)
        assert now["outcome"] == "aborted" and now["id"] == made["id"], now
        assert daemon.agents()["echo"]["revision"] == 1


@test
def what_is_not_warm_comes_back_by_the_strategy_and_says_why():
    with Daemon(config(agents=canary("one ", window=0))) as daemon:
        reload(daemon, canary("two ", window=0))
        promoted(daemon, 2)
        wait_for(lambda: status(daemon)["stage"] == "over", 20, "over")
        made = undo(daemon, status=202)
        assert made["way"] == "rollout" and made["revision"] == 3, made
        assert "revision 1 is not kept warm" in made["no_swap"], made
        promoted(daemon, 3)
        assert daemon.chat("echo", "x").content == "one x"


@test
def another_than_the_warm_one_comes_back_by_the_strategy():
    with Daemon(config(agents=canary("one "))) as daemon:
        for n, prefix in ((2, "two "), (3, "three ")):
            reload(daemon, canary(prefix))
            promoted(daemon, n)
        said = succeeds(daemon.atomctl("undo", "echo", "--to", "1"))
        assert said.startswith("echo: revision 4 follows 3\n"
                               "by a rollout: revision 1 is not"), said
        promoted(daemon, 4)
        said = succeeds(daemon.atomctl("undo", "echo"))
        assert said == "echo: back to revision 3 from 4, by one swap\n", said
        assert daemon.chat("echo", "x").content == "three x"


@test
def a_swap_outlives_a_kill_and_the_way_forth_too():
    with Daemon(config(agents=canary("one "))) as daemon:
        reload(daemon, canary("two "))
        promoted(daemon, 2)
        assert undo(daemon)["revision"] == 1
        daemon.kill()
        daemon.start()
        assert serving(daemon) == "1"
        assert status(daemon)["stage"] == "warm", status(daemon)

        def warm():
            look = daemon.chat("echo", "x",
                               headers={"x-atomd-revision": "2"})
            return look.status == 200
        wait_for(warm, 20, "revision 2 is warm again")
        made = undo(daemon)
        assert made["way"] == "swap" and made["revision"] == 2, made
        daemon.kill()
        daemon.start()
        assert serving(daemon) == "2"
        assert daemon.agents()["echo"]["drift"] is False


@test
def what_was_left_goes_with_the_window():
    window = int(seconds(4000))
    with Daemon(config(agents=canary("one ", window=window))) as daemon:
        reload(daemon, canary("two ", window=window))
        promoted(daemon, 2)
        undo(daemon)
        wait_for(lambda: daemon.chat(
            "echo", "x", headers={"x-atomd-revision": "2"}).status == 404, 30,
            "revision 2 is gone")
        assert serving(daemon) == "1"
        assert "not kept warm" in undo(daemon, to=2, status=202)["no_swap"]


@test
def an_abort_of_a_swap_goes_forth_again():
    with Daemon(config(agents=canary("one "))) as daemon:
        reload(daemon, canary("two "))
        promoted(daemon, 2)
        made = undo(daemon)
        answer = daemon.admin("POST", "/admin/v1/deployments/%s/abort" %
                              made["id"], {})
        assert answer.json["outcome"] == "aborted", answer
        assert answer.json["abort"]["closed_us"] > 0, answer
        assert serving(daemon) == "2"


if __name__ == "__main__":
    run()
