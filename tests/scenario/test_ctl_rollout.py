"""What judges say of simulated rollouts: `atomctl simulate rollout`."""

import json
import os
import xml.dom.minidom

from atomctl_test import ctl_environment, run_atomctl
from atomd_test import Folder, run, test

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


def whole(*arguments):
    done = rollout("--json", *arguments)
    assert done.returncode == 0, done
    answer = json.loads(done.stdout)
    return {(row["strategy"], row["judge"]): row
            for row in answer["rollouts"]}


@test
def a_bad_canary_is_aborted_before_many_see_it():
    rows = whole("--strategy", "canary,shadow,rolling:hold=\"2m\"", "--runs",
                 "60", "--canary-error-rate", "10%")
    canary = rows["canary", "sequential"]
    assert canary["aborted_share"] > 0.95, canary
    assert canary["median_calls_to_abort"] <= 1500, canary
    assert canary["bad_answers_mean"] < 15, canary
    assert "e-value" in canary["last_reason"], canary
    # Nobody is shown what is mirrored.
    shadow = rows["shadow", "sequential"]
    assert shadow["aborted_share"] > 0.95, shadow
    assert shadow["bad_answers_mean"] == 0, shadow
    assert rows["rolling", "sequential"]["aborted_share"] > 0.9, rows


@test
def an_equal_canary_is_promoted_also_over_an_outage():
    for outage in ((), ("--outage", "0.2:0.3:0.9")):
        row = whole("--strategy", "canary", "--judge", "sequential", "--runs",
                    "60", "--seed", "5", *outage)["canary", "sequential"]
        assert row["promoted_share"] >= 0.9, row
        assert row["open_share"] == 0 and row["seconds_mean"] < 1000, row


@test
def what_waits_for_a_person_stays_open():
    row = whole("--strategy", "blue_green:auto_switch=false", "--judge",
                "sequential", "--runs", "3")["blue_green", "sequential"]
    assert row["open_share"] == 1 and row["options"] == {
        "auto_switch": False}, row
    assert "ready_for_switch" in row["last_reason"], row


@test
def the_plot_shows_who_was_stopped_and_the_weight():
    with Folder() as folder:
        plot = os.path.join(folder.path, "p.svg")
        for arguments, panels in (
                ((), ("runs alarmed",)),
                (("--strategy", "canary"), ("runs aborted", "weight of"))):
            done = rollout("--runs", "20", "--plot", plot, *arguments)
            assert done.returncode == 0, done
            with open(plot, encoding="utf-8") as file:
                text = file.read()
            assert len(text) < 40000, len(text)
            xml.dom.minidom.parseString(text)
            for words in panels + ("sequential (", "threshold (",
                                   "10000 calls"):
                assert words in text, (words, text)


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
            (("--strategy", "canary", "--weight", "5%"), b"--weight: with"),
            (("--strategy", "nosuch"), b"`nosuch`"),
            (("--strategy", "canary:steps=3"), b"steps"),
            (("--rate", "0"), b"--rate: expected"),
            (("--cold-start", "soon"), b"--cold-start: expected"),
            (("--judge", "a,,b"), b"judge")):
        done = rollout(*arguments)
        assert done.returncode in (1, 2) and words in done.stderr, done
    done = rollout("--judge", "nosuch")
    assert done.returncode == 1 and b"`nosuch`" in done.stderr, done
    table = rollout("--runs", "10")
    assert table.returncode == 0 and b"JUDGE" in table.stdout, table
    assert table.stderr == b"", table


run()
