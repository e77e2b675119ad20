#!/usr/bin/env python3
"""The benchmark's own tools: that a right answer is taken for right, and
every kind of wrong one is noticed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "scenario"))

from atomd_test import run, seconds, test  # noqa: E402
from pairs import differences, of_least, rank, ratios  # noqa: E402

TOOLS = os.environ.get("BENCH_TOOLS") or os.path.join(
    os.environ.get("TOP_BUILDDIR", "."), "tests", "bench")
STREAM = ("--events", "20", "--answer-bytes", "32")


class Mock:
    def __enter__(self):
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "mock")], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Relay:
    """Passes bytes on; what comes from the mock goes through change(bytes),
    a function of all connections; None cuts the connection."""

    def __init__(self, upstream, change):
        self.upstream, self.change = upstream, change
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sockets = []

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for s in [self.listener, *self.sockets]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def accept(self):
        try:
            while True:
                client, _ = self.listener.accept()
                model = socket.create_connection(
                    ("127.0.0.1", self.upstream))
                self.sockets += [client, model]
                for a, b, f in ((client, model, lambda x: x),
                                (model, client, self.change)):
                    threading.Thread(target=self.pump, args=(a, b, f),
                                     daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def pump(source, target, change):
        try:
            while True:
                content = source.recv(65536)
                content = change(content) if content else None
                if content is None:
                    break
                target.sendall(content)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def load(port, *arguments, duration="0.2"):
    done = subprocess.run(
        [os.path.join(TOOLS, "load"), "--port", str(port), "--seconds",
         duration, "--warm", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=seconds(60), check=False)
    assert done.stdout, done.stderr
    figure = json.loads(done.stdout)
    figure["status"] = done.returncode
    return figure


def bad(figure):
    return (figure["wrong"], figure["refused"], figure["broken"],
            figure["unfinished"])


@test
def every_answer_of_the_mock_is_right_in_every_shape():
    shapes = (
        ("--connections", "1"), ("--connections", "64"),
        ("--request-bytes", "1048576", "--connections", "3"),
        ("--answer-bytes", "200000", "--connections", "3"),
        ("--answer-bytes", "16", "--request-bytes", "300"),
        STREAM, (*STREAM, "--interval-us", "2000"),
        ("--events", "3", "--answer-bytes", "100000", "--connections", "3"),
        ("--rate", "500"))
    with Mock() as mock:
        for shape in shapes:
            figure = load(mock.port, *shape)
            assert figure["status"] == 0, (shape, figure)
            assert bad(figure) == (0, 0, 0, 0), (shape, figure)
            assert figure["calls"] > 0, (shape, figure)


@test
def one_changed_byte_is_noticed_wherever_it_is():
    changes = (
        lambda x: x.replace(b'"logprobs":null', b'"logprobs":nulL', 1),
        lambda x: x.replace(b"chatcmpl-", b"chatcmpl_", 1),
        lambda x: x[:-8] + bytes([x[-8] ^ 1]) + x[-7:])
    with Mock() as mock:
        for change in changes:
            for shape in ((), STREAM):
                with Relay(mock.port, change) as relay:
                    figure = load(relay.port, "--connections", "2", *shape)
                assert figure["status"] == 1, (shape, figure)
                assert figure["complaint"], figure


@test
def an_event_that_is_lost_or_said_twice_is_noticed():
    def lose(content):
        parts = content.split(b"\r\n")
        for i, part in enumerate(parts):
            if part.startswith(b"data: ") and b'"delta":{"content"' in part:
                return b"\r\n".join(parts[:i - 1] + parts[i + 1:])
        return content

    def repeat(content):
        parts = content.split(b"\r\n")
        for i, part in enumerate(parts):
            if part.startswith(b"data: ") and b'"delta":{"content"' in part:
                return b"\r\n".join(parts[:i + 1] + parts[i - 1:])
        return content

    with Mock() as mock:
        for change in (lose, repeat):
            with Relay(mock.port, change) as relay:
                figure = load(relay.port, "--connections", "2", *STREAM)
            assert figure["status"] == 1 and figure["wrong"] > 0, figure


@test
def an_answer_to_somebody_else_is_noticed():
    lock, kept = threading.Lock(), []

    def swap(content):
        with lock:
            kept.append(content)
            return kept[0]

    with Mock() as mock, Relay(mock.port, swap) as relay:
        figure = load(relay.port, "--connections", "2")
    assert figure["status"] == 1 and figure["wrong"] > 0, figure


@test
def a_refusal_and_a_cut_connection_are_no_answers():
    refusal = (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")
    with Mock() as mock:
        with Relay(mock.port, lambda _: refusal) as relay:
            figure = load(relay.port, "--connections", "2")
        assert figure["status"] == 1 and figure["refused"] > 0, figure
        with Relay(mock.port, lambda _: None) as relay:
            figure = load(relay.port, "--connections", "2", *STREAM)
        assert figure["status"] == 1 and figure["broken"] > 0, figure
        port = mock.port
    figure = load(port, "--connections", "2")
    assert figure["status"] == 1 and figure["broken"] > 0, figure


@test
def a_pause_is_not_hidden_when_calls_are_due_at_a_rate():
    with Mock() as mock:
        stopper = threading.Timer(0.2, os.kill, (mock.pid, signal.SIGSTOP))
        waker = threading.Timer(0.8, os.kill, (mock.pid, signal.SIGCONT))
        stopper.start()
        waker.start()
        figure = load(mock.port, "--rate", "200", "--connections", "4",
                      duration="1.2")
        stopper.join()
        waker.join()
    assert figure["status"] == 0, figure
    # Half of the calls were due in the pause; a closed loop sees four.
    assert figure["latency_us"]["p90"] > 200e3, figure


@test
def held_streams_are_all_open_and_end_whole():
    with Mock() as mock:
        figure = load(mock.port, "--hold", "--connections", "300", "--pid",
                      str(mock.pid), "--events", "6", "--interval-us",
                      "400000", duration="0.4")
    assert figure["status"] == 0 and bad(figure) == (0, 0, 0, 0), figure
    assert figure["calls"] == 300, figure
    assert figure["hold"]["streams"] == 300, figure
    assert figure["hold"]["rss_held_bytes"] > 0, figure


@test
def cpu_time_is_that_of_the_process_and_its_children():
    spin = "while True: pass"
    parent = ("import subprocess, sys; c = subprocess.Popen([sys.executable,"
              " '-c', %r]); print(c.pid, flush=True); c.wait()" % spin)
    process = subprocess.Popen([sys.executable, "-c", parent],
                               stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        with Mock() as mock:
            figure = load(mock.port, "--pid", str(process.pid),
                          "--rate", "100", duration="1")
    finally:
        os.kill(child, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    used = figure["process"]
    assert used["processes"] == 2, figure
    # The parent waits: it is the child's, who may have had little of a busy
    # machine.
    assert 0.001 < used["cores"] < 1.1, figure


@test
def an_interval_holds_the_median_for_95_of_100():
    # Ranks of the sign test, as tables have them.
    assert [rank(n) for n in (1, 5, 6, 10, 20, 30, 40)] == \
        [1, 1, 1, 2, 6, 10, 14]
    rounds = [{"with": 10 + i * i, "without": 10} for i in range(10)]
    e = differences(rounds, "with", "without")
    assert (e.median, e.low, e.high, e.rounds) == (20.5, 1, 64, 10), e
    rounds[4]["without"] = 7
    assert of_least(rounds, "with", "without") == 3, rounds
    e = ratios([{"with": 30.0, "without": 20.0}] * 3, "with", "without")
    assert (e.median, e.low, e.high) == (1.5, 1.5, 1.5), e


if __name__ == "__main__":
    run()
