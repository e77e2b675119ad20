#!/usr/bin/env python3
"""The HTTP face: bodies, limits, timeouts, routes, errors.  What is wrong in
a message's bytes is told by tests/conformance/test_http_messages.py."""

import json
import re
import select
import time
from contextlib import ExitStack

from atomd_test import (MEMORY_FACTOR, Closed, Daemon, agent, config,
                        open_files, resident_kib, run, seconds, test, wait_for)

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


def refused(daemon, request, status=400):
    """The daemon answers `status` in its error shape and hangs up."""
    with daemon.wire(request) as wire:
        answer = wire.answer()
        assert answer.status == status, (request[:200], answer)
        error = answer.json["error"]
        assert isinstance(error["message"], str) and error["message"], error
        assert isinstance(error["type"], str) and "param" in error, error
        assert answer.headers.get("connection", "").lower() == "close", (
            request[:200], answer)
        assert answer.headers["x-request-id"], answer
        assert wire.at_end(), "the connection stays open after %r" % (
            request[:200])
        return answer


def head(*lines, start="POST /v1/chat/completions HTTP/1.1",
         host="Host: 127.0.0.1"):
    return "\r\n".join(filter(None, (start, host) + lines)) + "\r\n\r\n"


@test
def a_chunked_body_counts_like_one_with_a_length():
    body = json.dumps(CHAT).encode()
    with Daemon(config()) as daemon:
        request = head("Transfer-Encoding: chunked",
                       "Content-Type: application/json").encode()
        for size in (1, 7, len(body)):
            parts = b"".join(
                b"%x;ext=1\r\n%s\r\n" % (len(body[at:at + size]),
                                         body[at:at + size])
                for at in range(0, len(body), size))
            with daemon.wire(request + parts + b"0\r\nX-T: y\r\n\r\n"
                             + GET) as wire:
                answer = wire.answer()
                assert answer.status == 200, answer
                assert answer.content == "hi"
                assert wire.answer().status == 200


@test
def what_follows_a_request_is_never_taken_for_its_body_nor_hidden_in_it():
    smuggled = b"GET /admin/v1/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with Daemon(config()) as daemon:
        with daemon.wire(
                head("Content-Length: %d" % len(smuggled),
                     start="GET /healthz HTTP/1.1").encode()
                + smuggled + GET) as wire:
            assert wire.answer().status in (200, 400)
            try:
                answer = wire.answer()
                assert answer.status == 200 and b"atm_" not in answer.body
            except Closed:
                pass


@test
def a_connection_is_kept_and_pipelined_answers_come_in_order():
    with Daemon(config()) as daemon:
        with daemon.wire() as wire:
            for _ in range(3):
                wire.send(GET)
                answer = wire.answer()
                assert answer.status == 200
                assert answer.headers.get("connection") != "close"
        requests = b""
        for text in "abcdefgh":
            requests += daemon.post_bytes("/v1/chat/completions", dict(
                CHAT, messages=[{"role": "user", "content": text}]))
        with daemon.wire(requests + GET) as wire:
            for text in "abcdefgh":
                answer = wire.answer()
                assert answer.status == 200 and answer.content == text
            assert wire.answer().status == 200


@test
def connection_close_and_http_1_0_end_the_connection_after_the_answer():
    with Daemon(config()) as daemon:
        with daemon.wire(head("Connection: close",
                              start="GET /healthz HTTP/1.1")) as wire:
            answer = wire.answer()
            assert answer.status == 200
            assert answer.headers["connection"].lower() == "close"
            assert wire.at_end()
        with daemon.wire(b"GET /healthz HTTP/1.0\r\n"
                         b"Host: 127.0.0.1\r\n\r\n") as wire:
            answer = wire.answer()
            assert answer.status in (200, 505), answer
            assert "transfer-encoding" not in answer.headers
            assert wire.at_end()
        refused(daemon, head(start="GET /healthz HTTP/2.0").encode(), 505)


