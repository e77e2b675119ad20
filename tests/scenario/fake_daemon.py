"""A daemon that says what a test tells it to, for the tests of atomctl.

It speaks the routes that atomctl uses, over a unix socket or TCP, and keeps
what it was asked.  A test replaces a route to see what atomctl makes of an
answer that a real daemon gives only on a bad day.

    with FakeDaemon() as fake:
        fake.routes["GET", "/admin/v1/status"] = lambda call: call.json(STATUS)
        done = fake.atomctl("status")
"""

import http.server
import json
import socket
import socketserver
import threading
import urllib.parse

from atomctl_test import ctl_environment, run_atomctl
from atomd_test import Folder, seconds

KEY = "atm_k1_0123456789abcdef"

STATUS = {
    "system_status": "operational",
    "components": [{"name": "store", "status": "ok",
                    "since": "2026-01-02T03:04:05.678Z", "last_error": None}],
    "initialization_results": {
        "core_orchestrator": {"status": "success", "details": "2 loops"},
        "monitoring_system": {"status": "success", "details": ""},
        "security_layer": {"status": "success", "details": {"roles": 4}},
        "health_checks": {"status": "failed", "details": "no probe"}},
    "configuration": {"environment": "staging", "max_agents": 100,
                      "monitoring_enabled": True}}


def agent(name, **more):
    shape = {"name": name, "revision": 3,
             "instances": {"desired": 2, "ready": 1, "starting": 1,
                           "draining": 0},
             "in_flight": 4, "queued": 5,
             "split": [{"revision": 3, "weight": 9500},
                       {"revision": 4, "weight": 500}],
             "backend": "process", "origin": "file", "drift": False,
             "calls_total": 120, "errors_total": 7, "p50_ms": 12.34,
             "p95_ms": 1500.0}
    shape.update(more)
    return shape


AGENTS = [agent("echo", drift=True, p50_ms=None, p95_ms=None),
          agent("profiler", origin="api")]

SETTINGS = {"backend": {"plugin": "process", "command": ["python3", "a.py"],
                        "api_key": "***"},
            "max_tokens": 400}

PLUGINS = [
    {"name": "process", "kind": "backend", "version": "0.1.0", "abi": "1.0",
     "path": "/usr/lib/atomd/plugins/backend-process.so", "state": "active",
     "calls": 12, "last_error": None},
    {"name": "shout", "kind": "", "version": "", "abi": "2.0",
     "path": "/opt/shout.so", "state": "refused", "calls": 0,
     "last_error": "built for plugin ABI 2.0, this atomd speaks 1.0"}]

PLUGIN = {"name": "process", "kind": "backend", "version": "0.1.0",
          "license": "Apache-2.0", "abi": "1.0", "path": "/p.so",
          "summary": "an agent in a child process", "options": [
              {"name": "command", "type": "list of string", "default": None,
               "min": None, "max": None, "unit": "", "required": True,
               "secret": False, "reloadable": False,
               "help": "program and arguments", "choices": []},
              {"name": "transport", "type": "choice", "default": "fd3",
               "min": None, "max": None, "unit": "", "required": False,
               "secret": False, "reloadable": True, "help": "the way in",
               "choices": ["fd3", "stdio"]},
              {"name": "limits", "type": "list of group", "default": None,
               "min": None, "max": None, "unit": "", "required": False,
               "secret": False, "reloadable": False, "help": "bounds",
               "choices": [], "options": [
                   {"name": "memory", "type": "int", "default": 64, "min": 1,
                    "max": 4096, "unit": "MiB", "required": False,
                    "secret": False, "reloadable": False,
                    "help": "of one child", "choices": []}]}]}

KEYS = [{"id": "k1", "role": "caller", "agents": ["echo", "profiler"],
         "expires": None, "created": "2026-01-02T03:04:05.678Z",
         "created_by": "root", "last_used": None, "state": "active",
         "name": "ci"}]

LOGS = [{"time": "2026-01-02T03:04:05.678Z", "level": "info",
         "event": "ready", "message": "serving", "agents": 2},
        {"time": "2026-01-02T03:04:06.000Z", "level": "error",
         "event": "worker_lost", "agent": "echo", "why": "signal 9"}]

LIBCONFIG = 'agents = ( { name = "echo"; backend: { plugin = "echo"; }; } );\n'


