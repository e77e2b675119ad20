#!/usr/bin/env python3
"""A worker that does what the text of a call tells it, faults included.

    echo TEXT...       answers TEXT
    words TEXT...      the same, a chunk a word; `drip MS TEXT...` slowly
    sleep MS           answers after MS
    hang               never answers, and ignores `cancel`
    wait               never answers until it is cancelled
    until FILE NAME    answers the environment's NAME once FILE exists
    stream-until FILE  a chunk, and once FILE exists another one
    exit [STATUS]      ends the process; `half STATUS` after one chunk
    kill               SIGKILL to itself
    error CODE         an error of that code; `fail-midway` after two chunks
    retry FILE         `unavailable` once, then an answer
    garbage            lines that are no JSON, then the answer
    wrong-id           lines for calls nobody made, then the answer
    twice              two ends
    no-output          a result without output
    flood KIB          chunks of that much in all, without waiting
    long-line MIB      one line of that size
    noise LINES        lines on stdout and stderr, then the answer
    binary             bytes that are no UTF-8 in a chunk line
    object             answers a JSON object
    state              counts its calls in the session's state
    environment        answers its environment and open descriptors
    admin PATH         asks the unix socket at PATH for the agents
    grandchild FILE    starts `sleep` in the background, its pid into FILE
    memory MIB         takes that much memory and keeps it
    eof                closes the protocol socket and lives on
    call               answers the call object itself

Arguments: --concurrency N, --caps A,B, --stdio, --slow-ready MS, --no-ready,
--bad-ready, --exit-at-start STATUS, --junk-first N, --ignore-term.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time


class Cancelled(Exception):
    pass


class Worker:
    def __init__(self, options):
        self.lock = threading.Lock()
        self.cancels, self.credit, self.hoard = {}, {}, []
        if options.stdio:
            self.source, self.sink = sys.stdin.buffer, sys.stdout.buffer
        else:
            fd = int(os.environ["ATOM_WORKER_FD"])
            self.sock = socket.socket(fileno=fd)
            self.source = self.sock.makefile("rb")
            self.sink = self.sock.makefile("wb")

    def raw(self, content):
        with self.lock:
            self.sink.write(content)
            self.sink.flush()

    def say(self, op, **members):
        self.raw(json.dumps(dict(op=op, **members)).encode() + b"\n")

    def chunk(self, call, text):
        self.say("chunk", id=call["id"], data=text)

    def result(self, call, output, **more):
        words = len(str(call.get("input") or "").split())
        self.say("result", id=call["id"], output=output, usage={
            "input_tokens": words, "output_tokens": len(str(output).split())},
            **more)

    def check(self, call):
        if call["id"] in self.cancels:
            raise Cancelled

    def pause(self, call, milliseconds):
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            self.check(call)
            time.sleep(min(0.01, max(0, end - time.monotonic())))

    def serve(self, ready):
        self.say("ready", **ready)
        for line in self.source:
            message = json.loads(line)
            op = message.get("op")
            if op == "call":
                threading.Thread(target=self.begin, args=(message,),
                                 daemon=True).start()
            elif op == "cancel":
                self.cancels[message["id"]] = message["reason"]
                print("cancelled", message["reason"], flush=True,
                      file=sys.stderr)
            elif op == "credit":
                with self.lock:
                    self.credit[message["id"]] = message["n"] + \
                        self.credit.get(message["id"], 0)
            elif op == "ping":
                self.say("pong", n=message["n"])
            elif op == "drain":
                print("draining", flush=True, file=sys.stderr)

    def begin(self, call):
        try:
            text = call.get("input")
            if not isinstance(text, str):
                text = "object"
            word, _, rest = text.partition(" ")
            act = getattr(self, "do_" + word.replace("-", "_"), None)
            if act:
                act(call, rest)
            else:
                self.result(call, text)
        except Cancelled:
            self.say("error", id=call["id"], code="cancelled",
                     message="as you wish", retryable=False)
        except Exception as error:
            print("worker:", repr(error), file=sys.stderr, flush=True)
            self.say("error", id=call["id"], code="internal",
                     message=repr(error), retryable=False)

    def do_echo(self, call, rest):
        self.result(call, rest)

    def do_words(self, call, rest):
        for word in rest.split():
            self.chunk(call, word + " ")
        self.result(call, "".join(w + " " for w in rest.split()))

    def do_drip(self, call, rest):
        pause, _, rest = rest.partition(" ")
        for word in rest.split():
            self.chunk(call, word + " ")
            self.pause(call, int(pause))
        self.result(call, "".join(w + " " for w in rest.split()))

    def do_sleep(self, call, rest):
        self.pause(call, int(rest))
        self.result(call, "slept " + rest)

    def do_hang(self, _call, _rest):
        while True:
            time.sleep(60)

    def do_wait(self, call, _rest):
        self.pause(call, 600000)

    def do_until(self, call, rest):
        path, name = rest.split(" ")
        while not os.path.exists(path):
            self.pause(call, 10)
        self.result(call, os.environ.get(name, "none"))

    def do_stream_until(self, call, rest):
        self.chunk(call, "first ")
        while not os.path.exists(rest):
            self.pause(call, 10)
        self.chunk(call, "rest")
        self.result(call, "first rest")

    def do_exit(self, _call, rest):
        os._exit(int(rest or 1))

    def do_half(self, call, rest):
        self.chunk(call, "half ")
        time.sleep(0.1)
        os._exit(int(rest or 1))

    def do_kill(self, _call, _rest):
        os.kill(os.getpid(), signal.SIGKILL)

    def do_error(self, call, rest):
        self.say("error", id=call["id"], code=rest, retryable=False,
                 message="the worker says " + rest, retry_after_ms=2000)

    def do_fail_midway(self, call, _rest):
        self.chunk(call, "one ")
        self.chunk(call, "two ")
        self.say("error", id=call["id"], code="provider", retryable=True,
                 message="fell over midway")

    def do_retry(self, call, rest):
        if os.path.exists(rest):
            self.result(call, "attempt %d" % call["attempt"])
            return
        open(rest, "w").close()
        self.say("error", id=call["id"], code="unavailable",
                 message="not yet", retryable=True, retry_after_ms=10)

    def do_garbage(self, call, _rest):
        self.raw(b"this is no JSON\n{\n[]\n5\nnull\n{\"op\":7}\n\n{}\n"
                 b'{"op":"chunk"}\n{"op":"result","id":{}}\n')
        self.result(call, "after the garbage")

    def do_wrong_id(self, call, _rest):
        for op in ("chunk", "event", "result", "error"):
            self.say(op, id="nobody", data="x", output="x", message="x",
                     code="internal", type="x")
        self.say("unheard-of", id=call["id"], strange=True)
        self.result(call, "right")

    def do_twice(self, call, _rest):
        self.result(call, "first")
        self.result(call, "second")
        self.chunk(call, "late")

    def do_no_output(self, call, _rest):
        self.say("result", id=call["id"])

    def do_flood(self, call, rest):
        for _ in range(int(rest)):
            self.check(call)
            self.chunk(call, "x" * 1000)
        self.result(call, "flooded")

    def do_long_line(self, call, rest):
        self.result(call, "y" * (int(rest) << 20))

    def do_noise(self, call, rest):
        for n in range(int(rest)):
            print("out", n, flush=True)
            print("err", n, file=sys.stderr, flush=True)
        sys.stderr.buffer.write(b"\xff\xfe\x00 binary \x1b[31m\n")
        sys.stderr.flush()
        self.result(call, "noisy")

    def do_binary(self, call, _rest):
        self.raw(b'{"op":"chunk","id":"' + call["id"].encode()
                 + b'","data":"\xff\xfe"}\n')
        self.result(call, "binary")

    def do_object(self, call, _rest):
        self.result(call, {"got": call.get("input"), "list": [1, 2.5, None]})

    def do_state(self, call, _rest):
        state = (call.get("session") or {}).get("state") or {"calls": 0}
        state["calls"] += 1
        self.result(call, "call %d" % state["calls"], state=state)

    def do_environment(self, call, _rest):
        held = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                held[fd] = os.readlink("/proc/self/fd/" + fd)
            except OSError:
                pass
        with open("/proc/self/status") as status:
            privileges = [line.split()[1] for line in status
                          if line.startswith("NoNewPrivs")]
        self.result(call, {
            "environment": dict(os.environ), "files": held,
            "directory": os.getcwd(), "group": os.getpgid(0) == os.getpid(),
            "no_new_privs": privileges, "pid": os.getpid(),
            "uid": os.getuid()})

    def do_admin(self, call, rest):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(rest)
            peer.sendall(b"GET /admin/v1/agents HTTP/1.1\r\n"
                         b"Host: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while more := peer.recv(65536):
                answer += more
        self.result(call, answer.decode())

    def do_grandchild(self, call, rest):
        child = subprocess.Popen(["sleep", "1000"])
        with open(rest, "w") as out:
            out.write(str(child.pid))
        self.result(call, str(child.pid))

    def do_memory(self, call, rest):
        # Never two copies of it, which a measure could meet.
        self.hoard.append(bytearray(os.urandom(1 << 20)) * int(rest))
        self.result(call, "took " + rest)

    def do_eof(self, _call, _rest):
        self.sock.shutdown(socket.SHUT_RDWR)
        time.sleep(600)

    def do_call(self, call, _rest):
        self.result(call, call)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--caps", default="stream,cancel,ping,state")
    parser.add_argument("--slow-ready", type=int, default=0)
    parser.add_argument("--exit-at-start", type=int)
    parser.add_argument("--junk-first", type=int, default=0)
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--no-ready", action="store_true")
    parser.add_argument("--bad-ready", action="store_true")
    parser.add_argument("--ignore-term", action="store_true")
    options = parser.parse_args()
    if options.exit_at_start is not None:
        print("cannot start today", file=sys.stderr, flush=True)
        sys.exit(options.exit_at_start)
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.no_ready:
        time.sleep(600)
    time.sleep(options.slow_ready / 1000)
    worker = Worker(options)
    for n in range(options.junk_first):
        worker.raw(b"junk %d\n" % n)
    worker.serve({"protocol": 99 if options.bad_ready else 1,
                  "name": "scripted", "version": "1",
                  "concurrency": options.concurrency,
                  "caps": options.caps.split(","), "agents": {}})


if __name__ == "__main__":
    main()
