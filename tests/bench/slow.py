"""Calls beside slowloris: the same daemon without, and with ten thousand
connections whose clients send a byte of their head now and then; with fewer
where not so many descriptors are allowed to a process."""

import os
import resource
import socket
import statistics
import threading
import time

from proxies import EchoAtomd, started

CALLERS = 32
ROUNDS = 5
RATE = "500"
SECONDS = "1.5"
CLIENTS = 10000
BUDGET = 2.0
EVERY_S = 2.0  # a byte on each connection
BEGIN = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "

CONFIG = """
workers = 1;
log_level = "info";
security: { anonymous_role = "caller"; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
agents = ( { name = "bench"; backend: { plugin = "echo"; };
  instances: { min = 1; max = 1; concurrency = %d; }; } );
"""


class Slow:
    """So many clients; who is cut off comes again."""

    def __init__(self, port, count, cores):
        self.port, self.count, self.cores = port, count, cores
        self.sockets, self.over = [], threading.Event()
        self.opened = 0
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def open(self):
        try:
            s = socket.create_connection(("127.0.0.1", self.port), 5)
            s.setblocking(False)
            s.send(BEGIN)
        except OSError:
            return
        self.opened += 1
        self.sockets.append(s)

    def keep(self, s):
        """Whether it is still there and took a byte."""
        try:
            s.send(b"a")
            return True
        except BlockingIOError:
            return True
        except OSError:
            s.close()
            return False

    def work(self):
        """Its slices are short, so that bytes come evenly, not in waves."""
        os.sched_setaffinity(0, self.cores)  # of this thread
        slices, at = 20, 0
        while not self.over.wait(EVERY_S / slices):
            mine = self.sockets[at::slices]
            kept = [s for s in mine if self.keep(s)]
            gone = set(mine) - set(kept)
            if gone:
                self.sockets = [s for s in self.sockets if s not in gone]
            for _ in range(min(self.count - len(self.sockets), 500)):
                self.open()
            at = (at + 1) % slices

    def stop(self):
        self.over.set()
        self.thread.join()
        for s in self.sockets:
            s.close()


class Server(EchoAtomd):
    key = None

    def __init__(self, cores):
        self.daemon = started(CONFIG % CALLERS, cores)
        self.port = self.daemon.port

    def connections(self):
        return int(self.daemon.metrics().sum("atomd_http_connections"))


def p99_ms(bench, server):
    return bench.load(server, "--connections", str(CALLERS), "--rate", RATE,
                      "--seconds", SECONDS)["latency_us"]["p99"] / 1000


def reach(server, slow, deadline_s=30):
    """Waits until all are there; what the daemon says is there at the end."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        there = server.connections()
        if there >= slow.count:
            break
        time.sleep(0.2)
    return there


def clients():
    """As many as one process has descriptors for: they are in this one, and
    the daemon, which takes our limits, leaves some to all else."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(CLIENTS, hard - hard // 4 - 8 * CALLERS)


def run(bench):
    count = clients()
    server = Server(bench.proxy_cores)
    try:
        p99_ms(bench, server)
        alone = [p99_ms(bench, server) for _ in range(ROUNDS)]
        slow = Slow(server.port, count, bench.load_cores)
        try:
            there = reach(server, slow)
            beside = [p99_ms(bench, server)
                      for _ in range(ROUNDS)]
            opened = slow.opened
        finally:
            slow.stop()
        ended = int(server.daemon.metrics().sum("atomd_http_timeouts_total",
                                                phase="head"))
    finally:
        server.stop()
    figures = {"clients": there, "opened": opened, "ended": ended,
               "p99_ms": statistics.median(alone),
               "p99_beside_ms": statistics.median(beside)}
    print("\n%s calls a second beside %d connections that trickle (%d "
          "opened, %d ended by the daemon): p99 %.2f ms, without them %.2f "
          "ms, ratio %.2f, budget %.1f" % (
              RATE, there, opened, ended, figures["p99_beside_ms"],
              figures["p99_ms"],
              figures["p99_beside_ms"] / figures["p99_ms"], BUDGET),
          flush=True)
    return figures
