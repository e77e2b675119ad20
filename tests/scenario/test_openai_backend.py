#!/usr/bin/env python3
"""The openai backend in front of a mock upstream that misbehaves on
request."""

import json
import selectors
import socket
import time

from atomd_test import (MEMORY_FACTOR, Daemon, agent, config, deltas, errors,
                        open_files, resident_kib, run, seconds, test,
                        wait_for)
from mock_upstream import SECRET, Mock

SHORT = ("timeouts: { connect_ms = 1000; first_token_ms = 700;"
         " stall_ms = 700; total_ms = 4000; };")


def upstream(mock, options="", more="", name="bot", model="m"):
    return agent(name, 'plugin = "openai"; base_url = "%s"; model = "%s";'
                 ' api_key = "%s"; %s' % (mock.url, model, SECRET, options),
                 more)


def open_with(mock, more="", options="", **settings):
    return Daemon(config(agents=upstream(mock, options, more)), **settings)


@test
def a_call_reaches_the_upstream_and_its_answer_the_client():
    with Mock() as mock, open_with(mock) as daemon:
        answer = daemon.chat("bot", "hello big world")
        assert answer.status == 200 and answer.content == "hello big world"
        assert answer.json["usage"]["total_tokens"] == 6
        (call,) = mock.calls
        assert (call.method, call.path) == ("POST", "/v1/chat/completions")
        assert call.json["model"] == "m"
        assert call.headers["authorization"] == "Bearer " + SECRET
        assert call.headers["content-type"].startswith("application/json")


@test
def libcurl_is_loaded_for_those_who_need_it():
    def has_libcurl(daemon):
        with open("/proc/%d/maps" % daemon.pid) as maps:
            return "libcurl" in maps.read()
    with Daemon(config()) as daemon:
        assert daemon.chat("echo", "x").status == 200
        assert not has_libcurl(daemon)
        with Mock() as mock:
            daemon.reload(config(agents=upstream(mock)))
            assert daemon.chat("bot", "x").status == 200
            assert not has_libcurl(daemon)
            daemon.reload(config(agents=upstream(mock, name="far").replace(
                "http:", "https:")))
            # No TLS is spoken there; libcurl may need its time to be loaded.
            assert daemon.chat("far", "x").status in (502, 504)
            assert has_libcurl(daemon)


@test
def no_head_field_of_the_client_reaches_the_upstream():
    with Mock() as mock, open_with(mock) as daemon:
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "caller"}).json["key"]
        answer = daemon.chat("bot", "x", {
            "Authorization": "Bearer " + key, "Cookie": "c=1",
            "X-Custom": "1", "Accept-Encoding": "gzip",
            "X-Forwarded-For": "9.9.9.9", "OpenAI-Organization": "org-x"})
        assert answer.status == 200, answer
        fields = json.dumps(mock.calls[0].headers)
        for part in ("c=1", key, "x-custom", "9.9.9.9", "org-x"):
            assert part not in fields, fields
        assert "expect" not in mock.calls[0].headers
        assert "x-upstream" not in answer.headers, answer


@test
def the_body_passes_byte_for_byte_but_for_the_spliced_members():
    with Mock() as mock, open_with(mock) as daemon:
        body = (b'{ "model" : "bot",\n "temperature": 0.10000000000000001,'
                b' "seed":123456789012345678,"z":-0.0,"e":1E2,\t'
                b'"messages":[ {"role":"user","content":"\\u00e9\\/x"} ],'
                b'"unknown":{"a" :[1 ,2]},"max_tokens" :7 }')
        answer = daemon.post("/v1/chat/completions", body)
        assert answer.status == 200, answer
        got = mock.calls[0].body
        for part in (b'"temperature": 0.10000000000000001',
                     b'"seed":123456789012345678', b'"z":-0.0',
                     b'"e":1E2', b'"content":"\\u00e9\\/x"',
                     b'"unknown":{"a" :[1 ,2]}'):
            assert part in got, (part, got)
        assert mock.calls[0].json["model"] == "m"
        assert mock.calls[0].json["max_tokens"] == 7
        expected = body.replace(b'"bot"', b'"m"')
        assert got == expected, (got, expected)


