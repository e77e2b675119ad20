#!/usr/bin/env python3
"""The examples of docs/workers, the two runners and the profiler: alone over
a socket pair, and behind the daemon."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time

from atomd_test import (Daemon, Folder, Skip, config, deltas, process_agent,
                        run, seconds, source, test, wait_for)

RUNNER = source("etc", "workers", "atomd-worker.py")
NODE_RUNNER = source("etc", "workers", "atomd-worker.mjs")
PROFILER = source("etc", "workers", "profiler.py")
AGENTS = source("tests", "scenario", "fixtures", "agents.py")
NODE_AGENTS = source("tests", "scenario", "fixtures", "agents.mjs")
TEXTS = ["hello big world", 'q"uo\\te\n "id":"x" é 日本 🦀 "input":"y"', "",
         "\t tab and \\u0041 \\n", "x" * 100000]

# dup2 onto descriptor 3 without a shell's limits on numbers.
ENTER = ("import os, sys; os.dup2(int(sys.argv[1]), 3);"
         " os.execvp(sys.argv[2], sys.argv[2:])")


def node():
    found = os.environ.get("NODE") or shutil.which("node") or \
        shutil.which("nodejs")
    if not found:
        raise Skip("node is missing")
    return found


def examples():
    shown = [[sys.executable, source("docs", "workers", "echo.py")],
             ["sh", source("docs", "workers", "echo.sh")]]
    try:
        shown.append([node(), source("docs", "workers", "echo.mjs")])
    except Skip:
        if os.environ.get("CI") == "true":
            raise
    return shown


class Worker:
    """A worker process as the daemon would start it."""

    def __init__(self, command):
        ours, theirs = socket.socketpair()
        ours.settimeout(seconds(20))
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG")
               if name in os.environ}
        env.update(ATOM_WORKER_FD="3", ATOM_WORKER_PROTOCOL="1",
                   ATOM_INSTANCE="i1")
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENTER, str(theirs.fileno()), *command],
            pass_fds=(theirs.fileno(),), env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        theirs.close()
        self.socket, self.file = ours, ours.makefile("rb")
        self.ready = self.read()
        assert self.ready["op"] == "ready", self.ready
        assert self.ready["protocol"] == 1, self.ready

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.socket.close()
        self.file.close()
        try:
            said = self.process.communicate(timeout=seconds(20))[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("it outlives its socket") from None
        if kind:
            for line in said.decode(errors="replace").split("\n"):
                print("# worker: " + line)
        else:
            assert self.process.returncode == 0, (
                self.process.returncode, said)

    def send(self, **message):
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self):
        line = self.file.readline()
        assert line.endswith(b"\n"), "end of file within %r" % line[-200:]
        return json.loads(line.decode("utf-8", "strict"))

    def begin(self, value, number="r1", stream=False, **more):
        self.send(op="call", id=number, agent="a", input=value, attempt=1,
                  messages=[{"role": "user", "content": value}],
                  stream=stream, deadline_ms=60000, **more)

    def until_end(self):
        """(chunks' data, events, the end) of the one call under way."""
        chunks, events = [], []
        while True:
            message = self.read()
            if message["op"] == "chunk":
                chunks.append(message["data"])
            elif message["op"] == "event":
                events.append(message)
            elif message["op"] != "pong":
                return chunks, events, message

    def call(self, value, **more):
        self.begin(value, **more)
        return self.until_end()[2]

    def output(self, value, **more):
        end = self.call(value, **more)
        assert end["op"] == "result", end
        return end["output"]

    def stream(self, value, **more):
        self.begin(value, stream=True, **more)
        return self.until_end()


def python(name, *more):
    return Worker([sys.executable, RUNNER, "%s:%s" % (AGENTS, name), *more])


def javascript(name=""):
    return Worker([node(), NODE_RUNNER, NODE_AGENTS + (
        ":" + name if name else "")])


def both(name):
    """The worker of an agent that both languages have."""
    yield python(name)
    yield javascript(name)


@test
def the_examples_are_about_twenty_lines_and_say_back_what_they_are_told():
    for command in examples():
        with open(command[1], encoding="utf-8") as text:
            assert len(text.readlines()) <= 25, command[1]
        with Worker(command) as worker:
            for text in TEXTS:
                assert worker.output(text) == text, (command, text[:50])
                chunks, _, end = worker.stream(text)
                assert end["output"] == text, (command, end)
                if chunks:
                    assert "".join(chunks) == text, (command, chunks[:5])
            worker.send(op="ping", n=1)
            worker.send(op="unheard-of", strange=[1])
            worker.send(op="drain")
            end = worker.call({"a": 1}, number="r9")
            assert end["id"] == "r9" and (
                end.get("output") == {"a": 1}
                or end.get("code") == "invalid_input"), end


@test
def the_examples_serve_behind_the_daemon():
    agents = [process_agent("a%d" % n, command, more="instances: { min = 1;"
                            " max = 1; concurrency = 4; };")
              for n, command in enumerate(examples())]
    with Daemon(config(agents=agents)) as daemon:
        for n in range(len(agents)):
            for text in TEXTS[:2]:
                answer = daemon.chat("a%d" % n, text)
                assert answer.content == text, answer
                with daemon.chat_stream("a%d" % n, text) as stream:
                    assert deltas(stream.read()) == text, n


@test
def a_plain_function_is_served():
    with python("upper") as worker:
        assert worker.output("abc") == "ABC"
        assert worker.ready["concurrency"] == 1
    with javascript() as worker:
        assert worker.output("abc") == "ABC"


@test
def generators_stream_and_their_text_is_the_answer():
    for name in ("words", "flow"):
        for opened in both(name):
            with opened as worker:
                assert worker.output("a b c") == "a b c ", name
                chunks, events, end = worker.stream("a b c")
                assert chunks == ["a ", "b ", "c "], (name, chunks)
                assert end["output"] == "a b c ", end
                if name == "flow":
                    assert events[0]["type"] == "start", events
                    assert events[0]["data"] == {"words": 3}, events
                    assert end["usage"] == {"input_tokens": 3,
                                            "output_tokens": 4}, end
    with python("returned") as worker:
        assert worker.stream("x")[2]["output"] == {"final": True}


@test
def async_functions_share_one_process():
    for opened in both("nap"):
        with opened as worker:
            assert worker.ready["concurrency"] > 8
            worker.begin("600", number="long")
            for n in range(8):
                worker.begin("0.1", number="r%d" % n)
            ends = [worker.until_end()[2] for _ in range(8)]
            assert {e["output"] for e in ends} == {"napped"}, ends
            assert {e["id"] for e in ends} == {
                "r%d" % n for n in range(8)}, ends
            worker.send(op="cancel", id="long", reason="admin")
            assert worker.until_end()[2]["code"] == "cancelled"
    for opened in both("later"):
        with opened as worker:
            assert worker.output("x") == {"upper": "X"}


@test
def what_is_raised_becomes_an_error_with_its_code():
    for opened in both("broken"):
        with opened as worker:
            end = worker.call("x")
            assert end["op"] == "error" and end["code"] == "internal", end
            assert "it broke" in end["message"], end
    for opened in both("broken_midway"):
        with opened as worker:
            chunks, _, end = worker.stream("x")
            assert chunks == ["one "] and end["op"] == "error", end
            assert worker.call("x")["op"] == "error"
    for opened in both("limited"):
        with opened as worker:
            end = worker.call("x")
            assert end["code"] == "rate_limited" and end["retryable"], end
            assert end["retry_after_ms"] == 1500, end


@test
def what_no_line_can_hold_is_an_error_and_the_worker_lives_on():
    with python("not_json") as worker:
        assert worker.call("x")["code"] == "internal"
    for opened in both("too_long"):
        with opened as worker:
            end = worker.call("x")
            assert end["code"] == "internal" and "line" in end["message"]
            worker.send(op="ping", n=3)
            assert worker.read() == {"op": "pong", "n": 3}
    for opened in both("half_a_character"):
        with opened as worker:
            assert worker.output("x").endswith("x")
    with javascript("crabs") as worker:
        chunks, _, end = worker.stream("x")
        assert "".join(chunks) == end["output"] == "x" + "🦀" * 70000
        assert len(chunks) > 1


@test
def a_cancelled_call_ends_at_once_where_it_can():
    for opened, begun in zip((*both("nap"), *both("nap")),
                             (True, True, False, False)):
        with opened as worker:
            worker.begin("600", number="a")
            if begun:
                time.sleep(0.2)
            worker.send(op="cancel", id="a", reason="client_gone")
            end = worker.until_end()[2]
            assert end["id"] == "a" and end["code"] == "cancelled", end
            assert worker.output("0.01", number="b") == "napped"
            worker.send(op="cancel", id="nobody", reason="admin")
    for opened in both("endless"):
        with opened as worker:
            worker.begin("x", number="a", stream=True)
            assert worker.read()["op"] == "chunk"
            worker.send(op="cancel", id="a", reason="deadline")
            end = worker.until_end()[2]
            assert end["code"] == "cancelled", end


@test
def a_thread_that_cannot_be_stopped_keeps_its_call_open():
    with Folder() as folder, python("hold") as worker:
        held = folder.write("held", "")
        worker.begin(held, number="a")
        # The runner says nothing when a function begins.
        wait_for(lambda: os.path.exists(held + ".began"), what="its begin")
        worker.send(op="cancel", id="a", reason="deadline")
        worker.begin(folder.at("nothing"), number="b")
        assert not select.select([worker.socket], [], [], 0.4)[0]
        os.unlink(held)
        first = worker.until_end()[2]
        assert (first["id"], first["code"]) == ("a", "cancelled"), first
        assert worker.until_end()[2]["output"] == "let go"


@test
def credit_holds_a_stream_back():
    for opened in both("endless"):
        with opened as worker:
            assert "credit" in worker.ready["caps"]
            worker.send(op="call", id="a", agent="a", input="x",
                        messages=[], stream=True)
            worker.send(op="credit", id="a", n=5)
            worker.socket.settimeout(0.5)
            got = 0
            try:
                while got < 1000000:
                    got += len(worker.socket.recv(1 << 20))
            except TimeoutError:
                pass
            assert got < 1000000, "credit holds nobody back"
            worker.socket.settimeout(seconds(20))
            worker.send(op="cancel", id="a", reason="client_gone")
            worker.file = worker.socket.makefile("rb")
            assert worker.until_end()[2]["code"] == "cancelled"


@test
def state_goes_with_the_session():
    for opened in both("count"):
        with opened as worker:
            end = worker.call("x", session={"id": "s"})
            assert end["output"] == "call 1" and end["state"] == {"n": 1}
            end = worker.call("x", session={"id": "s",
                                            "state": end["state"]})
            assert end["output"] == "call 2", end


@test
def drain_lets_a_running_call_end():
    for opened in both("nap"):
        with opened as worker:
            worker.begin("0.5")
            worker.send(op="drain")
            worker.socket.shutdown(socket.SHUT_WR)
            assert worker.until_end()[2]["output"] == "napped"
            assert worker.file.readline() == b""


@test
def an_agent_of_atomic_agents_shape_is_served_with_its_types():
    for name in ("agent", "make_agent", "AtomicAgent"):
        with python(name) as worker:
            (told,) = worker.ready["agents"].values()
            assert told["input_schema"]["title"] == "Input", told
            assert told["output_schema"]["title"] == "Output", told
            assert worker.output("hello") == "1: hello"
            # Nothing of one call is left for the next.
            assert worker.output({"chat_message": "hi"}) == "1: hi"
            chunks, _, end = worker.stream("hello there")
            assert "".join(chunks) == "1: hello there", chunks
            assert len(chunks) > 5 and end["output"] == "1: hello there"
            end = worker.call({"wrong": 1})
            assert end["code"] == "invalid_input", end
            assert "chat_message" in end["message"], end
            end = worker.call("one", session={"id": "s"})
            state = end["state"]
            end = worker.call("two", session={"id": "s", "state": state})
            assert end["output"] == "3: two", end
            worker.send(op="call", id="m", input="three", stream=False,
                        messages=[{"role": "user", "content": "one"},
                                  {"role": "assistant", "content": "1"},
                                  {"role": "user", "content": "three"}])
            assert worker.until_end()[2]["output"] == "3: three"


@test
def types_of_the_standard_library_are_types_too():
    with python("TypedAgent") as worker:
        assert worker.output("hi") == "hi"
        assert worker.output({"text": "ab", "times": 2}) == "abab"
        chunks, _, end = worker.stream("hello there")
        assert "".join(chunks) == "hello there", chunks
        assert len(chunks) > 5 and end["output"] == "hello there"
        end = worker.call({"times": 1})
        assert end["code"] == "invalid_input", end
        assert "text" in end["message"], end
    for name in ("AnnotatedAgent", "typed"):
        with python(name) as worker:
            assert worker.output("hello") == {"text": "hello", "letters": 5}
            assert worker.call([1])["code"] == "invalid_input", name


@test
def a_javascript_function_knows_its_call():
    with javascript("knows") as worker:
        assert worker.output("x")["stream"] is False
        assert worker.stream("x")[2]["output"] == {
            "stream": True, "cancelled": False, "attempt": 1,
            "messages": 1}


@test
def the_runners_serve_behind_the_daemon():
    memory = "memory: { max_messages = 10; };"
    agents = [process_agent(name, [sys.executable, RUNNER,
                                   "%s:%s" % (AGENTS, name)], more=memory)
              for name in ("upper", "flow", "agent", "count")]
    agents.append(process_agent("js", [node(), NODE_RUNNER,
                                       NODE_AGENTS + ":flow"]))
    with Daemon(config(agents=agents)) as daemon:
        assert daemon.chat("upper", "abc").content == "ABC"
        for name in ("flow", "js"):
            with daemon.chat_stream(name, "a b c") as stream:
                assert deltas(stream.read()) == "a b c ", name
            usage = daemon.chat(name, "a b c").json["usage"]
            assert usage["total_tokens"] == 7, usage
        session = {"x-atomd-session": "s"}
        assert daemon.chat("count", "x", session).content == "call 1"
        assert daemon.chat("count", "x", session).content == "call 2"
        assert daemon.chat("agent", "one", session).content == "1: one"
        assert daemon.chat("agent", "two", session).content == "3: two"
        assert daemon.chat("agent", "solo").content == "1: solo"


@test
def a_wrong_module_is_told_and_ends_the_runner():
    for command in ([sys.executable, RUNNER, "no_such_module:x"],
                    [sys.executable, RUNNER, AGENTS + ":no_such_name"],
                    [sys.executable, RUNNER, AGENTS],
                    [node(), NODE_RUNNER, "./no-such-file.mjs"],
                    [node(), NODE_RUNNER, NODE_AGENTS + ":none"],
                    [node(), NODE_RUNNER]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=seconds(20),
                              check=False)
        assert done.returncode != 0, command
        assert done.stderr.strip(), command


TABLE = """name,age,city,score
ada,36,Oslo,1.5
bob,,Oslo,2.5
cyd,41,Rome,3
dan,41,Rome,
eve,39,Oslo,900
fay,33,Oslo,2
gus,35,Bonn,2
hal,35,Bonn,1
ivy,35,Bonn,1.2
"""
LOG = """2024-05-01T10:00:00Z INFO served /a in 12ms for 10.0.0.1
2024-05-01T10:00:01Z INFO served /a in 15ms for 10.0.0.2
2024-05-01T10:00:05Z ERROR cannot open "x.db": 5 tries
"""


@test
def the_profiler_reports_on_tables_and_logs():
    with Worker([sys.executable, PROFILER]) as worker:
        said = worker.output(TABLE)
        for part in ("9 rows, 4 columns", "| age | integer | 1 (11.1 %) | 5 |",
                     "| age | 33 | 35 | 35.5 | 39.5 | 41 | 41 | 36.88 |",
                     "`score` has 1 outlier: 900."):
            assert part in said, (part, said)
        assert worker.output(TABLE) == said, "another answer"
        chunks, _, end = worker.stream(TABLE)
        assert "".join(chunks) == said and len(chunks) > 1
        assert end["usage"]["input_tokens"] == 10
        assert end["usage"]["output_tokens"] == len(said.split())
        said = worker.output(LOG)
        for part in ("2024-05-01T10:00:00Z to 2024-05-01T10:00:05Z, 5 s",
                     "| INFO | 2 (66.7 %) |", "| ERROR | 1 (33.3 %) |",
                     "<time> INFO served /a in <n>ms for <address>"):
            assert part in said, (part, said)
        assert worker.output({"text": TABLE.replace(",", ";")}).startswith(
            "# Profile of a table")
        for wrong in ("", "  \n", "\r\r\r", {}, [1], 5, {"text": 7}):
            assert worker.call(wrong)["code"] == "invalid_input", wrong
        for odd in ("a", "a,b", ",\n,\n", '"', 'a,b\n"c', "a\0b,c\nd,e\n",
                    "x,x\n1,2\n", "a|b\n" * 1000, "é,ü\nß,ø\n",
                    "1,2\n3,4\n", "a,b\n" + "1e999,nan\n" * 20,
                    "c\n" + "z" * 500000):
            assert worker.call(odd)["op"] == "result", odd[:20]


@test
def the_profiler_reads_a_million_values():
    rows = "".join("%d,%d,w%d\n" % (n, n * n % 997, n % 50)
                   for n in range(100000))
    with Worker([sys.executable, PROFILER]) as worker:
        said = worker.output("n,square,word\n" + rows)
        assert "100000 rows, 3 columns" in said, said[:200]


if __name__ == "__main__":
    run()
