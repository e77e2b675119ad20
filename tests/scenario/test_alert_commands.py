#!/usr/bin/env python3
"""Alerts told to commands: what they are given, and what becomes of those that
fail, hang or are not there."""

import json
import os

from atomd_test import OFTEN, Daemon, config, run, test, wait_for

RULES = """
groups:
- name: test
  rules:
  - alert: up
    expr: vector(4) > 3
    labels: {severity: critical}
"""

# Notes what it is given, a line each time, beside the configuration file.
PAGER = """
import json, os, sys
with open("heard", "a") as f:
    print(json.dumps({"words": sys.argv[1:], "environment": dict(os.environ),
                      "input": json.loads(sys.stdin.read())}), file=f)
"""

# Fails twice, with much to say.
FAILING = PAGER + """
tries = len(open("heard").readlines())
if tries < 3:
    print("much " * 1000, flush=True)
    sys.exit("the pager is out of order, try %d" % tries)
"""

# Ends at SIGKILL alone, and so does its child.
HANGING = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child != 0:
    with open("pids", "a") as f:
        print(os.getpid(), child, file=f)
while True:
    time.sleep(60)
"""


def paging(script, more="", words=""):
    return Daemon(config(extra=OFTEN + """
        monitors = ( { plugin = "alerts"; interval = "1s";
            rules = [ "@DIR@/rules.yml" ];
            receivers = ( { name = "pager";
                command = [ "python3", "page.py"%s ]; %s } ); } );
        """ % (words, more)), files={"rules.yml": RULES, "page.py": script},
        env={"SECRET_OF_THE_DAEMON": "x"})


def lines(daemon, name):
    try:
        with open(os.path.join(daemon.dir, name), encoding="utf-8") as f:
            return [line for line in f.read().splitlines() if line]
    except FileNotFoundError:
        return []


def messages(daemon, result):
    return daemon.metrics().sum("atomd_alert_notifications_total",
                                receiver="pager", result=result)


def lives(pid):
    try:
        with open("/proc/%s/stat" % pid, encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def failures(daemon):
    return [line for line in daemon.lines
            if line.get("event") == "alert_not_delivered"]


@test
def a_command_is_given_the_message_and_a_clean_environment():
    with paging(PAGER, words=', "--loud; exit 9", "$HOME"') as daemon:
        wait_for(lambda: messages(daemon, "sent") == 1, 60,
                 what="the command that ran")
        heard, = map(json.loads, lines(daemon, "heard"))
        assert heard["words"] == ["--loud; exit 9", "$HOME"], heard
        path = heard["environment"].pop("PATH")
        assert path.endswith(":/sbin:/bin"), path
        assert heard["environment"] == {
            "LANG": "C.UTF-8", "ATOMD_ALERT_STATUS": "firing",
            "ATOMD_ALERT_COUNT": "1", "ATOMD_ALERT_RECEIVER": "pager"}, heard
        alert, = heard["input"]["alerts"]
        assert (alert["name"], alert["state"], alert["value"],
                alert["severity"]) == ("up", "firing", 4, "critical"), alert
        # Its end is told too.
        daemon.write("rules.yml", RULES.replace("> 3", "> 5"))
        wait_for(lambda: messages(daemon, "sent") == 2, 60,
                 what="the command that hears of the end")
        heard = json.loads(lines(daemon, "heard")[1])
        assert heard["environment"]["ATOMD_ALERT_STATUS"] == "resolved", heard
        assert heard["input"]["alerts"][0]["state"] == "resolved", heard
        assert failures(daemon) == []


@test
def a_command_that_fails_is_run_again_and_what_it_said_is_logged_once():
    with paging(FAILING) as daemon:
        wait_for(lambda: messages(daemon, "sent") == 1, 90,
                 what="the try that goes well")
        heard = lines(daemon, "heard")
        assert len(heard) == 3 and len(set(heard)) == 1, heard
        assert messages(daemon, "failed") == 2
        assert messages(daemon, "dropped") == 0
        wait_for(lambda: len(failures(daemon)) > 1, what="a line of each")
        first, second = failures(daemon)
        assert "expected the command to exit with 0, found 1" \
            in first["message"], first
        assert first["status"] == 1 and first["given_up"] == "no", first
        assert first["output"].endswith(
            "the pager is out of order, try 1\n"), first
        assert len(first["output"]) == 1000, first
        assert "output" not in second, second
        assert daemon.count_event("worker_output") == 0


@test
def a_command_that_hangs_is_ended_and_holds_up_nothing():
    with paging(HANGING, more='timeout = "3s";') as daemon:
        wait_for(lambda: messages(daemon, "failed") >= 1, 120,
                 what="the command that was ended")
        # The first try may have been ended before it had written anything.
        ended = wait_for(lambda: lines(daemon, "pids"), 60,
                         what="what a try has started")[0].split()
        wait_for(lambda: not any(map(lives, ended)), 20,
                 what="the end of its process group")
        wait_for(lambda: failures(daemon), what="a line about it")
        assert "took longer than 3000 ms" in failures(daemon)[0]["message"]
        before = daemon.metrics().sum("atomd_alert_evaluations_total")
        wait_for(lambda: daemon.metrics().sum(
            "atomd_alert_evaluations_total") > before, 60,
            what="another evaluation")
        # One that runs ends with the daemon.
        tries = len(lines(daemon, "pids"))
        wait_for(lambda: len(lines(daemon, "pids")) > tries, 120,
                 what="another try")
        last = lines(daemon, "pids")[-1].split()
        daemon.stop()
        wait_for(lambda: not any(map(lives, last)), 20,
                 what="its end with the daemon")


@test
def a_receiver_that_makes_no_sense_is_refused_at_once():
    for receiver, says in (
            ('command = [ "no-such-program-here" ];', "can be run"),
            ('command = [ "./rules.yml" ];', "can be run"),
            ('command = [ "sh" ]; url = "http://127.0.0.1:1/";', "found both"),
            ("", "found neither"),
            ('command = [ "sh" ]; format = "alertmanager";', "for a `url`"),
            ('command = [ "sh" ]; signature_key = "x";', "for a `url`")):
        text = config(extra='monitors = ( { plugin = "alerts"; rules = '
                      '[ "@DIR@/rules.yml" ]; receivers = ( { name = "pager"; '
                      '%s } ); } );' % receiver)
        with Daemon(text, files={"rules.yml": RULES}, wait=None) as daemon:
            daemon.wait_line(lambda line, says=says: says in
                             json.dumps(line), 20, what=says)


if __name__ == "__main__":
    run()
