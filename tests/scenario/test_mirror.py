#!/usr/bin/env python3
"""Calls mirrored to a new revision: compared, counted, and no caller's."""

import json
import sys

from atomd_test import (Daemon, agent, config, process_agent, run, test,
                        wait_for)

# Answers by the environment's MODE and writes down every call it gets.
WORKER = r'''
import json, os, socket

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
lines, mode = sock.makefile("rb"), os.environ["MODE"]
log = open(os.environ["LOG"], "a")


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


send(op="ready", protocol=1, name="w", version="1", concurrency=1,
     caps=["stream", "cancel", "state"])
for line in lines:
    call = json.loads(line)
    if call["op"] == "cancel":
        send(op="error", id=call["id"], code="cancelled", message="as asked")
    if call["op"] != "call":
        continue
    log.write(json.dumps(dict(call, mode=mode)) + "\n")
    log.flush()
    usage = {"input_tokens": 3, "output_tokens": 2}
    if mode == "hang" and call["meta"]["dry_run"]:
        continue
    if mode == "crash" and call["meta"]["dry_run"]:
        os._exit(3)
    if mode == "error":
        send(op="error", id=call["id"], code="provider", message="no")
        continue
    output = {"big": "x " * 500000, "json": {"b": 1}}.get(mode, "an answer")
    if mode == "old-json":
        output = {"a": 1}
    if call["stream"] and isinstance(output, str):
        for at in range(0, len(output), 65536):
            send(op="chunk", id=call["id"], data=output[at:at + 65536])
    session = call.get("session")
    state = (session["state"] or 0) + 1 if session else None
    send(op="result", id=call["id"], output=output, usage=usage,
         **({"state": state} if session else {}))
'''

SHADOW = 'deployment: { plugin = "shadow"; judge = "%s"; percent = %s; %s };'


def echo(prefix, percent, options='hold = "1h";', judge="none"):
    return agent(backend='plugin = "echo"; prefix = "%s";' % prefix,
                 more=SHADOW % (judge, percent, options))


def worker(mode, options='hold = "1h";', percent="100.0", more="",
           judge="none"):
    return process_agent(
        "w", [sys.executable, "@DIR@/worker.py"],
        'env: { MODE = "%s"; LOG = "@DIR@/calls.log"; };' % mode,
        'instances: { min = 1; max = 1; concurrency = 1; };\n' + more + "\n" +
        SHADOW % (judge, percent, options))


def workers(text, **more):
    return Daemon(config(agents=text, **more), files={"worker.py": WORKER})


def status(daemon, name="w"):
    answer = daemon.admin("GET", "/admin/v1/deployments/" + name)
    assert answer.status == 200, answer
    return answer.json


def mirrored(daemon, name="w"):
    return status(daemon, name)["mirrored"] or {"results": {}, "share": 0}


def results(daemon, name="w"):
    return mirrored(daemon, name)["results"]


def change(daemon, text, share, name="w", **more):
    """Deploys the change and waits until calls are mirrored."""
    daemon.configure(config(agents=text, **more))
    answer = daemon.admin("POST", "/admin/v1/reload", {})
    assert answer.status == 200, answer
    wait_for(lambda: status(daemon, name)["step"] == 1 and
             mirrored(daemon, name)["share"] == share, 30, "mirroring")


def looked(daemon, n):
    """What the rollout has seen, which looks once a second."""
    return wait_for(
        lambda: (lambda m: m["calls"] == n and m)(mirrored(daemon)), 30,
        "%d calls compared" % n)


def calls(daemon):
    with open(daemon.dir + "/calls.log", encoding="utf-8") as f:
        # The last one may still be written.
        return [json.loads(line) for line in f if line.endswith("\n")]


def ask(daemon, n, **more):
    """Every call is answered by the stable revision, and well."""
    for _ in range(n):
        answer = daemon.invoke("w", "hello", **more)
        assert answer.status == 200, answer
        assert answer.headers["x-atomd-revision"] == "1", answer.headers


def ask_compared(daemon, n):
    """Calls whose mirrored ones have all ended."""
    for _ in range(n):
        before = results(daemon).get("compared", 0)
        ask(daemon, 1)
        wait_for(lambda b=before: results(daemon).get("compared", 0) == b + 1,
                 30, "the comparison")


