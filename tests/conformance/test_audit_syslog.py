#!/usr/bin/env python3
"""audit/syslog against rsyslog from Debian, and against peers that misbehave."""

import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, run, seconds, test, wait_for  # noqa: E402
from audit_sink import (EINVAL, EIO, ENOTSUP, ETIMEOUT, Sink,  # noqa: E402
                        Skip)
from certificates import authority, certificate, free_port  # noqa: E402

NOTE = "atomd-audit/0123456789abcdef\n5\nAAAA\n\n\u2014 key AAAA\n"

# RFC 5424: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG
MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) "
    rb"\[(\S+)((?: [a-z]+=\"(?:[^\"\\\]]|\\.)*\")*)\] (.*)", re.S)


class Message:
    def __init__(self, raw):
        match = MESSAGE.fullmatch(raw)
        assert match, raw
        (self.pri, self.time, self.host, self.app, self.procid, self.msgid,
         self.sd_id, sd, self.text) = match.groups()
        self.sd = dict(re.findall(rb' ([a-z]+)="((?:[^"\\]|\\.)*)"', sd))
        self.sequence = int(self.sd[b"sequence"])


# --- rsyslog ---------------------------------------------------------------

RSYSLOG = """
global(workDirectory="@DIR@"@TLS_FILES@)
module(load="@MODULE@"@TLS_MODULE@)
template(name="whole" type="list") {
    property(name="syslogtag") constant(value="|")
    property(name="app-name") constant(value="|")
    property(name="msgid") constant(value="|")
    property(name="syslogfacility") constant(value="|")
    property(name="syslogseverity") constant(value="|")
    property(name="structured-data") constant(value="|")
    property(name="msg") constant(value="\\n")
}
input(type="@MODULE@" address="127.0.0.1" port="@PORT@"@FRAMING@)
action(type="omfile" file="@DIR@/messages" template="whole"
       asyncWriting="off" flushOnTXEnd="on")
"""


def rsyslog_path():
    for path in (shutil.which("rsyslogd"), "/usr/sbin/rsyslogd"):
        if path and os.path.exists(path):
            return path
    raise Skip("rsyslogd is missing")


class Rsyslog:
    """rsyslogd on a port of its own; writes what it gets into a file."""

    def __init__(self, transport, folder, client=False):
        self.program, self.transport = rsyslog_path(), transport
        self.folder, self.client, self.port = folder, client, None

    def configuration(self):
        text = RSYSLOG
        tls_files = tls_module = framing = ""
        if self.transport == "tls":
            tls_files = (
                ' defaultNetstreamDriverCAFile="@DIR@/ca.pem"'
                ' defaultNetstreamDriverCertFile="@DIR@/server.pem"'
                ' defaultNetstreamDriverKeyFile="@DIR@/server.key"')
            tls_module = (
                ' streamDriver.name="gtls" streamDriver.mode="1"'
                ' streamDriver.authMode="%s"' % (
                    "x509/certvalid" if self.client else "anon"))
        for name, value in (
                ("TLS_FILES", tls_files), ("TLS_MODULE", tls_module),
                ("FRAMING", framing), ("DIR", self.folder.path),
                ("PORT", self.port),
                ("MODULE",
                 "imudp" if self.transport == "udp" else "imtcp")):
            text = text.replace("@%s@" % name, str(value))
        return text

    def __enter__(self):
        for _ in range(5):
            # A receiver that comes back is where it was.
            port = self.port or free_port(
                socket.SOCK_DGRAM if self.transport == "udp"
                else socket.SOCK_STREAM)
            self.port = port
            path = self.folder.write("rsyslog.conf", self.configuration())
            self.errors = open(self.folder.at("rsyslog.err"), "ab")
            self.process = subprocess.Popen(
                [self.program, "-n", "-f", path, "-i",
                 self.folder.at("rsyslog.pid")], stdin=subprocess.DEVNULL,
                stdout=self.errors, stderr=self.errors)
            wait_for(lambda: self.process.poll() is not None
                     or self.listens(), 30, what="rsyslogd listens")
            if self.process.poll() is None:
                return self
            self.errors.close()
        with open(self.folder.at("rsyslog.err"), "rb") as f:
            text = f.read().decode()
        if "lmnsd_gtls" in text:
            raise Skip("rsyslog-gnutls is missing")
        raise AssertionError(text)

    def listens(self):
        name = "udp" if self.transport == "udp" else "tcp"
        with open("/proc/net/" + name, encoding="ascii") as f:
            local = "0100007F:%04X" % self.port
            return any(line.split()[1] == local for line in
                       list(f)[1:] if name == "udp"
                       or line.split()[3] == "0A")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(seconds(20))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def lines(self):
        try:
            with open(self.folder.at("messages"), "rb") as f:
                return f.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def sequences(self):
        return [int(re.search(rb'sequence="(\d+)"', line).group(1))
                for line in self.lines()]


