"""A server of somebody else's that a test starts for itself: on a free port,
with its state in a folder of the test."""

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request

from atomd_test import Skip, wait_for


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`command(port)` gives the arguments; it is there once /-/ready says so,
    as Prometheus' programs do."""

    def __init__(self, program, package, command):
        path = shutil.which(program)
        if not path:
            raise Skip("no %s: apt-get install %s" % (program, package))
        # A port that was free may be somebody's by now.
        for _ in range(5):
            port = free_port()
            self.url = "http://127.0.0.1:%d" % port
            self.process = subprocess.Popen(
                [path] + command(port), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            if wait_for(self.settled, 60, what=program) == "ready":
                return
        raise AssertionError("%s does not come up" % program)

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()

    def json(self, path, **query):
        return json.loads(self.get(path, **query))

    def settled(self):
        if self.process.poll() is not None:
            return "gone"
        try:
            return self.get("/-/ready") and "ready"
        except OSError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
