#!/usr/bin/env python3
"""What is found out about a new revision before its first weight."""

import json
import os

from atomd_test import (Daemon, agent, config, process_agent, run, seconds, test,
                        wait_for)

NAMES = ["system_initialization", "security_setup", "monitoring_activation",
         "health_verification", "production_readiness"]
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")
CANARY = ('deployment: { plugin = "canary"; hold = "0"; '
          'rollback_window_ms = 60000; %s };')


def echo(prefix, deployment="", more="", backend=""):
    return agent(backend='plugin = "echo"; prefix = "%s"; %s' % (
        prefix, backend), more=CANARY % deployment + more)


def worker(name, deployment="", more=""):
    """`name` is in its environment and tells revisions apart."""
    return process_agent(
        "echo", ["python3", WORKER], 'env: { NAME = "%s"; };' % name,
        more="instances: { min = 1; max = 4; concurrency = 4; };" +
        CANARY % deployment + more)


def reload(daemon, text, now=False, extra=""):
    daemon.configure(config(agents=text, extra=extra))
    answer = daemon.admin("POST", "/admin/v1/reload", {"now": now})
    assert answer.status == 200, answer


def status(daemon):
    answer = daemon.admin("GET", "/admin/v1/deployments/echo")
    return answer.json if answer.status == 200 else None


def states(row):
    steps = row["workflow"]["steps"]
    assert [s["name"] for s in steps] == NAMES, steps
    return [s["status"] for s in steps]


def outcome(daemon, wanted, deadline=30):
    def there():
        row = status(daemon)
        return row is not None and row["outcome"] == wanted and row
    return wait_for(there, deadline, "a rollout that is " + wanted)


def failed_at(daemon, step, words):
    """The rollout has gone back at this step, and revision 1 serves."""
    row = outcome(daemon, "aborted")
    flow = row["workflow"]
    assert flow["status"] == "partial" and flow["total_steps"] == 5, flow
    assert flow["successful_steps"] == NAMES.index(step), flow
    at = flow["successful_steps"]
    assert states(row) == (["success"] * at + ["failed"] +
                           ["pending"] * (4 - at)), flow
    assert words in flow["steps"][at]["result"], flow
    assert row["cause"] == "workflow", row
    assert step in row["reason"] and words in row["reason"], row
    # Where the old one was away it comes back first.
    wait_for(lambda: status(daemon)["weight"] == 0, 30, "the way back")
    assert daemon.chat("echo", "echo x").headers["x-atomd-revision"] == "1"
    return row


def accepted(answer):
    assert answer.status in (200, 409), answer
    return answer.status == 200 and answer.json


def calls_of(daemon, revision):
    return daemon.metrics().sum("atomd_requests_total", agent="echo",
                                revision=revision)


@test
def five_steps_succeed_and_are_told_also_later():
    audit = ('audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );'
             'monitors = ( { plugin = "logger"; } );')
    probe = 'probe: { input = "ping"; };'
    with Daemon(config(agents=echo("old ", more=probe), extra=audit)
                ) as daemon:
        reload(daemon, echo("new ", more=probe), extra=audit)
        row = outcome(daemon, "promoted")
        flow = row["workflow"]
        assert flow["status"] == "success", flow
        assert flow["successful_steps"] == 5, flow
        assert states(row) == ["success"] * 5, flow
        assert all(s["result"] and s["evidence"] for s in flow["steps"]), flow
        assert "1 monitors" in flow["steps"][2]["result"], flow
        assert "through revision 2" in flow["steps"][3]["evidence"][0], flow
        # The probe was a real call, before any weight.
        assert calls_of(daemon, "2") == 1
        daemon.wait_event("rollout_promoted")
        steps = [l for l in daemon.lines if l.get("event") == "workflow_step"]
        assert [l["step"] for l in steps] == NAMES, steps
        first = next(i for i, l in enumerate(daemon.lines)
                     if l.get("event") == "rollout_step" and l["weight"])
        last = max(i for i, l in enumerate(daemon.lines)
                   if l.get("event") == "workflow_step")
        assert last < first, (last, first)
        records = daemon.admin("GET", "/admin/v1/audit?type=rollout").json
        actions = [r["details"]["action"] for r in records["records"]]
        assert actions[:2] == ["began", "checked"], actions
        daemon.stop()
        daemon.start()
        assert status(daemon)["workflow"] == flow, status(daemon)


