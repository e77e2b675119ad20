#!/usr/bin/env python3
"""Every route, every method, every sort of caller: who gets what.

The answers stand in matrix.golden, one line a method and path, callers with
the same answer together.  A route that is added, or a permission that is
changed, shows there as a line that differs; look at it, and then

    tests/run tests/scenario/test_matrix.py --write

puts the new file into the source tree.
"""

import difflib
import json
import re
import sys

from atomd_test import (Daemon, agent, config, process_agent, run, source,
                        test, wait_for)

WRITE = "--write" in sys.argv
if WRITE:
    sys.argv.remove("--write")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
GOLDEN = "tests/scenario/matrix.golden"

# What stands for {name}s, by the path in front of it; and bodies that mean
# something.  Everything else gets {}.
SAMPLES = {"/v1/agents/{name}": "echo", "/v1/models/{name}": "echo",
           "/admin/v1/agents/{name}": "echo",
           "/admin/v1/plugins/{kind}": "backend",
           "/admin/v1/plugins/backend/{name}": "echo"}
BODIES = {"/v1/chat/completions": {
              "model": "echo",
              "messages": [{"role": "user", "content": "x"}]},
          "/v1/agents/echo/invoke": {"input": "x"}}

SECURITY = """
    lockout: { failures = 0; };
    roles = ( { name = "watcher"; permissions = [ "view_metrics" ]; },
              { name = "keeper"; permissions = [ "modify_config" ]; },
              { name = "empty"; permissions = [ ]; } );
"""

# Asks what it is told to ask, at the socket that it is told.
ASKER = r"""
import http.client, json, os, socket
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host_path)
s = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
f = s.makefile("rw")
f.write('{"op":"ready","protocol":1,"name":"f","version":"1",'
        '"concurrency":1,"caps":[],"agents":{}}\n'); f.flush()
for line in f:
    call = json.loads(line)
    if call["op"] != "call":
        continue
    told = []
    for method, path, body in call["input"]["requests"]:
        c = Unix("localhost", timeout=30)
        c.host_path = call["input"]["socket"]
        c.request(method, path, body, {"Content-Type": "application/json"})
        reply = c.getresponse()
        told.append([reply.status, reply.read().decode()[:4096]])
        c.close()
    f.write(json.dumps({"op": "result", "id": call["id"],
                        "output": {"told": told}}) + "\n"); f.flush()
"""


def filled(pattern):
    """A path that fits the pattern."""
    path = ""
    for segment in pattern.strip("/").split("/"):
        if segment.startswith("{"):
            segment = SAMPLES.get(path + "/" + segment, "nothere")
        path += "/" + segment
    return path


def outcome(status, text):
    try:
        code = json.loads(text)["error"]["code"] if status >= 400 else ""
    except ValueError:
        code = ""
    return "%d %s" % (status, code) if code else str(status)


def requests_of(patterns):
    for pattern in sorted(patterns):
        path = filled(pattern)
        for method in METHODS:
            yield method, pattern, path, json.dumps(BODIES.get(path, {}))


def ask_all(daemon, asked, headers, admin=False):
    connection = daemon.connection(admin)
    told = []
    for method, _, path, body in asked:
        connection.request(method, path, body, {
            "Content-Type": "application/json", **headers})
        reply = connection.getresponse()
        told.append(outcome(reply.status, reply.read()))
    connection.close()
    return told


def ask_from_a_worker(daemon, asked):
    answer = daemon.admin("POST", "/v1/agents/asker/invoke", {"input": {
        "socket": daemon.admin_sock,
        "requests": [[m, path, body] for m, _, path, body in asked]}})
    assert answer.status == 200, answer
    return [outcome(*one) for one in answer.json["output"]["told"]]


