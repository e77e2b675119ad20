#!/usr/bin/env python3
"""curl, as people type it, against the daemon."""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import (Daemon, Skip, config, process_agent,  # noqa: E402
                        run, seconds, source, test)

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


def curl(*args, stdin=b"", status=0):
    program = shutil.which("curl")
    if not program:
        raise Skip("curl is missing")
    done = subprocess.run(
        [program, "-q", "-sS", "--noproxy", "*", "--max-time",
         str(int(seconds(30))), *args], input=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=seconds(60), check=False)
    assert done.returncode == status, (args, done)
    return done.stdout


@test
def the_quickstarts_line_answers():
    with Daemon(config()) as daemon:
        body = curl(daemon.url + "/v1/chat/completions", "-d",
                    json.dumps(CHAT))
        assert json.loads(body)["choices"][0]["message"][
            "content"] == "hi", body
        body = curl(daemon.url + "/v1/agents/echo/invoke", "-d",
                    '{"input":"hello"}')
        assert json.loads(body)["output"] == "hello", body


@test
def a_stream_ends_well_and_is_not_held_back():
    worker = process_agent("w", [
        sys.executable, source("tests", "scenario", "worker.py")])
    with Daemon(config(agents=worker)) as daemon:
        program = shutil.which("curl")
        if not program:
            raise Skip("curl is missing")
        with subprocess.Popen(
                [program, "-qsSN", "--noproxy", "*", daemon.url
                 + "/v1/chat/completions", "-d", json.dumps({
                     "model": "w", "stream": True, "messages": [{
                         "role": "user", "content": "stream-until "
                         + daemon.folder.at("go")}]})],
                stdout=subprocess.PIPE) as process:
            first = process.stdout.readline()
            while first and b"first " not in first:
                first = process.stdout.readline()
            assert first.startswith(b"data: {"), first
            # What is not said yet comes once this is there.
            daemon.write("go", "")
            rest = process.stdout.read()
            assert b'"rest"' in rest, rest
            assert rest.rstrip().endswith(b"data: [DONE]"), rest
            assert process.wait() == 0


@test
def dash_f_fails_on_errors_and_i_shows_the_head():
    with Daemon(config()) as daemon:
        curl("-f", daemon.url + "/nowhere", status=22)
        head = curl("-I", daemon.url + "/openapi.json")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"content-length" in head.lower(), head
        code = curl("-o", os.devnull, "-w", "%{http_code}", "-X", "DELETE",
                    daemon.url + "/healthz")
        assert code == b"405", code


@test
def one_connection_serves_many_urls():
    with Daemon(config()) as daemon:
        url = daemon.url + "/healthz"
        said = curl("-o", os.devnull, "-o", os.devnull, "-o", os.devnull,
                    "-w", "%{num_connects} ", url, url, url)
        assert said.split() == [b"1", b"0", b"0"], said


@test
def large_and_chunked_bodies_arrive():
    text = "word " * 300000
    body = json.dumps(dict(CHAT, max_tokens=1000000, messages=[
        {"role": "user", "content": text}])).encode()
    with Daemon(config()) as daemon:
        url = daemon.url + "/v1/chat/completions"
        # Over a megabyte curl sends Expect: 100-continue.
        answer = json.loads(curl(url, "--data-binary", "@-", stdin=body))
        assert answer["choices"][0]["message"]["content"] == text
        answer = json.loads(curl(
            url, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-",
            stdin=body))
        assert answer["choices"][0]["message"]["content"] == text
        code = curl(url, "-o", os.devnull, "-w", "%{http_code}",
                    "--data-binary", "@-", stdin=b" " * (20 << 20))
        assert code == b"413", code


@test
def http_1_0_and_a_unix_socket_work():
    with Daemon(config()) as daemon:
        assert curl("--http1.0", daemon.url + "/healthz") is not None
        listed = json.loads(curl("--unix-socket", daemon.admin_sock,
                                 "http://localhost/admin/v1/agents"))
        assert "echo" in json.dumps(listed), listed


@test
def a_key_is_sent_as_a_bearer():
    with Daemon(config(security="")) as daemon:
        made = json.loads(curl(
            "--unix-socket", daemon.admin_sock, "-d", '{"role":"caller"}',
            "http://localhost/admin/v1/keys"))
        code = curl(daemon.url + "/v1/models", "-o", os.devnull, "-w",
                    "%{http_code}")
        assert code == b"401", code
        listed = json.loads(curl(daemon.url + "/v1/models", "-H",
                                 "Authorization: Bearer " + made["key"]))
        assert [m["id"] for m in listed["data"]] == ["echo"], listed


@test
def tls_is_served_and_verified():
    openssl = shutil.which("openssl")
    if not openssl:
        raise Skip("openssl is missing")
    listeners = ('{ address = "127.0.0.1:0"; tls: { certificate ='
                 ' "@DIR@/cert.pem"; key = "@DIR@/key.pem"; }; }, { address'
                 ' = "unix:@DIR@/admin.sock"; admin = true; }')
    daemon = Daemon(config(listeners=listeners))
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", daemon.folder.at("key.pem"), "-out",
         daemon.folder.at("cert.pem")], check=True, capture_output=True)
    with daemon:
        url = "https://127.0.0.1:%d" % daemon.port
        body = curl("--cacert", daemon.folder.at("cert.pem"),
                    url + "/v1/chat/completions", "-d", json.dumps(CHAT))
        assert json.loads(body)["choices"][0]["message"]["content"] == "hi"
        curl(url + "/healthz", status=60)
        curl("--tls-max", "1.1", "-k", url + "/healthz", status=35)
        body = curl("-k", "--tlsv1.3", url + "/v1/chat/completions", "-N",
                    "-d", json.dumps(dict(CHAT, stream=True)))
        assert body.rstrip().endswith(b"data: [DONE]"), body


if __name__ == "__main__":
    run()
