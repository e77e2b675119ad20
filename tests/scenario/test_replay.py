#!/usr/bin/env python3
"""Recorded inputs decide before a new revision gets its first weight."""

import json
import sys
import threading

from atomd_test import Daemon, agent, config, process_agent, run, test, wait_for

# A grader of pairs by the environment's MODE; what it was asked is written
# down.
GRADER = r'''
import json, os, socket

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
lines, mode = sock.makefile("rb"), os.environ["MODE"]
log = open(os.environ["LOG"], "a")


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


send(op="ready", protocol=1, name="g", version="1", concurrency=16, caps=[])
for line in lines:
    call = json.loads(line)
    if call["op"] != "call":
        continue
    log.write(json.dumps(call) + "\n")
    log.flush()
    shown = {}
    for row in call["input"].splitlines():
        if row.startswith("answer "):
            shown[row[7].lower()] = 0.2 if '"bad ' in row else 0.8
    if mode == "first":
        shown = {"a": 0.9, "b": 0.1}
    output = "neither" if mode == "garbage" else json.dumps(shown)
    send(op="result", id=call["id"], output=output,
         usage={"input_tokens": 200, "output_tokens": 20})
'''

# A worker that fails, or waits, as its environment says.
WORKER = r'''
import json, os, socket

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
lines, mode = sock.makefile("rb"), os.environ["MODE"]
log = open(os.environ["LOG"], "a")


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


send(op="ready", protocol=1, name="w", version="1", concurrency=8,
     caps=["cancel"])
for line in lines:
    call = json.loads(line)
    if call["op"] == "cancel":
        send(op="error", id=call["id"], code="cancelled", message="as asked")
    if call["op"] != "call":
        continue
    log.write(json.dumps(dict(call, mode=mode)) + "\n")
    log.flush()
    if mode == "hang" and call["meta"]["dry_run"]:
        continue
    if mode == "error":
        send(op="error", id=call["id"], code="provider", message="no")
    else:
        send(op="result", id=call["id"], output=mode + " " + str(call["input"]),
             usage={"input_tokens": 3, "output_tokens": 2})
'''

INPUTS = [{"input": "question %d" % n} if n % 2 else
          {"messages": [{"role": "user", "content": "question %d" % n}]}
          for n in range(20)]


def grader(mode="score"):
    return process_agent(
        "g", [sys.executable, "@DIR@/grader.py"],
        'env: { MODE = "%s"; LOG = "@DIR@/graded.log"; };' % mode,
        "instances: { min = 1; max = 1; concurrency = 16; };")


def deployment(options='grader = "g";', undecided="promote"):
    return ('deployment: { plugin = "canary"; hold = "1h"; %s '
            'on_undecided = "%s"; };' % (options, undecided))


def body(prefix, **more):
    return ('backend: { plugin = "echo"; prefix = "%s"; }; '
            'instances: { min = 1; max = 1; concurrency = 8; }; ' % prefix +
            deployment(**more))


def start(prefix="old ", mode="score", agents=None, **more):
    first = agents or agent(
        backend='plugin = "echo"; prefix = "%s";' % prefix,
        more="instances: { min = 1; max = 1; concurrency = 8; };\n" +
             deployment(**more))
    return Daemon(config(agents=first + ", " + grader(mode),
                         extra='audit_sinks = ( { plugin = "file"; '
                               'path = "@DIR@/audit"; } );'),
                  files={"grader.py": GRADER, "worker.py": WORKER})


def deploy(daemon, text, inputs=None, name="echo", status=202):
    answer = daemon.admin("POST", "/admin/v1/agents/%s/deployments" % name,
                          {"config": text, "replay": inputs or INPUTS})
    assert answer.status == status, answer
    return answer.json


def rollout(daemon, name="echo"):
    return daemon.admin("GET", "/admin/v1/deployments/" + name).json


def replayed(daemon, name="echo"):
    """Its end; until then no weight has left 0."""
    def look():
        now = rollout(daemon, name)
        if now["replay"]["state"] == "pending":
            assert now["weight"] == 0, now
            return None
        return now
    return wait_for(look, 60, "the end of the replay")


def worker(mode, **more):
    return ('backend: { plugin = "process"; command = [ "%s", '
            '"@DIR@/worker.py" ]; env: { MODE = "%s"; LOG = '
            '"@DIR@/calls.log"; }; }; instances: { min = 1; max = 1; '
            'concurrency = 8; }; ' % (sys.executable, mode) +
            deployment(**more))


def workers(mode, **more):
    return '{ name = "w"; %s }' % worker(mode, **more)


def calls(daemon, name="calls.log"):
    with open("%s/%s" % (daemon.dir, name), encoding="utf-8") as f:
        # The last one may still be written.
        return [json.loads(line) for line in f if line.endswith("\n")]


