"""atomctl and the real daemon: the promises of docs/atomctl.md end to end."""

import json
import os
import re
import signal
import subprocess

from atomctl_test import columns, document, fails, succeeds
from atomd_test import (Daemon, agent, atomctl_path, config,
                        daemon_environment, process_agent, run, seconds,
                        source, spoken, test, wait_for)

STEPS = ["core_orchestrator", "monitoring_system", "security_layer",
         "health_checks"]

SLOW = agent("slow", 'plugin = "echo"; delay_ms = 60000;')
REMEMBERS = agent("remembers", more="memory: { max_messages = 20; };")


def public(daemon):
    """Over TCP, where a key counts and not who asks."""
    return {"ATOMD_URL": daemon.url}


@test
def status_tells_the_ordered_start():
    with Daemon(config()) as daemon:
        shape = document(daemon.atomctl("--json", "status"))
        assert shape["system_status"] == "operational", shape
        assert list(shape["initialization_results"]) == STEPS, shape
        for step in shape["initialization_results"].values():
            assert step["status"] == "success", shape
        assert set(shape["configuration"]) >= {
            "environment", "max_agents", "monitoring_enabled"}
        for component in shape["components"]:
            assert set(component) >= {"name", "status", "since",
                                      "last_error"}, component
        text = succeeds(daemon.atomctl("status"))
        assert columns(text, "SYSTEM")[0][0] == "operational", text
        assert [row[0] for row in columns(text, "START")] == STEPS, text


@test
def agents_are_listed_shown_and_exported():
    with Daemon(config(agents=[agent("echo"), REMEMBERS])) as daemon:
        listed = document(daemon.atomctl("agents", "--json"))
        assert sorted(a["name"] for a in listed) == ["echo", "remembers"]
        for shape in listed:
            assert set(shape["instances"]) >= {"desired", "ready", "starting",
                                               "draining"}, shape
            assert sum(s["weight"] for s in shape["split"]) == 10000, shape
            assert {"revision", "in_flight", "queued"} <= set(shape), shape
        text = succeeds(daemon.atomctl("agents"))
        assert [row[0] for row in columns(text, "NAME")] == [
            "echo", "remembers"], text
        one = succeeds(daemon.atomctl("agents", "remembers"))
        assert ["memory.max_messages", "20"] in columns(one, "SETTING"), one
        fails(daemon.atomctl("agents", "nobody"), 1, "nobody")

        # What was exported can be served.
        exported = succeeds(daemon.atomctl("agents", "export", "remembers"))
        assert "max_messages" in exported, exported
        daemon.configure(config(agents="{ %s }" % exported))
        done = daemon.atomctl("reload", "--json")
        assert document(done)["removed"] == ["echo"], spoken(done)


@test
def invoke_streams_and_keeps_a_session():
    with Daemon(config(agents=[agent("echo"), REMEMBERS])) as daemon:
        assert succeeds(daemon.atomctl("invoke", "echo", "hello")) == \
            "hello\n"
        text = "a,b\n1,2\nünïcode ☃\n"
        assert succeeds(daemon.atomctl("invoke", "echo",
                                       stdin=text.encode())) == text
        answer = document(daemon.atomctl("invoke", "echo", "hello", "--json"))
        assert answer["output"] == "hello" and answer["agent"] == "echo"
        assert {"usage", "revision", "session_id", "request_id"} <= set(answer)
        fails(daemon.atomctl("invoke", "nobody", "x"), 1, "nobody",
              "agent_not_found")
        answer = document(daemon.atomctl("invoke", "remembers", "x",
                                         "--session", "s1", "--json"))
        assert answer["session_id"] == "s1", answer
        assert succeeds(daemon.atomctl("chat", "remembers", "--session", "s1",
                                       stdin=b"one\ntwo\n")) == "one\ntwo\n"
        kept = daemon.admin("GET", "/v1/agents/remembers/sessions/s1")
        assert kept.status == 200 and "two" in kept.text, kept


