#!/usr/bin/env python3
"""Start, readiness, reload, stop: what an operator and systemd see."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from atomd_test import (Daemon, Folder, agent, config, daemon_environment,
                        deltas, descendants, plugin_folder, process_agent,
                        run, run_atomd, seconds, source, spoken, test,
                        wait_for)
from places import atomd_path

WORKER = source("tests", "scenario", "worker.py")
DRIP = agent("echo", 'plugin = "echo"; chunk_delay_ms = 150;')


class Manager:
    """A service manager's notification socket."""

    def __init__(self, folder):
        self.path = folder.at("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def until(self, line, deadline=30):
        """Waits for a datagram with this line; returns its lines."""
        end = time.monotonic() + seconds(deadline)
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                lines = self.socket.recv(65536).decode().split("\n")
            except (TimeoutError, socket.timeout):
                raise AssertionError("no %s in %s" % (line, self.seen))
            self.seen.append(lines)
            if line in lines:
                return lines


@test
def sigterm_lets_running_calls_end_and_takes_no_new_ones():
    with Daemon(config(agents=DRIP)) as daemon:
        stream = daemon.chat_stream("echo", "a b c d e f g h i j k l")
        events = iter(stream)
        first = next(events)
        idle = daemon.wire()
        daemon.signal(signal.SIGTERM)
        assert idle.at_end(), "an idle connection stays open"
        rest = list(events)
        assert rest[-1].text == "[DONE]", rest
        assert deltas([first] + rest) == "a b c d e f g h i j k l"
        assert daemon.wait_end() == 0
        assert not os.path.exists(daemon.admin_sock), "the socket file stays"
        try:
            daemon.admin("GET", "/healthz")
            raise AssertionError("it still answers")
        except OSError:
            pass


@test
def agents_that_end_with_the_daemon_are_no_failure():
    with Daemon(config(agents=DRIP)) as daemon:
        stream = daemon.chat_stream("echo", " ".join("a" * 20))
        events = iter(stream)
        next(events)
        daemon.signal(signal.SIGTERM)
        # Longer than the second after which the parts are looked at again.
        assert list(events)[-1].text == "[DONE]"
        assert daemon.wait_end() == 0
        failed = [line for line in daemon.lines
                  if line.get("event") == "component" and
                  line.get("status") == "failed"]
        assert not failed, failed


@test
def a_call_that_never_ends_is_cut_at_the_drains_deadline():
    forever = agent("echo", 'plugin = "echo"; delay_ms = 600000;')
    with Daemon(config(agents=forever)) as daemon:
        wire = daemon.wire(daemon.post_bytes("/v1/chat/completions", {
            "model": "echo", "messages": [
                {"role": "user", "content": "x"}]}), timeout=90)
        wait_for(lambda: daemon.agents()["echo"]["in_flight"] == 1,
                 what="the call runs")
        daemon.signal(signal.SIGTERM)
        try:
            answer = wire.answer()
            assert answer.status in (503, 504), answer
        except AssertionError:
            raise
        except Exception:
            pass
        assert daemon.wait_end(90) == 0


@test
def what_comes_whole_during_the_stop_is_told_of_the_stop():
    slow = agent("slow", 'plugin = "echo"; chunk_delay_ms = 600000;')
    with Daemon(config(agents=[agent("echo"), slow])) as daemon:
        request = daemon.post_bytes("/v1/chat/completions", {
            "model": "echo", "messages": [
                {"role": "user", "content": "x"}]})
        requests = [request] + [
            ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path).encode()
            for path in ("/v1/models", "/v1/models/echo",
                         "/v1/agents/echo/sessions/s1")]
        held = daemon.chat_stream("slow", "a b")
        look = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        others = [daemon.wire(look) for _ in range(8)]
        for other in others:
            assert other.answer().status == 200
        wires = [daemon.wire(request[:-5]) for request in requests]
        # What came before to a loop has been read once it answers, and some
        # are at each.
        for other in others:
            assert other.send(look).answer().status == 200
        daemon.signal(signal.SIGTERM)
        daemon.wait_event("stopping")
        for wire, request in zip(wires, requests):
            answer = wire.send(request[-5:]).answer()
            assert (answer.status, answer.code) == (503, "shutting_down"), \
                (request, answer)
        held.close()
        assert daemon.wait_end(90) == 0


