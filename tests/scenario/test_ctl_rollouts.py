#!/usr/bin/env python3
"""atomctl deploy --watch and rollout status|promote|abort|pause|resume|retry:
against a real daemon."""

import json
import subprocess

from atomctl_test import document, fails, succeeds
from atomd_test import (Daemon, agent, atomctl_path, config,
                        daemon_environment, run, seconds, test, wait_for)

MANUAL = ('deployment: { plugin = "canary"; rollback_window_ms = 60000; '
          'hold = "0"; steps = ( { percent = 5.0; manual = true; }, '
          '{ percent = 100.0; } ); };\n')
AT_ONCE = 'deployment: { plugin = "canary"; hold = "0"; };\n'
HELD = 'deployment: { plugin = "canary"; hold = "1h"; };\n'


def body(prompt, deployment):
    return ('backend: { plugin = "echo"; };\nsystem_prompt = "%s";\n%s' % (
        prompt, deployment)).encode()


def started(deployment=MANUAL):
    return Daemon(config(agents=agent(
        more='system_prompt = "one"; ' + deployment)))


def deploy(daemon, prompt, deployment, *more):
    return document(daemon.atomctl("--json", "deploy", "echo", "-f", "-",
                                   *more, stdin=body(prompt, deployment)))


def status(daemon, name="echo"):
    return document(daemon.atomctl("--json", "rollout", "status", name))


def waits(daemon, **members):
    def there():
        now = status(daemon)
        return all(now[k] == v for k, v in members.items()) and now
    return wait_for(there, 20, "the rollout has %r: %r" % (
        members, status(daemon)))


def serves(daemon, revision):
    """An order is stored, and then in force."""
    wait_for(lambda: {row["revision"] for row in
                      daemon.agents()["echo"]["split"] if row["weight"] > 0}
             == {int(revision)}, 20, "revision %s to serve" % revision)
    assert daemon.chat("echo", "x").headers["x-atomd-revision"] == revision


@test
def a_deployment_is_promoted_and_the_whole_shape_is_there():
    with started() as daemon:
        made = deploy(daemon, "two", MANUAL, "--reason", "CHG-9")
        assert made["revision"] == made["to"] == 2 and made["from"] == 1, made
        assert made["id"] and made["phase"] in ("Progressing", "Paused"), made
        now = waits(daemon, phase="Paused", weight=500, waits_for="person")
        assert {"id", "agent", "phase", "from", "to", "weight", "step",
                "steps", "reason", "analysis"} <= set(now), now
        assert now["why"] == "CHG-9" and now["who"], now
        assert status(daemon, now["id"])["id"] == now["id"]
        text = succeeds(daemon.atomctl("rollout", "status", "echo"))
        assert "5.00% of new calls" in text and "Paused" in text, text
        succeeds(daemon.atomctl("rollout", "promote", "echo"))
        waits(daemon, phase="Healthy", outcome="promoted")
        serves(daemon, "2")


@test
def a_second_deployment_is_refused_or_supersedes_as_asked():
    with started(HELD) as daemon:
        first = deploy(daemon, "two", HELD)
        fails(daemon.atomctl("deploy", "echo", "-f", "-",
                             stdin=body("three", HELD)), 1, "under way")
        assert status(daemon)["id"] == first["id"]
        second = deploy(daemon, "three", HELD, "--supersede")
        assert second["to"] == 3 and second["from"] in (1, 2), second
        assert second["id"] != first["id"], second
        assert status(daemon)["to"] == 3


@test
def a_rollout_is_paused_resumed_aborted_and_tried_again():
    with started(HELD) as daemon:
        deploy(daemon, "two", HELD)
        waits(daemon, weight=500)
        now = document(daemon.atomctl("--json", "rollout", "pause", "echo"))
        assert now["phase"] == "Paused" and now["waits_for"] == "person", now
        fails(daemon.atomctl("rollout", "pause", "echo"), 1, "paused already")
        now = document(daemon.atomctl("--json", "rollout", "resume", "echo"))
        assert now["waits_for"] != "person", now
        now = document(daemon.atomctl("--json", "rollout", "abort", "echo"))
        assert now["outcome"] == "aborted" and now["weight"] == 0, now
        assert now["phase"] == "Degraded", now
        waits(daemon, stage="over")
        serves(daemon, "1")
        fails(daemon.atomctl("rollout", "abort", "echo"), 1)
        succeeds(daemon.atomctl("rollout", "retry", "echo"))
        waits(daemon, outcome="open", weight=500)
        succeeds(daemon.atomctl("rollout", "promote", "echo", "--full"))
        waits(daemon, outcome="promoted")


