#!/usr/bin/env python3
"""A new revision comes in: weights, sessions, the judge, kills.

ATOMD_TEST_ROLLOUTS=N does N back to back under load instead of a few.
"""

import collections
import itertools
import json
import os
import random
import sys
import threading
import time

from atomd_test import (Daemon, agent, config, process_agent, run, seconds,
                        test, wait_for)

# The echo of a revision with `repeat` costs tokens: a bad event that no clock
# decides.
CANARY = ("deployment: { plugin = \"canary\"; hold = \"%s\"; "
          "rollback_window_ms = %d; %s };\n"
          "bad_events: { tokens_above = 100; };")


def settings(prefix, deployment, repeat=1, backend="", more=""):
    return agent(backend='plugin = "echo"; prefix = "%s"; repeat = %d; %s' % (
        prefix, repeat, backend), more=deployment + more)


def canary(prefix, repeat=1, hold="0", window=60000, more="", backend="",
           agent_more=""):
    return settings(prefix, CANARY % (hold, window, more), repeat, backend,
                    agent_more)


def reload(daemon, text):
    daemon.configure(config(agents=text))
    answer = daemon.admin("POST", "/admin/v1/reload", {})
    assert answer.status == 200, answer
    return answer.json


def split(daemon):
    return {row["revision"]: row["weight"]
            for row in daemon.agents()["echo"]["split"]}


def ended(daemon, event, deadline=30):
    return daemon.wait_event(event, deadline)


class Callers:
    """Threads that call until told to stop, and remember every answer."""

    def __init__(self, daemon, count=4, stream=False, text="hello " * 5):
        self.daemon, self.stopping, self.stream = daemon, False, stream
        self.text, self.answers, self.faults = text, [], []
        self.threads = [threading.Thread(target=self._call, daemon=True)
                        for _ in range(count)]

    def _call(self):
        while not self.stopping:
            try:
                if self.stream:
                    with self.daemon.chat_stream("echo", self.text) as s:
                        events = list(s)
                        assert events[-1].text == "[DONE]", events[-1]
                        self.answers.append(s.headers["x-atomd-revision"])
                    continue
                answer = self.daemon.chat("echo", self.text)
                if answer.status != 200:
                    self.faults.append(answer)
                self.answers.append(answer.headers["x-atomd-revision"])
            except Exception as e:  # pylint: disable=broad-except
                self.faults.append(e)
                return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(seconds(30))

    def __exit__(self, kind, error, trace):
        self.stop()
        assert not self.faults, self.faults[:3]


@test
def a_canary_that_is_worse_is_rolled_back_without_a_person():
    with Daemon(config(agents=canary("old "), extra='audit_sinks = ( '
                       '{ plugin = "file"; path = "@DIR@/audit"; } );')
                ) as daemon:
        with Callers(daemon) as callers:
            daemon.configure(config(
                agents=canary("new ", repeat=100, hold="10m"),
                extra='audit_sinks = ( { plugin = "file"; '
                      'path = "@DIR@/audit"; } );'))
            assert daemon.admin("POST", "/admin/v1/reload",
                                {}).status == 200
            line = ended(daemon, "rollout_aborted", 60)
            after = len(callers.answers)
            wait_for(lambda: len(callers.answers) > after + 200, 30,
                     "200 more calls")
        assert line["cause"] == "worse", line
        assert line["from"] == 1 and line["to"] == 2, line
        assert "2" in callers.answers
        # What came in flight may end later; nothing new goes there.
        assert "2" not in callers.answers[after + 20:], callers.answers
        assert split(daemon) == {1: 10000}
        metrics = daemon.metrics()
        assert metrics.sum("atomd_rollouts_total", agent="echo",
                             outcome="aborted") == 1
        records = daemon.admin("GET", "/admin/v1/audit?type=rollout").json
        actions = [r["details"]["action"] for r in records["records"]]
        assert actions[0] == "began" and actions[-1] == "aborted", actions
        # Its text is in the file still, and is not tried again.
        assert reload(daemon, canary("new ", repeat=100, hold="10m")
                      )["changed"] == []
        daemon.kill()
        daemon.start()
        assert daemon.chat("echo", "x").headers["x-atomd-revision"] == "1"
        assert daemon.agents()["echo"]["drift"] is True


