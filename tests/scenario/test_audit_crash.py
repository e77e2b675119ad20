#!/usr/bin/env python3
"""kill -9 in the middle of audited actions: what was answered is on record.

ATOMD_TEST_KILLS=N kills N times instead of a few.
"""

import json
import os
import random
import signal
import threading
import time

from atomd_test import Daemon, config, run, test

KILLS = int(os.environ.get("ATOMD_TEST_KILLS", "4"))
CALLERS = 64
AUDIT = ('audit_sinks = ( { plugin = "file"; path = "@DIR@/audit";\n'
         '                  segment_size = "1M"; } );')


class Callers:
    """Threads that order audited actions until the daemon is gone; what was
    answered with 200 is `acknowledged`, by its request id."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.acknowledged = []
        self.begun = threading.Event()
        self.threads = [threading.Thread(target=self.order, daemon=True)
                        for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def order(self):
        while True:
            try:
                answer = self.daemon.admin(
                    "POST", "/admin/v1/agents/echo/scale", {"instances": 1})
            except (OSError, EOFError, ValueError, AssertionError):
                return
            except Exception as error:  # http.client's, of a cut answer
                if type(error).__module__ == "http.client":
                    return
                raise
            assert answer.status == 200, answer
            self.acknowledged.append(answer.headers["x-request-id"])
            self.begun.set()

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a caller hangs"


def records(folder, since=0.0):
    """(request id, phase) of every record in files written since then."""
    found = set()
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.stat(path).st_mtime < since:
            continue
        with open(path, "rb") as f:
            for line in f:
                at = line.find(b'{"address"')
                if at < 0 or not line.endswith(b"\n"):
                    continue
                record = json.loads(line[at:])
                found.add((record["request_id"],
                           record["details"].get("phase")))
    return found


def must_be_there(acknowledged, found):
    for request in acknowledged:
        for phase in ("intent", "outcome"):
            assert (request, phase) in found, (
                "the %s of %s is missing" % (phase, request))


def must_be_sound(daemon, folder):
    done = daemon.atomctl("--json", "audit", "verify", folder, timeout=300)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert json.loads(done.stdout)["verdict"] == "sound"


@test
def no_acknowledged_action_is_missing_after_any_kill():
    chance = random.Random(20261128)
    acknowledged = []
    with Daemon(config(extra=AUDIT)) as daemon:
        folder = os.path.join(daemon.dir, "audit")
        for kill in range(KILLS):
            began = time.time() - 1
            callers = Callers(daemon)
            assert callers.begun.wait(60), "no action was answered"
            # At no moment in particular.
            time.sleep(chance.random() * 0.3)
            daemon.signal(signal.SIGKILL)
            assert daemon.wait_end() == -signal.SIGKILL
            callers.join()
            acknowledged += callers.acknowledged
            must_be_there(callers.acknowledged, records(folder, began))
            if kill % 50 == 0 or kill == KILLS - 1:
                must_be_sound(daemon, folder)
            daemon.start()
        assert len(acknowledged) >= KILLS
        must_be_there(acknowledged, records(folder))
        assert daemon.admin("GET", "/admin/v1/status").json[
            "system_status"] == "operational"


if __name__ == "__main__":
    run()
