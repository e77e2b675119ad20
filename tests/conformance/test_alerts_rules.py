#!/usr/bin/env python3
"""The rules that atomd ships, replayed: each fires on the bad series and is
silent on the good ones, and promtool says the same of every label and
annotation."""

import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, Skip, run, source, test  # noqa: E402

EVALUATE = os.path.join(os.environ["TOP_BUILDDIR"], "tests", "conformance",
                        "evaluate")
RULES = source("etc", "alerts", "atomd.yml")
DAY = 86400
DEAD = ("dead_mans_switch", "info", "")


def promtool():
    path = shutil.which("promtool")
    if path is None:
        raise Skip("no promtool: apt-get install prometheus")
    return path


# --- series -----------------------------------------------------------------------

def grows(rate, steps, quiet=0):
    """A counter that grows by `rate` a step, after `quiet` steps of none."""
    return [round(max(0, i - quiet) * rate, 6) for i in range(steps)]


def stays(value, steps):
    return [value] * steps


def calls(ok, failed, steps, quiet=0, agent="a"):
    """`failed` begins after `quiet` steps."""
    return {
        'atomd_requests_total{agent="%s",code="200",revision="1"}' % agent:
            grows(ok, steps),
        'atomd_requests_total{agent="%s",code="502",revision="1"}' % agent:
            grows(failed, steps, quiet),
    }


def durations(mean, steps):
    return {'atomd_request_duration_seconds_sum{agent="a"}':
            grows(2 * mean, steps),
            'atomd_request_duration_seconds_count{agent="a"}':
            grows(2, steps)}


def waits(fast, slow, steps):
    name = 'atomd_queue_wait_seconds_bucket{agent="a",le="%s"}'
    return {name % "1": grows(fast, steps), name % "2.5": grows(fast, steps),
            name % "5": grows(fast + slow, steps),
            name % "+Inf": grows(fast + slow, steps),
            'atomd_queue_wait_seconds_count{agent="a"}':
            grows(fast + slow, steps)}


def instances(ready, desired, steps):
    return {'atomd_instances{agent="a",revision="1",state="ready"}':
            stays(ready, steps),
            'atomd_instances{agent="a",revision="1",state="starting"}':
            stays(1, steps),
            'atomd_instances_desired{agent="a"}': stays(desired, steps)}


def one(series, values):
    return {series: values}