@test
def a_head_answer_has_the_fields_of_get_and_no_body():
    with Daemon(config()) as daemon:
        get = daemon.get("/openapi.json")
        with daemon.wire(head(start="HEAD /openapi.json HTTP/1.1").encode()
                         + GET) as wire:
            answer = wire.answer("HEAD")
            assert answer.status == 200
            assert answer.headers["content-type"] == \
                get.headers["content-type"]
            assert int(answer.headers["content-length"]) == len(get.body)
            assert wire.answer().status == 200


@test
def a_byte_at_a_time_is_a_request_too():
    with Daemon(config()) as daemon:
        with daemon.wire() as wire:
            for byte in daemon.post_bytes("/v1/chat/completions", CHAT):
                wire.send(bytes([byte]))
            assert wire.answer().content == "hi"


@test
def the_methods_a_path_knows_are_told():
    with Daemon(config()) as daemon:
        for method, path, allow in (
                ("GET", "/v1/chat/completions", {"POST"}),
                ("POST", "/healthz", {"GET", "HEAD"}),
                ("PATCH", "/v1/models", {"GET", "HEAD"}),
                ("PUT", "/v1/agents/echo/invoke", {"POST"}),
                ("POST", "/v1/agents/echo/sessions/x",
                 {"GET", "HEAD", "DELETE"})):
            answer = daemon.request(method, path, b"{}")
            assert answer.status == 405, (method, path, answer)
            said = {w.strip() for w in answer.headers["allow"].split(",")}
            assert said - {"OPTIONS"} == allow, (method, path, said)
            assert answer.json["error"]["code"]
        for path in ("/nowhere", "/v1", "/v1/", "/v1/chat", "/v1/jobs/1",
                     "/v1/topics/x", "/v1/models/", "/admin", "//healthz",
                     "/healthz/", "/../healthz", "/%2e%2e/etc/passwd",
                     "/./healthz", "/v1/agents/echo/invoke/more"):
            answer = daemon.request("GET", path)
            assert answer.status in (400, 401, 404, 405), (path, answer)
            assert answer.json["error"]["message"], path
        assert daemon.get("/healthz?x=1&y").status == 200


@test
def every_answer_has_a_request_id_of_its_own():
    with Daemon(config()) as daemon:
        seen = set()
        for answer in (daemon.get("/healthz"), daemon.get("/nowhere"),
                       daemon.get("/v1/chat/completions"),
                       daemon.chat("echo", "x"), daemon.chat("echo", "x"),
                       daemon.chat("nobody", "x"), daemon.get("/metrics")):
            assert re.fullmatch(r"[A-Za-z0-9_.-]{8,128}",
                                answer.headers["x-request-id"]), answer
            seen.add(answer.headers["x-request-id"])
        assert len(seen) == 7
        answer = daemon.chat("echo", "x")
        assert answer.headers["x-atomd-agent"] == "echo"
        assert answer.headers["x-atomd-revision"] == "1"


@test
def what_is_no_chat_is_400_with_the_parameter():
    with Daemon(config()) as daemon:
        for body, part in (
                (b"", None), (b"{", None), (b"[]", None), (b"null", None),
                (b'"x"', None), (b"{}", "model"), (b'{"model":5}', "model"),
                (b'{"model":"echo"}', "messages"),
                (b'{"model":"echo","messages":{}}', "messages"),
                (b'{"model":"echo","messages":[]}', "messages"),
                (b'{"model":"echo","messages":["x"]}', "messages"),
                (b'{"model":"echo","messages":[{"content":"x"}]}', "role"),
                (b'{"model":"echo","messages":[{"role":"user",'
                 b'"content":"x"}],"stream":"yes"}', "stream"),
                (b'{"model":"echo","messages":[{"role":"user",'
                 b'"content":"x"}],"max_tokens":-1}', "max_tokens"),
                (b'{"model":"echo","messages":[{"role":"user",'
                 b'"content":"x"}]} trailing', None),
                (b'{"model":"echo","model":"b","messages":[{"role":"user",'
                 b'"content":"x"}]}', None),
                (b'{"model":"echo\xff","messages":[{"role":"user",'
                 b'"content":"x"}]}', None),
                (b'{"model":"echo","messages":[{"role":"user",'
                 b'"content":"\\ud800"}]}', None),
                (b'{"model":"echo","n":1e999,"messages":[{"role":"user",'
                 b'"content":"x"}]}', None)):
            answer = daemon.post("/v1/chat/completions", body, headers={
                "Content-Type": "application/json"})
            assert answer.status == 400, (body, answer)
            assert answer.code == "invalid_request", (body, answer)
            if part:
                assert part in (answer.json["error"]["param"] or "") or \
                    part in answer.json["error"]["message"], (body, answer)


