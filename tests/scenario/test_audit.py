#!/usr/bin/env python3
"""The audit log of a live daemon: what is recorded before what happens, what
never gets in, and what is refused while nothing can be recorded."""

import concurrent.futures
import json
import os
import re
import shutil
import sys
import threading

from atomd_test import (Daemon, agent, config, process_agent, run, test,
                        wait_for)
from audit_log import audited, kept, search, slow_disk, wait_records
from places import source

CANARY = "canary-7f3a91"


@test
def a_control_action_has_its_intent_and_its_outcome():
    with Daemon(audited()) as daemon:
        answer = daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "agents": ["echo"], "name": "laptop"})
        assert answer.status == 201, answer
        intent, outcome = search(daemon, type="key.create")
        assert intent["details"] == {
            "agents": "echo", "name": "laptop", "phase": "intent",
            "role": "caller"}, intent
        assert outcome["details"]["phase"] == "outcome", outcome
        assert outcome["details"]["id"] == answer.json["id"], outcome
        assert outcome["details"]["status"] == 201, outcome
        for record in (intent, outcome):
            assert record["user"] == "unix:%d" % os.getuid(), record
            assert record["address"] == "unix", record
            assert record["category"] == "security_events", record
            assert record["ocsf"]["class_uid"] == 3001, record
            assert record["request_id"] == answer.headers["x-request-id"]
        # Durable before it was answered, and the secret nowhere.
        on_disk = kept(daemon)
        assert intent["request_id"].encode() in on_disk
        assert answer.json["key"].rsplit("_", 1)[1].encode() not in on_disk

        assert daemon.admin("DELETE", "/admin/v1/keys/" +
                            answer.json["id"]).status == 200
        outcome, = search(daemon, type="key.revoke")
        assert outcome["details"]["object"] == answer.json["id"], outcome
        assert daemon.admin("POST", "/admin/v1/keys", {
            "role": "nobody"}).status == 400
        outcome = search(daemon, type="key.create")[-1]
        assert outcome["details"]["result"] == "failed", outcome
        assert outcome["details"]["status"] == 400, outcome


@test
def every_record_of_the_log_is_canonical_and_chained():
    with Daemon(audited()) as daemon:
        daemon.admin("POST", "/admin/v1/agents/echo/scale",
                     {"instances": 2})
        daemon.admin("POST", "/admin/v1/agents/echo/restart")
        daemon.reload()
        daemon.chat("echo", "x")
        wait_records(daemon, 1, type="call")
        text = daemon.admin("GET", "/admin/v1/audit?limit=10000").text
        records = json.loads(text)["records"]
        for number, record in enumerate(records, 1):
            assert record["sequence"] == number, record
            assert json.dumps(record, sort_keys=True, ensure_ascii=False,
                              separators=(",", ":")) in text, record
        seen = {record["event_type"] for record in records}
        assert {"daemon.start", "plugin.loaded", "agent.scale",
                "agent.restart", "config.applied", "call"} <= seen, seen
        assert records[0]["event_type"] == "daemon.start", records[0]


@test
def a_call_is_recorded_without_what_was_said():
    with Daemon(audited()) as daemon:
        answer = daemon.chat("echo", "say " + CANARY,
                             headers={"x-atomd-session": "s-" + CANARY})
        assert answer.status == 200 and CANARY in answer.text, answer
        assert daemon.invoke("echo", CANARY).status == 200
        daemon.chat_stream("echo", CANARY)
        assert daemon.chat("nosuch-" + CANARY, CANARY).status == 404
        assert daemon.delete("/v1/agents/echo/sessions/s-" +
                             CANARY).status == 200
        records = wait_records(daemon, 3, type="call")
        details = records[0]["details"]
        assert details["agent"] == "echo", details
        assert details["status"] == 200, details
        assert details["input_bytes"] > len(CANARY), details
        assert details["output_bytes"] >= len(CANARY), details
        assert re.fullmatch("[0-9a-f]{32}", details["session"]), details
        assert records[0]["request_id"] == answer.headers["x-request-id"]
        assert records[0]["user"] == "anonymous", records[0]
        assert records[0]["address"] == "127.0.0.1", records[0]
        deleted, = wait_records(daemon, 1, type="session.delete")
        assert deleted["details"]["session"] == details["session"], deleted
        daemon.stop()
        assert CANARY.encode() not in kept(daemon)
        assert b"daemon.stop" in kept(daemon)


