#!/usr/bin/env python3
"""Debian's Alertmanager against the receiver of format `alertmanager`: what
fires arrives, what resolves ends, what is silenced does not arrive."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "scenario"))

from atomd_test import (OFTEN, Daemon, Folder, config, run, test,  # noqa: E402
                        wait_for)
from beside import Server  # noqa: E402

# Instances are what both look at: they fire when a test changes them, which
# silences one before.
RULES = """
groups:
- name: test
  rules:
  - alert: many
    expr: atomd_instances_desired{agent="echo"} > 1
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.agent }} has {{ $value }}"}
  - alert: quiet
    expr: sum(atomd_instances_desired) > 1
    labels: {severity: info}
"""

SCALED = ('{ name = "echo"; backend: { plugin = "echo"; };'
          ' instances: { min = 1; max = 4; concurrency = 1; };'
          ' scaling: { plugin = "fixed"; }; }')


def alertmanager(folder):
    settings = folder.write(
        "alertmanager.yml",
        "route: {receiver: none}\nreceivers: [{name: none}]\n")
    return Server(
        "prometheus-alertmanager", "prometheus-alertmanager", lambda port: [
            "--config.file=" + settings,
            "--storage.path=" + os.path.join(folder.path, "data"),
            "--web.listen-address=127.0.0.1:%d" % port,
            "--cluster.listen-address="])


def heard(manager):
    return {a["labels"]["alertname"]: a
            for a in manager.json("/api/v2/alerts")}


def scale(daemon, count):
    done = daemon.atomctl("scale", "echo", str(count))
    assert done.returncode == 0, done.stderr


@test
def alertmanager_hears_what_fires_what_ends_and_not_what_is_silent():
    with Folder() as folder, alertmanager(folder) as manager:
        text = config(agents=SCALED, extra=OFTEN + (
            'monitors = ( { plugin = "alerts"; interval = "1s";'
            ' rules = [ "@DIR@/rules.yml" ];'
            ' receivers = ( { name = "am"; format = "alertmanager";'
            ' url = "%s/api/v2/alerts"; } ); } );' % manager.url))
        with Daemon(text, files={"rules.yml": RULES}) as daemon:
            done = daemon.atomctl("alerts", "silence", "quiet", "--duration",
                                  "1h", "--comment", "x")
            assert done.returncode == 0, done.stderr
            scale(daemon, 2)
            many = wait_for(lambda: heard(manager).get("many"), 60,
                            what="the alert at Alertmanager")
            assert many["labels"] == {"alertname": "many", "agent": "echo",
                                      "severity": "warning"}, many
            assert many["annotations"] == {"summary": "echo has 2"}, many
            assert many["status"]["state"] == "active", many
            ours = [a for a in daemon.admin("GET", "/admin/v1/alerts").json
                    if a["name"] == "many"][0]
            assert many["startsAt"] == ours["since"], (many, ours)
            assert "quiet" not in heard(manager)
            scale(daemon, 1)
            # It lists what has not ended.
            wait_for(lambda: "many" not in heard(manager), 60,
                     what="the end at Alertmanager")
            assert daemon.metrics().sum("atomd_alert_notifications_total",
                                        receiver="am", result="failed") == 0


if __name__ == "__main__":
    run()