@test
def tools_formats_and_pictures_pass_through():
    tools = [{"type": "function", "function": {
        "name": "look", "description": "d", "parameters": {
            "type": "object", "properties": {"q": {"type": "string"}}}}}]
    form = {"type": "json_schema", "json_schema": {
        "name": "n", "schema": {"type": "object"}, "strict": True}}
    picture = [{"type": "text", "text": "what is this"}, {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    messages = [{"role": "user", "content": picture}]
    with Mock() as mock, open_with(mock) as daemon:
        mock.behaviour = "tool"
        answer = daemon.chat("bot", messages, tools=tools,
                             tool_choice="auto", response_format=form,
                             logprobs=True, user="u", parallel_tool_calls=0)
        assert answer.status == 200, answer
        got = mock.calls[0].json
        assert got["tools"] == tools and got["response_format"] == form
        assert got["messages"] == messages and got["tool_choice"] == "auto"
        (call,) = answer.json["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "look", call
        assert answer.json["choices"][0]["finish_reason"] == "tool_calls"
        with daemon.chat_stream("bot", messages, tools=tools) as stream:
            events = stream.read()
        arguments = ""
        for event in events[:-1]:
            for choice in event.json["choices"]:
                for part in choice["delta"].get("tool_calls") or ():
                    arguments += part["function"].get("arguments", "")
        assert json.loads(arguments) == {"text": "what is this"}, arguments
        more = messages + [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"}]
        mock.behaviour = None
        assert daemon.chat("bot", more, tools=tools).status == 200
        assert mock.calls[-1].json["messages"] == more


@test
def a_character_cut_between_two_chunks_is_whole_for_the_session():
    with Mock() as mock, open_with(mock, "memory: { };") as daemon:
        mock.behaviour = "units"
        text = "so \U0001f600 it\U0001f980"
        with daemon.chat_stream("bot", text,
                                {"x-atomd-session": "s"}) as stream:
            events = stream.read()
        assert not errors(events) and events[-1].text == "[DONE]", events
        with daemon.stream("/v1/agents/bot/invoke", {
                "input": text, "session_id": "s", "stream": True}) as stream:
            events = stream.read()
        told = [event.json["delta"] for event in events
                if event.text.startswith("{\"delta\"")]
        assert "".join(told) == text, told
        assert events[-2].json["output"] == text, events[-2]
        mock.behaviour = None
        assert daemon.chat("bot", "and?",
                           {"x-atomd-session": "s"}).status == 200
        sent = mock.calls[-1].json["messages"]
        assert [message["content"] for message in sent] == [
            text, text, text, text, "and?"], sent
        # Half of one that stays alone is marked.
        mock.behaviour, mock.answer = "units", "\udc00 a\ud83d"
        with daemon.stream("/v1/agents/bot/invoke", {
                "input": "x", "stream": True}) as stream:
            events = stream.read()
        assert events[-2].json["output"] == "\ufffd a\ufffd", events[-2]


@test
def unknown_members_of_the_answer_reach_the_client():
    with Mock() as mock, open_with(mock) as daemon:
        answer = daemon.chat("bot", "x")
        assert answer.json["system_fingerprint"] == "fp_mock", answer
        assert "logprobs" in answer.json["choices"][0]
        with daemon.chat_stream("bot", "x") as stream:
            first = next(iter(stream)).json
        assert first["system_fingerprint"] == "fp_mock", first


@test
def the_settings_of_the_agent_are_spliced_in():
    more = ('system_prompt = "Be \\"brief\\".\\nAlways."; max_tokens = 40;')
    with Mock() as mock, open_with(mock, more) as daemon:
        assert daemon.chat("bot", "x").status == 200
        got = mock.calls[-1].json
        assert got["messages"][0] == {
            "role": "system", "content": 'Be "brief".\nAlways.'}, got
        assert got["messages"][1]["content"] == "x"
        assert got["max_tokens"] == 40
        daemon.chat("bot", "x", max_tokens=9)
        assert mock.calls[-1].json["max_tokens"] == 9
    with Mock() as mock, open_with(
            mock, 'system_prompt = "s"; caller_system = "refuse";'
            ' max_tokens = 5;',
            'token_field = "max_completion_tokens";') as daemon:
        answer = daemon.chat("bot", [{"role": "system", "content": "mine"},
                                     {"role": "user", "content": "x"}])
        assert answer.status == 400, answer
        assert not mock.calls
        assert daemon.chat("bot", "x").status == 200
        got = mock.calls[-1].json
        assert got["max_completion_tokens"] == 5, got
        assert "max_tokens" not in got, got


@test
def a_global_token_limit_of_zero_leaves_the_body_alone():
    with Mock() as mock, Daemon(
            "token_limit = 0;\n" + config(agents=upstream(mock))) as daemon:
        daemon.chat("bot", "x")
        assert "max_tokens" not in mock.calls[0].json
    with Mock() as mock, open_with(mock) as daemon:
        daemon.chat("bot", "x")
        assert mock.calls[0].json["max_tokens"] == 500


@test
def a_stream_is_relayed_as_it_comes_and_ends_in_done():
    with Mock() as mock, open_with(mock) as daemon:
        mock.hold_deltas()
        with daemon.chat_stream("bot", "a b c d e f") as stream:
            assert stream.status == 200
            events, coming = [], iter(stream)
            # The next one is sent when the one before it is here.
            for count in range(1, 7):
                mock.let_go_delta()
                while len(deltas(events).split()) < count:
                    events.append(next(coming))
            events += coming
        assert deltas(events) == "a b c d e f"
        assert events[-1].text == "[DONE]"
        assert mock.calls[0].json["stream"] is True
        wait_for(lambda: daemon.metrics().sum(
            "atomd_tokens_total", agent="bot") == 12,
            what="tokens are counted")


@test
def usage_is_read_from_the_stream_but_shown_only_when_asked():
    with Mock() as mock, open_with(mock) as daemon:
        with daemon.chat_stream("bot", "a b") as stream:
            events = stream.read()
        assert not any(e.json.get("usage") for e in events[:-1]), events
        with daemon.chat_stream("bot", "a b", stream_options={
                "include_usage": True}) as stream:
            events = stream.read()
        assert events[-2].json["usage"]["total_tokens"] == 4, events
        for call in mock.calls:
            assert call.json["stream_options"]["include_usage"] is True


@test
def the_providers_errors_are_mapped():
    with Mock() as mock, open_with(mock) as daemon:
        for status, code in ((400, "context_length_exceeded"),
                             (404, "model_not_found"),
                             (413, "request_too_large"),
                             (422, "unprocessable")):
            answer = daemon.chat("bot", "fault:status %d" % status)
            assert answer.status == status, answer
            assert answer.code == code, answer
        for status in (401, 403):
            answer = daemon.chat("bot", "fault:status %d" % status)
            assert answer.status == 502, answer
            assert answer.code == "backend_auth", answer
            assert "upstream says" not in answer.text, "the text is told"
        answer = daemon.chat("bot", "fault:status 429 7")
        assert answer.status == 429, answer
        assert answer.code == "backend_rate_limited", answer
        assert answer.headers["retry-after"] == "7", answer
        for status in (500, 502, 503):
            answer = daemon.chat("bot", "fault:status %d" % status)
            assert answer.status == 502, answer
            assert answer.code == "backend_error", answer
        assert SECRET not in daemon.log
        with daemon.chat_stream("bot", "fault:status 429 7") as stream:
            assert stream.status == 429
            assert stream.headers["retry-after"] == "7"


@test
def no_answer_shows_the_key_even_when_the_provider_quotes_it():
    with Mock() as mock, open_with(mock) as daemon:
        for status in (400, 401, 403, 404, 422, 429, 500):
            answer = daemon.chat("bot", "fault:status %d" % status)
            assert SECRET not in answer.text, answer


@test
def an_upstream_that_fails_before_the_answer_is_502():
    with Mock() as mock, open_with(mock) as daemon:
        for fault in ("reset", "garbage-head", "garbage-json", "wrong-json",
                      "long", "short", "reset-midway", "endless-head"):
            answer = daemon.chat("bot", "fault:" + fault)
            assert answer.status in (502, 504), (fault, answer)
            assert answer.code in ("backend_error", "timeout"), (
                fault, answer)
        assert daemon.chat("bot", "fine").status == 200


@test
def what_a_server_says_too_much_is_nobody_s_answer():
    # More than its Content-Length; libcurl would use that connection again.
    with Mock() as mock, open_with(mock) as daemon:
        for _ in range(40):
            assert daemon.chat("bot", "fault:short").status == 502
            answer = daemon.chat("bot", "fine")
            assert answer.status == 200, answer


@test
def a_request_is_never_sent_twice_behind_our_back():
    with Mock() as mock, open_with(mock) as daemon:
        for _ in range(4):
            daemon.chat("bot", "warm the connection")
        before = len(mock.calls)
        answer = daemon.chat("bot", "fault:reset-midway")
        assert answer.status == 502, answer
        assert len(mock.calls) == before + 1, mock.calls[before:]


@test
def an_upstream_that_hangs_is_504_in_time():
    with Mock() as mock, open_with(mock, SHORT) as daemon:
        for fault in ("stall", "stall-midway", "trickle 100"):
            answer = daemon.chat("bot", "fault:" + fault)
            assert answer.status == 504, (fault, answer)
            assert answer.code == "timeout", (fault, answer)
            assert answer.headers["x-should-retry"] == "false", answer
        wait_for(lambda: all(c.finished or c.cancelled for c in mock.calls),
                 what="the upstream was told")


@test
def nobody_there_is_502():
    text = config(agents=[
        agent("none", 'plugin = "openai"; model = "m"; api_key = "x";'
              ' base_url = "http://127.0.0.1:1/v1";'),
        agent("noname", 'plugin = "openai"; model = "m"; api_key = "x";'
              ' base_url = "http://no-such-host.invalid/v1";')])
    with Daemon(text) as daemon:
        for name in ("none", "noname"):
            answer = daemon.chat(name, "x", timeout=40)
            assert answer.status in (502, 504), answer
            assert answer.code in ("backend_error", "timeout"), answer


@test
def a_stream_that_breaks_midway_is_an_error_and_never_a_success():
    # It stalls when it has said all that it is to say.
    stall = "timeouts: { stall_ms = 2000; };"
    with Mock() as mock, open_with(mock, stall) as daemon:
        for fault in ("reset-midway 3", "cut 3", "stall-midway 3",
                      "error-event 3"):
            mock.behaviour, mock.answer = fault, "a b c d e f g"
            with daemon.chat_stream("bot", "x") as stream:
                assert stream.status == 200, fault
                events = stream.read()
            assert deltas(events) == "a b c ", (fault, events)
            (error,) = errors(events)
            assert error["message"] and error["code"], (fault, error)
            assert not any(e.text == "[DONE]" for e in events), (
                fault, events)
        for fault in ("garbage-sse", "wrong-json", "garbage-json"):
            mock.behaviour = fault
            with daemon.chat_stream("bot", "x") as stream:
                if stream.status == 200:
                    events = stream.read()
                    assert errors(events), (fault, events)
                    assert not any(e.text == "[DONE]" for e in events)
                else:
                    assert stream.status == 502, (fault, stream.status)


@test
def a_slow_but_steady_stream_is_no_stall():
    with Mock() as mock, open_with(
            mock, "timeouts: { first_token_ms = 30000; stall_ms = 3000;"
            " total_ms = 30000; };") as daemon:
        mock.slow_ms = 450
        # In all it takes longer than a stall.
        with daemon.chat_stream("bot", "a b c d e f g h") as stream:
            events = stream.read()
        assert events[-1].text == "[DONE]" and not errors(events)


@test
def an_answer_without_end_is_cut_at_a_bound():
    with Mock() as mock, open_with(mock, "timeouts: { total_ms = 20000;"
                                   " };") as daemon:
        before = resident_kib(daemon.pid)
        answer = daemon.chat("bot", "fault:endless-body", timeout=60)
        assert answer.status in (502, 504), answer
        mock.behaviour = "endless-body"
        with daemon.chat_stream("bot", "x", timeout=60) as stream:
            if stream.status == 200:
                assert errors(stream.read())
            else:
                assert stream.status in (502, 504)
        grown = resident_kib(daemon.pid) - before
        assert grown < 200 * 1024 * MEMORY_FACTOR, "%d KiB" % grown
        mock.behaviour = None
        assert daemon.chat("bot", "x").status == 200


@test
def a_client_that_leaves_is_felt_upstream():
    with Mock() as mock, open_with(mock) as daemon:
        mock.slow_ms = 200
        with daemon.chat_stream("bot", "word " * 200) as stream:
            next(iter(stream))
        wait_for(lambda: mock.calls[0].cancelled, deadline=30,
                 what="the stream upstream is closed")
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "bot", "messages": [
                {"role": "user", "content": "fault:stall"}]}))
        wait_for(lambda: len(mock.calls) == 2, what="the call is upstream")
        wire.close()
        wait_for(lambda: mock.calls[1].cancelled, deadline=30,
                 what="the call upstream is closed")
        daemon.wait_idle()


@test
def a_slow_client_slows_the_upstream_and_fills_no_memory():
    with Mock() as mock, open_with(mock) as daemon:
        before = resident_kib(daemon.pid)
        mock.behaviour = "endless"
        wires = [daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "bot", "stream": True, "messages": [
                {"role": "user", "content": "x"}]})) for _ in range(4)]
        for wire in wires:
            assert wire.head()[0] == 200

        def settled():
            sent = mock.sent
            time.sleep(0.5)
            return mock.sent == sent
        wait_for(settled, deadline=60, what="the upstream is held back")
        grown = resident_kib(daemon.pid) - before
        assert grown < 32 * 1024 * MEMORY_FACTOR, "%d KiB" % grown
        for wire in wires:
            wire.reset()
        wait_for(lambda: mock.cancelled == 4, what="all four are cancelled")


