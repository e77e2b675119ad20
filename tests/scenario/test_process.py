#!/usr/bin/env python3
"""The process backend: the worker protocol, and workers that misbehave."""

import json
import os
import random
import signal
import sys
import threading
import time

from atomd_test import (MEMORY_FACTOR, Daemon, Folder, alive, config, deltas,
                        descendants, errors, process_agent, resident_kib, run,
                        source, test, wait_for)

WORKER = source("tests", "scenario", "worker.py")
FAST = "timeouts: { total_ms = 2000; };"


def scripted(*args, more="", options="", name="w", instances=1,
             concurrency=1, limits="", most=1):
    return process_agent(
        name, [sys.executable, WORKER, *args], options,
        "instances: { min = %d; max = %d; concurrency = %d; }; %s %s" % (
            instances, max(instances, most), concurrency, more, limits))


def serving(*args, **more):
    return Daemon(config(agents=scripted(*args, **more)))


def pid_of(daemon):
    """The pid of the one worker."""
    return wait_for(lambda: [p for p, _ in descendants(daemon.pid)
                             if WORKER in (command(p) or [])],
                    what="a worker")[0]


def command(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as line:
            return line.read().split("\0")
    except OSError:
        return None


def workers(daemon):
    return {(p, s) for p, s in descendants(daemon.pid)
            if WORKER in (command(p) or [])}


def slices(pid):
    """Names of a process' threads, and how long the turns are that the
    scheduler gives them, in ns; empty where this kernel does not tell."""
    found = []
    for thread in os.listdir("/proc/%d/task" % pid):
        folder = "/proc/%d/task/%s/" % (pid, thread)
        try:
            with open(folder + "comm") as comm, open(folder + "sched") as text:
                found += [(comm.read().strip(), int(line.split()[-1]))
                          for line in text if line.startswith("se.slice ")]
        except OSError:
            pass
    return found


@test
def a_loop_takes_short_turns_and_what_it_starts_does_not():
    own = slices(os.getpid())
    if not own:
        print("# this kernel does not tell how long turns are")
        return
    with serving() as daemon:
        daemon.wait_ready("w", 1)
        usual = own[0][1]
        assert all(n == usual for _, n in slices(pid_of(daemon)))
        loops = {n for name, n in slices(daemon.pid) if "-loop-" in name}
        others = {n for name, n in slices(daemon.pid) if "-loop-" not in name}
        # Before Linux 6.12 nobody can ask for a turn of a length.
        assert loops in ({100000}, {usual}), loops
        assert others == {usual}, others


@test
def a_worker_answers_chat_invoke_and_streams():
    with serving() as daemon:
        assert daemon.chat("w", "echo hello there").content == "hello there"
        answer = daemon.invoke("w", "echo hi")
        assert answer.json["output"] == "hi", answer
        assert answer.json["usage"]["output_tokens"] == 1, answer
        # Its first words are here before it says the others.
        flag = os.path.join(daemon.dir, "go")
        with daemon.chat_stream("w", "stream-until " + flag) as stream:
            events, coming = [], iter(stream)
            while deltas(events) != "first ":
                events.append(next(coming))
            daemon.write("go", "")
            events += coming
        assert deltas(events) == "first rest", events
        assert events[-1].text == "[DONE]"
        answer = daemon.chat("w", "words a b c")
        assert answer.content.split() == ["a", "b", "c"], answer


@test
def a_worker_sees_what_the_protocol_says():
    with serving(more='system_prompt = "sys";'
                 ' memory: { max_messages = 10; };') as daemon:
        call = daemon.invoke("w", "call").json["output"]
        assert call["op"] == "call" and call["agent"] == "w", call
        assert call["input"] == "call" and call["attempt"] == 1, call
        assert call["messages"][-1] == {"role": "user", "content": "call"}
        assert 0 < call["deadline_ms"] <= 600000, call
        assert call["stream"] is False, call
        daemon.chat("w", "echo one", {"x-atomd-session": "s"})
        answer = daemon.chat("w", "call", {"x-atomd-session": "s"})
        call = json.loads(answer.content)
        assert [(m["role"], m["content"]) for m in call["messages"]] == [
            ("system", "sys"), ("user", "echo one"), ("assistant", "one"),
            ("user", "call")], call
        assert call["session"]["id"] == "s", call
        answer = daemon.invoke("w", {"deep": [1, {"x": None}]})
        assert answer.json["output"]["got"] == {"deep": [1, {"x": None}]}


@test
def an_object_for_an_answer_becomes_its_json():
    with serving() as daemon:
        answer = daemon.chat("w", "object")
        assert json.loads(answer.content)["list"] == [1, 2.5, None], answer
        answer = daemon.invoke("w", "object")
        assert answer.json["output"]["list"] == [1, 2.5, None], answer


@test
def the_environment_is_clean():
    agents = scripted(options='env: { GREETING = "hello"; };')
    with Daemon(config(agents=agents), env={
            "SECRET_OF_THE_DAEMON": "x", "OPENAI_API_KEY": "sk-no"}
            ) as daemon:
        seen = daemon.invoke("w", "environment").json["output"]
        names = set(seen["environment"])
        extra = {n for n in names if not n.startswith("ATOM_")} - {
            "PATH", "HOME", "LANG", "TZ", "GREETING", "LC_CTYPE"}
        assert not extra, extra
        assert seen["environment"]["GREETING"] == "hello"
        assert seen["environment"]["ATOM_WORKER_PROTOCOL"] == "1"
        assert seen["environment"]["ATOM_WORKER_FD"] == "3"
        assert seen["environment"]["ATOM_INSTANCE"]
        held = {int(fd) for fd, to in seen["files"].items()
                if "/fd" not in to}
        assert held <= {0, 1, 2, 3}, seen["files"]
        assert seen["files"]["0"] == "/dev/null", seen["files"]
        assert seen["group"] and seen["no_new_privs"] == ["1"], seen
        if os.getuid() == 0:
            assert seen["uid"] >= 0


@test
def what_a_worker_prints_is_a_log_line_with_its_instance():
    with serving() as daemon:
        assert daemon.chat("w", "noise 20").content == "noisy"
        for text in ("out 7", "err 7"):
            line = daemon.wait_line(
                lambda l, t=text: t in json.dumps(l).split('"'),
                what="the worker's line %r" % text)
            assert line["agent"] == "w", line
            assert line["instance"].startswith("w-1."), line
        told = json.loads(daemon.atomctl("--json", "logs", "w").stdout)
        assert "out 7" in [line["message"] for line in told], told
        daemon.wait_line(lambda l: "binary" in json.dumps(l),
                         what="the binary line")
        assert "\x1b[31m" not in daemon.log, "escape sequences get through"


@test
def a_flood_of_log_lines_hurts_nobody():
    with serving() as daemon:
        assert daemon.chat("w", "noise 20000", timeout=60).status == 200
        assert daemon.chat("w", "echo x").status == 200


@test
def a_client_that_leaves_cancels_the_call_in_the_worker():
    with serving() as daemon:
        pid = pid_of(daemon)
        for stream in (True, False):
            lines = len(daemon.lines)
            wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
                "model": "w", "stream": stream, "messages": [
                    {"role": "user", "content": "wait"}]}))
            wait_for(lambda: daemon.agents()["w"]["in_flight"] == 1,
                     what="the call runs")
            wire.close()
            daemon.wait_line(
                lambda l: "cancelled client_gone" in json.dumps(l)
                and l in daemon.lines[lines:],
                what="the worker is told")
            assert daemon.chat("w", "echo x").content == "x"
        assert pid_of(daemon) == pid, "a good worker was replaced"