@test
def json_that_nests_too_deep_is_refused_and_the_daemon_lives_on():
    with Daemon(config()) as daemon:
        for depth, status in ((30, 200), (100, 400), (5000, 400),
                              (500000, 400)):
            body = (b'{"model":"echo","messages":[{"role":"user","content":'
                    b'"x"}],"metadata":' + b"[" * depth + b"]" * depth
                    + b"}")
            answer = daemon.post("/v1/chat/completions", body)
            assert answer.status == status, (depth, answer)
        assert daemon.chat("echo", "x").status == 200


@test
def an_unknown_agent_is_told_before_the_rest_of_the_body_is_judged():
    with Daemon(config()) as daemon:
        answer = daemon.post("/v1/chat/completions", {"model": "nobody"})
        assert answer.status == 404 and answer.code == "agent_not_found"
        answer = daemon.post("/v1/agents/nobody/invoke", {})
        assert answer.status == 404 and answer.code == "agent_not_found"
        answer = daemon.get("/v1/models/nobody")
        assert answer.status == 404 and answer.code == "agent_not_found"


@test
def a_head_that_is_too_large_is_431_and_too_long_a_target_414():
    with Daemon(config()) as daemon:
        refused(daemon, head("X-A: " + "a" * 20000).encode(), 431)
        refused(daemon, head(*["X-%d: a" % n for n in range(150)]).encode(),
                431)
        with daemon.wire(head(start="GET /%s HTTP/1.1" % (
                "a" * 40000)).encode()) as wire:
            answer = wire.answer()
            assert answer.status in (414, 431), answer
            assert wire.at_end()
        with daemon.wire(head(*["X-%d: a" % n for n in range(90)],
                              start="GET /healthz HTTP/1.1")) as wire:
            assert wire.answer().status == 200


@test
def an_endless_head_is_cut_off_while_it_grows():
    with Daemon(config()) as daemon:
        with daemon.wire(b"GET /healthz HTTP/1.1\r\nX-A: ") as wire:
            sent = 0
            try:
                while sent < 100 << 20:
                    wire.send(b"a" * 65536)
                    sent += 65536
            except OSError:
                pass
            assert sent < 50 << 20, "it took %d bytes of head" % sent


@test
def a_body_over_the_limit_is_413_before_it_is_sent():
    with Daemon(config()) as daemon:
        with daemon.wire(head("Content-Length: %d" % (100 << 20),
                              "Expect: 100-continue")) as wire:
            status, headers = wire.head()
            assert status == 413, (status, headers)
        with daemon.wire(head("Content-Length: %d" % (100 << 20))) as wire:
            answer = wire.answer()
            assert answer.status == 413 and answer.code == "too_large"
            assert wire.at_end()
        with daemon.wire(head("Transfer-Encoding: chunked")) as wire:
            sent = 0
            try:
                while sent < 64 << 20:
                    wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    sent += 65536
            except OSError:
                pass
            assert sent < 60 << 20, "it took a body of %d bytes" % sent
        padding = "x" * (8 << 20)
        answer = daemon.chat("echo", "hi", metadata={"pad": padding})
        assert answer.status == 200 and answer.content == "hi"


