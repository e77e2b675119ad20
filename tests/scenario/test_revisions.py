#!/usr/bin/env python3
"""Revisions of agents: what makes one, what is kept of it, how one goes back,
and who has the last word: the file or the API."""

import contextlib
import json
import os
import sqlite3
import threading

from atomd_test import Daemon, agent, config, run, test, wait_for

PROMPT = 'system_prompt = "%s";'


def echo(prompt="one", more=""):
    return agent(more=(PROMPT % prompt) + more)


def body(prompt="two", more=""):
    return 'backend: { plugin = "echo"; }; system_prompt = "%s"; %s' % (
        prompt, more)


def deploy(daemon, text, name="echo", status=202, **more):
    answer = daemon.admin("POST", "/admin/v1/agents/%s/deployments" % name,
                          {"config": text, **more})
    assert answer.status == status, answer
    return answer.json


def undo(daemon, to=None, name="echo", status=202):
    answer = daemon.admin("POST", "/admin/v1/agents/%s/undo" % name,
                          {} if to is None else {"to": to})
    assert answer.status == status, answer
    return answer.json


def revisions(daemon, name="echo"):
    answer = daemon.admin("GET", "/admin/v1/agents/%s/revisions" % name)
    assert answer.status == 200, answer
    return answer.json["revisions"]


def revision(daemon, number, name="echo"):
    answer = daemon.admin("GET", "/admin/v1/agents/%s/revisions?revision=%d"
                          % (name, number))
    assert answer.status == 200, answer
    rows = answer.json["revisions"]
    assert len(rows) == 1, rows
    return rows[0]


def described(daemon, name="echo"):
    answer = daemon.admin("GET", "/admin/v1/agents/" + name)
    assert answer.status == 200, answer
    return answer.json


def serves(daemon, number, name="echo"):
    wait_for(lambda: described(daemon, name)["revision"] == number, 20,
             "revision %d of %s serves" % (number, name))


def prompt(daemon, name="echo"):
    return described(daemon, name)["settings"]["system_prompt"]


@test
def the_files_changed_text_makes_a_revision_and_a_restart_does_not():
    with Daemon(config(agents=echo("one"))) as daemon:
        first = revisions(daemon)
        assert [r["revision"] for r in first] == [1], first
        assert first[0]["origin"] == "file" and first[0]["in_force"], first
        assert first[0]["who"] == "" and first[0]["changes"] == [], first
        daemon.stop()
        daemon.start()
        assert revisions(daemon) == first
        daemon.configure(config(agents=echo("two", " max_tokens = 7;")))
        assert daemon.admin("POST", "/admin/v1/reload").status == 200
        serves(daemon, 2)
        second = revision(daemon, 2)
        assert second["before"] == 1, second
        assert second["hash"] != first[0]["hash"] and len(second["hash"]) == 64
        assert second["difference"] == [
            {"key": "system_prompt", "from": "one", "to": "two"},
            {"key": "max_tokens", "to": 7}], second
        assert 'system_prompt = "two";' in second["text"], second


@test
def a_deployment_is_kept_with_who_when_and_why_and_outlives_a_restart():
    with Daemon(config(agents=echo("one"))) as daemon:
        result = deploy(daemon, body("two"), reason="CHG-7")
        assert result["revision"] == 2 and result["from"] == 1, result
        assert result["changed"] is True, result
        serves(daemon, 2)
        row = revision(daemon, 2)
        assert row["origin"] == "api" and row["why"] == "CHG-7", row
        assert row["who"] and row["time"].endswith("Z"), row
        assert row["hash"] == result["hash"], row
        agent_row = described(daemon)
        assert agent_row["origin"] == "file" and agent_row["drift"] is True
        assert prompt(daemon) == "two"
        before = revisions(daemon)
        daemon.stop()
        daemon.start()
        assert described(daemon)["revision"] == 2
        assert prompt(daemon) == "two" and described(daemon)["drift"] is True
        assert revisions(daemon) == before
        assert daemon.chat("echo", "hello").headers["x-atomd-revision"] == "2"


