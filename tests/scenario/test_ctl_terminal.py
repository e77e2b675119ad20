"""atomctl at a terminal: colours, chat, top, progress; and without one."""

import re
import termios
import threading

import fake_daemon
from atomctl_test import Terminal, columns, fails, succeeds
from atomd_test import run, seconds, test
from fake_daemon import FakeDaemon


@test
def colours_only_on_a_terminal_and_without_no_color():
    with FakeDaemon() as fake:
        with Terminal(fake, "status") as terminal:
            assert terminal.wait_end() == 0
            assert b"\033[32moperational\033[0m" in terminal.screen
        with Terminal(fake, "status", env={"NO_COLOR": "1"}) as terminal:
            assert terminal.wait_end() == 0
            assert b"operational" in terminal.screen
            assert b"\033" not in terminal.screen


@test
def no_answer_can_drive_the_terminal():
    evil = "a\033]0;owned\007b\u009b2Jc\rd\x7fe\tf"
    with FakeDaemon() as fake:
        with Terminal(fake, "invoke", "echo", evil,
                      env={"NO_COLOR": "1"}) as terminal:
            assert terminal.wait_end() == 0
            assert b"a]0;ownedb2Jcde" in terminal.screen, terminal.screen
            assert b"\033" not in terminal.screen
        # A pipe gets every byte.
        assert fake.atomctl("invoke", "echo", evil).stdout.decode() == \
            evil + "\n"
        fake.routes["GET", "/admin/v1/agents"] = lambda call: call.json(
            {"agents": [fake_daemon.agent("x\033[2J\ny")]})
        text = succeeds(fake.atomctl("agents"))
        assert "\033" not in text and text.count("\n") == 2, text
        fake.routes["GET", "/admin/v1/status"] = \
            lambda call: call.error(500, "x", "bad \033[2J thing")
        with Terminal(fake, "status") as terminal:
            assert terminal.wait_end() == 1
            assert b"\033" not in terminal.screen, terminal.screen


@test
def no_word_outside_a_table_drives_the_terminal_either():
    evil = "x\033[2J\u009b2Jy"
    report = {"overall_compliance": True, "compliance_level": evil,
              "environment": evil, "summary": {}, "checks": [
                  {"id": evil, "title": evil, "status": "fail",
                   "severity": evil, "expected": evil, "actual": evil,
                   "evidence": [evil]}]}
    answers = {
        ("compliance",): ("GET", "/admin/v1/compliance", report),
        ("audit", "tail"): ("GET", "/admin/v1/audit", {
            "records": [{"sequence": 1, "severity": "\033[2J"}], "last": 1}),
        ("keyring", "status"): ("GET", "/admin/v1/keyring", {
            "id": evil, "key_id": evil, "key_source": evil, "versions": [],
            "rewrap": {"state": evil, "message": evil}}),
        ("keys", "create", "--role", "caller"): (
            "POST", "/admin/v1/keys", {"key": evil, "id": evil, "role": evil,
                                       "expires": evil,
                                       "old_secret_ends": evil}),
        ("agents", "--sizing"): ("GET", "/admin/v1/agents/", {
            "name": evil, "sizing": []}),
        ("revisions", "echo", "--diff", "1"): (
            "GET", "/admin/v1/agents/echo/revisions", {
                "revisions": [{"difference": [{"key": evil}]}]}),
        ("alerts", "silence", "end", "x"): (
            "DELETE", "/admin/v1/alerts/silences/x", {"id": evil})}
    with FakeDaemon() as fake:
        for words, (method, path, answer) in answers.items():
            fake.routes[method, path] = \
                lambda call, answer=answer: call.json(answer)
            with Terminal(fake, *words, env={"NO_COLOR": "1"}) as terminal:
                assert terminal.wait_end() == 0, (words, terminal.screen)
                assert b"\033[2J" not in terminal.screen, (
                    words, terminal.screen)
                assert b"\xc2\x9b" not in terminal.screen, words
        fake.routes["GET", "/admin/v1/logs"] = lambda call: call.answer(
            200, "application/x-ndjson", b'{"level": "\\u001b[2J"}\n')
        with Terminal(fake, "logs", env={"NO_COLOR": "1"}) as terminal:
            assert terminal.wait_end() == 0
            assert b"\033" not in terminal.screen, terminal.screen


@test
def a_member_that_is_missing_ends_no_command():
    with FakeDaemon() as fake:
        fake.routes["GET", "/admin/v1/alerts"] = lambda call: call.json([{}])
        assert "NAME" in succeeds(fake.atomctl("alerts"))
        fake.routes["GET", "/admin/v1/alerts/silences"] = \
            lambda call: call.json([{}])
        assert "ID" in succeeds(fake.atomctl("alerts", "silence", "list"))
        for sink in ({}, {"name": "file"}):
            fake.routes["GET", "/admin/v1/status"] = \
                lambda call, sink=sink: call.json({"audit": {"sinks": [sink]}})
            fails(fake.atomctl("audit", "verify"), 1, "keeps no audit log")


@test
def a_follower_of_the_audit_log_says_what_it_could_not_show():
    def records(call):
        after = call.query.get("after")
        first = 1 if after is None else 5002 if after == "1" else 20000
        last = 1 if after is None else 15001
        call.json({"records": [{"sequence": n}
                               for n in range(first, last + 1)],
                   "last": last})

    with FakeDaemon() as fake:
        fake.routes["GET", "/admin/v1/audit"] = records
        with Terminal(fake, "audit", "tail", "-f",
                      env={"NO_COLOR": "1"}) as terminal:
            terminal.wait_text("those between 1 and 5002 are left out")
            terminal.wait_text("15001 ")
            terminal.type("\x03")
            assert terminal.wait_end() == 0


