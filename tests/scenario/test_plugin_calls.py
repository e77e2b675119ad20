#!/usr/bin/env python3
"""Calls that plugins make of agents: limited, counted and recorded like any
other, under the name of the component that asks."""

import os
import signal

from atomd_test import (OFTEN, Daemon, Folder, agent, config, run, source,
                        test, wait_for)
from audit_log import search, slow_disk, wait_records
from outside import build, cflags, plugins_of
from processes import serves

ECHO = 'plugin = "echo";'
ASKER = "plugin:backend/relay:front"


def relayed(folder, more="", security="", sink=True, target=ECHO):
    """An agent `front`, whose backend asks the agent `target`."""
    build(folder.at("plugins", "relay.so"), cflags(folder) + ["-pthread"],
          path=source("tests", "abi", "outside", "relay.c"))
    audit = ('audit_sinks = ( { plugin = "file"; path = "audit"; } );'
             if sink else "")
    return config(
        agents=[agent("front", 'plugin = "relay";'),
                agent("target", target, more)],
        security='anonymous_role = "caller"; ' + security,
        extra=plugins_of(folder.at("plugins")) + audit)


def calls_of(daemon, count, user=ASKER):
    return wait_records(daemon, count, type="call", user=user)


@test
def a_call_of_a_plugin_is_recorded_as_the_component_s():
    with Folder() as folder:
        with Daemon(relayed(folder)) as daemon:
            answer = daemon.invoke("front", "good day")
            assert answer.json["output"].startswith("good day ("), answer
            record, = calls_of(daemon, 1)
            details = record["details"]
            assert details["agent"] == "target", record
            assert details["revision"] == "1", record
            assert details["status"] == 200, record
            assert details["output_bytes"] == len("good day"), record
            assert details["input_bytes"] == len('"good day"'), record
            assert record["address"] == "", record
            assert record["request_id"].startswith("req_"), record
            # It is another call than the one that led to it.
            own, = calls_of(daemon, 1, user="anonymous")
            assert own["details"]["agent"] == "front", own
            assert own["request_id"] != record["request_id"]
            assert "good day" not in str(search(daemon))
            assert daemon.metrics().sum("atomd_requests_total",
                                        agent="target", code="200") == 1


@test
def with_strict_records_it_has_its_answer_all_the_same():
    with Folder() as folder:
        with Daemon(relayed(folder, security='audit_calls = "strict";')
                    ) as daemon:
            for n in range(1, 4):
                answer = daemon.invoke("front", "x")
                assert answer.json["output"].startswith("x ("), answer
                # No second to wait: it was there before the answer.
                assert len(search(daemon, type="call", user=ASKER)) == n


@test
def nothing_is_recorded_where_calls_are_not():
    with Folder() as folder:
        with Daemon(relayed(folder, security='audit_calls = "none";')
                    ) as daemon:
            assert daemon.invoke("front", "x").status == 200
            daemon.stop()
            daemon.start()
            assert not search(daemon, type="call")


@test
def the_agent_s_limit_holds_for_plugins_too():
    limits = ("rate_limits: { agent: { requests_per_minute = 2; };"
              " key: { requests_per_minute = 1000; }; };")
    with Folder() as folder:
        text = relayed(folder, security=limits)
        # `front` takes of a limit of its own.
        with Daemon(text) as daemon:
            said = [daemon.invoke("front", "x", key=None).json
                    for _ in range(2)]
            assert all(s["output"].startswith("x (") for s in said), said
            # Both are used up now, each by its own calls.
            assert daemon.invoke("target", "x").status == 429
            assert daemon.invoke("front", "x").status == 429


@test
def a_plugin_hears_which_limit_and_when_to_come_again():
    limits = "rate_limits: { agent: { requests_per_minute = 1; }; };"
    with Folder() as folder:
        with Daemon(relayed(folder, security=limits)) as daemon:
            # Somebody else takes all that `target` has.
            assert daemon.invoke("target", "x").status == 200
            answer = daemon.invoke("front", "x")
            status, code, wait, words = answer.json["output"].split(" ", 3)
            assert (int(status), code) == (6, "rate_limit_exceeded"), answer
            assert 0 < int(wait) <= 60000, answer
            assert "agent target" in words, answer
            record, = calls_of(daemon, 1)
            assert record["details"]["status"] == 429, record
            assert record["details"]["code"] == "rate_limit_exceeded", record
            metrics = daemon.metrics()
            assert metrics.sum("atomd_rate_limited_total", agent="target",
                               limit="agent_requests") == 1
            assert metrics.sum("atomd_requests_total", agent="target",
                               code="429") == 1


