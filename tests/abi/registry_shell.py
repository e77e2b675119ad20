"""Talks to tests/abi/shell, a registry without a daemon, and compiles the
plugins that the tests give it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("TOP_SRCDIR") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("TOP_BUILDDIR") or os.getcwd()
SANITIZED = bool(os.environ.get("ATOMD_SANITIZERS"))
CC = (os.environ.get("CC") or "cc").split()
INCLUDE = "-I" + os.path.join(SOURCE, "include")


def crash_environment():
    """A plugin that crashes on purpose is no sanitizer's finding."""
    env = dict(os.environ)
    if SANITIZED:
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
            quiet = "handle_segv=0:handle_abort=0:handle_sigbus=0"
            env[name] = ":".join(filter(None, (env.get(name), quiet)))
    return env


def compile_plugin(source, to, *flags, compiler=None):
    """One `cc` line, as a plugin's author would write it."""
    subprocess.run([*(compiler or CC), "-shared", "-fPIC", INCLUDE,
                    "-Wall", "-Wextra", "-Werror", *flags,
                    os.path.join(HERE, source), "-o", to], check=True)
    os.chmod(to, 0o755)


class Shell:
    def __init__(self, *args):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/abi/shell"), *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=crash_environment())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            out, err = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0, (self.process.returncode, err)

    def ask(self, *words):
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the shell ended: " + self.process.stderr.read()
        return json.loads(line)

    def scan(self, *folders):
        assert self.ask("scan", *folders) is None

    def rows(self):
        return self.ask("list")

    def row(self, name):
        """The one row of that name, or of that file."""
        rows = [r for r in self.rows() if name in (
            r["name"], os.path.basename(r["path"]))]
        assert len(rows) == 1, (name, rows)
        return rows[0]


class Folder:
    """A plugin folder that nobody else may write."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="atomd-abi-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def at(self, *parts):
        path = os.path.join(self.path, *parts)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return path

    def put(self, source, name, *flags, compiler=None):
        """Compiled beside, then renamed: as a package manager does."""
        path = self.at(name)
        beside = self.at("work", os.path.basename(name) + ".new")
        compile_plugin(source, beside, *flags, compiler=compiler)
        os.rename(beside, path)
        return path

    def write(self, name, content):
        path = self.at(name)
        with open(path, "wb") as f:
            f.write(content)
        os.chmod(path, 0o755)
        return path


TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Skip(Exception):
    pass


def run():
    print("1..%d" % len(TESTS))
    failed = 0
    for number, function in enumerate(TESTS, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print("ok %d - %s" % (number, name), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (number, name, why), flush=True)
        except Exception as error:
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in str(repr(error)).split("\n"):
                print("# " + line)
            import traceback
            for line in traceback.format_exc().split("\n"):
                print("# " + line)
            sys.stdout.flush()
    return 1 if failed else 0