@test
def the_files_changed_text_wins_over_the_api_and_a_mere_reload_does_not():
    with Daemon(config(agents=echo("one"))) as daemon:
        deploy(daemon, body("two"))
        serves(daemon, 2)
        answer = daemon.admin("POST", "/admin/v1/reload")
        assert answer.status == 200 and answer.json["unchanged"] == 1, answer
        assert described(daemon)["revision"] == 2
        daemon.configure(config(agents=echo("three")))
        answer = daemon.admin("POST", "/admin/v1/reload")
        assert answer.json["changed"] == ["echo"], answer
        serves(daemon, 3)
        assert prompt(daemon) == "three"
        assert described(daemon)["drift"] is False
        assert [r["origin"] for r in revisions(daemon)] == [
            "file", "api", "file"]
        daemon.stop()
        daemon.start()
        assert prompt(daemon) == "three"


@test
def undo_goes_back_and_forth_and_to_any_revision_that_is_kept():
    with Daemon(config(agents=echo("one"))) as daemon:
        deploy(daemon, body("two"))
        serves(daemon, 2)
        deploy(daemon, body("three"))
        serves(daemon, 3)
        assert undo(daemon)["revision"] == 4
        serves(daemon, 4)
        assert prompt(daemon) == "two"
        row = revision(daemon, 4)
        assert row["origin"] == "undo" and row["undone_to"] == 2, row
        assert row["hash"] == revision(daemon, 2)["hash"]
        undo(daemon)
        serves(daemon, 5)
        assert prompt(daemon) == "three"
        undo(daemon, to=1)
        serves(daemon, 6)
        assert prompt(daemon) == "one"
        assert described(daemon)["drift"] is False, "it says the file's text"
        assert undo(daemon, to=1, status=200)["changed"] is False
        missing = undo(daemon, to=77, status=404)
        assert missing["error"]["code"] == "not_found", missing
        assert "revision 77" in missing["error"]["message"], missing
        assert undo(daemon, name="nobody", status=404)["error"]["code"] == \
            "agent_not_found"


@test
def what_the_command_line_has_set_comes_back_with_an_undo():
    with Daemon(config(agents=echo("one")), args=[
            "-D", "agents.echo.queue.depth=7",
            "-D", "agents.echo.bad_events.error=false"]) as daemon:
        deploy(daemon, body("two"))
        serves(daemon, 2)
        undo(daemon)
        serves(daemon, 3)
        assert prompt(daemon) == "one"
        assert str(described(daemon)["settings"]["queue"]["depth"]) == "7"
        daemon.args = []
        daemon.kill()
        daemon.start()
        assert described(daemon)["revision"] in (3, 4)


@test
def a_text_that_is_in_force_changes_nothing():
    with Daemon(config(agents=echo("one"))) as daemon:
        result = deploy(daemon, "name = \"echo\"; " + body("one"), status=200)
        assert result["changed"] is False and result["revision"] == 1, result
        assert len(revisions(daemon)) == 1


@test
def only_so_many_revisions_are_kept_and_never_a_number_twice():
    with Daemon(config(agents=echo("0"), extra="revision_history = 2;")) \
            as daemon:
        for i in range(1, 6):
            deploy(daemon, body(str(i)))
            serves(daemon, i + 1)
        assert [r["revision"] for r in revisions(daemon)] == [6, 5, 4]
        undo(daemon, to=3, status=404)
        daemon.stop()
        daemon.start()
        assert [r["revision"] for r in revisions(daemon)] == [6, 5, 4]
        assert deploy(daemon, body("x"))["revision"] == 7


@test
def an_agent_is_deleted_with_the_longest_history():
    with Daemon(config(agents=echo("one"), extra="revision_history = 1000;")
                ) as daemon:
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("v1")}).status == 201
        for n in range(2, 1003):
            deploy(daemon, body("v%d" % n), name="made", supersede=True)
        answer = daemon.admin("DELETE", "/admin/v1/agents/made")
        assert answer.status == 200, answer


