"""What checking a key, limits, and recording add to a call: CPU time of all
threads of one daemon that is told, between short runs, to do it or not."""

import random

from proxies import EchoAtomd, CONNECTIONS, pinned
from atomd_test import Daemon, wait_for
from pairs import as_json, differences

LIMITS = {"requests_per_minute": 1000000000, "concurrent": 1000000,
          "tokens_per_minute": 1000000000}
# name: has a key, has limits (of key and agent), is recorded.
VARIANTS = {
    "open": (False, False, False),
    "key": (True, False, False),
    "limits": (True, True, False),
    "recorded": (True, False, True),
}
# title, with it, without it, what it may take.
PAIRS = (
    ("key", "key", "open", None),
    ("limits", "limits", "key", None),
    ("key and limits", "limits", "open", 3.0),
    ("audit record", "recorded", "key", 2.0),
)
SECONDS = "0.4"
# Records are written within a second: where they are measured a second must
# have gone before, and one after until the last are written.
WARM, RECORDED_WARM, RECORDED_SECONDS = "0.15", "1.1", "1"

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
        self.daemon = Daemon(config(*self.now),
                             wrapper=pinned(cores)).start()
        self.port = self.daemon.port
        self.keys = {limits: self.new_key(limits) for limits in (False, True)}

    def new_key(self, limits):
        made = self.daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "limits": LIMITS if limits else {}})
        assert made.status in (200, 201), made
        return made.json["key"]

    def use(self, name):
        has_key, limits, recorded = VARIANTS[name]
        if self.now != (limits, recorded):
            answer = self.daemon.reload(config(limits, recorded))
            assert answer.status == 200, answer
            self.now = (limits, recorded)
        self.key = self.keys[limits] if has_key else None

    def wait_until_written(self):
        wait_for(lambda: self.daemon.metrics().sum(
            "atomd_audit_queue_depth") == 0, 20, "no record waits")


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
                recorded = VARIANTS[name][2]
                server.use(name)
                figure = bench.load(
                    server, "--connections", "64",
                    "--warm", RECORDED_WARM if recorded else WARM,
                    "--seconds", RECORDED_SECONDS if recorded else SECONDS)
                figures[name] = figure["process"]["cpu_us_per_call"]
                server.wait_until_written()
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
    print("%-16s%8s%18s%8s" % ("", "CPU us", "95 of 100", "budget"))
    for title, _, _, budget in PAIRS:
        e = found[title]
        print("%-16s%8.2f%18s%8s" % (
            title, e.median, "%.2f to %.2f" % (e.low, e.high),
            "" if budget is None else "%.0f" % budget), flush=True)
    return {"added_cpu_us": as_json(found), "rounds": rounds}
