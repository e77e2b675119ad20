#!/usr/bin/env python3
"""Monitors run: they are told of events, and a wrong one stops nothing that
serves."""

import json

from atomd_test import OFTEN, Daemon, Folder, agent, config, run, \
    run_atomd, source, spoken, test, wait_for
from mock_upstream import Mock
from outside import build, cflags, plugins_of

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
    extra = OFTEN + ('monitors = ( { plugin = "alerts"; interval = "1s";'
                     ' rules = [ "@DIR@/rules.yml" ]; } );')
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


def scaled(daemon, wanted):
    done = daemon.atomctl("scale", "echo", wanted)
    assert done.returncode == 0, done.stderr


@test
def a_reload_adds_changes_and_ends_monitors_and_leaves_the_others():
    def text(*monitors):
        return config(agents=SCALED, extra=OFTEN + "monitors = ( %s );"
                      % ", ".join(monitors))
    logger = '{ plugin = "logger"; }'
    alerts = ('{ plugin = "alerts"; rules = [ "@DIR@/rules.yml" ];'
              ' interval = "1s"; repeat = "%s"; }')
    with Daemon(text(alerts % "1h"), files={"rules.yml": RULES}) as daemon:
        assert daemon.chat("echo", "hi").content == "hi"
        wait_for(lambda: daemon.metrics().sum("atomd_alerts_firing"), 60,
                 what="the alert")
        since = daemon.admin("GET", "/admin/v1/alerts").json[0]["since"]
        # A write that began after the next evaluation has that state; one may
        # be under way.
        for what, more in (("atomd_alert_evaluations_total", 1),
                           ("atomd_state_commits_total", 2)):
            before = daemon.metrics().sum(what)
            wait_for(lambda: daemon.metrics().sum(what) >= before + more, 60,
                     what="%d more of %s" % (more, what))

        # One more: the other goes on, and what it has raised with it.
        answer = daemon.reload(text(alerts % "1h", logger))
        assert answer.status == 200, answer
        assert "needs_restart" not in answer.json, answer
        assert daemon.metrics().sum("atomd_alerts_firing") == 1
        scaled(daemon, "2")
        wait_for(lambda: told(daemon), what="an event in the new monitor")
        assert daemon.count_event("monitor_ended") == 0

        # One that has changed is another, which takes up the states.
        assert daemon.reload(text(alerts % "2h", logger)).status == 200
        daemon.wait_event("monitor_ended")
        wait_for(lambda: daemon.metrics().sum("atomd_alerts_firing") == 1, 60,
                 what="the alert of the new monitor")
        assert [a["since"] for a in daemon.admin(
            "GET", "/admin/v1/alerts").json] == [since]

        # One that does not come up leaves the old one.
        daemon.write("rules.yml", "groups: 1\n")
        assert daemon.reload(text(alerts % "3h", logger)).status == 200
        line = daemon.wait_event("monitor_failed")
        assert "rules.yml" in line["message"], line
        assert [c["status"] for c in daemon.status()["components"]
                if c["name"] == "monitors"] == ["degraded"]
        assert daemon.metrics().sum("atomd_alerts_firing") == 1
        daemon.write("rules.yml", RULES)
        assert daemon.reload(text(alerts % "3h", logger)).status == 200
        assert [c["status"] for c in daemon.status()["components"]
                if c["name"] == "monitors"] == ["ok"]

        # None any more: nothing is left of them.
        assert daemon.reload(config(agents=SCALED)).status == 200
        wait_for(lambda: daemon.count_event("monitor_ended") == 4,
                 what="the end of both monitors")
        wait_for(lambda: daemon.admin("GET", "/admin/v1/alerts").json == [],
                 what="the end of what they raised")
        count = len(told(daemon))
        scaled(daemon, "3")
        wait_for(lambda: daemon.count_event("scaled") >= 2,
                 what="the event in the daemon's own log")
        assert len(told(daemon)) == count


@test
def what_is_unusual_is_watched_and_a_young_history_says_nothing():
    extra = OFTEN + 'monitors = ( { plugin = "anomaly"; least_days = 2; } );'
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
                          if line.get("event") == "scaled"],
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


def fixture(folder, name):
    """A monitor of the fixtures, built; the settings that find it."""
    build(folder.at("plugins", name + ".so"), cflags(folder),
          path=source("tests", "scenario", "fixtures", name + ".c"))
    return plugins_of(folder.at("plugins")) + OFTEN


@test
def what_a_monitor_raises_after_a_reload_has_ended_it_is_forgotten():
    with Folder() as folder, Mock() as mock:
        backend = ('plugin = "openai"; base_url = "%s"; model = "m";'
                   % mock.url)
        without = config(agents=[agent("target", backend)],
                         extra=fixture(folder, "late_alert"))
        mock.hold()
        with Daemon(without + 'monitors = ( { plugin = "late_alert"; } );'
                    ) as daemon:
            wait_for(lambda: mock.calls, what="the monitor's question")
            assert daemon.reload(without).status == 200
            daemon.wait_event("monitor_ended")
            assert daemon.count_event("alert_at_the_end") == 0
            mock.release()
            daemon.wait_event("alert_when_answered")
            daemon.wait_event("alert_at_the_end")
            wait_for(lambda: daemon.admin(
                "GET", "/admin/v1/alerts").json == [],
                what="the end of what it has raised")
            assert daemon.metrics().sum("atomd_alerts_firing") == 0


@test
def a_monitor_that_never_comes_back_does_not_keep_the_daemon():
    with Folder() as folder:
        text = config(extra=fixture(folder, "endless")
                      + 'monitors = ( { plugin = "endless"; } );')
        with Daemon(text) as daemon:
            daemon.wait_event("endless_begins")
            daemon.stop()
            assert daemon.count_event("loop_stuck") == 1
            assert daemon.count_event("stopped") == 1


if __name__ == "__main__":
    run()
