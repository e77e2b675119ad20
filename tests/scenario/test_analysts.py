#!/usr/bin/env python3
"""Analysts ask agents what the numbers mean; agents that hang, lie, or answer
garbage change nothing but the analyst's counters."""

import json
import os
import re

from atomd_test import OFTEN, Daemon, agent, config, process_agent, run, \
    test, wait_for

# Answers each question as its argument says.
DOUBLE = r"""
import json, os, socket, sys
s = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
f = s.makefile("rwb")
def say(**members):
    f.write(json.dumps(members).encode() + b"\n"); f.flush()
say(op="ready", protocol=1, name="d", version="1", concurrency=1, caps=[],
    agents={})
kind, path = sys.argv[1:3]
usage = {"input_tokens": 10, "output_tokens": 10}
for line in f:
    call = json.loads(line)
    if call["op"] != "call":
        continue
    with open(path, "a") as seen:
        seen.write(json.dumps(call) + "\n")
    output = "fine"
    if kind == "hang":
        continue
    if kind == "die":
        os._exit(1)
    if kind == "blank":
        output = " \n\t "
    if kind == "huge":
        output = "x" * 500000
    if kind == "control":
        output = "a\u001b[31mred\u0007<script>alert(1)</script>"
    if kind == "nul":
        output = "a\u0000b"
    if kind == "orders":
        output = json.dumps({"scale": {"agent": "echo", "instances": 4},
                             "silence": ".*", "page": "everybody"})
    if kind == "liar":
        usage = {"input_tokens": 10 ** 15, "output_tokens": 10 ** 15}
    say(op="result", id=call["id"], output=output, usage=usage)
"""

KINDS = ("fine", "hang", "die", "blank", "huge", "control", "nul",
         "orders", "liar")


def analyst(name, more="", timeout="60s"):
    return ('{ plugin = "analyst"; agent = "%s"; schedule = "1s"; gap = 0;'
            ' timeout = "%s"; %s }' % (name, timeout, more))


def questions(daemon, name):
    told = daemon.metrics()
    return {result: told.sum("atomd_analyst_questions_total", agent=name,
                             result=result)
            for result in ("answered", "failed", "refused", "over_budget")}


def notes(daemon):
    answer = daemon.admin("GET", "/admin/v1/annotations?limit=200")
    assert answer.status == 200, answer
    return answer.json


@test
def the_statistics_answer_without_a_model():
    agents = agent() + ",\n" + ",\n".join(
        agent(name, 'plugin = "analyst"') for name in (
            "performance_monitor", "error_tracking_monitor",
            "security_monitor"))
    extra = OFTEN + "monitors = ( %s );" % ", ".join(
        analyst(name) for name in ("performance_monitor",
                                   "error_tracking_monitor",
                                   "security_monitor"))
    with Daemon(config(agents, extra=extra)) as daemon:
        assert daemon.invoke("echo", "hello there, secretword").status == 200
        for name in ("performance_monitor", "error_tracking_monitor",
                     "security_monitor"):
            wait_for(lambda: questions(daemon, name)["answered"] >= 1, 60,
                     "a note of " + name)
        rows = notes(daemon)
        assert len(rows) >= 3, rows
        for row in rows:
            assert row["monitor"] == "monitor/analyst", row
            assert re.fullmatch("sha256:[0-9a-f]{64}",
                                row["prompt_hash"]), row
            assert "stands out" in row["text"] or \
                "too few numbers" in row["text"] or \
                " ago" in row["text"] or " steadily " in row["text"], row
            assert row["time"].endswith("Z") and row["agent"] == "", row
        assert daemon.metrics().sum("atomd_analyst_tokens_total") > 0
        assert daemon.admin(
            "GET", "/admin/v1/annotations?agent=echo").json == []
        assert daemon.admin(
            "GET", "/admin/v1/annotations?limit=0").status == 400


@test
def agents_that_hang_lie_or_answer_garbage_change_only_counters():
    agents = agent() + ",\n" + ",\n".join(
        process_agent(kind, ["python3", "@DIR@/double.py", kind,
                             "@DIR@/" + kind + ".seen"],
                      more="instances: { min = 1; max = 1; concurrency = 1; };")
        for kind in KINDS)
    extra = ('audit_sinks = ( { plugin = "file"; path = "@DIR@/audit";'
             ' required = true; } );\n' + OFTEN + 'monitors = ( %s );')
    monitors = ", ".join(
        analyst(kind, 'focus = "performance"; tokens_per_hour = 100000000;',
                "2s" if kind in ("hang", "die") else "60s")
        for kind in KINDS)
    with Daemon(config(agents, extra=extra % ""),
                files={"double.py": DOUBLE}) as daemon:
        for kind in KINDS:
            daemon.wait_ready(kind, 1)
        # Asked from the start on, those that hang and die might never be
        # ready all at once.
        assert daemon.reload(config(agents, extra=extra % monitors)
                             ).status == 200
        assert daemon.invoke("echo", "secretword").status == 200
        wanted = {"fine": "answered", "hang": "failed", "die": "failed",
                  "blank": "refused", "nul": "refused", "huge": "answered",
                  "control": "answered", "orders": "answered",
                  "liar": "answered"}
        for kind, result in wanted.items():
            wait_for(lambda: questions(daemon, kind)[result] >= 1, 90,
                     "%s to be %s" % (kind, result))
            others = questions(daemon, kind)
            others.pop(result)
            # A worker that has died may be asked before its next one is up.
            if kind != "die":
                assert not any(others.values()), (kind, others)
        rows = notes(daemon)
        texts = [row["text"] for row in rows]
        assert "fine" in texts
        assert max(map(len, texts)) == 4096, "the huge one is cut"
        # The host shows neither control bytes nor what stands behind them.
        assert not [t for t in texts if re.search("[\x00-\x09\x0b-\x1f\x7f]",
                                                  t)], texts
        assert not [t for t in texts if t.strip() == ""], texts
        # Nothing was done by what they said.
        assert daemon.metrics().sum("atomd_scaling_events_total") == 0
        assert daemon.metrics().sum("atomd_alerts_firing") == 0
        echo = daemon.agents()["echo"]
        assert echo["instances"]["desired"] == 1, echo
        assert daemon.invoke("echo", "still").status == 200
        # They see numbers, and nothing of a call's text or its caller.
        with open(daemon.dir + "/fine.seen", encoding="utf-8") as seen:
            asked = [json.loads(line)["input"] for line in seen]
        assert "atomd-report/1" in asked[0]
        assert not [a for a in asked if "secretword" in a or "127.0.0.1" in a
                    or "req_" in a]
        # Each note is in the audit log with the question's hash, and each
        # question as a call.
        recorded = wait_for(lambda: json.loads(daemon.atomctl(
            "--json", "audit", "search", "--type", "annotation", "--limit",
            "10000").stdout),
            20, "records of notes")
        assert rows[-1]["prompt_hash"] in [
            row["details"]["prompt_hash"] for row in recorded], recorded


