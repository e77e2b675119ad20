"""Calls over TLS: the same proxies with a certificate, asked by wrk, for our
generator speaks none.  CPU time is that of the proxy's processes."""

import statistics
from collections import namedtuple

from authority import Authority
from family import cpu_us
from judges import question, wrk
from places import Folder
from proxies import Atomd, HAProxy, LeftOut, Nginx

# title, bytes of a question, connections; the quick form has the first two.
Load = namedtuple("Load", "name title size connections")
LOADS = (
    Load("64", "1 KB calls over TLS, 64 connections, by wrk", 1024, 64),
    Load("1", "1 KB calls over TLS, 1 connection, by wrk", 1024, 1),
    Load("16k", "16 KB calls over TLS, 64 connections, by wrk", 16384, 64),
    Load("1m", "1 MB calls over TLS, 8 connections, by wrk", 1048576, 8),
)


class Certificate:
    """Of 127.0.0.1, P-256, as files."""

    def __init__(self, folder):
        issued = Authority(folder.path).issue("localhost",
                                              names="IP:127.0.0.1")
        self.certificate, self.key = issued.certificate, issued.key
        with open(self.certificate) as one, open(self.key) as other:
            self.both = folder.write("both.pem", one.read() + other.read())


def with_tls(kind, certificate):
    """The same proxy, whose one listener has the certificate."""
    class Secure(kind):
        tls = True
        CONFIG = {
            Nginx: lambda text: text.replace(
                "backlog=4096;", "backlog=4096 ssl;\n"
                "    ssl_certificate %s;\n    ssl_certificate_key %s;" % (
                    certificate.certificate, certificate.key)),
            HAProxy: lambda text: text.replace(
                "bind fd@%(fd)d", "bind fd@%%(fd)d ssl crt %s" %
                certificate.both),
            Atomd: lambda text: text.replace(
                '{ address = "127.0.0.1:0"; }',
                '{ address = "127.0.0.1:0"; tls: { certificate = "%s"; '
                'key = "%s"; }; }' % (
                    certificate.certificate, certificate.key)),
        }[kind](kind.CONFIG)
    return Secure


def one(server, cores, load):
    before = cpu_us(server.pid)
    figure = wrk(server, cores, load.connections, question(load.size))
    figure["cpu_us_per_call"] = (cpu_us(server.pid) - before) / max(
        figure["calls"], 1)
    return figure


def measure(bench, servers, loads):
    found = {(s.name, load): [] for load in loads for s in servers}
    for _ in range(bench.size.rounds):
        for server in servers:
            for load in loads:
                figure = one(server, bench.load_cores, load)
                bench.failed |= figure["wrong"] + figure["errors"] > 0 or \
                    figure["calls"] == 0
                found[server.name, load].append(figure)
    return found


def start(bench, folder):
    certificate, servers = Certificate(folder), []
    for kind in (Nginx, HAProxy, Atomd):
        if bench.only and kind.name.lower() not in bench.only:
            continue
        try:
            servers.append(with_tls(kind, certificate)(bench.mock,
                                                       bench.proxy_cores))
        except LeftOut as why:
            bench.notes.append("%s: left out, %s" % (kind.name, why))
        except BaseException:
            for server in servers:
                server.stop()
            raise
    return servers


def show(load, rows):
    base = rows.get("nginx", {}).get("cpu_us_per_call")
    print("\n" + load.title)
    print("%-12s%9s%9s%9s%9s%9s%6s" % ("", "calls/s", "CPU us", "x nginx",
                                      "p50 us", "p99 us", "wrong"))
    for name, row in rows.items():
        print("%-12s%9.0f%9.2f%9s%9d%9d%6d" % (
            name, row["calls_per_second"], row["cpu_us_per_call"],
            "%.2f" % (row["cpu_us_per_call"] / base) if base else "-",
            row["p50_us"], row["p99_us"], row["wrong"]), flush=True)


def run(bench):
    loads = LOADS[:2] if bench.quick else LOADS
    with Folder() as folder:
        servers = start(bench, folder)
        try:
            found = measure(bench, servers, loads)
        finally:
            for server in servers:
                server.stop()
    result = {}
    for load in loads:
        rows = {server.name: {
            name: statistics.median(f[name] for f in
                                    found[server.name, load])
            for name in ("calls_per_second", "cpu_us_per_call", "p50_us",
                         "p99_us")} for server in servers}
        for name, row in rows.items():
            row["wrong"] = sum(f["wrong"] + f["errors"]
                               for f in found[name, load])
        show(load, rows)
        result[load.name] = rows
    return result