@test
def a_deadline_cancels_and_a_worker_that_ignores_it_is_replaced():
    with serving(limits=FAST) as daemon:
        first = pid_of(daemon)
        answer = daemon.chat("w", "wait")
        assert answer.status == 504 and answer.code == "timeout", answer
        assert daemon.chat("w", "echo x").content == "x"
        assert pid_of(daemon) == first
        answer = daemon.chat("w", "hang")
        assert answer.status == 504, answer
        answer = wait_for(lambda: (lambda a: a if a.status == 200 else None)(
            daemon.chat("w", "echo again")), 30, "a new worker answers")
        assert answer.content == "again"
        assert pid_of(daemon) != first


@test
def a_worker_deaf_to_sigterm_is_killed():
    with serving("--ignore-term", limits=FAST) as daemon:
        first = pid_of(daemon)
        assert daemon.chat("w", "hang").status == 504
        wait_for(lambda: command(first) is None, 30, "it is killed")
        wait_for(lambda: daemon.chat("w", "echo x").status == 200, 30,
                 "a new worker answers")


@test
def a_crash_is_one_clear_502_and_a_new_worker():
    with serving() as daemon:
        for text in ("exit 3", "kill", "eof", "exit 0"):
            before = pid_of(daemon)
            answer = daemon.chat("w", text)
            assert answer.status == 502, (text, answer)
            assert answer.code in ("backend_error", "worker_lost"), answer
            daemon.wait_ready("w", 1)
            assert daemon.chat("w", "echo back").content == "back"
            wait_for(lambda b=before: command(b) is None, 30,
                     "the end of the old one")
            assert pid_of(daemon) != before


