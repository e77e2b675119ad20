"""What a connection costs that had an answer and is kept, and asks nothing
more: resident bytes of each, in proxies that have done nothing before."""

import socket

from family import resident_bytes
from judges import QUESTION
from proxies import Atomd, HAProxy, LeftOut, Nginx, PATH, STREAMS

CLIENTS = 8000


class Kept:
    """Connections to a proxy, each with a call behind it."""

    def __init__(self, server, count):
        self.server, self.sockets = server, []
        self.request = (
            "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            "%s\r\nContent-Type: application/json\r\nContent-Length: %d"
            "\r\n\r\n%s" % (PATH, server.key, len(QUESTION),
                            QUESTION)).encode()
        try:
            for _ in range(count):
                self.open()
        except BaseException:
            self.close()
            raise

    def open(self):
        s = socket.create_connection(("127.0.0.1", self.server.port), 20)
        self.sockets.append(s)
        s.sendall(self.request)
        with s.makefile("rb") as answer:
            status = answer.readline()
            assert b" 200 " in status, status
            fields = {}
            for line in iter(answer.readline, b"\r\n"):
                name, _, value = line.decode().partition(":")
                fields[name.lower()] = value.strip()
            answer.read(int(fields["content-length"]))

    def open_ones(self):
        """Those that nobody has closed."""
        count = 0
        for s in self.sockets:
            s.setblocking(False)
            try:
                count += s.recv(1) != b""
            except BlockingIOError:
                count += 1
        return count

    def close(self):
        for s in self.sockets:
            s.close()


def measure(bench, proxy, count):
    server = proxy(bench.mock, bench.proxy_cores)
    try:
        Kept(server, 1).close()
        before = resident_bytes(server.pid)
        kept = Kept(server, count)
        try:
            there = kept.open_ones()
            held = resident_bytes(server.pid)
        finally:
            kept.close()
    finally:
        server.stop()
    bench.failed |= there < count
    return {"connections": there, "resident_bytes": held,
            "bytes_per_connection": (held - before) / count}


def run(bench):
    count = min(CLIENTS, STREAMS)
    rows = {}
    print("\n%d connections that had an answer and are kept" % count)
    print("%-12s%9s%10s%14s" % ("", "open", "held MiB", "B/connection"))
    for proxy in (Nginx, HAProxy, Atomd):
        if bench.only and proxy.name.lower() not in bench.only:
            continue
        try:
            rows[proxy.name] = row = measure(bench, proxy, count)
        except LeftOut:
            continue
        print("%-12s%9d%10.1f%14.0f" % (
            proxy.title, row["connections"], row["resident_bytes"] / 2**20,
            row["bytes_per_connection"]), flush=True)
    return rows
