"""The frame of the scenario tests: a real daemon, real sockets, TAP out.

A test is a function decorated with @test and named by what it proves.  It
starts its own daemon on a free port with its own folder, talks to it as any
client would, waits for events and never for luck, and leaves nothing behind.

    from atomd_test import Daemon, config, run, test

    @test
    def an_echo_agent_answers():
        with Daemon(config(agents=ECHO)) as daemon:
            answer = daemon.chat("echo", "hello")
            assert answer.status == 200, answer

    if __name__ == "__main__":
        run()

Environment: ATOMD is the daemon's binary, ATOMCTL the control tool's,
ATOMD_BUILD_PLUGINS the folder of the built plugins, ATOMD_TEST_FACTOR
multiplies every deadline (sanitizers, valgrind), CI=true turns a skip into
a failure.  `test_x.py WORD...` runs only the tests whose names hold a WORD.
"""

import fcntl
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

from places import (FACTOR, MEMORY_FACTOR, Folder, SOURCE,  # noqa: F401
                    atomctl_path, atomd_path, daemon_environment,
                    plugin_folder, run_atomd, source, spoken)
from processes import (alive, descendants, open_files,  # noqa: F401
                       resident_kib, wait_process)
from wire import (Answer, Closed, Event, Headers, Metrics,  # noqa: F401
                  Stream, Wire, deltas, errors)

CI = os.environ.get("CI") == "true"
LOG_TAIL = 60

SANITIZER = re.compile(
    rb"(ERROR|WARNING): (Address|Leak|Thread|Memory)Sanitizer"
    rb"|runtime error: |AddressSanitizer:DEADLYSIGNAL"
    rb"|==\d+== (Invalid|definitely lost)")


class Skip(Exception):
    """Raised by a test that lacks something outside the project."""


def seconds(value):
    """A deadline in seconds, stretched for slow builds."""
    return value * FACTOR


def wait_for(predicate, deadline=10.0, what=None):
    """Polls until predicate() is true and returns its value."""
    end = time.monotonic() + seconds(deadline)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("still not after %g s: %s" % (
                seconds(deadline), what or predicate.__name__))
        time.sleep(0.01)


# --- configuration --------------------------------------------------------

# Samples come as often as they can: for what waits for one.
OFTEN = 'monitoring_interval = "1s";\n'
PIPE_BYTES = 1 << 20
ECHO = '{ name = "echo"; backend: { plugin = "echo"; }; }'


def quoted(text):
    """A libconfig string."""
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def string_list(items):
    return "[ %s ]" % ", ".join(quoted(item) for item in items)


def config(agents=ECHO, security='anonymous_role = "caller";', extra="",
           listeners=None):
    """A configuration; @DIR@ becomes the daemon's folder."""
    if isinstance(agents, (list, tuple)):
        agents = ",\n  ".join(agents)
    if listeners is None:
        listeners = ('{ address = "127.0.0.1:0"; },\n'
                     '  { address = "unix:@DIR@/admin.sock"; admin = true; }')
    return ('log_level = "debug";\nworkers = 2;\n'
            'state: { store = "sqlite"; directory = "@DIR@/state"; };\n'
            'listeners = (\n  %s );\nsecurity: { %s };\n%s\n'
            'agents = (\n  %s );\n' % (listeners, security, extra, agents))


def agent(name="echo", backend='plugin = "echo";', more=""):
    return '{ name = "%s"; backend: { %s };\n    %s }' % (name, backend, more)


def process_agent(name, command, backend="", more="", directory=None):
    """An agent served by a child process."""
    settings = 'plugin = "process"; command = %s; %s' % (
        string_list(command), backend)
    if directory:
        settings += " directory = %s;" % quoted(directory)
    return agent(name, settings, more)


# --- the daemon -----------------------------------------------------------

