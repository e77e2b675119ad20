#!/usr/bin/env python3
"""audit/journal against a double that decodes the native protocol, and against
systemd-journald where one can be started beside the system's."""

import array
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, run, seconds, test, wait_for  # noqa: E402
from audit_sink import EIO, ENOTSUP, ETIMEOUT, Sink  # noqa: E402

NOTE = "atomd-audit/0123456789abcdef\n5\nAAAA\n\n\u2014 key AAAA\n"


def decode(raw):
    """Fields of one entry, by https://systemd.io/JOURNAL_NATIVE_PROTOCOL."""
    fields, at = {}, 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        name, equals, value = raw[at:end].partition(b"=")
        at = end + 1
        if not equals:
            size = int.from_bytes(raw[at:at + 8], "little")
            value = raw[at + 8:at + 8 + size]
            assert raw[at + 8 + size:at + 9 + size] == b"\n", raw
            at += 9 + size
        name = name.decode()
        assert name not in fields, name
        assert name.replace("_", "").isalnum() and name.isupper(), name
        fields[name] = value.decode()
    return fields


class Journal:
    def __init__(self, folder):
        self.path = folder.at("socket")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(seconds(20))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)

    def receive(self):
        """One entry, and whether it came as a file."""
        raw, control, _, _ = self.socket.recvmsg(
            1 << 25, socket.CMSG_SPACE(4 * 4))
        files = array.array("i")
        for level, kind, content in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            files.frombytes(content)
        if not files:
            return decode(raw), False
        assert len(files) == 1 and not raw, (files, raw)
        seals = 1 | 2 | 4 | 8  # seal, shrink, grow, write
        assert fcntl.fcntl(files[0], 1034) == seals  # F_GET_SEALS
        with open(files[0], "rb") as f:
            f.seek(0)
            return decode(f.read()), True


def journal(folder, **more):
    options = {"socket": folder.at("socket"), "retry_max": "50ms",
               "accept_loss": True}
    options.update(more)
    return Sink("journal", **options)


@test
def an_entry_has_fields_to_select_by():
    record = ('{"address":"10.0.0.1","category":"security_events",'
              '"details":{"a":1},"event_type":"auth.failed","request-id":"r1",'
              '"sequence":7,"text":"two\\nlines","tries":-3,'
              '"user":"a\\u0000b\u00e9"}')
    with Folder() as folder, Journal(folder) as double, \
            journal(folder, identifier="unit 7") as sink:
        sink.record(7, record, "auth.failed")
        sink.sync()
        fields, _ = double.receive()
        assert fields == {
            "MESSAGE": "audit record 7: auth.failed (security_events) by a",
            "PRIORITY": "6", "SYSLOG_FACILITY": "13",
            "SYSLOG_IDENTIFIER": "unit 7", "ATOMD_SEQUENCE": "7",
            "ATOMD_TIME": "2023-11-14T22:13:20.007Z",
            "ATOMD_HASH": hashlib.sha256(record.encode()).hexdigest(),
            "ATOMD_CATEGORY": "security_events",
            "ATOMD_EVENT_TYPE": "auth.failed",
            "ATOMD_ADDRESS": "10.0.0.1", "ATOMD_REQUEST_ID": "r1",
            "ATOMD_TEXT": "two\nlines", "ATOMD_TRIES": "-3",
            "ATOMD_USER": "a\0b\u00e9", "ATOMD_RECORD": record}, fields


