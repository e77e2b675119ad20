"""What judges say of simulated rollouts: `atomctl simulate rollout`."""

import json
import os

from atomctl_test import ctl_environment, run_atomctl
from atomd_test import run, test

ENVIRONMENT = ctl_environment(
    ATOMD_PLUGIN_DIR=os.environ["ATOMD_BUILD_PLUGINS"])


def rollout(*arguments):
    return run_atomctl("simulate", "rollout", *arguments, env=ENVIRONMENT,
                       timeout=60)


def simulate(*arguments):
    done = rollout("--json", *arguments)
    assert done.returncode == 0, done
    answer = json.loads(done.stdout)
    return {judge["name"]: judge for judge in answer["judges"]}


@test
def equal_revisions_are_rarely_alarmed_about():
    judges = simulate("--runs", "400", "--seed", "7")
    assert judges["sequential"]["alarm_share"] <= 0.05, judges
    assert judges["sequential"]["median_calls_to_alarm"] is None, judges
    assert judges["threshold"]["alarm_share"] > 0.05, judges


@test
def an_outage_of_both_deceives_fixed_limits_only():
    # Each minute is a measurement: 600 calls, the outage is in the second.
    judges = simulate("--runs", "400", "--calls", "4000", "--outage",
                      "0.2:0.3:0.9")
    assert judges["sequential"]["alarm_share"] <= 0.05, judges
    assert judges["threshold"]["alarm_share"] >= 0.9, judges


@test
def five_times_the_errors_are_found_within_1500_calls():
    judges = simulate("--runs", "400", "--judge", "sequential",
                      "--error-rate", "2%", "--canary-error-rate", "10%",
                      "--weight", "5%")
    judge = judges["sequential"]
    assert judge["alarm_share"] > 0.95, judge
    assert judge["median_calls_to_alarm"] <= 1500, judge
    assert 0 < judge["bad_answers_mean"] < 10, judge


@test
def a_better_revision_is_accepted_early():
    judge = simulate("--runs", "100", "--error-rate", "0.2",
                     "--canary-error-rate", "0.02", "--weight", "5000",
                     "--judge", "sequential")["sequential"]
    assert judge["accept_share"] == 1 and judge["calls_mean"] < 1000, judge


@test
def options_of_a_judge_count_and_the_seed_decides():
    strict = ("--judge", "sequential:alpha=0.000001,sequential", "--runs",
              "200", "--canary-error-rate", "0.2", "--seed", "3")
    once = rollout("--json", *strict)
    again = rollout("--json", *strict)
    assert once.returncode == 0 and once.stdout == again.stdout
    first, second = json.loads(once.stdout)["judges"]
    assert first["options"] == {"alpha": 1e-06}, first
    assert first["median_calls_to_alarm"] > second["median_calls_to_alarm"]
    other = rollout("--json", *strict[:-1], "4")
    assert other.stdout != once.stdout


@test
def wrong_words_say_what_was_expected():
    for arguments, words in (
            (("--weight", "0"), b"--weight: expected"),
            (("--weight", "100%"), b"--weight: expected"),
            (("--error-rate", "1.5"), b"a share of calls"),
            (("--outage", "0.5:0.4:1"), b"a begin before its end"),
            (("--outage", "0.5:0.6"), b"--outage: expected"),
            (("--runs", "0"), b"a number from 1"),
            (("--calls", "many"), b"a number from 1"),
            (("--judge", "a,,b"), b"judge")):
        done = rollout(*arguments)
        assert done.returncode in (1, 2) and words in done.stderr, done
    done = rollout("--judge", "nosuch")
    assert done.returncode == 1 and b"`nosuch`" in done.stderr, done
    table = rollout("--runs", "10")
    assert table.returncode == 0 and b"JUDGE" in table.stdout, table
    assert table.stderr == b"", table


run()
