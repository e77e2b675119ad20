#!/usr/bin/env python3
"""Calls: chat, invoke, streams, models, sessions, the waiting room,
deadlines."""

import json
import os
import re
import sys
import threading
import time

from atomd_test import (Daemon, agent, config, deltas, errors, process_agent,
                        run, source, test, wait_for)

MEMORY = "memory: { max_messages = 20; };"


def echo(options="", more="", name="echo"):
    return agent(name, 'plugin = "echo"; ' + options, more)


def one_at_a_time(more):
    """An agent of one worker, which takes one call after the other."""
    return process_agent(
        "w", [sys.executable, source("tests", "scenario", "worker.py")],
        more="instances: { min = 1; max = 1; concurrency = 1; }; " + more)


def until(daemon, name):
    """A call of it that is answered once the test writes that file."""
    return daemon.post_bytes("/v1/chat/completions", {
        "model": "w", "messages": [{"role": "user", "content": "until %s PATH"
                                    % os.path.join(daemon.dir, name)}]})


def in_threads(count, function):
    """Runs function(n) on `count` threads; the results in order."""
    results = [None] * count

    def one(n):
        try:
            results[n] = function(n)
        except Exception as error:
            results[n] = error
    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def key_of(daemon, role="caller", **more):
    answer = daemon.admin("POST", "/admin/v1/keys", {"role": role, **more})
    assert answer.status in (200, 201), answer
    return answer.json["key"]


@test
def a_chat_answer_has_openais_shape():
    with Daemon(config()) as daemon:
        answer = daemon.chat("echo", "one two three")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("application/json")
        body = answer.json
        assert body["object"] == "chat.completion", body
        assert isinstance(body["id"], str) and body["id"], body
        assert abs(body["created"] - time.time()) < 100, body
        assert body["model"], body
        (choice,) = body["choices"]
        assert choice["index"] == 0 and choice["finish_reason"] == "stop"
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"] == "one two three"
        assert body["usage"] == {**body["usage"], "prompt_tokens": 3,
                                 "completion_tokens": 3, "total_tokens": 6}


@test
def a_chat_stream_is_openais_events_ending_in_done():
    agents = [echo(), echo("chunk_delay_ms = 60000;", name="slow")]
    with Daemon(config(agents=agents)) as daemon:
        with daemon.chat_stream("echo", "one two three four") as stream:
            assert stream.status == 200
            assert stream.headers["content-type"].startswith(
                "text/event-stream")
            assert stream.headers["x-atomd-agent"] == "echo"
            assert "no-cache" in stream.headers.get("cache-control", "")
            events = stream.read()
        assert events[-1].text == "[DONE]" and stream.complete
        assert deltas(events) == "one two three four"
        chunks = [event.json for event in events[:-1]]
        assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
        assert len({c["id"] for c in chunks}) == 1
        finishes = [c["choices"][0]["finish_reason"] for c in chunks
                    if c["choices"]]
        assert finishes[-1] == "stop" and not any(finishes[:-1]), finishes
        assert not any("usage" in c and c["usage"] for c in chunks), (
            "usage nobody asked for")
        # It does not come in one piece: the first is here a minute before
        # the second.
        with daemon.chat_stream("slow", "one two") as stream:
            assert next(c["delta"]["content"] for e in stream
                        for c in e.json["choices"]
                        if c["delta"].get("content")).strip() == "one"


@test
def a_stream_tells_its_usage_when_asked():
    with Daemon(config()) as daemon:
        with daemon.chat_stream("echo", "one two", stream_options={
                "include_usage": True}) as stream:
            events = stream.read()
        last = events[-2].json
        assert last["choices"] == [] and last["usage"][
            "total_tokens"] == 4, last


@test
def text_of_every_alphabet_comes_back_unharmed():
    texts = ["grüße", "日本語のテキスト", "🦀🚀 \u200d", "a\u0000b", 'q"\\/\b\f\n\r\t',
             "\u2028\u2029", "</script>", "x" * 200000, "\U0010ffff", " lead",
             "trail \n"]
    with Daemon(config()) as daemon:
        for text in texts:
            answer = daemon.chat("echo", text)
            if "\0" in text:
                assert answer.status in (200, 400), answer
                if answer.status == 400:
                    continue
            assert answer.status == 200 and answer.content == text, (
                text[:50], answer)
            with daemon.chat_stream("echo", text,
                                    max_tokens=100000) as stream:
                assert deltas(stream.read()) == text, text[:50]


