#!/usr/bin/env python3
"""A proxy in front says by the PROXY protocol for whom it connects."""

import shutil
import socket
import ssl
import struct
import subprocess

from atomd_test import Daemon, Skip, Wire, config, run, seconds, test

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
GUESS = ("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
         "Authorization: Bearer atm_wrong\r\n%s\r\n").encode()
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def header(client=None, command=0x21, more=b""):
    """A PROXY v2 header for this client; None names nobody."""
    if client is None:
        family, addresses = 0x00, b""
    elif ":" in client:
        family = 0x21
        addresses = (socket.inet_pton(socket.AF_INET6, client) +
                     socket.inet_pton(socket.AF_INET6, "::1") + b"\0\1\0\2")
    else:
        family = 0x11
        addresses = socket.inet_aton(client) + b"\x7f\0\0\1\0\1\0\2"
    return SIGNATURE + struct.pack(
        ">BBH", command, family, len(addresses + more)) + addresses + more


def serving(trusted='"127.0.0.0/8", "10.0.0.0/8"', more="",
            security="lockout: { failures = 0; };", files=None):
    return Daemon(config(security=security, listeners=(
        '{ address = "127.0.0.1:0"; proxy_protocol = true;'
        ' trusted_proxies = [ %s ]; %s },'
        ' { address = "unix:@DIR@/admin.sock"; admin = true; }' % (
            trusted, more))), files=files)


def address_of(daemon, before, forwarded=""):
    """What the daemon takes for the address of a caller behind `before`."""
    field = "X-Forwarded-For: %s\r\n" % forwarded if forwarded else ""
    with daemon.wire(before + GUESS % field.encode()) as wire:
        answer = wire.answer()
        assert answer.status == 401, answer
        ident = answer.headers["x-request-id"]
    return daemon.wait_line(
        lambda line: line.get("request_id") == ident)["address"]


@test
def the_client_that_the_header_names_is_the_caller():
    for before, forwarded, address in (
            (header("203.0.113.7"), "", "203.0.113.7"),
            (header("2001:db8::7"), "", "2001:db8::7"),
            (header("::ffff:203.0.113.7"), "", "203.0.113.7"),
            # A health check, and a client without an address.
            (header("203.0.113.7", command=0x20), "", "127.0.0.1"),
            (header(None), "", "127.0.0.1"),
            (header("203.0.113.7", more=b"\x04\0\x02xx"), "", "203.0.113.7"),
            # Behind a second proxy, that is trusted or is not.
            (header("10.1.2.3"), "203.0.113.9", "203.0.113.9"),
            (header("203.0.113.7"), "203.0.113.9", "203.0.113.7")):
        # One daemon each: only one line in 100 ms tells of a wrong key.
        with serving() as daemon:
            told = address_of(daemon, before, forwarded)
            assert told == address, (before, forwarded, told)


@test
def lock_outs_count_the_client_and_not_the_proxy():
    with serving(security="") as daemon:
        def told(client):
            with daemon.wire(header(client) + GUESS % b"") as wire:
                return "retry-after" in wire.answer().headers
        assert [told("203.0.113.7") for _ in range(10)] == [False] * 9 + [
            True]
        assert told("203.0.113.7")
        assert not told("203.0.113.8")


@test
def a_header_may_come_in_pieces_and_requests_follow_it():
    with serving() as daemon:
        with daemon.wire() as wire:
            for byte in header("203.0.113.7"):
                wire.send(bytes([byte]))
            for _ in range(3):
                assert wire.send(ALIVE).answer().status == 200


@test
def whoever_sends_no_sound_header_is_closed_without_a_word():
    with serving() as daemon:
        bad = (ALIVE, b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n" + ALIVE,
               SIGNATURE + b"\x31\x11\0\x0c" + b"x" * 12 + ALIVE,
               SIGNATURE + b"\x21\x12\0\x0c" + b"x" * 12 + ALIVE,
               SIGNATURE + b"\x21\x11\0\x04" + b"x" * 4 + ALIVE,
               SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 100,
               header("203.0.113.7", more=b"\x04\0\x09x") + ALIVE)
        for text in bad:
            with daemon.wire(text) as wire:
                assert wire.at_end(), text
        # Half of one, and then the end.
        with daemon.wire(header("203.0.113.7")[:20]) as wire:
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.at_end()
        metrics = daemon.metrics()
        assert metrics.sum("atomd_http_refused_total",
                           reason="proxy_protocol") == len(bad)
        assert daemon.wait_event("proxy_refused")["client"] == "127.0.0.1"
        with daemon.wire(header("203.0.113.7") + ALIVE) as wire:
            assert wire.answer().status == 200


@test
def who_is_no_trusted_proxy_is_not_heard():
    with serving(trusted='"192.0.2.0/24"') as daemon:
        for text in (header("203.0.113.7") + ALIVE, ALIVE):
            with daemon.wire() as wire:
                try:
                    wire.send(text)
                except OSError:
                    continue  # closed already
                assert wire.at_end()
        assert daemon.admin("GET", "/healthz").status == 200


@test
def a_client_that_a_proxy_names_is_not_local():
    with serving(security='anonymous_role = "caller";') as daemon:
        ask = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for client, status in (("203.0.113.7", 401), ("127.0.0.1", 200),
                               ("::1", 200)):
            with daemon.wire(header(client) + ask) as wire:
                assert wire.answer().status == status, client


@test
def tls_comes_behind_the_header():
    openssl = shutil.which("openssl")
    if not openssl:
        raise Skip("openssl is missing")
    daemon = serving(
        more='tls: { certificate = "@DIR@/c.pem"; key = "@DIR@/k.pem"; };')
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", daemon.folder.at("k.pem"), "-out",
         daemon.folder.at("c.pem")], check=True, capture_output=True)
    with daemon:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock = socket.create_connection(("127.0.0.1", daemon.port),
                                        seconds(20))
        sock.sendall(header("203.0.113.7"))
        with Wire(context.wrap_socket(sock)) as wire:
            answer = wire.send(GUESS % b"").answer()
            assert answer.status == 401, answer
        line = daemon.wait_event("credential_refused")
        assert line["address"] == "203.0.113.7", line
        # A header behind the handshake is no header.
        with daemon.wire(b"\x16\x03\x01\x00\x05hello") as wire:
            assert wire.at_end()


if __name__ == "__main__":
    run()
