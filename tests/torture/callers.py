"""Clients of one agent under chaos: each call ends once, and is told whole.

    callers.py '{"port":N,"agent":"calm","threads":2,"rate":50,...}'

calls until its stdin ends, and writes a line of JSON for each call that has
ended: when it began (CLOCK_MONOTONIC), how long it took, how it ended, the
status and id of its answer, whether it was a stream.  How it ended is

    ok          the whole answer, and nothing but it
    refused     an error that docs/api.md names; `said` is its code
    broken      a stream that was told by its one error event to be over
    cut         the connection closed before the first byte of an answer
    fault       anything else; `said` tells what

`streams` is the share of calls that stream, `anew` of how many in a hundred the
connection is not used again, `before` a regular expression of what stands before
the words of an answer.
"""

import json
import os
import random
import re
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "scenario")]

# pylint: disable=wrong-import-position
from places import source  # noqa: E402
from wire import Closed, Stream, Wire  # noqa: E402

HUNG_S = 60


def documented():
    """The codes of docs/api.md, and those that audit.md adds."""
    found = {"audit_unavailable"}
    with open(source("docs", "api.md"), encoding="utf-8") as text:
        for line in text:
            if re.match(r"\| [45]\d\d \|", line):
                found |= set(re.findall(r"`([a-z_]+)`", line))
    return found


class Fault(Exception):
    """What no client may see."""


class Caller(threading.Thread):
    """One client that makes one call after the other."""

    def __init__(self, settings, number, told):
        super().__init__(daemon=True)
        self.settings, self.number, self.told = settings, number, told
        self.chance = random.Random("%s %d %d" % (
            settings["agent"], number, settings["seed"]))
        self.codes = documented()
        self.over = threading.Event()
        self.wire = None
        self.begun = False

    def run(self):
        interval = self.settings["threads"] / self.settings["rate"]
        due = time.monotonic() + self.chance.random() * interval
        count = 0
        while not self.over.wait(max(0, due - time.monotonic())):
            self.call(count)
            count += 1
            # What is late is left out, not made up for.
            due = max(due + interval, time.monotonic())

    def call(self, count):
        stream = self.chance.random() < self.settings["streams"]
        words = "%s-%d-%d %s end" % (
            self.settings["agent"], self.number, count, " ".join(
                "w%d" % self.chance.randrange(1000) for _ in range(
                    self.chance.randint(1, 12))))
        self.begun, self.answer_id = False, None
        status, began = 0, time.monotonic()
        try:
            self.connect()
            began = time.monotonic()
            status, how, said = self.one(words, stream)
        except (Fault, AssertionError, ValueError, KeyError) as e:
            how, said = "fault", "%s: %s" % (type(e).__name__, e)
        except socket.timeout:
            how, said = "fault", "it hangs: %d s without an end" % HUNG_S
        except (Closed, OSError) as e:
            how, said = ("fault" if self.begun else "cut"), repr(e)
        took = time.monotonic() - began
        if how in ("cut", "fault", "broken") or \
                self.chance.randrange(100) < self.settings["anew"]:
            self.disconnect()
        self.told({"began": began, "took": took, "how": how,
                   "status": status, "id": self.answer_id, "said": said,
                   "stream": stream})

    def connect(self):
        if self.wire is None:
            sock = socket.create_connection(
                ("127.0.0.1", self.settings["port"]), HUNG_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.wire = Wire(sock)

    def disconnect(self):
        if self.wire is not None:
            self.wire.close()
        self.wire = None

    def ask(self, words, stream):
        body = json.dumps({
            "model": self.settings["agent"], "stream": stream,
            "messages": [{"role": "user", "content": words}]}).encode()
        self.wire.send(b"POST /v1/chat/completions HTTP/1.1\r\n"
                       b"Host: localhost\r\n"
                       b"Content-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.begun = self.wire.fill() > 0
        if not self.begun:
            raise Closed("before the first byte")

    def one(self, words, stream):
        self.ask(words, stream)
        if stream:
            answer = Stream(self.wire)
            self.answer_id = answer.headers.get("x-request-id")
            if answer.status == 200:
                return (200, *self.events(answer, words))
            return self.refused(answer.status, answer.headers, answer.body())
        answer = self.wire.answer()
        self.answer_id = answer.headers.get("x-request-id")
        self.nothing_more(answer.headers)
        if answer.status != 200:
            return self.refused(answer.status, answer.headers, answer.body)
        self.whole(answer.content, words)
        return 200, "ok", ""

    def nothing_more(self, headers):
        if self.wire.buffer:
            raise Fault("more than an answer: %r" % self.wire.buffer[:300])
        if headers.get("connection", "").lower() == "close":
            self.disconnect()

    def whole(self, text, words):
        """Text that ended well is all of it, once."""
        if not re.fullmatch(self.settings["before"] + re.escape(words) +
                            " ?", text):
            raise Fault("asked %r, and was told %r" % (words, text))

    def refused(self, status, headers, body):
        if self.wire is not None:
            self.nothing_more(headers)
        said = json.loads(body)["error"]
        if said["code"] not in self.codes or not said["message"]:
            raise Fault("no documented error: %d %r" % (status, body[:300]))
        return status, "refused", said["code"]

    def events(self, answer, words):
        """Whole to its [DONE], or with an error event as its last."""
        text, ended, error = "", False, None
        for event in answer:
            if ended or error:
                raise Fault("an event behind the end: %r" % event)
            if event.text == "[DONE]":
                ended = True
                continue
            said = event.json
            if "error" in said:
                error = said["error"]
                continue
            for choice in said["choices"]:
                text += choice["delta"].get("content") or ""
        if error:
            if error["code"] not in self.codes:
                raise Fault("no documented error: %r" % error)
            if not self.beginning(text, words):
                raise Fault("asked %r, and was told %r before %r" % (
                    words, text, error))
            return "broken", error["code"]
        if not ended or not answer.complete:
            raise Fault("a stream without an end: %r" % text)
        self.whole(text, words)
        self.nothing_more(answer.headers)
        return "ok", ""

    def beginning(self, text, words):
        """Is it what the answer to these words begins with?"""
        before = re.match(self.settings["before"], text)
        return not text or not before or \
            (words + " ").startswith(text[before.end():])


def main():
    settings = json.loads(sys.argv[1])
    lock = threading.Lock()

    def told(line):
        with lock:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    callers = [Caller(settings, n, told) for n in range(settings["threads"])]
    for caller in callers:
        caller.start()
    sys.stdin.read()
    for caller in callers:
        caller.over.set()
    for caller in callers:
        caller.join(2 * HUNG_S)
        if caller.is_alive():
            told({"began": time.monotonic(), "took": 0, "how": "fault",
                  "status": 0, "id": None, "said": "a caller hangs",
                  "stream": False})


if __name__ == "__main__":
    main()