@test
def content_in_parts_is_text_too():
    with Daemon(config()) as daemon:
        answer = daemon.chat("echo", [{"role": "user", "content": [
            {"type": "text", "text": "one "},
            {"type": "text", "text": "two"}]}])
        assert answer.status == 200 and "one" in answer.content
        assert "two" in answer.content


@test
def the_last_user_message_is_the_input():
    with Daemon(config()) as daemon:
        answer = daemon.chat("echo", [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "answer"},
            {"role": "user", "content": "second"}])
        assert answer.content == "second"


@test
def max_tokens_cuts_and_says_so():
    with Daemon(config(agents=[echo(), echo(
            name="short", more="max_tokens = 2;")])) as daemon:
        answer = daemon.chat("echo", "a b c d e", max_tokens=3)
        assert answer.content.split() == ["a", "b", "c"]
        assert answer.json["choices"][0]["finish_reason"] == "length"
        answer = daemon.chat("echo", "a b c", max_tokens=3)
        assert answer.json["choices"][0]["finish_reason"] == "stop"
        answer = daemon.chat("short", "a b c d e")
        assert answer.content.split() == ["a", "b"], answer
        assert answer.json["choices"][0]["finish_reason"] == "length"
        with daemon.chat_stream("echo", "a b c", max_tokens=1) as stream:
            events = stream.read()
        assert deltas(events).split() == ["a"]
        assert events[-2].json["choices"][0]["finish_reason"] == "length"
        answer = daemon.chat("echo", "a b c", max_completion_tokens=2)
        assert answer.content.split() == ["a", "b"], answer


@test
def token_limit_is_for_calls_that_state_none():
    with Daemon("token_limit = 3;\n" + config()) as daemon:
        answer = daemon.chat("echo", "a b c d e")
        assert answer.content.split() == ["a", "b", "c"], answer
        assert answer.json["choices"][0]["finish_reason"] == "length"
        answer = daemon.chat("echo", "a b c d e", max_tokens=5)
        assert answer.content.split() == ["a", "b", "c", "d", "e"], answer
    with Daemon("token_limit = 0;\n" + config()) as daemon:
        text = "w " * 2000
        assert daemon.chat("echo", text).content == text


@test
def invoke_answers_with_output_usage_and_ids():
    with Daemon(config()) as daemon:
        answer = daemon.invoke("echo", "one two")
        assert answer.status == 200, answer
        body = answer.json
        assert body["output"] == "one two", body
        assert body["agent"] == "echo" and body["revision"] == 1, body
        assert body["request_id"] == answer.headers["x-request-id"], body
        assert body["usage"]["total_tokens"] == 4 or (
            body["usage"]["input_tokens"], body["usage"]["output_tokens"]
        ) == (2, 2), body
        answer = daemon.invoke("echo", {"question": "why"})
        assert answer.status == 200, answer
        assert "why" in json.dumps(answer.json["output"]), answer
        for wrong in (5, None, ["x"], True):
            answer = daemon.invoke("echo", wrong)
            assert answer.status == 400, (wrong, answer)
            assert answer.code == "invalid_request"
        answer = daemon.post("/v1/agents/echo/invoke", {})
        assert answer.status == 400 and "input" in answer.text


@test
def invoke_streams_too():
    with Daemon(config()) as daemon:
        with daemon.stream("/v1/agents/echo/invoke", {
                "input": "one two three", "stream": True}) as stream:
            assert stream.status == 200
            events = stream.read()
        text = "".join(event.text for event in events)
        for word in ("one", "two", "three"):
            assert word in text, text
        assert len(events) >= 4, events


@test
def the_models_are_the_agents_one_may_invoke():
    agents = [echo(name="one"), echo(name="two"), echo(name="three")]
    with Daemon(config(agents=agents)) as daemon:
        listed = daemon.get("/v1/models").json
        assert listed["object"] == "list"
        assert {m["id"] for m in listed["data"]} == {"one", "two", "three"}
        for model in listed["data"]:
            assert model["object"] == "model"
            assert isinstance(model["created"], int)
            assert isinstance(model["owned_by"], str)
        one = daemon.get("/v1/models/one")
        assert one.status == 200 and one.json["id"] == "one"
        key = key_of(daemon, agents=["two"])
        listed = daemon.get("/v1/models", key=key).json["data"]
        assert [m["id"] for m in listed] == ["two"], listed
        assert daemon.get("/v1/models/one", key=key).status in (403, 404)
        assert daemon.chat("one", "x", key=key).status == 403
        assert daemon.chat("two", "x", key=key).status == 200


