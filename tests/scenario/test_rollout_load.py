#!/usr/bin/env python3
"""Rollouts and aborts back to back under 500 calls a second, half of them
streams: every byte of every answer is looked at, and none is missing, cut or
there twice.

ATOMD_TEST_ROLLOUTS=N does N of them instead of a few.
"""

import json
import os
import subprocess
import threading

from atomd_test import (Daemon, Skip, agent, config, run, seconds, test,
                        wait_for)

COUNT = int(os.environ.get("ATOMD_TEST_ROLLOUTS", "8"))
RATE = 250  # calls a second of each of the two loads
TOOLS = os.environ.get("BENCH_TOOLS") or os.path.join(
    os.environ.get("TOP_BUILDDIR", "."), "tests", "bench")
STREAM = ("--events", "20", "--answer-bytes", "32")


class Upstream:
    def __enter__(self):
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "mock")], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Load(threading.Thread):
    """One load after the other until it is told to stop."""

    def __init__(self, port, *options):
        super().__init__(daemon=True)
        self.command = [os.path.join(TOOLS, "load"), "--port", str(port),
                        "--connections", "16", "--rate", str(RATE),
                        "--warm", "0", "--seconds", "4", *options]
        self.stopping, self.calls, self.faults = False, 0, []
        self.rates = []

    def run(self):
        while not self.stopping:
            done = subprocess.run(
                self.command, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=seconds(60), check=False)
            if done.returncode != 0:
                self.faults.append((done.returncode, done.stdout,
                                    done.stderr))
                return
            said = json.loads(done.stdout)
            self.calls += said["calls"]
            self.rates.append(said["calls_per_second"])


def body(upstream, number, hold="0"):
    """Revisions differ by what no answer shows."""
    return agent("bench", 'plugin = "openai"; base_url = "http://127.0.0.1:%d'
                 '/v1";' % upstream.port,
                 'max_tokens = %d;\ninstances: { min = 1; max = 1; '
                 'concurrency = 1000; };\n'
                 'deployment: { plugin = "canary"; judge = "none"; '
                 'hold = "%s"; rollback_window_ms = 60000; };' % (
                     1000 + number, hold))


def weight_of(daemon, revision):
    return {row["revision"]: row["weight"] for row in
            daemon.agents()["bench"]["split"]}.get(revision, 0)


def at(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@test
def not_a_call_is_lost_cut_or_there_twice():
    if not os.access(os.path.join(TOOLS, "load"), os.X_OK):
        raise Skip("tests/bench/load is not built")
    aborts = []
    with Upstream() as upstream, \
            Daemon(config(agents=body(upstream, 0))) as daemon:
        loads = [Load(daemon.port), Load(daemon.port, *STREAM)]
        for load in loads:
            load.start()
        for n in range(2, 2 + COUNT):
            aborting = n % 2 == 1
            daemon.configure(config(agents=body(
                upstream, n, "10m" if aborting else "0")))
            assert daemon.admin("POST", "/admin/v1/reload", {}).status == 200
            if aborting:
                wait_for(lambda n=n: weight_of(daemon, n) > 0, 60,
                         "weight on revision %d" % n)
                answer = daemon.admin(
                    "POST", "/admin/v1/deployments/bench/abort", {})
                assert answer.status == 200, answer
                aborts.append(answer.json["abort"])
            daemon.wait_line(
                lambda l, n=n, o="aborted" if aborting else "promoted":
                l.get("event") == "rollout_" + o and l["to"] == n, 60,
                "the end of revision %d" % n)
        for load in loads:
            load.stopping = True
        for load in loads:
            load.join()
            # Wrong bytes, refusals, cuts and what never ended are its faults.
            assert not load.faults, load.faults
            assert load.calls > 0
        calls = sum(load.calls for load in loads)
        metrics = daemon.metrics()
        # Each was answered once, and well: as many as were asked.
        answered = metrics.sum("atomd_requests_total", agent="bench",
                               code="200")
        assert answered == metrics.sum("atomd_requests_total", agent="bench")
        assert answered >= calls, (answered, calls)
        print("# %d rollouts, %d of them aborted; %d calls, %d of them "
              "streams, %.0f a second" % (
                  COUNT, len(aborts), calls, loads[1].calls,
                  sum(sum(load.rates) / len(load.rates) for load in loads)))
        for name in ("closed_us", "last_new_call_us"):
            values = [a[name] for a in aborts]
            print("# %s: %.0f at the median, %.0f at p99, %.0f at the most" % (
                name, at(values, 0.5), at(values, 0.99), max(values)))


if __name__ == "__main__":
    run(int(120 + 5 * COUNT))
