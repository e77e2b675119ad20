#!/usr/bin/env python3
"""Reloads take turns and hold up nobody, whatever a new plugin does to its
probe."""

import itertools
import os
import random
import shlex
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor, as_completed

from atomd_test import Daemon, agent, config, run, source, test, wait_for
from places import Folder
from processes import descendants, serves

CC = shlex.split(os.environ.get("CC") or "cc")
# Not watched: what is tried here is the turn of a reload.
PLUGINS = 'plugins: { directories = [ "plugins" ]; watch = false; };'
WAITING = 16  # daemon_reload.c


class Hanging(Daemon):
    """A daemon whose plugin folder gets files that never end their init."""

    def __init__(self):
        folder = Folder()
        os.mkdir(folder.at("plugins"), mode=0o755)
        self.count = 0
        super().__init__(config(extra=PLUGINS), folder=folder)
        self.own_folder = True

    def add_plugin(self):
        """Another content each time: a refusal is remembered by it."""
        self.count += 1
        path = self.folder.at("plugins", "slow%d.so" % self.count)
        subprocess.run(
            [*CC, "-shared", "-fPIC", "-DWRONG_INIT_HANGS",
             '-DNAME="slow%d"' % self.count, "-I", source("include"), "-o",
             path, source("tests", "abi", "wrong", "wrong.c")], check=True)
        os.chmod(path, 0o755)

    def probes(self):
        found = 0
        for pid, _ in descendants(self.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    found += b"--probe" in f.read().split(b"\0")
            except OSError:
                pass
        return found

    def wait_probe(self):
        wait_for(self.probes, 20, "a plugin is being probed")


@test
def calls_and_orders_are_answered_while_a_plugin_hangs():
    with Hanging() as daemon, ThreadPoolExecutor() as pool:
        def while_one_hangs():
            daemon.add_plugin()
            reload = pool.submit(daemon.reload)
            daemon.wait_probe()
            assert daemon.chat("echo", "hi").content == "hi"
            for path in ("status", "agents", "plugins", "keys"):
                answer = daemon.admin("GET", "/admin/v1/" + path)
                assert answer.status == 200, answer
            answer = daemon.admin("POST", "/admin/v1/agents/echo/scale",
                                  {"instances": 1})
            assert answer.status == 200, answer
            early = not reload.done()
            assert reload.result().status == 200
            return early
        # All of it is answered within the five seconds of a probe; we may be
        # held up ourselves, now and then.
        wait_for(while_one_hangs, 60, "answers during a probe")
        rows = daemon.admin("GET", "/admin/v1/plugins").json["plugins"]
        (row,) = [r for r in rows if r["name"] == "slow1"
                  or "slow1.so" in r["path"]]
        assert "did not end in its init()" in row["last_error"], row


@test
def a_signal_reloads_beside_control_as_well():
    with Hanging() as daemon:
        daemon.add_plugin()
        daemon.signal(signal.SIGHUP)
        daemon.wait_probe()
        # Two of them meanwhile are one more reload.
        daemon.signal(signal.SIGHUP)
        assert daemon.admin("GET", "/admin/v1/status").status == 200
        daemon.signal(signal.SIGHUP)
        assert daemon.admin("GET", "/admin/v1/status").status == 200
        assert daemon.count_event("reloaded") == 0 and daemon.probes()
        wait_for(lambda: daemon.count_event("reloaded") == 2, 30,
                 "two reloads have ended")
        assert daemon.reload().status == 200
        wait_for(lambda: daemon.count_event("reloaded") == 3, 30,
                 "the third has ended")


@test
def reloads_take_turns_and_the_last_file_counts():
    with Hanging() as daemon, ThreadPoolExecutor() as pool:
        daemon.add_plugin()
        first = pool.submit(daemon.reload)
        daemon.wait_probe()
        second = pool.submit(daemon.reload, config(
            [agent("echo"), agent("later")], extra=PLUGINS))
        assert first.result().json["added"] == []
        assert second.result().json["added"] == ["later"]
        assert daemon.chat("later", "hi").content == "hi"


@test
def a_faulty_file_behind_a_hanging_plugin_changes_nothing():
    with Hanging() as daemon, ThreadPoolExecutor() as pool:
        daemon.add_plugin()
        first = pool.submit(daemon.reload)
        daemon.wait_probe()
        second = pool.submit(daemon.reload, "agnets = ();")
        assert first.result().status == 200
        answer = second.result()
        assert answer.status == 400, answer
        assert "`agents`" in answer.json["error"]["message"], answer
        assert daemon.chat("echo", "hi").content == "hi"


@test
def too_many_reloads_are_refused_with_409():
    with Hanging() as daemon, ThreadPoolExecutor(WAITING + 4) as pool:
        daemon.add_plugin()
        first = pool.submit(daemon.reload)
        daemon.wait_probe()
        others = [pool.submit(daemon.reload) for _ in range(WAITING + 1)]
        refused = next(as_completed(others)).result()
        assert (refused.status, refused.code) == (409, "reload_busy"), refused
        statuses = sorted(other.result().status for other in others)
        assert statuses == [200] * WAITING + [409], statuses


def bind_low(sock):
    """A port that nobody is given who asks for any."""
    while True:
        try:
            return sock.bind(("127.0.0.1", random.randrange(15000, 32000)))
        except OSError:
            continue


@test
def an_order_whose_client_has_left_is_dropped_at_the_stop():
    with Hanging() as daemon:
        daemon.add_plugin()
        wire = daemon.wire(daemon.post_bytes("/admin/v1/reload", {}),
                           admin=True)
        daemon.wait_probe()
        wire.reset()
        daemon.signal(signal.SIGTERM)
        # Before the probe's five seconds are over, and it comes to an answer.
        wait_for(lambda: not serves(daemon.pid), 20, "the loops have ended")
        assert daemon.wait_end() == 0
        assert daemon.count_event("loop_messages_lost") == 0


def listeners(*ports):
    return ", ".join(
        ['{ address = "127.0.0.1:0"; }',
         '{ address = "unix:@DIR@/admin.sock"; admin = true; }',
         *('{ address = "127.0.0.1:%d"; }' % port for port in ports)])


@test
def an_address_that_is_taken_keeps_the_reload_from_changing_anything():
    with Daemon(config()) as daemon, socket.socket() as taken, \
            socket.socket() as probe:
        for one in (taken, probe):
            bind_low(one)
        taken.listen()
        port, free = (s.getsockname()[1] for s in (taken, probe))
        probe.close()
        answer = daemon.reload(config([agent("echo"), agent("new")],
                                      listeners=listeners(free, port)))
        assert answer.status == 400, answer
        assert "127.0.0.1:%d: the address is in use" % port in answer.json[
            "error"]["message"], answer
        assert daemon.chat("new", "x").status == 404
        assert daemon.status()["system_status"] == "degraded"
        with socket.socket() as again:
            # What was bound before the fault was met is free again.
            again.bind(("127.0.0.1", free))
        taken.close()
        assert daemon.reload().status == 200
        assert daemon.status()["system_status"] == "operational"
        assert daemon.chat("new", "x").content == "x"
        for one in (port, free):
            socket.create_connection(("127.0.0.1", one), 5).close()
        assert daemon.reload(config()).status == 200
        for one in (port, free):
            wait_for(lambda: refuses(one), 10, "the listener has gone")


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it met the listener as it closed
    return False


def requests_of(daemon):
    """Of which this look is one."""
    return daemon.metrics().sum("atomd_http_requests_total")


@test
def a_stop_does_not_apply_what_was_read():
    with Hanging() as daemon, ThreadPoolExecutor() as pool:
        daemon.add_plugin()
        reloads = [pool.submit(daemon.reload)]
        daemon.wait_probe()
        expected = itertools.count(requests_of(daemon) + 1)
        reloads.append(pool.submit(daemon.reload))
        wait_for(lambda: requests_of(daemon) > next(expected),
                 what="the second one")
        # It waits once an order behind it is answered.
        assert daemon.admin("GET", "/admin/v1/status").status == 200
        daemon.signal(signal.SIGTERM)
        for answer in (reload.result() for reload in reloads):
            assert (answer.status, answer.code) == (503, "shutting_down"), \
                answer
        assert daemon.wait_end(60) == 0
        assert daemon.count_event("reloaded") == 0


# While the file NO_DIGEST is there, OpenSSL has no memory for a digest, nor has
# the next one who wants a larger block on that thread.
NO_DIGEST = r"""
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static __thread int none;

void *realloc(void *old, size_t size)
{
	static void *(*next)(void *, size_t);

	if (none) {
		none = 0;
		return NULL;
	}
	if (next == NULL)
		next = dlsym(RTLD_NEXT, "realloc");
	return next(old, size);
}

int EVP_Digest(const void *bytes, size_t length, unsigned char *to,
	       unsigned int *size, const void *type, void *engine)
{
	int (*next)(const void *, size_t, unsigned char *, unsigned int *,
		    const void *, void *) = dlsym(RTLD_NEXT, "EVP_Digest");

	none = access(getenv("NO_DIGEST"), F_OK) == 0;
	return none ? 0 : next(bytes, length, to, size, type, engine);
}
"""


def a_reload_without_memory_says_so_and_changes_nothing():
    daemon = Daemon(config(), wait=None)
    library, flag = daemon.dir + "/no_digest.so", daemon.dir + "/no_digest"
    subprocess.run(
        [*CC, "-D_GNU_SOURCE", "-shared", "-fPIC", "-x", "c", "-", "-o",
         library], input=NO_DIGEST.encode(), check=True)
    daemon.env = {"LD_PRELOAD": library, "NO_DIGEST": flag}
    daemon.wait = "ready"
    with daemon:
        with open(flag, "wb"):
            pass
        answer = daemon.reload(config(agent("new")))
        assert answer.status >= 400, answer
        assert "no memory" in answer.json["error"]["message"], answer
        daemon.wait_event("reload_failed")
        assert daemon.count_event("reload_failed") == 1
        assert daemon.invoke("new", "x").code == "agent_not_found"
        os.unlink(flag)
        assert daemon.reload().status == 200
        assert daemon.invoke("new", "x").status == 200


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(a_reload_without_memory_says_so_and_changes_nothing)

run()
