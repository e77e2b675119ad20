#!/usr/bin/env python3
"""What the daemon remembers outlasts it; what it cannot keep it says."""

import glob
import json
import os
import random
import sys
import time

from atomd_test import (Daemon, Folder, agent, config, process_agent, run,
                        source, test, wait_for)
from issuer import Issuer

MEMORY = "memory: { max_messages = 100; };"
REMEMBERING = config(agents=agent("echo", more=MEMORY))
BOOTSTRAP = "kM3-vQ9_tZ7-wX1_bN5-rL8_"
SESSION = {"x-atomd-session": "s"}
PATH = "/v1/agents/echo/sessions/s"


def contents(daemon, path=PATH, key=None):
    answer = daemon.get(path, key=key)
    assert answer.status == 200, answer
    return [m["content"] for m in answer.json["messages"]]


def database(daemon):
    (path,) = [p for p in glob.glob(
        os.path.join(daemon.dir, "state", "**", "*"), recursive=True)
        if os.path.isfile(p) and open(p, "rb").read(16)
        == b"SQLite format 3\0"]
    return path


@test
def a_session_outlasts_a_restart():
    with Daemon(REMEMBERING) as daemon:
        for text in ("one", "two"):
            daemon.chat("echo", text, SESSION)
        daemon.stop()
        daemon.start()
        assert contents(daemon) == ["one", "one", "two", "two"]
        daemon.chat("echo", "three", SESSION)
        assert contents(daemon)[-2:] == ["three", "three"]
        daemon.stop()
        daemon.start()
        assert len(contents(daemon)) == 6


@test
def a_socket_may_lie_in_a_state_folder_that_is_made_for_it():
    """As `atomd run` has it for a user without a runtime folder, whose
    ~/.local/state need not be there either."""
    text = REMEMBERING.replace("@DIR@/admin.sock", "@DIR@/a/b/admin.sock")
    text = text.replace("@DIR@/state", "@DIR@/a/b")
    with Daemon(text) as daemon:
        assert daemon.admin_sock == os.path.join(daemon.dir, "a", "b",
                                                 "admin.sock")
        assert daemon.admin("GET", "/admin/v1/status").status == 200
        mode = os.stat(os.path.join(daemon.dir, "a", "b")).st_mode & 0o777
        assert mode == 0o700, oct(mode)


@test
def a_session_outlasts_a_kill_after_a_second():
    with Daemon(REMEMBERING) as daemon:
        daemon.chat("echo", "kept", SESSION)
        time.sleep(1.5)
        # A daemon that was held up meanwhile writes it when it goes on.
        wait_for(lambda: daemon.metrics().sum(
            "atomd_state_write_behind_bytes") == 0, what="it is written")
        daemon.kill()
        daemon.start()
        assert contents(daemon) == ["kept", "kept"]


@test
def a_daemon_killed_again_and_again_never_loses_its_store():
    chance = random.Random(7)
    with Daemon(REMEMBERING) as daemon:
        settled = 0
        for turn in range(6):
            for n in range(20):
                answer = daemon.chat("echo", "t%d-%d" % (turn, n), {
                    "x-atomd-session": "k%d" % n})
                assert answer.status == 200, answer
            time.sleep(chance.uniform(0, 0.3))
            daemon.kill()
            daemon.start()
            assert daemon.status()["system_status"] == "operational"
            kept = sum(daemon.get("/v1/agents/echo/sessions/k%d" % n
                                  ).status == 200 for n in range(20))
            assert kept >= settled, (kept, settled)
            settled = kept


@test
def the_state_of_a_worker_outlasts_a_restart():
    worker = process_agent(
        "w", [sys.executable, source("tests", "scenario", "worker.py")],
        more="instances: { min = 1; max = 1; concurrency = 1; };" + MEMORY)
    with Daemon(config(agents=worker)) as daemon:
        assert daemon.chat("w", "state", SESSION).content == "call 1"
        daemon.stop()
        daemon.start()
        assert daemon.chat("w", "state", SESSION).content == "call 2"