@test
def a_wrong_text_is_refused_with_its_place_and_nothing_changes():
    with Daemon(config(agents=echo("one"))) as daemon:
        before = described(daemon)
        for text, words in (
                ('backend: { plugin = "echo"; };\nmax_tokenz = 3;',
                 ["echo.conf:2:", "max_tokenz", "max_tokens"]),
                ('backend: { plugin = "echo"; };\nmax_tokens = "many";',
                 ["echo.conf:2:", "max_tokens"]),
                ('backend: { plugin = "ecco"; };', ["echo.conf:1:", "ecco"]),
                ('backend: { plugin = "echo"; nonsense = 1; };',
                 ["echo.conf:1:", "nonsense"]),
                ('backend: { plugin = "echo"', ["echo.conf:1:"]),
                ('name = "other"; ' + body(), ["echo.conf:1:", "other"]),
                (body(more='instances: { min = 500; max = 500; };'),
                 ["max_agents"]),
                (body('${env:NOT_THERE_AT_ALL}'), ["NOT_THERE_AT_ALL"])):
            answer = deploy(daemon, text, status=400,
                            file="/srv/conf/echo.conf")
            message = answer["error"]["message"]
            for word in words:
                assert word in message, (word, message)
            assert "/srv/conf" not in message, message
        for request in ({}, {"config": 3}, {"config": body(), "reason": 1},
                        {"config": body(), "reason": "x" * 1001}):
            answer = daemon.admin(
                "POST", "/admin/v1/agents/echo/deployments", request)
            assert answer.status == 400, answer
        assert deploy(daemon, body(), name="nobody", status=404)["error"][
            "code"] == "agent_not_found"
        after = described(daemon)
        assert after["revision"] == before["revision"]
        assert after["settings"] == before["settings"]
        assert len(revisions(daemon)) == 1


@test
def a_body_may_be_json_and_put_is_a_deployment():
    with Daemon(config(agents=echo("one"))) as daemon:
        answer = daemon.request("PUT", "/admin/v1/agents/echo", {"config": {
            "backend": {"plugin": "echo"}, "system_prompt": "json"}},
            admin=True)
        assert answer.status == 202, answer
        serves(daemon, 2)
        assert prompt(daemon) == "json"
        answer = daemon.request("PUT", "/admin/v1/agents/echo", {"config": {
            "backend": {"plugin": "echo"}, "queue": None}}, admin=True)
        assert answer.status == 400 and "null" in answer.text, answer


@test
def an_agent_of_the_api_outlives_restarts_and_reloads_until_it_is_deleted():
    with Daemon(config(agents=echo("one"))) as daemon:
        answer = daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("m"), "reason": "try"})
        assert answer.status == 201, answer
        assert answer.json["revision"] == 1 and answer.json["from"] == 0
        serves(daemon, 1, "made")
        assert daemon.chat("made", "hello").status == 200
        row = described(daemon, "made")
        assert row["origin"] == "api" and row["drift"] is False, row
        again = daemon.admin("POST", "/admin/v1/agents", {
            "config": 'name = "made"; ' + body("m")})
        assert again.status == 409, again
        answer = daemon.admin("POST", "/admin/v1/reload")
        assert answer.status == 200 and answer.json["removed"] == [], answer
        daemon.stop()
        daemon.start()
        assert daemon.chat("made", "hello").status == 200
        assert revision(daemon, 1, "made")["why"] == "try"
        assert daemon.request("DELETE", "/admin/v1/agents/echo",
                              admin=True).status == 409
        assert daemon.chat("echo", "hello").status == 200
        answer = daemon.request("DELETE", "/admin/v1/agents/made", admin=True)
        assert answer.status == 200, answer
        assert daemon.chat("made", "hello").status == 404
        assert daemon.admin(
            "GET", "/admin/v1/agents/made/revisions").status == 404
        daemon.stop()
        daemon.start()
        assert daemon.chat("made", "hello").status == 404
        answer = daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("again")})
        assert answer.json["revision"] == 2, "its numbers are not used again"


