#!/usr/bin/env python3
"""Scaling of a live daemon: real workers come and go by what a strategy
says, and no call is lost over it."""

import json
import os
import signal
import sys
import threading
import time

from atomd_test import (Daemon, Skip, agent, config, process_agent, run,
                        seconds, source, test, wait_for)

WORKER = [sys.executable, source("tests", "scenario", "worker.py")]


def wayward_folder():
    folder = os.environ.get("ATOMD_TEST_PLUGINS")
    if not folder or not os.path.exists(
            os.path.join(folder, "scaling-wayward.so")):
        raise Skip("tests/built/scaling-wayward.so is missing")
    return "plugins: { directories = [ \"%s\" ]; };" % os.path.abspath(folder)


def sized(scaling, instances="min = 1; max = 8; concurrency = 1;",
          queue="depth = 1000; timeout_ms = 30000;", worker=(), backend=""):
    return process_agent(
        "worker", WORKER + list(worker), backend,
        "instances: { %s }; queue: { %s }; %s" % (
            instances, queue,
            "scaling: { %s };" % scaling if scaling is not None else ""))


def wayward(wanted, more="", how="good", **others):
    return sized('plugin = "wayward"; wanted = %d; how = "%s"; %s' % (
        wanted, how, more), **others)


def instances(daemon, name="worker"):
    return daemon.agents()[name]["instances"]


def events(daemon, path="/admin/v1/scaling/events?agent=worker"):
    answer = daemon.admin("GET", path)
    assert answer.status == 200, answer
    return answer.json["events"]


def wait_event_of(daemon, reason, deadline=20):
    def found():
        return [e for e in events(daemon) if e["reason"] == reason]
    return wait_for(found, deadline, "a scaling event %r" % reason)[-1]


def ticks(daemon):
    return daemon.metrics().sum("atomd_scaling_ticks_total")


