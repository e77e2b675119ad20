#!/usr/bin/env python3
"""Probes: an agent is asked on a schedule, at nobody's cost, and what came of it
is told."""

import http.server
import json
import threading

from atomd_test import Daemon, agent, config, run, test, wait_for

PROBE = "probe: { every_ms = 1000; };"


class Upstream:
    """A model that answers, or fails while it is told to."""

    def __init__(self):
        self.fails = False
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({
                    "object": "chat.completion", "choices": [{
                        "index": 0, "finish_reason": "stop", "message": {
                            "role": "assistant", "content": "pong"}}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1,
                              "total_tokens": 2}}).encode()
                self.send_response(500 if upstream.fails else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def probed(daemon, result, name="echo"):
    return daemon.metrics().sum("atomd_probe_calls_total", agent=name,
                                result=result)


@test
def a_probe_is_a_call_that_takes_of_no_limit_and_no_statistics():
    limits = 'rate_limits: { requests_per_minute = 1; };'
    sinks = 'audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );'
    with Daemon(config(agents=agent(more=limits + PROBE),
                       extra=sinks)) as daemon:
        wait_for(lambda: probed(daemon, "ok") >= 3, 30, what="three probes")
        metrics = daemon.metrics()
        assert metrics.sum("atomd_probe_success", agent="echo") == 1
        assert 0 < metrics.sum("atomd_probe_duration_seconds",
                               agent="echo") < 30
        assert probed(daemon, "failed") == 0
        assert metrics.sum("atomd_requests_total", agent="echo") == 0
        assert metrics.sum("atomd_tokens_total", agent="echo") == 0
        assert daemon.chat("echo", "hi").content == "hi"
        assert daemon.metrics().sum("atomd_requests_total", agent="echo") == 1
        records = wait_for(lambda: daemon.admin(
            "GET", "/admin/v1/audit?user=probe").json["records"],
            what="their records")
        assert records[0]["event_type"] == "call", records[0]
        assert records[0]["details"]["agent"] == "echo", records[0]


@test
def one_that_fails_is_told_until_it_is_answered_again():
    with Upstream() as upstream:
        upstream.fails = True
        backend = ('plugin = "openai"; model = "m"; api_key = "k";'
                   ' base_url = "%s";' % upstream.url)
        with Daemon(config(agents=agent("echo", backend, PROBE))) as daemon:
            line = daemon.wait_event("probe_failed", 30)
            assert line["agent"] == "echo", line
            assert daemon.metrics().sum("atomd_probe_success",
                                        agent="echo") == 0
            wait_for(lambda: probed(daemon, "failed") >= 2, 30,
                     what="another failure")
            assert daemon.count_event("probe_failed") == 1
            upstream.fails = False
            daemon.wait_event("probe_recovered", 30)
            wait_for(lambda: daemon.metrics().sum(
                "atomd_probe_success", agent="echo") == 1, what="the success")


@test
def a_reload_begins_and_ends_them():
    with Daemon(config()) as daemon:
        assert "atomd_probe_success{" not in daemon.admin(
            "GET", "/metrics").text
        assert daemon.reload(config(agents=agent(more=PROBE))).status == 200
        wait_for(lambda: probed(daemon, "ok"), 30, what="a probe")
        assert daemon.reload(config()).status == 200
        wait_for(lambda: "atomd_probe_success{" not in daemon.admin(
            "GET", "/metrics").text,
                 30, what="the end of the series")


if __name__ == "__main__":
    run()
