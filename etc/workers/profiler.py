#!/usr/bin/env python3
"""The quickstart's agent: profiles the table or the log text it is given.

It speaks atomd's worker protocol itself, needs nothing but Python, no network
and no model, and says the same about the same text.  A table (values between
commas, semicolons, tabs or bars) is answered with its columns: types, missing
and distinct values, spread, outliers.  A log is answered with its levels, the
time it spans and the shapes of its lines.  Reading is bounded: the first
200,000 rows or lines, and 2,000 distinct values of a column, are looked at.
"""

import collections
import csv
import datetime
import io
import json
import math
import os
import re
import sys

ROWS_MAX = 200000
COLUMNS_MAX = 200
DISTINCT_MAX = 2000
SHAPES_MAX = 2000
CELL_SHOWN = 32
TOP = 5
PIECE = 512

MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?"}
LEVEL = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|CRIT(?:ICAL)?"
    r"|ALERT|FATAL|PANIC|EMERG)\b", re.I)
LEVELS = {"WARNING": "WARN", "ERR": "ERROR", "CRITICAL": "CRIT"}
STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?"
    r"(?:Z|[+-]\d\d:?\d\d)?")
SYSLOG = re.compile(
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d"
    r" \d\d:\d\d:\d\d")
# What varies within a shape of line, most particular first.
VARYING = (
    (STAMP, "<time>"), (SYSLOG, "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.I),
     "<uuid>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.I),
     "<hex>"),
    (re.compile(r'"[^"]*"'), "<text>"),
    (re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?=\b|[a-z%])"), "<n>"),
)


class NoTable(Exception):
    """The text is no table."""


# --- what is printed ------------------------------------------------------

def number(value):
    """A number as one would write it."""
    if value is None:
        return ""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "%.4g" % value


def cell(text):
    """A value that fits into a cell of a Markdown table."""
    text = " ".join(str(text).split()).replace("|", "\\|")
    return text if len(text) <= CELL_SHOWN else text[:CELL_SHOWN - 1] + "…"


def share(part, whole):
    return "%d (%.1f %%)" % (part, 100 * part / whole) if part else "0"


def table(head, rows):
    yield "| %s |\n" % " | ".join(head)
    yield "|%s\n" % ("---|" * len(head))
    for row in rows:
        yield "| %s |\n" % " | ".join(row)


# --- numbers --------------------------------------------------------------

def quantile(ordered, share_below):
    """Between two neighbours, as most programs do it (type 7)."""
    place = (len(ordered) - 1) * share_below
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(values):
    """min, quartiles, max, mean, deviation, and what lies far outside."""
    ordered = sorted(values)
    mean = math.fsum(ordered) / len(ordered)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in ordered)
                          / max(1, len(ordered) - 1))
    low, middle, high = (quantile(ordered, q) for q in (0.25, 0.5, 0.75))
    reach = 1.5 * (high - low)
    outside = [v for v in ordered if v < low - reach or v > high + reach]
    return {"min": ordered[0], "p25": low, "p50": middle, "p75": high,
            "p95": quantile(ordered, 0.95), "max": ordered[-1],
            "mean": mean, "deviation": deviation, "outside": outside}


# --- tables ---------------------------------------------------------------