@test
def chat_keeps_a_session_and_survives_errors():
    with FakeDaemon() as fake:
        with Terminal(fake, "chat", "echo",
                      env={"NO_COLOR": "1"}) as terminal:
            terminal.wait_text("you> ")
            terminal.type("hello there\n")
            terminal.wait_text("hello there\r\n")   # typed
            terminal.wait_text("hello there\r\n")   # answered
            terminal.wait_text("you> ")
            terminal.type("again\n")
            terminal.wait_text("you> ")
            terminal.type("/qiut\n")
            terminal.wait_text("did you mean /quit?")
            fake.routes["POST", "/v1/agents/"] = \
                lambda call: call.error(429, "queue_full", "too many wait")
            terminal.wait_text("you> ")
            terminal.type("third\n")
            terminal.wait_text("too many wait")
            terminal.wait_text("you> ")
            terminal.type("/quit\n")
            assert terminal.wait_end() == 0
        sessions = [call.sent["session_id"] for call in fake.calls]
        assert len(sessions) == 3 and len(set(sessions)) == 1, sessions
        assert re.fullmatch(r"chat-[0-9a-f]{16}", sessions[0]), sessions


@test
def chat_takes_an_answer_back_on_interrupt():
    with FakeDaemon() as fake:
        left = []

        def endless(call):
            call.begin()
            call.event({"delta": "thinking"})
            left.append(call.wait_for_client_to_leave())

        fake.routes["POST", "/v1/agents/"] = endless
        with Terminal(fake, "chat", "echo", "--session", "mine",
                      env={"NO_COLOR": "1"}) as terminal:
            terminal.wait_text("you> ")
            terminal.type("hm\n")
            terminal.wait_text("thinking")
            terminal.type("\x03")
            terminal.wait_text("(cancelled)")
            terminal.wait_text("you> ")
            assert fake.calls[0].closed.wait(seconds(20)) and left == [True]
            terminal.type("half a line\x03")
            terminal.wait_text("/quit ends")
            terminal.wait_text("you> ")
            fake.routes["POST", "/v1/agents/"] = fake_daemon.answer_invoke
            terminal.type("well\n")
            terminal.wait_text("you> ")
            terminal.type("\x04")
            assert terminal.wait_end() == 0
        assert [call.sent["input"] for call in fake.calls] == ["hm", "well"]
        assert fake.calls[1].sent["session_id"] == "mine"


@test
def chat_reads_a_script_from_a_pipe():
    with FakeDaemon() as fake:
        text = succeeds(fake.atomctl("chat", "echo",
                                     stdin=b"one\n\n//two\nthree"))
        assert text == "one\n/two\nthree\n", text
        done = fake.atomctl("chat", "nobody", stdin=b"one\ntwo\n")
        fails(done, 1, "no agent is named nobody")
        assert len(fake.calls) == 4


@test
def top_is_one_snapshot_without_a_terminal():
    with FakeDaemon() as fake:
        counter = iter(range(100, 100000, 50))

        def moving(call):
            call.json({"agents": [
                fake_daemon.agent("idle"),
                fake_daemon.agent("busy", calls_total=next(counter))]})
        fake.routes["GET", "/admin/v1/agents"] = moving
        text = succeeds(fake.atomctl("top"))
        rows = columns(text, "AGENT")
        assert [row[0] for row in rows] == ["busy", "idle"], text
        # 50 calls in a second and a little.
        assert 5 < float(rows[0][1]) <= 50.5 and rows[1][1] == "0.0", text
        assert "8 in flight, 10 queued, 2 of 100 instances" in text, text
        assert "\033" not in text


@test
def top_refreshes_until_q_and_puts_the_terminal_back():
    with FakeDaemon() as fake:
        for key in ("q", "\x03"):
            with Terminal(fake, "top") as terminal:
                for _ in range(2):
                    terminal.wait_text("profiler")
                terminal.type(key)
                assert terminal.wait_end() == 0
                assert b"\033[?1049l" in terminal.screen
                now = termios.tcgetattr(terminal.master)
                assert now[3] == terminal.before[3]


@test
def top_says_why_when_the_daemon_goes():
    with FakeDaemon() as fake:
        with Terminal(fake, "top") as terminal:
            terminal.wait_text("profiler")
            fake.routes["GET", "/admin/v1/agents"] = \
                lambda call: call.error(503, "shutting_down", "it stops")
            assert terminal.wait_end() == 1
            screen = terminal.screen
            assert screen.index(b"\033[?1049l") < screen.index(b"it stops")


@test
def long_work_shows_a_progress_line_on_a_terminal_only():
    gate = threading.Event()

    def late(call):
        assert gate.wait(seconds(20))
        call.json({"changed": [], "added": [], "removed": [], "unchanged": 1})

    with FakeDaemon() as fake:
        fake.routes["POST", "/admin/v1/reload"] = late
        with Terminal(fake, "reload") as terminal:
            terminal.wait_text("reloading (")
            gate.set()
            assert terminal.wait_end() == 0
            assert b"\r\033[K" in terminal.screen
        assert fake.atomctl("reload").stderr == b""


if __name__ == "__main__":
    run()
