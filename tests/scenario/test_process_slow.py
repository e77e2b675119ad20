#!/usr/bin/env python3
"""Clients that take an answer slowly, before the process backend: what its
workers are told, and that nothing is lost."""

import threading
import time

from atomd_test import deltas, run, test, wait_for
from protocol_worker import outputs, pids, said, serving


@test
def credit_comes_after_the_call_and_follows_the_client():
    with serving('''
ready(concurrency=4, caps=["stream", "credit", "cancel"])
left, current, sent = {}, {}, 0
for message in hear():
    if message["op"] == "call":
        current = message
        left[message["id"]] = 0
        if not message["stream"]:
            say("result", id=message["id"], output="%d" % sent)
    elif message["op"] == "credit":
        left[message["id"]] += message["n"]
        note("credit", message["n"])
        while left[message["id"]] > 0 and sent < 400:
            left[message["id"]] -= 1
            sent += 1
            say("chunk", id=message["id"], data="x" * 60000)
        if sent == 400:
            say("result", id=message["id"])
''', concurrency=4) as daemon:
        with daemon.chat_stream("w", "go") as stream:
            said(daemon, "credit 4")
            # The client does not read: the worker is soon granted no more.
            before, now = -1, 0
            while now != before:
                before = now
                time.sleep(0.3)
                now = int(daemon.chat("w", "how many").content)
            assert 4 <= before < 250, before
            # It reads on: the rest comes, whole.
            assert deltas(stream.read()) == "x" * 60000 * 400
        daemon.wait_idle()


@test
def one_large_chunk_does_not_outrun_a_slow_client():
    for concurrency in (1, 4):
        with serving('''
ready(concurrency=4, caps=["stream", "cancel"])
for message in hear():
    if message["op"] == "cancel":
        note("cancelled")
    elif message["op"] == "call":
        # More than any socket on the way to the client takes at once.
        say("chunk", id=message["id"], data="x" * 7000000)
        time.sleep(0.3)  # in which a wrong `cancel` would come
        say("result", id=message["id"], output=None)
''', concurrency=concurrency) as daemon:
            with daemon.chat_stream("w", "x") as stream:
                assert deltas(stream.read()) == "x" * 7000000
            assert "cancelled" not in outputs(daemon), outputs(daemon)


@test
def a_worker_of_several_that_does_not_wait_loses_that_call_only():
    with serving('''
import threading
ready(concurrency=4, caps=["stream", "cancel"])
lock = threading.Lock()
cancelled = set()
def flood(call):
    while call["id"] not in cancelled:
        with lock:
            say("chunk", id=call["id"], data="x" * 1000)
    note("stopped")
    with lock:
        say("error", id=call["id"], code="cancelled", message="done")
for message in hear():
    if message["op"] == "cancel":
        cancelled.add(message["id"])
    elif message.get("input") == "flood":
        threading.Thread(target=flood, args=(message,)).start()
    elif message["op"] == "call":
        with lock:
            say("result", id=message["id"], output="fine")
''', concurrency=4) as daemon:
        before = pids(daemon)
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "stream": True, "messages": [
                {"role": "user", "content": "flood"}]}))
        assert wire.head()[0] == 200
        said(daemon, "stopped")
        assert daemon.chat("w", "x").content == "fine"
        assert pids(daemon) == before, "the worker was replaced"
        wire.close()
        daemon.wait_idle()


@test
def a_result_of_a_worker_that_ends_at_once_is_not_lost():
    with serving('''
ready(caps=["stream"])
for call in calls():
    for _ in range(300):
        say("chunk", id=call["id"], data="x" * 10000)
    say("result", id=call["id"], output=None)
    os._exit(0)
''') as daemon:
        # Even where the client reads only after the worker has gone.
        with daemon.chat_stream("w", "x") as stream:
            time.sleep(0.5)
            assert deltas(stream.read()) == "x" * 3000000


@test
def those_who_wait_are_not_given_to_a_worker_that_has_ended():
    with serving('''
import select, socket
ready(caps=["stream"])
own = socket.socket(fileno=os.dup(wire))
def room(size):
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
for call in calls():
    if call["input"] != "much":
        say("result", id=call["id"], output="fine")
        continue
    room(16384)
    # Until the client's slowness has come here.
    while select.select([], [own], [], 3)[1]:
        say("chunk", id=call["id"], data="x" * 1000)
    room(200000)
    say("result", id=call["id"], output=None)
    os._exit(0)
''', more="queue: { depth = 20; };") as daemon:
        before = pids(daemon)
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "stream": True, "messages": [
                {"role": "user", "content": "much"}]}))
        assert wire.head()[0] == 200
        answers = []
        callers = [threading.Thread(
            target=lambda: answers.append(daemon.chat("w", "x")))
            for _ in range(10)]
        for caller in callers:
            caller.start()
        wait_for(lambda: not before & pids(daemon), what="its end")
        wait_for(lambda: daemon.agents()["w"]["queued"] == 10,
                 what="ten that wait")
        assert not answers, answers
        while b"[DONE]" not in wire.buffer:
            wire.buffer = wire.buffer[-100:]
            assert wire.fill(), "the stream was cut"
        for caller in callers:
            caller.join()
        assert [a.status for a in answers] == [200] * 10, answers

if __name__ == "__main__":
    run()