@test
def a_crash_midway_ends_the_stream_with_an_error():
    with serving() as daemon:
        for text, said in (("half 1", "half "), ("fail-midway", "one two ")):
            with daemon.chat_stream("w", text) as stream:
                assert stream.status == 200
                events = stream.read()
            assert deltas(events) == said, events
            (error,) = errors(events)
            assert error["message"], error
            assert not any(e.text == "[DONE]" for e in events), events
            daemon.wait_ready("w", 1)
        answer = daemon.chat("w", "fail-midway")
        assert answer.status == 502, answer


@test
def the_workers_error_codes_are_mapped():
    expected = {"invalid_input": 400, "provider": 502, "rate_limited": 429,
                "context_overflow": 400, "timeout": 504, "unavailable": 503,
                "internal": 502, "no_such_code": 502}
    with serving() as daemon:
        got = {code: daemon.chat("w", "error " + code)
               for code in expected}
        for code, answer in got.items():
            assert answer.status == expected[code] or (
                code == "unavailable" and answer.status == 502), (
                code, answer)
            assert answer.json["error"]["message"], answer
        assert "retry-after" in got["rate_limited"].headers
        assert "the worker says" in got["invalid_input"].text


@test
def garbage_from_a_worker_is_bounded():
    with serving() as daemon:
        for text in ("garbage", "wrong-id", "twice", "binary", "no-output"):
            answer = daemon.chat("w", text)
            assert answer.status in (200, 502), (text, answer)
            if text == "twice":
                assert answer.content == "first"
            if text == "wrong-id":
                assert answer.content == "right", answer
            daemon.wait_ready("w", 1)
            assert daemon.chat("w", "echo fine").content == "fine", text


@test
def a_line_beyond_the_limit_ends_the_worker_not_the_daemon():
    with serving() as daemon:
        answer = daemon.chat("w", "long-line 4", timeout=60)
        assert answer.status == 200 and len(answer.content) == 4 << 20
        answer = daemon.chat("w", "long-line 16", timeout=60)
        assert answer.status == 502, answer.status
        daemon.wait_ready("w", 1)
        assert daemon.chat("w", "echo x").status == 200


@test
def a_worker_that_floods_a_slow_client_is_held_back():
    with serving() as daemon:
        before = resident_kib(daemon.pid)
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "stream": True, "messages": [
                {"role": "user", "content": "flood 200000"}]}))
        assert wire.head()[0] == 200
        end = time.monotonic() + 2
        while time.monotonic() < end:
            grown = resident_kib(daemon.pid) - before
            assert grown < 24 * 1024 * MEMORY_FACTOR, "%d KiB" % grown
            time.sleep(0.1)
        wire.close()
        daemon.wait_idle(40)
        wait_for(lambda: daemon.chat("w", "echo x").status == 200, 30,
                 "it answers again")


