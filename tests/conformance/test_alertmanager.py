#!/usr/bin/env python3
"""Debian's Alertmanager against the receiver of format `alertmanager`: what
fires arrives, what resolves ends, what is silenced does not arrive."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "scenario"))

from atomd_test import (Daemon, Folder, Skip, config,  # noqa: E402
                        run, test, wait_for)

# Instances are what the rule looks at: a test changes them.
RULES = """
groups:
- name: test
  rules:
  - alert: many
    expr: atomd_instances_desired{agent="echo"} > 1
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.agent }} has {{ $value }}"}
  - alert: quiet
    expr: vector(1)
    labels: {severity: info}
"""

SCALED = ('{ name = "echo"; backend: { plugin = "echo"; };'
          ' instances: { min = 1; max = 4; concurrency = 1; };'
          ' scaling: { plugin = "fixed"; }; }')


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Alertmanager:
    """One of its own, with its state in a folder of the test."""

    def __init__(self, folder):
        self.program = shutil.which("prometheus-alertmanager")
        if not self.program:
            raise Skip("no alertmanager: apt-get install "
                       "prometheus-alertmanager")
        self.settings = folder.write(
            "alertmanager.yml",
            "route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.data = os.path.join(folder.path, "data")
        # A port that was free may be somebody's by now.
        for _ in range(5):
            self.start(free_port())
            if wait_for(self.settled, 60, what="Alertmanager") == "ready":
                return
        raise AssertionError("Alertmanager does not come up")

    def start(self, port):
        self.url = "http://127.0.0.1:%d" % port
        self.process = subprocess.Popen(
            [self.program, "--config.file=" + self.settings,
             "--storage.path=" + self.data,
             "--web.listen-address=127.0.0.1:%d" % port,
             "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()

    def settled(self):
        if self.process.poll() is not None:
            return "gone"
        try:
            return self.get("/-/ready") and "ready"
        except OSError:
            return None

    def alerts(self):
        return {a["labels"]["alertname"]: a
                for a in json.loads(self.get("/api/v2/alerts"))}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def scale(daemon, count):
    done = daemon.atomctl("scale", "echo", str(count))
    assert done.returncode == 0, done.stderr


@test
def alertmanager_hears_what_fires_what_ends_and_not_what_is_silent():
    with Folder() as folder, Alertmanager(folder) as manager:
        text = config(agents=SCALED, extra=(
            'monitors = ( { plugin = "alerts"; rules = [ "@DIR@/rules.yml" ];'
            ' receivers = ( { name = "am"; format = "alertmanager";'
            ' url = "%s/api/v2/alerts"; } ); } );' % manager.url))
        with Daemon(text, files={"rules.yml": RULES}) as daemon:
            done = daemon.atomctl("alerts", "silence", "quiet", "--duration",
                                  "1h", "--comment", "x")
            assert done.returncode == 0, done.stderr
            scale(daemon, 2)
            many = wait_for(lambda: manager.alerts().get("many"), 60,
                            what="the alert at Alertmanager")
            assert many["labels"] == {"alertname": "many", "agent": "echo",
                                      "severity": "warning"}, many
            assert many["annotations"] == {"summary": "echo has 2"}, many
            assert many["status"]["state"] == "active", many
            ours = [a for a in daemon.admin("GET", "/admin/v1/alerts").json
                    if a["name"] == "many"][0]
            assert many["startsAt"] == ours["since"], (many, ours)
            assert "quiet" not in manager.alerts()
            scale(daemon, 1)
            # It lists what has not ended.
            wait_for(lambda: "many" not in manager.alerts(), 60,
                     what="the end at Alertmanager")
            assert daemon.metrics().sum("atomd_alert_notifications_total",
                                        receiver="am", result="failed") == 0


if __name__ == "__main__":
    run()