@test
def an_unknown_agent_is_404():
    with Daemon(config()) as daemon:
        for answer in (daemon.chat("nobody", "x"),
                       daemon.invoke("nobody", "x"),
                       daemon.get("/v1/models/nobody"),
                       daemon.get("/v1/agents/nobody/sessions/s")):
            assert answer.status == 404, answer
            assert answer.code == "agent_not_found", answer
        assert "nobody" in daemon.chat("nobody", "x").json[
            "error"]["message"]
        with daemon.chat_stream("nobody", "x") as stream:
            assert stream.status == 404
            assert "agent_not_found" in stream.body().decode()


@test
def a_session_remembers_what_was_said():
    with Daemon(config(agents=echo(more=MEMORY))) as daemon:
        session = {"x-atomd-session": "s-1"}
        for text in ("first", "second", "third"):
            assert daemon.chat("echo", text, session).content == text
        answer = daemon.get("/v1/agents/echo/sessions/s-1")
        assert answer.status == 200, answer
        messages = answer.json["messages"]
        assert [(m["role"], m["content"]) for m in messages] == [
            pair for text in ("first", "second", "third")
            for pair in (("user", text), ("assistant", text))], messages
        answer = daemon.delete("/v1/agents/echo/sessions/s-1")
        assert answer.status in (200, 204), answer
        answer = daemon.get("/v1/agents/echo/sessions/s-1")
        assert answer.status == 404, answer
        assert daemon.delete("/v1/agents/echo/sessions/s-1").status == 404


@test
def an_invoke_may_name_a_session_and_learns_its_name():
    with Daemon(config(agents=echo(more=MEMORY))) as daemon:
        answer = daemon.invoke("echo", "hello", session_id="abc")
        assert answer.json["session_id"] == "abc", answer
        answer = daemon.get("/v1/agents/echo/sessions/abc")
        assert "hello" in answer.text, answer


@test
def a_session_counts_the_earlier_messages_to_the_backend():
    with Daemon(config(agents=echo(more=MEMORY))) as daemon:
        session = {"x-atomd-session": "s"}
        first = daemon.chat("echo", "one two", session).json["usage"]
        second = daemon.chat("echo", "three", session).json["usage"]
        assert first["prompt_tokens"] == 2, first
        assert second["prompt_tokens"] == 5, second


@test
def max_messages_drops_the_oldest_pairs():
    with Daemon(config(agents=echo(
            more="memory: { max_messages = 4; };"))) as daemon:
        session = {"x-atomd-session": "s"}
        for n in range(6):
            assert daemon.chat("echo", "text%d" % n, session).status == 200
        messages = daemon.get("/v1/agents/echo/sessions/s").json["messages"]
        assert [m["content"] for m in messages] == [
            "text4", "text4", "text5", "text5"], messages


@test
def a_session_of_another_principal_is_not_there():
    with Daemon(config(agents=echo(more=MEMORY))) as daemon:
        mine, other = key_of(daemon), key_of(daemon)
        session = {"x-atomd-session": "shared"}
        assert daemon.chat("echo", "secret", session, mine).status == 200
        path = "/v1/agents/echo/sessions/shared"
        assert "secret" in daemon.get(path, key=mine).text
        for answer in (daemon.get(path, key=other), daemon.get(path),
                       daemon.delete(path, key=other)):
            assert answer.status == 404, answer
            assert "secret" not in answer.text
        answer = daemon.chat("echo", "hello", session, other)
        assert answer.status in (200, 404), answer
        assert "secret" not in daemon.get(path, key=other).text
        assert "hello" not in daemon.get(path, key=mine).text


@test
def a_session_of_another_agent_is_another_session():
    with Daemon(config(agents=[echo(more=MEMORY), echo(
            name="two", more=MEMORY)])) as daemon:
        session = {"x-atomd-session": "s"}
        daemon.chat("echo", "hello", session)
        assert daemon.get("/v1/agents/two/sessions/s").status == 404