@test
def a_record_cannot_forge_fields_or_break_out_of_one():
    record = ('{"MESSAGE":"m","hash":"forged","record":"forged",'
              '"user":"x\\nPRIORITY=0\\nATOMD_HASH=0"}')
    with Folder() as folder, Journal(folder) as double, \
            journal(folder) as sink:
        sink.record(1, record, "a\x1bb")
        fields, _ = double.receive()
        assert fields["PRIORITY"] == "6"
        assert fields["ATOMD_RECORD"] == record
        assert fields["ATOMD_HASH"] != "forged"
        assert fields["ATOMD_MESSAGE"] == "m"
        assert fields["ATOMD_USER"] == "x\nPRIORITY=0\nATOMD_HASH=0"
        assert "by x_PRIORITY=0_" in fields["MESSAGE"], fields
        assert "\x1b" not in fields["MESSAGE"]
        sink.record(3, '{"user":""}')
        fields, _ = double.receive()
        assert "ATOMD_USER" not in fields and " by" not in fields["MESSAGE"]
        sink.record(4, "no json at all")
        fields, _ = double.receive()
        assert fields["ATOMD_RECORD"] == "no json at all"


@test
def a_checkpoint_keeps_its_lines():
    with Folder() as folder, Journal(folder) as double, \
            journal(folder) as sink:
        sink.checkpoint(12, NOTE)
        fields, _ = double.receive()
        assert fields["ATOMD_CHECKPOINT"] == NOTE, fields
        assert fields["ATOMD_EVENT_TYPE"] == "checkpoint"
        assert fields["ATOMD_SEQUENCE"] == "12"
        assert fields["ATOMD_VERIFIER"].startswith("atomd-audit/test+")


@test
def a_large_entry_comes_as_a_sealed_file():
    with Folder() as folder, Journal(folder) as double, \
            journal(folder) as sink:
        # The last is larger than the largest send buffer.
        for number, size in enumerate((100, 18000000, 200), 1):
            record = '{"zz":"%s"}' % ("x" * size)
            sink.record(number, record)
            fields, as_file = double.receive()
            assert as_file == (size > 200), (size, as_file)
            assert fields["ATOMD_RECORD"] == record
            assert fields["ATOMD_SEQUENCE"] == str(number)


@test
def a_journal_that_is_started_again_is_found_again():
    with Folder() as folder, journal(folder) as sink:
        answer = sink.write(1, 1, ok=False)
        assert answer["status"] == EIO and answer["retry_after_ms"] > 0
        with Journal(folder) as double:
            wait_for(lambda: sink.write(1, 3, ok=False)["status"] == 0, 20,
                     "taken")
            got = [double.receive()[0]["ATOMD_SEQUENCE"] for _ in range(3)]
            assert got == ["1", "2", "3"], got
        with Journal(folder) as double:
            # The connection is dead: at once a new one, and no failure.
            sink.write(4, 2)
            got = [double.receive()[0]["ATOMD_SEQUENCE"] for _ in range(2)]
            assert got == ["4", "5"], got
        assert len(sink.log_lines("audit_receiver_lost")) == 1
        assert len(sink.log_lines("audit_receiver_back")) == 1
        assert sink.metric("atomd_audit_remote_sent_total") == 5


@test
def a_journal_that_takes_nothing_holds_nobody_beyond_the_deadline():
    with Folder() as folder, Journal(folder) as double, \
            journal(folder, timeout="200ms") as sink:
        answer = sink.write(1, 100000, ok=False)
        assert answer["status"] == ETIMEOUT, answer
        assert len(sink.log_lines("audit_receiver_lost")) == 1
        # The host gives the same batch again: none is sent twice.
        got = [int(double.receive()[0]["ATOMD_SEQUENCE"])]
        count = got[0]
        answer = sink.write(1, 20, ok=False)
        while len(got) < 20:
            got.append(int(double.receive()[0]["ATOMD_SEQUENCE"]))
            if answer["status"] != 0:
                answer = sink.write(1, 20, ok=False)
        assert count == 1 and got == list(range(1, 21)), got


@test
def sync_does_not_promise_what_the_journal_cannot():
    with Folder() as folder, Journal(folder), \
            journal(folder, accept_loss=False) as sink:
        sink.write(1, 1)
        answer = sink.sync(ok=False)
        assert answer["status"] == ENOTSUP, answer
        assert "accept_loss" in answer["error"], answer


