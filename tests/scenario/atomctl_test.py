"""What the tests of atomctl share: running it, at a terminal too, and judging
what it prints."""

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import termios

from atomd_test import atomctl_path, seconds, spoken


def ctl_environment(**more):
    """The tester's own settings must not lead atomctl anywhere."""
    env = dict(os.environ)
    for name in list(env):
        if name.lower().endswith("_proxy") or name in (
                "ATOMD_URL", "ATOMD_KEY", "XDG_RUNTIME_DIR", "NO_COLOR"):
            del env[name]
    env.update(more)
    return env


def run_atomctl(*args, stdin=b"", env=None, timeout=30):
    return subprocess.run(
        [atomctl_path(), *args], input=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=seconds(timeout), check=False,
        env=env if env is not None else ctl_environment())


def succeeds(done):
    assert done.returncode == 0, (done.returncode, spoken(done))
    return done.stdout.decode()


def fails(done, code, *words):
    """It exits so, prints nothing on stdout and these words on stderr."""
    assert done.returncode == code, (done.returncode, spoken(done))
    assert done.stdout == b"", done.stdout
    said = done.stderr.decode()
    assert said.startswith("atomctl: "), said
    for word in words:
        assert word in said, (word, said)
    return said


def document(done):
    """Stdout is one JSON document and stderr is empty."""
    assert done.stderr == b"", done.stderr
    return json.loads(succeeds(done))


def columns(text, header):
    """Rows below the line that begins with `header`, split at wide gaps."""
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(header))
    rows = []
    for line in lines[at + 1:]:
        if not line:
            break
        rows.append(re.split(r" {2,}", line.strip()))
    return rows


class Terminal:
    """atomctl at a pseudo terminal."""

    def __init__(self, fake, *args, env=None):
        self.screen = b""
        self.master, slave = pty.openpty()
        # As it was before the program could change anything.
        self.before = termios.tcgetattr(self.master)
        self.process = subprocess.Popen(
            [atomctl_path(), *args], stdin=slave, stdout=slave, stderr=slave,
            env=fake.environment(**(env or {})), start_new_session=True,
            preexec_fn=_take_terminal)
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def _read(self, deadline):
        ready, _, _ = select.select([self.master], [], [], deadline)
        if not ready:
            return False
        try:
            more = os.read(self.master, 65536)
        except OSError:
            return False
        self.screen += more
        return bool(more)

    def wait_text(self, text, deadline=20):
        """Until this text came, after what was waited for before."""
        wanted = text.encode()
        while wanted not in self.screen:
            assert self._read(seconds(deadline)), (text, self.screen)
        before, self.screen = self.screen.split(wanted, 1)
        return before

    def wait_end(self, deadline=20):
        """The exit status; what was written last is in `screen`."""
        while self._read(seconds(deadline)):
            pass
        return self.process.wait(seconds(deadline))


def _take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
