"""Workers that are a few lines of Python, which speak the worker protocol line
by line; what they say and whether they live."""

import sys

from atomd_test import Daemon, config, descendants, process_agent

# A worker's own part comes behind this.
PRELUDE = r'''
import json, os, signal, sys, time
wire = int(os.environ.get("ATOM_WORKER_FD", "1"))
lines = os.fdopen(os.dup(wire if wire > 1 else 0), encoding="utf-8")
def raw(text):
    data = text if isinstance(text, bytes) else text.encode()
    while data:
        data = data[os.write(wire, data):]
def say(op, **members):
    raw(json.dumps(dict(op=op, **members)) + "\n")
def note(*words):
    print(*words, file=sys.stderr, flush=True)
def ready(concurrency=1, caps=(), **more):
    say("ready", protocol=1, name="w", version="1", concurrency=concurrency,
        caps=list(caps), agents={}, **more)
def hear():
    for line in lines:
        yield json.loads(line)
def calls():
    for message in hear():
        if message["op"] == "call":
            yield message
'''


def worker(script, options="", instances=1, concurrency=1, more="",
           name="w", python=sys.executable):
    return process_agent(
        name, [python, "-c", PRELUDE + script], options,
        "instances: { min = %d; max = %d; concurrency = %d; }; %s" % (
            instances, max(instances, 1), concurrency, more))


def serving(script, **more):
    return Daemon(config(agents=worker(script, **more)))


def said(daemon, text, what=None):
    """Waits until a worker has written this to its stderr."""
    return daemon.wait_line(lambda l: l.get("event") == "worker_output"
                            and l["message"] == text,
                            what=what or "the worker's %r" % text)


def outputs(daemon):
    return [l["message"] for l in daemon.lines
            if l.get("event") == "worker_output"]


def pids(daemon):
    return {p for p, _ in descendants(daemon.pid)}