class Callers:
    """So many clients that call again and again until told to stop."""

    def __init__(self, daemon, count, text):
        self.daemon, self.text = daemon, text
        self.over, self.answers = threading.Event(), []
        self.threads = [threading.Thread(target=self.call, daemon=True)
                        for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def call(self):
        while not self.over.is_set():
            try:
                answer = self.daemon.invoke("worker", self.text,
                                            timeout=60).status
            except Exception as error:
                answer = repr(error)
                self.over.set()
            self.answers.append(answer)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert self.answers and set(self.answers) == {200}, [
            a for a in self.answers if a != 200][:5]


class Held:
    """Calls that are under way until they are let go, each begun when the
    one before it was."""

    def __init__(self, daemon, count, variable="ATOM_INSTANCE"):
        self.daemon, self.variable, self.answers = daemon, variable, []
        self.threads = [threading.Thread(target=self.call, daemon=True)
                        for _ in range(count)]
        for n, thread in enumerate(self.threads):
            thread.start()
            wait_for(lambda n=n: in_flight(daemon) == n + 1, 20,
                     "%d calls under way" % (n + 1))

    def call(self):
        self.answers.append(self.daemon.invoke(
            "worker", "until %s %s" % (os.path.join(self.daemon.dir, "go"),
                                       self.variable), timeout=120))

    def let_go(self):
        """The variable of the instances that they were on."""
        self.daemon.write("go", "")
        for thread in self.threads:
            thread.join()
        assert [a.status for a in self.answers] == [200] * len(
            self.threads), self.answers
        return [a.json["output"] for a in self.answers]


def in_flight(daemon):
    return daemon.agents()["worker"]["in_flight"]


def late_waits(daemon):
    """Calls that have waited longer than a second for a slot."""
    metrics = daemon.metrics()
    name = "atomd_queue_wait_seconds_"
    return metrics.sum(name + "count", agent="worker") - metrics.sum(
        name + "bucket", agent="worker", le="1")


# --- load --------------------------------------------------------------------

@test
def a_step_from_one_call_to_forty_and_back():
    text = config(agents=sized(
        'plugin = "concurrency"; stable_window_ms = "6s";'
        ' target_wait_ms = 1000; scale_down: { stabilization_s = 1; };',
        instances="min = 1; max = 14; concurrency = 4;",
        worker=["--concurrency", "4"]))
    with Daemon(text) as daemon:
        daemon.wait_ready("worker", 1)
        few = Callers(daemon, 1, "sleep 100")
        wait_for(lambda: len(few.answers) > 5, 20, "calls of one client")
        assert instances(daemon)["desired"] == 1, instances(daemon)
        many = Callers(daemon, 39, "sleep 100")
        wait_for(lambda: instances(daemon)["ready"] >= 10, 60,
                 "instances for forty calls at once")
        # When each client has been answered twice more, all that waited for
        # these instances is over: from here on nobody waits above the target.
        seen = len(many.answers)
        wait_for(lambda: len(many.answers) > seen + 2 * 39, 60,
                 "two answers for each client")
        late, before = late_waits(daemon), len(many.answers)
        wait_for(lambda: len(many.answers) > before + 400, 60,
                 "four hundred more answers")
        assert late_waits(daemon) == late, "calls waited above 1 s"
        many.stop()
        wait_for(lambda: instances(daemon)["desired"] == 1, 60,
                 "one instance again")
        daemon.wait_ready("worker", 1)
        few.stop()
        said = events(daemon)
        assert said[0]["action"] == "add_agents" and \
            said[-1]["action"] == "remove_agents", said
        assert said[-1]["to"] == 1, said[-1]
        # Nobody was killed over it.
        assert daemon.count_event("instance_failed") == 0


@test
def to_zero_and_from_zero_with_the_call_that_waits():
    text = config(agents=sized(
        'plugin = "concurrency"; stable_window_ms = "6s";'
        ' scale_down: { stabilization_s = 0; };',
        instances="min = 0; max = 3; concurrency = 1;"))
    with Daemon(text) as daemon:
        assert instances(daemon)["desired"] == 0
        for _ in range(2):
            answer = daemon.invoke("worker", "echo hello")
            assert answer.status == 200, answer
            assert answer.json["output"] == "hello", answer
            wait_for(lambda: instances(daemon)["desired"] == 0, 40,
                     "none wanted")
            wait_for(lambda: instances(daemon)["ready"] == 0, 20, "none left")
        said = events(daemon)
        # An instance for the second call may be up before the strategy is
        # asked again.
        assert [e["from"] for e in said].count(0) in (1, 2), said
        # To zero only from one.
        assert {e["from"] for e in said if e["to"] == 0} == {1}, said


@test
def no_busy_worker_is_killed_when_fewer_are_wanted():
    with Daemon(config(agents=wayward(4), extra=wayward_folder())) as daemon:
        daemon.wait_ready("worker", 4)
        held = Held(daemon, 4)
        answer = daemon.reload(config(agents=wayward(1),
                                      extra=wayward_folder()))
        assert answer.status == 200, answer
        wait_for(lambda: instances(daemon)["draining"] == 3, 20,
                 "three that drain")
        assert len(set(held.let_go())) == 4
        daemon.wait_ready("worker", 1)
        assert daemon.count_event("instance_failed") == 0


@test
def what_drains_serves_again_before_a_new_one_is_started():
    extra = wayward_folder()
    with Daemon(config(agents=wayward(4), extra=extra)) as daemon:
        daemon.wait_ready("worker", 4)
        held = Held(daemon, 4)
        for wanted in (1, 3):
            answer = daemon.reload(config(agents=wayward(wanted),
                                          extra=extra))
            assert answer.status == 200, answer
            wait_for(lambda w=wanted: instances(daemon) == {
                "desired": w, "ready": w, "starting": 0, "draining": 4 - w},
                20, "%d that serve" % wanted)
        wait_for(lambda: daemon.count_event("instance_taken_back") == 2,
                 what="it is told")
        assert len(set(held.let_go())) == 4
        # The one that was not taken back ends; no other was ever started.
        wait_for(lambda: instances(daemon)["draining"] == 0, 20, "the end")
        assert instances(daemon)["ready"] == 3
        assert daemon.count_event("instance_starting") == 4


@test
def what_a_restart_replaces_is_not_taken_back():
    with Daemon(config(agents=wayward(1), extra=wayward_folder())) as daemon:
        daemon.wait_ready("worker", 1)
        held = Held(daemon, 1)
        answer = daemon.admin("POST", "/admin/v1/agents/worker/restart")
        assert answer.status < 300, answer
        wait_for(lambda: instances(daemon) == {
            "desired": 1, "ready": 1, "starting": 0, "draining": 1}, 20,
            "the old one drains")
        assert daemon.atomctl("scale", "worker", "2").returncode == 0
        daemon.wait_ready("worker", 2)
        assert instances(daemon)["draining"] == 1
        assert daemon.count_event("instance_starting") == 3
        assert daemon.count_event("instance_taken_back") == 0
        held.let_go()


@test
def calls_are_packed_where_a_strategy_scales_and_spread_elsewhere():
    room = "min = 3; max = 3; concurrency = 2;"
    for agents, instances_used in (
            (wayward(3, instances=room, worker=["--concurrency", "2"]), 2),
            (sized(None, instances=room, worker=["--concurrency", "2"]), 3)):
        with Daemon(config(agents=agents, extra=wayward_folder())) as daemon:
            daemon.wait_ready("worker", 3)
            used = Held(daemon, 3).let_go()
            assert len(set(used)) == instances_used, used


# --- strategies ----------------------------------------------------------------

@test
def another_strategy_and_its_options_take_over_live():
    extra = wayward_folder()
    with Daemon(config(agents=wayward(2), extra=extra)) as daemon:
        daemon.wait_ready("worker", 2)
        answer = daemon.reload(config(agents=wayward(3), extra=extra))
        assert answer.status == 200 and answer.json["changed"] == [
            "worker"], answer
        daemon.wait_ready("worker", 3)
        # Its state went on: it was asked before.
        asked = events(daemon)[-1]["detail"]
        assert int(asked.split()[1]) > 1, asked
        answer = daemon.reload(config(agents=sized(
            'plugin = "fixed"; instances = 1;'
            ' scale_down: { stabilization_s = 0; };'), extra=extra))
        assert answer.status == 200, answer
        daemon.wait_ready("worker", 1)
        shown = daemon.admin("GET", "/admin/v1/agents/worker").json
        assert shown["revision"] == 1, shown
        assert shown["scaling"]["strategy"] == "fixed", shown["scaling"]
        assert shown["scaling"]["reason"] != "", shown["scaling"]
        assert shown["settings"]["scaling"]["plugin"] == "fixed", shown
        # Without a strategy it stays at min.
        answer = daemon.reload(config(agents=sized(
            None, instances="min = 2; max = 8; concurrency = 1;")))
        assert answer.status == 200, answer
        daemon.wait_ready("worker", 2)
        left = daemon.admin("GET", "/admin/v1/agents/worker").json["scaling"]
        assert [left[k] for k in ("advised", "reason", "bound", "fault")] == [
            None, "", None, None], left


@test
def a_strategy_that_does_not_exist_or_fit_is_refused():
    with Daemon(config(agents=sized(None))) as daemon:
        for scaling, said in (
                ('plugin = "concurency";', "concurrency"),
                ('plugin = "fixed"; instances = -3;', "instances"),
                ('plugin = "fixed"; stabilisation = 3;', "stabilisation")):
            answer = daemon.reload(config(agents=sized(scaling)))
            assert answer.status == 400 and said in answer.text, answer
        assert instances(daemon)["ready"] == 1


@test
def nonsense_is_ignored_counted_and_told_once():
    extra = wayward_folder()
    with Daemon(config(agents=wayward(3), extra=extra)) as daemon:
        daemon.wait_ready("worker", 3)
        for how, fault in (("negative", "out_of_range"),
                           ("million", "out_of_range"),
                           ("not_a_number", "not_a_number"),
                           ("fails", "failed"), ("slow", "too_long"),
                           ("large_state", "failed")):
            def count(fault=fault):
                return daemon.metrics().sum(
                    "atomd_scaling_advice_ignored_total", agent="worker",
                    strategy="wayward", reason=fault)
            before = count()
            answer = daemon.reload(config(agents=wayward(1, how=how),
                                          extra=extra))
            assert answer.status == 200, answer
            wait_for(lambda: count() > before, 30, how + " is counted")
            assert instances(daemon)["desired"] == 3, (how, events(daemon))
            # It is counted first.
            wait_for(lambda f=fault: [
                e["metric"] for e in events(daemon)
                if e["reason"] == "advice_ignored"][-1:] == [f], 20, fault)
            shown = daemon.admin("GET", "/admin/v1/agents/worker").json
            assert shown["scaling"]["fault"] == fault, shown["scaling"]
        answer = daemon.reload(config(agents=wayward(1), extra=extra))
        assert answer.status == 200, answer
        daemon.wait_ready("worker", 1)
        # As long as a fault lasts it is one event.
        told = [e["metric"] for e in events(daemon)
                if e["reason"] == "advice_ignored"]
        assert told == ["out_of_range", "not_a_number", "failed", "too_long",
                        "failed"], told


@test
def memory_optimized_instances_have_options_of_their_own():
    group = ('memory_optimized: { env: { KIND = "large"; };'
             ' open_files_max = 256; };')
    room = "min = 1; max = 4; concurrency = 1; " + group
    extra = wayward_folder()

    def wants(count, action):
        return config(agents=wayward(count, "action = %d;" % action,
                                     instances=room), extra=extra)
    with Daemon(wants(1, 0)) as daemon:
        daemon.wait_ready("worker", 1)
        for count, action, large in ((3, 3, 2), (4, 1, 2)):
            assert daemon.reload(wants(count, action)).status == 200
            daemon.wait_ready("worker", count)
            started = [line["memory_optimized"] for line in daemon.lines
                       if line.get("event") == "instance_starting"]
            assert sum(started) == large, started
        assert events(daemon)[0]["recommended_action"] == \
            "add_memory_optimized_agents", events(daemon)
        kinds = Held(daemon, 4, "KIND").let_go()
        assert sorted(kinds) == ["large", "large", "none", "none"], kinds
        refused = daemon.reload(config(
            agents=wayward(1, instances="max = 4; memory_optimized:"
                           " { comand = [ \"x\" ]; };"), extra=extra))
        assert refused.status == 400 and "comand" in refused.text, refused
        refused = daemon.reload(config(agents=agent(
            more="instances: { memory_optimized: { repeat = 2; }; };")))
        assert refused.status == 400 and \
            "instances of its own" in refused.text, refused


@test
def a_strategy_that_does_not_come_back_is_named():
    # It may do so once the daemon has said that it is ready.
    good, endless = (config(agents=wayward(1, how=how), extra=wayward_folder())
                     for how in ("good", "endless"))
    with Daemon(good) as daemon:
        daemon.configure(endless)
        daemon.signal(signal.SIGHUP)
        answer = wait_for(lambda: next(
            (a for a in [daemon.get("/readyz")] if a.status == 503), None),
            60, "not to be ready")
        assert "scaling strategy wayward of the agent worker" in \
            answer.text, answer
        line = daemon.wait_event("control_held_up")
        assert "wayward" in line["control"], line
        # Calls go on.
        assert daemon.invoke("worker", "echo on").json["output"] == "on"
        daemon.kill()


# --- bounds ----------------------------------------------------------------------

@test
def max_and_max_agents_bound_what_is_wanted():
    extra = wayward_folder() + " max_agents = 4;"
    with Daemon(config(agents=wayward(6), extra=extra)) as daemon:
        daemon.wait_ready("worker", 4)
        event = wait_event_of(daemon, "limit_reached")
        assert event["action"] == "none" and event["bound"] == \
            "max_agents", event
        assert instances(daemon)["desired"] == 4
        assert len([e for e in events(daemon)
                    if e["reason"] == "limit_reached"]) == 1
    bounded = wayward(6, instances="min = 1; max = 3; concurrency = 1;")
    with Daemon(config(agents=bounded, extra=wayward_folder())) as daemon:
        daemon.wait_ready("worker", 3)
        event = wait_event_of(daemon, "wished")
        assert (event["to"], event["bound"]) == (3, "max"), event


@test
def max_agents_bounds_instances_that_are_slots_too():
    """A backend without processes, as HTTP models are: an instance is so many
    calls at once, and all agents share what there may be."""
    settings = "instances: { min = %d; max = 9; concurrency = 1; }; %s"

    def scale(name, count):
        status = daemon.admin("POST", "/admin/v1/agents/%s/scale" % name,
                              {"instances": count}).status
        return status, instances(daemon, name)["ready"]
    agents = [agent("a", more=settings % (1, "")),
              agent("b", more=settings % (1, ""))]
    with Daemon(config(agents=agents, extra="max_agents = 4;")) as daemon:
        assert scale("a", 4) == (400, 1)
        assert scale("a", 3) == (200, 3)
        assert scale("b", 2) == (400, 1)
        # A rollout's two revisions count once.
        done = daemon.atomctl("deploy", "a", "-f", "/dev/stdin", "--watch",
                              stdin=(settings % (1, "max_tokens = 7; backend: "
                                     '{ plugin = "echo"; };')).encode())
        assert done.returncode == 0, done
        assert scale("b", 2) == (400, 1)
        assert scale("a", 2) == (200, 2) and scale("b", 2) == (200, 2)
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "c", "config": settings % (0, 'backend: { plugin = "echo";'
                                               " };")}).status == 201
        assert scale("c", 1) == (400, 0)
        assert scale("b", 1) == (200, 1) and scale("c", 1) == (200, 1)
        assert daemon.admin("DELETE", "/admin/v1/agents/c").status == 200
        assert scale("b", 2) == (200, 2)
    wants_six = agent("worker", more=settings % (
        1, 'scaling: { plugin = "fixed"; instances = 6; };'))
    with Daemon(config(agents=wants_six, extra="max_agents = 4;")) as daemon:
        daemon.wait_ready("worker", 4)
        event = wait_event_of(daemon, "limit_reached")
        assert event["bound"] == "max_agents", event
        assert instances(daemon)["ready"] == 4