@test
def a_deleted_session_stays_deleted():
    with Daemon(REMEMBERING) as daemon:
        daemon.chat("echo", "gone", SESSION)
        daemon.delete(PATH)
        daemon.stop()
        daemon.start()
        assert daemon.get(PATH).status == 404


@test
def sessions_of_different_principals_stay_apart_over_a_restart():
    with Daemon(REMEMBERING) as daemon:
        keys = [daemon.admin("POST", "/admin/v1/keys",
                             {"role": "caller"}).json["key"]
                for _ in range(2)]
        for n, key in enumerate(keys):
            daemon.chat("echo", "from %d" % n, SESSION, key)
        daemon.stop()
        daemon.start()
        for n, key in enumerate(keys):
            assert contents(daemon, key=key) == ["from %d" % n] * 2


@test
def old_sessions_are_forgotten():
    text = config(agents=agent(
        "echo", more='memory: { max_messages = 10; max_age = "1s"; };'))
    with Daemon(text) as daemon:
        def remembered(text):
            """Once it is looked at within its second."""
            daemon.chat("echo", text, SESSION)
            answer = daemon.get(PATH)
            return answer.status == 200 and [
                m["content"] for m in answer.json["messages"]]
        said = wait_for(lambda: remembered("old"), 20, "the session")
        assert set(said) == {"old"}, said
        wait_for(lambda: daemon.get(PATH).status == 404, 20,
                 "the session is too old")
        said = wait_for(lambda: remembered("new"), 20, "a new one")
        assert set(said) == {"new"}, said


@test
def a_damaged_store_is_told_and_never_passed_over():
    with Daemon(REMEMBERING) as daemon:
        for n in range(50):
            daemon.chat("echo", "word " * 200, {
                "x-atomd-session": "s%d" % n})
        daemon.stop()
        path = database(daemon)
        size = os.path.getsize(path)
        with open(path, "r+b") as store:
            for at in range(4096, size, 4096):
                store.seek(at)
                store.write(os.urandom(2048))
        daemon.wait = None
        daemon.start()
        ended = []

        def told():
            if not daemon.running:
                ended.append(daemon.process.returncode)
                return True
            if daemon.admin_sock is None:
                return False
            try:
                return daemon.status()["system_status"] == "degraded"
            except OSError:
                return False
        wait_for(told, 60, "degraded, or a refusal to start")
        wait_for(lambda: any(line.get("level") == "error"
                             for line in daemon.lines),
                 what="an error in the log")
        if ended:
            assert ended[0] != 0, "it ended as if all were well"
            return
        text = json.dumps(daemon.status())
        assert "damaged" in text or "corrupt" in text or "malformed" in \
            text or "integrity" in text, text
        assert daemon.chat("echo", "hello").content == "hello"
        # What a session held is not taken for nothing.
        for session in ("s1", "new"):
            answer = daemon.chat("echo", "hello", {
                "x-atomd-session": session})
            assert (answer.status, answer.code) == (
                503, "state_unavailable"), answer
        step = daemon.status()["initialization_results"]["core_orchestrator"]
        assert "store is not" in step["details"], step


def spoil(daemon):
    """What is no database any more."""
    path = database(daemon)
    for ending in ("-wal", "-shm"):
        if os.path.exists(path + ending):
            os.remove(path + ending)
    with open(path, "r+b") as store:
        store.write(os.urandom(os.path.getsize(path)))