@test
def an_interrupted_call_is_cancelled():
    with Daemon(config(agents=SLOW)) as daemon:
        process = subprocess.Popen(
            [atomctl_path(), "invoke", "slow", "x"],
            env=daemon_environment(ATOMD_URL="unix:" + daemon.admin_sock),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            wait_for(lambda: daemon.agents()["slow"]["in_flight"] == 1)
            process.send_signal(signal.SIGINT)
            assert process.wait(seconds(20)) == -signal.SIGINT
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        daemon.wait_idle()


@test
def scale_and_restart_change_the_instances():
    worker = ["python3", source("tests", "scenario", "worker.py")]
    text = config(agents=process_agent(
        "worker", worker, more="instances: { min = 1; max = 3; };"))
    with Daemon(text) as daemon:
        daemon.wait_ready("worker", 1)
        assert "2 instances" in succeeds(daemon.atomctl("scale", "worker",
                                                        "2"))
        daemon.wait_ready("worker", 2)
        fails(daemon.atomctl("scale", "worker", "9"), 1)
        fails(daemon.atomctl("scale", "nobody", "1"), 1, "nobody")
        succeeds(daemon.atomctl("scale", "worker", "--auto"))
        daemon.wait_ready("worker", 1)
        succeeds(daemon.atomctl("restart", "worker"))
        fails(daemon.atomctl("restart", "nobody"), 1, "nobody")


@test
def a_refused_reload_says_file_and_line_and_changes_nothing():
    good = config()
    with Daemon(good) as daemon:
        before = document(daemon.atomctl("agents", "--json"))
        daemon.configure(good.replace("agents = (", "agnets = ("))
        said = fails(daemon.atomctl("reload"), 1, "agnets", "agents")
        assert re.search(r"atomd\.conf:\d+: ", said), said
        assert not said.endswith("\n\n"), said
        after = document(daemon.atomctl("agents", "--json"))
        assert [a["revision"] for a in before] == \
            [a["revision"] for a in after]
        daemon.configure(config(agents=[agent("echo"), agent("second")]))
        text = succeeds(daemon.atomctl("reload"))
        assert "second" in text and "1 unchanged" in text, text
        assert succeeds(daemon.atomctl("invoke", "second", "x")) == "x\n"


@test
def plugins_and_their_options_are_shown():
    with Daemon(config()) as daemon:
        listed = document(daemon.atomctl("plugins", "--json"))
        for plugin in listed:
            assert {"name", "kind", "version", "abi", "path", "state",
                    "calls", "last_error"} <= set(plugin), plugin
        assert ("backend", "echo") in {(p["kind"], p["name"])
                                       for p in listed}, listed
        rows = columns(succeeds(daemon.atomctl("plugins")), "PLUGIN")
        assert "backend/echo" in [row[0] for row in rows], rows
        shape = document(daemon.atomctl("plugin", "info", "backend/openai",
                                        "--json"))
        options = {option["name"]: option for option in shape["options"]}
        assert options["api_key"]["secret"] is True, options
        text = succeeds(daemon.atomctl("plugin", "info", "backend/openai"))
        rows = {row[0]: row for row in columns(text, "OPTION")}
        assert "base_url" in rows and "api_key" in rows, text
        fails(daemon.atomctl("plugin", "info", "backend/nothing"), 1,
              "nothing")


@test
def who_forgot_the_key_is_told_so_where_some_routes_need_none():
    with Daemon(config(security='anonymous_role = "caller";')) as daemon:
        fails(daemon.atomctl("agents", env=public(daemon)), 4,
              "the role caller, as of all who give no API key, lacks")


@test
def keys_open_what_their_role_may_do_and_nothing_after_revoking():
    with Daemon(config(security="")) as daemon:
        made = document(daemon.atomctl(
            "keys", "create", "--role", "caller", "--agents", "echo",
            "--expires", "30d", "--json"))
        assert set(made) >= {"id", "key", "role", "expires"}, made
        key = daemon.write("key", made["key"] + "\n", 0o600)
        env = public(daemon)
        fails(daemon.atomctl("invoke", "echo", "x", env=env), 4,
              "$ATOMD_KEY")
        assert succeeds(daemon.atomctl("invoke", "echo", "x", "--key-file",
                                       key, env=env)) == "x\n"
        fails(daemon.atomctl("agents", "--key-file", key, env=env), 4,
              "permission_denied")
        fails(daemon.atomctl("agents", env=dict(env, ATOMD_KEY="atm_a_b")),
              4, "invalid_api_key")
        text = succeeds(daemon.atomctl("keys", "list"))
        assert made["key"] not in text
        row = [r for r in columns(text, "ID") if r[0] == made["id"]][0]
        assert "caller" in row and "echo" in row, row
        succeeds(daemon.atomctl("keys", "revoke", made["id"]))
        fails(daemon.atomctl("invoke", "echo", "x", "--key-file", key,
                             env=env), 4, "invalid_api_key")
        fails(daemon.atomctl("keys", "revoke", "nosuchid"), 1)
        fails(daemon.atomctl("keys", "create", "--role", "emperor"), 1,
              "emperor")


@test
def logs_are_filtered_and_followed():
    agents = [agent("echo"), agent("other")]
    with Daemon(config(agents=agents)) as daemon:
        call = daemon.invoke("echo", "x").headers["x-request-id"]
        daemon.invoke("other", "x")
        lines = document(daemon.atomctl("logs", "--json"))
        assert "ready" in [line["event"] for line in lines], lines
        lines = document(daemon.atomctl("logs", call, "--json"))
        assert lines and all(call in json.dumps(line) for line in lines), \
            lines
        lines = document(daemon.atomctl("logs", "echo", "--json"))
        assert all(line["agent"] == "echo" for line in lines), lines
        assert len(document(daemon.atomctl("logs", "-n", "1", "--json"))) == 1

        process = subprocess.Popen(
            [atomctl_path(), "logs", "--follow"],
            env=daemon_environment(ATOMD_URL="unix:" + daemon.admin_sock),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            got = b""
            while b" ready" not in got:
                more = os.read(process.stdout.fileno(), 65536)
                assert more, got
                got += more
            later = daemon.invoke("echo", "x").headers["x-request-id"]
            while later.encode() not in got:
                more = os.read(process.stdout.fileno(), 65536)
                assert more, got
                got += more
            process.send_signal(signal.SIGINT)
            assert process.wait(seconds(20)) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@test
def top_prints_a_snapshot():
    with Daemon(config()) as daemon:
        daemon.invoke("echo", "x")
        text = succeeds(daemon.atomctl("top"))
        assert [row[0] for row in columns(text, "AGENT")] == ["echo"], text
        assert "1 agent\n" in text, text


@test
def a_stopped_daemon_cannot_be_reached():
    with Daemon(config()) as daemon:
        url = "unix:" + daemon.admin_sock
        daemon.stop()
        fails(daemon.atomctl("status"), 3, url)


if __name__ == "__main__":
    run()