@test
def a_probe_that_fails_ends_it_at_the_fourth_step():
    good = worker("one", more='probe: { input = "echo well"; };')
    bad = worker("two", more='probe: { input = "error broken"; };')
    with Daemon(config(agents=good)) as daemon:
        daemon.wait_ready("echo", 1)
        reload(daemon, bad)
        failed_at(daemon, "health_verification", "the probe failed")
        # But for the probe, it has had no call.
        assert calls_of(daemon, "2") == 1
        # Again, by a person, and the same is found again.
        # The old one's text comes in first.
        answer = wait_for(lambda: accepted(daemon.admin(
            "POST", "/admin/v1/deployments/echo/retry", {})), 30, "a retry")
        assert answer["workflow"]["status"] == "running", answer
        row = failed_at(daemon, "health_verification", "the probe failed")
        assert row["attempt"] == 2, row


@test
def a_probe_is_held_against_the_limits_of_bad_events():
    more = ('probe: { input = "ping"; };'
            'bad_events: { tokens_above = 50; };')
    with Daemon(config(agents=echo("old ", more=more))) as daemon:
        reload(daemon, echo("new ", more=more, backend="repeat = 200;"))
        failed_at(daemon, "health_verification", "tokens")


@test
def a_step_that_takes_too_long_fails():
    more = 'probe: { input = "wait"; };'
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        # Long enough for the steps before it.
        longest = int(seconds(2000))
        reload(daemon, worker("two", "step_timeout_ms = %d;" % longest, more))
        row = failed_at(daemon, "health_verification", "")
        # A timer runs from when its loop last looked at the clock.
        took = row["workflow"]["steps"][3]["duration_ms"]
        assert took >= longest * 9 // 10, row["workflow"]


@test
def an_instance_that_never_starts_fails_the_first_step():
    never = process_agent("echo", ["python3", WORKER, "--no-ready"],
                          more=CANARY % "step_timeout_ms = 700;")
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        reload(daemon, never)
        failed_at(daemon, "system_initialization", "not done within 700 ms")


@test
def who_says_now_has_none():
    with Daemon(config(agents=echo("old "))) as daemon:
        reload(daemon, echo("new "), now=True)
        wait_for(lambda: daemon.chat("echo", "x").headers[
            "x-atomd-revision"] == "2", 20, "revision 2")
        assert status(daemon) is None, status(daemon)


@test
def killed_in_the_middle_it_runs_again():
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        flag = os.path.join(daemon.dir, "go")
        probe = 'probe: { input = "until %s NAME"; };' % flag
        reload(daemon, worker("two", more=probe))
        for n in range(2):
            wait_for(lambda: status(daemon)["workflow"]["steps"][3]["status"]
                     == "running", 30, "the probe")
            row = status(daemon)
            assert row["weight"] == 0 and row["phase"] == "Progressing", row
            daemon.kill()
            daemon.start()
        assert daemon.chat("echo", "echo x").headers[
            "x-atomd-revision"] == "1"
        with open(flag, "w", encoding="utf-8"):
            pass
        row = outcome(daemon, "promoted")
        assert row["workflow"]["status"] == "success", row


@test
def without_room_for_all_of_it_the_last_step_fails():
    def sized(name):
        return process_agent(
            "echo", ["python3", WORKER], 'env: { NAME = "%s"; };' % name,
            more="instances: { min = 2; max = 2; concurrency = 1; };" +
            CANARY % "")
    extra = "max_agents = 3;"
    with Daemon(config(agents=sized("one"), extra=extra)) as daemon:
        daemon.wait_ready("echo", 2)
        reload(daemon, sized("two"), extra=extra)
        failed_at(daemon, "production_readiness", "room")


