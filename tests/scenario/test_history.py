#!/usr/bin/env python3
"""What a metric was, asked of a live daemon and of the one after it."""

import os
import shlex
import subprocess
import time
from urllib.parse import quote

from atomd_test import (OFTEN, Daemon, agent, config, run, source, test,
                        wait_for)

SERVED = 'atomd_requests_total{agent="echo",code="200"}'


def query(daemon, metric, more=""):
    return daemon.admin("GET", "/admin/v1/metrics/query?metric=%s%s" % (
        quote(metric), more))


def values(daemon, metric, name="values"):
    answer = query(daemon, metric, "&range=10m")
    assert answer.status == 200, answer
    body = answer.json
    assert body["step_seconds"] == 15 and body["resolution"] == "raw", body
    assert all(len(s[name]) == body["steps"] for s in body["series"]), body
    return [[v for v in s[name] if v is not None] for s in body["series"]]


@test
def calls_are_told_and_told_again_after_a_restart():
    with Daemon(config(agent(), extra=OFTEN)) as daemon:
        for _ in range(3):
            assert daemon.invoke("echo", "hello").status == 200
        # One may be taken between two of the calls.
        (before,) = wait_for(lambda: [row for row in values(daemon, SERVED)
                                      if row[-1:] == [3]], 60, "a sample")
        wait_for(lambda: values(
            daemon, 'atomd_request_duration_seconds_bucket{le="+Inf"}')[0][-1:]
            == [3], 60, "a sample of the buckets")
        assert values(daemon, "process_resident_memory_bytes",
                      "mean")[0][-1] > 1e6
        # A step without a call.
        wait_for(lambda: values(daemon, SERVED, "per_second")[0][-1:] == [0],
                 60, "another step")
        daemon.stop()
        daemon.start()
        assert daemon.invoke("echo", "hello").status == 200
        assert values(daemon, SERVED)[0][:len(before)] == before
        wait_for(lambda: values(daemon, SERVED)[0][-1] == 4, 60,
                 "the counter to carry on")


@test
def the_rate_of_the_step_under_way_is_of_what_has_passed_of_it():
    with Daemon(config(agent(), extra=OFTEN)) as daemon:
        def steeper():
            """Is the rate of the last step more than that of a whole one that
            has grown by as much?"""
            assert daemon.invoke("echo", "hello").status == 200
            answer = query(daemon, SERVED, "&range=1m").json
            if not answer["series"]:
                return False
            (series,) = answer["series"]
            was, now = series["values"][-2:]
            if was is None or now is None or was == now:
                return False
            assert series["per_second"][-1] * 15 > (now - was) * 0.99, series
            return series["per_second"][-1] * 15 > (now - was) * 1.01
        wait_for(steeper, 60, "a step that is under way")


def the_rate_of_five_minutes_under_way_is_of_what_has_passed_of_them():
    daemon = Daemon(config(agent(), extra=OFTEN))
    clock, shift = daemon.dir + "/clock.so", daemon.dir + "/shift"
    subprocess.run(
        [*shlex.split(os.environ.get("CC", "cc")), "-D_GNU_SOURCE", "-shared",
         "-fPIC", "-o", clock, source("tests/torture/clock.c")], check=True)
    # Five minutes end some time after the first sample.
    with open(shift, "wb") as out:
        out.write(int(-(time.time() + 30) % 300).to_bytes(8, "little"))
    daemon.env = {"LD_PRELOAD": clock, "CHAOS_CLOCK": shift}

    def steeper():
        assert daemon.invoke("echo", "hello").status == 200
        answer = query(daemon, SERVED, "&range=7h").json
        assert answer["resolution"] == "rolled", answer
        assert answer["step_seconds"] == 300, answer
        if not answer["series"]:
            return False
        (series,) = answer["series"]
        was, now = series["values"][-2:]
        if was is None or now is None or was == now:
            return False
        return series["per_second"][-1] * 300 > (now - was) * 1.01

    with daemon:
        wait_for(steeper, 120, "five minutes that are under way")


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(the_rate_of_five_minutes_under_way_is_of_what_has_passed_of_them)


@test
def what_is_wrong_with_a_question_is_said():
    with Daemon(config(agent())) as daemon:
        for metric, more, word in (
                ("", "", "metric"), ("a{", "", "metric"),
                ("a{b=c}", "", "metric"), ('a{b=~"("}', "", "expression"),
                ("a", "&range=1s", "range"), ("a", "&range=32d", "range"),
                ("a", "&step=1s", "step"), ("a", "&range=30d&step=1m", "step"),
                ("a", "&step=x", "step")):
            answer = query(daemon, metric, more)
            assert answer.status == 400, (metric, more, answer)
            assert word in answer.json["error"]["message"], answer.json
        answer = query(daemon, 'atomd_nothing_like_it{a!="b"}')
        assert answer.status == 200 and answer.json["series"] == [], answer


if __name__ == "__main__":
    run()