def keys_of(daemon):
    """Bearers by the name of the caller."""
    def make(role, **more):
        answer = daemon.admin("POST", "/admin/v1/keys",
                              {"role": role, **more})
        assert answer.status == 201, answer
        return answer.json
    revoked, rotated = make("admin"), make("admin")
    expired = make("admin", expires="1s")
    daemon.admin("DELETE", "/admin/v1/keys/" + revoked["id"])
    daemon.admin("POST", "/admin/v1/keys/%s/rotate" % rotated["id"],
                 {"grace": 0})
    wait_for(lambda: daemon.get("/v1/models", key=expired["key"]
                                ).status == 401, 20, "expired")
    # Sound, and of nobody: the digits are what any CRC-32 says.
    unknown = "atm_" + "0" * 12 + "_" + "0" * 43 + "31FQpV"
    keys = {"foreign": "sk-0123", "malformed": "atm_x_y",
            "unknown": unknown, "revoked": revoked["key"],
            "expired": expired["key"], "rotated-out": rotated["key"]}
    for role in ("admin", "operator", "read_only", "caller", "watcher",
                 "keeper", "empty"):
        keys[role] = make(role)["key"]
    keys["caller-of-another"] = make("caller", agents=["other"])["key"]
    keys["admin-of-another"] = make("admin", agents=["other"])["key"]
    return keys


def render(asked, table):
    """One line a request: answers, and who gets them."""
    lines = []
    for at, (method, pattern, _, _) in enumerate(asked):
        groups = {}
        for caller, told in table.items():
            groups.setdefault(told[at], []).append(caller)
        if len(groups) == 1:
            groups = {next(iter(groups)): ["everybody"]}
        lines.append("%-7s %s\n" % (method, pattern) + "".join(
            "        %s: %s\n" % (told, " ".join(callers))
            for told, callers in sorted(groups.items())))
    return "".join(lines)


@test
def every_route_answers_every_caller_as_it_is_written_down():
    text = config(agents=[agent("echo"), agent("other"), process_agent(
        "asker", [sys.executable, "-c", ASKER])], security=SECURITY)
    with Daemon(text) as daemon:
        patterns = daemon.get("/openapi.json").json["paths"]
        asked = list(requests_of(patterns))
        table = {"nobody": ask_all(daemon, asked, {})}
        for caller, key in keys_of(daemon).items():
            table[caller] = ask_all(daemon, asked, {
                "Authorization": "Bearer " + key})
        table["unix-peer"] = ask_all(daemon, asked, {}, admin=True)
        table["worker"] = ask_from_a_worker(daemon, asked)
    made = render(asked, table)
    path = source(GOLDEN)
    if WRITE:
        with open(path, "w", encoding="utf-8") as golden:
            golden.write(made)
        return
    with open(path, encoding="utf-8") as golden:
        expected = golden.read()
    assert made == expected, "\n" + "".join(difflib.unified_diff(
        expected.splitlines(True), made.splitlines(True), GOLDEN, "now")
    ) + "\nif that is right: test_matrix.py --write"


@test
def the_description_that_the_matrix_is_made_of_has_every_row_of_the_table():
    with open(source("runtime/gateway/routes.c"), encoding="utf-8") as table:
        text = table.read()
    rows = set(re.findall(r'\.method = "(\w+)",\s*\.pattern = "([^"]+)"',
                          text))
    rows |= set(re.findall(r'LATER\("(\w+)",\s*"([^"]+)"', text))
    assert len(rows) > 40, rows
    with Daemon(config()) as daemon:
        paths = daemon.get("/openapi.json").json["paths"]
    described = {(method.upper(), pattern)
                 for pattern, operations in paths.items()
                 for method in operations if method != "parameters"}
    assert described == rows, described ^ rows


def lines_of_golden():
    """(method, pattern): {answer: callers}."""
    table, row = {}, None
    with open(source(GOLDEN), encoding="utf-8") as golden:
        for line in golden.read().splitlines():
            if not line.startswith(" "):
                row = table.setdefault(tuple(line.split()), {})
            else:
                told, callers = line.strip().split(": ")
                row[told] = callers.split()
    return table


@test
def what_is_written_down_lets_nobody_in_who_has_no_sound_credential():
    public = {"/", "/docs", "/healthz", "/readyz", "/openapi.json"}
    outside = {"nobody", "foreign", "malformed", "unknown", "revoked",
               "expired", "rotated-out", "worker", "everybody"}
    for (method, pattern), row in lines_of_golden().items():
        for told, callers in row.items():
            status = int(told.split()[0])
            if status < 400 and outside & set(callers):
                assert pattern in public, (method, pattern, told, callers)
            if "worker" in callers:
                assert pattern in public or status in (403, 404, 405), (
                    method, pattern, told)
            if outside & set(callers) and pattern not in public:
                assert status in (401, 403, 404, 405), (
                    method, pattern, told, callers)


if __name__ == "__main__":
    run()