def parse_number(text):
    """The number that a cell holds, or None."""
    try:
        value = float(text.replace("_", "x"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_date(text):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


class Column:
    """What is known of one column after its last row."""

    def __init__(self, name):
        self.name = name
        self.count = self.missing = self.dates = self.truths = 0
        self.longest = 0
        self.numbers = []
        self.first_date = self.last_date = None
        self.values = collections.Counter()
        self.more_values = False

    def add(self, text):
        self.count += 1
        text = text.strip()
        if text.lower() in MISSING:
            self.missing += 1
            return
        self.longest = max(self.longest, len(text))
        if text in self.values or len(self.values) < DISTINCT_MAX:
            self.values[text] += 1
        else:
            self.more_values = True
        value = parse_number(text)
        if value is not None:
            self.numbers.append(value)
        elif text.lower() in ("true", "false", "yes", "no"):
            self.truths += 1
        elif len(text) >= 8 and parse_date(text):
            self.dates += 1
            day = text
            self.first_date = min(self.first_date or day, day)
            self.last_date = max(self.last_date or day, day)

    @property
    def present(self):
        return self.count - self.missing

    @property
    def kind(self):
        if not self.present:
            return "empty"
        if len(self.numbers) == self.present:
            return "integer" if all(
                v.is_integer() for v in self.numbers) else "number"
        if self.truths == self.present:
            return "boolean"
        if self.dates == self.present:
            return "time"
        if len(self.numbers) >= 0.9 * self.present:
            return "number, some text"
        return "text"

    @property
    def distinct(self):
        return "%d%s" % (len(self.values), "+" if self.more_values else "")


def read_rows(text):
    """(header, rows) of a table, or NoTable."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise NoTable
    sample = lines[:50]
    best = None
    for delimiter in ",;\t|":
        widths = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
        width = collections.Counter(widths).most_common(1)[0]
        if width[0] > 1 and width[1] >= 0.8 * len(widths):
            best = max(best or (0, ""), (width[0], delimiter))
    if best is None:
        raise NoTable
    rows = csv.reader(io.StringIO(text), delimiter=best[1])
    header = next((row for row in rows if any(map(str.strip, row))), None)
    if header is None:
        raise NoTable
    named = [name.strip() for name in header]
    if len(set(named)) < len(named) or any(
            parse_number(name) is not None or not name for name in named):
        return ["column %d" % (n + 1) for n in range(len(header))], \
            _with_first(header, rows)
    return named, rows


def _with_first(first, rows):
    yield first
    yield from rows


def profile_table(text):
    """The report on a table, in pieces."""
    names, rows = read_rows(text)
    columns = [Column(name) for name in names[:COLUMNS_MAX]]
    count = ragged = doubles = 0
    seen = set()
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        if count == ROWS_MAX:
            break
        count += 1
        ragged += len(row) != len(names)
        mark = hash(tuple(row))
        doubles += mark in seen
        seen.add(mark)
        for n, column in enumerate(columns):
            column.add(row[n] if n < len(row) else "")
    if not count:
        raise NoTable
    yield "# Profile of a table\n\n%d rows, %d columns" % (count, len(names))
    if count == ROWS_MAX:
        yield " (only the first %d rows were read)" % ROWS_MAX
    if len(names) > COLUMNS_MAX:
        yield " (the first %d columns are shown)" % COLUMNS_MAX
    yield ".\n\n## Columns\n\n"
    yield from table(
        ("column", "type", "missing", "distinct", "most frequent"),
        ((cell(c.name), c.kind, share(c.missing, c.count), c.distinct,
          ", ".join("%s × %d" % (cell(value), times) for value, times in sorted(
              c.values.items(), key=lambda item: (-item[1], item[0]))[:3]))
         for c in columns))
    numeric = [c for c in columns if c.kind.startswith(("integer", "number"))]
    spreads = [(c, spread(c.numbers)) for c in numeric]
    if spreads:
        yield "\n## Numbers\n\n"
        yield from table(
            ("column", "min", "p25", "median", "p75", "p95", "max", "mean",
             "deviation"),
            ([cell(c.name)] + [number(s[key]) for key in (
                "min", "p25", "p50", "p75", "p95", "max", "mean",
                "deviation")] for c, s in spreads))
    times = [c for c in columns if c.kind == "time"]
    if times:
        yield "\n## Times\n\n"
        yield from table(("column", "first", "last"),
                         ((cell(c.name), cell(c.first_date),
                           cell(c.last_date)) for c in times))
    yield from findings(columns, spreads, count, ragged, doubles)


def findings(columns, spreads, count, ragged, doubles):
    """What one should look at."""
    notes = []
    if ragged:
        notes.append("%s of the rows have another number of cells than the "
                     "header." % share(ragged, count))
    if doubles:
        notes.append("%s of the rows repeat an earlier one." % share(
            doubles, count))
    for column in columns:
        if column.kind == "empty":
            notes.append("`%s` is empty." % cell(column.name))
        elif column.missing * 5 > column.count:
            notes.append("`%s` lacks %s of its values." % (
                cell(column.name), share(column.missing, column.count)))
        if column.kind == "number, some text":
            notes.append("`%s` is a number but for %d values." % (
                cell(column.name), column.present - len(column.numbers)))
        if len(column.values) == 1 and column.present > 1 \
                and not column.more_values:
            notes.append("`%s` has one value only." % cell(column.name))
    for column, found in spreads:
        outside = found["outside"]
        if outside and column.kind != "empty" and len(column.numbers) >= 8:
            extremes = sorted(set(outside), key=lambda v: (
                -abs(v - found["p50"]), v))[:TOP]
            notes.append("`%s` has %d outlier%s: %s." % (
                cell(column.name), len(outside),
                "" if len(outside) == 1 else "s",
                ", ".join(number(v) for v in extremes)))
    yield "\n## Worth a look\n\n"
    for note in notes or ["Nothing stands out."]:
        yield "- %s\n" % note


# --- logs -----------------------------------------------------------------

def shape_of(line):
    for pattern, name in VARYING:
        line = pattern.sub(name, line)
    return " ".join(line.split())[:200]


def profile_log(text):
    """The report on a log, or on any text in lines, in pieces."""
    count = blank = 0
    levels, shapes = collections.Counter(), collections.Counter()
    example, first_error = {}, None
    stamps = []
    other = 0
    for line in io.StringIO(text):
        if count == ROWS_MAX:
            break
        line = line.rstrip("\r\n")[:4000]
        if not line.strip():
            blank += 1
            continue
        count += 1
        level = LEVEL.search(line[:200])
        if level:
            word = level.group(1).upper()
            word = LEVELS.get(word, word)
            levels[word] += 1
            if word in ("ERROR", "CRIT", "ALERT", "FATAL", "PANIC", "EMERG") \
                    and first_error is None:
                first_error = line
        stamp = STAMP.search(line[:100])
        if stamp:
            stamps.append(stamp.group().replace(",", ".").replace(" ", "T"))
        shape = shape_of(line)
        if shape in shapes or len(shapes) < SHAPES_MAX:
            shapes[shape] += 1
            example.setdefault(shape, line)
        else:
            other += 1
    yield "# Profile of a %s\n\n%d line%s, %d words" % (
        "log" if levels or stamps else "text", count,
        "" if count == 1 else "s", len(text.split()))
    if blank:
        yield ", %d blank lines" % blank
    if count == ROWS_MAX:
        yield " (only the first %d lines were read)" % ROWS_MAX
    yield ".\n"
    if stamps:
        yield "\nTime: %s to %s%s.\n" % (min(stamps), max(stamps),
                                         length_of(min(stamps), max(stamps)))
    if levels:
        yield "\n## Levels\n\n"
        yield from table(("level", "lines"), (
            (name, share(times, count)) for name, times in sorted(
                levels.items(), key=lambda item: (-item[1], item[0]))))
    if count:
        yield "\n## Shapes of lines\n\n%d%s different.\n\n" % (
            len(shapes), "+" if other else "")
        yield from table(("lines", "shape"), (
            (share(times, count), "`%s`" % shape.replace(
                "|", "\\|").replace("`", "'")) for shape, times in sorted(
                    shapes.items(), key=lambda item: (-item[1], item[0]))[:10]))
    rare = [shape for shape, times in shapes.items() if times == 1]
    if levels and rare and len(rare) < len(shapes):
        yield "\n## Seen once\n\n"
        for shape in sorted(rare)[:TOP]:
            yield "- `%s`\n" % example[shape][:200].replace("`", "'")
    if first_error:
        yield "\nFirst error: `%s`\n" % first_error[:200].replace("`", "'")


def length_of(first, last):
    begin, end = parse_date(first), parse_date(last)
    if begin is None or end is None or \
            (begin.tzinfo is None) != (end.tzinfo is None):
        return ""
    return ", %s s" % number((end - begin).total_seconds())


# --- the agent ------------------------------------------------------------

def profile(text):
    try:
        yield from profile_table(text)
    except (NoTable, csv.Error):
        yield from profile_log(text)


def text_of(value):
    """The text of an input: as it is, or the `text` of an object."""
    if isinstance(value, dict):
        value = value.get("text", value.get("csv", value.get("log")))
    return value if isinstance(value, str) and value.strip() else None


def gathered(pieces):
    """Pieces worth a line of their own on the wire."""
    waiting = ""
    for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE:
            yield waiting
            waiting = ""
    if waiting:
        yield waiting


class Wire:
    """The worker protocol: one JSON object a line on a descriptor."""

    def __init__(self):
        fd = int(os.environ.get("ATOM_WORKER_FD", "3"))
        self.source = os.fdopen(fd, "r", encoding="utf-8", errors="replace")
        self.sink = os.fdopen(os.dup(fd), "wb", 0)

    def say(self, **message):
        self.sink.write(json.dumps(message).encode() + b"\n")

    def answer(self, call):
        text = text_of(call.get("input"))
        if text is None:
            self.say(op="error", id=call["id"], code="invalid_input",
                     retryable=False, message="give me a table (CSV) or a "
                     'log as text, or as {"text": "..."}')
            return
        said = []
        for piece in gathered(profile(text)):
            said.append(piece)
            if call.get("stream"):
                self.say(op="chunk", id=call["id"], data=piece)
        output = "".join(said)
        self.say(op="result", id=call["id"], output=output, usage={
            "input_tokens": len(text.split()),
            "output_tokens": len(output.split())})

    def serve(self):
        self.say(op="ready", protocol=1, name="profiler", version="1",
                 concurrency=1, caps=["stream"], agents={})
        for line in self.source:
            message = json.loads(line)
            if message.get("op") != "call":
                continue
            try:
                self.answer(message)
            except Exception as error:
                print("profiler: %r" % error, file=sys.stderr, flush=True)
                self.say(op="error", id=message["id"], code="internal",
                         message="%s" % error, retryable=False)


if __name__ == "__main__":
    try:
        if os.environ.get("ATOM_WORKER_FD"):
            csv.field_size_limit(16 << 20)
            Wire().serve()
        else:
            # By hand: profiler.py < FILE
            sys.stdout.writelines(profile(sys.stdin.read()))
    except BrokenPipeError:
        pass