@test
def a_second_sigterm_or_sigint_is_harmless():
    with Daemon(config()) as daemon:
        daemon.signal(signal.SIGINT)
        try:
            daemon.signal(signal.SIGTERM)
        except ProcessLookupError:
            pass
        assert daemon.wait_end() == 0


@test
def no_signal_cuts_what_a_stop_has_still_to_write():
    memory = agent("echo", 'plugin = "echo";', "memory: { };")
    with Daemon(config(memory)) as daemon:
        for _ in range(5):
            for n in range(20):
                daemon.chat("echo", "word " * 500, {
                    "x-atomd-session": "s%d" % n})
            daemon.signal(signal.SIGTERM)
            while daemon.running:
                daemon.signal(signal.SIGHUP)
            assert daemon.wait_end() == 0
            daemon.start()


@test
def a_start_with_many_agents_loses_no_line_of_the_log():
    # Nobody reads it meanwhile, and a pipe holds 64 KiB.
    many = config(agents=[agent("a%d" % i) for i in range(600)],
                  extra="max_agents = 1000;")
    with Daemon(many.replace('"debug"', '"info"')) as daemon:
        assert daemon.count_event("listening") == 2
        assert daemon.count_event("revision_serving") == 0
        assert daemon.wait_event("ready")["agents"] == 600


@test
def sigterm_during_the_start_ends_it_too():
    with Folder() as folder:
        import subprocess
        slow = process_agent("w", [sys.executable, WORKER, "--slow-ready",
                                   "20000"])
        text = config(agents=slow).replace("@DIR@", folder.path)
        path = folder.write("atomd.conf", text)
        for pause in (0.0, 0.05, 0.2, 0.5):
            with subprocess.Popen(
                    [atomd_path(), "-c", path], stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=daemon_environment()) as process:
                try:
                    time.sleep(pause)
                    process.send_signal(signal.SIGTERM)
                    process.stderr.read()
                    status = process.wait(seconds(30))
                    assert status in (0, -signal.SIGTERM), status
                finally:
                    process.kill()


@test
def other_signals_do_no_harm():
    with Daemon(config()) as daemon:
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
            daemon.signal(number)
        assert daemon.chat("echo", "x").status == 200
        assert daemon.running


@test
def the_manager_is_told_ready_reloading_watchdog_and_stopping():
    with Folder() as folder, Manager(folder) as manager:
        with Daemon(config(), env={"NOTIFY_SOCKET": manager.path,
                                   "WATCHDOG_USEC": "400000"}) as daemon:
            manager.until("READY=1")
            manager.until("WATCHDOG=1")
            daemon.signal(signal.SIGHUP)
            lines = manager.until("RELOADING=1")
            stamp = [line for line in lines
                     if line.startswith("MONOTONIC_USEC=")]
            assert stamp, lines
            told = int(stamp[0].split("=")[1])
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert 0 <= now - told < 20 * 1000000, (told, now)
            manager.until("READY=1")
            daemon.configure("agnets = ();")
            daemon.signal(signal.SIGHUP)
            manager.until("RELOADING=1")
            manager.until("READY=1")
            assert daemon.chat("echo", "x").status == 200
            daemon.signal(signal.SIGTERM)
            manager.until("STOPPING=1")
            assert daemon.wait_end() == 0
        assert all(line.isascii() for lines in manager.seen
                   for line in lines)


@test
def an_abstract_notify_socket_works_and_a_missing_one_is_no_reason_to_fail():
    name = "\0atomd-test-%d-%d" % (os.getpid(), time.monotonic_ns())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(seconds(30))
        with Daemon(config(), env={"NOTIFY_SOCKET": "@" + name[1:]}):
            while b"READY=1" not in manager.recv(65536):
                pass
    with Daemon(config(), env={"NOTIFY_SOCKET": "/nonexistent/s"}) as daemon:
        assert daemon.get("/healthz").status == 200


