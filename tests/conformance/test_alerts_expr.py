#!/usr/bin/env python3
"""Expressions of monitor/alerts mean what Prometheus means by them: generated
ones over generated series, both sides asked, every value compared.

ALERTS_SEED chooses other ones than usual, ALERTS_CASES how many.
"""

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, Skip, run, test  # noqa: E402

EVALUATE = os.path.join(os.environ["TOP_BUILDDIR"], "tests", "conformance",
                        "evaluate")
SEED = int(os.environ.get("ALERTS_SEED", "7"))
CASES = int(os.environ.get("ALERTS_CASES", "300"))
PER_WORLD = 100


# --- the two sides --------------------------------------------------------------

def promtool():
    path = shutil.which("promtool")
    if path is None:
        raise Skip("no promtool: apt-get install prometheus")
    return path


def prometheus_labels(labels):
    name = labels.get("__name__", "")
    rest = ", ".join('%s=%s' % (k, json.dumps(v))
                     for k, v in sorted(labels.items()) if k != "__name__")
    return "%s{%s}" % (name, rest)


def our_series(labels):
    return "{%s}" % ",".join('%s=%s' % (k, json.dumps(v))
                             for k, v in sorted(labels.items()))


class World:
    """Series on one grid of times, and what both sides say about them."""

    def __init__(self, interval, series):
        self.interval = interval
        self.series = series

    def ask_prometheus(self, folder, questions):
        """What it says to each of [(seconds, expression)]: a dict of labels
        to value, or None for an error."""
        document = {
            "evaluation_interval": "%ds" % self.interval,
            "tests": [{
                "interval": "%ds" % self.interval,
                "input_series": [
                    {"series": prometheus_labels(labels),
                     "values": " ".join(values)}
                    for labels, values in self.series],
                # A wrong expectation makes it print what it found.
                "promql_expr_test": [
                    {"expr": text, "eval_time": "%ds" % at,
                     "exp_samples": [{"labels": "impossible{}", "value": 1}]}
                    for at, text in questions],
            }],
        }
        path = folder.at("world.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        done = subprocess.run([promtool(), "test", "rules", path],
                              capture_output=True, text=True, timeout=120)
        blocks = re.split(r"^    expr: ", done.stdout + done.stderr,
                          flags=re.M)[1:]
        assert len(blocks) == len(questions), (
            "%d answers to %d questions: %s" % (
                len(blocks), len(questions),
                (done.stdout + done.stderr)[-2000:]))
        return [read_promtool(block) for block in blocks]

    def ask_us(self, questions):
        lines = []
        for labels, values in self.series:
            samples = ["%d=%s" % (i * self.interval * 1000, value)
                       for i, value in enumerate(values) if value != "_"]
            lines.append("series %s\t%s" % (our_series(labels),
                                            "\t".join(samples)))
        lines += ["at %d %s" % (at * 1000, text) for at, text in questions]
        done = subprocess.run([EVALUATE], input="\n".join(lines) + "\n",
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answers = done.stdout.splitlines()
        assert len(answers) == len(questions), done.stdout[-2000:]
        return [read_ours(line) for line in answers], answers


def read_labels(text):
    return tuple(sorted((name, json.loads(value)) for name, value in re.findall(
        r'([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")', text)))


def read_promtool(block):
    if re.search(r", err: ", block.split("\n")[0]):
        return None
    got = re.search(r"^\s+got:(.*)", block, flags=re.M | re.S)
    values = {}
    for name, labels, value in re.findall(
            r'(?:^|, )([a-zA-Z_:][\w:]*)?'
            r'(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}) (\S+?)(?=, |\s*$)',
            got.group(1).strip()):
        pairs = read_labels(labels)
        if name:
            pairs = tuple(sorted(pairs + (("__name__", name),)))
        assert pairs not in values, block
        values[pairs] = float(value)
    assert values or got.group(1).strip() in ("nil", ""), block
    return values


def read_ours(line):
    word, _, rest = line.partition(" ")
    if word == "error":
        return None
    if word == "scalar":
        return {(): float(rest)}
    values = {}
    for element in line.split("\t")[1:]:
        labels, _, value = element.rpartition(" ")
        pairs = tuple(sorted(json.loads(labels).items()))
        assert pairs not in values, line
        values[pairs] = float(value)
    return values


def same_number(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def same(a, b):
    if a is None or b is None:
        return a is b
    return a.keys() == b.keys() and all(same_number(a[k], b[k]) for k in a)


def compare(folder, world, questions):
    theirs = world.ask_prometheus(folder, questions)
    ours, lines = world.ask_us(questions)
    for question, a, b, line in zip(questions, theirs, ours, lines):
        assert same(a, b), (
            "seed %d, at %d s: %s\nPrometheus: %r\natomd: %r (%s)\nseries: %s"
            % (SEED, question[0], question[1], a, b, line,
               "; ".join("%s every %d s: %s" % (
                   prometheus_labels(labels), world.interval, " ".join(values))
                   for labels, values in world.series
                   if labels["__name__"] in question[1])))
    return theirs


# --- generated series -----------------------------------------------------------

AGENTS = ["a", "b", "c"]
CODES = ["200", "429", "500"]
BOUNDS = ["0.1", "0.5", "1", "5", "+Inf"]


def gaps(rng, values):
    kind = rng.random()
    if kind < 0.25:
        begin = rng.randrange(len(values))
        length = rng.randrange(1, 40)
        values[begin:begin + length] = ["_"] * len(
            values[begin:begin + length])
        if rng.random() < 0.5:
            values[begin] = "stale"
    elif kind < 0.35:
        values[:rng.randrange(len(values))] = []
        values[:0] = ["_"] * (80 - len(values))
    return values


def counter(rng):
    total, values = rng.choice([0, 0, 3, 1000]), []
    step = rng.choice([0, 1, 5, 40])
    for _ in range(80):
        if rng.random() < 0.03:
            total = 0
        total += rng.randrange(step + 1)
        values.append(str(total))
    return gaps(rng, values)


def gauge(rng):
    special = rng.random() < 0.2
    return gaps(rng, [
        rng.choice(["NaN", "Inf", "-Inf"]) if special and rng.random() < 0.1
        else str(rng.choice([rng.randrange(-5, 6),
                             round(rng.uniform(-3, 3), 3)]))
        for _ in range(80)])


def histogram(rng, agent):
    counts, series = [0] * len(BOUNDS), []
    rows = [[] for _ in BOUNDS]
    for _ in range(80):
        for _ in range(rng.randrange(6)):
            at = rng.randrange(len(BOUNDS))
            for i in range(at, len(BOUNDS)):
                counts[i] += 1
        for i, count in enumerate(counts):
            rows[i].append(str(count))
    for bound, row in zip(BOUNDS, rows):
        if rng.random() < 0.95:
            series.append(({"__name__": "latency_bucket", "agent": agent,
                            "le": bound}, row))
    return series


def make_world(rng):
    series = []
    for agent in AGENTS:
        for code in CODES:
            if rng.random() < 0.8:
                series.append(({"__name__": "requests_total", "agent": agent,
                                "code": code}, counter(rng)))
        if rng.random() < 0.8:
            series.append(({"__name__": "waits_total", "agent": agent},
                           counter(rng)))
        if rng.random() < 0.9:
            series.append(({"__name__": "depth", "agent": agent}, gauge(rng)))
        if rng.random() < 0.8:
            series.append(({"__name__": "limit", "agent": agent,
                            "zone": rng.choice("xy")}, gauge(rng)))
        series += histogram(rng, agent)
    rng.shuffle(series)
    return World(rng.choice([10, 15, 30]), series)


# --- generated expressions ---------------------------------------------------------

DURATIONS = ["45s", "1m", "90s", "5m", "1h", "2m30s", "10m", "1d", "500ms"]
NAMES = ["requests_total", "waits_total", "depth", "limit", "nothing",
         "latency_bucket"]
LABELS = ["agent", "code", "zone", "le", "missing"]
PATTERNS = ["a|b", "5..", ".+", ".*", "[ab]", "4[0-9]{2}", "", "x",
            "(200|500)", "[^a]", "2.?0+", r"5\\.0"]
OVER_TIME = ["rate", "increase", "delta", "changes", "resets",
             "sum_over_time", "avg_over_time", "min_over_time",
             "max_over_time", "count_over_time", "last_over_time",
             "present_over_time"]
ELEMENT = ["abs", "ceil", "floor"]
ARITHMETIC = ["+", "-", "*", "/", "%", "^"]
COMPARISON = ["==", "!=", ">", "<", ">=", "<="]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def selector(self):
        rng = self.rng
        matchers = []
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            operator = rng.choice(["=", "!=", "=~", "!~"])
            value = (rng.choice(PATTERNS) if "~" in operator
                     else rng.choice(AGENTS + CODES + [""]))
            matchers.append('%s%s"%s"' % (rng.choice(LABELS), operator, value))
        name = rng.choice(NAMES)
        if rng.random() < 0.1:
            matchers.append('__name__=~"%s"' % rng.choice(
                ["requests.*|waits_total", "de.th", "lim.*"]))
            name = ""
        text = name + ("{%s}" % ", ".join(matchers)
                       if matchers or not name else "")
        return text

    def offset(self):
        rng = self.rng
        if rng.random() < 0.8:
            return ""
        return " offset %s" % rng.choice(DURATIONS)

    def range(self):
        return "%s[%s]%s" % (self.selector(), self.rng.choice(DURATIONS),
                             self.offset())

    def names(self):
        return "(%s)" % ", ".join(self.rng.sample(
            LABELS, self.rng.randrange(3)))

    def number(self):
        return self.rng.choice(["0", "1", "2.5", "0x1F", "1e3", ".5", "NaN",
                                "Inf", "-3", "7"])

    def scalar(self, depth):
        rng = self.rng
        kind = rng.random()
        if depth <= 0 or kind < 0.6:
            return self.number()
        if kind < 0.7:
            return "time()"
        if kind < 0.8:
            return "scalar(%s)" % self.vector(depth - 1)
        if kind < 0.9:
            return "(%s %s %s)" % (self.scalar(depth - 1),
                                   rng.choice(ARITHMETIC),
                                   self.scalar(depth - 1))
        return "(%s %s bool %s)" % (self.scalar(depth - 1),
                                    rng.choice(COMPARISON),
                                    self.scalar(depth - 1))

    def matching(self):
        return self.rng.choice(["", "", "on%s ", "ignoring%s ", "on(agent) "]
                               ).replace("%s", self.names())

    def binary(self, depth):
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return "%s %s %s%s" % (self.vector(depth - 1),
                                   rng.choice(["and", "or", "unless"]),
                                   self.matching(), self.vector(depth - 1))
        operator = rng.choice(ARITHMETIC + COMPARISON)
        if operator in COMPARISON and rng.random() < 0.3:
            operator += " bool"
        if kind < 0.5:
            return "%s %s %s" % (self.vector(depth - 1), operator,
                                 self.scalar(depth - 1))
        if kind < 0.6:
            return "%s %s %s" % (self.scalar(depth - 1), operator,
                                 self.vector(depth - 1))
        return "%s %s %s%s" % (self.vector(depth - 1), operator,
                               self.matching(), self.vector(depth - 1))

    def aggregate(self, depth):
        rng = self.rng
        word = rng.choice(["sum", "avg", "max", "min", "count"])
        inner = "(%s)" % self.vector(depth - 1)
        grouping = rng.choice(["", "by ", "by ", "without "])
        if not grouping:
            return word + inner
        grouping += self.names()
        return ("%s %s %s" % (word, grouping, inner) if rng.random() < 0.5
                else "%s%s %s" % (word, inner, grouping))

    def quantile(self):
        rng = self.rng
        q = rng.choice(["0", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN"])
        inner = "rate(latency_bucket[%s])" % rng.choice(DURATIONS)
        if rng.random() < 0.6:
            inner = "sum by (le%s) (%s)" % (rng.choice(["", ", agent"]), inner)
        if rng.random() < 0.2:
            inner = "latency_bucket"
        return "histogram_quantile(%s, %s)" % (q, inner)

    def vector(self, depth):
        rng = self.rng
        kind = rng.random()
        if depth <= 0 or kind < 0.15:
            return self.selector() + self.offset()
        if kind < 0.35:
            return "%s(%s)" % (rng.choice(OVER_TIME), self.range())
        if kind < 0.55:
            return self.aggregate(depth)
        if kind < 0.6:
            return self.quantile()
        if kind < 0.64:
            return "absent(%s)" % (self.selector() if rng.random() < 0.7
                                   else self.vector(depth - 1))
        if kind < 0.68:
            return "%s(%s)" % (rng.choice(ELEMENT), self.vector(depth - 1))
        if kind < 0.7:
            return "clamp_%s(%s, %s)" % (rng.choice(["min", "max"]),
                                         self.vector(depth - 1), self.number())
        if kind < 0.72:
            return "vector(%s)" % self.scalar(depth - 1)
        if kind < 0.76:
            return "%s%s" % (rng.choice("+-"), self.vector(depth - 1))
        if kind < 0.8:
            return "(%s)" % self.binary(depth)
        return self.binary(depth)


# --- the tests -----------------------------------------------------------------------

@test
def generated_expressions_mean_what_prometheus_means():
    promtool()
    rng = random.Random(SEED)
    asked = found = 0
    with Folder() as folder:
        while asked < CASES:
            world = make_world(rng)
            maker = Maker(rng)
            questions = []
            for _ in range(PER_WORLD):
                text = (maker.scalar(3) if rng.random() < 0.05
                        else maker.vector(rng.choice([1, 2, 3])))
                questions.append((world.interval * rng.randrange(80)
                                  + rng.choice([0, 0, 1, 7]), text))
            answers = compare(folder, world, questions)
            asked += len(questions)
            found += sum(1 for answer in answers if answer)
    # Or the comparison was of nothing with nothing.
    assert found > asked / 4, (found, asked)


@test
def precedence_and_forms_are_those_of_prometheus():
    world = World(15, [({"__name__": "a", "x": "1"}, ["4"] * 41),
                       ({"__name__": "sum", "x": "1"}, ["2"] * 41),
                       ({"__name__": "job:a:rate5m", "x": "1"}, ["9"] * 41),
                       ({"__name__": "c", "x": "1"},
                        [str(3 * i) for i in range(41)])])
    with Folder() as folder:
        compare(folder, world, [(600, text) for text in (
            "-2 ^ 2", "2 ^ 3 ^ 2", "2 ^ -1 * 3", "1 - 2 - 3", "2 + 3 * 4 % 3",
            "- - 1", "1 + -a", "-a * 2", "a == 4 or a == 5 and a == 6",
            "a unless a == 4 or a", "sum", "sum + a", "sum(sum)", "SUM(a)",
            "sum by (x,) (a)", "job:a:rate5m", "a{x='1'}", "a{x=`1`}",
            'a{x="\\x31"}', "a{x=\"1\",}", "a # comment", "1 > bool 0",
            "a > 3 < 5", "a offset 1m", "rate(c[5m:])", "rate(c)", "a[5m]",
            "1 == 1", "a and 1", "a + on(x) group_left() c", "{}",
            '{x=~".*"}', "sum()", "sum(a, a)", "nosuch(a)", "a offset",
            "a{x==1}", "a[1m", "a[0s]", "a[1h2h]", "1..2", "0x", "a b",
            "(a", "a)", "'", "a{x=\"\\q\"}", "rate(a[5m]) by (x)", "",
            "a == bool", "bool", "on", "increase(c[1m]) offset 1m",
            "inf", "a @ 5") if text not in (
                # Prometheus knows them, and we say that we do not.
                "rate(c[5m:])", "a + on(x) group_left() c", "a @ 5",
                # It takes the empty one for a rule that is missing.
                "")])
        ours, _ = world.ask_us([(600, text) for text in (
            "rate(c[5m:])", "a + on(x) group_left() c", "a @ 5", "")])
        assert ours == [None] * 4, ours


if __name__ == "__main__":
    run()
