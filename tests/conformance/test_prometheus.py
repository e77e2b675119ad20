#!/usr/bin/env python3
"""Debian's Prometheus scrapes a live daemon, which it asks for OpenMetrics;
promtool finds nothing to say about either text."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "scenario"))

from atomd_test import (Daemon, Folder, Skip, config, run,  # noqa: E402
                        test, wait_for)
from beside import Server  # noqa: E402

OPEN = "application/openmetrics-text"

SETTINGS = """
global: { scrape_interval: 2s, scrape_timeout: 2s }
scrape_configs:
- job_name: atomd
  authorization: { credentials: %s }
  static_configs: [ { targets: [ "%s" ] } ]
"""


def prometheus(folder, key, address):
    settings = folder.write("prometheus.yml", SETTINGS % (key, address))
    return Server("prometheus", "prometheus", lambda port: [
        "--config.file=" + settings,
        "--enable-feature=exemplar-storage",
        "--storage.tsdb.path=" + os.path.join(folder.path, "data"),
        "--web.listen-address=127.0.0.1:%d" % port])


def target(server):
    active = server.json("/api/v1/targets")["data"]["activeTargets"]
    return active and active[0]["health"] == "up"


def value(server, query):
    found = server.json("/api/v1/query", query=query)["data"]["result"]
    return found and float(found[0]["value"][1])


@test
def prometheus_scrapes_it_and_takes_all():
    with Folder() as folder, Daemon(config()) as daemon:
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "read_only"}).json["key"]
        assert daemon.chat("echo", "hi").content == "hi"
        with prometheus(folder, key, daemon.url[len("http://"):]) as server:
            wait_for(lambda: target(server), 60, what="a good scrape: %s"
                     % server.get("/api/v1/targets"))
            assert wait_for(lambda: value(
                server, 'atomd_requests_total{agent="echo",code="200"}'), 60,
                what="the call at Prometheus") == 1
            assert value(server, "histogram_quantile(1, sum by (le) "
                         "(atomd_request_duration_seconds_bucket))") > 0
            assert 0 < value(server, "atomd_state_disk_free_bytes") \
                <= value(server, "atomd_state_disk_size_bytes")
            # Only OpenMetrics has units.
            told = server.json("/api/v1/metadata",
                               metric="atomd_request_duration_seconds")
            assert [m["unit"] for m in told["data"][
                "atomd_request_duration_seconds"]] == ["seconds"], told
            # The call's exemplar, which only OpenMetrics has, too.
            found = server.json(
                "/api/v1/query_exemplars", start="0", end="9999999999",
                query="atomd_request_duration_seconds_bucket")["data"]
            assert len(found) == 1 and len(found[0]["exemplars"]) == 1, found
            labels = found[0]["exemplars"][0]["labels"]
            assert labels["request_id"].startswith("req_"), found
            # As many samples as the text has: none was refused or doubled.
            samples = value(server, "scrape_samples_scraped")
            added = value(server,
                          "scrape_samples_post_metric_relabeling")
            assert samples == added > 100, (samples, added)


@test
def both_texts_hold_the_same_samples():
    with Daemon(config()) as daemon:
        assert daemon.chat("echo", "hi").content == "hi"
        plain = daemon.admin("GET", "/metrics")
        answer = daemon.admin("GET", "/metrics",
                              headers={"Accept": OPEN + ";version=1.0.0"})
        assert answer.headers["content-type"] == \
            OPEN + "; version=1.0.0; charset=utf-8", answer.headers
        assert plain.headers["content-type"].startswith("text/plain"), plain
        assert answer.text.endswith("\n# EOF\n")

        def names(text):
            return {line.split(" ")[0].replace('.0"', '"')
                    for line in text.splitlines()
                    if line and not line.startswith("#")}
        assert names(answer.text) == names(plain.text), \
            names(answer.text) ^ names(plain.text)


@test
def promtool_finds_nothing_to_say():
    tool = shutil.which("promtool")
    if not tool:
        raise Skip("no promtool: apt-get install prometheus")
    with Daemon(config()) as daemon:
        assert daemon.chat("echo", "hi").content == "hi"
        done = subprocess.run([tool, "check", "metrics"],
                              input=daemon.admin("GET", "/metrics").text,
                              capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), done


if __name__ == "__main__":
    run()