def handed_over(*sockets):
    """A program that does what systemd does before it runs another."""
    fds = [str(s.fileno()) for s in sockets]
    return {"pass_fds": [int(fd) for fd in fds], "wrapper": [
        sys.executable, "-c",
        # Out of the way first: dup2() onto itself would leave the mark that
        # closes a descriptor at exec.
        "import fcntl, os, sys; n = %d; fds = [fcntl.fcntl(int(fd),"
        " fcntl.F_DUPFD, 100) for fd in sys.argv[1:n + 1]];"
        " [os.dup2(fd, 3 + i) for i, fd in enumerate(fds)];"
        " [os.close(fd) for fd in fds];"
        " os.environ.update(LISTEN_FDS=str(n), LISTEN_PID=str(os.getpid()));"
        " os.execv(sys.argv[n + 1], sys.argv[n + 1:])" % len(fds), *fds]}


@test
def an_inherited_socket_takes_the_place_of_its_listener():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        # Connected before the daemon exists: the backlog keeps it.
        early = socket.create_connection(("127.0.0.1", port), seconds(30))
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                      b"Connection: close\r\n\r\n")
        listeners = ('{ address = "127.0.0.1:%d"; }, { address ='
                     ' "unix:@DIR@/admin.sock"; admin = true; }' % port)
        with Daemon(config(listeners=listeners),
                    **handed_over(listener)) as daemon:
            assert daemon.port == port
            assert early.recv(12) == b"HTTP/1.1 200"
            assert daemon.chat("echo", "x").content == "x"
            assert all("LISTEN_FDS" not in open(
                "/proc/%d/environ" % pid, errors="replace").read()
                for pid, _ in descendants(daemon.pid))
        early.close()
        listener.settimeout(1)
        socket.create_connection(("127.0.0.1", port), 1).close()


@test
def inherited_sockets_find_their_listeners_in_any_order():
    with Folder() as folder, socket.socket() as tcp, \
            socket.socket() as other, \
            socket.socket(socket.AF_UNIX) as unix:
        unix.bind(folder.at("admin.sock"))
        for listener in (tcp, other):
            listener.bind(("127.0.0.1", 0))
        for listener in (tcp, other, unix):
            listener.listen(16)
        port = tcp.getsockname()[1]
        # By address; where that is a name, by kind.
        listeners = ('{ address = "localhost:%d"; },'
                     ' { address = "127.0.0.1:%d"; },'
                     ' { address = "unix:@DIR@/admin.sock"; admin = true; }'
                     % (other.getsockname()[1], port))
        with Daemon(config(listeners=listeners, security=""), folder=folder,
                    **handed_over(unix, tcp, other)) as daemon:
            assert daemon.get("/healthz").status == 200
            assert daemon.addresses[1] == "127.0.0.1:%d" % port, \
                daemon.addresses
            # The unix socket is the one that trusts its peer.
            assert daemon.admin("GET", "/admin/v1/status").status == 200
            assert daemon.get("/admin/v1/status").status == 401


@test
def a_second_daemon_on_the_same_port_is_told_and_ends():
    with Daemon(config()) as daemon, Folder() as folder:
        path = folder.write("atomd.conf", config(
            listeners='{ address = "127.0.0.1:%d"; }' % daemon.port
        ).replace("@DIR@", folder.path))
        done = run_atomd("-c", path)
        assert done.returncode not in (0, 78), done
        assert done.returncode > 0, done
        assert str(daemon.port) in spoken(done), spoken(done)
        assert "in use" in spoken(done).lower(), spoken(done)
        assert daemon.chat("echo", "x").status == 200


@test
def a_start_without_descriptors_is_told_and_ends():
    with Folder() as folder:
        path = folder.write("atomd.conf", config().replace(
            "@DIR@", folder.path))
        done = subprocess.run(
            ["sh", "-c", 'ulimit -n 4; exec "$0" -c "$1"', atomd_path(),
             path], env=daemon_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=seconds(30), check=False)
        assert done.returncode > 0, done
        assert "too many open files" in spoken(done), done


@test
def a_second_daemon_on_the_same_socket_or_state_is_told_and_ends():
    with Daemon(config()) as daemon, Folder() as folder:
        text = config(listeners='{ address = "unix:%s"; admin = true; }'
                      % daemon.admin_sock, security="")
        done = run_atomd("-c", folder.write(
            "socket.conf", text.replace("@DIR@", folder.path)))
        assert done.returncode not in (0, 78), spoken(done)
        assert daemon.admin_sock in spoken(done), spoken(done)
        text = config(listeners='{ address = "127.0.0.1:0"; }')
        done = run_atomd("-c", folder.write(
            "state.conf", text.replace("@DIR@", daemon.dir)))
        assert done.returncode not in (0, 78), spoken(done)
        assert "state" in spoken(done), spoken(done)
        assert daemon.admin("GET", "/healthz").status == 200
        assert daemon.chat("echo", "x").status == 200


