"""What a tortured daemon is doing while a call of it fails.

A scene has `act(daemon)`, which does its work once and may meet any clear
error, and `check(daemon)`, which does it again without a fault and may not.
"""

import contextlib
import functools
import http.client
import http.server
import itertools
import json
import sys
import threading
import time

from atomd_test import config, string_list, wait_for

# An answer, or a closed connection: both are an end that a client can tell
# from a hang.
CUT = (ConnectionError, http.client.HTTPException, EOFError)
WAIT = 15

WORKER = r'''
import json, os, socket

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


send(op="ready", protocol=1, name="w", version="1", concurrency=1)
for line in sock.makefile("rb"):
    call = json.loads(line)
    if call["op"] == "call":
        send(op="result", id=call["id"], output=os.environ["NAME"])
'''

ECHO = '{ name = "echo"; backend: { plugin = "echo"; }; memory: { }; }'
AUDIT = ('audit_sinks = ( { plugin = "file"; path = "@DIR@/audit";'
         ' required = true; } );')


def deployed(name):
    return ('backend: { plugin = "process"; command = %s;\n'
            '  env: { NAME = "%s"; }; };\n'
            'instances: { min = 1; max = 1; concurrency = 1; };\n'
            'deployment: { plugin = "canary"; judge = "none"; hold = "1ms";\n'
            '  rollback_window_ms = 0; };' % (
                string_list([sys.executable, "@DIR@/worker.py"]), name))


class Scene:
    name = ""
    files = {}
    text = config(ECHO, extra=AUDIT).replace("workers = 2", "workers = 1")

    refusal = ""

    def told(self, answer):
        """Its status; a refusal says why, as every error of the API does."""
        self.refusal = ""
        if answer.status >= 400:
            said = json.loads(answer.body)["error"]
            assert said["message"] and said["code"], answer
            self.refusal = said["message"]
        return answer.status

    def act(self, daemon):
        """One turn, a fault in it or not; its HTTP status, or "cut"."""
        raise NotImplementedError

    def check(self, daemon):
        """One turn that has to work; a store or a log that failed is tried
        again by itself, and says meanwhile that it is not there."""
        until = time.monotonic() + WAIT
        status = self.act(daemon)
        while status == 503 and time.monotonic() < until:
            time.sleep(0.05)
            status = self.act(daemon)
        assert status in (200, 202), "without a fault: %s %s" % (
            status, self.refusal)


class Call(Scene):
    name = "call"
    agent = "echo"

    def act(self, daemon):
        try:
            answer = daemon.request(
                "POST", "/v1/chat/completions", {
                    "model": self.agent, "user": "u", "messages": [
                        {"role": "user", "content": "hello"}]},
                timeout=WAIT)
        except CUT:
            return "cut"
        status = self.told(answer)
        if status == 200:
            said = answer.json["choices"][0]["message"]["content"]
            assert said == "hello", said
        return status


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers "hello", and closes: each turn makes a connection."""

    ANSWER = json.dumps({"choices": [{"index": 0, "message": {
        "role": "assistant", "content": "hello"}}]}).encode()

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_POST(self):  # pylint: disable=invalid-name
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.ANSWER)))
        self.end_headers()
        self.wfile.write(self.ANSWER)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    @staticmethod
    @functools.lru_cache(maxsize=None)
    def port():
        """Of the one that all daemons ask."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1]


class Upstream(Call):
    """A call to a provider with two addresses, of which one refuses."""

    name = "upstream"
    agent = "asks"

    def __init__(self):
        self.text = config(
            '{ name = "asks"; backend: { plugin = "openai"; '
            'base_url = "http://localhost:%d"; }; }' % Provider.port(),
            extra=AUDIT).replace("workers = 2", "workers = 1")


class Stream(Scene):
    name = "stream"

    def act(self, daemon):
        """Whole to its [DONE], or with an error event, or cut: never an
        answer that looks whole and is not."""
        try:
            answer = daemon.request(
                "POST", "/v1/chat/completions", {
                    "model": "echo", "stream": True, "messages": [
                        {"role": "user", "content": "one two three"}]},
                timeout=WAIT)
        except CUT:
            return "cut"
        if answer.status != 200:
            return self.told(answer)
        text = ""
        events = [line[6:] for line in answer.text.split("\n")
                  if line.startswith("data: ")]
        for event in events:
            if event == "[DONE]":
                assert text == "one two three", events
                return 200
            said = json.loads(event)
            if "error" in said:
                return "error event"
            for choice in said["choices"]:
                text += choice["delta"].get("content") or ""
        raise AssertionError("quietly cut short: %r" % answer.text)


class Reload(Scene):
    name = "reload"
    turn = itertools.count()

    def act(self, daemon):
        more = ECHO.replace("memory: { };", "memory: { }; instances: "
                            "{ max = %d; };" % (1 + next(self.turn) % 2))
        text = config([more], extra=AUDIT).replace("workers = 2",
                                                   "workers = 1")
        daemon.configure(text)
        try:
            return self.told(daemon.admin("POST", "/admin/v1/reload", {},
                                     timeout=WAIT))
        except CUT:
            return "cut"


class Audit(Scene):
    """An order of an operator, on record before it is answered."""

    name = "audit"

    def __init__(self):
        self.acknowledged = []

    def act(self, daemon):
        try:
            answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                                  {"instances": 1}, timeout=WAIT)
        except CUT:
            return "cut"
        status = self.told(answer)
        if status == 200:
            self.acknowledged.append(answer.headers["x-request-id"])
        return status


class Rollout(Scene):
    """A deployment, from its order to its end."""

    name = "rollout"
    files = {"worker.py": WORKER}
    text = config('{ name = "w"; %s }' % deployed("r0"),
                  extra=AUDIT).replace("workers = 2", "workers = 1")
    turn = itertools.count(1)

    def act(self, daemon):
        name = "r%d" % next(self.turn)
        try:
            status = self.told(daemon.admin(
                "POST", "/admin/v1/agents/w/deployments", {
                    "config": deployed(name).replace("@DIR@", daemon.dir),
                    "supersede": True}, timeout=WAIT))
        except CUT:
            return "cut"
        self.settle(daemon)
        return status

    @staticmethod
    def settle(daemon):
        def settled():
            try:
                answer = daemon.admin("GET", "/admin/v1/agents",
                                      timeout=WAIT)
            except CUT:
                return False
            if answer.status != 200:
                return False
            row = {a["name"]: a for a in answer.json["agents"]}["w"]
            assert sum(s["weight"] for s in row["split"]) == 10000, row
            return len(row["split"]) == 1 and \
                row["instances"]["ready"] == 1
        wait_for(settled, 30, "one revision, one instance")

    def check(self, daemon):
        super().check(daemon)
        answer = daemon.invoke("w", "x")
        assert answer.status == 200, answer


SCENES = (Call, Upstream, Stream, Reload, Audit, Rollout)