class Call:
    """One request, and the ways to answer it."""

    def __init__(self, handler, body):
        self.handler = handler
        self.method = handler.command
        url = urllib.parse.urlsplit(handler.path)
        self.raw_path, self.path = url.path, urllib.parse.unquote(url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        self.headers = handler.headers
        self.body = body
        self.closed = threading.Event()

    @property
    def sent(self):
        return json.loads(self.body) if self.body else None

    def answer(self, status, kind, body):
        handler = self.handler
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("x-request-id", "req_test")
        handler.end_headers()
        handler.wfile.write(body)

    def json(self, value, status=200):
        self.answer(status, "application/json", json.dumps(value).encode())

    def error(self, status, code, message):
        self.json({"error": {"message": message, "type": "t", "code": code,
                             "param": None}}, status)

    def begin(self, kind="text/event-stream"):
        """A chunked answer; go on with `chunk` and `end`."""
        handler = self.handler
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("x-request-id", "req_test")
        handler.end_headers()

    def chunk(self, text):
        piece = text.encode()
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def event(self, value, name=None):
        self.chunk(("event: %s\n" % name if name else "")
                   + "data: %s\n\n" % json.dumps(value))

    def end(self):
        self.handler.wfile.write(b"0\r\n\r\n")

    def cut(self):
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def wait_for_client_to_leave(self, deadline=20):
        """True when the client closed its end."""
        self.handler.connection.settimeout(seconds(deadline))
        try:
            return self.handler.rfile.read(1) == b""
        except ConnectionResetError:
            return True
        finally:
            self.handler.close_connection = True


def answer_invoke(call):
    name = call.path.split("/")[3]
    if name not in ("echo", "profiler"):
        call.error(404, "agent_not_found", "no agent is named %s" % name)
        return
    text = call.sent["input"]
    end = {"output": text, "usage": {"input_tokens": 3, "output_tokens": 2},
           "agent": name, "revision": 3,
           "session_id": call.sent.get("session_id"),
           "request_id": "req_test"}
    if not call.sent.get("stream"):
        call.json(end)
        return
    call.begin()
    call.chunk(": heartbeat\n\n")
    for at in range(0, len(text), 3):
        call.event({"delta": text[at:at + 3]})
    call.event(end)
    call.chunk("data: [DONE]\n\n")
    call.end()


def answer_agent(call):
    name = call.path.rsplit("/", 1)[1]
    if name not in ("echo", "profiler"):
        call.error(404, "agent_not_found", "no agent is named %s" % name)
    elif call.query.get("format") == "libconfig":
        call.answer(200, "text/plain; charset=utf-8", LIBCONFIG.encode())
    else:
        call.json(agent(name, settings=SETTINGS))


def answer_logs(call):
    lines = "".join(json.dumps(line) + "\n" for line in LOGS)
    call.answer(200, "application/x-ndjson", lines.encode())


def answer_create_key(call):
    call.json({"id": "k2", "key": KEY, "role": call.sent["role"],
               "expires": "2026-02-01T00:00:00.000Z"})


def answer_rotate_key(call):
    call.json({"id": "k1", "key": KEY, "role": "caller", "expires": None,
               "old_secret_ends": "2026-01-02T00:00:00.000Z"})


def routes():
    """(method, path or its beginning when it ends in a slash): answer."""
    return {
        ("GET", "/admin/v1/status"): lambda call: call.json(STATUS),
        ("GET", "/admin/v1/agents"): lambda call: call.json(
            {"agents": AGENTS}),
        ("GET", "/admin/v1/agents/"): answer_agent,
        ("POST", "/admin/v1/agents/"): lambda call: call.json({"ok": True}),
        ("GET", "/admin/v1/plugins"): lambda call: call.json(
            {"plugins": PLUGINS}),
        ("GET", "/admin/v1/plugins/"): lambda call: call.json(PLUGIN),
        ("POST", "/admin/v1/reload"): lambda call: call.json(
            {"changed": ["echo"], "added": [], "removed": ["old", "older"],
             "unchanged": 4}),
        ("GET", "/admin/v1/logs"): answer_logs,
        ("GET", "/admin/v1/keys"): lambda call: call.json({"keys": KEYS}),
        ("POST", "/admin/v1/keys"): answer_create_key,
        ("POST", "/admin/v1/keys/"): answer_rotate_key,
        ("DELETE", "/admin/v1/keys/"): lambda call: call.json({}),
        ("POST", "/admin/v1/audit/prune"): lambda call: call.json(
            {"removed": 70, "sequence": 70}),
        ("POST", "/v1/agents/"): answer_invoke,
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = False

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        call = Call(self, self.rfile.read(length))
        fake = self.server.fake
        with fake.grew:
            fake.calls.append(call)
            fake.grew.notify_all()
        folder = call.path
        found = fake.routes.get((call.method, folder))
        while not found and folder.count("/") > 1:
            folder = folder.rstrip("/").rsplit("/", 1)[0] + "/"
            found = fake.routes.get((call.method, folder))
        try:
            if found:
                found(call)
            else:
                call.error(404, "not_found", "no such route")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        call.closed.set()

    do_GET = do_POST = do_DELETE = _serve

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UnixServer(_Server):
    address_family = socket.AF_UNIX


class FakeDaemon:
    def __init__(self, unix=True):
        self.folder = Folder()
        self.calls, self.grew = [], threading.Condition()
        self.routes = routes()
        if unix:
            path = self.folder.at("admin.sock")
            self.server = _UnixServer(path, _Handler)
            self.url = "unix:" + path
        else:
            self.server = _Server(("127.0.0.1", 0), _Handler)
            self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        self.folder.remove()

    def wait_calls(self, count, deadline=20):
        """Until so many calls came; answers the last of them."""
        with self.grew:
            assert self.grew.wait_for(lambda: len(self.calls) >= count,
                                      seconds(deadline)), self.calls
            return self.calls[count - 1]

    def environment(self, **more):
        env = ctl_environment(ATOMD_URL=self.url, **more)
        env.setdefault("TERM", "xterm")
        return env

    def atomctl(self, *args, stdin=b"", env=None, timeout=30):
        return run_atomctl(*args, stdin=stdin, timeout=timeout,
                           env=self.environment(**(env or {})))