@test
def a_worker_that_is_not_ready_in_time_is_replaced():
    with Daemon(config(agents=[
            scripted("--no-ready", name="never",
                     options="ready_timeout_ms = 300;"),
            scripted("--bad-ready", name="bad"), scripted(name="good")]),
            wait="listening") as daemon:
        assert wait_for(lambda: daemon.chat(
            "good", "echo x").status == 200, 30, "the good agent answers")
        for name in ("never", "bad"):
            answer = daemon.chat(name, "echo x", timeout=40)
            assert answer.status in (502, 503, 504), (name, answer)
        assert daemon.agents()["never"]["instances"]["ready"] == 0


@test
def a_crash_loop_backs_off_and_is_told():
    script = ("import sys, time; open(sys.argv[1], 'a').write("
              "'%d\\n' % time.monotonic_ns());"
              " sys.exit('it cannot start today')")
    with Folder() as folder, Daemon(config(agents=[
            process_agent("broken", [sys.executable, "-c", script,
                                     folder.at("starts")]),
            scripted(name="good")]), wait="listening") as daemon:
        wait_for(lambda: daemon.chat("good", "echo x").status == 200, 30,
                 "the good agent answers")
        daemon.wait_line(lambda l: "cannot start today" in json.dumps(l),
                         what="the worker's own words")

        def starts():
            with open(folder.at("starts")) as file:
                return [int(line) for line in file.read().split("\n")[:-1]]
        wait_for(lambda: len(starts()) > 5, 30, "it is tried again")
        times = starts()
        for n, (one, next_one) in enumerate(zip(times[:5], times[1:])):
            # At least half of 100 ms, and twice as long each time.
            assert next_one - one > (50 << n) * 1000000 - 2000000, times
        answer = daemon.chat("broken", "x", timeout=40)
        assert answer.status == 503, answer
        assert answer.code == "no_instances", answer


@test
def a_command_that_is_not_there_is_told():
    agents = process_agent("lost", ["/nonexistent/program"],
                           more="instances: { min = 1; max = 1; };")
    with Daemon(config(agents=agents), wait="listening") as daemon:
        daemon.wait_line(
            lambda l: "/nonexistent/program" in json.dumps(l)
            and l.get("level") in ("error", "warn", "warning"),
            what="an error that names the program")
        answer = daemon.chat("lost", "x", timeout=40)
        assert answer.status == 503, answer


@test
def as_many_calls_run_at_once_as_there_are_slots():
    for instances, concurrency, calls in ((1, 8, 8), (2, 2, 8)):
        slots = instances * concurrency
        with serving("--concurrency", str(concurrency), instances=instances,
                     concurrency=concurrency, more="queue: { depth = 20;"
                     " timeout_ms = 60000; };") as daemon:
            flag = os.path.join(daemon.dir, "go")
            waiting = threading.Thread(target=lambda: answers.extend(together(
                calls, lambda n: daemon.chat("w", "until %s N" % flag))))
            answers = []
            waiting.start()
            try:
                wait_for(lambda: (daemon.metrics().sum(
                    "atomd_inflight_requests"), daemon.metrics().sum(
                        "atomd_queue_depth")) == (slots, calls - slots),
                    what="%d run, the others wait" % slots)
                assert len(workers(daemon)) == instances
            finally:
                open(flag, "w").close()
                waiting.join()
            assert [a.status for a in answers] == [200] * calls, answers


@test
def concurrency_is_the_smaller_of_both():
    with serving("--concurrency", "2", concurrency=8) as daemon:
        started = time.monotonic()
        answers = together(6, lambda n: daemon.chat("w", "sleep 400"))
        assert {a.status for a in answers} == {200}, answers
        took = time.monotonic() - started
        assert took > 1.1, "six calls of 0.4 s, two at once: %.1f s" % took


@test
def one_slow_reader_does_not_stop_the_others():
    with serving("--concurrency", "4", "--caps",
                 "stream,cancel,ping,credit", concurrency=4) as daemon:
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "stream": True, "messages": [
                {"role": "user", "content": "flood 20000"}]}))
        assert wire.head()[0] == 200
        for n in range(5):
            answer = daemon.chat("w", "echo x%d" % n)
            assert answer.content == "x%d" % n, answer
        wire.close()
        daemon.wait_idle(30)