@test
def an_aborted_one_is_tried_again_after_a_restart():
    with started(HELD) as daemon:
        first = deploy(daemon, "two", HELD)
        waits(daemon, weight=500)
        succeeds(daemon.atomctl("rollout", "abort", "echo"))
        waits(daemon, stage="over")
        for end in (daemon.stop, daemon.kill):
            end()
            daemon.start()
            assert daemon.agents()["echo"]["revision"] == 1
            now = status(daemon)
            assert now["outcome"] == "aborted", now
            assert now["id"] == first["id"], now
            succeeds(daemon.atomctl("rollout", "retry", "echo"))
            waits(daemon, outcome="open", weight=500)
            succeeds(daemon.atomctl("rollout", "abort", "echo"))
            waits(daemon, stage="over")
        succeeds(daemon.atomctl("rollout", "retry", "echo"))
        succeeds(daemon.atomctl("rollout", "promote", "echo", "--full"))
        waits(daemon, outcome="promoted")
        serves(daemon, "2")
        fails(daemon.atomctl("rollout", "retry", "echo"), 1,
              "only an aborted one")
        # And it is what it was.
        assert status(daemon)["outcome"] == "promoted"
        assert daemon.metrics().sum("atomd_rollout_weight", revision="2",
                                    agent="echo") == 10000


@test
def watch_ends_with_the_rollout_and_exits_by_how_it_ended():
    with started(AT_ONCE) as daemon:
        done = daemon.atomctl("deploy", "echo", "-f", "-", "--watch",
                              stdin=body("two", AT_ONCE))
        said = succeeds(done)
        lines = said.strip().split("\n")
        assert lines[-1].startswith("Healthy: "), said
        assert b"\x1b" not in done.stdout + done.stderr, done
        shape = document(daemon.atomctl(
            "--json", "deploy", "echo", "-f", "-", "--watch",
            stdin=body("three", AT_ONCE)))
        assert shape["outcome"] == "promoted" and shape["to"] == 3, shape


@test
def watch_exits_5_when_a_person_is_waited_for():
    with started() as daemon:
        done = daemon.atomctl("--json", "deploy", "echo", "-f", "-",
                              "--watch", stdin=body("two", MANUAL))
        assert done.returncode == 5, done
        assert json.loads(done.stdout)["waits_for"] == "person", done
        assert b"promote" in done.stderr, done
        done = daemon.atomctl("rollout", "status", "echo", "--watch")
        assert done.returncode == 5, done


