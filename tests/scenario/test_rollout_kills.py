#!/usr/bin/env python3
"""kill -9 at random moments of rollouts: each goes on, or never began.

Killed with it is, in half of them, all that the state folder had not synced.
ATOMD_TEST_KILLS=N kills N times instead of a few.  A failure names the seed;
ATOMD_TEST_SEED takes it again (moments are drawn, what the machine makes of
them is not).
"""

import http.client
import os
import random
import shlex
import shutil
import subprocess
import sys
import threading
import time

from atomd_test import (Daemon, config, run, source, string_list, test,
                        wait_for)

KILLS = int(os.environ.get("ATOMD_TEST_KILLS", "6"))
SEED = int(os.environ.get("ATOMD_TEST_SEED", random.randrange(1 << 30)))

# Says which revision it is of, and nothing else.
WORKER = r'''
import json, os, socket

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


send(op="ready", protocol=1, name="w", version="1", concurrency=1)
for line in sock.makefile("rb"):
    call = json.loads(line)
    if call["op"] == "call":
        send(op="result", id=call["id"], output=os.environ["NAME"])
'''


def body(name):
    return ('backend: { plugin = "process"; command = %s; '
            'env: { NAME = "%s"; }; };\n'
            'instances: { min = 1; max = 1; concurrency = 1; };\n'
            'deployment: { plugin = "canary"; judge = "none"; hold = "1ms"; '
            'rollback_window_ms = 0; };' % (
                string_list([sys.executable, "@DIR@/worker.py"]), name))


class Deployment(threading.Thread):
    """Sends the order; was it accepted before the daemon died?"""

    def __init__(self, daemon, name):
        super().__init__(daemon=True)
        self.server, self.label = daemon, name
        self.accepted, self.fault = False, None
        self.text = body(name).replace("@DIR@", daemon.dir)

    def run(self):
        try:
            answer = self.server.admin(
                "POST", "/admin/v1/agents/w/deployments",
                {"config": self.text, "supersede": True})
            assert answer.status == 202, answer
            self.accepted = True
        except (OSError, http.client.HTTPException):
            pass  # killed
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e


def weights_sum(daemon, where):
    row = daemon.agents()["w"]
    weights = [s["weight"] for s in row["split"]]
    assert sum(weights) == 10000, (where, row)
    assert 1 <= len(weights) <= 2, (where, row)
    return row


def settled(daemon, where):
    """The agent has one revision with one set of instances."""
    row = weights_sum(daemon, where)
    instances = daemon.metrics()
    ready = instances.sum("atomd_instances", agent="w", state="ready")
    starting = instances.sum("atomd_instances", agent="w", state="starting")
    draining = instances.sum("atomd_instances", agent="w", state="draining")
    return len(row["split"]) == 1 and (ready, starting, draining) == (
        1, 0, 0) and row


def kill_at_random_moments(daemon, lose=lambda: None):
    chance = random.Random(SEED)
    took_s, went_on, as_before = 1.0, 0, 0
    with daemon:
        serves, number = "r0", 1
        for n in range(1, KILLS + 1):
            where = "seed %d, kill %d" % (SEED, n)
            order = Deployment(daemon, "r%d" % n)
            began = time.monotonic()
            order.start()
            # The moment is what is drawn; nothing is waited for.  Early ones
            # are drawn more often: an order is stored within milliseconds.
            time.sleep(took_s * chance.random() ** 3)
            daemon.kill()
            order.join()
            lose()
            assert order.fault is None, (where, order.fault)
            daemon.start()
            row = wait_for(lambda w=where: settled(daemon, w), 60,
                           where + ": one revision, one set of instances")
            said = daemon.invoke("w", "x").json["output"]
            assert said in (serves, order.label), (where, said)
            if order.accepted:
                assert said == order.label, (where, said, serves)
            went_on += said == order.label
            as_before += said == serves
            assert row["revision"] >= number, (where, row)
            serves, number = said, row["revision"]
            if said == order.label and n <= 5:
                # Whole ones take about so long here.
                took_s = max(0.3, min(3.0, time.monotonic() - began))
        # Both have to have been met, or the moments were none.
        assert KILLS < 50 or (went_on and as_before), (went_on, as_before)
        print("# %d kills: %d went on, %d were as before" % (
            KILLS, went_on, as_before))


def daemon_of(**more):
    return Daemon(config(agents='{ name = "w"; %s }' % body("r0")),
                  files={"worker.py": WORKER}, **more)


@test
def a_rollout_killed_at_any_moment_goes_on_or_never_began():
    kill_at_random_moments(daemon_of())


def so_it_does_when_what_was_not_synced_is_lost():
    daemon = daemon_of()
    state, kept = daemon.dir + "/state", daemon.dir + "/kept"
    disk = daemon.dir + "/lying_disk.so"
    subprocess.run(
        [*shlex.split(os.environ.get("CC", "cc")), "-shared", "-fPIC", "-O1",
         "-o", disk, source("tests/scenario/lying_disk.c")],
        check=True)
    os.mkdir(kept, 0o700)
    daemon.env = {"LD_PRELOAD": disk, "LYING_DISK": state,
                  "LYING_DISK_KEPT": kept}
    lost = []

    def lose():
        """The state folder is what was synced of it, and nothing else."""
        now = {name: os.path.getsize(state + "/" + name)
               for name in os.listdir(state)}
        shutil.rmtree(state)
        shutil.copytree(kept, state, ignore=lambda _folder, names: [
            n for n in names if n[0] == "." or n.endswith(".making")])
        then = {name: os.path.getsize(state + "/" + name)
                for name in os.listdir(state)}
        assert then, "nothing was ever synced: the disk is not in between"
        lost.append(now != then)

    kill_at_random_moments(daemon, lose)
    # The index of the log is never synced, so that there always is something.
    assert all(lost), lost


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(so_it_does_when_what_was_not_synced_is_lost)


if __name__ == "__main__":
    run(int(60 + 30 * KILLS))
