"""What checking a key, limits, and recording add to a call: CPU time of all
threads of one daemon that is told, between short runs, to do it or not."""

import os
import random

from proxies import EchoAtomd, CONNECTIONS, started
from atomd_test import wait_for
from pairs import as_json, differences, estimate, of_least

LIMITS = {"requests_per_minute": 1000000000, "concurrent": 1000000,
          "tokens_per_minute": 1000000000}
# Records are written within a second: where they are measured a second must
# have gone before, and one goes after until the last are written.
SHORT = "--warm", "0.15", "--seconds", "0.4"
LONG = "--warm", "1.1", "--seconds", "1"
# name: has a key, has limits (of key and agent), is recorded, how long.
VARIANTS = {
    "open": (False, False, False, SHORT),
    "key": (True, False, False, SHORT),
    "limits": (True, True, False, SHORT),
    "unrecorded": (True, False, False, LONG),
    "recorded": (True, False, True, LONG),
}
# title, with it, without it, what it may take.
PAIRS = (
    ("key", "key", "open", None),
    ("limits", "limits", "key", None),
    ("key and limits", "limits", "open", 3.0),
    ("audit record", "recorded", "unrecorded", 2.0),
)

CONFIG = """
workers = 1;
log_level = "info";
security: { anonymous_role = "caller"; audit_calls = "%(calls)s"; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );
agents = ( { name = "bench"; backend: { plugin = "echo"; };
  rate_limits: { %(limits)s };
  instances: { min = 1; max = 1; concurrency = %(connections)d; }; } );
"""


def config(limits, recorded):
    return CONFIG % {
        "calls": "batched" if recorded else "none",
        "limits": " ".join("%s = %d;" % item for item in LIMITS.items())
        if limits else "", "connections": CONNECTIONS}


class Variants(EchoAtomd):
    """One daemon; use() makes it another."""

    key = None

    def __init__(self, cores):
        self.now = (False, False)
        self.daemon = started(config(*self.now), cores)
        self.port = self.daemon.port
        self.keys = {limits: self.new_key(limits) for limits in (False, True)}

    def new_key(self, limits):
        made = self.daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "limits": LIMITS if limits else {}})
        assert made.status in (200, 201), made
        return made.json["key"]

    def use(self, name):
        has_key, limits, recorded, _ = VARIANTS[name]
        if self.now != (limits, recorded):
            answer = self.daemon.reload(config(limits, recorded))
            assert answer.status == 200, answer
            self.now = (limits, recorded)
        self.key = self.keys[limits] if has_key else None

    def wait_until_written(self):
        wait_for(lambda: self.daemon.metrics().sum(
            "atomd_audit_queue_depth") == 0, 20, "no record waits")

    def recorded(self):
        """Records that were written, and the CPU us of the threads that do
        nothing else: the sequencer's and the sinks'."""
        metrics = self.daemon.metrics()
        records = metrics.sum("atomd_audit_records_total", result="written")
        tasks, total = "/proc/%d/task" % self.daemon.pid, 0
        for thread in os.listdir(tasks):
            with open("%s/%s/comm" % (tasks, thread)) as name:
                if not name.read().startswith("audit"):
                    continue
            with open("%s/%s/schedstat" % (tasks, thread)) as times:
                total += int(times.read().split()[0])
        return records, total / 1000


def measure(bench):
    """[{variant: CPU us a call}], a round each."""
    server = Variants(bench.proxy_cores)
    rounds, order = [], list(VARIANTS)
    # The same order in each run, another in each round.
    shuffle = random.Random(1).shuffle
    try:
        for _ in range(bench.size.added):
            shuffle(order)
            figures = {}
            for name in order:
                server.use(name)
                before = server.recorded()
                figure = bench.load(server, "--connections", "64",
                                    *VARIANTS[name][-1])
                figures[name] = figure["process"]["cpu_us_per_call"]
                server.wait_until_written()
                if VARIANTS[name][2]:
                    records, cpu_us = (now - then for now, then in
                                       zip(server.recorded(), before))
                    figures["recording"] = cpu_us / records
            rounds.append(figures)
    finally:
        server.stop()
    return rounds


def run(bench):
    rounds = measure(bench)
    found = {title: differences(rounds, with_it, without_it)
             for title, with_it, without_it, _ in PAIRS}
    print("\nadded to a 1 KB call, 64 connections: CPU us, the median of %d "
          "rounds' differences" % len(rounds))
    print("%-16s%8s%18s%10s%8s" % ("", "CPU us", "95 of 100", "of least",
                                   "budget"))
    for title, with_it, without_it, budget in PAIRS:
        e = found[title]
        print("%-16s%8.2f%18s%10.2f%8s" % (
            title, e.median, "%.2f to %.2f" % (e.low, e.high),
            of_least(rounds, with_it, without_it),
            "" if budget is None else "%.0f" % budget), flush=True)
    found["recording threads"] = e = estimate(
        [r["recording"] for r in rounds])
    print("%-16s%8.2f%18s%10.2f" % (
        "of it, threads", e.median, "%.2f to %.2f" % (e.low, e.high),
        min(r["recording"] for r in rounds)), flush=True)
    return {"added_cpu_us": as_json(found), "rounds": rounds}