def check_line(line, sequence):
    _, app, msgid, facility, severity, sd, text = line.split(b"|", 6)
    assert (app, msgid, facility, severity) == (
        b"atomd", b"test.event", b"13", b"6"), line
    record = json.loads(text)
    assert record["sequence"] == sequence
    digest = hashlib.sha256(text.strip()).hexdigest().encode()
    assert b'hash="%s"' % digest in sd, (sd, digest)


def all_arrive(transport, folder, **more):
    with Rsyslog(transport, folder) as rsyslog:
        with Sink("syslog", server="127.0.0.1", port=rsyslog.port,
                  transport=transport, accept_loss=True, **more) as sink:
            count = 200 if transport == "udp" else 3000
            for first in range(1, count + 1, 50):
                sink.write(first, 50, 300)
                sink.sync()
                # A full socket buffer loses datagrams: no more at once
                # than it holds.
                wait_for(lambda: transport != "udp" or
                         len(rsyslog.lines()) >= first + 49, 30, "a batch")
            wait_for(lambda: len(rsyslog.lines()) >= count, 30,
                     "all messages")
            for number, line in enumerate(rsyslog.lines(), 1):
                check_line(line, number)
            sink.checkpoint(count, NOTE)
            wait_for(lambda: len(rsyslog.lines()) == count + 1, 30,
                     "the checkpoint")
            line = rsyslog.lines()[-1]
            assert b"|checkpoint|" in line, line
            assert json.loads(line.split(b"|", 6)[6]) == NOTE, line
            assert sink.metric("atomd_audit_remote_sent_total") == count + 1


@test
def rsyslog_gets_every_record_in_order_over_udp():
    with Folder() as folder:
        all_arrive("udp", folder)


@test
def rsyslog_gets_every_record_in_order_over_tcp():
    with Folder() as folder:
        all_arrive("tcp", folder)


@test
def rsyslog_gets_every_record_in_order_over_tls():
    with Folder() as folder:
        ca = authority(folder, "ca")
        certificate(folder, "ca", "server", "IP:127.0.0.1")
        all_arrive("tls", folder, ca_file=ca)


@test
def rsyslog_takes_our_certificate_and_refuses_who_has_none():
    with Folder() as folder:
        ca = authority(folder, "ca")
        certificate(folder, "ca", "server", "IP:127.0.0.1")
        certificate(folder, "ca", "client", "DNS:client")
        with Rsyslog("tls", folder, client=True) as rsyslog:
            options = {"server": "127.0.0.1", "port": rsyslog.port,
                       "ca_file": ca, "accept_loss": True}
            with Sink("syslog", certificate=folder.at("client.pem"),
                      key=folder.at("client.key"), **options) as sink:
                sink.write(1, 10)
                sink.sync()
                wait_for(lambda: len(rsyslog.lines()) == 10, 30,
                         "ten messages")
            with Sink("syslog", timeout="2s", **options) as sink:
                sink.write(11, 1)
                wait_for(lambda: sink.sync(ok=False)["status"] != 0
                         or sink.log_lines("audit_receiver_lost"), 10,
                         "the refusal")
            assert len(rsyslog.lines()) == 10