# (what, seconds a step, series, what fires at the end besides the dead man's
# switch: name, severity, burn rate)
CASES = [
    ("4 % of calls fail, slowly burning the budget", 15,
     calls(96, 4, 41), {("error_budget_burn", "critical", "14.4"),
                        ("error_budget_burn", "critical", "6"),
                        ("error_budget_burn", "warning", "3"),
                        ("error_budget_burn", "warning", "1")}),
    ("7 % fail", 15, calls(93, 7, 41),
     {("error_rate_high", "warning", ""),
      ("error_budget_burn", "critical", "14.4"),
      ("error_budget_burn", "critical", "6"),
      ("error_budget_burn", "warning", "3"),
      ("error_budget_burn", "warning", "1")}),
    ("12 % fail", 15, calls(88, 12, 41),
     {("error_rate_high", "warning", ""), ("error_rate_high", "critical", ""),
      ("error_budget_burn", "critical", "14.4"),
      ("error_budget_burn", "critical", "6"),
      ("error_budget_burn", "warning", "3"),
      ("error_budget_burn", "warning", "1")}),
    ("no call fails", 15, calls(100, 0, 41), set()),
    ("one call of two fails, and there are no others", 15,
     calls(0.025, 0.025, 41), set()),
    ("2.5 permille fail for three days", 900,
     calls(1000, 2.5, 300), {("error_budget_burn", "warning", "1")}),
    ("4 permille fail for three days", 900,
     calls(1000, 4, 300), {("error_budget_burn", "warning", "3"),
                           ("error_budget_burn", "warning", "1")}),
    ("8 permille fail for a day", 900,
     calls(1000, 8, 100), {("error_budget_burn", "critical", "6"),
                           ("error_budget_burn", "warning", "3"),
                           ("error_budget_burn", "warning", "1")}),
    ("half a permille fails for three days", 900,
     calls(1000, 0.5, 300), set()),
    ("calls take 7 s", 15, durations(7, 41),
     {("response_time_high", "warning", "")}),
    ("calls take 4.9 s", 15, durations(4.9, 41), set()),
    ("a tenth waits over 2.5 s", 15, waits(9, 1, 41),
     {("queue_wait_high", "warning", "")}),
    ("all wait under a second", 15, waits(10, 0, 41), set()),
    ("no instance is ready", 15, instances(0, 2, 21),
     {("pool_unhealthy", "critical", "")}),
    ("none is wanted", 15, instances(0, 0, 61), set()),
    ("one of two for a quarter of an hour", 15, instances(1, 2, 61),
     {("pool_short", "warning", "")}),
    ("two of two", 15, instances(2, 2, 61), set()),
    ("an instance fails each minute", 15,
     one('atomd_instance_failures_total{agent="a"}', grows(0.25, 61)),
     {("instance_crash_loop", "critical", "")}),
    ("one failed in a quarter of an hour", 15,
     one('atomd_instance_failures_total{agent="a"}',
         stays(0, 30) + stays(1, 31)), set()),
    ("the disk has a twentieth left", 15,
     {'atomd_state_disk_free_bytes': stays(5e8, 41),
      'atomd_state_disk_size_bytes': stays(1e10, 41)},
     {("disk_filling", "warning", "")}),
    ("a large disk has a twentieth left", 15,
     {'atomd_state_disk_free_bytes': stays(5e10, 41),
      'atomd_state_disk_size_bytes': stays(1e12, 41)}, set()),
    ("an agent does not answer its probe", 15,
     {'atomd_probe_success{agent="a"}': stays(0, 21),
      'atomd_probe_success{agent="b"}': stays(1, 21)},
     {("probe_failing", "critical", "")}),
    ("one probe was not answered", 15,
     one('atomd_probe_success{agent="a"}',
         stays(1, 9) + stays(0, 2) + stays(1, 10)), set()),
    ("a third of upstream requests fails", 15,
     {'atomd_upstream_requests_total{result="ok"}': grows(2, 41),
      'atomd_upstream_requests_total{result="failed"}': grows(1, 41),
      'atomd_upstream_requests_total{result="cancelled"}': grows(50, 41)},
     {("upstream_failing", "warning", "")}),
    ("a tenth of upstream requests fails", 15,
     {'atomd_upstream_requests_total{result="ok"}': grows(9, 41),
      'atomd_upstream_requests_total{result="timeout"}': grows(1, 41)}, set()),
    ("a rollout was aborted", 15,
     one('atomd_rollouts_total{agent="a",outcome="aborted"}',
         stays(0, 10) + stays(1, 11)),
     {("rollback_happened", "warning", "")}),
    ("a rollout was promoted", 15,
     {'atomd_rollouts_total{agent="a",outcome="promoted"}':
      stays(0, 10) + stays(1, 11),
      'atomd_rollouts_total{agent="a",outcome="aborted"}': stays(3, 21)},
     set()),
    ("a certificate ends in a week", 60,
     one('atomd_tls_certificate_expiry_timestamp_seconds{listener="l"}',
         stays(7 * DAY, 21)), {("certificate_expires", "warning", "")}),
    ("a certificate ends in two days", 60,
     one('atomd_tls_certificate_expiry_timestamp_seconds{listener="l"}',
         stays(2 * DAY, 21)), {("certificate_expires", "warning", ""),
                               ("certificate_expires", "critical", "")}),
    ("a certificate ends in a month", 60,
     one('atomd_tls_certificate_expiry_timestamp_seconds{listener="l"}',
         stays(30 * DAY, 21)), set()),
    ("the data key is a year old", 100 * DAY,
     one('atomd_keyring_created_timestamp_seconds', stays(DAY, 6)),
     {("encryption_key_old", "warning", "")}),
    ("the data key was rotated", 100 * DAY,
     one('atomd_keyring_created_timestamp_seconds',
         stays(DAY, 3) + stays(250 * DAY, 3)), set()),
    ("there is no keyring", 100 * DAY,
     one('atomd_keyring_created_timestamp_seconds', stays(0, 6)), set()),
    ("a sink takes no records", 15,
     {'atomd_audit_records_total{sink="file",result="failed"}': grows(1, 21),
      'atomd_audit_records_total{sink="http",result="taken"}': grows(1, 21)},
     {("audit_sink_down", "critical", "")}),
    ("a sink takes all records", 15,
     {'atomd_audit_records_total{sink="file",result="failed"}': stays(2, 21),
      'atomd_audit_records_total{sink="file",result="taken"}': grows(9, 21)},
     set()),
    ("a sink is behind", 15,
     one('atomd_audit_sink_behind_records{sink="http"}', stays(5000, 41)),
     {("audit_sink_behind", "warning", "")}),
    ("a sink is nearly there", 15,
     one('atomd_audit_sink_behind_records{sink="http"}', stays(50, 41)),
     set()),
    ("a reload failed", 15,
     one('atomd_reloads_total{result="failed"}', stays(0, 5) + stays(1, 6)),
     {("reload_failed", "warning", "")}),
    ("a reload worked", 15,
     {'atomd_reloads_total{result="ok"}': stays(0, 5) + stays(1, 6),
      'atomd_reloads_total{result="failed"}': stays(0, 11)}, set()),
    ("the store is down", 15, one('atomd_state_up', stays(0, 6)),
     {("state_store_down", "critical", "")}),
    ("the store is up", 15, one('atomd_state_up', stays(1, 6)), set()),
    ("the history is not written", 15,
     one('atomd_history_write_failures_total', grows(1, 21)),
     {("disk_writes_fail", "warning", "")}),
    ("the history is written", 15,
     one('atomd_history_write_failures_total', stays(4, 21)), set()),
]