@test
def a_second_call_of_a_session_waits_its_turn_then_is_busy():
    agents = [echo("delay_ms = 400;", MEMORY, "soon"),
              echo("delay_ms = 8000;", MEMORY +
                   "queue: { depth = 10; timeout_ms = 300; };", "late")]
    with Daemon(config(agents=agents)) as daemon:
        session = {"x-atomd-session": "s"}
        answers = in_threads(2, lambda n: daemon.chat(
            "soon", "text%d" % n, session))
        assert [a.status for a in answers] == [200, 200], answers
        messages = daemon.get("/v1/agents/soon/sessions/s").json["messages"]
        assert len(messages) == 4, messages
        with daemon.wire(daemon.post_bytes(
                "/v1/chat/completions", {"model": "late", "messages": [
                    {"role": "user", "content": "x"}]}, session)):
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests", agent="late") >= 1,
                what="the first call runs")
            answer = daemon.chat("late", "y", session)
            assert answer.status == 409, answer
            assert answer.code == "session_busy", answer
            assert daemon.chat("late", "z", {
                "x-atomd-session": "other"}, timeout=20).status == 200


@test
def a_failed_or_abandoned_call_leaves_the_session_as_it_was():
    with Daemon(config(agents=echo(
            "chunk_delay_ms = 1000;", MEMORY))) as daemon:
        session = {"x-atomd-session": "s"}
        assert daemon.chat("echo", "kept", session).status == 200
        with daemon.chat_stream("echo", "a b c d e f g h i j k l m n",
                                session) as stream:
            next(iter(stream))
        daemon.wait_idle()
        messages = daemon.get("/v1/agents/echo/sessions/s").json["messages"]
        assert [m["content"] for m in messages] == ["kept", "kept"]


@test
def a_session_name_that_is_no_name_is_400():
    with Daemon(config(agents=echo(more=MEMORY))) as daemon:
        for name in ("", " ", "a/b", "x" * 1000, "a\tb", "caf\xe9"):
            answer = daemon.chat("echo", "x", {"x-atomd-session": name})
            assert answer.status == 400, (name, answer)
        answer = daemon.get("/v1/agents/echo/sessions/none")
        assert answer.status == 404, answer


@test
def a_session_at_an_agent_without_memory_is_told():
    with Daemon(config()) as daemon:
        answer = daemon.chat("echo", "x", {"x-atomd-session": "s"})
        assert answer.status in (200, 400), answer
        assert daemon.get("/v1/agents/echo/sessions/s").status == 404


@test
def more_sessions_than_allowed_drop_the_oldest():
    with Daemon(config(agents=echo(more="memory: { max_messages = 4;"
                                   " max_sessions = 5; };"))) as daemon:
        for n in range(12):
            assert daemon.chat("echo", "x", {
                "x-atomd-session": "s%d" % n}).status == 200
        wait_for(lambda: daemon.get(
            "/v1/agents/echo/sessions/s0").status == 404,
            what="the oldest session is gone")
        assert daemon.get("/v1/agents/echo/sessions/s11").status == 200


@test
def after_a_restart_the_least_recently_used_session_goes_first():
    with Daemon(config(agents=echo(more="memory: { max_sessions = 2; };"))
                ) as daemon:
        def say(session):
            assert daemon.chat("echo", "x", {
                "x-atomd-session": session}).status == 200

        def updated(session):
            answer = daemon.get("/v1/agents/echo/sessions/" + session)
            return answer.json["updated"] if answer.status == 200 else None

        def used_last(session, other):
            say(session)
            return updated(session) > updated(other)
        say("a")
        say("b")
        wait_for(lambda: used_last("a", "b"), what="a is used after b")
        daemon.stop()
        daemon.start()
        say("c")
        wait_for(lambda: updated("c") is not None, what="c is remembered")
        assert updated("b") is None
        assert updated("a") is not None