@test
def what_a_receiver_missed_comes_after_it_is_back():
    with Folder() as folder:
        with Rsyslog("tcp", folder) as rsyslog, \
                Sink("syslog", server="127.0.0.1", port=rsyslog.port,
                     transport="tcp", accept_loss=True,
                     retry_max="200ms") as sink:
            sink.write(1, 10)
            sink.sync()
            wait_for(lambda: len(rsyslog.lines()) == 10, 30, "ten")
            rsyslog.__exit__()
            for first in range(11, 111, 10):
                assert sink.write(first, 10)["status"] == 0
                assert sink.sync(ok=False)["status"] == EIO
            assert len(sink.log_lines("audit_receiver_lost")) == 1
            with rsyslog:
                wait_for(lambda: sink.sync(ok=False)["status"] == 0, 30,
                         "the sink is back")
                wait_for(lambda: len(rsyslog.lines()) >= 110, 30, "110")
                assert rsyslog.sequences() == list(range(1, 111))
                assert len(sink.log_lines("audit_receiver_back")) == 1
                sink.destroy()


# --- peers of our own ------------------------------------------------------

class Listener:
    def __init__(self, kind=socket.SOCK_STREAM):
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(seconds(20))
        if kind == socket.SOCK_STREAM:
            self.socket.listen(8)
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def accept(self):
        peer, _ = self.socket.accept()
        peer.settimeout(seconds(20))
        return peer


def read_frames(peer, count):
    """`count` messages, framed by octet counting."""
    held, frames = b"", []
    while len(frames) < count:
        match = re.match(rb"([1-9]\d*) ", held)
        if match and len(held) >= match.end() + int(match.group(1)):
            end = match.end() + int(match.group(1))
            frames.append(Message(held[match.end():end]))
            held = held[end:]
            continue
        more = peer.recv(65536)
        assert more, (frames, held)
        held += more
    assert not held, held
    return frames


def tcp(listener, **more):
    options = {"server": "127.0.0.1", "port": listener.port,
               "transport": "tcp", "accept_loss": True,
               "retry_max": "100ms"}
    options.update(more)
    return Sink("syslog", **options)


@test
def a_message_has_every_part_of_rfc_5424():
    with Listener(socket.SOCK_DGRAM) as listener, \
            tcp(listener, transport="udp", facility="local3",
                hostname="a host\u00e9", app_name="my app",
                structured_id="audit@1") as sink:
        sink.record(7, '{"a":"b"}', "agent.deploy to \u00fc and much longer")
        sink.sync()
        got = Message(listener.socket.recv(65536))
        assert got.pri == b"158", got.pri  # 19 * 8 + 6
        assert got.time == b"2023-11-14T22:13:20.007Z", got.time
        assert got.host == b"a_host__", got.host
        assert got.app == b"my_app" and got.sd_id == b"audit@1"
        assert got.procid == str(sink.process.pid).encode()
        assert got.msgid == b"agent.deploy_to____and_much_long", got.msgid
        assert got.text == b'{"a":"b"}'
        assert got.sd == {
            b"sequence": b"7", b"category": b"security_events",
            b"hash": hashlib.sha256(b'{"a":"b"}').hexdigest().encode()}


@test
def the_mark_stands_before_what_is_not_ascii():
    with Listener(socket.SOCK_DGRAM) as listener:
        for option, mark in ((True, b"\xef\xbb\xbf"), (False, b"")):
            with tcp(listener, transport="udp",
                     byte_order_mark=option) as sink:
                sink.record(1, '{"a":"\u00e9"}')
                got = Message(listener.socket.recv(65536))
                assert got.text == mark + '{"a":"\u00e9"}'.encode()


@test
def a_long_message_is_cut_between_characters_and_says_so():
    with Listener(socket.SOCK_DGRAM) as listener, \
            tcp(listener, transport="udp", message_max=2048,
                byte_order_mark=False) as sink:
        text = '{"a":"%s"}' % ("\u20ac" * 2000)
        sink.record(1, text)
        raw = listener.socket.recv(65536)
        got = Message(raw)
        assert 2048 - 3 < len(raw) <= 2048, len(raw)
        assert text.startswith(got.text.decode()), got.text[-5:]
        assert int(got.sd[b"length"]) == len(text.encode())