@test
def a_worse_one_gets_no_weight_at_all():
    with start() as daemon:
        first = deploy(daemon, body("bad "))
        assert first["replay"]["state"] == "pending", first
        end = replayed(daemon)
        assert end["outcome"] == "aborted" and end["cause"] == "replay_worse"
        report = end["replay"]["report"]
        assert report["verdict"] == "worse", report
        assert (report["wins"], report["losses"], report["ties"]) == (
            0, 20, 0), report
        assert round(report["old"]["score"], 6) == 0.8, report
        assert round(report["new"]["score"], 6) == 0.2, report
        assert report["p_worse"] < 1e-5 and report["unanswered"] == 0
        assert "20 lost" in end["reason"], end["reason"]
        # Each pair in both orders, and nobody is told which is which.
        asked = calls(daemon, "graded.log")
        assert len(asked) == 40
        bad_first = sum('answer A: "bad ' in c["input"] for c in asked)
        assert bad_first == 20, bad_first
        assert daemon.chat("echo", "x").headers["x-atomd-revision"] == "1"
        # None of it is a caller's call, or the trial's.
        assert daemon.metrics().sum("atomd_requests_total", agent="echo",
                                    revision="2") == 0
        assert end["cells"] == [], end["cells"]
        # Its inputs are not kept: it cannot be tried again as it is.
        again = daemon.admin("POST", "/admin/v1/deployments/echo/retry", {})
        assert again.status == 409, again
        # What was recorded, asked and answered is in no record.
        records = daemon.admin("GET", "/admin/v1/audit?limit=1000").text
        assert "question 3" not in records
        assert '"replayed":20' in records.replace(" ", "")


@test
def a_better_and_an_equal_one_go_on():
    for prefix in ("good ", "bad "):
        with start("bad ") as daemon:
            deploy(daemon, body(prefix) + " max_tokens = 99;",
                   INPUTS * 2)
            end = replayed(daemon)
            report = end["replay"]["report"]
            assert end["replay"]["state"] == "passed", end
            assert report["verdict"] == "not_worse", report
            if prefix == "bad ":
                assert report["identical"] == report["ties"] == 40, report
                assert report["likeness"] == 1 and not report["grader_tokens"]
            else:
                assert report["wins"] == 40, report
            wait_for(lambda: rollout(daemon)["weight"] == 500, 30,
                     "the first weight")


@test
def a_liking_for_a_place_decides_nothing():
    with start(mode="first", undecided="pause") as daemon:
        deploy(daemon, body("bad ", undecided="pause"), INPUTS[:8])
        end = replayed(daemon)
        report = end["replay"]["report"]
        assert report["ties"] == 8 and report["identical"] == 0, report
        assert report["verdict"] == "undecided", report
        wait_for(lambda: rollout(daemon)["waits_for"] == "person", 30,
                 "that a person is waited for")
        assert rollout(daemon)["weight"] == 0
        answer = daemon.admin("POST", "/admin/v1/deployments/echo/resume", {})
        assert answer.status == 200, answer
        wait_for(lambda: rollout(daemon)["weight"] == 500, 30, "weight")


@test
def undecided_goes_on_or_back_as_it_is_set():
    for undecided, outcome in (("promote", "open"), ("abort", "aborted")):
        with start(mode="garbage", undecided=undecided) as daemon:
            deploy(daemon, body("new ", undecided=undecided), INPUTS[:4])
            end = replayed(daemon)
            report = end["replay"]["report"]
            assert report["ungraded"] == 4, report
            assert report["verdict"] == "undecided", report
            assert end["outcome"] == outcome, end


@test
def without_a_grader_errors_are_compared_and_it_says_so():
    with start(agents=workers("old", options="")) as daemon:
        deploy(daemon, worker("new", options="").replace(
            "@DIR@", daemon.dir), name="w")
        end = replayed(daemon, "w")
        report = end["replay"]["report"]
        assert report["verdict"] == "no_grader" and report["grader"] is None
        assert 0 < report["likeness"] < 1, report
        assert end["outcome"] == "open", end
        # Tools are told not to act.
        asked = calls(daemon)
        assert len(asked) == 40
        assert all(c["meta"]["dry_run"] for c in asked)
        # A second one supersedes it, and fails at every input.
        answer = daemon.admin("POST", "/admin/v1/agents/w/deployments", {
            "config": worker("error", options="").replace(
                "@DIR@", daemon.dir), "replay": INPUTS, "supersede": True})
        assert answer.status == 202, answer
        end = replayed(daemon, "w")
        report = end["replay"]["report"]
        assert report["verdict"] == "worse" and report["losses"] == 20
        assert report["new"]["errors"] == 20 and not report["old"]["errors"]
        assert end["cause"] == "replay_worse", end


