#!/usr/bin/env python3
"""The dashboard as the daemon serves it, and what it lives on: its files, who
one is, the overview and its stream.  tests/web drives it in a browser."""

import os
import re
import signal
import socket

from atomd_test import (Daemon, Folder, agent, config, run, seconds, source,
                        test, wait_for)
from issuer import Issuer
from wire import Stream, Wire

FOLDER = source("etc", "dashboard")
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; "
          "connect-src 'self'; img-src 'self'; frame-ancestors 'none'; "
          "base-uri 'none'; form-action 'self'")
TYPES = {".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOLLOW = "/admin/v1/overview?follow=1"
FOLLOW_LOG = "/admin/v1/logs?follow=1"
BOOTSTRAP = "a-bootstrap-key-of-more-than-32-characters"


def secured(agents=None, **more):
    return Daemon(config(**({"agents": agents} if agents else {}),
                         security="", **more))


def key_of(daemon, role, **more):
    answer = daemon.admin("POST", "/admin/v1/keys", {"role": role, **more})
    assert answer.status == 201, answer
    return answer.json["key"]


def files():
    return sorted(name for name in os.listdir(FOLDER)
                  if os.path.splitext(name)[1] in TYPES)


def content(name):
    with open(os.path.join(FOLDER, name), "rb") as f:
        return f.read()


def both_follow(daemon, made):
    """Streams of the overview and of the log, with a key that ends soon: made
    anew where a pause has let it end before both were there."""
    def there():
        key = made()
        streams = []
        try:
            for path in (FOLLOW, FOLLOW_LOG):
                streams.append(follow(daemon, key, path=path))
        except AssertionError:
            for stream in streams:
                stream.close()
            return None
        return key, *streams
    return wait_for(there, 60, "two streams of a key")


def follow(daemon, key, receive=0, path=FOLLOW):
    """A stream, the overview's unless told otherwise, its head read."""
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(seconds(30))
    sock.connect(("127.0.0.1", daemon.port))
    sock.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: "
                  "Bearer %s\r\n\r\n" % (path, daemon.port, key)).encode())
    if receive:
        return sock
    stream = Stream(Wire(sock))
    assert stream.status == 200, (stream.status, stream.body())
    return stream


@test
def every_file_is_served_as_it_is_with_a_strict_policy():
    with secured() as daemon:
        served = [("/", "index.html", "text/html; charset=utf-8")] + [
            ("/dashboard/" + name, name, TYPES[os.path.splitext(name)[1]])
            for name in files()]
        assert len(served) > 10, served
        for path, name, kind in served:
            answer = daemon.get(path)
            assert answer.status == 200, (path, answer)
            assert answer.body == content(name), path
            assert answer.headers["content-type"] == kind, (path, answer)
            for field, value in (
                    ("content-security-policy", POLICY),
                    ("x-content-type-options", "nosniff"),
                    ("referrer-policy", "no-referrer"),
                    ("cache-control", "no-cache")):
                assert answer.headers[field] == value, (path, field)
            head = daemon.request("HEAD", path)
            assert head.status == 200 and head.body == b"", head
            assert head.headers["etag"] == answer.headers["etag"]


@test
def the_page_asks_for_nothing_from_elsewhere_and_holds_no_script_of_its_own():
    for name in files() + ["index.html"]:
        text = content(name).decode()
        for found in re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"')]*""",
                                text):
            assert found.startswith("http://www.w3.org/"), (name, found)
        for wrong in (r"\binnerHTML\b", r"\bouterHTML\b",
                      r"insertAdjacentHTML", r"document\.write", r"\beval\(",
                      r"new Function"):
            assert not re.search(wrong, text), (name, wrong)
    page = content("index.html").decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), page
    assert not re.search(r"<style|\sstyle=|\son\w+=", page), page


@test
def what_a_browser_has_is_not_sent_again():
    with secured() as daemon:
        tag = daemon.get("/dashboard/app.js").headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{32}"', tag), tag
        for known in (tag, "W/" + tag, '"x", ' + tag, "*"):
            answer = daemon.get("/dashboard/app.js",
                                headers={"If-None-Match": known})
            assert (answer.status, answer.body) == (304, b""), (known, answer)
            assert answer.headers["etag"] == tag, answer
        answer = daemon.get("/dashboard/app.js",
                            headers={"If-None-Match": '"0123"'})
        assert answer.status == 200 and answer.body == content("app.js")