@test
def expect_100_continue_is_honoured_and_other_expectations_refused():
    body = json.dumps(CHAT).encode()
    with Daemon(config()) as daemon:
        with daemon.wire(head("Content-Length: %d" % len(body),
                              "Content-Type: application/json",
                              "Expect: 100-continue")) as wire:
            status, _ = wire.head()
            assert status == 100, status
            wire.send(body)
            assert wire.answer().content == "hi"
        with daemon.wire(head("Content-Length: 2", "Expect: magic")) as wire:
            assert wire.answer().status == 417


@test
def a_head_that_does_not_come_within_its_time_is_408_or_closed():
    with Daemon(config()) as daemon:
        started = time.monotonic()
        with daemon.wire(b"GET /healthz HTTP/1.1\r\nHost: ",
                         timeout=40) as wire:
            try:
                assert wire.answer().status == 408
            except Closed:
                pass
            took = time.monotonic() - started
        assert took > 5, "%.1f s is too soon" % took


@test
def a_body_that_trickles_is_given_up():
    with Daemon(config()) as daemon:
        started = time.monotonic()
        with daemon.wire(head("Content-Length: 1000000")) as wire:
            try:
                while not select.select([wire.sock], [], [], 0.2)[0]:
                    assert time.monotonic() < started + seconds(100), \
                        "a byte now and then keeps it open"
                    wire.send(b" ")
                assert wire.answer().status in (400, 408)
            except (Closed, OSError):
                pass
        took = time.monotonic() - started
        assert took > 5, "%.1f s is too soon" % took


@test
def idle_and_abandoned_connections_leave_nothing_behind():
    with Daemon(config()) as daemon:
        daemon.get("/healthz")
        before = open_files(daemon.pid)
        wires = [daemon.wire(GET if n % 2 else b"") for n in range(200)]
        for n, wire in enumerate(wires):
            if n % 2:
                wire.answer()
            (wire.reset if n % 3 else wire.close)()
        wait_for(lambda: open_files(daemon.pid) <= before + 2,
                 what="the descriptors are free again")
        assert daemon.get("/healthz").status == 200


@test
def a_client_that_leaves_within_its_request_costs_nothing():
    with Daemon(config()) as daemon:
        before = open_files(daemon.pid)
        whole = daemon.post_bytes("/v1/chat/completions", CHAT)
        for cut in range(1, len(whole), 3):
            daemon.wire(whole[:cut]).close()
        wait_for(lambda: open_files(daemon.pid) <= before + 2,
                 what="the descriptors are free again")
        daemon.wait_idle()
        assert daemon.chat("echo", "x").status == 200


@test
def a_foreign_origin_or_host_is_refused_without_a_key():
    body = json.dumps(CHAT)
    with Daemon(config()) as daemon:
        own = "127.0.0.1:%d" % daemon.port

        def post(**headers):
            fields = {"Host": own, "Content-Type": "application/json"}
            fields.update(headers)
            return daemon.post("/v1/chat/completions", body, headers=fields)
        assert post().status == 200
        assert post(Origin="http://" + own).status == 200
        assert post(Host="localhost:%d" % daemon.port).status == 200
        for headers in ({"Origin": "https://evil.example"},
                        {"Origin": "null"},
                        {"Origin": "http://127.0.0.1.evil.example"},
                        {"Host": "evil.example"},
                        {"Host": "evil.example:%d" % daemon.port},
                        {"Host": "127.0.0.1.evil.example"}):
            answer = post(**headers)
            assert answer.status == 403, (headers, answer)
            assert answer.code == "permission_denied", answer
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "caller"}).json["key"]
        answer = daemon.post(
            "/v1/chat/completions", body, key=key,
            headers={"Host": own, "Origin": "https://evil.example"})
        assert answer.status == 200, answer