@test
def each_agent_tells_how_many_sessions_it_remembers():
    def remembered():
        return {row["name"]: row["sessions"] for row in daemon.admin(
            "GET", "/admin/v1/overview").json["agents"]}

    agents = [agent("few", more="memory: { max_sessions = 2; };"),
              agent("many", more=MEMORY), agent("none")]
    with Daemon(config(agents=agents)) as daemon:
        assert remembered() == {"few": 0, "many": 0, "none": 0}, remembered()
        for name in ("few", "many"):
            for n in range(4):
                for text in ("first", "again"):
                    assert daemon.chat(name, text, {
                        "x-atomd-session": "s%d" % n}).status == 200
        assert daemon.chat("none", "x").status == 200
        # A use ends after its answer.
        wait_for(lambda: remembered() == {"few": 2, "many": 4, "none": 0},
                 what="as many as there were, and as there may be")
        assert daemon.delete("/v1/agents/many/sessions/s1").status == 200
        wait_for(lambda: remembered() == {"few": 2, "many": 3, "none": 0},
                 what="a deleted session counts no more")
        total = daemon.metrics().sum("atomd_sessions")
        assert total == 5, total
        daemon.stop()
        daemon.start()
        assert remembered() == {"few": 2, "many": 3, "none": 0}, remembered()
        told = daemon.admin("GET", "/admin/v1/agents/many").json
        assert told["sessions"] == 3, told


@test
def a_full_waiting_room_is_429_with_retry_after():
    with Daemon(config(agents=one_at_a_time(
            "queue: { depth = 2; timeout_ms = 60000; };"))) as daemon:
        request = until(daemon, "go")
        with daemon.wire(request) as first, daemon.wire(request) as second, \
                daemon.wire(request) as third:
            wait_for(lambda: daemon.metrics().sum("atomd_queue_depth") == 2,
                     what="two wait")
            for answer in in_threads(5, lambda n: daemon.chat("w", "echo x")):
                assert (answer.status, answer.code) == (429, "queue_full"), \
                    answer
                assert int(answer.headers["retry-after"]) >= 1, answer
            daemon.write("go", "")
            for wire in (first, second, third):
                assert wire.answer().status == 200
        assert daemon.chat("w", "echo x").status == 200


@test
def waiting_too_long_is_an_error_that_says_so():
    with Daemon(config(agents=one_at_a_time(
            "queue: { depth = 5; timeout_ms = 300; };"))) as daemon:
        with daemon.wire(until(daemon, "go")) as first:
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests", agent="w") >= 1,
                what="the first call runs")
            started = time.monotonic()
            answer = daemon.chat("w", "echo y")
            took = time.monotonic() - started
            assert (answer.status, answer.code) in (
                (503, "no_instances"), (504, "timeout"),
                (429, "queue_full")), answer
            assert took > 0.2, took
            daemon.write("go", "")
            assert first.answer().status == 200
        assert daemon.metrics().sum("atomd_queue_depth") == 0


@test
def one_who_leaves_the_waiting_room_frees_his_place():
    with Daemon(config(agents=one_at_a_time(
            "queue: { depth = 1; timeout_ms = 20000; };"))) as daemon:
        request = until(daemon, "go")
        with daemon.wire(request) as first:
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests", agent="w") >= 1,
                what="the first call runs")
            for _ in range(5):
                waiting = daemon.wire(request)
                wait_for(lambda: daemon.metrics().sum(
                    "atomd_queue_depth") == 1, what="one waits")
                waiting.close()
                wait_for(lambda: daemon.metrics().sum(
                    "atomd_queue_depth") == 0, what="none waits")
            daemon.write("go", "")
            assert first.answer().status == 200
        assert daemon.chat("w", "echo x").status == 200


@test
def the_total_deadline_ends_a_call_with_504():
    agents = [echo("delay_ms = 20000;", "timeouts: { total_ms = 400; };"),
              echo("chunk_delay_ms = 20000;",
                   "timeouts: { total_ms = 1500; };", "drip")]
    with Daemon(config(agents=agents)) as daemon:
        started = time.monotonic()
        answer = daemon.chat("echo", "x")
        took = time.monotonic() - started
        assert answer.status == 504 and answer.code == "timeout", answer
        assert answer.headers["x-should-retry"] == "false"
        assert took > 0.3, took
        with daemon.chat_stream("drip", "a b c d e f g h i j k") as stream:
            assert stream.status == 200
            events = stream.read()
        assert deltas(events) == "a", events
        (error,) = errors(events)
        assert error["code"] == "timeout", error
        assert events[-1].text != "[DONE]", "an error passed for success"