@test
def a_budget_that_is_spent_asks_no_more():
    agents = agent() + ",\n" + agent("security_monitor", 'plugin = "analyst"')
    extra = OFTEN + "monitors = ( %s );" % analyst(
        "security_monitor", "tokens_per_hour = 1000;")
    with Daemon(config(agents, extra=extra)) as daemon:
        wait_for(lambda: questions(daemon, "security_monitor")["over_budget"]
                 >= 1, 120, "the budget to be spent")
        told = questions(daemon, "security_monitor")
        assert told["failed"] == told["refused"] == 0, told
        # The budget, and what the minutes of the test have given back.
        assert daemon.metrics().sum("atomd_analyst_tokens_total") <= 1100


@test
def an_alert_is_a_reason_to_ask():
    rules = ('groups:\n- name: g\n  rules:\n  - alert: too_many_errors\n'
             '    expr: atomd_requests_total{agent="echo"} > 0\n'
             '    labels: {severity: warning}\n')
    agents = agent() + ",\n" + agent("error_tracking_monitor",
                                     'plugin = "analyst"')
    extra = OFTEN + (
        'monitors = ( { plugin = "alerts"; interval = "1s";'
        ' rules = [ "@DIR@/r.yml" ]; },'
        ' { plugin = "analyst"; agent = "error_tracking_monitor";'
        ' schedule = 0; } );')
    with Daemon(config(agents, extra=extra),
                files={"r.yml": rules}) as daemon:
        assert daemon.invoke("echo", "hello").status == 200
        (row,) = wait_for(lambda: [n for n in notes(daemon) if n["alert"]],
                          90, "a note beside the alert")
        assert row["alert"] == "too_many_errors", row
        assert row["subject"] == "too_many_errors", row
        assert row["agent"] == "echo", row
        assert row["text"].startswith(
            "Asked because of the alert too_many_errors of echo."), row
        (alert,) = daemon.admin("GET", "/admin/v1/alerts").json
        assert alert["annotations"]["analysis"] == row["text"], alert
        # By the next evaluation the alert's state is stored; after a restart
        # the note still stands beside it.
        evaluations = daemon.metrics().sum("atomd_alert_evaluations_total")
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alert_evaluations_total") >= evaluations + 2, 60,
            "more evaluations")
        daemon.stop()
        daemon.start()
        (alert,) = wait_for(lambda: daemon.admin(
            "GET", "/admin/v1/alerts?state=firing").json, 60, "the alert")
        assert alert["annotations"]["analysis"] == row["text"], alert


def stored_notes(daemon):
    """What is noted, once the store has it."""
    rows = notes(daemon)
    wait_for(lambda: daemon.metrics().sum(
        "atomd_state_write_behind_bytes") == 0, 60, "the store to have all")
    return rows


@test
def notes_outlive_a_restart_and_a_kill():
    agents = agent() + ",\n" + agent("security_monitor", 'plugin = "analyst"')
    extra = OFTEN + "monitors = ( %s );" % analyst("security_monitor")
    with Daemon(config(agents, extra=extra)) as daemon:
        wait_for(lambda: len(notes(daemon)) >= 2, 60, "two notes")
        before = notes(daemon)
        daemon.stop()
        for path, _, names in os.walk(daemon.dir + "/state"):
            for name in names:
                with open(os.path.join(path, name), "rb") as file:
                    assert before[0]["prompt_hash"].encode() \
                        not in file.read(), "a note stands there unsealed"
        daemon.start()
        after = notes(daemon)
        assert after[-len(before):] == before, (before, after)
        # More of them, and then no time to store anything.
        wait_for(lambda: len(notes(daemon)) > len(before), 60, "another note")
        stored = stored_notes(daemon)
        assert len(stored) > len(before)
        daemon.kill()
        daemon.start()
        after = notes(daemon)
        assert after[-len(stored):] == stored, (stored, after)
        assert daemon.count_event("annotations_not_read") == 0


if __name__ == "__main__":
    run()