def flip(text):
    """The same key but for a wrong last character."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@test
def a_key_that_cannot_be_checked_is_503_and_no_other_credential_is():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        signer = issuer.add("EdDSA")
        token = issuer.token(signer, role="app")
        jwt = ('jwt = ( { issuer = "https://id.example"; audience = "atomd";'
               ' jwks = "jwks.json"; roles = ('
               ' { claim = "app"; role = "caller"; } ); } );'
               ' bootstrap_admin_key = "%s";' % BOOTSTRAP)
        with Daemon(config(security=jwt),
                    files={"jwks.json": issuer.jwks()}) as daemon:
            made = daemon.admin("POST", "/admin/v1/keys",
                                {"role": "caller"}).json
            assert daemon.chat("echo", "x", key=made["key"]).status == 200
            assert daemon.get("/readyz").status == 200
            daemon.stop()
            spoil(daemon)
            daemon.start()
            for _ in range(20):
                answer = daemon.chat("echo", "x", key=made["key"])
                assert (answer.status, answer.code) == (
                    503, "state_unavailable"), answer
                assert int(answer.headers["retry-after"]) > 0, answer
            # Nothing that would help to guess, and nobody is locked out.
            metrics = daemon.metrics()
            assert metrics.sum("atomd_auth_total", result="unchecked") == 20
            assert metrics.sum("atomd_auth_lockouts_total") == 0
            answer = daemon.chat("echo", "x", key=flip(made["key"]))
            assert (answer.status, answer.code) == (
                401, "invalid_api_key"), answer
            assert daemon.chat("echo", "x", key="sk-other").status == 401
            assert daemon.chat("echo", "x", key=token).status == 200
            assert daemon.get("/admin/v1/status",
                              key=BOOTSTRAP).status == 200
            answer = daemon.get("/readyz")
            assert (answer.status, answer.code) == (503, "not_ready"), answer
            assert "keys" in answer.text, answer
            status = daemon.status()
            (security,) = [c for c in status["components"]
                           if c["name"] == "security"]
            assert security["status"] == "degraded", security
            assert "store" in security["last_error"], security
            step = status["initialization_results"]["security_layer"]
            assert step["status"] == "failed", step
            # And no list that looks as if there were none.
            for answer in (
                    daemon.admin("GET", "/admin/v1/keys"),
                    daemon.admin("POST", "/admin/v1/keys",
                                 {"role": "caller"}),
                    daemon.admin("DELETE", "/admin/v1/keys/" + made["id"]),
                    daemon.admin("POST", "/admin/v1/keys/%s/rotate"
                                 % made["id"], {})):
                assert (answer.status, answer.code) == (
                    503, "state_unavailable"), answer


@test
def a_text_file_for_a_store_is_told():
    with Daemon(REMEMBERING) as daemon:
        daemon.chat("echo", "x", SESSION)
        daemon.stop()
        with open(database(daemon), "wb") as store:
            store.write(b"this is no database\n" * 1000)
        daemon.wait = None
        daemon.start()
        wait_for(lambda: not daemon.running or any(
            line.get("level") == "error" for line in daemon.lines), 60,
            "an error in the log")
        if daemon.running:
            wait_for(lambda: daemon.admin_sock is not None, 60, "listening")
            wait_for(lambda: daemon.status()[
                "system_status"] == "degraded", 30, "degraded")


@test
def the_store_survives_its_backup_copy():
    with Daemon(REMEMBERING) as daemon, Folder() as folder:
        daemon.chat("echo", "one", SESSION)
        daemon.stop()
        for base, _, names in os.walk(os.path.join(daemon.dir, "state")):
            for name in names:
                with open(os.path.join(base, name), "rb") as kept:
                    relative = os.path.relpath(
                        os.path.join(base, name), daemon.dir)
                    folder.write(relative, kept.read(), 0o600)
        os.chmod(folder.at("state"), 0o700)
        with Daemon(REMEMBERING, folder=folder) as other:
            assert contents(other) == ["one", "one"]


@test
def a_change_of_scale_or_file_is_told_apart_at_a_restart():
    sized = "instances: { min = 1; max = 4; concurrency = 1; };"
    first = config(agents=agent("echo", more=sized))
    with Daemon(first) as daemon:
        assert daemon.agents()["echo"]["revision"] == 1
        daemon.stop()
        daemon.start()
        assert daemon.agents()["echo"]["revision"] == 1, (
            "a restart made a revision")
        daemon.stop()
        daemon.configure(config(agents=agent(
            "echo", 'plugin = "echo"; prefix = "new ";', sized)))
        daemon.start()
        wait_for(lambda: daemon.agents()["echo"]["revision"] == 2, 30,
                 "the changed text to come in")
        assert daemon.chat("echo", "x").content == "new x"


if __name__ == "__main__":
    run()