@test
def the_first_token_and_stall_deadlines_hold_for_streams():
    agents = [echo("delay_ms = 20000;", "timeouts: {"
                   " first_token_ms = 300; };", "late"),
              echo("chunk_delay_ms = 20000;", "timeouts: {"
                   " stall_ms = 300; };", "stall")]
    with Daemon(config(agents=agents)) as daemon:
        with daemon.chat_stream("late", "x") as stream:
            if stream.status == 200:
                (error,) = errors(stream.read())
                assert error["code"] == "timeout", error
            else:
                assert stream.status == 504, stream.status
                assert b'"timeout"' in stream.body()
        with daemon.chat_stream("stall", "a b c") as stream:
            events = stream.read()
        (error,) = errors(events)
        assert error["code"] == "timeout", error


@test
def a_quiet_stream_has_heartbeats():
    quiet = echo("delay_ms = 60000;")
    with Daemon(config(agents=quiet)) as daemon:
        with daemon.chat_stream("echo", "x", timeout=50) as stream:
            raw = b""
            for part in stream.parts:
                raw += part
                if raw.startswith(b":") or b"\n:" in raw:
                    break
            assert b"data: [DONE]" not in raw, "no comment in a minute"
            assert b":" in raw


@test
def a_client_that_leaves_frees_its_slot_at_once():
    one = echo("delay_ms = 600000;", "instances: { min = 1; max = 1;"
               " concurrency = 1; };")
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    with Daemon(config(agents=one)) as daemon:
        for stream in (False, True):
            wire = daemon.wire(daemon.post_bytes(
                "/v1/chat/completions", dict(body, stream=stream)))
            wait_for(lambda: daemon.agents()["echo"]["in_flight"] == 1,
                     what="the call runs")
            wire.close()
            wait_for(lambda: daemon.agents()["echo"]["in_flight"] == 0,
                     deadline=20, what="the slot is free")


@test
def a_restart_of_an_agent_loses_no_call():
    slow = echo("delay_ms = 300;", "instances: { min = 2; max = 2;"
                " concurrency = 4; };")
    with Daemon(config(agents=slow)) as daemon:
        done = threading.Event()
        statuses = []

        def caller(_):
            while not done.is_set():
                statuses.append(daemon.chat("echo", "x").status)

        def restarter(_):
            try:
                for _ in range(3):
                    answer = daemon.admin(
                        "POST", "/admin/v1/agents/echo/restart", {})
                    assert answer.status in (200, 202), answer
                    time.sleep(0.3)
            finally:
                done.set()
        in_threads(4, lambda n: restarter(n) if n == 0 else caller(n))
        assert statuses and set(statuses) == {200}, statuses


@test
def scaling_by_hand_is_bounded_and_shows():
    sized = echo(more="instances: { min = 1; max = 4; concurrency = 1; };")
    with Daemon(config(agents=sized)) as daemon:
        daemon.wait_ready("echo", 1)
        answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                              {"instances": 3})
        assert answer.status in (200, 202), answer
        daemon.wait_ready("echo", 3)
        assert daemon.agents()["echo"]["instances"]["desired"] == 3
        for wrong in (99, -1, "x", None):
            answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                                  {"instances": wrong})
            assert answer.status == 400, (wrong, answer)
        answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                              {"instances": 1})
        assert answer.status in (200, 202), answer
        daemon.wait_ready("echo", 1)


@test
def concurrency_is_kept_to_the_slot():
    agents = echo("delay_ms = 500;", "instances: { min = 2; max = 2;"
                  " concurrency = 2; }; queue: { depth = 20;"
                  " timeout_ms = 20000; };")
    with Daemon(config(agents=agents)) as daemon:
        started = time.monotonic()
        answers = in_threads(8, lambda n: daemon.chat("echo", "x%d" % n))
        took = time.monotonic() - started
        assert [a.content for a in answers] == [
            "x%d" % n for n in range(8)]
        assert took > 0.95, "two rounds took %.2f s" % took


@test
def the_request_id_leads_to_the_log():
    with Daemon(config()) as daemon:
        name = daemon.chat("echo", "x").headers["x-request-id"]
        daemon.wait_line(lambda line: name in json.dumps(line),
                         what="the request id in the log")
        answer = daemon.admin("GET", "/admin/v1/logs")
        assert answer.status == 200, answer
        assert re.search(name, answer.text), "not in /admin/v1/logs"


if __name__ == "__main__":
    run()
