"""Drives one audit sink without a daemon, through tests/conformance/sink.

    with Sink("syslog", server="127.0.0.1", port=514, ...) as sink:
        sink.write(1, 100)
        sink.sync()

A call answers with the plugin's status; `ok=False` hands a failure back where
the default is to stop the test.
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Skip, seconds  # noqa: E402,F401
from places import plugin_folder  # noqa: E402

EINVAL, EIO, ETIMEOUT, EBUSY, ENOTSUP, EDATALOSS = 1, 3, 4, 5, 10, 17


def program():
    build = os.environ.get("TOP_BUILDDIR") or os.getcwd()
    path = os.path.join(build, "tests/conformance/sink")
    if not os.path.exists(path):
        raise AssertionError("tests/conformance/sink is not built")
    return path


class Sink:
    """One process, and one sink in it between create() and destroy()."""

    def __init__(self, name, start=True, env=None, **options):
        self.name, self.options, self.start = name, options, start
        self.env = env

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=dict(os.environ, **(self.env or {})))
        try:
            self.ask("scan", plugin_folder())
            if self.start:
                self.create()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None:
            return
        if kind:
            sys.stderr.write(self.log_text())
            self.kill()
            return
        self.process.stdin.close()
        try:
            status = self.process.wait(seconds(60))
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert status == 0, (status, self.log_text())
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    # Answers come within the deadlines of the sink's options; a test that
    # hangs here is ended by its own alarm.
    def ask(self, *words, ok=True):
        line = "\t".join(str(w) for w in words) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError("the sink's process ended: "
                                 + self.log_text())
        answer = json.loads(answer)
        assert answer["status"] == 0 or not ok, (words[0], answer)
        return answer

    def create(self, ok=True, **more):
        self.options.update(more)
        return self.ask("create", self.name, json.dumps(self.options), ok=ok)

    def write(self, first, count=1, size=0, ok=True):
        return self.ask("write", first, count, size, ok=ok)

    def record(self, sequence, text, event_type="test.event", ok=True):
        return self.ask("record", sequence, text, event_type, ok=ok)

    def sync(self, ok=True):
        return self.ask("sync", ok=ok)

    def checkpoint(self, sequence, note, ok=True):
        return self.ask("checkpoint", sequence, note.replace("\n", "\\n"),
                        ok=ok)

    def last(self, ok=True):
        return self.ask("last", ok=ok)

    def destroy(self):
        return self.ask("destroy")

    def metric(self, name):
        """Sum of a metric's series."""
        total = 0.0
        for line in self.ask("metrics")["text"].split("\n"):
            if line.startswith((name + "{", name + " ")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def log_text(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def log_lines(self, event):
        return [line for line in self.log_text().split("\n")
                if '"%s"' % event in line]


__all__ = ["EBUSY", "EDATALOSS", "EINVAL", "EIO", "ENOTSUP", "ETIMEOUT",
           "Sink", "Skip"]