@test
def weights_move_while_calls_run_and_not_one_fails():
    with Daemon(config(agents=canary("old "))) as daemon:
        with Callers(daemon, 3) as callers, \
                Callers(daemon, 2, stream=True) as streams:
            for n in range(2, 8):
                reload(daemon, canary("r%d " % n))
                daemon.wait_line(
                    lambda l, n=n: l.get("event") == "rollout_promoted" and
                    l["to"] == n, 60, "revision %d" % n)
        assert "7" in callers.answers and "7" in streams.answers
        steps = [l["weight"] for l in daemon.lines
                 if l.get("event") == "rollout_step" and l["to"] == 7]
        assert steps == sorted(steps), steps
        assert {500, 2500, 5000} <= set(steps), steps


@test
def promoted_and_aborted_back_to_back_no_call_is_lost():
    count = int(os.environ.get("ATOMD_TEST_ROLLOUTS", "6"))
    aborts = []
    with Daemon(config(agents=canary("old "))) as daemon:
        began = time.monotonic()
        with Callers(daemon, 2) as callers, \
                Callers(daemon, 2, stream=True) as streams:
            for n in range(2, 2 + count):
                aborting = n % 2 == 1
                reload(daemon, canary("r%d " % n,
                                      hold="10m" if aborting else "0"))
                if aborting:
                    wait_for(lambda n=n: split(daemon).get(n, 0) > 0, 60,
                             "weight on revision %d" % n)
                    answer = daemon.admin(
                        "POST", "/admin/v1/deployments/echo/abort", {})
                    assert answer.status == 200, answer
                    aborts.append(answer.json["abort"])
                daemon.wait_line(
                    lambda l, n=n, o="aborted" if aborting else "promoted":
                    l.get("event") == "rollout_" + o and l["to"] == n, 60,
                    "the end of revision %d" % n)
        took = time.monotonic() - began
        calls = len(callers.answers) + len(streams.answers)
        # As many as were answered, each once and well.
        metrics = daemon.metrics()
        assert metrics.sum("atomd_requests_total", agent="echo") == calls
        assert metrics.sum("atomd_requests_total", agent="echo",
                           code="200") == calls
        late = sorted(a["last_new_call_us"] for a in aborts)
        print("# %d rollouts, %d of them aborted, %d calls, %d of them "
              "streams, %d a second; last call on an aborted revision: "
              "%.0f us at the median, %.0f at the most" % (
                  count, len(aborts), calls, len(streams.answers),
                  calls / took, late[len(late) // 2], late[-1]))


@test
def a_session_moves_at_most_once():
    memory = "\nmemory: { max_messages = 4; };"
    with Daemon(config(agents=canary("old ", agent_more=memory))) as daemon:
        seen = collections.defaultdict(list)

        def ask():
            for n in range(60):
                answer = daemon.invoke("echo", "x", session_id="s%d" % n)
                assert answer.status == 200, answer
                seen[n].append(answer.json["revision"])

        ask()
        reload(daemon, canary("new ", agent_more=memory, more=(
            'judge = "none"; steps = ( { percent = 5.0; manual = true; }, '
            '{ percent = 25.0; manual = true; }, '
            '{ percent = 50.0; manual = true; }, { percent = 100.0; } );')))
        # All are asked at each weight.
        for weight in (500, 2500, 5000):
            wait_for(lambda w=weight: split(daemon).get(2) == w and
                     status(daemon)["waits_for"] == "person", 30,
                     "weight %d" % weight)
            ask()
            order(daemon, "promote")
        ended(daemon, "rollout_promoted")
        ask()
        for revisions in seen.values():
            assert revisions == sorted(revisions), revisions
            assert revisions[0] == 1 and revisions[-1] == 2, revisions
        moved = [r.index(2) for r in seen.values()]
        assert len(set(moved)) > 2, "all moved at once: %s" % moved


@test
def a_revision_under_way_can_be_looked_at_and_a_newer_one_takes_its_place():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", hold="10m", more='judge = "none";'))
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "weight")
        look = daemon.chat("echo", "x", headers={"x-atomd-revision": "2"})
        assert look.content == "new x", look
        look = daemon.chat("echo", "x", headers={"x-atomd-revision": "1"})
        assert look.content == "old x", look
        metrics = daemon.metrics()
        assert metrics.sum("atomd_rollout_weight", agent="echo",
                             revision="2") == 500
        reload(daemon, canary("newest ", more='judge = "none";'))
        daemon.wait_event("rollout_superseded")
        ended(daemon, "rollout_promoted")
        assert daemon.chat("echo", "x").content == "newest x"
        # The one before stays warm; the one that never was is gone.
        look = daemon.chat("echo", "x", headers={"x-atomd-revision": "1"})
        assert look.content == "old x", look
        look = daemon.chat("echo", "x", headers={"x-atomd-revision": "2"})
        assert look.code == "revision_not_found", look


@test
def what_cannot_start_leaves_the_old_one_serving():
    broken = agent(backend='plugin = "process"; '
                   'command = [ "/nonexistent/worker" ];',
                   more='deployment: { plugin = "canary"; '
                   'failed_starts = 1; };')
    with Daemon(config(agents=canary("old "))) as daemon:
        with Callers(daemon, 2):
            reload(daemon, broken)
            line = ended(daemon, "rollout_aborted")
        assert line["cause"] == "failed_starts", line
        assert "nonexistent" in line["message"], line
        assert split(daemon) == {1: 10000}
        assert daemon.chat("echo", "x").content == "old x"


WORKER = """
import json, os, socket, sys
f = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"])).makefile("rw")
f.write('{"op":"ready","protocol":1,"name":"f","version":"1",'
        '"concurrency":1,"caps":[],"agents":{}}\\n'); f.flush()
for line in f:
    call = json.loads(line)
    if call["op"] == "call":
        if call["input"] == "wait":
            open(sys.argv[2]).read()
        f.write(json.dumps({"op": "result", "id": call["id"],
                            "output": sys.argv[1]}) + "\\n"); f.flush()
"""


def worker(says, more="", count=2, gate=""):
    """Answers with what it says; "wait" when the fifo `gate` has a
    writer that closes it."""
    return process_agent(
        "echo", [sys.executable, "-c", WORKER, says, gate], more=more + '\n'
        "instances: { min = %d; max = %d; }; "
        "queue: { timeout_ms = 60000; };" % (count, count))


@test
def no_room_for_new_instances_is_said_and_ends_by_itself():
    """max_agents leaves no room beside the old ones: at_once waits for it,
    says so, and gives up; the old revision serves on."""
    deployment = ('deployment: { plugin = "at_once"; judge = "none"; '
                  'progress_deadline_ms = 2000; };')
    with Daemon(config(agents=worker("old", deployment),
                       extra="max_agents = 2;")) as daemon:
        daemon.wait_ready("echo", 2)
        with Callers(daemon, 2):
            daemon.configure(config(agents=worker("new", deployment),
                                    extra="max_agents = 2;"))
            assert daemon.admin("POST", "/admin/v1/reload", {}).status == 200
            line = ended(daemon, "rollout_aborted")
        assert line["cause"] == "deadline", line
        assert "max_agents" in line["message"], line
        assert daemon.invoke("echo", "x").json["output"] == "old"


@test
def recreate_needs_no_room_and_loses_no_call():
    deployment = ('deployment: { plugin = "recreate"; judge = "none"; '
                  'rollback_window_ms = 0; };')
    with Daemon(config(agents=worker("old", deployment),
                       extra="max_agents = 2;")) as daemon:
        daemon.wait_ready("echo", 2)
        with Callers(daemon, 2) as callers:
            daemon.configure(config(agents=worker("new", deployment),
                                    extra="max_agents = 2;"))
            assert daemon.admin("POST", "/admin/v1/reload", {}).status == 200
            ended(daemon, "rollout_promoted")
            done = len(callers.answers)
            wait_for(lambda: len(callers.answers) > done + 20, 20, "calls")
        assert callers.answers[-1] == "2"
        assert daemon.invoke("echo", "x").json["output"] == "new"


def recreate(says, gate, more=""):
    return worker(says, 'deployment: { plugin = "recreate"; judge = "none"; '
                  'rollback_window_ms = 0; };\n' + more, 1, gate)


def requests(daemon):
    return daemon.metrics().sum("atomd_http_requests_total")


class Held:
    """Two calls, the second taken while a worker holds the first."""

    def __init__(self, daemon, gate, **more):
        self.gate, self.said = gate, [None, None]
        os.mkfifo(gate)
        self.threads = [threading.Thread(
            target=self._ask, args=(daemon, n, what, more), daemon=True)
            for n, what in enumerate(("wait", "x"))]
        self.threads[0].start()
        wait_for(lambda: daemon.metrics().sum("atomd_inflight_requests",
                                              agent="echo") == 1, 20, "a call")
        # Each look is a request too.
        expected = itertools.count(requests(daemon) + 1)
        self.threads[1].start()
        wait_for(lambda: requests(daemon) > next(expected), 20,
                 "the second one")

    def _ask(self, daemon, n, what, more):
        self.said[n] = daemon.invoke("echo", what, **more)

    def go_on(self):
        with open(self.gate, "w", encoding="ascii"):
            pass
        for thread in self.threads:
            thread.join(seconds(30))
        assert [a and a.status for a in self.said] == [200, 200], self.said
        return [a.json["output"] for a in self.said]


@test
def who_waits_for_an_instance_that_goes_is_served_by_it():
    """And with the last of those who wait it goes."""
    with Daemon(config(agents="")) as daemon:
        gate = os.path.join(daemon.dir, "gate")
        reload(daemon, recreate("old", gate))
        daemon.wait_ready("echo", 1)
        held = Held(daemon, gate)
        wait_for(lambda: daemon.metrics().sum("atomd_queue_depth",
                                              agent="echo") == 1, 20, "a wait")
        reload(daemon, recreate("new", gate))
        wait_for(lambda: split(daemon).get(2) == 10000, 20, "the new weight")
        assert held.go_on() == ["old", "old"]
        ended(daemon, "rollout_promoted")
        assert daemon.invoke("echo", "x").json["output"] == "new"


@test
def a_call_whose_turn_comes_after_its_revision_has_gone_goes_to_the_new_one():
    """There is room for one instance: of the old one none can come back."""
    def text(says, gate):
        return config(agents=recreate(says, gate, "memory: { };"),
                      extra="max_agents = 1;")
    with Daemon(config(agents="", extra="max_agents = 1;")) as daemon:
        gate = os.path.join(daemon.dir, "gate")
        for says in ("old", "new"):
            daemon.configure(text(says, gate))
            answer = daemon.admin("POST", "/admin/v1/reload", {})
            assert answer.status == 200, answer
            if says == "old":
                daemon.wait_ready("echo", 1)
                held = Held(daemon, gate, session_id="s")
        wait_for(lambda: split(daemon).get(2) == 10000, 20, "the new weight")
        assert held.go_on() == ["old", "new"]
        ended(daemon, "rollout_promoted")


@test
def workers_are_replaced_while_calls_run_and_none_is_lost():
    def text(says, plugin):
        return worker(says, 'deployment: { plugin = "%s"; judge = "none"; '
                      'rollback_window_ms = 300; };' % plugin)
    with Daemon(config(agents=text("r1", "rolling"))) as daemon:
        daemon.wait_ready("echo", 2)
        with Callers(daemon, 4) as callers:
            for n, plugin in enumerate(("rolling", "at_once", "rolling"), 2):
                reload(daemon, text("r%d" % n, plugin))
                daemon.wait_line(
                    lambda l, n=n: l.get("event") == "rollout_promoted" and
                    l["to"] == n, 60, "revision %d" % n)
        assert callers.answers
        assert daemon.invoke("echo", "x").json["output"] == "r4"
        # What is warm goes with the window.
        wait_for(lambda: daemon.metrics().sum(
            "atomd_instances", agent="echo", state="ready") == 2, 20,
            "only the stable revision's instances are left")


@test
def at_once_by_hand_needs_no_rollout():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", hold="10m", more='judge = "none";'))
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "weight")
        daemon.configure(config(agents=canary("newest ")))
        answer = daemon.admin("POST", "/admin/v1/reload", {"now": True})
        assert answer.status == 200, answer
        assert split(daemon) == {3: 10000}
        assert daemon.chat("echo", "x").content == "newest x"
        daemon.kill()
        daemon.start()
        assert split(daemon) == {3: 10000}
        assert daemon.chat("echo", "x").content == "newest x"


@test
def at_once_by_hand_ends_the_rollout_that_is_under_way():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", hold="10m", more='judge = "none";'))
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "weight")
        answer = daemon.admin("POST", "/admin/v1/reload", {"now": True})
        assert answer.status == 200, answer
        assert split(daemon) == {2: 10000}
        assert status(daemon)["outcome"] == "superseded", status(daemon)
        assert daemon.chat("echo", "x").content == "new x"
        daemon.stop()
        daemon.start()
        assert split(daemon) == {2: 10000}