@test
def a_sockets_folder_that_cannot_be_made_is_named():
    with Folder() as folder:
        text = config(listeners='{ address = "unix:@DIR@/not/there/a.sock";'
                      ' admin = true; }', security="")
        done = run_atomd("-c", folder.write(
            "socket.conf", text.replace("@DIR@", folder.path)))
        assert done.returncode not in (0, 78), spoken(done)
        assert "its folder %s cannot be made: No such file" % folder.at(
            "not/there") in spoken(done), spoken(done)


@test
def a_socket_file_left_by_a_killed_daemon_is_taken_over():
    with Folder() as folder:
        first = Daemon(config(), folder=folder)
        with first:
            first.kill()
            assert os.path.exists(folder.at("admin.sock"))
        with Daemon(config(), folder=folder) as second:
            assert second.admin("GET", "/admin/v1/agents").status == 200


@test
def a_file_that_is_no_socket_is_not_removed():
    with Folder() as folder:
        folder.write("admin.sock", "precious")
        path = folder.write("atomd.conf", config().replace(
            "@DIR@", folder.path))
        done = run_atomd("-c", path)
        assert done.returncode not in (0,), spoken(done)
        with open(folder.at("admin.sock")) as kept:
            assert kept.read() == "precious"


@test
def the_status_shows_the_ordered_start():
    with Daemon(config()) as daemon:
        status = daemon.status()
        assert status["system_status"] == "operational", status
        results = status["initialization_results"]
        assert list(results)[:4] == [
            "core_orchestrator", "monitoring_system", "security_layer",
            "health_checks"], list(results)
        for name, result in results.items():
            assert result["status"] == "success", (name, result)
            assert "details" in result, (name, result)
        for component in status["components"]:
            assert set(component) >= {"name", "status", "since",
                                      "last_error"}, component
            assert re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                component["since"]), component
        configuration = status["configuration"]
        assert configuration["environment"] == "production"
        assert configuration["max_agents"] == 100
        assert configuration["monitoring_enabled"] is True
        shown = daemon.atomctl("--json", "status")
        assert shown.returncode == 0, shown
        assert json.loads(shown.stdout)["system_status"] == "operational"


@test
def a_failing_part_is_named_and_keeps_readyz_at_503():
    broken = process_agent("broken", [sys.executable, WORKER,
                                      "--exit-at-start", "9"])
    with Daemon(config(agents=[agent("echo"), broken]),
                wait="listening") as daemon:
        wait_for(lambda: daemon.get("/healthz").status == 200,
                 what="it is alive")
        answer = daemon.get("/readyz")
        assert answer.status == 503, answer
        assert daemon.chat("echo", "x", timeout=60).status == 200
        status = wait_for(lambda: (lambda s: s if s[
            "system_status"] == "degraded" else None)(daemon.status()), 60,
            "degraded")
        text = json.dumps(status)
        assert "broken" in text, text
        assert daemon.get("/readyz").status == 503
        text = config().replace("@DIR@", daemon.dir)
        assert daemon.reload(text).status == 200
        # Without the broken agent, and at once.
        assert daemon.get("/readyz").status == 200
        assert daemon.status()["system_status"] == "operational"


