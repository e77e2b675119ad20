"""The audit log of a live daemon, as tests ask for it."""

import os
import shlex
import subprocess

from atomd_test import agent, config, wait_for
from places import source


def audited(sink=None, security="", agents=None, **more):
    sink = sink or 'plugin = "file"; path = "audit"; required = true;'
    return config(agents=agents or agent(more="memory: { };"),
                  security='anonymous_role = "caller"; ' + security,
                  extra="audit_sinks = ( { %s } );" % sink, **more)


def search(daemon, **query):
    words = "&".join("%s=%s" % item for item in query.items())
    answer = daemon.admin("GET", "/admin/v1/audit?" + words)
    assert answer.status == 200, answer
    return answer.json["records"]


def wait_records(daemon, count, **query):
    return wait_for(lambda: (lambda r: r if len(r) >= count else None)(
        search(daemon, **query)), what="%d records of %s" % (count, query))


def kept(daemon, folder="audit"):
    """Everything that the sink has on the disk."""
    found = b""
    for base, _, names in os.walk(os.path.join(daemon.dir, folder)):
        for name in sorted(names):
            try:
                with open(os.path.join(base, name), "rb") as file:
                    found += file.read()
            except FileNotFoundError:
                pass  # a new head, which has its own name by now
    return found


def slow_disk(daemon, **env):
    """The daemon, not started yet, gets a disk that does not end a sync as
    long as there is the file "waits" in its folder; that file's path."""
    disk, waits = daemon.dir + "/slow_disk.so", daemon.dir + "/waits"
    subprocess.run(
        [*shlex.split(os.environ.get("CC", "cc")), "-shared", "-fPIC", "-O1",
         "-o", disk, source("tests/scenario/slow_disk.c")],
        check=True)
    daemon.env = {"LD_PRELOAD": disk, "SLOW_DISK": waits, **env}
    return waits
