"""Where the programs under test and the source tree are, and temporary
folders to run them in."""

import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("TOP_SRCDIR") or os.path.dirname(
    os.path.dirname(HERE))
# Sanitizers and valgrind are slow: they stretch every deadline.
FACTOR = float(os.environ.get("ATOMD_TEST_FACTOR") or (
    3 if os.environ.get("ATOMD_SANITIZERS") else 1))
# They take more memory too; a slow machine does not.
MEMORY_FACTOR = 6 if os.environ.get("ATOMD_SANITIZERS") else 1


def _find(variable, names):
    given = os.environ.get(variable)
    if given:
        return os.path.abspath(given)
    bases = [os.getcwd(), os.environ.get("TOP_BUILDDIR", ""), SOURCE]
    for base in filter(None, bases):
        for name in names:
            path = os.path.join(base, name)
            if os.access(path, os.X_OK) and os.path.exists(path):
                return os.path.abspath(path)
    return None


def atomd_path():
    path = _find("ATOMD", ["atomd", "build/atomd"])
    if not path or not os.path.exists(path):
        raise AssertionError("no daemon: build it, or set ATOMD")
    return path


def atomctl_path():
    path = _find("ATOMCTL", ["atomctl", "build/atomctl"])
    if not path:
        beside = os.path.join(os.path.dirname(atomd_path()), "atomctl")
        path = beside if os.path.exists(beside) else None
    if not path or not os.path.exists(path):
        raise AssertionError("no atomctl: build it, or set ATOMCTL")
    return path


def plugin_folder():
    given = os.environ.get("ATOMD_BUILD_PLUGINS")
    if given:
        return os.path.abspath(given)
    base = os.path.dirname(atomd_path())
    for name in ("plugins/built", "../lib/atomd/plugins"):
        path = os.path.join(base, name)
        if os.path.isdir(path) and any(
                n.endswith(".so") for n in os.listdir(path)):
            return os.path.abspath(path)
    return None


def source(*parts):
    """A file of the source tree."""
    return os.path.join(SOURCE, *parts)


def daemon_environment(**more):
    env = dict(os.environ)
    for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                 "WATCHDOG_USEC", "WATCHDOG_PID", "ATOMD_URL", "ATOMD_KEY",
                 "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        env.pop(name, None)
    folder = plugin_folder()
    if folder:
        env["ATOMD_PLUGIN_DIR"] = folder
        if os.path.basename(folder) == "built":
            env.setdefault("ATOMD_DASHBOARD_DIR", source("etc", "dashboard"))
    env.update(more)
    return env


def run_atomd(*args, env=None, timeout=30, stdin=None, cwd=None):
    """Runs the daemon to its end; for -t and for starts that must fail."""
    return subprocess.run(
        [atomd_path(), *args], env=daemon_environment(**(env or {})),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=timeout * FACTOR, cwd=cwd,
        check=False)


def spoken(done):
    """Everything a finished process said, as text."""
    return (done.stdout + done.stderr).decode("utf-8", "replace")


# --- temporary folders ----------------------------------------------------

class Folder:
    """A temporary folder with a short path (unix sockets need that)."""

    def __init__(self):
        base = tempfile.gettempdir()
        if len(base) > 40:
            base = "/tmp"
        self.path = tempfile.mkdtemp(prefix="atomd-", dir=base)

    def __str__(self):
        return self.path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, name, content, mode=None):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        with open(path, "wb") as out:
            out.write(content)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