@test
def readyz_says_no_while_draining():
    with Daemon(config(agents=DRIP)) as daemon:
        assert daemon.get("/readyz").status == 200
        kept = daemon.wire(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        stream = daemon.chat_stream("echo", "a b c d e f")
        events = iter(stream)
        next(events)
        daemon.signal(signal.SIGTERM)
        daemon.wait_line(lambda l: "stop" in json.dumps(l).lower()
                         or "drain" in json.dumps(l).lower(),
                         what="a line about stopping")
        try:
            kept.send(b"\r\n")
            assert kept.answer().status == 503
        except (OSError, Exception) as error:
            assert not isinstance(error, AssertionError), error
        assert stream.body().endswith(b"data: [DONE]\n\n")
        assert daemon.wait_end() == 0


@test
def a_store_that_cannot_be_opened_is_told_at_the_start():
    with Folder() as folder:
        folder.write("state", "a file where a folder should be")
        path = folder.write("atomd.conf", config().replace(
            "@DIR@", folder.path))
        done = run_atomd("-c", path)
        assert done.returncode != 0, done
        assert folder.at("state") in spoken(done), spoken(done)


@test
def a_state_folder_that_cannot_be_made_is_told_with_what_names_it():
    text = config().replace("@DIR@/state", "/proc/not-there/state")
    with Daemon(text, wait="listening") as daemon:
        line = daemon.wait_line(
            lambda l: l.get("event") == "component" and
            l.get("component") == "state", what="what became of the state")
        assert "cannot make /proc/not-there" in line["message"], line
        assert "state.directory" in line["message"], line


@test
def the_state_folder_is_made_and_private():
    with Daemon(config(), env={}) as daemon:
        mode = os.stat(os.path.join(daemon.dir, "state")).st_mode & 0o777
        assert mode == 0o700, oct(mode)
        for base, _, names in os.walk(os.path.join(daemon.dir, "state")):
            for name in names:
                bits = os.stat(os.path.join(base, name)).st_mode & 0o077
                assert bits == 0, (name, oct(bits))


@test
def every_log_line_is_one_json_object_with_time_level_and_text():
    with Daemon(config()) as daemon:
        daemon.chat("echo", "multi\nline \x1b[31m \" text")
        daemon.get("/no\x22where")
        daemon.stop()
        for raw in daemon.raw:
            line = json.loads(raw)
            assert line.get("level") in ("error", "warn", "warning", "info",
                                         "debug"), raw
            assert any(name in line for name in ("time", "ts")), raw


@test
def atomd_run_serves_one_agent_without_any_file():
    import subprocess
    script = source("docs", "workers", "echo.py")
    with Folder() as folder:
        env = daemon_environment(
            ATOMD_STATE=folder.at("state"), XDG_RUNTIME_DIR=folder.path,
            XDG_STATE_HOME=folder.at("xdg"), HOME=folder.path)
        probe = socket.socket()
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", 8080)) == 0:
            from atomd_test import Skip
            raise Skip("port 8080 is taken")
        probe.close()
        process = subprocess.Popen(
            [atomd_path(), "run", "--", sys.executable, script],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=folder.path)
        lines = []
        reader = threading.Thread(
            target=lambda: lines.extend(process.stdout), daemon=True)
        reader.start()

        def answers():
            import http.client
            assert process.poll() is None, b"".join(lines).decode()
            connection = http.client.HTTPConnection("127.0.0.1", 8080,
                                                    timeout=10)
            try:
                connection.request(
                    "POST", "/v1/chat/completions",
                    json.dumps({"model": "agent", "messages": [
                        {"role": "user", "content": "hello"}]}),
                    {"Content-Type": "application/json"})
                reply = connection.getresponse()
                return reply.status == 200 and json.load(reply)
            except OSError:
                return None
            finally:
                connection.close()
        try:
            body = wait_for(answers, 60, "the agent answers")
            assert "hello" in body["choices"][0]["message"]["content"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(seconds(30)) == 0
            assert os.path.exists(folder.at("state", "state.db"))
        finally:
            process.kill()
            process.wait()


@test
def the_quickstart_serves_without_network_or_key():
    text = open(source("etc", "quickstart.conf"), encoding="utf-8").read()
    assert plugin_folder() is None or os.path.isdir(plugin_folder())
    text = text.replace("127.0.0.1:8080", "127.0.0.1:0")
    with Folder() as folder:
        os.symlink(source("etc", "workers"), folder.at("workers"))
        daemon = Daemon(text, folder=folder, env={
            "ATOMD_STATE": folder.at("state"),
            "XDG_RUNTIME_DIR": folder.path, "HOME": folder.path})
        with daemon:
            assert daemon.chat("echo", "hello").content == "hello"
            table = "name,age\nada,36\nbob,\ncyd,41\n"
            answer = daemon.chat("profiler", table, timeout=60)
            assert answer.status == 200, answer
            assert "age" in answer.content and "36" in answer.content
            for part in ("http://127.0.0.1:", "curl", "atomctl"):
                wait_for(lambda part=part: part in daemon.log,
                         what="a line with " + part)


if __name__ == "__main__":
    run()