@test
def the_share_is_drawn_and_both_answers_are_compared():
    count = 600
    with Daemon(config(agents=echo("old ", "30.0"))) as daemon:
        change(daemon, echo("new ", "30.0"), 3000, "echo")
        for n in range(count):
            if n % 3 == 0:
                with daemon.chat_stream("echo", "a b c") as s:
                    assert list(s)[-1].text == "[DONE]"
                    assert s.headers["x-atomd-revision"] == "1"
                continue
            answer = daemon.chat("echo", "a b c")
            assert answer.status == 200, answer
            assert "old a b c" in answer.text, answer.text
        # Until the rollout, which looks once a second, has seen them all.
        found = wait_for(
            lambda: (lambda s: s["mirrored"]["calls"] >= 124 and
                     s["mirrored"]["calls"] == sum(
                         s["mirrored"]["results"].values()) and s)(
                             status(daemon, "echo")), 30, "mirrored calls")
        chosen = found["mirrored"]["results"]
        assert set(chosen) == {"compared"}, chosen
        # 600 draws of 0.3: 180, and 56 are five standard deviations.
        assert 124 <= chosen["compared"] <= 236, chosen
        both = found["mirrored"]
        # "old a b c" and "new a b c" share 3 pairs of words of 5 and 5.
        assert abs(both["similarity"] - 0.6) < 1e-6, both
        assert both["similar_calls"] == both["calls"], both
        assert both["status_differs"] == both["json_differs"] == 0, both
        pairs = [c for c in found["cells"] if c["weight"] == 5000]
        assert [c["new"] for c in pairs] == [False, True], found["cells"]
        assert pairs[0]["calls"] == pairs[1]["calls"], pairs
        assert found["weight"] == 0 and found["phase"] == "Progressing"
        metrics = daemon.metrics()
        # The last of them may be counted a moment later.
        assert metrics.sum("atomd_mirrored_calls_total", agent="echo",
                           revision="2", result="compared") >= both["calls"]
        assert metrics.sum("atomd_requests_total", agent="echo",
                           revision="1") == count
        assert metrics.sum("atomd_requests_total", agent="echo",
                           revision="2") == 0
        assert metrics.sum("atomd_tokens_total", agent="echo",
                           revision="2") == 0
        assert metrics.sum("atomd_mirrored_tokens_total", agent="echo",
                           revision="2") > 0


@test
def no_caller_depends_on_a_revision_that_hangs():
    limits = ('anonymous_role = "caller"; rate_limits: '
              '{ agent: { concurrent = 1; }; };')
    with workers(worker("ok"), security=limits) as daemon:
        change(daemon, worker("hang"), 10000, security=limits)
        ask(daemon, 1)
        wait_for(lambda: any(c["mode"] == "hang" for c in calls(daemon)), 30,
                 "the call that hangs")
        # It holds the only slot of the new revision, and nothing else: the
        # agent's limit of one call at once is the callers'.
        ask(daemon, 20)
        wait_for(lambda: results(daemon).get("busy") == 20, 30,
                 "20 that found no slot free")
        assert "compared" not in results(daemon)
        # Who asks for the new revision by name has its slot at once.
        answer = daemon.post("/v1/agents/w/invoke", {"input": "hello"},
                             headers={"x-atomd-revision": "2"})
        assert answer.status == 200, answer
        assert answer.headers["x-atomd-revision"] == "2"
        wait_for(lambda: results(daemon)["busy"] == 21, 30,
                 "the call that gave way")


@test
def no_caller_depends_on_a_revision_that_crashes():
    with workers(worker("ok")) as daemon:
        change(daemon, worker("crash"), 10000)
        ask(daemon, 20)
        wait_for(lambda: mirrored(daemon)["status_differs"] > 0, 30,
                 "a call that failed with one revision alone")
        ask(daemon, 5)


@test
def no_caller_depends_on_a_revision_that_says_too_much():
    with workers(worker("ok")) as daemon:
        change(daemon, worker("big"), 10000)
        ask_compared(daemon, 3)
        found = looked(daemon, 3)
        assert found["similarity"] == 0, found
        assert found["similar_calls"] == 3, found
        with daemon.chat_stream("w", "hello") as s:
            assert list(s)[-1].text == "[DONE]"
        assert looked(daemon, 4)["similarity"] == 0


@test
def a_json_answer_of_another_shape_is_told_and_stops_the_rollout():
    options = 'hold = "1h"; min_calls = 5; max_json_differs_percent = 50.0;'
    with workers(worker("old-json", options)) as daemon:
        change(daemon, worker("json", options), 10000)
        line = None
        for _ in range(200):
            ask(daemon, 1)
            line = next((l for l in daemon.lines
                         if l.get("event") == "rollout_aborted"), None)
            if line:
                break
            wait_for(lambda: sum(results(daemon).values()) > 0, 30, "one")
        line = line or daemon.wait_event("rollout_aborted", 30)
        assert "JSON of another shape" in line["message"], line
        assert mirrored(daemon)["json_differs"] >= 5


@test
def an_answer_that_fails_counts_for_the_judge():
    with workers(worker("ok", judge="sequential")) as daemon:
        change(daemon, worker("error", judge="sequential"), 10000)
        for _ in range(500):
            ask(daemon, 1)
            if daemon.count_event("rollout_aborted"):
                break
        line = daemon.wait_event("rollout_aborted", 30)
        assert line["cause"] == "worse", line
        ask(daemon, 3)