@test
def no_path_leads_out_of_its_list():
    with secured() as daemon:
        for path in ("/dashboard/", "/dashboard/include.am",
                     "/dashboard/index.html/", "/dashboard/app.js/x",
                     "/dashboard/../etc/atomd.conf",
                     "/dashboard/..%2f..%2fatomd.conf",
                     "/dashboard/%2e%2e/atomd.conf",
                     "/dashboard//etc/passwd", "/dashboard/app.js%00.css",
                     "/dashboard/" + "a" * 300):
            answer = daemon.get(path)
            assert answer.status in (400, 404), (path, answer)


@test
def a_missing_folder_is_told_at_the_front_and_in_the_log():
    with Daemon(config(security=""), env={
            "ATOMD_DASHBOARD_DIR": "/nonexistent/dashboard"}) as daemon:
        line = daemon.wait_event("dashboard_missing")
        assert "/nonexistent/dashboard/index.html" in line["why"], line
        answer = daemon.get("/")
        assert answer.status == 200, answer
        assert "dashboard_missing" in answer.text, answer
        assert daemon.get("/dashboard/app.js").status == 404
        assert daemon.get("/docs").status == 200


@test
def one_is_told_who_one_is_and_what_one_may_do():
    with secured([agent("echo"), agent("other")]) as daemon:
        assert daemon.get("/admin/v1/me").status == 401
        assert daemon.get("/admin/v1/me", key="atm_x_y").status == 401
        me = daemon.get("/admin/v1/me", key=key_of(daemon, "read_only")).json
        assert me["role"] == "read_only" and me["agents"] is None, me
        assert sorted(me["permissions"]) == ["view_metrics",
                                             "view_public_logs"], me
        me = daemon.get("/admin/v1/me", key=key_of(
            daemon, "caller", agents=["other"])).json
        assert me["agents"] == ["other"], me
        assert me["permissions"] == ["invoke_agent"], me
        assert me["name"].startswith("key:"), me
        me = daemon.admin("GET", "/admin/v1/me").json
        assert me["role"] == "admin" and "modify_config" in me["permissions"]


@test
def the_overview_is_what_the_parts_say():
    with secured([agent("echo"), agent("other")]) as daemon:
        key = key_of(daemon, "read_only")
        caller = key_of(daemon, "caller")
        for _ in range(3):
            assert daemon.chat("echo", "one two", key=caller).status == 200
        daemon.wait_idle()
        told = daemon.get("/admin/v1/overview", key=key)
        assert told.status == 200, told
        told = told.json
        rows = {row["name"]: row for row in told["agents"]}
        assert sorted(rows) == ["echo", "other"], rows
        assert (rows["echo"]["calls"], rows["other"]["calls"]) == (3, 0)
        assert told["totals"]["calls"] == 3, told["totals"]
        assert told["totals"]["input_tokens"] == 6, told["totals"]
        assert told["totals"]["errors"] == 0, told["totals"]
        assert told["system_status"] == daemon.status()["system_status"]
        assert told["freeze"] == {"frozen": False}, told["freeze"]
        assert rows["echo"]["instances"]["ready"] == 1, rows["echo"]
        assert daemon.get("/admin/v1/overview", key=caller).status == 403


@test
def the_stream_tells_what_is_and_what_happens():
    with secured() as daemon:
        key = key_of(daemon, "admin")
        with follow(daemon, key) as stream:
            events = iter(stream)
            first = next(events)
            assert first.kind == "overview", first
            assert first.json["agents"][0]["name"] == "echo", first
            assert daemon.chat("echo", "x", key=key).status == 200
            wait = next(e for e in events if e.kind == "overview" and
                        e.json["totals"]["calls"] == 1)
            assert wait.json["agents"][0]["calls"] == 1, wait
            assert daemon.post("/admin/v1/agents/echo/scale",
                               {"instances": 2}, key=key).status == 200
            happened = next(e for e in events if e.kind == "event")
            assert happened.json["name"] == "scaling", happened
            assert happened.json["agent"] == "echo", happened
            assert happened.json["details"]["to"] == 2, happened
            assert daemon.metrics().sum("atomd_overview_streams") == 1
        wait_for(lambda: daemon.metrics().sum("atomd_overview_streams") == 0,
                 20, "the stream is gone")


