"""What `chaos` disturbs: one daemon, its agents, their callers, an operator.

    calm        an echo that nothing is done to: each call has to be answered
    worker      child processes, which are killed and scaled
    upstream    an OpenAI-compatible server of ours, which misbehaves
    rolled      an echo whose revisions come, go and are gone back to
"""

import contextlib
import http.client
import json
import os
import struct
import subprocess
import sys
import threading
import time

from atomd_test import (Daemon, agent, config, descendants, open_files,
                        resident_kib, string_list, wait_for)
from callers import documented
from places import source
from wire import Metrics

# Calls that an agent has at its backend at once, at the most.
LIMITS = {"calm": 8, "worker": 8, "upstream": 6, "rolled": 8}
CALLERS = {
    "calm": {"threads": 2, "rate": 60, "streams": 0.3, "anew": 0},
    "worker": {"threads": 4, "rate": 30},
    "upstream": {"threads": 8, "rate": 50},
    "rolled": {"threads": 3, "rate": 60, "before": "r[0-9]+ "},
}
MOST_WORKERS = 4
WORKER = r'''
import json, os, socket, threading, time

sock = socket.socket(fileno=int(os.environ["ATOM_WORKER_FD"]))
lock, under_way = threading.Lock(), 0


def send(**message):
    sock.sendall(json.dumps(message).encode() + b"\n")


def serve(call):
    global under_way
    words = call["input"].split()
    for word in words:
        with lock:
            send(op="chunk", id=call["id"], data=word + " ")
        time.sleep(0.004)
    with lock:
        under_way -= 1
        send(op="result", id=call["id"], output=" ".join(words) + " ")


send(op="ready", protocol=1, name="w", version="1", concurrency=2,
     caps=["stream"])
for line in sock.makefile("rb"):
    call = json.loads(line)
    if call["op"] == "call":
        with lock:
            under_way += 1
            if under_way > 2:
                print("CHAOS: %d calls at once" % under_way, flush=True)
        threading.Thread(target=serve, args=(call,), daemon=True).start()
    elif call["op"] == "ping":
        with lock:
            send(op="pong", n=call["n"])
'''
CUT = (ConnectionError, http.client.HTTPException, EOFError)
# What fails is tried again within a minute: the history of metrics at its next
# sample after one.
WELL_S = 100
LOOK_S = 0.2


def build(folder, name, *how):
    """The program or library of `name`.c."""
    made = os.path.join(folder, name + ".built")
    subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O2",
                    "-D_GNU_SOURCE", *how, "-o", made,
                    source("tests", "torture", name + ".c")], check=True)
    return made


class Processors:
    """One for the daemon and the agent that nothing is done to, the others for
    all that disturbs: a process that starts is not to be taken for what the
    daemon adds.  Where there is but one, all share it."""

    def __init__(self, folder):
        there = sorted(os.sched_getaffinity(0))
        self.mover = build(folder.path, "elsewhere", "-static")
        self.own, self.rest = {there[0]}, set(there[1:]) or {there[0]}
        os.sched_setaffinity(0, self.rest)

    @contextlib.contextmanager
    def alone(self):
        """What is started meanwhile has the first one."""
        os.sched_setaffinity(0, self.own)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self.rest)

    def elsewhere(self, command):
        """A command of the daemon's that shall not be where it is."""
        return [self.mover, ",".join(map(str, sorted(self.rest))), *command]


class Refused(Exception):
    """An order that was answered by a documented error."""


class Calls:
    """What the callers of one agent told."""

    def __init__(self, name):
        self.name, self.all = name, []
        self.lock = threading.Lock()

    def add(self, call):
        with self.lock:
            self.all.append(call)

    def answered(self):
        return [c for c in self.all if c["status"]]

    def of(self, how):
        return [c for c in self.all if c["how"] == how]


