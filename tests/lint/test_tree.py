#!/usr/bin/env python3
"""Checks of the tree that need no tool but Python; prints TAP.

They hold what a reader of the repository counts on: every file is built or
shipped, arrows between folders point one way, no call that cannot be used
safely, a README in every folder that holds code.
"""

import json
import os
import re
import subprocess
import sys

TOP = os.environ.get("TOP_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOTS = ("include", "runtime", "plugins", "tests", "etc", "docs")
SKIPPED = {"built", "frozen", "node_modules", "__pycache__", ".deps"}
CODE = (".c", ".h", ".py", ".sh", ".mjs", ".js")
LONG_FILE = 600

FORBIDDEN = re.compile(
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok)"
    r"\s*\(")
OWNERLESS = re.compile(r"^(util|utils|common|misc|helper|helpers)\.[ch]$")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
# Paths of one developer's machine mean nothing on any other.
PRIVATE_PATH = re.compile(r"(?<![\w.$}])/(home|root|work)/\w|/tmp/b-\w")

# A product's source is made of these; generated or foreign text is not.
TEXT = (".c", ".h", ".py", ".sh", ".mjs", ".js", ".md", ".am", ".ac", ".in",
        ".conf", ".json", ".yml", ".yaml", ".map", ".service", ".html",
        ".css")


