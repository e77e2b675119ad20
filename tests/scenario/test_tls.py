#!/usr/bin/env python3
"""TLS: what a handshake takes, certificates that change while it serves and
those that end, and clients that are known by their certificate."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time

from atomd_test import (Daemon, Folder, Headers, Answer, agent, config, run,
                        run_atomd, seconds, spoken, test, wait_for)
from authority import Authority
from mock_upstream import Mock
from wire import Stream, Wire

AGENTS = [agent("echo"), agent("other"),
          agent("memory", more="memory: { max_messages = 10; };")]
OLD = ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3


class Place:
    """A folder, an authority, a server certificate under @DIR@/tls."""

    def __init__(self, **server):
        self.folder = Folder()
        self.ca = Authority(self.folder.path)
        os.mkdir(self.folder.at("tls"))
        self.install(self.server(**server))

    def server(self, **more):
        return self.ca.issue("localhost", "DNS:localhost,IP:127.0.0.1",
                             "serverAuth", **more)

    def install(self, issued):
        shutil.copy(issued.certificate, self.folder.at("tls", "cert.pem"))
        shutil.copy(issued.key, self.folder.at("tls", "key.pem"))

    def daemon(self, tls="", security="", **more):
        return Daemon(self.config(tls, security), **more)

    def config(self, tls="", security=""):
        listeners = (
            '{ address = "127.0.0.1:0"; tls: { certificate = "%s";'
            ' key = "%s"; %s }; },\n'
            '{ address = "unix:@DIR@/admin.sock"; admin = true; }' % (
                self.folder.at("tls", "cert.pem"),
                self.folder.at("tls", "key.pem"), tls))
        return config(AGENTS, security, listeners=listeners)

    def clients(self, more="", ca=None):
        """The listener's part of mTLS."""
        return 'client_ca = "%s"; %s' % ((ca or self.ca).certificate, more)

    def context(self, issued=None, ca=None):
        context = ssl.create_default_context(
            cafile=(ca or self.ca).certificate)
        if issued:
            context.load_cert_chain(issued.certificate, issued.key)
        return context

    def connection(self, daemon, issued=None, context=None):
        return http.client.HTTPSConnection(
            "127.0.0.1", daemon.port, timeout=seconds(20),
            context=context or self.context(issued))

    def get(self, daemon, path="/v1/models", issued=None, key=None,
            context=None, on=None):
        """One request, on a connection of its own unless `on` is one."""
        connection = on or self.connection(daemon, issued, context)
        try:
            connection.request("GET", path, headers={
                "Authorization": "Bearer " + key} if key else {})
            reply = connection.getresponse()
            return Answer(reply.status, Headers(
                (n.lower(), v) for n, v in reply.getheaders()), reply.read())
        finally:
            if not on:
                connection.close()

    def refused(self, daemon, issued=None, context=None):
        """The handshake fails, which TLS 1.3 says with the first read."""
        try:
            answer = self.get(daemon, issued=issued, context=context)
        except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
            return True
        raise AssertionError("let in: %r" % answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.remove()


def reload(daemon):
    return daemon.admin("POST", "/admin/v1/reload")


def component(daemon):
    listed = daemon.admin("GET", "/admin/v1/status").json["components"]
    return next((c for c in listed if c["name"] == "tls"), None)


def rows(*rows):
    return "client_certificates = ( %s );" % ", ".join(rows)


OPS = '{ subject = "CN=ops,O=Example"; role = "operator"; }'


# --- the handshake -------------------------------------------------------------

def handshake(place, daemon, *options):
    """What openssl says of one."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % daemon.port,
         "-CAfile", place.ca.certificate, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=seconds(20))
    return done.stdout.decode("utf-8", "replace")


def agreed(said):
    return "Cipher is (NONE)" not in said and "Cipher is " in said


@test
def old_versions_and_weak_ciphers_are_refused_by_the_server():
    with Place(algorithm="rsa") as place, place.daemon() as daemon:
        weak = "DEFAULT:@SECLEVEL=0"
        for version in ("-tls1", "-tls1_1"):
            said = handshake(place, daemon, version, "-cipher", weak)
            assert not agreed(said), said
            assert "alert" in said, said
        for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "NULL-SHA256",
                       "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                       "DHE-RSA-AES128-GCM-SHA256", "AECDH-AES128-SHA"):
            said = handshake(place, daemon, "-tls1_2", "-cipher",
                             cipher + ":@SECLEVEL=0")
            assert not agreed(said), (cipher, said)
        for cipher in ("ECDHE-RSA-AES128-GCM-SHA256",
                       "ECDHE-RSA-AES256-GCM-SHA384",
                       "ECDHE-RSA-CHACHA20-POLY1305"):
            said = handshake(place, daemon, "-tls1_2", "-cipher", cipher)
            assert "Cipher is " + cipher in said, said
        assert "TLSv1.3, Cipher is TLS_" in handshake(place, daemon)
        metrics = daemon.admin("GET", "/metrics").text
        assert "atomd_http_tls_failures_total 9" in metrics, [
            line for line in metrics.splitlines() if "tls" in line]


@test
def the_server_chooses_groups_and_ciphers():
    with Place() as place, place.daemon() as daemon:
        said = handshake(place, daemon, "-tls1_2", "-cipher",
                         "ECDHE-ECDSA-AES256-GCM-SHA384:"
                         "ECDHE-ECDSA-AES128-GCM-SHA256")
        assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in said, said
        assert "X25519" in handshake(place, daemon)
        assert agreed(handshake(place, daemon, "-groups", "P-256"))
        assert not agreed(handshake(place, daemon, "-groups", "P-521"))
        said = handshake(place, daemon, "-alpn", "h2,http/1.1")
        assert "ALPN protocol: http/1.1" in said, said
        assert "Compression: NONE" in said, said


@test
def nobody_renegotiates():
    with Place() as place, place.daemon() as daemon:
        done = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % daemon.port,
             "-tls1_2"], input=b"R\n", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=seconds(20))
        said = done.stdout.decode("utf-8", "replace")
        assert "RENEGOTIATING" in said and "renegotiation" in said, said
        assert place.get(daemon, "/healthz").status == 200


# --- files that change ------------------------------------------------------------

def serial(connection):
    """The server's certificate as this connection sees it."""
    if connection.sock is None:
        connection.connect()
    return connection.sock.getpeercert()["serialNumber"]


@test
def a_new_certificate_serves_new_connections_and_cuts_no_old_one():
    with Place() as place, place.daemon() as daemon:
        old = place.connection(daemon)
        first = serial(old)
        assert place.get(daemon, "/healthz", on=old).status == 200
        place.install(place.server())
        assert reload(daemon).status == 200
        new = place.connection(daemon)
        wait_for(lambda: fresh_serial(place, daemon) != first, 10,
                 "new handshakes use the new file")
        assert place.get(daemon, "/healthz", on=old).status == 200
        assert serial(old) == first
        assert place.get(daemon, "/healthz", on=new).status == 200
        old.close()
        new.close()


def fresh_serial(place, daemon):
    connection = place.connection(daemon)
    try:
        return serial(connection)
    finally:
        connection.close()


@test
def a_bad_file_leaves_the_old_certificate_and_says_so():
    with Place() as place, place.daemon() as daemon:
        first = fresh_serial(place, daemon)
        other = place.server()
        for name, content, word in (
                ("cert.pem", "rubbish", "cert.pem"),
                ("key.pem", open(other.key).read(), "does not belong"),
                ("key.pem", None, "No such file")):
            path = place.folder.at("tls", name)
            with open(path) as file:
                kept = file.read()
            if content is None:
                os.unlink(path)
            else:
                place.folder.write("tls/" + name, content)
            seen = daemon.count_event("tls_reload_failed")
            assert reload(daemon).status == 200
            wait_for(lambda: daemon.count_event("tls_reload_failed") > seen)
            assert word in component(daemon)["last_error"], (
                word, component(daemon))
            assert component(daemon)["status"] == "degraded"
            assert fresh_serial(place, daemon) == first
            place.folder.write("tls/" + name, kept)
        assert reload(daemon).status == 200
        assert component(daemon)["status"] == "ok"


@test
def bad_files_are_told_before_the_start():
    with Place() as place:
        place.folder.write("tls/key.pem", "rubbish")
        place.folder.write("atomd.conf", place.config().replace(
            "@DIR@", place.folder.path))
        for more in ([], ["-t"]):
            done = run_atomd("-c", place.folder.at("atomd.conf"), *more)
            assert done.returncode == 78, spoken(done)
            assert "key.pem" in spoken(done), spoken(done)


@test
def other_files_for_a_listener_take_effect_at_a_reload():
    with Place() as place, place.daemon() as daemon:
        assert place.get(daemon, "/healthz").status == 200
        port = daemon.port
        # Not sound: nothing changes.
        daemon.configure(place.config('client_ca = "/nowhere.pem";'))
        answer = reload(daemon)
        assert answer.status == 400 and "/nowhere.pem" in answer.text, answer
        assert place.get(daemon, "/healthz").status == 200
        daemon.configure(place.config(place.clients()))
        assert reload(daemon).status == 200
        client = place.ca.issue("ops", usage="clientAuth")
        wait_for(lambda: daemon.addresses.count("127.0.0.1:%d" % port) == 2)
        assert place.get(daemon, "/healthz", issued=client).status == 200
        place.refused(daemon)


# --- certificates that end ----------------------------------------------------------

@test
def a_certificate_that_ends_soon_is_told_in_time():
    day = 86400
    for left, days, status in ((30 * day, None, "ok"), (20 * day, 19, "ok"),
                               (6 * day, 5, "degraded"),
                               (day // 2, 0, "degraded")):
        with Place(ends_in=left) as place, place.daemon() as daemon:
            found = component(daemon)
            assert found["status"] == status, found
            metrics = daemon.admin("GET", "/metrics").text
            value = next(
                float(line.split(" ")[1]) for line in metrics.splitlines()
                if line.startswith("atomd_tls_certificate_expiry_timestamp"
                                   '_seconds{listener="127.0.0.1:0"}'))
            assert abs(value - (time.time() + left)) < 120, value
            lines = [line for line in daemon.lines
                     if line.get("event") == "certificate_expires"]
            if days is None:
                assert not lines, lines
                continue
            assert len(lines) == 1, lines
            assert lines[0]["days_left"] == days, lines
            assert "expires at" in found["last_error"], found
            place.install(place.server())
            assert reload(daemon).status == 200
            assert component(daemon)["status"] == "ok"


# --- clients with certificates --------------------------------------------------------

@test
def a_client_certificate_gives_the_role_of_its_row():
    with Place() as place:
        issue = place.ca.issue
        ops = issue("/O=Example/CN=ops", usage="clientAuth")
        spiffe = issue("x", "URI:spiffe://example/app", "clientAuth")
        host = issue("y", "DNS:Batch.Example.com", "clientAuth")
        mail = issue("z", "email:ann@example.com", "clientAuth")
        with place.daemon(place.clients(), rows(
                OPS, '{ uri = "spiffe://example/app"; role = "caller";'
                ' agents = [ "echo" ]; }',
                '{ dns = "batch.example.COM"; role = "read_only"; }',
                '{ email = "ann@example.com"; role = "admin"; }')) as daemon:
            def status(path, issued):
                return place.get(daemon, path, issued).status

            assert status("/admin/v1/status", ops) == 200
            assert status("/admin/v1/keys", ops) == 403
            assert status("/admin/v1/status", spiffe) == 403
            models = place.get(daemon, issued=spiffe).json["data"]
            assert [model["id"] for model in models] == ["echo"], models
            assert status("/admin/v1/status", host) == 200
            assert status("/v1/models", host) == 403
            assert status("/admin/v1/keys", mail) == 200


@test
def a_name_is_the_row_s_to_the_letter():
    with Place() as place:
        near = [("/O=Example/CN=ops2", ""), ("/O=Example/CN=op", ""),
                ("/O=Example/CN=Ops", ""), ("/CN=ops", ""),
                ("/O=Example/OU=x/CN=ops", ""), ("/O=Example2/CN=ops", ""),
                ("/CN=ops\\,O=Example", ""), ("/CN=ops,O=Example", ""),
                ("/CN=a", "URI:ops"),
                ("/CN=b", "URI:spiffe://example/app/more"),
                ("/CN=c", "DNS:x.batch.example.com"),
                ("/CN=spiffe:\\/\\/example\\/app", "DNS:spiffe")]
        issued = [place.ca.issue(subject, names, "clientAuth")
                  for subject, names in near]
        with place.daemon(place.clients(), rows(
                OPS, '{ uri = "spiffe://example/app"; role = "admin"; }',
                '{ dns = "batch.example.com"; role = "admin"; }')) as daemon:
            for (subject, names), one in zip(near, issued):
                answer = place.get(daemon, issued=one)
                assert answer.status == 401, (subject, names, answer)


@test
def who_shows_no_sound_certificate_gets_no_connection():
    with Place() as place:
        stranger = Authority(place.folder.path, "stranger")
        subject = "/O=Example/CN=ops"
        good = place.ca.issue(subject, usage="clientAuth")
        wrong = {
            "none": None,
            "another authority's": stranger.issue(subject),
            "expired": place.ca.issue(subject, usage="clientAuth",
                                      began=-7200, ends_in=-3600),
            "not yet": place.ca.issue(subject, usage="clientAuth",
                                      began=3600),
            "a server's": place.ca.issue(subject, usage="serverAuth"),
        }
        for mode in ("required", "optional"):
            tls = place.clients('client_certificate = "%s";' % mode)
            with place.daemon(tls, rows(OPS)) as daemon:
                assert place.get(daemon, "/admin/v1/status",
                                 good).status == 200
                for name, issued in wrong.items():
                    if name == "none" and mode == "optional":
                        assert place.get(daemon).status == 401
                        assert place.get(daemon, "/healthz").status == 200
                    else:
                        place.refused(daemon, issued)


@test
def what_is_revoked_is_refused_and_a_new_list_holds_for_open_connections():
    with Place() as place:
        first = place.ca.issue("/O=Example/CN=ops", usage="clientAuth")
        second = place.ca.issue("/O=Example/CN=ops", usage="clientAuth")
        place.ca.revoke(first)
        crl = place.ca.crl()
        tls = place.clients('client_crl = "%s";' % crl)
        with place.daemon(tls, rows(OPS)) as daemon:
            place.refused(daemon, first)
            held = place.connection(daemon, second)
            path = "/admin/v1/status"
            assert place.get(daemon, path, on=held).status == 200
            # A reload that revokes nothing of it changes nothing.
            assert reload(daemon).status == 200
            assert place.get(daemon, path, on=held).status == 200
            place.ca.revoke(second)
            place.ca.crl(crl)
            assert reload(daemon).status == 200
            wait_for(lambda: place.get(daemon, path, on=held).status == 401,
                     10, "the open connection gives no role any more")
            place.refused(daemon, second)
            held.close()


@test
def a_list_that_is_new_to_the_listener_holds_for_open_connections():
    with Place() as place:
        ops = place.ca.issue("/O=Example/CN=ops", usage="clientAuth")
        with place.daemon(place.clients(), rows(OPS)) as daemon:
            port, path = daemon.port, "/admin/v1/status"
            held = place.connection(daemon, ops)
            assert place.get(daemon, path, on=held).status == 200
            place.ca.revoke(ops)
            tls = place.clients('client_crl = "%s";' % place.ca.crl())
            daemon.configure(place.config(tls, rows(OPS)))
            assert reload(daemon).status == 200
            wait_for(lambda: daemon.addresses.count(
                "127.0.0.1:%d" % port) == 2)
            wait_for(lambda: place.get(daemon, path, on=held).status == 401,
                     10, "the open connection gives no role any more")
            place.refused(daemon, ops)
            held.close()


def follow(place, daemon, issued, path):
    """A stream whose holder is known by a certificate, its head read."""
    sock = socket.create_connection(("127.0.0.1", daemon.port), seconds(30))
    sock = place.context(issued).wrap_socket(sock,
                                             server_hostname="127.0.0.1")
    sock.settimeout(seconds(30))
    sock.sendall(("GET %s?follow=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
                  % (path, daemon.port)).encode())
    stream = Stream(Wire(sock))
    assert stream.status == 200, (stream.status, stream.body())
    return stream


def ends_with_again(stream):
    kinds = [event.kind for event in stream]
    return kinds[-1] == "again" and stream.complete


OVERVIEW, LOG = "/admin/v1/overview", "/admin/v1/logs"
ADMIN = '{ subject = "CN=ops,O=Example"; role = "admin"; }'
OTHER = '{ subject = "CN=other,O=Example"; role = "admin"; }'


@test
def streams_end_once_their_certificate_has_expired():
    with Place() as place:
        other = place.ca.issue("/O=Example/CN=other", usage="clientAuth")
        with place.daemon(place.clients(), rows(ADMIN, OTHER)) as daemon:
            with follow(place, daemon, other, OVERVIEW) as kept:
                ops = place.ca.issue("/O=Example/CN=ops", usage="clientAuth",
                                     ends_in=int(min(seconds(5), 20)))
                with follow(place, daemon, ops, OVERVIEW) as watching, \
                        follow(place, daemon, ops, LOG) as reading:
                    # Silent until it ends, where the other one tells each
                    # second.
                    reading.body()
                    assert ends_with_again(watching)
                place.refused(daemon, ops)
                assert daemon.metrics().sum("atomd_overview_streams") == 1
                kept.close()


@test
def streams_end_once_a_reload_refuses_their_certificate():
    with Place() as place:
        ops = place.ca.issue("/O=Example/CN=ops", usage="clientAuth")
        other = place.ca.issue("/O=Example/CN=other", usage="clientAuth")
        crl = place.ca.crl()
        tls = place.clients('client_crl = "%s";' % crl)
        with place.daemon(tls, rows(ADMIN, OTHER)) as daemon:
            with follow(place, daemon, ops, OVERVIEW) as watching, \
                    follow(place, daemon, ops, LOG) as reading, \
                    follow(place, daemon, other, OVERVIEW) as kept, \
                    follow(place, daemon, other, LOG) as kept_log:
                place.ca.revoke(ops)
                place.ca.crl(crl)
                assert reload(daemon).status == 200
                reading.body()
                assert ends_with_again(watching)
                assert daemon.metrics().sum("atomd_overview_streams") == 1
                # A row that is gone is as good as a revocation.
                daemon.configure(place.config(tls, rows(ADMIN)))
                assert reload(daemon).status == 200
                kept_log.body()
                assert ends_with_again(kept)


@test
def a_key_counts_before_a_certificate():
    with Place() as place:
        ops = place.ca.issue("/O=Example/CN=ops", usage="clientAuth")
        nobody = place.ca.issue("nobody", usage="clientAuth")
        with place.daemon(place.clients(), rows(OPS)) as daemon:
            made = daemon.admin("POST", "/admin/v1/keys",
                                {"role": "caller"}).json
            path = "/admin/v1/status"
            assert place.get(daemon, path, ops).status == 200
            assert place.get(daemon, path, ops, made["key"]).status == 403
            assert place.get(daemon, "/v1/models", nobody,
                             made["key"]).status == 200
            # A wrong key is wrong, whoever shows it; what is no key of
            # ours counts as none.
            assert place.get(daemon, path, ops,
                             made["key"][:-1]).status == 401
            assert place.get(daemon, path, ops, "sk-unused").status == 200
            assert place.get(daemon, path, nobody).status == 401
            assert daemon.admin("DELETE",
                                "/admin/v1/keys/" + made["id"]).status == 200
            assert place.get(daemon, path, ops, made["key"]).status == 401


@test
def sessions_belong_to_the_certificate_s_name():
    with Place() as place:
        one = place.ca.issue("/O=Example/CN=one", usage="clientAuth")
        renewed = place.ca.issue("/O=Example/CN=one", usage="clientAuth")
        two = place.ca.issue("/O=Example/CN=two", usage="clientAuth")
        with place.daemon(place.clients(), rows(
                '{ subject = "CN=one,O=Example"; role = "caller"; }',
                '{ subject = "CN=two,O=Example"; role = "caller"; }'
        )) as daemon:
            connection = place.connection(daemon, one)
            connection.request("POST", "/v1/agents/memory/invoke", json.dumps(
                {"input": "a", "session_id": "s"}),
                {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()
            path = "/v1/agents/memory/sessions/s"
            assert place.get(daemon, path, renewed).status == 200
            assert place.get(daemon, path, two).status == 404


# --- upstream ---------------------------------------------------------------------

@test
def an_upstream_is_verified_unless_told_otherwise():
    with Place() as place:
        issued = place.server()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(issued.certificate, issued.key)
        with Mock(tls) as upstream:
            def daemon(more):
                return Daemon(config(agent(
                    "up", 'plugin = "openai"; base_url = "%s"; model = "m";'
                    ' api_key = "k"; %s' % (upstream.url, more))))

            with daemon("") as one:
                answer = one.chat("up", "hello")
                assert answer.status == 502, answer
                assert "certificate" in answer.text, answer
                assert not upstream.calls
            with daemon('ca_file = "%s";' % place.ca.certificate) as one:
                assert one.chat("up", "hello").status == 200


if __name__ == "__main__":
    run()