@test
def the_file_takes_over_a_name_that_the_api_made():
    with Daemon(config(agents=echo("one"))) as daemon:
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("m")}).status == 201
        serves(daemon, 1, "made")
        daemon.configure(config(agents=[echo("one"), agent(
            "made", more=PROMPT % "file")]))
        assert daemon.admin("POST", "/admin/v1/reload").status == 200
        serves(daemon, 2, "made")
        row = described(daemon, "made")
        assert row["origin"] == "file" and row["drift"] is False, row
        daemon.configure(config(agents=echo("one")))
        answer = daemon.admin("POST", "/admin/v1/reload")
        assert answer.json["removed"] == ["made"], answer


@test
def what_was_acknowledged_is_there_after_a_kill():
    with Daemon(config(agents=echo("one"))) as daemon:
        for i in range(2, 8):
            assert deploy(daemon, body("v%d" % i))["revision"] == i
            daemon.kill()
            daemon.start()
            # Its rollout was under way, and goes on.
            serves(daemon, i)
            assert prompt(daemon) == "v%d" % i
            assert revision(daemon, i)["before"] == i - 1


@test
def a_revision_whose_backend_cannot_start_leaves_the_old_one_serving():
    with Daemon(config(agents=echo("one"))) as daemon:
        deploy(daemon, 'backend: { plugin = "process"; '
                       'command = [ "/nonexistent/worker" ]; }; '
                       # It is given up by nobody but us.
                       'deployment: { failed_starts = 1000; };')
        daemon.wait_event("instance_failed")
        assert daemon.chat("echo", "hello").status == 200
        assert described(daemon)["revision"] == 1
        assert undo(daemon, to=1, status=200)["way"] == "swap"
        serves(daemon, 1)
        assert daemon.chat("echo", "hello").status == 200


@test
def secrets_show_nowhere_but_serve_after_undo():
    secret = "sk-not-to-be-seen-4711"
    openai = ('backend: { plugin = "openai"; base_url = '
              '"http://127.0.0.1:9/v1"; model = "m"; api_key = "%s"; };')
    with Daemon(config(agents=echo("one")),
                env={"THE_KEY": "resolved-4712"}) as daemon:
        deploy(daemon, openai % secret)
        serves(daemon, 2)
        deploy(daemon, openai % "${env:THE_KEY}")
        serves(daemon, 3)
        undo(daemon)
        serves(daemon, 4)
        for number in (2, 3, 4):
            row = json.dumps(revision(daemon, number))
            assert secret not in row and "resolved-4712" not in row, row
        assert "${env:THE_KEY}" in json.dumps(revision(daemon, 3))
        assert revision(daemon, 4)["hash"] == revision(daemon, 2)["hash"]
        assert secret not in daemon.log and "resolved-4712" not in daemon.log


@test
def a_role_sees_and_does_only_what_its_permissions_say():
    with Daemon(config(agents=echo("one"))) as daemon:
        def key(role, **more):
            answer = daemon.admin("POST", "/admin/v1/keys",
                                  {"role": role, **more})
            assert answer.status == 201, answer
            return answer.json["key"]
        deploy(daemon, body("two"))
        serves(daemon, 2)
        reader = key("read_only")
        answer = daemon.get("/admin/v1/agents/echo/revisions?revision=2",
                            key=reader)
        row = answer.json["revisions"][0]
        assert row["changes"] == ["system_prompt"], row
        assert "text" not in row and "difference" not in row, row
        operator = key("operator")
        for method, path, request in (
                ("POST", "/admin/v1/agents", {"config": body()}),
                ("PUT", "/admin/v1/agents/echo", {"config": body()}),
                ("DELETE", "/admin/v1/agents/echo", None),
                ("POST", "/admin/v1/agents/echo/deployments",
                 {"config": body()}),
                ("POST", "/admin/v1/agents/echo/undo", {})):
            answer = daemon.request(method, path, request, key=operator)
            assert answer.status == 403, (method, path, answer)
        assert described(daemon)["revision"] == 2
        limited = key("admin", agents=["other"])
        for path in ("/admin/v1/agents",
                     "/admin/v1/agents/echo/deployments"):
            answer = daemon.post(path, {"name": "new", "config": body()},
                                 key=limited)
            assert answer.status == 403, (path, answer)


