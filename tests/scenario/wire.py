"""HTTP by hand: what a strict client reads from the daemon's sockets.

A Wire sends any bytes and reads one answer after the other; whatever
RFC 9112 forbids a server to send is an assertion failure.  A Stream reads
server-sent events as they come.  Metrics reads the Prometheus text format.
"""

import json
import re
import select
import socket
import time

from places import FACTOR


class Headers(dict):
    """Lower-case names; a repeated field joins with a comma."""

    @classmethod
    def parse(cls, lines):
        headers = cls()
        for line in lines:
            name, colon, value = line.partition(b":")
            assert colon and re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+",
                                          name), "bad field %r" % line
            name, value = name.decode().lower(), value.strip().decode()
            headers[name] = (headers[name] + ", " + value
                             if name in headers else value)
        return headers


class Answer:
    def __init__(self, status, headers, body=b""):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def code(self):
        """The stable word of an error answer."""
        return self.json["error"]["code"]

    @property
    def content(self):
        """The text of a chat completion."""
        return self.json["choices"][0]["message"]["content"]

    def __repr__(self):
        return "<%s %s %r>" % (self.status, dict(self.headers),
                               self.body[:600])


class Closed(Exception):
    """The peer closed the connection where an answer was due."""


class Wire:
    """A socket and a strict reader: anything RFC 9112 forbids a server to
    send is an assertion failure."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Leaves with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, content):
        self.sock.sendall(content if isinstance(content, bytes)
                          else content.encode())
        return self

    def answered(self):
        """There is something to read, the end of the connection too."""
        return bool(self.buffer or select.select([self.sock], [], [], 0)[0])

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except ConnectionResetError:
            more = b""
        self.buffer += more
        return len(more)

    def line(self):
        while b"\n" not in self.buffer:
            assert len(self.buffer) < 1 << 20, "endless line"
            if not self.fill():
                raise Closed("closed within %r" % self.buffer[-200:])
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), "bare LF after %r" % line
        return line[:-1]

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Closed("closed %d bytes early" % (
                    count - len(self.buffer)))
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def head(self):
        start = self.line()
        match = re.fullmatch(rb"HTTP/1\.1 (\d\d\d) ([ -~]*)", start)
        assert match, "bad status line %r" % start
        lines = []
        while True:
            line = self.line()
            if not line:
                break
            lines.append(line)
        return int(match.group(1)), Headers.parse(lines)

    def chunks(self, status, headers, method="GET"):
        """The body's pieces as they come."""
        if method == "HEAD" or status in (204, 304) or status < 200:
            return
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        assert not (coding and length), "both framings in one answer"
        if coding:
            assert coding.lower() == "chunked", coding
            while True:
                size = self.line()
                assert re.fullmatch(rb"[0-9a-fA-F]+", size), size
                size = int(size, 16)
                if size == 0:
                    assert self.line() == b"", "trailers not expected"
                    return
                yield self.exactly(size)
                assert self.exactly(2) == b"\r\n", "chunk without CRLF"
        elif length is not None:
            assert re.fullmatch(r"[0-9]+", length), length
            yield self.exactly(int(length))
        else:
            assert headers.get("connection", "").lower() == "close", \
                "neither length nor chunked nor close"
            while self.buffer or self.fill():
                taken, self.buffer = self.buffer, b""
                yield taken

    def answer(self, method="GET"):
        status, headers = self.head()
        while status == 100:
            status, headers = self.head()
        return Answer(status, headers,
                      b"".join(self.chunks(status, headers, method)))

    def at_end(self, deadline=10):
        """True when the peer closes without another byte."""
        self.sock.settimeout(deadline * FACTOR)
        return not self.buffer and not self.fill()


class Event:
    def __init__(self, text, kind):
        self.text, self.kind, self.time = text, kind, time.monotonic()

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return "<%s %s>" % (self.kind, self.text[:300])


class Stream:
    """A server-sent-event answer, read as it comes."""

    def __init__(self, wire):
        self.wire = wire
        self.status, self.headers = wire.head()
        self.started = time.monotonic()
        self.complete = False
        self.parts = wire.chunks(self.status, self.headers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    def body(self):
        return b"".join(self.parts)

    def until_cut(self):
        """The parts; a stream that failed may end without its last chunk,
        and is then not complete."""
        try:
            yield from self.parts
            self.complete = True
        except Closed:
            pass

    def __iter__(self):
        assert self.headers.get("content-type", "").startswith(
            "text/event-stream"), (self.status, self.headers, self.body())
        pending, kind, lines = b"", "message", []
        for part in self.until_cut():
            pending += part
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                line = line.rstrip(b"\r").decode()
                if not line:
                    if lines:
                        yield Event("\n".join(lines), kind)
                    kind, lines = "message", []
                elif line.startswith("data:"):
                    lines.append(line[5:].removeprefix(" "))
                elif line.startswith("event:"):
                    kind = line[6:].strip()
                else:
                    assert line.startswith((":", "id:", "retry:")), line
        assert not pending and not lines, "stream ends within an event"

    def read(self):
        return list(self)


def deltas(events):
    """The text of a chat stream's events."""
    text = ""
    for event in events:
        if event.text == "[DONE]":
            continue
        for choice in event.json.get("choices", []):
            text += choice["delta"].get("content") or ""
    return text


def errors(events):
    """The error objects among a stream's events."""
    return [event.json["error"] for event in events
            if event.text != "[DONE]" and "error" in event.json]


# --- Prometheus text ------------------------------------------------------

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    def __init__(self, text):
        self.text, self.samples, self.types = text, [], {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                assert name not in self.types, "two TYPE lines: " + name
                self.types[name] = kind
            if not line or line.startswith("#"):
                continue
            match = SAMPLE.fullmatch(line)
            assert match, "not a sample: %r" % line
            labels = dict(LABEL.findall(match.group(2) or ""))
            self.samples.append((match.group(1), labels,
                                 float(match.group(3))))

    def sum(self, metric, **labels):
        """The sum of the samples that carry these labels; 0 without any."""
        return sum(value for name, has, value in self.samples
                   if name == metric and labels.items() <= has.items())

    def has(self, metric):
        return any(name == metric for name, _, _ in self.samples)