@test
def the_budget_of_an_hour_is_kept():
    options = 'hold = "1h"; tokens_per_hour = 100;'
    with workers(worker("ok", options)) as daemon:
        change(daemon, worker("fine", options), 10000)
        # A call is 5 tokens with either revision.
        ask_compared(daemon, 20)
        ask(daemon, 10)
        wait_for(lambda: results(daemon).get("budget") == 10, 30,
                 "ten that were not mirrored")
        assert looked(daemon, 20)["tokens_last_hour"] == 100
        wait_for(lambda: "used up" in status(daemon)["reason"], 30, "a word")
        # A kill does not open a new account; what was counted is kept with
        # the next step that is stored, or within seconds.
        wait_for(lambda: daemon.admin(
            "POST", "/admin/v1/deployments/w/pause", {}).status == 200, 30,
            "the pause")
        daemon.kill()
        daemon.start()
        wait_for(lambda: mirrored(daemon)["share"] == 10000, 30, "mirroring")
        ask(daemon, 3)
        wait_for(lambda: results(daemon).get("budget") == 3, 30,
                 "three that were not mirrored")
        assert mirrored(daemon)["calls"] == 20, mirrored(daemon)


@test
def workers_are_told_and_sessions_are_as_without():
    memory = "memory: { max_messages = 20; };"
    with workers(worker("ok", more=memory)) as daemon:
        change(daemon, worker("fine", more=memory), 10000)
        for n in range(3):
            answer = daemon.invoke("w", "n%d" % n, session_id="s")
            assert answer.status == 200, answer
            wait_for(lambda n=n: results(daemon).get("compared") == n + 1,
                     30, "the comparison")
        found = calls(daemon)
        assert [c["meta"]["dry_run"] for c in found] == [False, True] * 3
        for old, new in zip(found[::2], found[1::2]):
            assert (old["mode"], new["mode"]) == ("ok", "fine")
            assert old["messages"] == new["messages"], (old, new)
            assert old["session"] == new["session"], (old, new)
            assert old["meta"]["request_id"] != new["meta"]["request_id"]
        assert [c["session"]["state"] for c in found[::2]] == [None, 1, 2]
        session = daemon.get("/v1/agents/w/sessions/s").json
        assert len(session["messages"]) == 6, session


@test
def shadow_waits_for_a_person_and_survives_a_kill():
    options = 'hold = "0"; min_calls = 10;'
    with workers(worker("ok", options)) as daemon:
        change(daemon, worker("fine", options), 10000)
        ask_compared(daemon, 10)  # and none is under way
        found = wait_for(
            lambda: (lambda s: s["waits_for"] == "person" and s)(
                status(daemon)), 30, "the pause")
        assert found["weight"] == 0 and found["mirrored"]["share"] == 0
        compared = found["mirrored"]["calls"]
        assert compared == 10, found
        ask(daemon, 5)
        assert mirrored(daemon)["calls"] == compared
        wait_for(lambda: daemon.metrics().sum("atomd_state_queue_depth") == 0,
                 what="the pause is stored")
        daemon.kill()
        daemon.start()
        found = status(daemon)
        assert found["waits_for"] == "person", found
        assert found["mirrored"]["calls"] == compared, found
        ask(daemon, 3)
        answer = daemon.admin("POST", "/admin/v1/deployments/w/promote", {})
        assert answer.status == 200, answer
        daemon.wait_event("rollout_promoted", 30)
        answer = daemon.invoke("w", "hello")
        assert answer.headers["x-atomd-revision"] == "2", answer.headers
        assert calls(daemon)[-1]["meta"]["dry_run"] is False


@test
def shadow_promotes_by_itself_where_that_was_asked():
    options = 'hold = "0"; min_calls = 5; manual = false;'
    with workers(worker("ok", options)) as daemon:
        daemon.configure(config(agents=worker("fine", options)))
        assert daemon.admin("POST", "/admin/v1/reload", {}).status == 200
        for _ in range(500):
            assert daemon.invoke("w", "hello").status == 200
            if daemon.count_event("rollout_promoted"):
                break
        daemon.wait_event("rollout_promoted", 30)
        assert mirrored(daemon)["calls"] >= 5


@test
def a_caller_that_leaves_costs_a_comparison_and_nothing_else():
    with Daemon(config(agents=agent(
            backend='plugin = "echo"; chunk_delay_ms = 20;',
            more=SHADOW % ("none", "100.0", 'hold = "1h";')))) as daemon:
        change(daemon, agent(
            backend='plugin = "echo"; prefix = "new ";',
            more=SHADOW % ("none", "100.0", 'hold = "1h";')), 10000, "echo")
        with daemon.chat_stream("echo", "word " * 5000) as s:
            next(iter(s))
        wait_for(lambda: results(daemon, "echo").get("not_answered") == 1,
                 30, "the call that nobody waits for")
        assert daemon.chat("echo", "x").status == 200
        wait_for(lambda: results(daemon, "echo").get("compared") == 1, 30,
                 "the comparison")


if __name__ == "__main__":
    run()
