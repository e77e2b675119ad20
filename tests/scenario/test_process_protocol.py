#!/usr/bin/env python3
"""The worker protocol line by line: what the process backend says to a
worker, when, and what it makes of the answers."""

import json
import os
import pwd
import subprocess
import sys
import threading
import time

from atomd_test import (Daemon, Skip, atomd_path, config, daemon_environment,
                        deltas, run, seconds, test, wait_for)
from protocol_worker import outputs, pids, said, serving, worker


@test
def a_call_is_one_line_whatever_the_caller_wrote():
    with serving('''
ready()
for line in lines:
    call = json.loads(line)
    if call["op"] == "call":
        say("result", id=call["id"], output={"call": call,
            "newlines": line.count("\\n")})
''') as daemon:
        body = json.dumps({"model": "w", "messages": [{
            "role": "user", "content": "two\nlines \u2028 \"q\" \\ é 日本 🦀"}]},
            indent=4, ensure_ascii=False).replace("\n", "\r\n")
        answer = daemon.post("/v1/chat/completions", body,
                             headers={"Content-Type": "application/json"})
        seen = json.loads(answer.content)
        assert seen["newlines"] == 1, seen
        assert seen["call"]["input"] == \
            "two\nlines \u2028 \"q\" \\ é 日本 🦀", seen
        assert seen["call"]["messages"][0]["content"] == \
            seen["call"]["input"]
        meta = seen["call"]["meta"]
        assert meta["request_id"] == answer.headers["x-request-id"], meta
        assert meta["dry_run"] is False, meta
        assert "session" not in seen["call"], seen


@test
def content_in_parts_becomes_its_text():
    with serving('''
ready()
for call in calls():
    say("result", id=call["id"], output=call)
''') as daemon:
        parts = [{"type": "text", "text": "what is \"this\"?\n"},
                 {"type": "image_url", "image_url": {"url": "data:,x"}},
                 {"type": "text", "text": "and that?"}]
        answer = daemon.chat("w", [{"role": "user", "content": parts}])
        call = json.loads(answer.content)
        assert call["input"] == "what is \"this\"?\n\nand that?", call
        assert call["messages"][0]["content"] == parts, call


@test
def values_pass_through_byte_for_byte():
    with serving(r'''
ready()
for call in calls():
    raw('{"id":"%s", "op" : "result","output":{"big":12345678901234567890123,'
        '"exact":0.1000,"e":1E+2,"u":"\\u00e9\\u0000","a":{"a":1,"a":2}},'
        '"unknown":[{}],"usage":{"input_tokens":3,"output_tokens":4}}\r\n'
        % call["id"])
''') as daemon:
        answer = daemon.chat("w", "x")
        assert '"big":12345678901234567890123' in answer.content, answer
        assert '"exact":0.1000,"e":1E+2' in answer.content, answer
        assert answer.json["usage"]["prompt_tokens"] == 3, answer
        assert answer.json["usage"]["completion_tokens"] == 4, answer


@test
def half_a_surrogate_pair_is_a_mark_not_the_end():
    with serving(r'''
ready()
for call in calls():
    raw('{"op":"chunk","id":"%s","data":"a\\ud83e\\ud80 b"}\n'.replace(
        "\\ud80 ", "x") % call["id"])
    raw('{"op":"result","id":"%s","output":null}\n' % call["id"])
''') as daemon:
        before = pids(daemon)
        answer = daemon.chat("w", "x")
        assert answer.content == "a\ufffdxb", answer
        assert pids(daemon) == before


@test
def an_output_behind_chunks_is_not_said_twice():
    with serving('''
ready(caps=["stream"])
for call in calls():
    for piece in ("one ", "two "):
        say("chunk", id=call["id"], data=piece)
    more = {} if call["input"] == "none" else {"output": call["input"]}
    say("result", id=call["id"], **more)
''') as daemon:
        for output, expected in (("one two ", "one two "),
                                 ("one two three", "one two three"),
                                 ("none", "one two "), ("one", "one two "),
                                 ("another one", "one two ")):
            assert daemon.chat("w", output).content == expected, output
            with daemon.chat_stream("w", output) as stream:
                assert deltas(stream.read()) == expected, output


@test
def chunks_that_are_no_text_stream_as_lines_of_json():
    with serving('''
ready(caps=["stream"])
for call in calls():
    for value in ({"a": 1}, [2, "x"], 3):
        say("chunk", id=call["id"], data=value)
    say("result", id=call["id"], output={"all": True})
''') as daemon:
        with daemon.chat_stream("w", "x") as stream:
            text = deltas(stream.read())
        assert [json.loads(l) for l in text.splitlines()] == [
            {"a": 1}, [2, "x"], 3], text
        assert json.loads(daemon.chat("w", "x").content) == {"all": True}


