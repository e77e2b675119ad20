#!/usr/bin/env python3
"""Monitors run: they are told of events, and a wrong one stops nothing that
serves."""

import json

from atomd_test import Daemon, Folder, config, run, run_atomd, spoken, test, \
    wait_for

SCALED = ('{ name = "echo"; backend: { plugin = "echo"; };'
          ' instances: { min = 1; max = 4; concurrency = 1; };'
          ' scaling: { plugin = "fixed"; }; }')


def told(daemon):
    """Lines that the plugin monitor/logger has written."""
    return [line for line in daemon.lines
            if line.get("component") == "monitor/logger"
            and line.get("event") == "scaling"]


@test
def a_monitor_is_told_of_events_in_order():
    extra = 'monitors = ( { plugin = "logger"; } );'
    with Daemon(config(agents=SCALED, extra=extra)) as daemon:
        for wanted in ("2", "3"):
            done = daemon.atomctl("scale", "echo", wanted)
            assert done.returncode == 0, done.stderr
        lines = wait_for(lambda: len(told(daemon)) >= 2 and told(daemon),
                         what="two events in the log of the monitor")
        numbers = [line["sequence"] for line in lines]
        assert numbers == list(range(1, len(numbers) + 1)), lines
        assert json.loads(lines[0]["details"])["agent"] == "echo", lines[0]


RULES = """
groups:
- name: test
  rules:
  - alert: it_is_up
    expr: atomd_requests_total{agent="echo"} > 0
    labels: {severity: warning}
    annotations: {summary: "{{ $value }} calls"}
"""


@test
def a_rule_fires_on_the_daemon_s_own_history():
    extra = ('monitors = ( { plugin = "alerts"; rules = [ "@DIR@/rules.yml" ];'
             ' } );')
    with Daemon(config(agents=SCALED, extra=extra),
                files={"rules.yml": RULES}) as daemon:
        assert daemon.chat("echo", "hi").content == "hi"
        line = daemon.wait_event("alert_firing", 60)
        assert line["component"] == "monitor/alerts", line
        assert "it_is_up" in json.dumps(line), line
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alerts_firing", alert="it_is_up",
            severity="warning") == 1, what="the gauge of what fires")
        assert daemon.metrics().sum("atomd_alert_failures_total") == 0


@test
def what_is_unusual_is_watched_and_a_young_history_says_nothing():
    extra = 'monitors = ( { plugin = "anomaly"; least_days = 2; } );'
    with Daemon(config(agents=SCALED, extra=extra)) as daemon:
        assert daemon.chat("echo", "hi").content == "hi"
        # Rolled rows of the days before are asked for after each sample.
        wait_for(lambda: daemon.admin(
            "GET", "/admin/v1/metrics/query?metric=atomd_requests_total"
            "&range=1m").json["series"], 60, "a sample")
        told = daemon.metrics()
        assert told.sum("atomd_anomaly_failures_total") == 0
        assert told.sum("atomd_anomalies_total") == 0
        assert "anomaly_unread" not in str(daemon.lines)
    assert not [line for line in daemon.lines
                if line.get("event") == "monitor_failed"]


@test
def monitoring_can_be_switched_off():
    extra = ('monitoring_enabled = false;\n'
             'monitors = ( { plugin = "logger"; } );')
    with Daemon(config(agents=SCALED, extra=extra)) as daemon:
        assert daemon.atomctl("scale", "echo", "2").returncode == 0
        wait_for(lambda: [line for line in daemon.lines
                          if line.get("event") == "plugin_event"],
                 what="the event in the daemon's own log")
        assert not told(daemon)
    assert not told(daemon)


@test
def a_monitor_that_is_none_is_named_with_its_line():
    for extra, why in (('monitors = ( { plugin = "loger"; } );', "logger"),
                       ('monitors = ( { plugin = "logger"; sevrity = "info"; '
                        '} );', "severity")):
        with Folder() as folder:
            text = config(extra=extra).replace("@DIR@", folder.path)
            done = run_atomd("-t", "-c", folder.write("atomd.conf", text))
            assert done.returncode == 78, done
            said = spoken(done)
            assert why in said and "atomd.conf:" in said, said


if __name__ == "__main__":
    run()