class Streams:
    """Many streaming clients on one thread; each leaves after its first
    content."""

    def __init__(self, daemon, body):
        self.request = daemon.post_bytes("/v1/chat/completions", body)
        self.address = ("127.0.0.1", daemon.port)
        self.selector = selectors.DefaultSelector()
        self.statuses = {}

    def open(self):
        sock = socket.create_connection(self.address, seconds(20))
        sock.sendall(self.request)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, bytearray())

    def leave_midway(self, count, at_once, deadline):
        left, opened = count, 0
        end = time.monotonic() + seconds(deadline)
        while left:
            while opened < count and opened - (count - left) < at_once:
                self.open()
                opened += 1
            assert time.monotonic() < end, "%d clients still wait" % left
            for key, _ in self.selector.select(1):
                sock, seen = key.fileobj, key.data
                more = sock.recv(65536)
                seen += more
                refused = seen[9:12] not in (b"", b"2", b"20", b"200")
                if b'"content": "w' in seen or b'"content":"w' in seen \
                        or refused or not more:
                    status = bytes(seen[9:12]).decode()
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    self.selector.unregister(sock)
                    sock.close()
                    left -= 1
        self.selector.close()


@test
def a_thousand_streams_left_midway_leave_nothing_behind():
    instances = "instances: { min = 1; max = 1; concurrency = 400; };" \
        " queue: { depth = 1000; timeout_ms = 60000; };" \
        " timeouts: { connect_ms = 60000; };"
    with Mock() as mock, open_with(mock, instances) as daemon:
        mock.behaviour = "endless"
        body = {"model": "bot", "stream": True, "messages": [
            {"role": "user", "content": "x"}]}
        Streams(daemon, body).leave_midway(100, 50, 60)
        wait_for(lambda: mock.open == 0, what="no call upstream")
        daemon.wait_idle()
        files, memory = open_files(daemon.pid), resident_kib(daemon.pid)
        clients = Streams(daemon, body)
        clients.leave_midway(1000, 100, 150)
        assert clients.statuses == {"200": 1000}, clients.statuses
        wait_for(lambda: mock.cancelled == 1100, deadline=30,
                 what="each upstream call is cancelled")
        daemon.wait_idle()
        listed = daemon.agents()["bot"]
        assert listed["in_flight"] == 0 and listed["queued"] == 0, listed
        wait_for(lambda: open_files(daemon.pid) <= files + 4,
                 what="no descriptor is left over")
        grown = resident_kib(daemon.pid) - memory
        assert grown < 24 * 1024 * MEMORY_FACTOR, "%d KiB grown" % grown
        mock.behaviour = None
        assert daemon.chat("bot", "still here").content == "still here"


