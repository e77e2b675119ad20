"""What monitoring adds: CPU time of a call, and of a daemon that idles, with
the monitors of etc/monitoring.conf, and with an OTLP collector as well,
against a daemon without any."""

import time

from proxies import EchoAtomd, CONNECTIONS, started
from pairs import as_json, differences, of_least
from stalled import Receiver

SHORT = "--warm", "0.15", "--seconds", "0.4"
IDLE_SECONDS = 45  # of samples three, of evaluations as many
BUDGET_US = 2.0

CONFIG = """
workers = 1;
log_level = "info";
monitoring_enabled = %(enabled)s;
security: { anonymous_role = "caller"; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
monitors = ( %(monitors)s );
agents = ( { name = "bench"; backend: { plugin = "echo"; };
             instances: { min = 1; max = 1; concurrency = %(connections)d; };
           },
           { name = "writer"; backend: { plugin = "analyst"; }; } );
"""
MONITORS = """ { plugin = "alerts"; }, { plugin = "anomaly"; },
               { plugin = "analyst"; agent = "writer"; } """
OTLP = ', { plugin = "otlp"; endpoint = "http://127.0.0.1:%d"; sample = %s; }'
# title, with it, without it, has a budget.
PAIRS = (("monitors", "monitored", "alone", True),
         ("and otlp, 1 of 10", "sampled", "alone", True),
         ("and otlp, all", "traced", "alone", False))


class Variant(EchoAtomd):
    key = None

    def __init__(self, cores, monitors):
        self.daemon = started(CONFIG % {
            "enabled": "true" if monitors else "false",
            "monitors": monitors, "connections": CONNECTIONS}, cores)
        self.port = self.daemon.port

    def cpu_us(self):
        """Of all its threads, since its start."""
        with open("/proc/%d/stat" % self.daemon.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        # In ticks of 10 ms, which three quarters of a minute bear.
        return (int(fields[11]) + int(fields[12])) * 10000


def idle(servers):
    """{name: CPU us a second} with nothing to do."""
    began = time.monotonic()
    before = {name: server.cpu_us() for name, server in servers.items()}
    time.sleep(IDLE_SECONDS)  # what is measured is this time
    seconds = time.monotonic() - began
    return {name: (server.cpu_us() - before[name]) / seconds
            for name, server in servers.items()}


def measure(bench, servers):
    rounds, order = [], list(servers)
    for i in range(bench.size.added):
        figures = {}
        for name in order if i % 2 else reversed(order):
            figure = bench.load(servers[name], "--connections", "64", *SHORT)
            figures[name] = figure["process"]["cpu_us_per_call"]
        rounds.append(figures)
    return rounds


def run(bench):
    collector, servers = Receiver(True), {}
    try:
        for name, monitors in (
                ("alone", ""), ("monitored", MONITORS),
                ("sampled", MONITORS + OTLP % (collector.port, "0.1")),
                ("traced", MONITORS + OTLP % (collector.port, "1.0"))):
            servers[name] = Variant(bench.proxy_cores, monitors)
        rounds, resting = measure(bench, servers), idle(servers)
    finally:
        for server in servers.values():
            server.stop()
        collector.stop()
    found = {title: differences(rounds, with_it, without_it)
             for title, with_it, without_it, _ in PAIRS}
    print("\nmonitoring, added to a 1 KB call, 64 connections: CPU us, the "
          "median of %d rounds' differences" % len(rounds))
    print("%-20s%8s%18s%10s%8s%14s" % ("", "CPU us", "95 of 100", "of least",
                                       "budget", "idle us/s"))
    for title, with_it, without_it, has_budget in PAIRS:
        e = found[title]
        print("%-20s%8.2f%18s%10.2f%8s%14.0f" % (
            title, e.median, "%.2f to %.2f" % (e.low, e.high),
            of_least(rounds, with_it, without_it),
            "%.0f" % BUDGET_US if has_budget else "",
            resting[with_it] - resting[without_it]), flush=True)
    return {"monitoring_cpu_us": as_json(found), "idle_us_per_s": resting,
            "rounds": rounds}
