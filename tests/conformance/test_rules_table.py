#!/usr/bin/env python3
"""The shipped rules against the daemon's metric table: thresholds are written
by hand, but every metric of theirs is one that a daemon exports, used as what
it is, by labels that it has."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)),
                                "etc", "grafana"))

from atomd_test import (Daemon, Folder, agent, run, source,  # noqa: E402
                        test, wait_for)
from authority import Authority  # noqa: E402
from generate import table_of  # noqa: E402

RULES = source("etc", "alerts", "atomd.yml")
CONFIG = """
environment = "test"; log_level = "debug";
listeners = (
  { address = "127.0.0.1:0"; },
  { address = "127.0.0.1:0"; tls: { certificate = "%s"; key = "%s"; }; },
  { address = "unix:@DIR@/admin.sock"; admin = true; } );
state: { directory = "@DIR@/state"; };
security: { anonymous_role = "caller"; };
agents = ( %s );
audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; } );
monitors = ( { plugin = "alerts"; } );
"""
CANARY = ('deployment: { plugin = "canary"; hold = "0"; steps = ( '
          '{ percent = 20.0; manual = true; } ); };')
PROBED = 'probe: { input = "ping"; every_ms = 1000; };'


def text(server, prefix):
    return CONFIG % (server.certificate, server.key, agent(
        "echo", 'plugin = "echo"; prefix = "%s";' % prefix, CANARY + PROBED))


def exposition():
    """Of a daemon that has had a series of each family the rules name."""
    wanted = set(map(family_of, re.findall(r"\batomd_\w+", expressions())))
    with Folder() as folder:
        server = Authority(folder.path).issue("localhost", "DNS:localhost")
        return scrape(server, wanted)


def scrape(server, wanted):
    missing = []
    with Daemon(text(server, "a"), wait="listening") as daemon:
        wait_for(lambda: daemon.admin_sock, 20, "the listener of admins")
        wait_for(lambda: daemon.chat("echo", "one").status == 200, 20,
                 "an instance")
        assert daemon.reload(text(server, "b")).status == 200
        wait_for(lambda: daemon.admin(
            "GET", "/admin/v1/deployments/echo").json["phase"] == "Paused",
            30, "a rollout that waits")
        daemon.admin("POST", "/admin/v1/deployments/echo/abort", {})

        def table():
            told = table_of(daemon.admin("GET", "/metrics").text)
            missing[:] = sorted(wanted - set(told))
            return told if not missing else None

        try:
            return wait_for(table, 30, "every family")
        except AssertionError:
            raise AssertionError("no daemon exports %s" % ", ".join(
                missing)) from None


def rules():
    """[(name, expression, annotations)]"""
    with open(RULES, encoding="utf-8") as file:
        parts = file.read().split("- alert: ")[1:]
    found = []
    for part in parts:
        name, rest = part.split("\n", 1)
        expr = re.search(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", rest)
        found.append((name, expr.group(1) or expr.group(2), rest))
    assert len(found) > 20, found
    return found


def expressions():
    return "\n".join(expr for _, expr, _ in rules())


def family_of(name):
    return re.sub(r"_(bucket|sum|count)\Z", "", name)


def inside(expr, start):
    """The text from the bracket at `start` to the one that closes it."""
    depth = 0
    for at in range(start, len(expr)):
        depth += {"(": 1, ")": -1}.get(expr[at], 0)
        if depth == 0:
            return expr[start:at + 1]
    raise AssertionError("no end of a bracket: " + expr)


def faults(expr, table):
    """What of the expression the table does not bear out."""
    for match in re.finditer(r"\b(atomd_\w+)(\{[^}]*\})?(\[\w+\])?", expr):
        name, matchers, window = match.groups()
        kind, _, labels = table.get(family_of(name), table.get(
            name, ("missing", "", set())))
        part = kind == "histogram"
        if kind == "missing":
            yield "%s is exported by nobody" % name
            continue
        if part and name == family_of(name):
            yield "%s is a histogram, and has parts" % name
        if not part and name != family_of(name):
            yield "%s is no histogram, but a %s" % (family_of(name), kind)
        grows = kind == "counter" or part
        before = expr[:match.start()]
        if grows and not (window and re.search(
                r"\b(rate|increase)\(\Z", before)):
            yield "%s grows for ever, and stands as it is" % name
        if not grows and re.search(r"\b(rate|increase)\(\Z", before):
            yield "%s is a gauge, and has no rate" % name
        for label in re.findall(r"(\w+)\s*[=!]", matchers or ""):
            if label not in labels:
                yield "%s has no label %s" % (name, label)
    for match in re.finditer(r"\bby \(([^)]*)\)\s*", expr):
        for name in re.findall(r"\batomd_\w+", inside(expr, match.end())):
            labels = table.get(family_of(name), ("", "", set()))[2]
            for label in re.findall(r"\w+", match.group(1)):
                if label not in labels:
                    yield "%s has no label %s to go by" % (name, label)


def labels_left(expr, table):
    """Those of the alert, which its words may use."""
    first = re.search(r"\b(atomd_\w+)", expr)
    by = re.match(r"\s*(?:histogram_quantile\([\d.]+, )?\w+ by \(([^)]*)\)",
                  expr)
    if by:
        return set(re.findall(r"\w+", by.group(1))) - {"le"}
    if not first or re.match(r"\s*sum\(", expr):
        return set()
    return table[family_of(first.group(1))][2]


@test
def every_metric_and_label_of_a_rule_is_in_the_table_as_what_it_is():
    table = exposition()
    wrong = []
    for name, expr, annotations in rules():
        wrong += ["%s: %s" % (name, fault) for fault in faults(expr, table)]
        left = labels_left(expr, table)
        wrong += ["%s: its words name $labels.%s, which it has not" % (
            name, label) for label in re.findall(r"\$labels\.(\w+)",
                                                 annotations)
            if label not in left]
    assert not wrong, "\n".join(wrong)


@test
def what_is_wrong_is_found():
    table = {"atomd_a_total": ("counter", "", {"agent"}),
             "atomd_b": ("gauge", "", {"agent"}),
             "atomd_c_seconds": ("histogram", "", {"agent", "le"})}
    for expr in ("atomd_b > 0", "sum by (agent) (rate(atomd_a_total[5m]))",
                 'histogram_quantile(0.9, sum by (agent, le) '
                 '(rate(atomd_c_seconds_bucket{agent="x"}[5m])))'):
        assert not list(faults(expr, table)), expr
    for expr in ("atomd_d > 0", "rate(atomd_b[5m])", "atomd_a_total > 1",
                 "atomd_b_count", "rate(atomd_c_seconds[5m])",
                 'atomd_b{code="1"}', "sum by (code) (atomd_b)",
                 "sum by (agent, le) (rate(atomd_a_total[5m]))"):
        assert list(faults(expr, table)), expr


if __name__ == "__main__":
    run()