_alive = []


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """One atomd.  `with Daemon(text) as daemon:` starts it, waits until it
    is ready, and at the end stops it and checks that it left cleanly."""

    def __init__(self, text, files=None, env=None, args=(), wait="ready",
                 folder=None, pass_fds=(), wrapper=()):
        self.own_folder = folder is None
        self.folder = folder or Folder()
        self.env, self.args, self.wait = env or {}, list(args), wait
        self.pass_fds, self.wrapper = pass_fds, list(wrapper)
        self.process = None
        self.lines, self.raw = [], []
        self.port = self.admin_sock = None
        self.addresses = []
        self.grew = threading.Condition()
        for name, content in (files or {}).items():
            self.write(name, content)
        self.configure(text)

    # files

    @property
    def dir(self):
        return self.folder.path

    def write(self, name, content, mode=None):
        if isinstance(content, str):
            content = content.replace("@DIR@", self.dir)
        return self.folder.write(name, content, mode)

    def configure(self, text):
        self.config_file = self.write("atomd.conf", text)

    # life

    def start(self):
        self.lines, self.raw, self.addresses = [], [], []
        self.port = self.admin_sock = None
        self.process = subprocess.Popen(
            [*self.wrapper, atomd_path(), "-c", self.config_file,
             *self.args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=daemon_environment(**self.env),
            pass_fds=self.pass_fds, cwd=self.dir)
        _alive.append(self)
        # The daemon waits for no reader: what finds no room is lost.
        for pipe in (self.process.stderr, self.process.stdout):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.readers = [
            threading.Thread(target=self._read, args=(pipe,), daemon=True)
            for pipe in (self.process.stderr, self.process.stdout)]
        for reader in self.readers:
            reader.start()
        if self.wait == "listening":
            # There are several addresses, and orders go to this one.
            self.wait_line(lambda l: l.get("event") == "listening" and
                           l["address"].startswith("unix:"), 60,
                           "the admin socket")
        elif self.wait:
            self.wait_event(self.wait, deadline=60)
        return self

    def _read(self, pipe):
        for line in pipe:
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    entry = None
            except ValueError:
                entry = None
            with self.grew:
                self.raw.append(line)
                if entry is not None:
                    self.lines.append(entry)
                    if entry.get("event") == "listening":
                        self._listening(entry["address"])
                self.grew.notify_all()
        pipe.close()

    def _listening(self, address):
        self.addresses.append(address)
        if address.startswith("unix:"):
            self.admin_sock = self.admin_sock or address[5:]
        elif self.port is None:
            self.port = int(address.rsplit(":", 1)[1])

    def wait_line(self, matches, deadline=20, what="a log line"):
        """The first log line for which matches(line) holds."""
        end = time.monotonic() + seconds(deadline)
        seen = 0
        with self.grew:
            while True:
                for line in self.lines[seen:]:
                    if matches(line):
                        return line
                seen = len(self.lines)
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError("no %s after %g s" % (
                        what, seconds(deadline)))
                if self.process.poll() is not None and \
                        not any(r.is_alive() for r in self.readers):
                    raise AssertionError("the daemon ended with status %s "
                                         "before %s" % (
                                             self.process.returncode, what))
                self.grew.wait(min(left, 0.2))

    def wait_event(self, event, deadline=20):
        return self.wait_line(lambda line: line.get("event") == event,
                              deadline, "event %r" % event)

    def count_event(self, event):
        return sum(line.get("event") == event for line in self.lines)

    @property
    def log(self):
        """Everything it printed, as text."""
        return b"".join(self.raw).decode("utf-8", "replace")

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def limit_files(self, size=None):
        """Lets no file of the running daemon grow beyond so many bytes; None:
        any size again."""
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE,
                         (hard if size is None else size, hard))

    def stop(self, deadline=30):
        """SIGTERM; it must end with status 0 and leave no child."""
        assert self.running, "it had ended already: %s" % (
            self.process and self.process.returncode)
        children = descendants(self.pid)
        self.signal(signal.SIGTERM)
        try:
            status = wait_process(self.process, seconds(deadline))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)
            raise AssertionError("no end %g s after SIGTERM" % (
                seconds(deadline)))
        self._ended(children)
        assert status == 0, "exit status %s after SIGTERM" % status

    def wait_end(self, deadline=30):
        children = descendants(self.pid)
        status = wait_process(self.process, seconds(deadline))
        self._ended(children)
        return status

    def kill(self):
        """kill -9; its children must go too."""
        children = descendants(self.pid)
        self.process.kill()
        self.process.wait()
        self._ended(children)

    def _ended(self, children):
        if self in _alive:
            _alive.remove(self)
        wait_for(lambda: not any(map(alive, children)), 10,
                 "every child of the daemon is gone: %s" % sorted(
                     c for c in children if alive(c)))
        for reader in self.readers:
            reader.join(seconds(10))
        report = SANITIZER.search(b"".join(self.raw))
        assert not report, "sanitizer: " + self.log[
            max(0, report.start() - 200):report.start() + 4000]

    def clean(self):
        """Ends whatever is left, without judging it."""
        if self in _alive:
            _alive.remove(self)
        if self.running:
            self.process.kill()
            self.process.wait()
        if self.own_folder:
            self.folder.remove()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and self.process is not None \
                    and self in _alive:
                self.stop()
        except BaseException:
            keep_log(self)
            raise
        finally:
            if kind is not None:
                keep_log(self)
            self.clean()

    # talking

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def connection(self, admin=False, timeout=30):
        if admin:
            return UnixConnection(self.admin_sock, seconds(timeout))
        return http.client.HTTPConnection("127.0.0.1", self.port,
                                          timeout=seconds(timeout))

    def request(self, method, path, body=None, headers=None, key=None,
                admin=False, timeout=30):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if key:
            headers["Authorization"] = "Bearer " + key
        connection = self.connection(admin, timeout)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return Answer(reply.status, Headers(
                (n.lower(), v) for n, v in reply.getheaders()), reply.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def admin(self, method, path, body=None, **more):
        """A request over the admin socket."""
        return self.request(method, path, body, admin=True, **more)

    def chat(self, model, text, headers=None, key=None, timeout=30, **more):
        """A chat completion with one user message (or a message list)."""
        messages = text if isinstance(text, list) else [
            {"role": "user", "content": text}]
        return self.post("/v1/chat/completions",
                         {"model": model, "messages": messages, **more},
                         headers=headers, key=key, timeout=timeout)

    def invoke(self, name, value, key=None, timeout=30, **more):
        return self.post("/v1/agents/%s/invoke" % name,
                         {"input": value, **more}, key=key, timeout=timeout)

    def wire(self, content=b"", timeout=20, admin=False):
        """A raw connection, with these bytes sent."""
        if admin:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(seconds(timeout))
            sock.connect(self.admin_sock)
        else:
            sock = socket.create_connection(("127.0.0.1", self.port),
                                            seconds(timeout))
        return Wire(sock).send(content)

    def many(self, content, count):
        """The answers to a request sent so many times at once."""
        with self.wire(content * count) as wire:
            return [wire.answer() for _ in range(count)]

    def post_bytes(self, path, body, headers=None):
        """A request as it goes over the wire, connection kept."""
        lines = ["POST %s HTTP/1.1" % path,
                 "Host: 127.0.0.1:%d" % self.port,
                 "Content-Type: application/json"]
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        lines += ["%s: %s" % item for item in (headers or {}).items()]
        lines += ["Content-Length: %d" % len(body), "", ""]
        return "\r\n".join(lines).encode() + body

    def stream(self, path, body, headers=None, timeout=30):
        """Sends a streaming call and returns once the head is there."""
        return Stream(self.wire(self.post_bytes(path, body, headers),
                                timeout))

    def chat_stream(self, model, text, headers=None, timeout=30, **more):
        messages = text if isinstance(text, list) else [
            {"role": "user", "content": text}]
        return self.stream("/v1/chat/completions", {
            "model": model, "messages": messages, "stream": True, **more},
            headers, timeout)

    # looking

    def metrics(self):
        answer = self.admin("GET", "/metrics")
        assert answer.status == 200, answer
        assert answer.headers["content-type"].startswith("text/plain")
        return Metrics(answer.text)

    def status(self):
        answer = self.admin("GET", "/admin/v1/status")
        assert answer.status == 200, answer
        return answer.json

    def agents(self):
        answer = self.admin("GET", "/admin/v1/agents")
        assert answer.status == 200, answer
        listed = answer.json
        if isinstance(listed, dict):
            listed = listed.get("agents", listed.get("data"))
        return {entry["name"]: entry for entry in listed}

    def wait_ready(self, name, count, deadline=30):
        """Until `count` instances of an agent are ready."""
        return wait_for(
            lambda: self.agents()[name]["instances"]["ready"] == count,
            deadline, "%d ready instances of %s" % (count, name))

    def wait_idle(self, deadline=20):
        return wait_for(
            lambda: self.metrics().sum("atomd_inflight_requests") == 0,
            deadline, "no call in flight")

    def reload(self, text=None, deadline=20):
        """Reloads over the admin socket; the answer says how it went."""
        if text is not None:
            self.configure(text)
        return self.admin("POST", "/admin/v1/reload", {}, timeout=deadline)

    def atomctl(self, *args, stdin=None, env=None, timeout=30):
        more = {"ATOMD_URL": "unix:" + self.admin_sock}
        more.update(env or {})
        return subprocess.run(
            [atomctl_path(), *args], env=daemon_environment(**more),
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=seconds(timeout), check=False)


# --- running --------------------------------------------------------------

_tests = []
_last_logs = []


def keep_log(daemon):
    _last_logs.append((daemon.process and daemon.process.returncode,
                       list(daemon.raw[-LOG_TAIL:])))


def test(function):
    _tests.append(function)
    return function


def _diagnose(text):
    for line in text.rstrip("\n").split("\n"):
        print("# " + line)


def _alarm(_number, _frame):
    raise AssertionError("the test took longer than its deadline")


def run(deadline=180):
    """Runs the tests of the calling file and exits."""
    words = sys.argv[1:]
    chosen = [t for t in _tests
              if not words or any(w in t.__name__ for w in words)]
    print("1..%d" % len(chosen))
    failed = 0
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ").strip()
        del _last_logs[:]
        signal.alarm(int(seconds(getattr(function, "deadline", deadline))))
        started = time.monotonic()
        try:
            function()
            outcome, note = "ok", ""
        except Skip as skip:
            outcome = "not ok" if CI else "ok"
            note = "" if CI else " # SKIP %s" % skip
            if CI:
                _diagnose("missing in CI: %s" % skip)
        except BaseException as error:
            outcome, note = "not ok", ""
            signal.alarm(0)
            _diagnose(traceback.format_exc())
            for daemon in list(_alive):
                keep_log(daemon)
            for status, log in _last_logs[:3]:
                _diagnose("--- log of a daemon (status %s)" % status)
                _diagnose(b"".join(log).decode("utf-8", "replace"))
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            signal.alarm(0)
            for daemon in list(_alive):
                daemon.clean()
        failed += outcome == "not ok"
        print("%s %d - %s%s" % (outcome, number, name, note))
        print("# %.1f s" % (time.monotonic() - started), flush=True)
    sys.exit(1 if failed else 0)
