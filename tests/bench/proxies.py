"""What is measured: each a process that listens on a free port of 127.0.0.1
and passes calls on to the mock, with a key checked and a limit in place.

A port is bound here and handed over (nginx, HAProxy) or told by the process
(atomd): nobody else can get it in between.
"""

import http.client
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Daemon, quoted  # noqa: E402
from places import Folder, atomctl_path  # noqa: E402

KEY = "bench-key-of-every-proxy-but-atomd"
# A stream has a descriptor on each side of a proxy.
DESCRIPTORS = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
CONNECTIONS = (DESCRIPTORS - 500) // 2
# The daemon leaves a quarter, at most 2,048, to all but its calls.
STREAMS = (DESCRIPTORS - min(DESCRIPTORS // 4, 2048)) // 2 - 64
PATH = "/v1/chat/completions"
START_SECONDS = 20


class LeftOut(Exception):
    """Why there is no row of this kind; no failure."""


def program(name):
    """A program of Debian's, also where only root's PATH has it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/sbin")
    if path is None:
        raise LeftOut("%s is not installed" % name)
    return path


def version_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=10,
                          check=False)
    return done.stdout.split("\n")[0].strip()


def pinned(cores):
    return ["taskset", "-c", ",".join(map(str, cores))]


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(4096)
    return s


class Mock:
    """The upstream; measured by itself, it is the floor."""

    name, title = "floor", "mock alone"
    key = None
    answers_echo = tls = False

    def __init__(self, tools, cores):
        self.process = subprocess.Popen(
            [*pinned(cores), os.path.join(tools, "mock")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.version = "tests/bench/mock"

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        stop(self.process)
        self.process.stdout.close()


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Proxy:
    """A proxy that takes over a socket and runs until it is told to end."""

    key = KEY
    answers_echo = tls = False

    def __init__(self, upstream, cores):
        self.folder = Folder()
        try:
            with listener() as taken:
                self.port = taken.getsockname()[1]
                self.start(taken, upstream, cores)
            self.wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    process = None

    def run(self, command, taken, **environment):
        # A file and not a pipe, which nobody would read.
        with open(self.folder.at("log"), "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[taken.fileno()],
                env={**os.environ, **environment})

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.folder.at("log"), encoding="utf-8",
                  errors="replace") as f:
            return f.read()[-2000:]

    def wait_until_it_answers(self):
        """Connections wait in the socket that it took over: the first
        request is answered when it is ready."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                refuses_a_wrong_key(self)
                return
            except OSError as error:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > end:
                    raise AssertionError("%s does not answer: %s\n%s" % (
                        self.name, error, self.log())) from error

    def stop(self):
        if self.process is not None:
            stop(self.process)
        self.folder.remove()


def refuses_a_wrong_key(server):
    """A proxy that lets everybody in would be measured for less work."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port,
                                            timeout=5)
    if server.tls:
        # Not whom it is: whether it answers.
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=5,
            context=ssl._create_unverified_context())
    try:
        connection.request("POST", PATH, b'{"model":"bench"}', {
            "Authorization": "Bearer wrong",
            "Content-Type": "application/json"})
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
    assert status == 401, "%s answers a wrong key with %d" % (
        server.name, status)


class Nginx(Proxy):
    name = title = "nginx"
    CONFIG = """
daemon off;
%(user)s
worker_processes 1;
pid %(dir)s/pid;
error_log stderr crit;
events { worker_connections %(descriptors)d; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 16m;
  client_body_buffer_size 2m;
  client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u;
  scgi_temp_path %(dir)s/s;
  limit_req_zone $http_authorization zone=keys:1m rate=1000000r/s;
  map $http_authorization $known { "Bearer %(key)s" 1; default 0; }
  upstream model {
    server 127.0.0.1:%(upstream)d;
    keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      if ($known = 0) { return 401; }
      limit_req zone=keys burst=1000000 nodelay;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://model;
    }
  }
}
"""

    def start(self, taken, upstream, cores):
        path = program("nginx")
        self.version = version_of(path, "-v")
        config = self.folder.write("nginx.conf", self.CONFIG % {
            "dir": self.folder.path, "upstream": upstream.port,
            "port": self.port, "key": KEY, "descriptors": DESCRIPTORS,
            # Workers that became nobody could not write into our folder.
            "user": "user root;" if os.getuid() == 0 else ""})
        # NGINX names the sockets that it shall take over: how it replaces
        # itself at an upgrade.
        self.run([*pinned(cores), path, "-p", self.folder.path, "-c", config],
                 taken, NGINX="%d;" % taken.fileno())


class HAProxy(Proxy):
    name = title = "HAProxy"
    CONFIG = """
global
  nbthread 1
  maxconn %(connections)d
defaults
  mode http
  # Otherwise it keeps an event back for up to 200 ms.
  option http-no-delay
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend calls
  bind fd@%(fd)d
  stick-table type string len 64 size 100k expire 60s store http_req_rate(10s)
  http-request deny deny_status 401 unless { req.hdr(authorization) "Bearer %(key)s" }
  http-request track-sc0 req.hdr(authorization)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100000000 }
  default_backend model