@test
def tool_calls_and_the_finish_reason_reach_the_client():
    with serving('''
ready(caps=["stream"])
for call in calls():
    if call["input"] == "cut":
        say("result", id=call["id"], output="so far", finish_reason="length")
        continue
    say("chunk", id=call["id"], data={"tool_calls": [{"index": 0,
        "id": "t1", "type": "function", "function": {"name": "look",
        "arguments": "{}"}}]})
    say("result", id=call["id"], finish_reason="tool_calls")
''') as daemon:
        answer = daemon.chat("w", "cut")
        assert answer.json["choices"][0]["finish_reason"] == "length"
        with daemon.chat_stream("w", "tool") as stream:
            events = stream.read()
        choices = [c for e in events if e.text != "[DONE]"
                   for c in e.json["choices"]]
        called = [t for c in choices
                  for t in c["delta"].get("tool_calls") or []]
        assert called[0]["function"]["name"] == "look", choices
        assert choices[-1]["finish_reason"] == "tool_calls", choices


@test
def a_state_too_large_fails_the_call():
    with serving('''
ready(caps=["state"])
for call in calls():
    say("result", id=call["id"], output="ok",
        state={"x": "y" * int(call["input"])})
''', more="memory: { max_messages = 4; };") as daemon:
        session = {"x-atomd-session": "s"}
        assert daemon.chat("w", "1000", session).status == 200
        answer = daemon.chat("w", "300000", session)
        assert answer.status == 502, answer
        assert "state" in answer.json["error"]["message"], answer
        assert daemon.chat("w", "1000", session).status == 200


@test
def a_worker_without_the_cap_is_not_told_of_cancel_or_ping():
    with serving('''
ready()
for message in hear():
    note(message["op"])
    if message.get("input") == "slow":
        time.sleep(1)
    if message["op"] == "call":
        say("result", id=message["id"], output="done")
''', options="ping_every_ms = 200;") as daemon:
        before = pids(daemon)
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "messages": [{"role": "user",
                                        "content": "slow"}]}))
        said(daemon, "call")
        wire.close()
        daemon.wait_idle()
        assert daemon.chat("w", "x").content == "done"
        assert set(outputs(daemon)) == {"call"}, outputs(daemon)
        assert pids(daemon) == before
        daemon.stop()
        assert outputs(daemon)[-1] == "drain", outputs(daemon)


@test
def an_idle_worker_that_does_not_answer_a_ping_is_replaced():
    every = 1.2 * min(seconds(1), 4)
    with serving('''
ready(caps=["ping"])
for message in hear():
    if message["op"] == "call" and message["input"] == "deaf":
        say("result", id=message["id"], output=str(os.getpid()))
        time.sleep(600)
    elif message["op"] == "call":
        if message["input"] == "busy":
            # Longer than two pings: a busy worker is not judged by them.
            time.sleep(2.2 * %g)
        say("result", id=message["id"], output=str(os.getpid()))
    elif message["op"] == "ping":
        note("ping")
        say("pong", n=message["n"])
''' % every, options="ping_every_ms = %d;" % (1000 * every)) as daemon:
        said(daemon, "ping")
        first = daemon.chat("w", "who").content
        assert daemon.chat("w", "busy").content == first
        assert daemon.chat("w", "deaf").content == first
        line = daemon.wait_event("instance_failed")
        assert "ping" in line["message"], line
        daemon.wait_ready("w", 1)
        assert daemon.chat("w", "who").content != first


@test
def silence_about_a_call_is_a_timeout():
    with serving('''
ready(caps=["stream", "cancel"])
stop = False
for message in hear():
    if message["op"] == "cancel":
        note("told", message["reason"])
        say("error", id=call, code="cancelled", message="")
        continue
    if message["op"] != "call":
        continue
    call = message["id"]
    if message["input"] == "busy":
        for n in range(5):
            time.sleep(0.5)
            say("event", id=call, type="still.here")
        say("result", id=call, output="slow but alive")
    elif message["input"] == "quick":
        say("result", id=call, output="quick")
''', options="no_progress_ms = 2000;") as daemon:
        before = pids(daemon)
        assert daemon.chat("w", "busy").content == "slow but alive"
        answer = daemon.chat("w", "silent")
        assert answer.status == 504, answer
        assert "silent" in answer.json["error"]["message"], answer
        said(daemon, "told deadline")
        assert daemon.chat("w", "quick").content == "quick"
        assert pids(daemon) == before