@test
def tokens_that_a_plugin_s_call_used_are_the_agent_s():
    limits = "rate_limits: { agent: { tokens_per_minute = 2000; }; };"
    with Folder() as folder:
        text = relayed(folder, "max_tokens = 100;", security=limits)
        with Daemon(text) as daemon:
            def left():
                answer = daemon.invoke("target", "x")
                assert answer.status == 200, answer
                return int(answer.headers["x-ratelimit-remaining-tokens"])
            before = left()
            assert daemon.invoke("front", "word " * 400).status == 200
            # 33 come back each second.
            assert before - left() > 100


@test
def an_agent_that_is_not_there_is_told_and_no_call():
    with Folder() as folder:
        text = relayed(folder).replace('name = "target"', 'name = "other"')
        with Daemon(text) as daemon:
            answer = daemon.invoke("front", "x")
            assert answer.json["output"].startswith("7 "), answer
            assert "no agent named 'target'" in answer.json["output"]
            calls_of(daemon, 1, user="anonymous")
            assert not search(daemon, type="call", user=ASKER)


@test
def the_agent_asked_has_its_system_prompt_and_its_max_tokens():
    worker = source("tests", "scenario", "worker.py")
    command = 'plugin = "process"; command = [ "python3", "%s" ];' % worker
    assert os.path.exists(worker)
    with Folder() as folder:
        text = relayed(folder, 'system_prompt = "Be brief."; max_tokens = 77;',
                       sink=False, target=command)
        with Daemon(text) as daemon:
            answer = daemon.invoke("front", "call")
            assert "Be brief." in answer.text, answer
            assert "77" in answer.text, answer


@test
def who_asks_when_the_loops_have_ended_is_told_that_the_daemon_stops():
    with Folder() as folder:
        build(folder.at("plugins", "late_asker.so"), cflags(folder),
              path=source("tests", "scenario", "fixtures", "late_asker.c"))
        text = config(agents=[agent("target", ECHO)], extra=(
            plugins_of(folder.at("plugins")) + OFTEN
            + 'monitors = ( { plugin = "late_asker"; } );'))
        with Daemon(text) as daemon:
            daemon.wait_event("late_waits")
            daemon.stop()
            # Control may have ended, too, and refuse at once.
            told = daemon.wait_line(lambda line: line.get("event") in (
                "late_answer", "late_refused"), what="an answer")
            assert told["message"] == "the daemon is stopping", told
            assert daemon.count_event("loop_messages_lost") == 0


def who_waits_for_a_record_when_the_daemon_stops_is_told():
    with Folder() as folder:
        ask = folder.at("ask")
        build(folder.at("plugins", "late_asker.so"), cflags(folder),
              path=source("tests", "scenario", "fixtures", "late_asker.c"),
              defines=['-DASK_WHEN="%s"' % ask])
        daemon = Daemon(config(
            agents=[agent("target", ECHO)],
            security='audit_calls = "strict";', extra=(
                plugins_of(folder.at("plugins")) + OFTEN
                + 'audit_sinks = ( { plugin = "file"; path = "audit"; } );'
                + 'monitors = ( { plugin = "late_asker"; } );')))
        waits = slow_disk(daemon)
        with daemon:
            daemon.wait_event("late_waits")
            daemon.write("waits", "")
            folder.write("ask", "")
            wait_for(lambda: daemon.metrics().sum(
                "atomd_requests_total", agent="target", code="200") == 1,
                     what="the call has ended")
            daemon.signal(signal.SIGTERM)
            wait_for(lambda: not serves(daemon.pid), 30, "the loops' end")
            os.unlink(waits)
            assert daemon.wait_end() == 0
            assert daemon.count_event("late_answer") == 1
            assert daemon.count_event("loop_messages_lost") == 0


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(who_waits_for_a_record_when_the_daemon_stops_is_told)


if __name__ == "__main__":
    run()