backend model
  http-reuse always
  server model 127.0.0.1:%(upstream)d
"""

    def start(self, taken, upstream, cores):
        path = program("haproxy")
        self.version = version_of(path, "-v")
        config = self.folder.write("haproxy.cfg", self.CONFIG % {
            "fd": taken.fileno(), "upstream": upstream.port, "key": KEY,
            "connections": CONNECTIONS})
        self.run([*pinned(cores), path, "-db", "-f", config], taken)


def started(text, cores):
    """A daemon; one that does not get ready leaves nothing behind."""
    daemon = Daemon(text, wrapper=pinned(cores))
    try:
        return daemon.start()
    except BaseException:
        daemon.clean()
        raise


class Atomd:
    """The daemon with an openai agent in front of the mock."""

    name, title = "atomd", "atomd"
    answers_echo = tls = False
    # Of the key and of the agent: never reached, always counted, as the
    # others' are.
    limits = {"requests_per_minute": 1000000000, "concurrent": 1000000}
    CONFIG = """
workers = %(workers)d;
log_level = "info";
security: { rate_limits: { agent: { %(limits)s }; }; };
state: { directory = "@DIR@/state"; };
listeners = ( { address = "127.0.0.1:0"; },
              { address = "unix:@DIR@/admin.sock"; admin = true; } );
agents = ( { name = "bench";
  backend: { %(backend)s };
  instances: { min = 1; max = 1; concurrency = %(connections)d; }; } );
"""

    def __init__(self, upstream, cores):
        text = self.CONFIG % {"workers": len(cores),
                              "connections": CONNECTIONS,
                              "limits": " ".join(
                                  "%s = %d;" % item
                                  for item in self.limits.items()),
                              "backend": self.backend(upstream)}
        self.daemon = started(text, cores)
        try:
            self.port = self.daemon.port
            self.key = self.make_key()
            self.version = version_of(atomctl_path(), "--version")
        except BaseException:
            self.daemon.clean()
            raise

    def make_key(self):
        made = self.daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "limits": self.limits})
        assert made.status in (200, 201), made
        self.key = made.json["key"]
        refuses_a_wrong_key(self)
        return self.key

    def backend(self, upstream):
        return ('plugin = "openai"; model = "bench"; api_key = "bench";'
                " base_url = %s;" % quoted("http://127.0.0.1:%d/v1" %
                                           upstream.port))

    @property
    def pid(self):
        return self.daemon.pid

    def stop(self):
        try:
            if self.daemon.running:
                self.daemon.stop()
        finally:
            self.daemon.clean()


class EchoAtomd(Atomd):
    """The daemon answers by itself: what the gateway alone costs."""

    name, title = "atomd-echo", "atomd, echo"
    answers_echo = True

    def backend(self, _upstream):
        return 'plugin = "echo";'


PROXIES = (Nginx, HAProxy, Atomd, EchoAtomd)
