#!/usr/bin/env python3
"""Judges a check in a --enable-coverage build, by gcov alone.

    coverage_judge.py [--missing PATH] BUILDDIR SRCDIR

Prints the lines reached of runtime/ in total and for each folder, and the
branches taken of each file in tests/lint/critical. Ends with 1, and names
what falls short, where runtime/ has under 90 % of its lines, or a critical
file a branch that was not taken. --missing lists what was not reached in the
files of the tree whose path begins with PATH instead.

A branch is what gcov counts without optimisation. Not counted are those of a
line with assert(), for that its other way is never taken is what it says; of
one with log_line(), for whether a line is logged decides nothing; and of one
marked LCOV_EXCL_BR_LINE, which gives its reason.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys

LINES_WANTED = 90.0
UNCOUNTED = re.compile(r"\b(assert|log_line)\(|LCOV_EXCL_BR_LINE")
BATCH = 64


class File:
    """Counts of one source file, summed over the objects it is part of."""

    def __init__(self):
        self.lines = collections.Counter()
        self.branches = {}

    def add(self, line):
        number = line["line_number"]
        self.lines[number] += line["count"]
        counts = [branch["count"] for branch in line["branches"]]
        before = self.branches.get(number, [0] * len(counts))
        # One line may be in two functions, a macro's or an inline one's.
        if len(counts) == len(before):
            counts = [a + b for a, b in zip(before, counts)]
        else:
            counts = max(before, counts, key=len)
        if counts:
            self.branches[number] = counts

    def lines_reached(self):
        return sum(1 for count in self.lines.values() if count)

    def drop_uncounted(self, text):
        for number, line in enumerate(text.splitlines(), 1):
            if UNCOUNTED.search(line):
                self.branches.pop(number, None)

    def branch_counts(self):
        return [c for counts in self.branches.values() for c in counts]


def notes_of(build):
    """What the compiler noted of each object of the runtime."""
    for folder, _, names in os.walk(os.path.join(build, "runtime")):
        for name in sorted(names):
            if name.endswith(".gcno"):
                yield os.path.join(folder, name)


def measure(build, src):
    """path in the tree -> File, for all of runtime/."""
    files = collections.defaultdict(File)
    notes = list(notes_of(build))
    if not notes:
        sys.exit(f"{build} is no build with --enable-coverage")
    for at in range(0, len(notes), BATCH):
        told = subprocess.run(
            ["gcov", "--json-format", "--stdout", "--branch-probabilities",
             *notes[at:at + BATCH]],
            cwd=build, check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL).stdout
        for document in told.splitlines():
            for found in json.loads(document)["files"]:
                path = os.path.relpath(
                    os.path.join(build, found["file"]), src)
                if path.startswith("runtime/"):
                    for line in found["lines"]:
                        files[path].add(line)
    for path, file in files.items():
        with open(os.path.join(src, path), encoding="utf-8") as f:
            file.drop_uncounted(f.read())
    return files


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def judge_lines(files):
    """Prints the table of folders; what falls short."""
    folders = collections.defaultdict(lambda: [0, 0])
    for path, file in files.items():
        for name in (os.path.dirname(path), "all of runtime"):
            folders[name][0] += file.lines_reached()
            folders[name][1] += len(file.lines)
    for name, (reached, lines) in sorted(
            folders.items(), key=lambda item: (item[0][0] == "a", item)):
        print(f"{percent(reached, lines):6.2f} % of {lines:5} lines  {name}")
    share = percent(*folders["all of runtime"])
    if share < LINES_WANTED:
        return [f"runtime/: {share:.2f} % of its lines are reached, "
                f"{LINES_WANTED:.0f} % are wanted"]
    return []


def critical_of(src):
    """(kind, path) of each line of tests/lint/critical."""
    with open(os.path.join(src, "tests/lint/critical"),
              encoding="utf-8") as f:
        for line in f:
            words = line.split("#")[0].split()
            if words:
                yield words[0], words[1]


def judge_critical(files, src):
    """Prints the table of critical files; what falls short."""
    short = []
    for kind, path in critical_of(src):
        if path not in files:
            short.append(f"{path}: tests/lint/critical names it, and it is "
                         "not part of the build")
            continue
        counts = files[path].branch_counts()
        taken = sum(1 for count in counts if count)
        print(f"{percent(taken, len(counts)):6.2f} % of {len(counts):5} "
              f"branches  {path} ({kind})")
        if taken < len(counts):
            short.append(f"{path}: {len(counts) - taken} of {len(counts)} "
                         "branches not taken")
    return short


def print_missing(files, src, prefix):
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        with open(os.path.join(src, path), encoding="utf-8") as f:
            text = f.read().splitlines()
        print(f"{path}: {file.lines_reached()} of {len(file.lines)} lines")
        for number in sorted(file.lines):
            counts = file.branches.get(number, [])
            ways = " ".join("-" if c == 0 else "+" for c in counts)
            if not file.lines[number]:
                print(f"{path}:{number}: not reached: "
                      f"{text[number - 1].strip()}")
            elif "-" in ways:
                print(f"{path}:{number}: branches {ways}: "
                      f"{text[number - 1].strip()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--missing", metavar="PATH")
    parser.add_argument("build")
    parser.add_argument("src")
    arguments = parser.parse_args()
    src = os.path.realpath(arguments.src)
    files = measure(os.path.realpath(arguments.build), src)
    if arguments.missing is not None:
        print_missing(files, src, arguments.missing)
        return 0
    short = judge_lines(files) + judge_critical(files, src)
    for what in short:
        print(f"falls short: {what}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