def order(daemon, verb, **more):
    answer = daemon.admin("POST", "/admin/v1/deployments/echo/" + verb, more)
    assert answer.status < 300, answer
    return answer.json


def status(daemon):
    return daemon.admin("GET", "/admin/v1/deployments/echo").json


@test
def aborts_lose_no_call_and_no_call_goes_there_after():
    slow = "chunk_bytes = 3; chunk_delay_ms = 2;"
    with Daemon(config(agents=canary("old ", backend=slow))) as daemon:
        with Callers(daemon, 4) as callers, \
                Callers(daemon, 4, stream=True) as streams:
            for n in range(15):
                reload(daemon, canary("r%d " % n, hold="10m", backend=slow,
                                      more='judge = "none";'))
                wait_for(lambda: list(split(daemon).values()) == [9500, 500],
                         20, "weight")
                before = callers.answers.count("1")
                order(daemon, "abort")
                # Answered means done: who asks now is not drawn.
                for _ in range(20):
                    answer = daemon.chat("echo", "x")
                    assert answer.content == "old x", answer
                wait_for(lambda: status(daemon)["stage"] == "over", 20,
                         "over")
                assert status(daemon)["outcome"] == "aborted"
                wait_for(lambda b=before: callers.answers.count("1") > b, 20,
                         "calls go on")
        assert len(streams.answers) > 15, streams.answers