@test
def changes_are_in_the_audit_log_before_and_after():
    sinks = 'audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );'
    with Daemon(config(agents=echo("one"), extra=sinks)) as daemon:
        deploy(daemon, body("two"), reason="CHG-7")
        serves(daemon, 2)
        deploy(daemon, "nonsense = 1;", status=400)
        undo(daemon)
        answer = daemon.admin("GET", "/admin/v1/audit?type=agent.")
        assert answer.status == 200, answer
        rows = [(r["event_type"], r["details"])
                for r in answer.json["records"]]
        names = [(kind, d["phase"], d.get("result")) for kind, d in rows]
        assert names == [
            ("agent.deploy", "intent", None),
            ("agent.deploy", "outcome", "done"),
            ("agent.deploy", "intent", None),
            ("agent.deploy", "outcome", "failed"),
            ("agent.undo", "outcome", "done")], names
        assert rows[0][1]["reason"] == "CHG-7", rows[0]
        assert rows[1][1]["revision"] == 2 and rows[1][1]["hash"], rows[1]
        assert rows[4][1]["object"] == "echo", rows[4]


def damage(daemon, bucket, key):
    """Turns one bit of a stored value, while no daemon runs."""
    with contextlib.closing(sqlite3.connect(
            os.path.join(daemon.dir, "state", "state.db"))) as base:
        found = base.execute("SELECT value FROM record WHERE bucket = ? AND "
                             "key = ?", (bucket, key.encode())).fetchall()
        assert len(found) == 1, (bucket, key, found)
        value = bytearray(found[0][0])
        value[len(value) // 2] ^= 1
        base.execute("UPDATE record SET value = ? WHERE bucket = ? AND "
                     "key = ?", (bytes(value), bucket, key.encode()))
        base.commit()


@test
def a_damaged_record_is_told_and_all_else_serves():
    with Daemon(config(agents=echo("one"))) as daemon:
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("m1")}).status == 201
        deploy(daemon, body("m2"), name="made")
        serves(daemon, 2, "made")
        deploy(daemon, body("two"))
        serves(daemon, 2)
        daemon.stop()
        damage(daemon, "revisions", "made/0000000002")
        damage(daemon, "revisions", "echo/0000000002")
        daemon.start()
        told = [line for line in daemon.lines
                if line.get("event") == "revision_not_revived"]
        assert {(t["agent"], t["revision"]) for t in told} == {
            ("made", 2), ("echo", 2)}, told
        assert all("damaged" in t["message"] for t in told), told
        # The API's agent serves what it was before, the file's the file.
        assert prompt(daemon, "made") == "m1"
        assert described(daemon, "made")["revision"] == 1
        assert prompt(daemon) == "one"
        assert described(daemon)["revision"] == 3
        row = revisions(daemon)[1]
        assert row["revision"] == 2 and "damaged" in row["error"], row
        assert undo(daemon, to=2, status=503)["error"]["code"] == \
            "state_unavailable"
        assert daemon.chat("echo", "hello").status == 200
        assert daemon.chat("made", "hello").status == 200


@test
def a_damaged_row_is_told_and_no_number_is_used_twice():
    with Daemon(config(agents=echo("one"))) as daemon:
        deploy(daemon, body("two"))
        serves(daemon, 2)
        daemon.stop()
        damage(daemon, "agents", "echo")
        daemon.start()
        assert daemon.count_event("revision_not_read") == 1
        assert described(daemon)["revision"] == 3
        assert prompt(daemon) == "one"
        assert [r["revision"] for r in revisions(daemon)] == [3, 2, 1]


@test
def a_revision_that_cannot_be_made_any_more_is_told():
    with Daemon(config(agents=echo("one")), env={"WORDS": "w"}) as daemon:
        deploy(daemon, body("${env:WORDS}"))
        serves(daemon, 2)
        daemon.stop()
        daemon.env = {}
        daemon.start()
        line = daemon.wait_event("revision_not_revived")
        assert "WORDS" in line["message"], line
        assert prompt(daemon) == "one"