class World:
    def __init__(self, options, folder, mock):
        self.options, self.folder, self.mock = options, folder, mock
        self.processors = options.processors
        # What the agent `rolled` is now, and what it is in the file.
        self.rolled = self.filed = {"prefix": 1, "hold": "0"}
        self.knob = 5000
        self.calls = {name: Calls(name) for name in LIMITS}
        self.codes = documented()
        self.clock = folder.write("clock", b"\0" * 8)
        folder.write("worker.py", WORKER)
        self.daemon = Daemon(self.text(), folder=folder, env={
            "LD_PRELOAD": build(folder.path, "clock", "-fPIC", "-shared"),
            "CHAOS_CLOCK": self.clock})
        self.processes, self.readers = [], []
        self.workers = 2
        # Request ids of orders that were answered 2xx.
        self.acknowledged = []
        self.keys, self.revoked, self.doubtful = {}, set(), set()
        self.revisions = set()

    def next_revision(self, hold):
        return {"prefix": self.rolled["prefix"] + 1, "hold": hold}

    def text(self):
        """The configuration as it is to be now."""
        return config(
            [agent("calm"), self.worker_agent(), self.upstream_agent(),
             '{ name = "rolled"; %s }' % self.rolled_body(self.filed)],
            extra='audit_sinks = ( { plugin = "file"; '
            'path = "@DIR@/audit"; required = true; } ); '
            'token_limit = %d;' % self.knob).replace('"debug"', '"info"')

    def worker_agent(self):
        return agent("worker", 'plugin = "process"; command = %s;' %
                     string_list(self.processors.elsewhere(
                         [sys.executable, self.folder.at("worker.py")])),
                     "instances: { min = 2; max = %d; concurrency = 2; };"
                     " queue: { depth = 100; timeout_ms = 20000; };" %
                     MOST_WORKERS)

    def upstream_agent(self):
        return agent("upstream", 'plugin = "openai"; base_url = "%s";' %
                     self.mock.url, "instances: { min = 1; max = 1; "
                     "concurrency = %d; }; timeouts: { first_token_ms = 10000;"
                     " stall_ms = 10000; total_ms = 20000; };"
                     " queue: { timeout_ms = 30000; };" %
                     LIMITS["upstream"])

    @staticmethod
    def rolled_body(settings):
        return ('backend: { plugin = "echo"; prefix = "r%d "; };\n'
                'rate_limits: { concurrent = %d; };\n'
                'instances: { min = 1; max = 1; concurrency = 100; };\n'
                'deployment: { plugin = "canary"; judge = "none"; '
                'hold = "%s"; rollback_window_ms = 60000; };' % (
                    settings["prefix"], LIMITS["rolled"], settings["hold"]))

    # --- callers

    def begin_calls(self):
        for name, more in CALLERS.items():
            settings = {"port": self.daemon.port, "agent": name, "anew": 5,
                        "seed": self.options.seed, "streams": 0.5,
                        "before": "", **more}
            with self.processors.alone() if name == "calm" else \
                    contextlib.nullcontext():
                process = subprocess.Popen(
                    [sys.executable, source("tests", "torture", "callers.py"),
                     json.dumps(settings)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            reader = threading.Thread(
                target=self.read_calls, args=(process, self.calls[name]),
                daemon=True)
            reader.start()
            self.processes.append(process)
            self.readers.append(reader)
        wait_for(lambda: all(len(c.of("ok")) > 10
                             for c in self.calls.values()), 60,
                 "answers of every agent")

    @staticmethod
    def read_calls(process, calls):
        for line in process.stdout:
            calls.add(json.loads(line))

    def end_calls(self):
        for process in self.processes:
            process.stdin.close()
        for reader in self.readers:
            reader.join(200)
        for process in self.processes:
            process.wait(30)
            process.stdout.close()
        self.processes = []

    def kill_callers(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def ask(self, name):
        """A call of our own, counted like theirs."""
        began, told = time.monotonic(), {
            "how": "cut", "said": "", "status": 0, "stream": False,
            "id": None}
        try:
            answer = self.daemon.chat(name, "conductor end")
            told.update(how="ok" if answer.status == 200 else "refused",
                        status=answer.status,
                        id=answer.headers["x-request-id"])
            return answer
        except (*CUT, OSError) as e:
            told["said"] = repr(e)
            raise
        finally:
            self.calls[name].add({**told, "began": began,
                                  "took": time.monotonic() - began})

    # --- orders

    def order(self, method, path, body=None, timeout=30):
        """An operator's order: its answer when it is 2xx, and recorded as
        acknowledged; Refused when a documented error says no."""
        answer = self.daemon.admin(method, path, body, timeout=timeout)
        if answer.status < 300:
            if method != "GET":
                self.acknowledged.append(answer.headers["x-request-id"])
            return answer
        said = answer.json["error"]
        assert said["code"] in self.codes and said["message"], answer
        raise Refused("%d %s" % (answer.status, said["code"]))

    def reload(self, text):
        self.daemon.configure(text)
        return self.order("POST", "/admin/v1/reload", {})

    def scale(self, number):
        self.order("POST", "/admin/v1/agents/worker/scale",
                   {"instances": number})
        self.workers = number

    def agent(self, name):
        return self.daemon.agents()[name]

    # --- looking

    def worker_pids(self):
        found = []
        for pid, _ in descendants(self.daemon.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as line:
                    words = line.read().split(b"\0")
            except OSError:
                continue
            if self.folder.at("worker.py").encode() in words:
                found.append(pid)
        return found

    def set_clock(self, seconds):
        with open(self.clock, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def not_well(self):
        """What is not as it should be; None: all is well."""
        answer = self.daemon.get("/readyz")
        if answer.status != 200:
            return "/readyz says %d %s" % (answer.status, answer.text[:300])
        status = self.daemon.status()
        if status["system_status"] != "operational":
            return "system_status is %s: %s" % (
                status["system_status"], [
                    c for c in status.get("components", [])
                    if c.get("status") != "ok"] or json.dumps(status))
        ready = self.agent("worker")["instances"]["ready"]
        if ready != self.workers:
            return "%d workers are ready of %d" % (ready, self.workers)
        metrics = self.daemon.metrics()
        if metrics.sum("atomd_state_up") != 1:
            return "atomd_state_up is not 1"
        for name in LIMITS:
            answer = self.ask(name)
            if answer.status != 200:
                return "%s answers %r" % (name, answer)
        return None

    def look(self):
        """What is not as it should be, or cannot be seen."""
        try:
            return self.not_well()
        except (*CUT, OSError, AssertionError, Refused) as e:
            return repr(e)

    def sizes(self):
        return resident_kib(self.daemon.pid), open_files(self.daemon.pid)


class Background(threading.Thread):
    """Does something again and again; what goes wrong is kept."""

    every_s = 0.3

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.over = world, threading.Event()
        self.faults, self.turns = [], 0
        # Turns that could not be had, as calls are told.
        self.refused = []

    def turn(self):
        raise NotImplementedError

    def run(self):
        while not self.over.wait(self.every_s):
            began = time.monotonic()
            try:
                self.turn()
                self.turns += 1
            except (*CUT, OSError, Refused) as e:
                self.refused.append({
                    "began": began, "took": time.monotonic() - began,
                    "said": repr(e)})
            except Exception as e:  # pylint: disable=broad-except
                self.faults.append("%.1f: %s: %s" % (
                    time.monotonic(), type(e).__name__, e))

    def stop(self):
        self.over.set()
        self.join(60)


class Visitor(Background):
    """Looks whether all is well, in quiet and in disturbed time alike: looking
    takes the daemon's time too."""

    every_s = LOOK_S

    def __init__(self, world):
        super().__init__(world)
        self.seen = threading.Condition()
        self.begun, self.wrong = 0, None

    def turn(self):
        begun = time.monotonic()
        wrong = self.world.look()
        with self.seen:
            self.begun, self.wrong = begun, wrong
            self.seen.notify_all()

    def wait_well(self):
        """Until a look that begins from now on finds nothing."""
        asked = time.monotonic()
        with self.seen:
            well = self.seen.wait_for(
                lambda: self.begun >= asked and not self.wrong, WELL_S)
            assert well, "not well again after %d s: %s" % (
                WELL_S, self.wrong or "a look does not end")


class Watch(Background):
    """In-flight calls within their limits, at each look."""

    most = dict.fromkeys(LIMITS, 0)

    def turn(self):
        metrics = Metrics(self.world.order("GET", "/metrics").text)
        for name, limit in LIMITS.items():
            found = metrics.sum("atomd_inflight_requests", agent=name)
            self.most[name] = max(self.most[name], int(found))
            if found > limit:
                raise AssertionError("%d calls of %s in flight, of %d" % (
                    found, name, limit))


class Operator(Background):
    """Makes keys and revokes some of them, whatever goes on."""

    def turn(self):
        world = self.world
        made = world.order("POST", "/admin/v1/keys", {
            "role": "caller", "agents": ["calm"],
            "name": "chaos-%d" % self.turns}).json
        world.keys[made["id"]] = True
        if self.turns % 2:
            gone = next(iter(world.keys))
            # From here on it may be gone, whatever is answered.
            del world.keys[gone]
            world.doubtful.add(gone)
            world.order("DELETE", "/admin/v1/keys/" + gone)
            world.revoked.add(gone)