@test
def streams_are_bounded_and_a_place_is_given_back():
    with secured() as daemon:
        key = key_of(daemon, "read_only")
        streams = [follow(daemon, key) for _ in range(64)]
        refused = daemon.get(FOLLOW, key=key)
        assert refused.status == 429, refused
        assert "retry-after" in refused.headers, refused.headers
        # Asked once, it is told.
        assert daemon.get("/admin/v1/overview", key=key).status == 200
        streams.pop().close()
        wait_for(lambda: daemon.metrics().sum("atomd_overview_streams") == 63,
                 20, "one is gone")
        with follow(daemon, key) as stream:
            assert next(iter(stream)).kind == "overview"
        for stream in streams:
            stream.close()


@test
def a_client_that_reads_nothing_slows_nobody_and_is_told_what_it_missed():
    many = [agent("agent-%03d" % n) for n in range(200)]
    with secured(many, extra="max_agents = 500;") as daemon:
        key = key_of(daemon, "admin")
        slow = follow(daemon, key, receive=4096)
        wait_for(lambda: daemon.metrics().sum("atomd_overview_streams") == 1,
                 20, "it is there")
        # Whoever comes has a picture made, of some 100 KB, for all: more than
        # the sockets and the daemon's own bound hold for the slow one.
        for _ in range(80):
            with follow(daemon, key) as stream:
                assert len(next(iter(stream)).json["agents"]) == 200
        for n in range(100):
            answer = daemon.admin("POST", "/admin/v1/agents/agent-%03d/scale"
                                  % n, {"instances": 2})
            assert answer.status == 200, answer
        assert daemon.metrics().sum(
            "atomd_overview_events_missed_total") == 0
        # Now it reads.  64 events were kept for it, the rest is a number.
        text = b""
        while b"event: missed" not in text:
            more = slow.recv(1 << 20)
            assert more, "the stream ended"
            text = text[-64:] + more
        slow.close()
        missed = daemon.metrics().sum("atomd_overview_events_missed_total")
        assert 0 < missed <= 36, missed


@test
def streams_end_once_their_key_is_revoked():
    with secured() as daemon:
        kept = key_of(daemon, "admin")
        made = daemon.admin("POST", "/admin/v1/keys", {"role": "admin"}).json
        with follow(daemon, made["key"]) as watching, \
                follow(daemon, made["key"], path=FOLLOW_LOG) as reading, \
                follow(daemon, kept) as other, \
                follow(daemon, kept, path=FOLLOW_LOG) as another:
            answer = daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
            assert answer.status in (200, 204), answer
            # Each lasts minutes by itself, longer than these wait.
            kinds = [event.kind for event in watching]
            assert kinds[-1] == "again" and watching.complete, kinds
            reading.body()
            # Those of another key go on: both tell of what comes now.
            wait_for(lambda: daemon.metrics().sum("atomd_overview_streams")
                     == 1, 20, "the other one is left")
            assert daemon.chat("echo", "x", key=kept).status == 200
            assert next(e for e in other if e.kind == "overview" and
                        e.json["totals"]["calls"] == 1)
            assert next(part for part in another.parts
                        if b'"event":"call"' in part)


@test
def streams_end_once_their_key_has_expired():
    with secured() as daemon:
        key, watching, reading = both_follow(
            daemon, lambda: key_of(daemon, "admin", expires="3s"))
        with watching, reading:
            kinds = [event.kind for event in watching]
            assert kinds[-1] == "again" and watching.complete, kinds
            reading.body()
        assert daemon.get("/admin/v1/me", key=key).status == 401