@test
def control_bytes_never_go_out_raw():
    with Listener() as listener, tcp(listener) as sink:
        sink.record(1, '{"a":"x\x01\x1b[2J\x7f\r"}')
        got = read_frames(listener.accept(), 1)[0]
        assert got.text == rb'{"a":"x\u0001\u001b[2J\u007f\u000d"}', got.text


@test
def a_receiver_that_breaks_off_gets_all_that_it_did_not_acknowledge():
    with Listener() as listener, tcp(listener) as sink:
        sink.write(1, 5)
        peer = listener.accept()
        assert [m.sequence for m in read_frames(peer, 5)] == [1, 2, 3, 4, 5]
        sink.sync()
        # RST: what is sent from now on is lost.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        b"\1\0\0\0\0\0\0\0")
        peer.close()
        sink.write(6, 5)
        again = listener.accept()
        wait_for(lambda: sink.sync(ok=False)["status"] == 0, 20, "sent")
        got = [m.sequence for m in read_frames(again, 5)]
        assert got == [6, 7, 8, 9, 10], got
        again.close()


@test
def a_receiver_that_reads_nothing_holds_nobody_beyond_the_deadline():
    with Listener() as listener, \
            tcp(listener, timeout="300ms", buffer_size=131072) as sink:
        # Not accepted, not read: the kernel takes some, then nothing.
        sent, answer = 0, {"status": 0}
        while answer["status"] == 0:
            answer = sink.write(sent + 1, 1, 8000, ok=False)
            sent += answer["status"] == 0
            assert sent < 10000, "endless room"
        assert answer["status"] == ETIMEOUT, answer
        assert sink.sync(ok=False)["status"] == ETIMEOUT
        assert len(sink.log_lines("audit_receiver_lost")) == 1
        # It reads again: nothing is missing, nothing comes twice.
        peer = listener.accept()
        reader = []
        thread = threading.Thread(
            target=lambda: reader.extend(read_frames(peer, sent + 1)))
        thread.start()
        wait_for(lambda: sink.write(sent + 1, 1, 8000,
                                    ok=False)["status"] == 0, 20, "room")
        sink.sync()
        thread.join(seconds(20))
        assert [m.sequence for m in reader] == list(range(1, sent + 2))
        peer.close()


@test
def a_datagram_that_nobody_took_is_sent_again():
    with Listener(socket.SOCK_DGRAM) as listener:
        port = listener.port
    # Nobody listens there now.
    with Sink("syslog", server="127.0.0.1", port=port, transport="udp",
              accept_loss=True, retry_max="100ms") as sink:
        sink.write(1, 3)
        assert sink.sync(ok=False)["status"] == EIO
        back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        back.bind(("127.0.0.1", port))
        back.settimeout(seconds(20))
        wait_for(lambda: sink.sync(ok=False)["status"] == 0, 20, "sent")
        got = [Message(back.recv(65536)).sequence for _ in range(3)]
        assert got == [1, 2, 3], got
        back.close()


@test
def an_endless_outage_takes_bounded_memory_and_no_record_twice():
    with Listener() as listener:
        port = listener.port
    with Sink("syslog", server="127.0.0.1", port=port, transport="tcp",
              buffer_size=65536, retry_max="100ms") as sink:
        answer = sink.write(1, 500, 1000, ok=False)
        assert answer["status"] == EIO, answer
        assert sink.metric("atomd_audit_remote_waiting_bytes") <= 65536
        with Listener() as back:
            back.socket.close()
            back.socket = socket.socket()
            back.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            back.socket.bind(("127.0.0.1", port))
            back.socket.listen(1)
            back.socket.settimeout(seconds(20))
            got = []
            thread = threading.Thread(target=lambda: got.extend(
                read_frames(back.accept(), 500)))
            thread.start()
            # The host gives the whole batch again.
            wait_for(lambda: sink.write(1, 500, 1000,
                                        ok=False)["status"] == 0, 20,
                     "all are taken")
            wait_for(lambda: sink.sync(ok=False)["status"] == ENOTSUP, 20,
                     "all are sent")
            thread.join(seconds(20))
            assert [m.sequence for m in got] == list(range(1, 501))