@test
def a_freeze_is_recorded_with_its_reason():
    with Daemon(audited()) as daemon:
        answer = daemon.admin("POST", "/admin/v1/freeze",
                              {"reason": "CHG-7"})
        assert answer.status == 200, answer
        record = wait_records(daemon, 1, type="rollout.freeze")[-1]
        assert record["details"].get("reason") == "CHG-7", record
        assert daemon.count_event("audit_detail_refused") == 0


@test
def calls_are_not_recorded_where_they_shall_not_be():
    with Daemon(audited(security='audit_calls = "none";')) as daemon:
        assert daemon.chat("echo", "x").status == 200
        daemon.stop()
        assert b'"call"' not in kept(daemon)
        assert b"daemon.start" in kept(daemon)


@test
def a_strict_call_is_durable_before_its_answer_ends():
    with Daemon(audited(security='audit_calls = "strict";')) as daemon:
        for _ in range(5):
            answer = daemon.chat("echo", "x")
            assert answer.status == 200, answer
            assert answer.headers["x-request-id"].encode() in kept(daemon)
        with daemon.chat_stream("echo", "x") as stream:
            events = stream.read()
        assert events[-1].text == "[DONE]", events
        assert len(search(daemon, type="call")) == 6


@test
def a_failed_login_is_durable_before_its_answer():
    with Daemon(audited()) as daemon:
        answer = daemon.get("/v1/models", key="atm_wrong_" + CANARY)
        assert answer.status == 401, answer
        assert answer.headers["x-request-id"].encode() in kept(daemon)
        record, = search(daemon, type="login.failed")
        assert record["details"]["route"] == "/v1/models", record
        assert record["details"]["reason"] == "credential refused", record
        assert record["address"] == "127.0.0.1", record
        assert record["ocsf"]["class_uid"] == 3002, record
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "caller"}).json
        assert daemon.get("/admin/v1/keys", key=key["key"]).status == 403
        record, = search(daemon, type="access.denied")
        assert record["user"] == "key:" + key["id"], record
        assert CANARY.encode() not in kept(daemon)


@test
def a_guesser_leaves_ten_records_a_second_and_a_count():
    with Daemon(audited()) as daemon:
        # At once: one whose record is waited for is slow.
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda _: daemon.get(
                "/v1/models", key="atm_x").status, range(200))) == {401}

        def counted():
            records = search(daemon, type="login.failed", limit=10000)
            return sum(r["details"].get("count", 1) for r in records) == 200
        wait_for(counted, what="200 failed logins told of")
        records = search(daemon, type="login.failed", limit=10000)
        assert len(records) < 200, len(records)


@test
def an_unauthorised_body_is_not_waited_for():
    with Daemon(audited()) as daemon:
        with daemon.wire("POST /v1/chat/completions HTTP/1.1\r\n"
                         "Host: 127.0.0.1\r\nAuthorization: Bearer atm_x\r\n"
                         "Expect: 100-continue\r\n"
                         "Content-Length: 9000000\r\n\r\n") as wire:
            assert wire.answer().status == 401
        # And where it is there before the record is durable.
        for _ in range(20):
            assert daemon.post("/v1/chat/completions", b"x" * 100000,
                               key="atm_x").status == 401
        assert daemon.chat("echo", "x").status == 200