@test
def the_public_routes_answer_anyone():
    with Daemon(config(security="")) as daemon:
        for path, kind in (("/healthz", None), ("/readyz", None),
                           ("/openapi.json", "application/json"),
                           ("/docs", "text/html")):
            answer = daemon.get(path)
            assert answer.status == 200, (path, answer)
            if kind:
                assert answer.headers["content-type"].startswith(kind), path
        api = daemon.get("/openapi.json").json
        assert api["openapi"].startswith("3."), api["openapi"]
        for path in ("/v1/chat/completions", "/v1/models",
                     "/admin/v1/status"):
            assert path in api["paths"], path
        for path in ("/v1/models", "/admin/v1/status", "/metrics",
                     "/admin/v1/agents", "/nowhere"):
            assert daemon.get(path).status in (401, 404), path
        assert daemon.chat("echo", "x").status == 401


@test
def a_slow_reader_is_not_a_reason_to_buffer_without_end():
    big = agent("echo", 'plugin = "echo"; repeat = 16;')
    with Daemon(config(agents=big)) as daemon:
        text = "word " * 100000
        request = daemon.post_bytes("/v1/chat/completions", {
            "model": "echo", "stream": True, "max_tokens": 1000000,
            "messages": [{"role": "user", "content": text}]})
        before = resident_kib(daemon.pid)
        wires = [daemon.wire(request) for _ in range(8)]
        for wire in wires:
            assert wire.head()[0] == 200
        daemon.get("/healthz")
        grown = resident_kib(daemon.pid) - before
        # A sanitizer keeps freed memory and pads what lives.
        assert grown < 8 * 16 * 1024 * MEMORY_FACTOR, (
            "%d KiB for 8 readers" % grown)
        for wire in wires:
            wire.reset()
        daemon.wait_idle()


@test
def an_open_stream_does_not_hold_what_its_client_said():
    long = {"X-Long-%d" % n: "x" * 3500 for n in range(4)}
    slow = agent("slow", 'plugin = "echo"; chunk_delay_ms = "1h";',
                 "instances: { min = 1; max = 1; concurrency = 1000; };")
    with Daemon(config(slow)) as daemon, ExitStack() as streams:
        streams.enter_context(daemon.chat_stream("slow", "a b", long))
        before = resident_kib(daemon.pid)
        for _ in range(300):
            streams.enter_context(daemon.chat_stream("slow", "a b", long))
        each = (resident_kib(daemon.pid) - before) / 300
        # The head alone is 14 KiB; a sanitizer keeps freed memory.
        assert each < 12 * MEMORY_FACTOR ** 2, "%.1f KiB a stream" % each


@test
def the_metrics_count_requests_and_have_types():
    with Daemon(config()) as daemon:
        for _ in range(3):
            daemon.chat("echo", "one two three")
        daemon.chat("a-stranger", "x")
        metrics = wait_for(
            lambda: (lambda m: m if m.sum(
                "atomd_requests_total", agent="echo", code="200") == 3
                else None)(daemon.metrics()), what="three calls counted")
        assert metrics.types["atomd_requests_total"] == "counter"
        assert metrics.types["atomd_request_duration_seconds"] == "histogram"
        assert metrics.sum("atomd_request_duration_seconds_count",
                           agent="echo") == 3
        assert metrics.sum("atomd_build_info") == 1
        assert metrics.sum("atomd_instances", agent="echo",
                           state="ready") == 1
        assert metrics.sum("atomd_tokens_total", agent="echo") == 18
        for name in ("process_resident_memory_bytes", "process_open_fds",
                     "process_start_time_seconds",
                     "process_cpu_seconds_total"):
            assert metrics.has(name), name
        assert "a-stranger" not in metrics.text, "a stranger chose a label"


@test
def many_connections_at_once_are_served():
    with Daemon(config()) as daemon:
        wires = [daemon.wire(daemon.post_bytes("/v1/chat/completions", CHAT))
                 for _ in range(300)]
        for wire in wires:
            assert wire.answer().content == "hi"
            wire.close()


if __name__ == "__main__":
    run()
