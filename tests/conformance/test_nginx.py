#!/usr/bin/env python3
"""nginx with TLS between the daemon and its upstream."""

import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import (Daemon, Folder, Skip, agent, config,  # noqa: E402
                        deltas, run, seconds, test, wait_for)
from mock_upstream import Mock  # noqa: E402
from certificates import authority, certificate, free_port  # noqa: E402

CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @DIR@/body;
    proxy_temp_path @DIR@/proxy;
    fastcgi_temp_path @DIR@/fastcgi;
    uwsgi_temp_path @DIR@/uwsgi;
    scgi_temp_path @DIR@/scgi;
    server {
        listen 127.0.0.1:@PORT@ ssl http2;
        server_name localhost;
        ssl_certificate @DIR@/server.pem;
        ssl_certificate_key @DIR@/server.key;
        location / {
            proxy_pass http://127.0.0.1:@UPSTREAM@;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
"""


def nginx_path():
    for path in (shutil.which("nginx"), "/usr/sbin/nginx"):
        if path and os.path.exists(path):
            return path
    raise Skip("nginx is missing")


class Nginx:
    """nginx in front of a mock, on a port of its own."""

    def __init__(self, upstream_port, names="DNS:localhost"):
        self.program = nginx_path()
        self.folder = Folder()
        self.ca = authority(self.folder, "ca")
        self.wrong_ca = authority(self.folder, "other")
        certificate(self.folder, "ca", "server", names)
        self.upstream_port = upstream_port

    def __enter__(self):
        # nginx cannot take any free port; ours may be gone by the time.
        for _ in range(5):
            self.port = free_port()
            text = CONFIGURATION
            for name, value in (("DIR", self.folder.path),
                                ("PORT", self.port),
                                ("UPSTREAM", self.upstream_port)):
                text = text.replace("@%s@" % name, str(value))
            path = self.folder.write("nginx.conf", text)
            self.process = subprocess.Popen(
                [self.program, "-c", path, "-p", self.folder.path, "-e",
                 self.folder.at("error.log")], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wait_for(lambda: self.process.poll() is not None
                     or self.listens(), what="nginx listens")
            if self.process.poll() is None:
                return self
        raise AssertionError(self.process.stderr.read())

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(seconds(10))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self.folder.remove()

    def agent(self, name="bot", ca=None, host="localhost"):
        return agent(name, 'plugin = "openai"; model = "m"; api_key ='
                     ' "sk-test"; base_url = "https://%s:%d/v1"; %s' % (
                         host, self.port,
                         'ca_file = "%s";' % ca if ca else ""))


@test
def a_verified_upstream_answers_and_streams():
    with Mock() as mock, Nginx(mock.port) as nginx:
        with Daemon(config(agents=nginx.agent(ca=nginx.ca))) as daemon:
            answer = daemon.chat("bot", "hello over tls")
            assert answer.status == 200, answer
            assert answer.content == "hello over tls"
            mock.hold_deltas()
            with daemon.chat_stream("bot", "a b c d e f") as stream:
                events, coming = [], iter(stream)
                # The next one is sent when the one before it is here.
                for count in range(1, 7):
                    mock.let_go_delta()
                    while len(deltas(events).split()) < count:
                        events.append(next(coming))
                events += coming
            assert deltas(events) == "a b c d e f"
            assert events[-1].text == "[DONE]"


@test
def an_unknown_authority_or_name_is_502_and_no_call_is_made():
    with Mock() as mock, Nginx(mock.port) as nginx:
        agents = [nginx.agent("wrong", nginx.wrong_ca),
                  nginx.agent("none"),
                  nginx.agent("name", nginx.ca, host="127.0.0.1")]
        with Daemon(config(agents=agents)) as daemon:
            for name in ("wrong", "none", "name"):
                before = daemon.log.lower().count("certificate")
                answer = daemon.chat(name, "x")
                assert answer.status == 502, (name, answer)
                assert answer.code == "backend_error", (name, answer)
                wait_for(lambda seen=before:
                         daemon.log.lower().count("certificate") > seen,
                         what="the reason in the log of " + name)
            with daemon.chat_stream("wrong", "x") as stream:
                assert stream.status == 502, stream.status
            assert not mock.calls, "the request was sent all the same"


@test
def an_upstream_behind_nginx_that_dies_is_502():
    with Mock() as mock, Nginx(mock.port) as nginx:
        with Daemon(config(agents=nginx.agent(ca=nginx.ca))) as daemon:
            assert daemon.chat("bot", "x").status == 200
            answer = daemon.chat("bot", "fault:reset")
            assert answer.status == 502, answer
            mock.behaviour, mock.answer = "reset-midway 2", "a b c d"
            with daemon.chat_stream("bot", "x") as stream:
                events = stream.read()
            assert not any(e.text == "[DONE]" for e in events), events
            mock.behaviour = None


@test
def a_client_that_leaves_is_felt_behind_nginx():
    with Mock() as mock, Nginx(mock.port) as nginx:
        with Daemon(config(agents=nginx.agent(ca=nginx.ca))) as daemon:
            mock.behaviour = "endless"
            with daemon.chat_stream("bot", "x") as stream:
                next(iter(stream))
            wait_for(lambda: mock.cancelled == 1, 30, "it is cancelled")
            daemon.wait_idle()


@test
def connections_are_kept_over_tls():
    with Mock() as mock, Nginx(mock.port) as nginx:
        with Daemon(config(agents=nginx.agent(ca=nginx.ca))) as daemon:
            for n in range(20):
                answer = daemon.chat("bot", "call %d" % n)
                assert answer.content == "call %d" % n, answer


if __name__ == "__main__":
    run()