@test
def without_a_sink_that_keeps_records_control_is_refused():
    quiet = config(extra="")
    with Daemon(quiet) as daemon:
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "caller"}).json
        assert daemon.get("/v1/models", key=key["key"]).status == 200
        daemon.stop()
        daemon.configure(audited('plugin = "memory";'))
        daemon.start()
        answer = daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        assert answer.status == 503, answer
        assert answer.code == "audit_unavailable", answer
        assert answer.headers["x-should-retry"] == "false", answer.headers
        answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                              {"instances": 3})
        assert answer.code == "audit_unavailable", answer
        assert daemon.agents()["echo"]["instances"]["desired"] == 1
        status = daemon.status()
        assert status["system_status"] == "degraded"
        step = status["initialization_results"]["security_layer"]
        assert "has to know what is durable" in step["details"], step
        assert "accept_loss" in step["details"], step
        assert daemon.get("/readyz").status == 503
        # Calls go on, and strangers stay out.
        assert daemon.chat("echo", "x", key=key["key"]).status == 200
        assert daemon.get("/v1/models", key="atm_x").status == 401
        # What makes things safer is done, and says what it lacks.
        answer = daemon.admin("DELETE", "/admin/v1/keys/" + key["id"])
        assert answer.status == 200, answer
        assert answer.headers["x-atomd-audit"] == "pending", answer.headers
        assert daemon.get("/v1/models", key=key["key"]).status == 401
        keys = daemon.admin("GET", "/admin/v1/keys").json["keys"]
        assert [k["state"] for k in keys] == ["revoked"], keys


@test
def a_strict_call_is_withheld_when_it_cannot_be_recorded():
    with Daemon(audited('plugin = "memory";',
                        security='audit_calls = "strict";')) as daemon:
        answer = daemon.chat("echo", "x")
        assert answer.status == 503, answer
        assert answer.code == "audit_unavailable", answer


def a_strict_answer_outlives_its_agent():
    slow = process_agent(
        "slow", [sys.executable, source("tests", "scenario", "worker.py")],
        'env: { SAID = "still there"; };')

    def text(*agents):
        return audited(security='audit_calls = "strict";',
                       agents=[*agents, agent()])
    daemon = Daemon(text(slow))
    # What is freed reads as something else.
    waits = slow_disk(daemon, MALLOC_PERTURB_="165")
    answers = []
    with daemon:
        caller = threading.Thread(
            target=lambda: answers.append(daemon.chat(
                "slow", "until %s/go SAID" % daemon.dir)))
        caller.start()
        wait_for(lambda: daemon.metrics().sum("atomd_inflight_requests") == 1,
                 what="the call")
        assert daemon.reload(text()).status == 200
        daemon.write("waits", "")
        daemon.write("go", "")
        daemon.wait_event("call")
        # The call was the last that held its revision.  The answer waits some
        # seconds for its record, and no longer.
        for _ in range(5):
            assert "slow" not in daemon.agents()
        os.unlink(waits)
        caller.join()
        answer, = answers
        assert answer.status == 200 and "still there" in answer.text, answer
        assert answer.headers["x-atomd-agent"] == "slow", answer.headers


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(a_strict_answer_outlives_its_agent)


@test
def a_log_that_was_changed_is_not_taken_up():
    with Daemon(audited()) as daemon:
        for _ in range(3):
            daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        before = len(search(daemon, limit=10000))
        daemon.stop()
        daemon.start()
        assert len(search(daemon, limit=10000)) > before
        daemon.stop()
        shutil.rmtree(os.path.join(daemon.dir, "audit"))
        daemon.wait = None
        daemon.start()
        daemon.wait_event("ready")
        why = daemon.status()["initialization_results"]["security_layer"]
        assert why["status"] == "failed", why
        assert "records are lost" in why["details"], why
        assert daemon.get("/readyz").status == 503
        answer = daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        assert answer.code == "audit_unavailable", answer
        assert daemon.chat("echo", "x").status == 200