@test
def a_worker_has_its_whole_grace_to_tidy_up():
    with serving('''
ready()
for message in hear():
    pass
note("the socket has ended")
if os.environ["ATOM_INSTANCE"].endswith("-1.1"):
    time.sleep(11)
    note("tidied up")
''', options='cancel_grace_ms = 60000;') as daemon:
        daemon.wait_ready("w", 1)
        assert daemon.admin("POST", "/admin/v1/agents/w/restart").status in (
            200, 202)
        said(daemon, "the socket has ended")
        wait_for(lambda: "tidied up" in outputs(daemon), 30,
                 "the words behind eleven seconds")
        assert daemon.count_event("instance_stop_forced") == 0


@test
def a_silent_call_that_ignores_cancel_costs_the_worker_its_life():
    with serving('''
ready(caps=["cancel"])
for message in calls():
    if message["input"] == "hang":
        while True:
            time.sleep(10)
    say("result", id=message["id"], output="%d" % os.getpid())
''', options='no_progress_ms = 1500; cancel_grace_ms = 300;'
             ' kill_grace_ms = 300;') as daemon:
        first = daemon.chat("w", "who").content
        answer = daemon.chat("w", "hang")
        assert answer.status == 504, answer
        daemon.wait_event("worker_ignores_cancel")
        wait_for(lambda: daemon.chat("w", "who").status == 200,
                 what="another worker")
        assert daemon.chat("w", "who").content != first
        wait_for(lambda: int(first) not in pids(daemon), what="its end")
        # Our own doing is no crash: nothing failed.
        assert not daemon.count_event("instance_failed")


@test
def an_idle_worker_that_dies_takes_no_call_with_it():
    with serving('''
ready()
note("up", os.getpid())
for message in calls():
    say("result", id=message["id"], output="%d" % os.getpid())
''', instances=2, more="queue: { timeout_ms = 20000; };") as daemon:
        daemon.wait_ready("w", 2)
        for _ in range(20):
            victim = int(daemon.chat("w", "who").content)
            os.kill(victim, 9)
            wait_for(lambda: victim not in pids(daemon), what="its end")
            answer = daemon.chat("w", "who")
            assert answer.status == 200 or \
                "before the call reached it" in answer.text, answer


@test
def one_that_dies_before_ready_says_why():
    with Daemon(config(agents=worker("note('bye'); sys.exit(3)")),
                wait="listening") as daemon:
        line = daemon.wait_event("instance_failed")
        assert "ended with status 3 before it said ready" in \
            line["message"], line
        assert "docs/workers.md" in line["message"], line
    with Daemon(config(agents=worker("os.kill(os.getpid(), 11)")),
                wait="listening") as daemon:
        line = daemon.wait_event("instance_failed")
        assert "signal 11 (SIGSEGV)" in line["message"], line
    with Daemon(config(agents=worker("say('pong', n=1); time.sleep(60)")),
                wait="listening") as daemon:
        line = daemon.wait_event("instance_failed")
        assert "before ready" in line["message"], line


@test
def a_line_over_line_max_ends_the_worker_however_it_is_read():
    # Short enough to be read at once, with its end.
    with serving('''
ready()
for message in calls():
    most = 2000 if message["input"] == "fits" else 2001
    line = json.dumps({"op": "result", "id": message["id"], "output": "",
                       "pad": ""})
    raw(line[:-2] + "x" * (most - len(line)) + line[-2:] + "\\n")
''', options='line_max = "2000";') as daemon:
        answer = daemon.chat("w", "fits")
        assert answer.status == 200, answer
        answer = daemon.chat("w", "too long")
        assert answer.status == 502, answer
        assert "more than 2000 bytes (line_max)" in answer.text, answer


@test
def every_bad_line_on_the_socket_is_named_and_ends_the_worker():
    bad = {
        "no json": "something that is no JSON",
        '{"op":"result","id":"%s","output":1,}': "without a name",
        '{"op":"result","id":"%s","output":01}': "without an end",
        '{"op":"result","id":"%s","output":"\\x"}': "escape",
        '{"op":"result","id":"%s","usage":{"input_tokens":-1}}': "type",
        '{"op":"result","id":"%s","usage":[],"output":"x"}': "type",
        '{"op":"error","id":"%s"}': "type",
        '{"op":"event","id":"%s","type":5}': "type",
        '{"op":"chunk","id":"%s"}': "type",
        '{"op":"chunk","id":5,"data":""}': "without its id",
        '{"op":["result"]}': "without an op",
        '[1]': "no object",
        '{"op":"chunk","id":"%s","data":' + "[" * 200 + "]" * 200 + "}":
            "nested",
    }
    with serving('''
ready()
for call in calls():
    line = call["input"]
    if line == "fine":
        say("result", id=call["id"], output="fine")
        continue
    raw((line % call["id"] if "%s" in line else line) + "\\n")
    time.sleep(60)
''') as daemon:
        for line, reason in bad.items():
            answer = daemon.chat("w", line)
            assert answer.status == 502, (line, answer)
            assert reason in answer.json["error"]["message"], (line, answer)
            # An answer in between: else the starts would back off.
            assert daemon.chat("w", "fine").status == 200
        assert not [l for l in daemon.lines if "stopp" in l.get("event", "")
                    and l.get("level") == "error"]