@test
def streams_end_once_their_token_has_expired():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        signer = issuer.add("EdDSA")
        jwt = ('jwt = ( { issuer = "https://id.example"; audience = "atomd";'
               ' jwks = "jwks.json"; leeway = "1s";'
               ' roles = ( { claim = "root"; role = "admin"; } ); } );')
        with Daemon(config(security=jwt),
                    files={"jwks.json": issuer.jwks()}) as daemon:
            lasting = issuer.token(signer, ends_in=300, role="root")
            with follow(daemon, lasting) as other, \
                    follow(daemon, lasting, path=FOLLOW_LOG) as another:
                token, watching, reading = both_follow(
                    daemon, lambda: issuer.token(signer, ends_in=3,
                                                 role="root"))
                with watching, reading:
                    # Silent until it ends, where the other one tells each
                    # second.
                    reading.body()
                    kinds = [event.kind for event in watching]
                    assert kinds[-1] == "again" and watching.complete, kinds
                assert daemon.get("/admin/v1/me", key=token).status == 401
                assert daemon.chat("echo", "x", key=lasting).status == 200
                assert next(e for e in other if e.kind == "overview" and
                            e.json["totals"]["calls"] == 1)
                assert next(part for part in another.parts
                            if b'"event":"call"' in part)


@test
def streams_end_once_a_reload_knows_their_holders_no_more():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        signer = issuer.add("EdDSA")
        token = issuer.token(signer, ends_in=300, role="root")

        def text(issuer="id", bootstrap=BOOTSTRAP, role="admin", extra=""):
            rows = ", ".join(
                '{ issuer = "https://%s.example"; audience = "atomd";'
                ' jwks = "jwks.json";'
                ' roles = ( { claim = "root"; role = "admin"; } ); }' % name
                for name in ("other", issuer))
            return config(security='%s bootstrap_admin_key = "%s";'
                          ' anonymous_role = "%s"; jwt = ( %s );'
                          % (extra, bootstrap, role, rows))
        with Daemon(text(), files={"jwks.json": issuer.jwks()}) as daemon:
            for key, after in ((token, text(issuer="new")),
                               (BOOTSTRAP, text(bootstrap=BOOTSTRAP + "2")),
                               ("", text(role="operator"))):
                assert daemon.reload(text()).status == 200
                with follow(daemon, key) as watching, \
                        follow(daemon, key, path=FOLLOW_LOG) as reading:
                    # One that says the same of them leaves them be.
                    assert daemon.reload(text(
                        extra="lockout: { failures = 7; };")).status == 200
                    events = iter(watching)
                    first = next(events).json["time"]
                    while next(events).json["time"] == first:
                        pass
                    assert daemon.reload(after).status == 200
                    kinds = [event.kind for event in events]
                    assert kinds[-1] == "again" and watching.complete, kinds
                    reading.body()


@test
def streams_end_once_a_reload_takes_from_their_role():
    def roles(words):
        return config(security='roles = ( { name = "x"; permissions = '
                      '[ %s ]; } );' % words)
    with Daemon(roles('"view_metrics", "view_logs", "invoke_agent"')) as daemon:
        key, kept = key_of(daemon, "x"), key_of(daemon, "admin")
        with follow(daemon, key) as watching, \
                follow(daemon, key, path=FOLLOW_LOG) as reading, \
                follow(daemon, kept) as other:
            assert daemon.reload(roles('"invoke_agent"')).status == 200
            # Silent until it ends, where the other one tells each second.
            reading.body()
            kinds = [event.kind for event in watching]
            assert kinds[-1] == "again" and watching.complete, kinds
            assert daemon.get("/admin/v1/me", key=key).status == 200
            wait_for(lambda: daemon.metrics().sum("atomd_overview_streams")
                     == 1, 20, "the other one is left")
            other.close()


@test
def a_stop_does_not_wait_for_those_who_watch():
    with secured() as daemon:
        key = key_of(daemon, "read_only")
        with follow(daemon, key) as stream:
            events = iter(stream)
            assert next(events).kind == "overview"
            daemon.signal(signal.SIGTERM)
            kinds = [event.kind for event in events]
            assert kinds[-1] == "again", kinds
            assert stream.complete
            assert daemon.wait_end() == 0


if __name__ == "__main__":
    run()