@test
def the_log_is_searched_followed_and_pruned():
    with Daemon(audited()) as daemon:
        for _ in range(5):
            daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        rows = json.loads(daemon.atomctl("--json", "audit", "search",
                                         "--type", "key.create", "--limit",
                                         "3").stdout)
        assert len(rows) == 3, rows
        assert rows[0]["sequence"] < rows[2]["sequence"]
        text = daemon.atomctl("audit", "tail").stdout.decode()
        assert "key.create" in text, text
        assert not search(daemon, type="key.create", until="1h")
        assert len(search(daemon, type="key.", since="1h")) == 10
        assert search(daemon, category="security_events", limit=1)
        assert not search(daemon, user="key:none")
        for query in ("limit=0", "limit=", "since=x", "after=-1",
                      "user=" + "x" * 99, "limit=" + "0" * 30 + "5",
                      "after=" + "9" * 30, "since=%zz",
                      "until=" + "2" * 99, "type=%00"):
            answer = daemon.admin("GET", "/admin/v1/audit?" + query)
            assert answer.status == 400, (query, answer)
            assert answer.json["error"]["param"] == query.split("=")[0]
        # What only ends like a parameter is none.
        answer = daemon.admin("GET", "/admin/v1/audit?foo_user=" + "x" * 99)
        assert answer.status == 200, answer
        for path, param in (("logs?limit=" + "1" * 30, "limit"),
                            ("logs?agent=%zz", "agent"),
                            ("keys?after=" + "x" * 300, "after"),
                            ("alerts?state=%z", "state")):
            answer = daemon.admin("GET", "/admin/v1/" + path)
            assert answer.status == 400, (path, answer)
            assert answer.json["error"]["param"] == param, answer
        answer = daemon.admin("POST", "/admin/v1/audit/prune",
                              {"before": "1h"})
        assert answer.status == 200 and answer.json["removed"] == 0, answer
        intent, outcome = search(daemon, type="audit.prune")
        assert intent["details"]["before"] == "1h", intent
        assert outcome["details"]["removed"] == 0, outcome
        assert daemon.admin("POST", "/admin/v1/audit/prune",
                            {"before": "soon"}).status == 400


@test
def the_address_is_the_clients_behind_a_trusted_proxy():
    text = audited().replace(
        'address = "127.0.0.1:0";',
        'address = "127.0.0.1:0"; trusted_proxies = [ "127.0.0.0/8" ];')
    assert "trusted_proxies" in text, text
    with Daemon(text) as daemon:
        assert daemon.get("/v1/models", key="atm_x", headers={
            "X-Forwarded-For": "203.0.113.9"}).status == 401
        record, = search(daemon, type="login.failed")
        assert record["address"] == "203.0.113.9", record


def scrape(daemon):
    return daemon.admin("GET", "/metrics").text


@test
def metrics_count_records_and_heads():
    with Daemon(audited()) as daemon:
        daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        wait_for(lambda: re.search(
            r"^atomd_audit_checkpoints_total [1-9]", scrape(daemon), re.M),
            what="a signed head")
        text = scrape(daemon)
        assert re.search(r'^atomd_audit_records_total\{sink="file",'
                         r'result="written"\} [1-9]', text, re.M), text
        assert re.search(r"^atomd_audit_last_sequence [1-9]", text, re.M)
        assert "atomd_audit_sync_seconds_count" in text
        audit = daemon.status()["audit"]
        assert audit["state"] == "ok", audit
        assert audit["verifier"].startswith(
            "atomd-audit/" + audit["log_id"] + "+"), audit


@test
def two_required_sinks_are_an_error_that_names_both():
    text = config(extra="audit_sinks = (\n"
                  '{ plugin = "file"; path = "a"; required = true; },\n'
                  '{ plugin = "file"; path = "b"; required = true; } );')
    with Daemon(text, wait=None) as daemon:
        assert daemon.wait_end() == 78
        assert "a second sink is `required`" in daemon.log, daemon.log


if __name__ == "__main__":
    run()
