#!/usr/bin/env python3
"""Within a major nothing that was there moves, changes or goes.

layout-MAJOR.MINOR.txt holds the layout of a minor. `test_layout.py --write`
writes the one of the present minor: only before that minor is released.
"""

import os
import platform
import re
import shutil
import sys

import layout
from registry_shell import CC, HERE, SOURCE, Skip, run, test

FILE = re.compile(r"^layout-(\d+)\.(\d+)\.txt$")
SIZE = re.compile(r"^(struct \w+): at least (\d+) bytes$")


def version():
    with open(os.path.join(SOURCE, "include/atomd/plugin.h"),
              encoding="utf-8") as f:
        text = f.read()
    return tuple(int(re.search(r"#define %s\s+(\d+)" % name, text).group(1))
                 for name in ("ATOM_ABI_MAJOR", "ATOM_ABI_MINOR"))


def committed():
    """{(major, minor): lines} of the present major."""
    found = {}
    for name in os.listdir(HERE):
        match = FILE.match(name)
        if match and int(match.group(1)) == version()[0]:
            with open(os.path.join(HERE, name), encoding="utf-8") as f:
                found[tuple(map(int, match.groups()))] = \
                    f.read().splitlines()
    return found


def check_machine():
    if platform.machine() not in ("x86_64", "aarch64"):
        raise Skip("the tables are of 64-bit little-endian machines")
    if not shutil.which("readelf"):
        raise Skip("readelf is missing")


def sizes(lines):
    return {m.group(1): int(m.group(2)) for m in map(SIZE.match, lines) if m}


@test
def every_line_of_every_minor_is_still_there():
    check_machine()
    now = layout.current(CC, SOURCE)
    present, now_sizes = set(now), sizes(now)
    assert committed(), "no layout-*.txt"
    for minor, lines in committed().items():
        gone = [line for line in lines
                if line not in present and not SIZE.match(line)]
        assert not gone, "ABI %d.%d said:\n%s" % (*minor, "\n".join(gone))
        for struct, size in sizes(lines).items():
            assert now_sizes.get(struct, 0) >= size, (struct, size)


@test
def the_present_minor_is_written_down():
    check_machine()
    lines = committed().get(version())
    assert lines is not None, "layout-%d.%d.txt is missing" % version()
    new = [line for line in layout.current(CC, SOURCE) if line not in lines]
    assert not new, ("not in layout-%d.%d.txt (a released minor never "
                     "changes: then the minor has to rise):\n%s") % (
                         *version(), "\n".join(new))


@test
def other_compilers_agree():
    check_machine()
    others = [c for c in ("gcc", "clang") if shutil.which(c)]
    if len(others) < 2:
        raise Skip("there is no other compiler")
    first, second = (layout.current([c], SOURCE) for c in others)
    assert first == second, set(first) ^ set(second)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(os.path.join(HERE, "layout-%d.%d.txt" % version()), "w",
                  encoding="utf-8") as out:
            out.write("\n".join(layout.current(CC, SOURCE)) + "\n")
    else:
        raise SystemExit(run())
