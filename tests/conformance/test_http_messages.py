#!/usr/bin/env python3
"""Strictness: raw requests written from RFC 9110 and 9112, each with the
verdict on it (http_request_lines.py, http_fields.py, http_framing.py)."""

import collections
import fcntl
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP_SRCDIR"],
                                "tests/scenario"))

from atomd_test import Closed, Daemon, config, run, seconds, test  # noqa: E402
from http_rows import NEXT  # noqa: E402
from wire import Wire  # noqa: E402

import http_fields  # noqa: E402
import http_framing  # noqa: E402
import http_request_lines  # noqa: E402

ROWS = http_request_lines.ROWS + http_fields.ROWS + http_framing.ROWS
LAST = (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Connection: close\r\n\r\n")
LISTENERS = """{ address = "127.0.0.1:0"; },
  { address = "unix:@DIR@/calls.sock"; }"""
# What is split takes a wake-up of the daemon for each piece.
SPLIT_MAX = 400
SIOCOUTQ = 0x5411


def daemon():
    return Daemon(config(listeners=LISTENERS))


def all_sent(row):
    """The bytes of a row with what is pipelined behind them."""
    incomplete = row.verdict == "closed"
    return row.request if incomplete else row.request + NEXT


def check_error(answer):
    error = answer.json["error"]
    assert error["message"] and error["type"] and "param" in error, answer
    assert answer.headers["x-request-id"], answer


def one_answer(wire, status, at_end, method="GET"):
    """The next answer; an error has the documented shape, and the last of a
    connection says so."""
    answer = wire.answer(method)
    assert answer.status == status, "%d expected: %r" % (status, answer)
    if status >= 400 and method != "HEAD":
        check_error(answer)
    closes = answer.headers.get("connection", "").lower() == "close"
    assert closes == at_end, "connection: %r" % answer
    return answer


def judge(wire, row, end):
    """What was sent gets the row's verdict, no answer too few or too many."""
    statuses = list(map(int, row.verdict.split()[:-1]))
    for i, status in enumerate(statuses):
        head = i == 0 and row.request.startswith(b"HEAD ")
        one_answer(wire, status, end == "closed" and i + 1 == len(statuses),
                   "HEAD" if head else "GET")
    if end == "kept":
        assert b"pipelined" in one_answer(wire, 404, False).body
        wire.send(LAST)
        one_answer(wire, 200, True)
    elif not statuses:
        wire.sock.shutdown(socket.SHUT_WR)
    assert wire.at_end(), "more than expected: %r" % wire.buffer[:300]


def check_rows(rows, how, begin, unread="kept"):
    """begin(row) sends a row and gives the wire."""
    wrong = []
    for row in rows:
        end = row.verdict.split()[-1]
        try:
            with begin(row) as wire:
                judge(wire, row, unread if end == "unread" else end)
        except (AssertionError, Closed, OSError, ValueError) as error:
            wrong.append("%s (RFC %s, %s), %s: %r\n%r" % (
                row.name, row.rfc, row.verdict, how, error,
                row.request[:300]))
    assert not wrong, "%d of %d rows:\n%s" % (len(wrong), len(rows),
                                              "\n".join(wrong))


@test
def the_rows_are_many_and_no_two_are_the_same():
    assert len(ROWS) >= 300, len(ROWS)
    counts = collections.Counter(row.request for row in ROWS)
    same = [(row.name, row.request[:120]) for row in ROWS
            if counts[row.request] > 1]
    assert not same, same


@test
def every_request_gets_its_verdict():
    with daemon() as running:
        check_rows(ROWS, "at once", lambda row: running.wire(all_sent(row)))
        assert running.get("/healthz").status == 200


def unread(sock):
    """Bytes that the daemon has not taken out of a unix socket."""
    return struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQ, b"\0" * 4))[0]


def in_pieces(running, pieces):
    """Each piece is a read of its own: the next is sent when the one before
    has been taken."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(seconds(20))
    sock.connect(os.path.join(running.dir, "calls.sock"))
    end = time.monotonic() + seconds(20)
    for piece in pieces:
        try:
            sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            break  # it was refused, and the answer is there
        while unread(sock):
            assert time.monotonic() < end, "a piece is not read"
            os.sched_yield()
    return Wire(sock)


@test
def a_byte_at_a_time_changes_no_verdict():
    rows = [row for row in ROWS if len(row.request) <= SPLIT_MAX]
    assert len(rows) > 300, len(rows)
    with daemon() as running:
        check_rows(
            rows, "a byte at a time",
            lambda row: in_pieces(running, [
                *(row.request[i:i + 1] for i in range(len(row.request))),
                all_sent(row)[len(row.request):]]),
            unread="closed")


@test
def a_split_at_any_place_changes_no_verdict():
    rows = [row for row in http_framing.ROWS
            if len(row.request) <= SPLIT_MAX
            and not row.verdict.endswith("unread")][::16]
    with daemon() as running:
        for row in rows:
            content = all_sent(row)
            for at in range(1, len(row.request)):
                check_rows([row], "split at %d" % at,
                           lambda row, at=at, content=content: in_pieces(
                               running, [content[:at], content[at:]]))


if __name__ == "__main__":
    run()