@test
def sessions_send_the_earlier_messages_and_the_prompt_once():
    more = 'system_prompt = "sys"; memory: { max_messages = 10; };'
    with Mock() as mock, open_with(mock, more) as daemon:
        session = {"x-atomd-session": "s"}
        daemon.chat("bot", "one", session)
        with daemon.chat_stream("bot", "two", session) as stream:
            stream.read()
        daemon.chat("bot", "three", session)
        sent = [(m["role"], m["content"])
                for m in mock.calls[-1].json["messages"]]
        assert sent == [("system", "sys"), ("user", "one"),
                        ("assistant", "one"), ("user", "two"),
                        ("assistant", "two"), ("user", "three")], sent
        mock.behaviour = "status 500"
        assert daemon.chat("bot", "lost", session).status == 502
        mock.behaviour, mock.answer = "cut 1", "a b c"
        with daemon.chat_stream("bot", "lost too", session) as stream:
            assert errors(stream.read())
        mock.behaviour = mock.answer = None
        daemon.chat("bot", "four", session)
        assert "lost" not in mock.calls[-1].body.decode()
        assert len(mock.calls[-1].json["messages"]) == 8


@test
def connections_to_the_upstream_are_used_again():
    with Mock() as mock, open_with(mock) as daemon:
        for _ in range(30):
            assert daemon.chat("bot", "x").status == 200
        assert mock.connections <= 6, mock.connections


@test
def invoke_works_with_a_model_behind_it():
    with Mock() as mock, open_with(mock) as daemon:
        answer = daemon.invoke("bot", "hello world")
        assert answer.status == 200, answer
        assert answer.json["output"] == "hello world", answer
        answer = daemon.invoke("bot", {"k": 1})
        assert answer.status == 200, answer
        content = mock.calls[-1].json["messages"][-1]["content"]
        assert json.loads(content) == {"k": 1}, content


if __name__ == "__main__":
    run(deadline=240)