@test
def watch_exits_1_when_the_rollout_is_aborted():
    with started(HELD) as daemon:
        watching = subprocess.Popen(
            [atomctl_path(), "deploy", "echo", "-f", "-", "--watch"],
            env=daemon_environment(ATOMD_URL="unix:" + daemon.admin_sock),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        try:
            watching.stdin.write(body("two", HELD))
            watching.stdin.close()
            assert b"of new calls" in watching.stdout.readline()
            succeeds(daemon.atomctl("rollout", "abort", "echo"))
            assert watching.wait(seconds(20)) == 1
            said = watching.stderr.read().decode()
            assert "aborted" in said, said
        finally:
            watching.kill()
            watching.wait()
            watching.stdout.close()
            watching.stderr.close()


@test
def what_is_no_rollout_is_told_and_permissions_hold():
    with started() as daemon:
        fails(daemon.atomctl("rollout", "status", "echo"), 1, "no rollout")
        fails(daemon.atomctl("rollout", "abort", "nobody"), 1, "no rollout")
        fails(daemon.atomctl("rollout", "status"), 2)
        fails(daemon.atomctl("rollout", "away", "echo"), 2, "promote")
        deploy(daemon, "two", MANUAL)

        def key(*more):
            return {"ATOMD_URL": daemon.url, "ATOMD_KEY": document(
                daemon.atomctl("--json", "keys", "create", *more))["key"]}
        reader = key("--role", "read_only")
        assert document(daemon.atomctl("--json", "rollout", "status", "echo",
                                       env=reader))["to"] == 2
        fails(daemon.atomctl("rollout", "abort", "echo", env=reader), 4)
        limited = key("--role", "admin", "--agents", "other")
        fails(daemon.atomctl("rollout", "abort", "echo", env=limited), 4)
        assert status(daemon)["outcome"] == "open"


@test
def orders_are_in_the_audit_log():
    sinks = 'audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );'
    with Daemon(config(agents=agent(
            more='system_prompt = "one"; ' + MANUAL), extra=sinks)) as daemon:
        deploy(daemon, "two", MANUAL)
        waits(daemon, waits_for="person")
        succeeds(daemon.atomctl("rollout", "abort", "echo"))
        rows = document(daemon.atomctl("--json", "audit", "search", "--type",
                                       "rollout.abort"))
        assert [r["details"]["phase"] for r in rows] == ["outcome"], rows
        assert rows[0]["details"]["result"] == "done", rows
        assert rows[0]["details"]["agent"] == "echo", rows


@test
def a_freeze_holds_what_goes_forward_and_nothing_that_goes_back():
    with started(MANUAL) as daemon:
        deploy(daemon, "two", MANUAL)
        waits(daemon, waits_for="person")
        shape = document(daemon.atomctl("--json", "freeze", "--reason",
                                        "an incident"))
        assert shape["frozen"] is True and shape["who"], shape
        assert shape["reason"] == "an incident", shape
        waits(daemon, waits_for="thaw", phase="Paused")
        fails(daemon.atomctl("rollout", "promote", "echo"), 1, "frozen")
        fails(daemon.atomctl("deploy", "echo", "-f", "-", "--supersede",
                             stdin=body("three", MANUAL)), 1,
              "frozen", "an incident")
        fails(daemon.atomctl("deploy", "new", "-f", "-", "--create",
                             stdin=body("new", MANUAL)), 1, "frozen")
        daemon.kill()
        daemon.start()
        frozen = daemon.admin("GET", "/admin/v1/freeze").json
        assert frozen == shape, (frozen, shape)
        waits(daemon, waits_for="thaw")
        succeeds(daemon.atomctl("rollout", "abort", "echo"))
        waits(daemon, outcome="aborted")
        assert document(daemon.atomctl("--json", "freeze", "--off")) == {
            "frozen": False}
        assert deploy(daemon, "three", AT_ONCE)["changed"] is True
        waits(daemon, outcome="promoted")
        daemon.stop()
        daemon.start()
        assert daemon.admin("GET", "/admin/v1/freeze").json == {
            "frozen": False}


@test
def an_undo_goes_through_a_freeze():
    with started(AT_ONCE) as daemon:
        deploy(daemon, "two", MANUAL)
        waits(daemon, waits_for="person")
        succeeds(daemon.atomctl("rollout", "promote", "echo", "--full"))
        waits(daemon, outcome="promoted")
        succeeds(daemon.atomctl("freeze"))
        succeeds(daemon.atomctl("undo", "echo", "--to", "1"))
        waits(daemon, to=1, outcome="promoted")
        fails(daemon.atomctl("deploy", "echo", "-f", "-",
                             stdin=body("three", AT_ONCE)), 1, "frozen")
        serves(daemon, "1")
        # So does one that takes the strategy's way.
        succeeds(daemon.atomctl("freeze", "--off"))
        deploy(daemon, "three", AT_ONCE)
        waits(daemon, to=3, outcome="promoted")
        succeeds(daemon.atomctl("freeze"))
        succeeds(daemon.atomctl("undo", "echo", "--to", "2"))
        waits(daemon, to=4, waits_for="person")
        succeeds(daemon.atomctl("rollout", "promote", "echo", "--full"))
        waits(daemon, to=4, outcome="promoted")


if __name__ == "__main__":
    run()
