"""What a worker process adds: calls through one that takes no time, over its
socketpair, beside an echo agent, which answers within the daemon; and how long
a call takes whose worker has first to be started."""

import os
import statistics
import time

from atomd_test import config, quoted
from proxies import EchoAtomd, started

CONCURRENCY = 64
COLD = 20
BUSY = "--connections", "64"
ALONE = "--connections", "1"
TIMES = "--warm", "0.2", "--seconds", "1"

AGENT = """{ name = "%s"; backend: { %s };
  instances: { min = %d; max = 1; concurrency = %d; }; }"""


def process(bench):
    return 'plugin = "process"; command = [ %s, "%d" ];' % (
        quoted(os.path.abspath(os.path.join(bench.tools, "worker"))),
        CONCURRENCY)


class Server(EchoAtomd):
    key = None

    def __init__(self, cores, *agents):
        text = config(agents=agents).replace(
            '"debug"', '"info"').replace("workers = 2", "workers = 1")
        self.daemon = started(text, cores)
        self.port = self.daemon.port


def agent(name, backend, minimum):
    return AGENT % (name, backend, minimum, CONCURRENCY)


def cold_ms(bench):
    """First and second calls of agents that had no instance, in pairs."""
    server = Server(bench.proxy_cores, *(
        agent("cold-%d" % i, process(bench), 0) for i in range(COLD)))
    times = []
    try:
        for i in range(COLD):
            pair = []
            for _ in range(2):
                began = time.monotonic()
                answer = server.daemon.invoke("cold-%d" % i, "x")
                pair.append((time.monotonic() - began) * 1000)
                assert answer.status == 200, answer
            times.append(pair)
    finally:
        server.stop()
    return times


def measure(bench, servers):
    found = {(name, load): [] for name in servers for load in (BUSY, ALONE)}
    for _ in range(bench.size.rounds):
        for (name, load), figures in found.items():
            figures.append(bench.load(servers[name], *load, *TIMES))
    return found


def median(figures, *path):
    values = []
    for figure in figures:
        for name in path:
            figure = figure[name]
        values.append(figure)
    return statistics.median(values)


def run(bench):
    servers = {}
    try:
        for name, backend in (("echo", 'plugin = "echo";'),
                              ("process", process(bench))):
            servers[name] = Server(bench.proxy_cores,
                                   agent("bench", backend, 1))
        found = measure(bench, servers)
    finally:
        for server in servers.values():
            server.stop()
    rows = {name: {
        "cpu_us_per_call": median(found[name, BUSY], "process",
                                  "cpu_us_per_call"),
        "calls_per_second": median(found[name, BUSY],
                                   "calls_per_second"),
        "p50_us": median(found[name, ALONE], "latency_us", "p50"),
        "p99_us": median(found[name, ALONE], "latency_us", "p99"),
    } for name in ("echo", "process")}
    times = cold_ms(bench)
    first, second = (statistics.median(pair[i] for pair in times)
                     for i in (0, 1))
    print("\na worker that takes no time, on the daemon's core: the daemon's "
          "CPU us a call and calls a second with 64 connections, "
          "microseconds with one")
    print("%-10s%9s%10s%9s%9s" % ("", "CPU us", "calls/s", "p50 us",
                                  "p99 us"))
    for name, row in rows.items():
        print("%-10s%9.1f%10.0f%9d%9d" % (
            name, row["cpu_us_per_call"], row["calls_per_second"],
            row["p50_us"], row["p99_us"]))
    print("cold start: a call takes %.1f ms instead of %.1f, the median of "
          "%d" % (first, second, COLD), flush=True)
    return {"rows": rows, "cold_ms": first, "warm_ms": second}
