#!/usr/bin/env python3
"""Alerts over the API: what fires and why, and silences that hold receivers
back until they end."""

import datetime
import http.server
import json
import threading
import time

from atomctl_test import document, fails, succeeds
from atomd_test import OFTEN, Daemon, config, run, test, wait_for

ALERTS = "/admin/v1/alerts"
SILENCES = ALERTS + "/silences"

# `up` fires at the first evaluation, `later` stays pending for an hour.
RULES = """
groups:
- name: test
  rules:
  - alert: up
    expr: vector(4) > 3
    labels: {severity: critical, team: core}
    annotations: {summary: "it is {{ $value }}", runbook: "look"}
  - alert: later
    expr: vector(1)
    for: 1h
    labels: {severity: warning}
"""

# `up` fires once there were four calls: when a test wants it.
RULES_OF_CALLS = RULES.replace("vector(4)", "sum(atomd_requests_total)")

BY_NAME = [{"name": "alertname", "value": "up"}]


class Hook:
    """A receiver that keeps what it is posted."""

    def __init__(self):
        heard = self.heard = []
        times = self.times = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                times.append(time.time())
                heard.extend(json.loads(body)["alerts"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = "http://127.0.0.1:%d/" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def names(self):
        return [alert["name"] + " " + alert["state"] for alert in self.heard]


def watching(hook=None):
    receivers = ('receivers = ( { name = "hook"; url = "%s"; } );' % hook.url
                 if hook else "")
    return config(extra=OFTEN + 'monitors = ( { plugin = "alerts"; '
                  'interval = "1s"; rules = [ "@DIR@/rules.yml" ]; %s } );'
                  % receivers)


def watched(hook=None, rules=RULES):
    return Daemon(watching(hook), files={"rules.yml": rules})


def make_it_fire(daemon):
    for _ in range(4):
        assert daemon.chat("echo", "x").status == 200


def alerts(daemon, query=""):
    answer = daemon.admin("GET", ALERTS + query)
    assert answer.status == 200, answer
    return answer.json


def silence(daemon, matchers, status=201, **more):
    answer = daemon.admin("POST", SILENCES, {
        "matchers": matchers, "comment": "on purpose", **more})
    assert answer.status == status, answer
    return answer.json


def fires(daemon):
    return wait_for(lambda: [a for a in alerts(daemon, "?state=firing")
                             if a["name"] == "up"], 60,
                    what="the alert that fires")[0]


@test
def what_fires_and_what_is_pending_shows_with_its_reasons():
    with watched() as daemon:
        up = fires(daemon)
        wait_for(lambda: len(alerts(daemon)) == 2, 20, "the other one")
        assert up["severity"] == "critical", up
        assert up["labels"] == {"alertname": "up", "severity": "critical",
                                "team": "core"}, up
        assert up["annotations"] == {"summary": "it is 4",
                                     "runbook": "look"}, up
        assert (up["value"], up["threshold"]) == (4, 3), up
        assert up["message"] == "it is 4" and up["agent"] == "", up
        assert up["monitor"] == "alerts" and up["silenced"] is False, up
        assert up["since"].endswith("Z"), up
        assert [a["name"] for a in alerts(daemon, "?state=pending")] \
            == ["later"]
        assert alerts(daemon, "?agent=echo") == []
        assert len(alerts(daemon)) == 2
        assert daemon.admin("GET", ALERTS + "?state=odd").status == 400


@test
def a_silence_holds_back_the_receiver_and_its_end_does_not():
    with Hook() as hook, watched(hook, RULES_OF_CALLS) as daemon:
        made = silence(daemon, BY_NAME, duration="1h")
        make_it_fire(daemon)
        assert made["state"] == "active", made
        assert made["created_by"].startswith("unix:"), made
        assert made["matchers"] == [{"name": "alertname", "value": "up",
                                     "regex": False, "equal": True}], made
        up = fires(daemon)
        assert up["silenced"] is True and up["silence"] == made["id"], up
        # It fires for the metrics and the log.
        daemon.wait_event("alert_firing", 60)
        assert daemon.metrics().sum("atomd_alerts_firing", alert="up") == 1
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alert_evaluations_total") >= 2, 60,
            what="another evaluation")
        assert hook.heard == [], hook.heard
        ended = daemon.admin("DELETE", SILENCES + "/" + made["id"])
        assert ended.status == 200 and ended.json["state"] == "expired", ended
        wait_for(lambda: "up firing" in hook.names(), 60,
                 what="the message when the silence was ended")
        assert fires(daemon)["silenced"] is False


@test
def a_silence_ends_by_itself_and_is_then_told():
    with Hook() as hook, watched(hook, RULES_OF_CALLS) as daemon:
        made = silence(daemon, [{"name": "alertname", "value": "u.|x",
                                 "regex": True}], duration="4s")
        make_it_fire(daemon)
        wait_for(lambda: "up firing" in hook.names(), 60,
                 what="the message when the silence was over")
        ends = datetime.datetime.fromisoformat(made["ends_at"])
        assert hook.times[0] >= ends.timestamp(), (hook.times, made)
        listed = daemon.admin("GET", SILENCES).json
        assert [s["state"] for s in listed if s["id"] == made["id"]] \
            == ["expired"], listed


@test
def silences_outlive_a_kill():
    with watched() as daemon:
        first = silence(daemon, BY_NAME, duration="2h")
        second = silence(daemon, [{"name": "team", "value": "x.*",
                                   "regex": True, "equal": False},
                                  {"name": "severity", "value": "info"}],
                         starts_at="2999-01-01T00:00:00Z",
                         ends_at="2999-02-01T00:00:00Z")
        gone = silence(daemon, BY_NAME, duration="3h")
        assert daemon.admin("DELETE", SILENCES + "/"
                            + gone["id"]).status == 200
        before = daemon.admin("GET", SILENCES).json
        assert [s["id"] for s in before] \
            == [first["id"], second["id"], gone["id"]], before
        assert [s["state"] for s in before] \
            == ["active", "pending", "expired"], before
        daemon.kill()
        daemon.start()
        assert daemon.admin("GET", SILENCES).json == before
        assert fires(daemon)["silence"] == first["id"]


@test
def while_the_store_cannot_write_alerts_are_told_and_then_kept_again():
    with Hook() as hook, watched(hook, RULES_OF_CALLS) as daemon:
        daemon.limit_files(1)
        make_it_fire(daemon)
        since = fires(daemon)["since"]
        wait_for(lambda: "up firing" in hook.names(), 60,
                 what="the message while the store cannot write")
        daemon.wait_event("alert_states_not_kept", 60)
        before = daemon.metrics().sum("atomd_alert_evaluations_total")
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alert_evaluations_total") >= before + 2, 90,
            what="more evaluations")
        # Told once in each place.
        assert daemon.count_event("alert_states_not_kept") == 1
        assert daemon.metrics().sum("atomd_alert_failures_total") == 1
        assert [c["status"] for c in daemon.status()["components"]
                if c["name"] == "state"] == ["degraded"], daemon.status()
        assert daemon.count_event("alert_states_kept") == 0
        daemon.limit_files()
        daemon.wait_event("alert_states_kept", 90)
        assert fires(daemon)["since"] == since
        daemon.kill()
        daemon.write("rules.yml", RULES)
        daemon.start()
        # It is the same alert, and nobody is told of it again.
        assert fires(daemon)["since"] == since
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alert_evaluations_total") >= 2, 60,
            what="another evaluation")
        assert hook.names() == ["up firing"], hook.names()