@test
def what_starts_counts_with_the_memory_that_it_will_hold():
    def text(limit):
        return config(
            agents=sized(None, worker=["--slow-ready", "500"]),
            extra="memory_limit = %d;" % limit)
    mib = 1 << 20
    with Daemon(text(1000000)) as daemon:
        daemon.wait_ready("worker", 1)

        def held():
            shown = daemon.admin("GET", "/admin/v1/agents/worker").json
            share = shown["scaling"]["measured"]["memory_percent"]
            return (share or 0) / 100 * 1000000 * mib
        before = wait_for(held, 20, "a measure of its memory")
        assert daemon.invoke("worker", "memory 200").status == 200
        # Not one from amid the taking.
        wait_for(lambda: held() > before + 190 * mib, 20,
                 "a measure of what it took")
        # Room for two and a half more like it.
        each = held() - daemon.metrics().sum("process_resident_memory_bytes")
        daemon.reload(text((held() + 2.5 * each) // mib))
        assert daemon.atomctl("scale", "worker", "8").returncode == 0
        daemon.wait_event("limit_reached")
        told = [line for line in list(daemon.lines) if line.get("event") in (
            "instance_starting", "limit_reached")]
        names = [line["event"] for line in told]
        assert names[:4] == 3 * ["instance_starting"] + ["limit_reached"], \
            names
        assert told[3]["limit"] == "memory_limit", told[3]


@test
def workers_that_never_become_ready_are_no_runaway():
    text = config(
        agents=wayward(6, worker=["--no-ready"],
                       backend='ready_timeout_ms = 300;'),
        extra=wayward_folder())
    with Daemon(text, wait="instance_failed") as daemon:
        event = wait_event_of(daemon, "instances_not_ready")
        assert event["action"] == "none", event
        # Those that were started before the first one failed go as well.
        wait_for(lambda: instances(daemon)["starting"] <= 1, 20,
                 "at most one that starts")
        wanted = instances(daemon)["desired"]
        most, end = 0, ticks(daemon) + 2
        while ticks(daemon) < end:
            now = instances(daemon)
            most = max(most, now["starting"] + now["ready"])
            time.sleep(0.05)
        assert most <= 1, "%d at once" % most
        # It backs off: far fewer than one start each 300 ms.
        assert daemon.count_event("instance_starting") < 18
        assert instances(daemon)["desired"] == wanted, instances(daemon)


@test
def a_dry_run_tells_and_changes_nothing():
    with Daemon(config(agents=wayward(5, "dry_run = true;"),
                       extra=wayward_folder())) as daemon:
        event = wait_event_of(daemon, "wished")
        assert event["dry_run"] and (event["from"], event["to"]) == (
            1, 5), event
        assert instances(daemon) == {"desired": 1, "ready": 1, "starting": 0,
                                     "draining": 0}
        assert daemon.metrics().sum("atomd_scaling_events_total") == 0


@test
def a_number_set_by_hand_stays_until_it_is_given_back():
    with Daemon(config(agents=wayward(2),
                       extra=wayward_folder())) as daemon:
        daemon.wait_ready("worker", 2)
        assert daemon.atomctl("scale", "worker", "4").returncode == 0
        daemon.wait_ready("worker", 4)
        shown = daemon.admin("GET", "/admin/v1/agents/worker").json
        assert shown["scaling"]["pinned"] == 4, shown["scaling"]
        # Two ticks come and go: one may have been under way.
        before = ticks(daemon)
        wait_for(lambda: ticks(daemon) >= before + 2, 30, "two ticks")
        assert instances(daemon)["desired"] == 4
        assert daemon.atomctl("scale", "worker", "--auto").returncode == 0
        daemon.wait_ready("worker", 2)
        assert [e["reason"] for e in events(daemon)] == [
            "wished", "pinned", "released", "wished"], events(daemon)


# --- what is told -----------------------------------------------------------------

@test
def events_metrics_and_atomctl_tell_the_same():
    agents = [wayward(3), agent("other")]
    with Daemon(config(agents=agents, extra=wayward_folder())) as daemon:
        daemon.wait_ready("worker", 3)
        event = wait_event_of(daemon, "wished")
        expected = {"agent": "worker", "action": "add_agents",
                    "reason": "wished", "metric": "wish", "from": 1, "to": 3,
                    "strategy": "wayward", "recommended_action": "none"}
        assert expected.items() <= event.items(), event
        assert event["time"].endswith("Z"), event
        assert events(daemon, "/admin/v1/scaling/events") == events(daemon)
        assert events(daemon, "/admin/v1/scaling/events?agent=other") == []
        for limit in ("0", "1001", "x"):
            answer = daemon.admin(
                "GET", "/admin/v1/scaling/events?limit=" + limit)
            assert answer.status == 400, answer
        done = daemon.atomctl("--json", "scaling", "events", "worker")
        assert json.loads(done.stdout) == events(daemon), done
        done = daemon.atomctl("scaling", "events")
        assert done.returncode == 0 and "add_agents" in str(
            done.stdout), done
        metrics = daemon.metrics()
        assert metrics.sum("atomd_scaling_events_total", agent="worker",
                           action="add_agents", reason="wished") == 1
        assert metrics.sum("atomd_instances_desired", agent="worker") == 3


@test
def what_is_measured_shows_and_suggests_a_size():
    with Daemon(config(agents=sized('plugin = "concurrency";'))) as daemon:
        daemon.wait_ready("worker", 1)
        done = daemon.atomctl("--json", "agents", "worker", "--sizing")
        assert json.loads(done.stdout)["sizing"] == [], done
        for _ in range(5):
            assert daemon.invoke("worker", "sleep 100").status == 200

        def measured():
            shown = daemon.admin("GET", "/admin/v1/agents/worker").json
            found = shown["scaling"]["measured"]
            return found["service_ms"]["p50"] and found["cold_start_ms"] \
                and found
        found = wait_for(measured, 10, "a measured service time")
        assert 95 <= found["service_ms"]["p50"] <= seconds(1000), found
        assert found["service_ms"]["p95"] >= found["service_ms"]["p50"]
        assert found["error_share"] == 0, found
        assert found["arrivals_per_second"] > 0, found
        done = daemon.atomctl("--json", "agents", "worker", "--sizing")
        rows = {row["setting"]: row
                for row in json.loads(done.stdout)["sizing"]}
        assert set(rows) == {"instances.concurrency", "backend.max_memory",
                             "instances.min", "instances.max"}, rows
        assert rows["instances.max"]["suggested"] >= 1, rows
        assert all(row["reason"] for row in rows.values()), rows
        done = daemon.atomctl("agents", "worker", "--sizing")
        assert "instances.max" in str(done.stdout), done
        done = daemon.atomctl("--json", "agents", "--sizing")
        [one] = json.loads(done.stdout)
        assert one["name"] == "worker" and one["sizing"], done
        done = daemon.atomctl("agents", "--sizing")
        assert "worker" in str(done.stdout), done
        assert "instances.max" in str(done.stdout), done


if __name__ == "__main__":
    run()
