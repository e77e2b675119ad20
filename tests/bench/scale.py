"""What many agents and many keys cost: the daemon with one agent, with a
thousand and with ten thousand, then with a hundred thousand keys; start,
reload, memory, a call's look-up, and calls while the file is read again and
again."""

import concurrent.futures
import http.client
import json
import socket
import statistics
import threading
import time

from family import resident_bytes
from proxies import EchoAtomd, CONNECTIONS, started

AGENTS = 1, 1000, 10000
KEYS = 100000
MAKERS = 32
ROUNDS = 5
SHORT = "--connections", "64", "--warm", "0.15", "--seconds", "0.4"
# Under load: a rate that one core bears beside a reload.
UNDER_LOAD = "--connections", "32", "--rate", "2000", "--seconds", "2"

CONFIG = """
workers = 1;
log_level = "info";
security: { anonymous_role = "caller"; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
agents = ( %s );
"""
# Instances from the first call on, so that `max_agents` is not asked.
AGENT = """{ name = "%s"; backend: { plugin = "echo"; };
  system_prompt = "%s";
  instances: { min = %d; max = 1; concurrency = %d; }; }"""


def config(count, prompt="You are the one."):
    """The one that is called stands in the middle."""
    agents = [AGENT % ("agent-%05d" % i, prompt, 0, 4)
              for i in range(count - 1)]
    agents.insert(count // 2, AGENT % ("bench", prompt, 1, CONNECTIONS))
    return CONFIG % ",\n".join(agents)


class Server(EchoAtomd):
    key = None

    def __init__(self, cores, count):
        began = time.monotonic()
        self.daemon = started(config(count), cores)
        self.start_s = time.monotonic() - began
        self.port = self.daemon.port

    def reload_ms(self, text=None):
        began = time.monotonic()
        answer = self.daemon.reload(text, deadline=60)
        assert answer.status == 200, answer
        return (time.monotonic() - began) * 1000


def calls_us(bench, server):
    return statistics.median(
        bench.load(server, *SHORT)["process"]["cpu_us_per_call"]
        for _ in range(ROUNDS))


class Reloads:
    """The same file again and again, and one agent's other text each time."""

    def __init__(self, server, count):
        self.server, self.count, self.times = server, count, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.over.wait(0.05):
            text = config(self.count).replace(
                "the one", "number %d" % len(self.times), 1)
            self.times.append(self.server.reload_ms(text))

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.times


def agents(bench, count):
    server = Server(bench.proxy_cores, count)
    try:
        idle = resident_bytes(server.pid) // 1024
        cpu = calls_us(bench, server)
        unchanged = statistics.median(server.reload_ms() for _ in range(3))
        quiet = bench.load(server, *UNDER_LOAD)["latency_us"]
        reloads = Reloads(server, count)
        try:
            beside = bench.load(server, *UNDER_LOAD)["latency_us"]
        finally:
            times = reloads.stop()
    finally:
        server.stop()
    return {"agents": count, "start_ms": server.start_s * 1000,
            "resident_kib": idle, "cpu_us_per_call": cpu,
            "reload_ms": unchanged, "changed_ms": statistics.median(times),
            "reloads": len(times),
            "p50_us": quiet["p50"], "p50_beside_us": beside["p50"],
            "p99_us": quiet["p99"], "p99_beside_us": beside["p99"]}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def make_keys(server, count):
    """So many over the control API; the last one."""
    def some(share):
        connection, key = UnixConnection(server.daemon.dir + "/admin.sock"), ""
        for _ in range(share):
            connection.request("POST", "/admin/v1/keys",
                               b'{"role":"caller","name":"many"}',
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in (200, 201), body
            key = json.loads(body)["key"]
        connection.close()
        return key
    with concurrent.futures.ThreadPoolExecutor(MAKERS) as pool:
        return list(pool.map(some, [count // MAKERS] * MAKERS))[-1]


def keys(bench):
    server = Server(bench.proxy_cores, 1)
    try:
        server.key = make_keys(server, MAKERS)
        few, before = calls_us(bench, server), resident_bytes(server.pid)
        began = time.monotonic()
        server.key = make_keys(server, KEYS - MAKERS)
        seconds = time.monotonic() - began
        many, after = calls_us(bench, server), resident_bytes(server.pid)
    finally:
        server.stop()
    return {"keys": KEYS, "made_per_second": KEYS / seconds,
            "cpu_us_per_call": many, "cpu_us_per_call_few": few,
            "resident_kib": after // 1024, "bytes_per_key":
            (after - before) / KEYS}


def run(bench):
    print("\nmany agents, of which one is called; %d calls a second beside "
          "reloads" % int(UNDER_LOAD[3]))
    print("%8s%10s%10s%9s%11s%11s%18s%18s" % (
        "agents", "start ms", "RSS MiB", "CPU us", "reload ms", "changed ms",
        "p50 us, beside", "p99 us, beside"))
    rows = []
    for count in AGENTS:
        row = agents(bench, count)
        rows.append(row)
        print("%8d%10.0f%10.1f%9.1f%11.1f%11.1f%18s%18s" % (
            count, row["start_ms"], row["resident_kib"] / 1024,
            row["cpu_us_per_call"], row["reload_ms"], row["changed_ms"],
            "%d, %d" % (row["p50_us"], row["p50_beside_us"]),
            "%d, %d" % (row["p99_us"], row["p99_beside_us"])), flush=True)
    found = keys(bench)
    print("%d keys: %.0f bytes each, %.0f made a second, a call %.1f us CPU "
          "(%.1f with few)" % (
              found["keys"], found["bytes_per_key"],
              found["made_per_second"], found["cpu_us_per_call"],
              found["cpu_us_per_call_few"]), flush=True)
    return {"agents": rows, "keys": found}