@test
def a_silence_without_an_end_or_for_all_is_refused():
    with Daemon(config()) as daemon:
        for body in ({"matchers": BY_NAME, "comment": "x"},
                     {"matchers": BY_NAME, "duration": "1h"},
                     {"matchers": BY_NAME, "comment": "", "duration": "1h"},
                     {"matchers": BY_NAME, "comment": "x", "duration": "0"},
                     {"matchers": BY_NAME, "comment": "x",
                      "duration": "367d"},
                     {"matchers": BY_NAME, "comment": "x", "duration": "1h",
                      "ends_at": "2999-01-01T00:00:00Z"},
                     {"matchers": BY_NAME, "comment": "x",
                      "ends_at": "2001-01-01T00:00:00Z"},
                     {"matchers": BY_NAME, "comment": "x", "duration": "1h",
                      "by": "somebody"},
                     {"matchers": [], "comment": "x", "duration": "1h"},
                     {"matchers": [{"name": "a", "value": ".*",
                                    "regex": True}],
                      "comment": "x", "duration": "1h"},
                     {"matchers": [{"name": "a", "value": "a++++++",
                                    "regex": True}],
                      "comment": "x", "duration": "1h"}):
            answer = daemon.admin("POST", SILENCES, body)
            assert (answer.status, answer.code) \
                == (400, "invalid_request"), (body, answer)
        assert daemon.admin("GET", SILENCES).json == []
        assert daemon.admin("DELETE", SILENCES + "/sil_no").status == 404