@test
def sync_does_not_promise_what_syslog_cannot():
    with Listener() as listener, tcp(listener, accept_loss=False) as sink:
        sink.write(1, 1)
        answer = sink.sync(ok=False)
        assert answer["status"] == ENOTSUP, answer
        assert "accept_loss" in answer["error"], answer


@test
def a_certificate_of_another_name_or_authority_is_refused():
    with Folder() as folder, Listener() as listener:
        ca = authority(folder, "ca")
        other = authority(folder, "other")
        certificate(folder, "ca", "server", "DNS:elsewhere")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder.at("server.pem"),
                                folder.at("server.key"))
        got = []

        def serve():
            while True:
                try:
                    peer = listener.socket.accept()[0]
                except OSError:
                    return
                peer.settimeout(seconds(20))
                try:
                    with context.wrap_socket(peer, server_side=True) as tls:
                        while got.append(tls.recv(65536)) or got[-1]:
                            pass
                except OSError:
                    peer.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        for options, why in (
                ({"ca_file": ca}, "IP address mismatch"),
                ({"ca_file": ca, "server_name": "here"},
                 "hostname mismatch"),
                ({"ca_file": other, "server_name": "elsewhere"},
                 "unable to get local issuer")):
            with tcp(listener, transport="tls", **options) as sink:
                sink.write(1, 1)
                answer = sink.sync(ok=False)
                assert answer["status"] == EIO, answer
                wait_for(lambda: why.lower() in sink.log_text().lower(), 30,
                         why)
        assert not any(got), got
        for options in ({"ca_file": ca, "server_name": "elsewhere"},
                        {"verify": False}):
            with tcp(listener, transport="tls", **options) as sink:
                sink.write(1, 1)
                sink.sync()
                wait_for(lambda: any(got), 30, "the message")
            del got[:]


@test
def a_handshake_that_hangs_ends_at_the_deadline():
    with Listener() as listener, \
            tcp(listener, transport="tls", verify=False,
                timeout="300ms") as sink:
        sink.write(1, 1)
        answer = sink.sync(ok=False)
        assert answer["status"] in (EIO, ETIMEOUT), answer


@test
def a_receiver_may_be_given_by_name():
    # localhost is often ::1 first, where nobody listens.
    with Listener() as listener, tcp(listener, server="localhost") as sink:
        sink.write(1, 1)
        assert read_frames(listener.accept(), 1)[0].sequence == 1
        sink.sync()
    with Listener(socket.SOCK_DGRAM) as listener, \
            tcp(listener, server="localhost", transport="udp") as sink:
        sink.write(1, 2)
        wait_for(lambda: sink.sync(ok=False)["status"] == 0, 20, "sent")
        assert [Message(listener.socket.recv(65536)).sequence
                for _ in range(2)] == [1, 2]
    with Listener() as listener, \
            tcp(listener, server="no-such-host.invalid") as sink:
        sink.write(1, 1)
        answer = sink.sync(ok=False)
        assert answer["status"] in (EIO, ETIMEOUT), answer
        wait_for(lambda: "no-such-host.invalid" in sink.log_text(), 10,
                 "its name in the log")


@test
def options_that_cannot_work_are_refused_with_the_reason():
    for options, word in (
            ({"server": ""}, "server"),
            ({"transport": "udp", "message_max": 100000}, "message_max"),
            ({"structured_id": "a]b"}, "structured_id"),
            ({"structured_id": "a" * 33}, "structured_id"),
            ({"buffer_size": "64K", "message_max": "64K"}, "buffer_size"),
            ({"ca_file": "/nonexistent/ca.pem"}, "ca_file"),
            ({"certificate": "/nonexistent/c.pem"}, "certificate"),
            ({"transport": "sctp"}, "transport")):
        with Sink("syslog", start=False, server="127.0.0.1") as sink:
            answer = sink.create(ok=False, **options)
            assert answer["status"] == EINVAL, answer
            assert word in answer["error"], answer


if __name__ == "__main__":
    run()