@test
def drain_comes_before_the_end_of_file():
    with serving('''
ready()
for message in hear():
    note(message["op"])
note("end of file")
''') as daemon:
        daemon.wait_ready("w", 1)
        daemon.stop()
        assert outputs(daemon) == ["drain", "end of file"], outputs(daemon)


@test
def a_worker_that_stays_after_drain_is_ended_in_steps():
    with serving('''
signal.signal(signal.SIGTERM, lambda *_: note("term"))
ready()
for message in hear():
    pass
while True:
    time.sleep(1)
''', options="cancel_grace_ms = 200; kill_grace_ms = 1500;") as daemon:
        daemon.wait_ready("w", 1)
        daemon.stop()
        assert "term" in outputs(daemon), outputs(daemon)
        events = [l.get("event") for l in daemon.lines]
        assert events.index("worker_slow_to_leave") < \
            events.index("worker_deaf_to_sigterm"), events


@test
def a_restart_changes_workers_without_a_lost_call():
    with serving('''
ready(concurrency=2)
for call in calls():
    time.sleep(0.05)
    say("result", id=call["id"], output="%d" % os.getpid())
''', instances=2, concurrency=2, options="max_requests = 10;",
            more="queue: { depth = 100; timeout_ms = 30000; };") as daemon:
        seen, failed = set(), []

        def caller():
            for _ in range(25):
                answer = daemon.chat("w", "x")
                if answer.status == 200:
                    seen.add(answer.content)
                else:
                    failed.append(answer)
        threads = [threading.Thread(target=caller) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed[:3]
        assert len(seen) >= 200 / 11, len(seen)
        assert not daemon.count_event("instance_failed")


@test
def workers_run_as_another_user_where_the_daemon_is_root():
    python = "/usr/bin/python3"  # ours may be out of that user's reach
    if os.getuid() != 0 or not os.access(python, os.X_OK):
        raise Skip("not root, or no %s" % python)
    with serving('''
ready()
for call in calls():
    say("result", id=call["id"], output={"uid": os.getresuid(),
        "gid": os.getresgid(), "groups": os.getgroups(),
        "home": os.environ.get("HOME"), "directory": os.getcwd()})
''', options='user = "nobody"; directory = "/usr";',
                 python=python) as daemon:
        nobody = pwd.getpwnam("nobody")
        seen = daemon.invoke("w", "x").json["output"]
        assert seen["uid"] == [nobody.pw_uid] * 3, seen
        assert seen["gid"] == [nobody.pw_gid] * 3, seen
        assert set(seen["groups"]) <= {nobody.pw_gid}, seen
        assert seen["home"] == nobody.pw_dir, seen
        assert seen["directory"] == "/usr", seen
        daemon.kill()


@test
def mistakes_in_the_options_are_named_at_start():
    for options, says in (('transport = "pigeon";', "pigeon"),
                          ('ready_timeout_ms = 0;', "ready_timeout_ms"),
                          ('line_max = "1";', "line_max"),
                          ('comand = "x";', "comand")):
        daemon = Daemon(config(agents=worker("ready()", options=options)))
        try:
            done = subprocess.run(
                [atomd_path(), "-t", "-c", daemon.config_file],
                env=daemon_environment(), stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=seconds(30), check=False)
            assert done.returncode == 78, (options, done)
            assert says in done.stdout.decode(), (options, done)
        finally:
            daemon.clean()
    for options, says in (
            ('env: { ATOM_WORKER_FD = "5"; };', "ATOM_WORKER_FD is set by"),
            ('user = "no-such-user-here";', "no-such-user-here")):
        with Daemon(config(agents=worker("ready()", options=options)),
                    wait="listening") as daemon:
            daemon.wait_line(lambda l, t=says: t in l["message"]
                             and l["level"] == "error", what=says)
            # What never served is looked at for its size as others are.
            wait_for(lambda: daemon.metrics().sum(
                "atomd_scaling_ticks_total") >= 1, 30, "a look at sizes")

if __name__ == "__main__":
    run()