def control(folder, replies):
    """journald's varlink socket; answers with `replies` in turn."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(folder.at("control"))
    server.listen(4)
    asked = []

    def serve():
        for reply in replies:
            peer, _ = server.accept()
            peer.settimeout(seconds(20))
            asked.append(peer.recv(4096))
            if reply is not None:
                peer.sendall(reply)
                peer.close()
            else:
                asked.append(peer)  # says nothing, and stays

    threading.Thread(target=serve, daemon=True).start()
    return server, asked


@test
def synchronize_heeds_the_answer_and_the_deadline():
    with Folder() as folder, Journal(folder), journal(
            folder, synchronize=True,
            control_socket=folder.at("control")) as sink, journal(
            folder, synchronize=True, timeout="300ms",
            control_socket=folder.at("control")) as hasty:
        assert sink.sync(ok=False)["status"] == EIO
        server, asked = control(folder, [
            b'{"parameters":{}}\0', b'{"error":"io.systemd.Bad"}\0',
            b"garbage\0", b"", None])
        assert sink.sync()["status"] == 0
        assert asked[0] == (
            b'{"method":"io.systemd.Journal.Synchronize"}\0'), asked
        answer = sink.sync(ok=False)
        assert answer["status"] == EIO and "Bad" in answer["error"], answer
        assert sink.sync(ok=False)["status"] == 12  # ATOM_EPROTO
        assert sink.sync(ok=False)["status"] == EIO
        assert hasty.sync(ok=False)["status"] == ETIMEOUT
        server.close()


# --- systemd's own ---------------------------------------------------------

JOURNALD = "/lib/systemd/systemd-journald"


def journald_may_run():
    """It has fixed paths below /run, so it needs a mount namespace."""
    if os.geteuid() != 0 or not os.path.exists(JOURNALD) or \
            not shutil.which("unshare") or not shutil.which("journalctl"):
        return False
    with Folder() as folder:
        return subprocess.run(
            ["unshare", "-m", "mount", "--bind", folder.path, "/run"],
            capture_output=True).returncode == 0


class Journald:
    def __init__(self, folder):
        self.run = folder.at("run")

    def __enter__(self):
        os.makedirs(os.path.join(self.run, "log/journal"))
        os.makedirs(os.path.join(self.run, "systemd/journal"))
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             'mount --bind "$1" /run && exec ' + JOURNALD, "sh", self.run],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.socket = os.path.join(self.run, "systemd/journal/socket")
        self.control = os.path.join(self.run,
                                    "systemd/journal/io.systemd.journal")
        wait_for(lambda: os.path.exists(self.control), 20, "journald is up")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def entries(self):
        done = subprocess.run(
            ["journalctl", "-D", os.path.join(self.run, "log/journal"),
             "--no-pager", "--all", "-o", "json", "SYSLOG_FACILITY=13"],
            check=True, capture_output=True)
        return [json.loads(l) for l in done.stdout.split(b"\n") if l]


def what_journald_has_synced_survives_its_death():
    with Folder() as folder, Journald(folder) as journald, journal(
            folder, socket=journald.socket, synchronize=True,
            control_socket=journald.control) as sink:
        sink.write(1, 500, 400)
        sink.record(501, '{"zz":"%s"}' % ("x" * 500000))
        sink.checkpoint(501, NOTE)
        sink.sync()
        journald.process.send_signal(signal.SIGKILL)
        journald.process.wait()
        entries = journald.entries()
        assert [e["ATOMD_SEQUENCE"] for e in entries] == [
            str(n) for n in range(1, 502)] + ["501"]
        assert entries[0]["ATOMD_USER"] == "alice"
        assert entries[-1]["ATOMD_CHECKPOINT"] == NOTE
        assert len(entries[500]["ATOMD_RECORD"]) == 500009
        for entry in entries[:-1]:
            assert hashlib.sha256(entry["ATOMD_RECORD"].encode()).hexdigest(
            ) == entry["ATOMD_HASH"]


if journald_may_run():
    test(what_journald_has_synced_survives_its_death)
else:
    print("# no systemd-journald can be started here beside the system's")


if __name__ == "__main__":
    run()