@test
def going_back_while_the_old_one_is_warm_is_one_order():
    with Daemon(config(agents=canary("old "))) as daemon:
        with Callers(daemon, 2):
            reload(daemon, canary("new ", more='judge = "none";'))
            ended(daemon, "rollout_promoted")
            assert daemon.chat("echo", "x").content == "new x"
            assert status(daemon)["stage"] == "warm", status(daemon)
            told = order(daemon, "abort")
            assert told["outcome"] == "aborted", told
            assert told["cause"] == "undo", told
            assert daemon.chat("echo", "x").content == "old x"
        assert split(daemon) == {1: 10000}
        daemon.kill()
        daemon.start()
        assert daemon.chat("echo", "x").content == "old x"


MANUAL = ('judge = "none"; steps = ( { percent = 5.0; manual = true; }, '
          '{ percent = 50.0; manual = true; }, { percent = 100.0; } );')


@test
def while_the_store_cannot_write_nothing_goes_forward_and_all_goes_back():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", more=MANUAL))
        wait_for(lambda: status(daemon)["waits_for"] == "person", 20, "step")
        with Callers(daemon, 3) as callers:
            daemon.limit_files(1)
            answer = daemon.admin(
                "POST", "/admin/v1/deployments/echo/promote", {})
            assert answer.status == 503, answer
            assert answer.code == "state_unavailable", answer
            now = status(daemon)
            assert "state.db" in now["reason"], now
            assert split(daemon) == {1: 9500, 2: 500}
            daemon.wait_event("rollout_not_stored")
            assert daemon.count_event("rollout_not_stored") == 1
            # It is tried again by itself, and is in force from then on.
            daemon.limit_files()
            wait_for(lambda: split(daemon) == {1: 5000, 2: 5000}, 30,
                     "the step that was asked for: %s" % status(daemon))
            assert "state.db" not in status(daemon)["reason"]
            # The way back waits for no store, but its answer says so.
            daemon.limit_files(1)
            answer = daemon.admin(
                "POST", "/admin/v1/deployments/echo/abort", {})
            assert answer.status == 503, answer
            assert split(daemon)[1] == 10000
            assert daemon.chat("echo", "x").content == "old x"
            daemon.limit_files()
            # Stored by itself, once it can be.
            wait_for(lambda: "state.db" not in status(daemon)["reason"], 30,
                     "the abort is stored")
            assert status(daemon)["stage"] == "over"
        assert callers.answers
        daemon.kill()
        daemon.start()
        assert split(daemon) == {1: 10000}
        assert status(daemon)["outcome"] == "aborted", status(daemon)