@test
def a_cancelled_call_of_several_leaves_the_others_alone():
    with serving("--concurrency", "4", concurrency=4) as daemon:
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "w", "messages": [
                {"role": "user", "content": "hang"}]}))
        wait_for(lambda: daemon.agents()["w"]["in_flight"] == 1,
                 what="the call runs")
        answers = []
        other = threading.Thread(target=lambda: answers.append(
            daemon.chat("w", "until %s PATH" % os.path.join(
                daemon.dir, "go"))))
        other.start()
        wait_for(lambda: daemon.agents()["w"]["in_flight"] == 2,
                 what="both calls run")
        wire.close()
        daemon.wait_line(lambda l: "cancelled client_gone" in json.dumps(l),
                         what="the worker is told")
        daemon.write("go", "")
        other.join()
        assert answers[0].status == 200, answers
        wait_for(lambda: daemon.chat("w", "echo x").status == 200, 30,
                 "it answers")


@test
def stdio_is_a_transport_too():
    with serving("--stdio", "--junk-first", "3",
                 options='transport = "stdio";') as daemon:
        assert daemon.chat("w", "echo hi").content == "hi"
        with daemon.chat_stream("w", "words a b c") as stream:
            assert deltas(stream.read()) == "a b c "
        daemon.wait_line(lambda l: "junk 1" in json.dumps(l),
                         what="the junk in the log")


@test
def endless_junk_on_stdio_is_given_up():
    with Daemon(config(agents=scripted(
            "--stdio", "--junk-first", "2000000",
            options='transport = "stdio";')), wait="listening") as daemon:
        first = pid_of(daemon)
        wait_for(lambda: command(first) is None, 60,
                 "the worker is ended")
        assert daemon.get("/healthz").status == 200


@test
def state_is_kept_with_the_session():
    with serving(more="memory: { max_messages = 10; };") as daemon:
        session = {"x-atomd-session": "s"}
        for n in (1, 2, 3):
            answer = daemon.chat("w", "state", session)
            assert answer.content == "call %d" % n, answer
        answer = daemon.chat("w", "state", {"x-atomd-session": "other"})
        assert answer.content == "call 1", answer


@test
def workers_are_recycled_by_requests_age_and_memory():
    # Ten percent of jitter or so: a worker of 5 ends by its tenth call.
    with serving(options="max_requests = 5;") as daemon:
        seen = {daemon.invoke("w", "environment").json["output"]["pid"]
                for _ in range(25)}
        assert 2 <= len(seen) <= 13, seen
    with serving(options='max_age = "1s";') as daemon:
        first = pid_of(daemon)
        wait_for(lambda: command(first) is None, 30, "the old one is gone")
        assert daemon.chat("w", "echo x").status == 200
    with serving(options='max_memory = "120M";') as daemon:
        first = pid_of(daemon)
        assert daemon.chat("w", "memory 200").status == 200
        wait_for(lambda: command(first) is None, 30, "the fat one is gone")
        wait_for(lambda: daemon.chat("w", "echo x").status == 200, 30,
                 "a lean one answers")


@test
def nothing_of_a_worker_outlives_the_daemon():
    with serving() as daemon:
        path = os.path.join(daemon.dir, "pid")
        assert daemon.chat("w", "grandchild " + path).status == 200
        children = descendants(daemon.pid)
        assert len(children) >= 2, children
        daemon.stop()
        assert not any(map(alive, children))
    with serving() as daemon:
        daemon.chat("w", "echo x")
        children = workers(daemon)
        daemon.kill()
        wait_for(lambda: not any(map(alive, children)), 10,
                 "the worker dies with a killed daemon")


@test
def from_inside_a_worker_the_admin_socket_is_refused():
    with serving() as daemon:
        assert daemon.admin("GET", "/admin/v1/agents").status == 200
        answer = daemon.chat("w", "admin " + daemon.admin_sock)
        assert answer.status == 200, answer
        status = answer.content.split()[1]
        assert status in ("401", "403"), answer.content[:300]
        assert status == "403", "refused, but not with 403: " + status
        assert '"instances"' not in answer.content, answer.content


