#!/usr/bin/env python3
"""The admin socket: whose connection it is, whoever holds it now."""

import os
import resource
import socket
import subprocess
import sys

from atomd_test import (Closed, Daemon, Wire, config, process_agent, run,
                        seconds, test, wait_for)

ASK = ("GET /admin/v1/agents HTTP/1.1\r\nHost: localhost\r\n\r\n")

# Connects to the admin socket and gives that connection to whoever listens
# at another one, as its argument or as a call says.
GIVE = r"""
import socket
def give(admin, listener):
    a = socket.socket(socket.AF_UNIX); a.connect(admin)
    to = socket.socket(socket.AF_UNIX); to.connect(listener)
    socket.send_fds(to, [b"x"], [a.fileno()])
    to.recv(1)
    return a
"""
OUTSIDER = GIVE + r"""
import sys
kept = give(sys.argv[1], sys.argv[2])
"""
WORKER = GIVE + r"""
import json, os
s = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
f = s.makefile("rw")
f.write('{"op":"ready","protocol":1,"name":"f","version":"1",'
        '"concurrency":1,"caps":[],"agents":{}}\n'); f.flush()
kept = []
for line in f:
    call = json.loads(line)
    if call["op"] != "call":
        continue
    kept.append(give(call["input"]["admin"], call["input"]["to"]))
    f.write(json.dumps({"op": "result", "id": call["id"],
                        "output": "given"}) + "\n"); f.flush()
"""


class Taker:
    """Takes one connection that somebody gives."""

    def __init__(self, daemon):
        self.path = os.path.join(daemon.dir, "taker.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(seconds(20))

    def take(self):
        self.giver, _ = self.listener.accept()
        self.giver.settimeout(seconds(20))
        _, fds, _, _ = socket.recv_fds(self.giver, 1, 1)
        taken = socket.socket(fileno=fds[0])
        taken.settimeout(seconds(20))
        return Wire(taken)

    def thank(self):
        """The giver may go on."""
        self.giver.sendall(b"x")

    def close(self):
        self.giver.close()
        self.listener.close()
        os.unlink(self.path)


@test
def a_connection_is_its_makers_while_that_lives_and_nobodys_after():
    with Daemon(config(security="")) as daemon:
        taker = Taker(daemon)
        outsider = subprocess.Popen([sys.executable, "-c", OUTSIDER,
                                     daemon.admin_sock, taker.path])
        with taker.take() as wire:
            # It may administer; to whom it gives its connection is its own
            # affair, and the kernel does not tell.
            assert wire.send(ASK).answer().status == 200
            taker.thank()
            assert outsider.wait(seconds(20)) == 0
            answer = wire.send(ASK).answer()
            assert (answer.status, answer.code) == (
                403, "permission_denied"), answer
            assert "gone" in answer.text, answer
        taker.close()


@test
def a_worker_cannot_give_away_what_it_does_not_have():
    with Daemon(config(agents=process_agent(
            "w", [sys.executable, "-c", WORKER]), security="")) as daemon:
        taker = Taker(daemon)
        caller = daemon.wire(daemon.post_bytes("/v1/agents/w/invoke", {
            "input": {"admin": daemon.admin_sock, "to": taker.path}}),
            admin=True)
        with taker.take() as wire:
            for _ in range(2):
                answer = wire.send(ASK).answer()
                assert (answer.status, answer.code) == (
                    403, "permission_denied"), answer
                assert "started" in answer.text, answer
            taker.thank()
            assert caller.answer().status == 200
            # Nor when it has ended: its number may be somebody else's.
            before = daemon.agents()["w"]
            answer = daemon.admin("POST", "/admin/v1/agents/w/restart", {})
            assert answer.status == 202, answer

            def refused():
                told = wire.send(ASK).answer()
                assert told.status == 403, told
                return "gone" in told.text
            wait_for(refused, 30, "the worker has ended: %s" % before)
        caller.close()
        taker.close()


@test
def a_key_works_over_the_admin_socket_for_whom_the_socket_does_not():
    with Daemon(config(agents=process_agent(
            "w", [sys.executable, "-c", WORKER]), security="")) as daemon:
        made = daemon.admin("POST", "/admin/v1/keys", {"role": "operator"})
        taker = Taker(daemon)
        with daemon.wire(daemon.post_bytes("/v1/agents/w/invoke", {
                "input": {"admin": daemon.admin_sock, "to": taker.path}}),
                admin=True):
            with taker.take() as wire:
                keyed = ASK[:-2] + "Authorization: Bearer %s\r\n\r\n" % (
                    made.json["key"])
                assert wire.send(keyed).answer().status == 200
                wrong = keyed.replace("atm_", "atm_x")
                assert wire.send(wrong).answer().status == 401
            taker.thank()
        taker.close()


class FewDescriptors:
    """So many descriptors of a daemon are free, while it lasts."""

    def __init__(self, daemon, free):
        self.pid, self.free = daemon.pid, free

    def __enter__(self):
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        used = {int(n) for n in os.listdir("/proc/%d/fd" % self.pid)}
        lowest = min(set(range(len(used) + 1)) - used)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE,
                         (lowest + self.free, self.before[1]))

    def __exit__(self, *_):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)


def unavailable(answer):
    """Whatever it opens for itself meanwhile may let us in."""
    assert answer.status in (200, 503), answer
    if answer.status == 200:
        return False
    assert answer.code == "state_unavailable", answer
    assert "Too many open files" in answer.text, answer
    return True


@test
def without_a_descriptor_to_look_with_nobody_is_taken_for_another():
    with Daemon(config(security="")) as daemon, daemon.wire(
            admin=True) as wire:
        assert wire.send(ASK).answer().status == 200

        def no_look():
            with FewDescriptors(daemon, 0):
                return unavailable(wire.send(ASK).answer())
        wait_for(no_look, 20, "a refusal without a descriptor")
        # The same connection is let in again.
        assert wire.send(ASK).answer().status == 200

        def came_with_the_last_one():
            with FewDescriptors(daemon, 1):
                try:
                    with daemon.wire(ASK, 2, admin=True) as late:
                        if not unavailable(late.answer()):
                            return False
                        # What could not be found out is not kept.
                        return late.at_end()
                except (Closed, ConnectionError, TimeoutError):
                    # It opened something itself: none was left to accept with.
                    return False
        wait_for(came_with_the_last_one, 20, "a refusal of the last one")
        assert daemon.admin("GET", "/admin/v1/agents").status == 200


if __name__ == "__main__":
    run()
