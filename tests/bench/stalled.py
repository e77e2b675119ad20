"""Calls beside an audit sink whose receiver has stopped reading: two daemons,
alike but for that, asked in turn."""

import socket
import threading
import time

from proxies import EchoAtomd, CONNECTIONS, started
from pairs import as_json, ratios

RATE = "1000"
SECONDS = "1.5"

CONFIG = """
workers = 1;
log_level = "info";
security: { anonymous_role = "caller"; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
audit_sinks = (
  { plugin = "file"; path = "@DIR@/audit"; required = true; },
  { plugin = "http"; url = "http://127.0.0.1:%(http)d/";
    spill = "@DIR@/spill"; },
  { plugin = "syslog"; server = "127.0.0.1"; port = %(syslog)d;
    transport = "tcp"; accept_loss = true; } );
agents = ( { name = "bench"; backend: { plugin = "echo"; };
  instances: { min = 1; max = 1; concurrency = %(connections)d; }; } );
"""


class Receiver:
    """Takes what comes, and says 200 to requests; reads nothing once it is
    told to stop, and keeps its connections."""

    def __init__(self, answers):
        self.answers, self.reads = answers, True
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(connection)
            threading.Thread(target=self.read, args=(connection,),
                             daemon=True).start()

    def read(self, connection):
        taken = b""
        try:
            while self.reads:
                more = connection.recv(1 << 20)
                if not more:
                    connection.close()
                    return
                taken = self.answer(connection, taken + more) \
                    if self.answers else b""
        except OSError:
            pass

    @staticmethod
    def answer(connection, taken):
        """Answers each whole request; what is left of the next."""
        while True:
            head, mark, rest = taken.partition(b"\r\n\r\n")
            if not mark:
                return taken
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
                elif line == b"expect: 100-continue" and not rest:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(rest) < length:
                return taken
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            taken = rest[length:]

    def stop_reading(self):
        self.reads = False

    def stop(self):
        self.reads = False
        for s in (self.listener, *self.sockets):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


class Watched(EchoAtomd):
    """A daemon and its two receivers."""

    key = None

    def __init__(self, cores):
        self.receivers = [Receiver(True), Receiver(False)]
        self.daemon = started(CONFIG % {
            "http": self.receivers[0].port,
            "syslog": self.receivers[1].port,
            "connections": CONNECTIONS}, cores)
        self.port = self.daemon.port

    def behind(self):
        """Records that the slowest sink lacks, queues of theirs included."""
        metrics = self.daemon.metrics()
        return int(metrics.sum("atomd_audit_sink_behind_records") +
                   metrics.sum("atomd_audit_remote_waiting_records"))

    def stop(self):
        for receiver in self.receivers:
            receiver.stop()
        super().stop()


def measure(bench, reading, stalled):
    def load(server):
        times = bench.load(server, "--connections", "32", "--rate", RATE,
                           "--seconds", SECONDS)["latency_us"]
        return {"p50": times["p50"], "p99": times["p99"]}

    servers = [("reading", reading), ("stalled", stalled)]
    for _, server in servers:
        load(server)
    for receiver in stalled.receivers:
        receiver.stop_reading()
    rounds = []
    for i in range(bench.size.stalled):
        figures = {}
        for name, server in servers if i % 2 else reversed(servers):
            figures[name] = load(server)
        rounds.append(figures)
    return rounds


def run(bench):
    reading = Watched(bench.proxy_cores)
    try:
        stalled = Watched(bench.proxy_cores)
        try:
            began = time.monotonic()
            rounds = measure(bench, reading, stalled)
            seconds = time.monotonic() - began
            behind = stalled.behind()
        finally:
            stalled.stop()
    finally:
        reading.stop()
    found = {which: ratios([{name: times[which] for name, times in r.items()}
                            for r in rounds], "stalled", "reading")
             for which in ("p50", "p99")}
    print("\n%s calls a second beside sinks http and syslog whose receivers "
          "do not read, to the same with receivers that do: the median of %d "
          "rounds' ratios, %.0f s" % (RATE, len(rounds), seconds))
    print("%-16s%8s%18s%8s" % ("", "ratio", "95 of 100", "budget"))
    for which, e in found.items():
        print("%-16s%8.3f%18s%8s" % (
            which, e.median, "%.3f to %.3f" % (e.low, e.high),
            "1.1" if which == "p99" else ""), flush=True)
    print("the sinks are %d records behind" % behind)
    return {"ratios": as_json(found), "behind": behind, "rounds": rounds}
