"""Generators that know nothing of us, as outside judges: wrk and h2load."""

import re
import subprocess

from places import Folder
from proxies import KEY, PATH, pinned, program

WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
wrk.body = [[%s]]
local threads, expected = {}, nil
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0 end
function response(status, headers, body)
  expected = expected or body
  if status ~= 200 or body ~= expected then wrong = wrong + 1 end
end
function done(summary, latency)
  local bad, e = 0, summary.errors
  for _, t in ipairs(threads) do bad = bad + t:get("wrong") end
  io.write(string.format("\\nBENCH %%d %%d %%d %%d %%d %%d\\n",
    summary.requests, bad, e.connect + e.read + e.write + e.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end
"""


def question(size):
    """Of about so many bytes."""
    return ('{"model":"bench","max_tokens":1000000,"messages":[{"role":'
            '"user","content":"bench 0000000000000000 size=00000400 '
            'events=00000000 interval_us=00000000 %s"}]}' % (
                "word " * ((size - 224) // 5)))


QUESTION = question(1024)


def url(server):
    return "%s://127.0.0.1:%d%s" % ("https" if server.tls else "http",
                                    server.port, PATH)


def wrk(server, cores, connections=64, asked=QUESTION, seconds="1s"):
    path = program("wrk")
    with Folder() as folder:
        script = folder.write("load.lua", WRK % (server.key or KEY, asked))
        done = subprocess.run(
            [*pinned(cores), path, "-t1", "-c%d" % connections,
             "-d" + seconds, "-s", script, url(server)],
            stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    line = [x for x in done.stdout.split("\n") if x.startswith("BENCH")]
    calls, bad, errors, micros, p50, p99 = map(int, line[0].split()[1:])
    if server.answers_echo:
        bad = 0  # ids of its own: only the status would be compared
    return {"calls": calls, "calls_per_second": calls / micros * 1e6,
            "wrong": bad, "errors": errors, "p50_us": p50, "p99_us": p99}


def h2load(server, cores):
    """It sees statuses, not bodies, and says no percentiles."""
    path = program("h2load")
    with Folder() as folder:
        asked = folder.write("question", QUESTION)
        done = subprocess.run(
            [*pinned(cores), path, "--h1", "-t1", "-c64", "-D1", "-d",
             asked, "-H", "content-type: application/json", "-H",
             "authorization: Bearer " + (server.key or KEY), url(server)],
            stdout=subprocess.PIPE, text=True, timeout=60, check=True)

    def number(pattern):
        found = re.search(pattern, done.stdout)
        assert found, "h2load says no `%s`:\n%s" % (pattern, done.stdout)
        return float(found.group(1))
    good = number(r"status codes: (\d+) 2xx")
    return {"calls": int(good),
            "calls_per_second": number(r", ([\d.]+) req/s"),
            "wrong": int(number(r"requests: \d+ total, \d+ started, "
                                r"(\d+) done") - good),
            "errors": int(number(r"(\d+) failed") + number(r"(\d+) errored") +
                          number(r"(\d+) timeout"))}


JUDGES = (("wrk", wrk), ("h2load", h2load))


def print_judge(name, judged, ours):
    print("\n%s, the same calls, 64 connections, 1 s" % name)
    print("%-12s%9s%11s%9s%9s%6s" % ("", "calls/s", "of ours", "p50 us",
                                    "p99 us", "wrong"))
    for server, figure in judged.items():
        own = ours.get(server)
        print("%-12s%9.0f%11s%9s%9s%6d" % (
            server, figure["calls_per_second"],
            "%.2f" % (figure["calls_per_second"] / own) if own else "-",
            figure.get("p50_us", "-"), figure.get("p99_us", "-"),
            figure["wrong"] + figure["errors"]))