@test
def one_that_is_tried_again_goes_on_after_a_kill():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", more=MANUAL))
        wait_for(lambda: status(daemon)["waits_for"] == "person", 20, "step")
        order(daemon, "abort")
        wait_for(lambda: split(daemon) == {1: 10000}, 20, "the way back")
        order(daemon, "retry")
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "once more")
        daemon.kill()
        daemon.start()
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "as it was")
        assert status(daemon)["outcome"] == "open", status(daemon)
        order(daemon, "promote", full=True)
        wait_for(lambda: split(daemon) == {2: 10000}, 20, "promoted")
        daemon.kill()
        daemon.start()
        wait_for(lambda: split(daemon) == {2: 10000}, 20, "and so it stays")


@test
def what_was_not_stored_before_a_kill_was_not_done():
    with Daemon(config(agents=canary("old "))) as daemon:
        reload(daemon, canary("new ", more=MANUAL))
        wait_for(lambda: status(daemon)["waits_for"] == "person", 20, "step")
        daemon.limit_files(1)
        assert daemon.admin("POST", "/admin/v1/deployments/echo/promote",
                            {}).status == 503
        daemon.kill()
        daemon.start()
        wait_for(lambda: split(daemon) == {1: 9500, 2: 500}, 20, "as it was")
        order(daemon, "promote")
        wait_for(lambda: split(daemon) == {1: 5000, 2: 5000}, 20, "a step on")


@test
def a_daemon_that_is_killed_goes_on_or_is_as_it_was():
    rounds = 12
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with Daemon(config(agents=canary("r1 ", window=0))) as daemon:
        current = 1
        for n in range(rounds):
            text = "r%d " % (n + 2)
            reload(daemon, canary(text, window=0, hold="1ms",
                                  more='judge = "none";'))
            # Somewhere between the first store and the end.
            lines = chance.randrange(6)
            wait_for(lambda: sum(
                l.get("event", "").startswith("rollout_")
                for l in daemon.lines) >= lines, 20, "seed %d" % seed)
            daemon.kill()
            daemon.start()
            rows = split(daemon)
            assert sum(rows.values()) == 10000, (seed, rows)
            wait_for(lambda: list(split(daemon).values()) == [10000] and
                     daemon.agents()["echo"]["revision"] == current + 1,
                     30, "seed %d: revision %d, it has %s" % (
                         seed, current + 1, json.dumps(split(daemon))))
            assert daemon.chat("echo", "x").content == text + "x"
            current += 1


if __name__ == "__main__":
    run()