def walk():
    """Paths of all files below ROOTS, relative to TOP."""
    for root in ROOTS:
        for folder, folders, files in os.walk(os.path.join(TOP, root)):
            folders[:] = sorted(f for f in folders if f not in SKIPPED)
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), TOP)
                if not name.endswith((".o", ".a", ".so", ".log", ".trs",
                                      "~", ".pyc")):
                    yield path


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def strip_c(text):
    """C source without comments and string contents, lines kept."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
        re.S)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return token.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


FILES = list(walk())
C_FILES = [p for p in FILES if p.endswith((".c", ".h"))]


def forbidden_calls():
    for path in C_FILES:
        text = strip_c(read(path))
        for match in FORBIDDEN.finditer(text):
            yield "%s:%d: %s" % (path, line_of(text, match.start()),
                                 match.group(1))


def unlisted_files():
    """A file that no include.am names is neither built nor shipped."""
    lists = [p for p in FILES if p.endswith("include.am")] + ["Makefile.am"]
    listed = re.sub(r"^\s*#.*", "", "\n".join(read(p) for p in lists),
                    flags=re.M)
    words = set(re.split(r"[\s=\\]+", listed))
    for path in FILES:
        if path not in words and not covered_by_folder(path, words) \
                and not path.endswith("include.am") \
                and not is_product(path):
            yield path


def is_product(path):
    """What a build in the source folder leaves there."""
    full = os.path.join(TOP, path)
    if os.path.exists(full + ".in") or path.endswith(".dirstamp"):
        return True
    with open(full, "rb") as f:
        return f.read(4) == b"\x7fELF"


def covered_by_folder(path, words):
    """EXTRA_DIST takes whole folders, too."""
    folder = os.path.dirname(path)
    while folder:
        if folder in words:
            return True
        folder = os.path.dirname(folder)
    return False


def folders_without_readme():
    folders = {os.path.dirname(p) for p in FILES if p.endswith(CODE)}
    for folder in sorted(folders):
        parts = folder.split("/")
        # Inputs and fixtures are explained by the folder they belong to.
        if {"corpus", "fixtures", "bad", "examples", "man"} & set(parts):
            continue
        if not os.path.exists(os.path.join(TOP, folder, "README.md")):
            yield folder


def ownerless_names():
    for path in C_FILES:
        if OWNERLESS.match(os.path.basename(path)):
            yield path


def unfinished_work():
    for path in FILES:
        if not path.endswith(TEXT):
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            if UNFINISHED.search(line):
                yield "%s:%d" % (path, number)


def private_paths():
    for path in FILES:
        if not path.endswith(TEXT):
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            if PRIVATE_PATH.search(line):
                yield "%s:%d" % (path, number)


def untidy_text():
    for path in FILES:
        if not path.endswith(TEXT) or "/corpus/" in path:
            continue
        with open(os.path.join(TOP, path), "rb") as f:
            raw = f.read()
        if b"\r\n" in raw:
            yield path + ": CRLF line ends"
        if raw and not raw.endswith(b"\n"):
            yield path + ": no newline at the end"
        if path.endswith((".c", ".h", ".py", ".am")):
            for number, line in enumerate(raw.split(b"\n"), 1):
                if line != line.rstrip():
                    yield "%s:%d: blanks at the end" % (path, number)


INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def includes(path):
    # Read unstripped: a path is a string to the stripper.
    for match in INCLUDE.finditer(read(path)):
        yield match.group(1), match.group(2)


def crossed_borders():
    """include/ knows nobody, a plugin knows include/ alone."""
    for path in C_FILES:
        top = path.split("/")[0]
        for kind, name in includes(path):
            inside = os.path.exists(os.path.join(TOP, "runtime", name))
            if top in ("include", "plugins") and \
                    (inside or "config.h" == name or "runtime/" in name):
                yield "%s includes %s" % (path, name)
            elif name.startswith("../"):
                yield "%s climbs out: %s" % (path, name)
            elif name.endswith("_priv.h") and "/" in name and \
                    path.startswith("runtime/") and \
                    path.split("/")[1] != name.split("/")[0]:
                yield "%s enters another's private room: %s" % (path, name)


def include_circles():
    """Between the folders of runtime/ the arrows never close a circle."""
    arrows = {}
    for path in C_FILES:
        parts = path.split("/")
        if parts[0] != "runtime" or len(parts) < 3:
            continue
        for _, name in includes(path):
            other = name.split("/")[0]
            if "/" in name and other != parts[1] and \
                    os.path.isdir(os.path.join(TOP, "runtime", other)):
                arrows.setdefault(parts[1], {}).setdefault(
                    other, "%s -> %s" % (path, name))

    circles = set()

    def visit(node, trail):
        for other in arrows.get(node, ()):
            if other in trail:
                circle = trail[trail.index(other):]
                start = circle.index(min(circle))
                circles.add(tuple(circle[start:] + circle[:start]))
            elif len(trail) < 16:
                visit(other, trail + [other])

    for folder in sorted(arrows):
        visit(folder, [folder])
    for circle in sorted(circles):
        steps = list(circle) + [circle[0]]
        yield " -> ".join(steps) + ": " + "; ".join(
            arrows[a][b] for a, b in zip(steps, steps[1:]))


def broken_scripts():
    for path in FILES + ["autogen.sh"]:
        full = os.path.join(TOP, path)
        if path.endswith(".py"):
            try:
                compile(read(path), path, "exec")
            except SyntaxError as e:
                yield "%s: %s" % (path, e)
        elif path.endswith(".json") and "/corpus/" not in path \
                and "/bad/" not in path:
            try:
                json.loads(read(path))
            except ValueError as e:
                yield "%s: %s" % (path, e)
        elif path.endswith(".sh"):
            done = subprocess.run(["sh", "-n", full], capture_output=True,
                                  text=True)
            if done.returncode:
                yield done.stderr.strip()


def long_files():
    for path in FILES:
        if path.endswith((".c", ".h", ".py")):
            lines = read(path).count("\n")
            if lines > LONG_FILE:
                yield "%s: %d lines" % (path, lines)


CHECKS = (
    ("no call that cannot be bounded", forbidden_calls),
    ("every file is named in an include.am", unlisted_files),
    ("every folder that holds code has a README", folders_without_readme),
    ("every C file is named after a noun", ownerless_names),
    ("nothing is marked unfinished", unfinished_work),
    ("no path of one developer's machine", private_paths),
    ("text ends its lines the same way", untidy_text),
    ("public headers and plugins include nothing of the runtime",
     crossed_borders),
    ("the folders of runtime/ include each other without a circle",
     include_circles),
    ("scripts and JSON files parse", broken_scripts),
)


def main():
    print("1..%d" % len(CHECKS))
    failed = 0
    for number, (title, check) in enumerate(CHECKS, 1):
        found = list(check())
        print("%sok %d - %s" % ("not " if found else "", number, title))
        for line in found:
            print("#   " + line)
        failed += bool(found)
    for line in long_files():
        print("# over %d lines, worth a second look: %s" % (LONG_FILE, line))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