# --- both sides ---------------------------------------------------------------------

def replay(series, step):
    """[(state, labels, annotations)] after each evaluation."""
    steps = max(len(values) for values in series.values())
    lines = ["rules " + RULES]
    for name, values in series.items():
        family, _, labels = name.partition("{")
        inside = "".join(["{", '__name__="%s"' % family,
                          "," if labels else "", labels.rstrip("}"), "}"])
        lines.append("series %s\t%s" % (inside, "\t".join(
            "%d=%s" % (i * step * 1000, v) for i, v in enumerate(values))))
    lines += ["step %d" % (i * step * 1000) for i in range(steps)]
    done = subprocess.run([EVALUATE], input="\n".join(lines) + "\n",
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert answers[0].startswith("rules "), answers[0]
    decoder = json.JSONDecoder()
    told = []
    for line in answers[1:]:
        alerts = []
        for alert in line.split("\t")[1:]:
            state, _, rest = alert.partition(" ")
            labels, end = decoder.raw_decode(rest)
            alerts.append((state, labels, json.loads(rest[end:])))
        told.append(alerts)
    return told


def firing(alerts):
    return [(labels, annotations) for state, labels, annotations in alerts
            if state == "firing"]


def names(alerts):
    return {(labels["alertname"], labels["severity"], labels.get("burn", ""))
            for labels, _ in firing(alerts)}


def all_rules():
    """(name, severity, burn) of every rule of the file."""
    with open(RULES, encoding="utf-8") as file:
        return set(re.findall(
            r"alert: (\w+)\n.*?severity: (\w+)(?:, burn: \"([\d.]+)\")?",
            file.read(), flags=re.S))


@test
def every_rule_fires_on_its_bad_series_and_not_on_the_good():
    fired = set()
    for what, step, series, expected in CASES:
        got = names(replay(series, step)[-1])
        assert got == expected | {DEAD}, (what, got)
        fired |= got
    assert fired == all_rules(), (fired ^ all_rules())
    # And each is silent somewhere, though its series are there.
    for rule in fired - {DEAD}:
        with open(RULES, encoding="utf-8") as file:
            text = file.read().split("alert: %s\n" % rule[0])[1]
        family = re.search(r"atomd_\w+", text).group(0)
        assert any(rule not in expected and
                   any(name.startswith(family) for name in series)
                   for _, _, series, expected in CASES), rule


@test
def promtool_takes_the_rules_and_says_the_same_of_every_alert():
    tool = promtool()
    done = subprocess.run([tool, "check", "rules", "--lint-fatal", RULES],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    with Folder() as folder:
        for step in sorted({case[1] for case in CASES}):
            tests = []
            for _, every, series, _ in CASES:
                if every != step:
                    continue
                last = firing(replay(series, every)[-1])
                steps = max(len(values) for values in series.values())
                tests.append({
                    "interval": "%ds" % step,
                    "input_series": [
                        {"series": name, "values": " ".join(
                            str(value) for value in values)}
                        for name, values in series.items()],
                    "alert_rule_test": [{
                        "eval_time": "%ds" % (step * (steps - 1)),
                        "alertname": name,
                        "exp_alerts": [
                            {"exp_labels": {
                                k: v for k, v in labels.items()
                                if k != "alertname"},
                             "exp_annotations": annotations}
                            for labels, annotations in last
                            if labels["alertname"] == name]}
                        for name in sorted({rule[0]
                                            for rule in all_rules()})]})
            path = folder.at("tests-%d.yml" % step)
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"rule_files": [RULES],
                           "evaluation_interval": "%ds" % step,
                           "tests": tests}, file)
            done = subprocess.run([tool, "test", "rules", path],
                                  capture_output=True, text=True, timeout=170)
            assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@test
def a_total_outage_pages_within_a_minute_and_one_interval():
    # 1 call a second that all succeed for an hour, then all fail.
    quiet, steps = 240, 250
    series = {
        'atomd_requests_total{agent="a",code="200",revision="1"}':
        [min(i, quiet) * 15 for i in range(steps)],
        'atomd_requests_total{agent="a",code="502",revision="1"}':
        [max(0, i - quiet) * 15 for i in range(steps)],
    }
    told = replay(series, 15)
    assert names(told[quiet]) == {DEAD}, told[quiet]
    first = next(i for i, alerts in enumerate(told)
                 if any(labels["severity"] == "critical"
                        for labels, _ in firing(alerts)))
    assert (first - quiet) * 15 <= 60 + 15, first - quiet


if __name__ == "__main__":
    run()