@test
def a_daemon_killed_meanwhile_gives_it_up_and_says_why():
    with start(agents=workers("old")) as daemon:
        deploy(daemon, worker("hang").replace("@DIR@", daemon.dir), name="w")
        wait_for(lambda: any(c["mode"] == "hang" for c in calls(daemon)), 30,
                 "a call of the new one")
        assert rollout(daemon, "w")["replay"]["state"] == "pending"
        for _ in range(2):
            daemon.kill()
            daemon.start()
            end = wait_for(lambda: (lambda r: r["outcome"] == "aborted" and r)(
                rollout(daemon, "w")), 30, "the way back")
            assert end["cause"] == "replay_lost", end
            assert end["weight"] == 0
            answer = daemon.invoke("w", "hello")
            assert answer.headers["x-atomd-revision"] == "1", answer


@test
def a_person_goes_past_it_or_gives_it_up():
    for order, outcome in (("promote", "promoted"), ("abort", "aborted")):
        with start(agents=workers("old")) as daemon:
            deploy(daemon, worker("hang").replace("@DIR@", daemon.dir),
                   name="w")
            wait_for(lambda: any(c["mode"] == "hang" for c in calls(daemon)),
                     30, "a call of the new one")
            answer = daemon.admin("POST", "/admin/v1/deployments/w/" + order,
                                  {"full": True} if order == "promote" else {})
            assert answer.status == 200, answer
            wait_for(lambda: rollout(daemon, "w")["outcome"] == outcome, 30,
                     outcome)


@test
def what_cannot_be_replayed_is_refused_and_changes_nothing():
    with start() as daemon:
        for inputs in ([], {}, "x", ["x"], [{}], [{"input": 1, "messages": []}],
                       [{"messages": "x"}], [{"messages": [{"role": 1}]}],
                       [{"input": "x"}] * 501):
            answer = daemon.admin("POST", "/admin/v1/agents/echo/deployments",
                                  {"config": body("new "), "replay": inputs})
            assert answer.status == 400, (inputs, answer)
            assert answer.json["error"]["param"] == "replay", answer
        answer = daemon.admin("POST", "/admin/v1/agents", {
            "name": "new", "config": body("new "), "replay": INPUTS})
        assert answer.status == 400, answer
        assert daemon.agents()["echo"]["revision"] == 1


@test
def atomctl_prints_the_table_and_the_verdict():
    with start() as daemon:
        daemon.write("inputs.jsonl", "\n".join(
            json.dumps(dict(row, time="...")) for row in INPUTS) + "\n\n")
        daemon.write("bad.conf", body("bad "))
        daemon.write("good.conf", body("good ") + " max_tokens = 99;")
        done = daemon.atomctl("deploy", "echo", "-f", daemon.dir + "/bad.conf",
                              "--replay", daemon.dir + "/inputs.jsonl")
        assert done.returncode == 1, done
        out = done.stdout.decode()
        assert "verdict: worse" in out, out
        rows = {line.split()[0]: line.split() for line in
                out.splitlines() if line[:3] in ("old", "new")}
        assert rows["old"][1:5] == ["20", "0.800", "20", "0"], out
        assert rows["new"][1:5] == ["0", "0.200", "20", "0"], out
        assert "graded by g" in out
        assert b"20 lost" in done.stderr, done.stderr
        wait_for(lambda: daemon.metrics().sum("atomd_state_queue_depth") == 0,
                 what="the end is stored, and the next may begin")
        done = daemon.atomctl("deploy", "echo", "--json", "-f",
                              daemon.dir + "/good.conf", "--replay",
                              daemon.dir + "/inputs.jsonl")
        assert done.returncode == 0, done
        assert json.loads(done.stdout)["replay"]["state"] == "passed"
        daemon.write("wrong.jsonl", '{"input": "x"}\n{"inputs": "x"}\n')
        done = daemon.atomctl("deploy", "echo", "-f",
                              daemon.dir + "/good.conf", "--replay",
                              daemon.dir + "/wrong.jsonl")
        assert done.returncode == 1 and b"wrong.jsonl:2:" in done.stderr, done


@test
def callers_lose_nothing_by_it():
    with start() as daemon:
        faults, stop = [], threading.Event()

        def call():
            while not stop.is_set():
                answer = daemon.chat("echo", "hello")
                if answer.status != 200 or \
                        answer.headers["x-atomd-revision"] != "1":
                    faults.append(answer)
        threads = [threading.Thread(target=call) for _ in range(12)]
        for thread in threads:
            thread.start()
        deploy(daemon, body("bad "))
        end = replayed(daemon)
        stop.set()
        for thread in threads:
            thread.join()
        assert not faults, faults[:3]
        assert end["replay"]["report"]["verdict"] in ("worse", "undecided")


if __name__ == "__main__":
    run()
