#!/usr/bin/env python3
"""The dashboard in Chromium: every page is driven as a person would, and axe
looks at each.  One browser and one daemon for all (pages.mjs); each test here
is what came of one of its checks.

ATOMD_SHOTS=FOLDER also takes the pictures that docs/dashboard.md shows."""

import json
import os
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import (OFTEN, Daemon, Skip, agent, config,  # noqa: E402
                        process_agent, run, seconds, source, test, wait_for)
from npm import installed  # noqa: E402

CANARY = """
    deployment: { plugin = "canary"; hold = "0"; rollback_window_ms = 60000;
                  steps = ( { percent = 20.0; manual = true; },
                            { percent = 50.0; manual = true; } ); };
    bad_events: { error = true; slower_than_ms = 4000; };
"""
STEADY = """
    deployment: { plugin = "canary"; hold = "1h"; rollback_window_ms = 0;
                  steps = ( { percent = 20.0; } ); };
"""
# Fires at the first evaluation; silencing it is one of the checks.
RULES = """
groups:
- name: web
  rules:
  - alert: too_many_instances
    expr: sum(atomd_instances) > 0
    labels: { severity: warning }
    annotations: { summary: there are instances }
"""
ROLES = ("admin", "operator", "read_only", "caller")
CALLS = (("summarizer", 0.2), ("classifier", 0.05), ("profiler", 0.3))


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise Skip("chromium is missing")


def text(prefix):
    agents = [
        agent("summarizer", 'plugin = "echo"; prefix = "%s "; delay_ms = 60;'
              ' chunk_delay_ms = 50;' % prefix,
              "memory: { max_messages = 20; };" + CANARY),
        agent("classifier", 'plugin = "echo"; delay_ms = 30;'),
        agent("translator", 'plugin = "echo"; prefix = "%s ";' % prefix,
              STEADY),
        agent("performance_monitor", 'plugin = "analyst"'),
        process_agent(
            "profiler", ["python3", source("tests", "scenario", "worker.py")],
            more='instances: { min = 1; max = 4; concurrency = 2; };'
            ' scaling: { plugin = "concurrency"; target_wait_ms = 200; };')]
    return config(
        agents=agents, security="",
        extra='audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );\n'
        + OFTEN +
        'monitors = ( { plugin = "alerts"; interval = "1s";'
        ' rules = [ "@DIR@/rules.yml" ]; },'
        ' { plugin = "analyst"; agent = "performance_monitor";'
        ' schedule = 0; } );')


class Load:
    """Callers, so that there is something to see."""

    def __init__(self, daemon, key):
        self.daemon, self.key = daemon, key
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.call, args=row)
                        for row in CALLS]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def call(self, name, pause):
        words = "drip 20 one two three four" if name == "profiler" \
            else "one two three four"
        while not self.stop.wait(pause):
            self.daemon.chat(name, words, key=self.key)


told = {}
failures = []


def drive():
    """All checks, once: { name: what was wrong, or "" }."""
    if told:
        return told
    if failures:
        raise failures[0]
    try:
        begin()
    except BaseException as failure:
        failures.append(failure)
        raise
    return told


def begin():
    browser = chromium()
    modules = installed(HERE, "playwright-core", "axe-core")
    node = os.environ.get("NODE") or shutil.which("node")
    with Daemon(text("a"), files={"rules.yml": RULES}) as daemon:
        keys = {role: daemon.admin("POST", "/admin/v1/keys", {
            "role": role, "name": role}).json["key"] for role in ROLES}
        with Load(daemon, keys["caller"]):
            daemon.configure(text("b"))
            assert daemon.admin("POST", "/admin/v1/reload",
                                {}).status == 200
            wait_for(lambda: daemon.admin(
                "GET", "/admin/v1/deployments/summarizer"
            ).json["phase"] == "Paused", 30, "the rollout waits for a person")
            for script in ("browser.mjs", "updates.mjs", "pages.mjs"):
                shutil.copyfile(os.path.join(HERE, script),
                                os.path.join(modules, script))
            done = subprocess.run(
                [node, "pages.mjs"], cwd=modules, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=seconds(150), check=False,
                env=dict(os.environ, ATOMD_URL=daemon.url, BROWSER=browser,
                         ATOMD_KEYS=json.dumps(keys), NO_PROXY="127.0.0.1",
                         FACTOR=str(seconds(1)), HOME=daemon.dir))
    for line in done.stdout.decode().split("\n"):
        if line.startswith("{"):
            row = json.loads(line)
            told[row["check"]] = row["wrong"]
            print("# %.1f s %s" % (row["ms"] / 1000, row["check"]))
        elif line:
            print("# " + line)
    if not told or done.returncode != 0:
        raise AssertionError("the browser's script ended with %d: %s" % (
            done.returncode, done.stderr.decode(errors="replace")))


def passed(*names):
    results = drive()
    for name in names:
        assert name in results, "the check `%s` was not made" % name
        assert results[name] == "", "%s: %s" % (name, results[name])


@test
def one_signs_in_with_a_key_and_a_wrong_one_is_told():
    passed("wrong key", "sign in", "sign out forgets the key")


@test
def the_first_page_is_small_and_soon_there():
    passed("first page")


@test
def the_overview_is_live():
    passed("live numbers", "live event", "disconnected and back",
           "an alert among the events")


@test
def charts_are_drawn_and_are_tables_too():
    passed("charts", "without the library")


@test
def what_a_role_may_not_do_is_not_shown():
    passed("operator sees no orders", "caller sees the console alone",
           "reader is refused")


@test
def a_rollout_is_promoted_and_gone_back_from():
    passed("promote", "abort", "revision difference")


@test
def a_rollout_is_paused_and_resumed():
    passed("pause", "resume")


@test
def an_aborted_rollout_is_tried_again():
    passed("retry")


@test
def what_is_promoted_is_undone_while_it_is_warm_and_later():
    passed("back while warm", "undo of an ended rollout")


@test
def an_agent_tells_how_many_sessions_it_remembers():
    passed("sessions")


@test
def instances_are_set_by_hand():
    passed("scale")


@test
def an_alert_is_silenced():
    passed("alert", "silence", "end of a silence")


@test
def what_an_analyst_noted_stands_beside_its_alert():
    passed("note of an analyst")


@test
def the_audit_log_is_searched():
    passed("audit")


@test
def plugins_and_the_compliance_report_are_shown():
    passed("plugins", "compliance")


@test
def the_console_streams():
    passed("try it", "try it stopped")


@test
def a_text_that_is_markup_stays_a_text():
    passed("markup")


@test
def nothing_is_taken_from_under_the_hand_by_an_update():
    passed("places change", "what was done stays done", "cheap updates",
           "pressed over an update", "another button is another",
           "focus over an update", "chosen text over an update",
           "half a form over an update", "alerts over an update",
           "overview over an update")


@test
def what_stands_on_a_page_is_of_now_or_called_otherwise():
    passed("one question at a time", "what is not of now is called so",
           "a rollout without the stream")


@test
def what_came_of_an_order_is_seen():
    passed("a note moves nothing and is seen", "what is refused can be mended")


@test
def a_phone_and_a_dark_room_are_served():
    passed("phone", "dark")


@test
def the_keyboard_is_enough():
    passed("keyboard", "a button at work keeps the focus", "no such page")


@test
def axe_finds_nothing_serious_on_any_page():
    passed("axe")


@test
def the_console_of_the_browser_stays_empty():
    passed("console")


if __name__ == "__main__":
    run()
