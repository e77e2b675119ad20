#!/usr/bin/env python3
"""Windows of the calendar in which nothing is deployed."""

import datetime
import re

from atomd_test import Daemon, agent, config, run, test, wait_for

# Each minute begins one: it always holds.  Half a year away: none does.
ALWAYS = '{ cron = "* * * * *"; duration_ms = "2h"; reason = "%s"; }'
MONTH = (datetime.datetime.now().month + 5) % 12 + 1
NEVER = '{ cron = "0 0 1 %d *"; duration_ms = "1h"; reason = "far"; }' % MONTH
UNTIL = re.compile(r"frozen until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) by "
                   r"the window `")


def echo(prefix, windows=""):
    return agent(backend='plugin = "echo"; prefix = "%s";' % prefix,
                 more='deployment: { plugin = "canary"; hold = "0"; '
                      'freeze_windows = ( %s ); };' % windows)


def body(prefix, windows=""):
    return ('backend: { plugin = "echo"; prefix = "%s"; }; deployment: { '
            'plugin = "canary"; hold = "0"; freeze_windows = ( %s ); };'
            % (prefix, windows))


def deploy(daemon, text):
    return daemon.admin("POST", "/admin/v1/agents/echo/deployments",
                        {"config": text})


def status(daemon):
    answer = daemon.admin("GET", "/admin/v1/deployments/echo")
    return answer.json if answer.status == 200 else None


def outcome(daemon, wanted):
    return wait_for(lambda: (status(daemon) or {}).get("outcome") == wanted
                    and status(daemon), 30, wanted)


def ends_within_two_hours(text):
    end = datetime.datetime.strptime(UNTIL.search(text).group(1),
                                     "%Y-%m-%dT%H:%M:%S.%fZ")
    left = end - datetime.datetime.utcnow()
    assert datetime.timedelta(0) < left <= datetime.timedelta(hours=2), text


def revision(daemon):
    return daemon.chat("echo", "x").headers["x-atomd-revision"]


@test
def in_a_window_of_its_own_an_agent_is_not_deployed():
    with Daemon(config(agents=[echo("one", ALWAYS % "the fair"),
                               agent("free")])) as daemon:
        answer = deploy(daemon, body("two"))
        assert answer.status == 409, answer
        message = answer.json["error"]["message"]
        assert "the fair" in message and "echo" in message, message
        ends_within_two_hours(message)
        # Another one is, and so is a new one.
        free = daemon.admin("POST", "/admin/v1/agents/free/deployments",
                            {"config": 'backend: { plugin = "echo"; '
                                       'prefix = "x"; };'})
        assert free.status == 202, free
        made = daemon.admin("POST", "/admin/v1/agents",
                            {"name": "made",
                             "config": 'backend: { plugin = "echo"; };'})
        assert made.status == 201, made
        assert revision(daemon) == "1"


@test
def a_rollout_of_a_reload_stands_and_goes_on_without_the_window():
    with Daemon(config(agents=echo("one", ALWAYS % "the fair"))) as daemon:
        daemon.reload(config(agents=echo("two", ALWAYS % "the fair")))
        row = wait_for(lambda: (status(daemon) or {}).get("waits_for") ==
                       "thaw" and status(daemon), 30, "a frozen rollout")
        assert row["phase"] == "Paused" and row["weight"] == 0, row
        assert "the fair" in row["reason"], row
        ends_within_two_hours(row["reason"])
        assert row["workflow"]["status"] == "running", row
        assert revision(daemon) == "1"
        # Kept over a restart.
        daemon.kill()
        daemon.start()
        wait_for(lambda: (status(daemon) or {}).get("waits_for") == "thaw", 30,
                 "a frozen rollout again")
        # The window is no part of a revision: its end goes on with this one.
        daemon.reload(config(agents=echo("two", NEVER)))
        assert outcome(daemon, "promoted")["to"] == 2
        # The order is stored, and then in force.
        wait_for(lambda: revision(daemon) == "2", what="the new revision")


@test
def what_goes_back_is_let_through():
    with Daemon(config(agents=echo("one", NEVER))) as daemon:
        assert deploy(daemon, body("two", ALWAYS % "shut")).status == 202
        # It stands: its own text has the window.
        wait_for(lambda: (status(daemon) or {}).get("waits_for") == "thaw", 30,
                 "a frozen rollout")
        answer = daemon.admin("POST", "/admin/v1/deployments/echo/abort", {})
        assert answer.status == 200, answer
        row = outcome(daemon, "aborted")
        assert row["cause"] == "person", row
        assert revision(daemon) == "1"


@test
def one_of_all_agents_stops_every_deployment():
    extra = "freeze_windows = ( %s );"
    with Daemon(config(agents=echo("one"),
                       extra=extra % (ALWAYS % "year's end"))) as daemon:
        answer = deploy(daemon, body("two"))
        assert answer.status == 409, answer
        assert "all agents" in answer.json["error"]["message"], answer
        made = daemon.admin("POST", "/admin/v1/agents",
                            {"name": "made",
                             "config": 'backend: { plugin = "echo"; };'})
        assert made.status == 409, made
        told = daemon.admin("GET", "/admin/v1/freeze").json
        assert told["frozen"] is False and "year's end" in told["window"], told
        daemon.reload(config(agents=echo("one"), extra=extra % NEVER))
        assert "window" not in daemon.admin("GET", "/admin/v1/freeze").json
        assert deploy(daemon, body("two")).status == 202
        outcome(daemon, "promoted")


@test
def a_window_that_is_none_is_told_with_its_line():
    with Daemon(config(agents=echo("one"))) as daemon:
        for windows, words in (
                ('{ cron = "61 * * * *"; }', "minute"),
                ('{ cron = "0 0 30 2 *"; }', "never comes"),
                ('{ duration_ms = "1h"; }', "cron"),
                ('{ cron = "* * * * *"; duration_ms = "1s"; }',
                 "duration_ms"),
                ('{ cron = "* * * * *"; colour = "red"; }', "colour")):
            answer = deploy(daemon, body("two", windows))
            assert answer.status == 400, (windows, answer)
            assert words in answer.body.decode(), (words, answer.body)


run()