@test
def relative_files_of_a_deployment_begin_in_the_configurations_folder():
    with Daemon(config(agents=echo("one")), files={
            "prompt.txt": "from a file\n"}) as daemon:
        deploy(daemon, body("${file:prompt.txt}"), file="conf/echo.conf")
        serves(daemon, 2)
        deploy(daemon, body("three"))
        serves(daemon, 3)
        undo(daemon)
        serves(daemon, 4)
        assert "from a file" not in json.dumps(revision(daemon, 4))
        daemon.stop()
        daemon.start()
        assert described(daemon)["revision"] == 4


@test
def one_agent_has_one_change_at_a_time():
    with Daemon(config(agents=echo("one"))) as daemon:
        answers = []

        def one(i):
            answers.append(daemon.admin(
                "POST", "/admin/v1/agents/echo/deployments",
                {"config": body("v%d" % i)}))
        threads = [threading.Thread(target=one, args=(i,))
                   for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [a.json["revision"] for a in answers if a.status == 202]
        assert good and len(set(good)) == len(good), answers
        assert all(a.status in (202, 409) for a in answers), answers
        assert len(revisions(daemon)) == min(11, 1 + len(good))
        serves(daemon, max(good))


CANARY = (' deployment: { plugin = "canary"; judge = "none"; hold = "10m"; '
          'rollback_window_ms = 0; };')


def patient(agents, busy_timeout="60s"):
    """Its store waits so long for another program."""
    return config(agents=agents).replace(
        'store = "sqlite";', 'store = "sqlite"; busy_timeout = "%s";'
        % busy_timeout)


@contextlib.contextmanager
def held(daemon):
    """What is to be stored meanwhile waits: another program has the store."""
    with contextlib.closing(sqlite3.connect(
            os.path.join(daemon.dir, "state", "state.db"),
            isolation_level=None)) as base:
        base.execute("BEGIN IMMEDIATE")
        yield
        base.execute("ROLLBACK")


def waiting(daemon):
    return daemon.metrics().sum("atomd_state_queue_depth")


def abort_while_stored(daemon, name, change):
    """A change of the agent is being stored when its rollout is aborted."""
    def split():
        return [s["weight"] for s in daemon.agents()[name]["split"]]

    def refused():
        # There is no such revision; what is under way is told first.
        answer = daemon.admin("POST", "/admin/v1/agents/%s/undo" % name,
                              {"to": 99})
        return "is being stored" in answer.json["error"]["message"]

    def stands():
        rollout = daemon.admin("GET", "/admin/v1/deployments/" + name).json
        return (rollout["workflow"]["status"] == "success" and
                len(split()) == 2 and waiting(daemon) == 0)
    wait_for(stands, 20, "the rollout's first step, stored")
    abort = threading.Thread(target=daemon.admin, args=(
        "POST", "/admin/v1/deployments/%s/abort" % name, {}))
    with held(daemon):
        change.start()
        wait_for(refused, 30, "the change is being stored")
        abort.start()
        wait_for(lambda: split() == [10000], 30, "the way back")
    change.join()
    abort.join()


@test
def a_change_outlives_the_end_of_the_rollout_that_it_supersedes():
    with Daemon(patient(echo("one", CANARY))) as daemon:
        deploy(daemon, body("two", CANARY))
        answers = []
        abort_while_stored(daemon, "echo", threading.Thread(
            target=lambda: answers.append(deploy(
                daemon, body("three", CANARY), supersede=True))))
        assert [a["revision"] for a in answers] == [3], answers
        daemon.kill()
        daemon.start()
        rollout = daemon.admin("GET", "/admin/v1/deployments/echo").json
        assert rollout["to"] == 3 and rollout["outcome"] == "open", rollout


@test
def a_deleted_agent_stays_deleted_though_its_rollout_ended_meanwhile():
    with Daemon(patient(echo("one"))) as daemon:
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("m1", CANARY)}).status == 201
        deploy(daemon, body("m2", CANARY), name="made")
        answers = []
        abort_while_stored(daemon, "made", threading.Thread(
            target=lambda: answers.append(daemon.admin(
                "DELETE", "/admin/v1/agents/made"))))
        assert [a.status for a in answers] == [200], answers
        daemon.kill()
        daemon.start()
        assert daemon.admin("POST", "/admin/v1/agents", {
            "name": "made", "config": body("m3")}).status == 201


