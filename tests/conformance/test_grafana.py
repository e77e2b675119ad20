#!/usr/bin/env python3
"""The Grafana dashboard: made of the metrics that there are, and every
expression of it gives numbers from a Prometheus that scrapes the daemon.

    test_grafana.py --write     makes etc/grafana/atomd.json anew
"""

import importlib.util
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

WRITE = "--write" in sys.argv
if WRITE:
    sys.argv.remove("--write")

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import (Daemon, Skip, agent, config, run,  # noqa: E402
                        seconds, source, test, wait_for)

FILE = source("etc", "grafana", "atomd.json")
CANARY = ('deployment: { plugin = "canary"; hold = "0"; steps = ( '
          '{ percent = 20.0; manual = true; } ); };')
RULES = """
groups:
- name: grafana
  rules:
  - alert: there_are_instances
    expr: sum(atomd_instances) > 0
    labels: { severity: info }
"""


def generator():
    spec = importlib.util.spec_from_file_location(
        "generate", source("etc", "grafana", "generate.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(prefix):
    return config(
        agents=[agent("echo", 'plugin = "echo"; prefix = "%s";' % prefix,
                      CANARY),
                agent("gone", 'plugin = "process"; command = [ "false" ];')],
        security='anonymous_role = "caller";',
        extra='audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );\n'
        'monitors = ( { plugin = "alerts"; rules = [ "@DIR@/rules.yml" ]; } '
        ');')


def busy():
    """A daemon that has something to tell for each panel, once stirred."""
    return Daemon(text("a"), files={"rules.yml": RULES}, wait="listening")


def reachable(daemon):
    """Each listener has its line."""
    wait_for(lambda: daemon.admin_sock, 20, "the listener of administrators")
    return daemon


def stir(daemon):
    reachable(daemon)
    wait_for(lambda: daemon.agents()["echo"]["instances"]["ready"], 20,
             "an instance")
    for n in range(3):
        assert daemon.chat("echo", "one two").status == 200
        assert daemon.chat_stream("echo", "one two").body()
        daemon.admin("POST", "/admin/v1/agents/echo/scale",
                     {"instances": 1 + n % 2})


def roll(daemon, prefix):
    """A rollout that waits for a person, and the one before taken back."""
    daemon.admin("POST", "/admin/v1/deployments/echo/abort", {})
    answer = daemon.reload(text(prefix))
    assert answer.status == 200, answer
    wait_for(lambda: daemon.admin("GET", "/admin/v1/deployments/echo"
                                  ).json["phase"] == "Paused", 30, "a pause")


def expressions():
    with open(FILE, encoding="utf-8") as f:
        panels = json.load(f)["panels"]
    found = [(panel["title"], target["expr"]) for panel in panels
             for target in panel.get("targets", ())]
    assert len(found) > 25, found
    return [(title, expr.replace("$__rate_interval", "1m").replace(
        "$job", "atomd").replace("$agent", ".*")) for title, expr in found]


@test
def the_file_is_what_the_metric_table_makes_of_the_layout():
    with busy() as daemon:
        stir(daemon)
        roll(daemon, "b")
        roll(daemon, "c")
        module = generator()
        wanted = {name for _, families in module.LAYOUT
                  for name, _ in families}

        def table():
            text = daemon.admin("GET", "/metrics").text
            return wanted <= set(module.table_of(text)) and text

        made = module.text_of(wait_for(table, 60, "every family"))
    if WRITE:
        with open(FILE, "w", encoding="utf-8") as f:
            f.write(made)
    with open(FILE, encoding="utf-8") as f:
        there = f.read()
    assert made == there, "make it anew with --write, and look at it"


@test
def promtool_parses_every_expression():
    promtool = shutil.which("promtool")
    if not promtool:
        raise Skip("promtool is missing")
    rules = {"groups": [{"name": "grafana", "rules": [
        {"record": "panel:%d" % n, "expr": expr}
        for n, (_, expr) in enumerate(expressions())]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
        json.dump(rules, f)  # JSON is YAML
        f.flush()
        done = subprocess.run([promtool, "check", "rules", f.name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds(60), check=False)
    assert done.returncode == 0, done.stdout.decode()


class Prometheus:
    """Debian's, scraping one daemon each second."""

    def __init__(self, daemon, folder):
        self.program = shutil.which("prometheus")
        if not self.program:
            raise Skip("prometheus is missing")
        answer = reachable(daemon).admin("POST", "/admin/v1/keys",
                                         {"role": "read_only"})
        self.file = daemon.write("prometheus.yml", json.dumps({
            "scrape_configs": [{
                "job_name": "atomd", "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "authorization": {"credentials": answer.json["key"]},
                "static_configs": [{"targets": [
                    "127.0.0.1:%d" % daemon.port]}]}]}))
        self.folder = folder

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = open(os.path.join(self.folder, "prometheus.log"), "wb")
        self.process = subprocess.Popen(
            [self.program, "--config.file=" + self.file,
             "--storage.tsdb.path=" + os.path.join(self.folder, "tsdb"),
             "--web.listen-address=127.0.0.1:%d" % self.port],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(seconds(20))
        self.log.close()

    def get(self, path, **query):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s?%s" % (
                    self.port, path, urllib.parse.urlencode(query)),
                    timeout=seconds(10)) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def numbers(self, expr):
        told = self.get("/api/v1/query", query=expr)
        return [] if told is None else [
            float(one["value"][1]) for one in told["result"]
            if not math.isnan(float(one["value"][1]))]

    def target(self):
        told = self.get("/api/v1/targets")
        return told["activeTargets"][0] if told and told[
            "activeTargets"] else {}


@test
def every_panel_has_numbers_from_a_prometheus_that_scrapes():
    with busy() as daemon, tempfile.TemporaryDirectory() as folder, \
            Prometheus(daemon, folder) as prometheus:
        stir(daemon)
        wait_for(lambda: prometheus.target().get("health") == "up", 60,
                 "a scrape without error")
        missing = {}

        def all_there():
            # Rates need calls between two scrapes.
            stir(daemon)
            if not missing:
                roll(daemon, "b")
                roll(daemon, "c")
            missing.clear()
            missing.update({title: expr for title, expr in expressions()
                            if not prometheus.numbers(expr)})
            return not missing

        try:
            wait_for(all_there, 90, "numbers for every panel")
        except AssertionError:
            raise AssertionError("no numbers: %s" % missing) from None
        assert prometheus.target()["lastError"] == "", prometheus.target()


if __name__ == "__main__":
    run()
