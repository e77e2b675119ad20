"""atomctl's calls of agents, its exit codes, and what it makes of a daemon's bad
days: cut streams, refusals, servers that are none of ours."""

import json
import os
import signal
import subprocess
import threading

import fake_daemon
from atomctl_test import fails, succeeds
from atomd_test import atomctl_path, run, seconds, spoken, test
from fake_daemon import FakeDaemon


@test
def invoke_streams_as_the_answer_comes():
    with FakeDaemon() as fake:
        def slowly(call):
            call.begin()
            call.event({"delta": "first "})
            assert call.gate.wait(seconds(20))
            call.event({"delta": "second"})
            call.event({"output": "first second", "usage": {}})
            call.end()

        fake_daemon.Call.gate = threading.Event()
        fake.routes["POST", "/v1/agents/"] = slowly
        process = subprocess.Popen(
            [atomctl_path(), "invoke", "echo", "hi", "--session", "s1"],
            env=fake.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE)
        try:
            assert process.stdout.read(6) == b"first "
            fake_daemon.Call.gate.set()
            assert process.stdout.read() == b"second\n"
            assert process.wait(seconds(20)) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        assert fake.calls[-1].sent == {"input": "hi", "stream": True,
                                       "session_id": "s1"}


@test
def invoke_takes_its_text_from_stdin():
    text = "a,b\n1,2\nünïcode ☃\n"
    with FakeDaemon() as fake:
        for args in (["invoke", "echo"], ["invoke", "echo", "-"]):
            assert succeeds(fake.atomctl(*args, stdin=text.encode())) == text
            assert fake.calls[-1].sent["input"] == text
        assert succeeds(fake.atomctl("invoke", "echo", "--", "--json")) == \
            "--json\n"
        large = "x" * 3000000
        assert succeeds(fake.atomctl("invoke", "echo", "--json",
                                     stdin=large.encode()))
        assert fake.calls[-1].sent["input"] == large
        calls = len(fake.calls)
        fails(fake.atomctl("invoke", "echo", stdin=b"\xff"), 2, "UTF-8")
        fails(fake.atomctl("invoke", "echo", stdin=b"a\0b"), 2, "NUL")
        fails(fake.atomctl("invoke", "echo", stdin=b"x" * (11 << 20)), 1,
              "10485760")
        assert len(fake.calls) == calls


@test
def an_answer_without_deltas_is_printed_from_its_end():
    with FakeDaemon() as fake:
        def whole(call):
            call.begin()
            call.event({"output": {"rows": 2}, "usage": {}})
            call.end()
        fake.routes["POST", "/v1/agents/"] = whole
        assert json.loads(succeeds(fake.atomctl("invoke", "echo", "x"))) == {
            "rows": 2}


@test
def an_answer_that_breaks_midway_is_no_success():
    def cut(call):
        call.begin()
        call.event({"delta": "half"})
        call.cut()

    def ended(call):
        call.begin()
        call.event({"delta": "half"})
        call.end()

    def error(call):
        call.begin()
        call.event({"delta": "half"})
        call.event({"error": {"message": "the worker was lost",
                              "code": "backend_error"}}, "error")
        call.end()

    def junk(call):
        call.begin()
        call.chunk("data: {half\n\n")
        call.end()

    def plain(call):
        call.json({"delta": "x"})

    with FakeDaemon() as fake:
        for route, words in (
                (cut, ["did not come whole"]), (ended, ["cut off"]),
                (error, ["the worker was lost", "backend_error"]),
                (junk, ["not JSON"]), (plain, ["text/event-stream"])):
            fake.routes["POST", "/v1/agents/"] = route
            done = fake.atomctl("invoke", "echo", "x")
            assert done.returncode == 1, (route, spoken(done))
            for word in words:
                assert word in done.stderr.decode(), spoken(done)
            assert len(fake.calls) == 1, "sent twice"
            fake.calls.clear()


@test
def exit_codes_tell_refusal_from_failure():
    with FakeDaemon() as fake:
        for status, code, exit_code in (
                (401, "invalid_api_key", 4), (403, "permission_denied", 4),
                (404, "agent_not_found", 1), (429, "queue_full", 1),
                (502, "backend_error", 1), (503, "shutting_down", 1),
                (500, "internal", 1)):
            def refuse(call, status=status, code=code):
                call.error(status, code, "because of this")
            fake.routes["POST", "/v1/agents/"] = refuse
            fake.routes["GET", "/admin/v1/status"] = refuse
            for args in (["invoke", "echo", "x"], ["status", "--json"],
                         ["invoke", "echo", "x", "--json"]):
                fails(fake.atomctl(*args), exit_code, "because of this", code)
        said = fails(fake.atomctl("status"), 1)
        assert "HTTP 500" in said, said


@test
def a_server_that_is_not_atomd_is_told_apart():
    with FakeDaemon(unix=False) as fake:
        def page(status):
            return lambda call: call.answer(status, "text/html", b"<html>")
        for status, exit_code in ((200, 1), (404, 1), (502, 3), (503, 3),
                                  (302, 1)):
            fake.routes["GET", "/admin/v1/status"] = page(status)
            fake.routes["GET", "/admin/v1/agents"] = page(status)
            fails(fake.atomctl("status"), exit_code, fake.url)
            fails(fake.atomctl("agents"), exit_code, fake.url)
        fake.routes["GET", "/admin/v1/agents"] = \
            lambda call: call.json({"data": []})
        fails(fake.atomctl("agents"), 1, '"agents"')


@test
def a_full_disk_is_noticed():
    if not os.path.exists("/dev/full"):
        return
    with FakeDaemon() as fake, open("/dev/full", "wb") as full:
        done = subprocess.run([atomctl_path(), "agents"], stdout=full,
                              stderr=subprocess.PIPE, check=False,
                              env=fake.environment(),
                              timeout=seconds(30))
        assert done.returncode == 1 and b"stdout" in done.stderr, done


@test
def followed_logs_end_with_the_interrupt_and_stay_one_document():
    def follow(call):
        call.begin("application/x-ndjson")
        for line in fake_daemon.LOGS:
            call.chunk(json.dumps(line) + "\n")
        call.wait_for_client_to_leave()

    with FakeDaemon() as fake:
        fake.routes["GET", "/admin/v1/logs"] = follow
        for args in ([], ["--json"]):
            process = subprocess.Popen(
                [atomctl_path(), "logs", "-f", *args], env=fake.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            try:
                got = b""
                while b"worker_lost" not in got or got[-1:] not in b"\n}":
                    more = os.read(process.stdout.fileno(), 4096)
                    assert more, got
                    got += more
                process.send_signal(signal.SIGINT)
                got += process.stdout.read()
                assert process.wait(seconds(20)) == 0
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            assert fake.calls[-1].query == {"follow": "1"}
            if args:
                assert json.loads(got) == fake_daemon.LOGS, got


@test
def a_followed_log_that_the_daemon_ends_is_a_failure():
    with FakeDaemon() as fake:
        done = fake.atomctl("logs", "--follow", "--json")
        assert done.returncode == 1, spoken(done)
        assert json.loads(done.stdout) == fake_daemon.LOGS
        assert b"ended" in done.stderr


if __name__ == "__main__":
    run()