@test
def a_damaged_freeze_counts_as_one_and_can_be_ended():
    with Daemon(config(agents=echo("one"))) as daemon:
        assert daemon.admin("POST", "/admin/v1/freeze", {}).json["frozen"]
        daemon.stop()
        damage(daemon, "freeze", "all")
        daemon.start()
        assert daemon.count_event("freeze_not_read") == 1
        answer = deploy(daemon, body("two"), status=409)
        assert "damaged" in answer["error"]["message"], answer
        assert daemon.admin("DELETE", "/admin/v1/freeze").json == {
            "frozen": False}
        deploy(daemon, body("two"))
        serves(daemon, 2)


@test
def what_a_reload_puts_in_force_is_stored_once_the_store_is_well():
    with Daemon(patient(echo("one"), "50ms")) as daemon:
        daemon.configure(patient(echo("two"), "50ms"))
        with held(daemon):
            answer = daemon.admin("POST", "/admin/v1/reload")
            assert answer.status == 200, answer
            daemon.wait_event("revision_not_stored")
            assert daemon.count_event("revision_not_stored") == 1
        serves(daemon, 2)
        assert [r["revision"] for r in revisions(daemon)] == [2, 1]
        daemon.kill()
        daemon.start()
        assert revision(daemon, 2)["before"] == 1
        assert undo(daemon)["revision"] == 3
        serves(daemon, 3)
        undo(daemon, to=2)
        serves(daemon, 4)
        assert prompt(daemon) == "two"


@test
def a_freeze_that_begins_while_one_ends_is_in_force():
    with Daemon(patient(echo("one"))) as daemon:
        assert daemon.admin("POST", "/admin/v1/freeze", {}).json["frozen"]
        orders = [threading.Thread(target=daemon.admin, args=(
            verb, "/admin/v1/freeze")) for verb in ("DELETE", "POST")]
        with held(daemon):
            for n, order in enumerate(orders, 1):
                order.start()
                wait_for(lambda n=n: waiting(daemon) == n, 30,
                         "it is being stored")
        for order in orders:
            order.join()
        assert daemon.admin("GET", "/admin/v1/freeze").json["frozen"]
        deploy(daemon, body("two"), status=409)
        daemon.kill()
        daemon.start()
        assert daemon.admin("GET", "/admin/v1/freeze").json["frozen"]


@test
def a_request_may_be_the_agents_body_itself():
    """As the configuration's group stands in JSON, and as `settings` shows."""
    with Daemon(config(agents=echo("one"))) as daemon:
        made = daemon.admin("POST", "/admin/v1/agents", {
            "name": "bare", "backend": {"plugin": "echo"},
            "system_prompt": "first", "reason": "CHG-1"})
        assert made.status == 201, made
        serves(daemon, 1, "bare")
        body = described(daemon, "bare")["settings"]
        assert body["system_prompt"] == "first" and "reason" not in body, body
        assert revisions(daemon, "bare")[0]["why"] == "CHG-1"
        body["system_prompt"] = "second"
        for method, path in (("PUT", ""), ("POST", "/deployments")):
            done = daemon.admin(method, "/admin/v1/agents/bare" + path, body)
            assert done.status in (200, 202), done
            serves(daemon, 2, "bare")
        assert prompt(daemon, "bare") == "second"
        for wrong, word in (({"backend": {"plugin": "echo"}}, "name"),
                            ({"name": "b", "backend": {"plugin": "echo"},
                              "budget": 1}, "budget"),
                            ({"name": "b", "backend": 5}, "backend"),
                            ({"name": "b"}, "config")):
            said = daemon.admin("POST", "/admin/v1/agents", wrong)
            assert said.status == 400 and word in said.text, (wrong, said)


if __name__ == "__main__":
    run()
