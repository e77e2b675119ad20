#!/usr/bin/env python3
"""kill -9 in the middle of audited actions: what was answered is on record,
the log is sound, and the next start is quick.

ATOMD_TEST_KILLS=N kills N times instead of a few.
"""

import json
import os
import random
import re
import selectors
import signal
import socket
import time

from atomd_test import Daemon, config, run, seconds, test

KILLS = int(os.environ.get("ATOMD_TEST_KILLS", "4"))
CALLERS = 64
# What was looked at is pruned after so many, that a long run fills no disk.
LOOK_EVERY = 50
AUDIT = ('audit_sinks = ( { plugin = "file"; path = "@DIR@/audit";\n'
         '                  segment_size = "1M"; } );')
# What is promised on a machine that has time for it, and what is asserted on
# one that has not.
START_S, START_AT_MOST_S = 2, 20

BODY = b'{"instances":1}'
ORDER = (b"POST /admin/v1/agents/echo/scale HTTP/1.1\r\nHost: localhost\r\n"
         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
         % (len(BODY), BODY))


# Canonical: its members have one order.
RECORD = re.compile(rb'R \d+ \w+ {"address":[^{]*"details":{[^}]*"phase":'
                    rb'"(\w+)"[^}]*}.*?,"request_id":"(\w+)"')


class Caller:
    """A connection with one audited action under way, always."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(seconds(60))
        self.sock.connect(path)
        self.heard = b""
        self.sock.sendall(ORDER)

    def hear(self):
        """How many answers have come, and the request ids of those that
        were recorded; None: it is over."""
        try:
            more = self.sock.recv(65536)
        except ConnectionError:
            return None
        if not more:
            return None
        self.heard += more
        count, recorded = 0, []
        while True:
            head, end, rest = self.heard.partition(b"\r\n\r\n")
            if not end:
                break
            lines = head.decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:])
            length = int(fields["content-length"])
            if len(rest) < length:
                break
            # A disk may take longer than an answer waits for its record.
            status = lines[0].split(" ")[1]
            assert status in ("200", "503"), (head, rest)
            if status == "200" and fields.get("x-atomd-audit") != "pending":
                recorded.append(fields["x-request-id"])
            count += 1
            self.heard = rest[length:]
        return count, recorded

    def order(self, times):
        try:
            for _ in range(times):
                self.sock.sendall(ORDER)
        except ConnectionError:
            pass


def rush(daemon, enough, pause):
    """64 audited actions at once until `enough` are answered; then, a moment
    later, the kill.  Whatever was answered, to the last byte that came."""
    acknowledged = []
    killed = False
    waiting = selectors.DefaultSelector()
    for _ in range(CALLERS):
        caller = Caller(daemon.admin_sock)
        waiting.register(caller.sock, selectors.EVENT_READ, caller)
    while waiting.get_map():
        events = waiting.select(seconds(60))
        assert events, "a caller hangs"
        for key, _ in events:
            heard = key.data.hear()
            if heard is None:
                waiting.unregister(key.fileobj)
                key.fileobj.close()
                continue
            acknowledged += heard[1]
            if not killed:
                key.data.order(heard[0])
        if not killed and len(acknowledged) >= enough:
            time.sleep(pause)
            daemon.signal(signal.SIGKILL)
            killed = True
    assert killed, "it ended by itself"
    assert daemon.wait_end() == -signal.SIGKILL
    return acknowledged


def records(folder, read=None):
    """(request id, phase) of every record in the folder, or of those behind
    what was read before: {file name: bytes}, brought up to date."""
    found = set()
    for name in os.listdir(folder):
        if name.endswith(".new"):
            continue  # it has its own name soon
        with open(os.path.join(folder, name), "rb") as f:
            at = f.seek((read or {}).get(name, 0))
            for line in f:
                if not line.endswith(b"\n"):
                    break
                at += len(line)
                record = RECORD.match(line)
                if record:
                    phase, request = record.groups()
                    found.add((request.decode(), phase.decode()))
        if read is not None:
            read[name] = at
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


def prune(daemon):
    last = daemon.admin("GET", "/admin/v1/audit?limit=1").json["last"]
    answer = daemon.admin("POST", "/admin/v1/audit/prune", {"before": last},
                          timeout=120)
    assert answer.status == 200, answer


def timed_start(daemon):
    began = time.monotonic()
    daemon.start()
    return time.monotonic() - began


def tell(kills, actions, starts):
    starts = sorted(starts)
    print("# %d kills, %d actions acknowledged; next start: median %.3f s, "
          "99th of 100 %.3f s, longest %.3f s, %d of %d within %d s" % (
              kills, actions, starts[len(starts) // 2],
              starts[len(starts) * 99 // 100], starts[-1],
              sum(s <= START_S for s in starts), len(starts), START_S),
          flush=True)


@test
def no_acknowledged_action_is_missing_after_any_kill():
    chance = random.Random(20261128)
    actions, kept, starts, read = 0, [], [], {}
    with Daemon(config(extra=AUDIT)) as daemon:
        folder = os.path.join(daemon.dir, "audit")
        for kill in range(1, KILLS + 1):
            # At no moment in particular.
            acknowledged = rush(daemon, chance.randint(1, 4 * CALLERS),
                                chance.random() * 0.005)
            must_be_there(acknowledged, records(folder, read))
            actions += len(acknowledged)
            kept += acknowledged
            look = kill % LOOK_EVERY == 0 or kill == KILLS
            if look:
                must_be_sound(daemon, folder)
            starts.append(timed_start(daemon))
            assert starts[-1] <= seconds(START_AT_MOST_S), starts[-1]
            if look:
                must_be_there(kept, records(folder))
                kept = []
                prune(daemon)
                must_be_sound(daemon, folder)
                tell(kill, actions, starts)
        assert actions >= KILLS
        assert daemon.admin("GET", "/admin/v1/status").json[
            "system_status"] == "operational"


no_acknowledged_action_is_missing_after_any_kill.deadline = 120 + 30 * KILLS


@test
def a_log_of_which_a_kill_left_the_key_alone_goes_on_from_nothing():
    with Daemon(config(extra=AUDIT)) as daemon:
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        folder = daemon.dir + "/audit"
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        for name in ("audit.head", "audit.head.new"):
            if os.path.exists(daemon.dir + "/state/" + name):
                os.unlink(daemon.dir + "/state/" + name)
        assert os.path.exists(daemon.dir + "/state/audit.key")
        daemon.start()
        answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                              {"instances": 1})
        assert answer.status == 200, answer
        done = daemon.atomctl("--json", "audit", "verify", folder)
        assert done.returncode == 0, done


if __name__ == "__main__":
    run()
