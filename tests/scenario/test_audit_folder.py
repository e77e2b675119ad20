#!/usr/bin/env python3
"""The folder of a live daemon's audit log, looked at by atomctl alone."""

import json
import os

from atomctl_test import document, fails, run_atomctl, succeeds
from atomd_test import Daemon, config, run, test, wait_for


def audited(more=""):
    return config(extra="audit_sinks = ( { plugin = \"file\"; path = "
                        "\"audit\"; required = true; %s } );" % more)


def make_keys(daemon, count):
    for i in range(count):
        answer = daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "name": "key %d" % i})
        assert answer.status == 201, answer


@test
def a_running_a_stopped_and_a_killed_daemons_log_is_sound():
    with Daemon(audited()) as daemon:
        folder = os.path.join(daemon.dir, "audit")
        make_keys(daemon, 5)
        seen = document(run_atomctl("audit", "verify", folder, "--json"))
        assert seen["verdict"] == "sound" and seen["records"] >= 10, seen
        make_keys(daemon, 3)
        daemon.kill()
        killed = document(run_atomctl("audit", "verify", folder, "--json"))
        assert killed["verdict"] == "sound", killed
        assert killed["records"] >= seen["records"] + 6, killed
        assert killed["unknown_files"] == [], killed


@test
def without_a_folder_the_daemon_says_which_is_its_own():
    with Daemon(audited()) as daemon:
        make_keys(daemon, 3)
        named = document(run_atomctl(
            "audit", "verify", os.path.join(daemon.dir, "audit"), "--json"))
        seen = document(daemon.atomctl("audit", "verify", "--json"))
        assert seen["verdict"] == "sound", seen
        assert seen["records"] >= named["records"] >= 6, (seen, named)
        wait_for(lambda: os.path.exists(
            os.path.join(daemon.dir, "audit", "head")), 10, "a signed head")
        proof = document(daemon.atomctl("audit", "prove", "1", "--json"))
        assert json.loads(proof["record"])["sequence"] == 1, proof
        # It is the running daemon's key that counts, not the folder's.
        with Daemon(audited()) as other:
            stranger = other.admin("GET", "/admin/v1/status").json["audit"]
        with open(os.path.join(daemon.dir, "audit", "verifier.pub"), "w",
                  encoding="utf-8") as file:
            file.write(stranger["verifier"] + "\n")
        done = daemon.atomctl("audit", "verify", "--json")
        assert json.loads(done.stdout)["verdict"] == "tampered", done
        daemon.stop()
        fails(daemon.atomctl("audit", "verify"), 3, "cannot reach")
    with Daemon(config()) as daemon:
        fails(daemon.atomctl("audit", "verify"), 1, "no audit log")


@test
def a_sealed_log_is_verified_and_proved_with_the_keyring():
    with Daemon(audited("encrypt = true;")) as daemon:
        folder = os.path.join(daemon.dir, "audit")
        keyring = os.path.join(daemon.dir, "state", "keyring")
        make_keys(daemon, 5)
        daemon.stop()
        said = fails(run_atomctl("audit", "verify", folder), 1, "incomplete",
                     "sealed", "keyring")
        assert "tampered" not in said, said
        seen = document(run_atomctl("audit", "verify", folder, "--json",
                                    "--keyring", keyring))
        assert seen["verdict"] == "sound" and seen["unread"] == 0, seen
        fails(run_atomctl("audit", "prove", "1", folder), 1, "keyring")
        proof = document(run_atomctl("audit", "prove", "1", folder,
                                     "--keyring", keyring))
        assert json.loads(proof["record"])["sequence"] == 1, proof
        path = os.path.join(daemon.dir, "proof")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(proof, file)
        assert "record 1 is in log" in succeeds(
            run_atomctl("audit", "prove", "--check", path))


if __name__ == "__main__":
    raise SystemExit(run())
