#!/usr/bin/env python3
"""Late calls against instance-seconds: every strategy swept over its main
parameter on one load, by `atomctl simulate scaling`.

    scaling.py TRACE [--service-time DIST] [--cold-start TIME ...] [--all]

prints, for each setting of governor, the cheapest setting of the others that
has no more late calls, and by how much governor is below it; with --all every
point. ATOMCTL and ATOMD_PLUGIN_DIR say what is run, as everywhere in tests/.
"""

import argparse
import json
import os
import subprocess
import tempfile

AGENT = """
name = "swept";
backend: { plugin = "echo"; };
instances: { min = 1; max = 100; concurrency = %d; };
queue: { depth = 1000000; timeout_ms = 3600000; };
"""

SHARES = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3]
OTHERS = (
    ["concurrency:target_utilization_percent=%d" % p
     for p in (20, 30, 40, 50, 60, 70, 80, 90, 100)] +
    ["target:target=%.1f" % p for p in (20, 30, 40, 50, 60, 70, 80, 90, 99)] +
    ["threshold"] +
    ["threshold:cpu_high_percent=%.1f;cpu_low_percent=%.1f;"
     "memory_low_percent=100.0;step=%d" % (p, p * 3 / 7, step)
     for p in (30, 50, 70, 90) for step in (1, 4)] +
    ["fixed:instances=%d" % n
     for n in list(range(1, 13)) + [14, 16, 18, 20, 24, 28, 32]])
AT_ONCE = 16


def points(options, cold_start, strategies):
    """(late share, instance-seconds, what was run) of each."""
    found = []
    for i in range(0, len(strategies), AT_ONCE):
        batch = strategies[i:i + AT_ONCE]
        command = [os.environ.get("ATOMCTL", "atomctl"), "simulate",
                   "scaling", "--json", "--agent-config", options.agent,
                   "--trace", options.trace, "--cold-start", cold_start,
                   "--target-wait", options.target_wait, "--seed", "1",
                   "--strategy", ",".join(batch)]
        if options.service_time:
            command += ["--service-time", options.service_time]
        said = json.loads(subprocess.run(
            command, check=True, stdout=subprocess.PIPE).stdout)
        found += [(s["late_share"], s["instance_seconds"], name)
                  for s, name in zip(said["strategies"], batch)]
    return found


def compare(governor, others):
    for late, cost, name in governor:
        rivals = [o for o in others if o[0] <= late]
        line = "| %s | %.2f %% | %.0f |" % (name.split("=")[1], late * 100,
                                            cost)
        if rivals:
            best = min(rivals, key=lambda o: o[1])
            line += " %s, %.2f %%, %.0f | %+.0f %% |" % (
                best[2], best[0] * 100, best[1], (cost / best[1] - 1) * 100)
        else:
            line += " none | |"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trace")
    parser.add_argument("--service-time")
    parser.add_argument("--cold-start", nargs="+",
                        default=["0.1s", "2s", "30s"])
    parser.add_argument("--target-wait", default="1s")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(AGENT % options.concurrency)
        file.flush()
        options.agent = file.name
        for cold_start in options.cold_start:
            print("\ncold start %s\n\n| late_share | late | instance-seconds "
                  "| best of the others with no more late calls | governor "
                  "|\n|---|---|---|---|---|" % cold_start)
            governor = points(options, cold_start,
                              ["governor:late_share=%g" % s for s in SHARES])
            others = points(options, cold_start, OTHERS)
            compare(governor, others)
            if options.all:
                for late, cost, name in sorted(governor + others):
                    print("%8.4f %9.0f %s" % (late, cost, name))


main()