@test
def in_production_compliance_is_demanded():
    extra = 'environment = "production";'
    with Daemon(config(agents=echo("old "), extra=extra)) as daemon:
        reload(daemon, echo("new "), extra=extra)
        row = failed_at(daemon, "production_readiness", "audit_logging")
        assert "access_control" in row["reason"], row
        # As far as it is demanded.
        reload(daemon, echo("third ", 'compliance = "none";'), extra=extra)
        row = outcome(daemon, "promoted")
        assert "no compliance is demanded" in json.dumps(row["workflow"])


@test
def where_the_old_one_goes_first_a_failed_step_brings_it_back():
    def recreated(name, probe):
        return process_agent(
            "echo", ["python3", WORKER], 'env: { NAME = "%s"; };' % name,
            more='deployment: { plugin = "recreate"; }; '
                 'probe: { input = "%s"; };' % probe)
    with Daemon(config(agents=recreated("one", "echo well"))) as daemon:
        daemon.wait_ready("echo", 1)
        reload(daemon, recreated("two", "error broken"))
        failed_at(daemon, "health_verification", "the probe failed")
        reload(daemon, recreated("three", "echo well"))
        row = outcome(daemon, "promoted")
        assert row["workflow"]["status"] == "success", row


@test
def the_command_shows_each_step_and_where_it_stopped():
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        text = ('backend: { plugin = "process"; command = [ "python3", '
                '"%s" ]; }; %s probe: { input = "%s"; };')
        done = daemon.atomctl(
            "deploy", "echo", "-f", "-", "--watch",
            stdin=(text % (WORKER, CANARY % "", "echo well")).encode(), timeout=60)
        assert done.returncode == 0, done
        said = done.stdout.decode()
        for n, name in enumerate(NAMES):
            line = "%d of 5, %s: success" % (n + 1, name)
            assert line in said, said
        assert said.index("5 of 5") < said.index("100.00%"), said
        daemon.wait_event("rollout_promoted")  # it is stored
        done = daemon.atomctl(
            "deploy", "echo", "-f", "-", "--watch",
            stdin=(text % (WORKER, CANARY % "", "error broken")).encode(), timeout=60)
        assert done.returncode == 1, done
        said = done.stdout.decode()
        assert "4 of 5, health_verification: failed" in said, said
        assert "production_readiness" not in said, said
        shown = daemon.atomctl("rollout", "status", "echo")
        assert b"partial: 3 of 5 steps" in shown.stdout, shown.stdout


@test
def superseded_it_ends_and_the_next_one_has_its_own():
    more = 'probe: { input = "wait"; };'
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        reload(daemon, worker("two", more=more))
        wait_for(lambda: status(daemon)["workflow"]["steps"][3]["status"] ==
                 "running", 30, "the probe")
        first = status(daemon)["id"]
        reload(daemon, worker("three"))
        row = outcome(daemon, "promoted")
        assert row["id"] != first and row["to"] == 3, row
        assert row["workflow"]["status"] == "success", row


@test
def promoted_in_full_it_is_skipped_midway():
    more = 'probe: { input = "wait"; };'
    with Daemon(config(agents=worker("one"))) as daemon:
        daemon.wait_ready("echo", 1)
        reload(daemon, worker("two", more=more))
        wait_for(lambda: status(daemon)["workflow"]["steps"][3]["status"] ==
                 "running", 30, "the probe")
        answer = daemon.admin("POST", "/admin/v1/deployments/echo/promote",
                              {"full": True})
        assert answer.status == 200, answer
        row = outcome(daemon, "promoted")
        assert row["workflow"]["status"] == "skipped", row
        assert states(row) == ["success"] * 3 + ["skipped"] * 2, row


run()
