#!/usr/bin/env python3
"""What a call costs: `make bench`.

One wrk drives each proxy in turn, all against one nginx that plays the model,
and the CPU time of the proxy's processes is divided by the calls. Generator
and model share cores that the proxy does not have, so ratios of one run mean
something on any machine of two cores or more; absolute numbers do not.
Every answer is checked by its status and its length.

    make bench BENCH_SECONDS=10

Needs wrk and nginx; HAProxy is measured where it is installed.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("TOP_SRCDIR") or os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "scenario"))

SECONDS = int(os.environ.get("BENCH_SECONDS", "10"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "64"))
EVENTS = 50

CORES = sorted(os.sched_getaffinity(0))
PROXY_CORES = CORES[:max(1, len(CORES) // 2)]
OTHER_CORES = CORES[len(PROXY_CORES):] or PROXY_CORES
TICK = os.sysconf("SC_CLK_TCK")

ANSWER = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1,
    "model": "bench", "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "word " * 40}}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 40,
              "total_tokens": 240}})


def stream_text():
    lines = []
    for number in range(EVENTS):
        lines.append("data: " + json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion.chunk",
            "created": 1, "model": "bench", "choices": [{
                "index": 0, "delta": {"content": "word "},
                "finish_reason": "stop" if number == EVENTS - 1
                else None}]}))
    lines.append("data: [DONE]")
    return "\n\n".join(lines) + "\n\n"


def request_body(stream):
    return json.dumps({
        "model": "bench", "stream": stream,
        "messages": [{"role": "user", "content": "x" * 900}]})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, deadline=10):
    end = time.monotonic() + deadline
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def pinned(cores):
    return lambda: os.sched_setaffinity(0, cores)


def family(pid):
    """pid and its descendants."""
    pids = [pid]
    for parent in pids:
        try:
            for task in os.listdir("/proc/%d/task" % parent):
                with open("/proc/%d/task/%s/children" % (parent, task),
                          encoding="ascii") as f:
                    pids += [int(p) for p in f.read().split()]
        except OSError:
            continue
    return pids


def cpu_seconds(pid):
    total = 0
    for member in family(pid):
        try:
            with open("/proc/%d/stat" % member, encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / TICK


def resident_mib(pid):
    total = 0
    for member in family(pid):
        try:
            with open("/proc/%d/status" % member, encoding="ascii") as f:
                for line in f:
                    if line.startswith(("RssAnon:", "RssShmem:")):
                        total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


class Server:
    """A child pinned to some cores, listening on self.port."""

    def __init__(self, folder, cores):
        self.folder, self.cores = folder, cores
        self.port = free_port()
        self.key = None

    def start(self, command):
        # A file and not a pipe, which nobody would read.
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=pinned(self.cores))
        wait_for_port(self.port)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def folder_in(parent, name):
    path = os.path.join(parent, name)
    os.mkdir(path)
    return path


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


NGINX = """
daemon off; %(user)s worker_processes %(workers)d; pid %(folder)s/pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 100000000; client_body_buffer_size 64k;
  client_body_temp_path %(folder)s/b; proxy_temp_path %(folder)s/p;
  fastcgi_temp_path %(folder)s/f; uwsgi_temp_path %(folder)s/u;
  scgi_temp_path %(folder)s/s;
  %(http)s
}
"""


class Nginx(Server):
    name = "nginx"

    def run(self, http, workers):
        path = write(self.folder, "nginx.conf", NGINX % {
            "workers": workers, "folder": self.folder, "http": http,
            # Workers that changed to nobody could not read our folder.
            "user": "user root;" if os.getuid() == 0 else ""})
        self.start([nginx_path(), "-p", self.folder, "-c", path])
        return self


def nginx_path():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


def model(folder):
    """The upstream: answers at once, whole or as a stream."""
    files = folder_in(folder, "files")
    write(files, "chat", ANSWER)
    write(files, "stream", stream_text())
    server = Nginx(folder, OTHER_CORES)
    # nginx hands a file to GET alone: a page for the error of finding none
    # is how it answers a POST with one.
    return server.run("""
      server { listen 127.0.0.1:%d backlog=4096; root %s;
        location = /chat { default_type application/json; }
        location = /stream { default_type text/event-stream; }
        location = /plain/v1/chat/completions {
          error_page 404 =200 /chat; }
        location = /streamed/v1/chat/completions {
          error_page 404 =200 /stream; } }
      """ % (server.port, files), len(OTHER_CORES))


class NginxProxy(Nginx):
    def begin(self, upstream, kind):
        return self.run("""
          limit_req_zone $http_authorization zone=k:1m rate=1000000r/s;
          upstream m { server 127.0.0.1:%d; keepalive 256; }
          map $http_authorization $known { "Bearer bench" 1; default 0; }
          server { listen 127.0.0.1:%d backlog=4096;
            location / { if ($known = 0) { return 401; }
              limit_req zone=k burst=1000000 nodelay;
              proxy_http_version 1.1; proxy_set_header Connection "";
              proxy_buffering %s; proxy_pass http://m/%s/; } }
          """ % (upstream.port, self.port,
                 "off" if kind == "streamed" else "on", kind),
            len(PROXY_CORES))

    @property
    def path(self):
        return "/v1/chat/completions"


class HAProxy(Server):
    name = "HAProxy"
    path = "/v1/chat/completions"

    def begin(self, upstream, kind):
        path = write(self.folder, "haproxy.cfg", """
global
  nbthread %d
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:%d backlog 4096
  stick-table type string len 64 size 100k expire 60s store http_req_rate(10s)
  http-request deny deny_status 401 unless { req.hdr(authorization) "Bearer bench" }
  http-request track-sc0 req.hdr(authorization)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100000000 }
  http-request set-path /%s%%[path]
  default_backend b
backend b
  http-reuse always
  server m 127.0.0.1:%d
""" % (len(PROXY_CORES), self.port, kind, upstream.port))
        self.start([shutil.which("haproxy", path=os.environ["PATH"] +
                                 ":/usr/sbin"), "-db", "-f", path])
        return self


class Atomd(Server):
    name = "atomd"
    path = "/v1/chat/completions"

    def begin(self, upstream, kind):
        socket_path = os.path.join(self.folder, "admin.sock")
        path = write(self.folder, "atomd.conf", """
workers = %d;
log_level = "warn";
state: { directory = "%s/state"; };
listeners = ( { address = "127.0.0.1:%d"; },
              { address = "unix:%s"; admin = true; } );
agents = ( { name = "bench";
  backend: { plugin = "openai"; base_url = "http://127.0.0.1:%d/%s/v1";
             model = "bench"; api_key = "bench"; };
  instances: { min = 1; max = 1; concurrency = 8192; }; } );
""" % (len(PROXY_CORES), self.folder, self.port, socket_path, upstream.port,
            kind))
        self.start([os.environ["ATOMD"], "-c", path])
        made = subprocess.run(
            [os.environ["ATOMCTL"], "--url", "unix:" + socket_path, "--json",
             "keys", "create", "--role", "caller"],
            check=True, capture_output=True, text=True, timeout=30)
        self.key = json.loads(made.stdout)["key"]
        return self


SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
wrk.body = [[%s]]
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0 end
function response(status, headers, body)
  if status ~= 200 or #body < %d then wrong = wrong + 1 end
end
function done(summary, latency)
  local bad = 0
  for _, t in ipairs(threads) do bad = bad + t:get("wrong") end
  local e = summary.errors
  print(string.format("BENCH %%d %%d %%d %%d %%d", summary.requests,
    bad + e.connect + e.read + e.write + e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def load(server, kind, folder, duration):
    """Requests, wrong ones, seconds, p50 and p99 in microseconds."""
    # A proxy may change the model's name, and little else.
    whole = ANSWER if kind == "plain" else stream_text()
    shortest = len(whole) * 9 // 10
    script = write(folder, "load.lua", SCRIPT % (
        server.key or "bench", request_body(kind == "streamed"), shortest))
    done = subprocess.run(
        ["wrk", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % duration, "-s", script,
         "http://127.0.0.1:%d%s" % (server.port, server.path)],
        check=True, capture_output=True, text=True,
        preexec_fn=pinned(OTHER_CORES))
    line = [x for x in done.stdout.split("\n") if x.startswith("BENCH")][0]
    calls, wrong, micros, p50, p99 = [int(x) for x in line.split()[1:]]
    return calls, wrong, micros / 1e6, p50, p99


def measure(proxy, upstream, kind, folder):
    server = proxy(folder, PROXY_CORES)
    server.begin(upstream, kind)
    try:
        idle = resident_mib(server.pid)
        load(server, kind, folder, 1)
        before = cpu_seconds(server.pid)
        calls, wrong, took, p50, p99 = load(server, kind, folder, SECONDS)
        cost = (cpu_seconds(server.pid) - before) / max(calls, 1) * 1e6
        after = resident_mib(server.pid)
    finally:
        server.stop()
    return {"name": server.name, "calls": calls, "wrong": wrong,
            "per_second": calls / took, "cost": cost, "p50": p50, "p99": p99,
            "idle": idle, "after": after}


def main():
    if not shutil.which("wrk") or not nginx_path():
        print("bench: wrk and nginx are needed (Debian: wrk nginx-light)",
              file=sys.stderr)
        return 1
    proxies = [NginxProxy]
    if shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"):
        proxies.append(HAProxy)
    proxies.append(Atomd)
    failed = False
    titles = {"plain": "1 KB chat call", "streamed":
              "stream of %d events, one burst" % EVENTS}
    with tempfile.TemporaryDirectory(prefix="atomd-bench-") as folder:
        upstream = model(folder_in(folder, "model"))
        try:
            for kind, title in titles.items():
                print("%s, %d connections, %d s each, key check%s" % (
                    title, CONNECTIONS, SECONDS, " and limit on"))
                print("%-8s %9s %9s %8s %9s %9s %6s %6s %6s" % (
                    "", "calls/s", "CPU us", "x nginx", "p50 us", "p99 us",
                    "wrong", "MiB 0", "MiB 1"))
                base = None
                for proxy in proxies:
                    r = measure(proxy, upstream, kind, folder_in(
                        folder, proxy.__name__ + kind))
                    base = base or r["cost"]
                    failed |= r["wrong"] > 0 or r["calls"] == 0
                    print("%-8s %9.0f %9.1f %8.2f %9d %9d %6d %6.1f %6.1f" % (
                        r["name"], r["per_second"], r["cost"],
                        r["cost"] / base, r["p50"], r["p99"], r["wrong"],
                        r["idle"], r["after"]), flush=True)
                print()
        finally:
            upstream.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