@test
def silences_are_bounded_and_expired_ones_make_room():
    with Daemon(config()) as daemon:
        made = [silence(daemon, BY_NAME, duration="1h") for _ in range(200)]
        answer = daemon.admin("POST", SILENCES, {
            "matchers": BY_NAME, "comment": "x", "duration": "1h"})
        assert answer.status == 429, answer
        assert daemon.admin("DELETE", SILENCES + "/"
                            + made[7]["id"]).status == 200
        silence(daemon, BY_NAME, duration="1h")
        listed = daemon.admin("GET", SILENCES).json
        assert len(listed) == 200
        assert made[7]["id"] not in [s["id"] for s in listed]


@test
def who_silenced_what_is_recorded():
    sinks = 'audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );'
    with Daemon(config(extra=sinks)) as daemon:
        key = daemon.admin("POST", "/admin/v1/keys", {"role": "admin"}).json
        answer = daemon.post(SILENCES, {
            "matchers": BY_NAME + [{"name": "agent", "value": "a|b",
                                    "regex": True, "equal": False}],
            "comment": "CHG-7", "duration": "1h"}, key=key["key"])
        assert answer.status == 201, answer
        made = answer.json
        assert made["created_by"] == "key:" + key["id"], made
        assert daemon.delete(SILENCES + "/" + made["id"],
                             key=key["key"]).status == 200
        records = daemon.admin(
            "GET", "/admin/v1/audit?type=silence.").json["records"]
        done = [r for r in records if r["details"].get("phase") == "outcome"]
        assert [r["event_type"] for r in done] \
            == ["silence.create", "silence.end"], records
        details = done[0]["details"]
        assert details["matchers"] == 'alertname="up",agent!~"a|b"', details
        assert details["comment"] == "CHG-7", details
        assert details["id"] == made["id"], details
        limited = daemon.admin("POST", "/admin/v1/keys", {
            "role": "admin", "agents": ["echo"]}).json["key"]
        answer = daemon.post(SILENCES, {
            "matchers": BY_NAME, "comment": "x", "duration": "1h"},
            key=limited)
        assert answer.status == 403, answer


@test
def atomctl_lists_alerts_and_silences_them():
    with watched() as daemon:
        assert succeeds(daemon.atomctl("alerts", "silence", "list")) == ""
        made = document(daemon.atomctl(
            "--json", "alerts", "silence", "up", 'team=~"core|x"',
            "severity!=info", "agent!~a.+", "--duration", "2h", "--comment",
            "CHG-7"))
        assert made["matchers"] == [
            {"name": "alertname", "value": "up", "regex": False,
             "equal": True},
            {"name": "team", "value": "core|x", "regex": True, "equal": True},
            {"name": "severity", "value": "info", "regex": False,
             "equal": False},
            {"name": "agent", "value": "a.+", "regex": True,
             "equal": False}], made
        fires(daemon)
        wait_for(lambda: len(alerts(daemon)) == 2, 20, "the other one")
        shown = document(daemon.atomctl("--json", "alerts"))
        assert shown == alerts(daemon), shown
        text = succeeds(daemon.atomctl("alerts", "--state", "firing"))
        assert "critical" in text and made["id"] in text, text
        assert "later" not in text, text
        assert succeeds(daemon.atomctl("alerts", "echo")) == ""
        text = succeeds(daemon.atomctl("alerts", "silence", "list"))
        assert "team=~core|x severity!=info agent!~a.+" in text, text
        assert "has ended" in succeeds(daemon.atomctl(
            "alerts", "silence", "end", made["id"]))
        fails(daemon.atomctl("alerts", "silence", "end", "sil_no"), 1,
              "no silence")
        fails(daemon.atomctl("alerts", "silence", "up"), 2, "--duration")
        fails(daemon.atomctl("alerts", "silence", "up", "--comment", "x",
                             "--duration", "soon"), 1, "366d")
        fails(daemon.atomctl("alerts", "silence", "up~x", "--comment", "x",
                             "--duration", "1h"), 2, "LABEL=VALUE")
        fails(daemon.atomctl("alerts", "--state", "odd"), 1, "pending")


if __name__ == "__main__":
    run()