@test
def a_double_forked_child_of_a_worker_cannot_administer_either():
    script = r'''
import json, os, socket, sys, time
s = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
f = s.makefile("rw")
f.write('{"op":"ready","protocol":1,"name":"f","version":"1",'
        '"concurrency":1,"caps":[],"agents":{}}\n'); f.flush()
for line in f:
    call = json.loads(line)
    if call["op"] != "call":
        continue
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        parent = os.getpid()
        if os.fork() != 0:
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.01)
        u = socket.socket(socket.AF_UNIX)
        u.connect(call["input"])
        u.sendall(b"GET /admin/v1/agents HTTP/1.1\r\nHost: localhost\r\n"
                  b"Connection: close\r\n\r\n")
        os.write(w, u.recv(4096)[:64])
        os._exit(0)
    os.close(w)
    os.wait()
    text = os.read(r, 64).decode()
    f.write(json.dumps({"op": "result", "id": call["id"],
                        "output": text}) + "\n"); f.flush()
'''
    with Daemon(config(agents=process_agent(
            "w", [sys.executable, "-c", script]))) as daemon:
        answer = daemon.chat("w", daemon.admin_sock)
        assert answer.status == 200, answer
        assert answer.content.split()[1] == "403", answer.content


@test
def the_pool_starts_no_more_than_max_agents():
    text = config(agents=[scripted(name="a", instances=2),
                          scripted(name="b", instances=1, most=2)])
    with Daemon("max_agents = 3;\n" + text) as daemon:
        daemon.wait_ready("a", 2)
        daemon.wait_ready("b", 1)
        answer = daemon.admin("POST", "/admin/v1/agents/b/scale",
                              {"instances": 2})
        assert answer.status in (200, 202), answer
        daemon.wait_event("limit_reached")
        assert len(workers(daemon)) == 3


@test
def from_zero_the_first_call_starts_an_instance():
    with Daemon(config(agents=scripted(
            "--slow-ready", "300", instances=0, more="queue: { depth = 20;"
            " timeout_ms = 20000; };"))) as daemon:
        assert not workers(daemon)
        answers = together(5, lambda n: daemon.chat("w", "echo %d" % n))
        assert [a.content for a in answers] == list("01234"), answers


def together(count, function):
    results = [None] * count

    def one(n):
        results[n] = function(n)
    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@test
def two_thousand_calls_survive_workers_killed_at_random():
    size, callers, total = 8, 64, 2000
    chance = random.Random(20240607)
    numbers = iter(range(total))
    lock = threading.Lock()
    outcomes, killed = {}, 0
    agents = scripted(instances=size, more="queue: { depth = 200;"
                      " timeout_ms = 30000; };")
    with Daemon(config(agents=agents)) as daemon:
        daemon.wait_ready("w", size)

        def caller(_):
            while True:
                with lock:
                    n = next(numbers, None)
                if n is None:
                    return
                answer = daemon.chat("w", "echo call-%d" % n, timeout=60)
                with lock:
                    assert n not in outcomes
                    outcomes[n] = (answer.status, answer)
                    if len(outcomes) % 60 == 0:
                        kill_one()

        def kill_one():
            nonlocal killed
            living = sorted(workers(daemon))
            if living:
                try:
                    os.kill(chance.choice(living)[0], signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        together(callers, caller)
        # The end of the last one killed may be news to the daemon.
        wait_for(lambda: len(workers(daemon)) == size and daemon.agents()[
            "w"]["instances"]["ready"] == size, 30, "all are ready again")
        assert len(outcomes) == total, len(outcomes)
        good = 0
        for n, (status, answer) in outcomes.items():
            if status == 200:
                good += 1
                assert answer.content == "call-%d" % n, answer
            else:
                assert status == 502, answer
                assert answer.json["error"]["message"], answer
        assert killed >= 5, "only %d workers were killed" % killed
        assert good > total / 2, "%d good, %d killed" % (good, killed)
        listed = daemon.agents()["w"]
        assert listed["in_flight"] == 0 and listed["queued"] == 0, listed
        assert len(workers(daemon)) == size
        counted = daemon.metrics()
        assert counted.sum("atomd_requests_total", agent="w") == total
        print("# %d answers, %d errors, %d workers killed" % (
            good, total - good, killed))


if __name__ == "__main__":
    run()
