#!/usr/bin/env python3
"""The openai npm package, unchanged, against the daemon."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import (Daemon, Skip, agent, config, run,  # noqa: E402
                        seconds, test, wait_for)
from npm import installed  # noqa: E402
from mock_upstream import Mock  # noqa: E402

def programs():
    node = os.environ.get("NODE") or shutil.which("node") or \
        shutil.which("nodejs")
    if not node:
        raise Skip("node is missing")
    return node


def client_folder():
    """The build's folder with the package and our checks of it."""
    folder = installed(HERE, "openai")
    shutil.copyfile(os.path.join(HERE, "openai.test.mjs"),
                    os.path.join(folder, "openai.test.mjs"))
    return folder


def check(daemon, name, key=None):
    node = programs()
    folder = client_folder()
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OPENAI_", "ATOMD_"))}
    env.update(ATOMD_URL=daemon.url, NO_PROXY="127.0.0.1")
    if key:
        env["ATOMD_KEY"] = key
    done = subprocess.run(
        [node, "openai.test.mjs", name], cwd=folder, env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=seconds(90), check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def agents(mock, timeouts=""):
    return [
        agent("echo", more="memory: { max_messages = 20; };"),
        agent("slow", 'plugin = "echo"; chunk_delay_ms = 50;'),
        agent("bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
              ' api_key = "sk-test";' % mock.url, timeouts)]


def passes(*names, **more):
    """The daemon with its three agents, and these checks."""
    client_folder()
    with Mock() as mock, Daemon(config(agents=agents(mock, **more))
                                ) as daemon:
        for name in names:
            check(daemon, name)
        return mock


@test
def chat_answers():
    passes("chat", "raw_response")


@test
def streams_come_whole_and_with_usage():
    passes("stream", "stream_helper")


@test
def tools_pictures_and_formats_pass_through():
    passes("tools", "tools_streamed", "formats")


@test
def models_are_listed_and_retrieved():
    passes("models")


@test
def each_failure_is_the_right_exception():
    passes("errors", "bad_key")


@test
def a_stream_that_breaks_throws():
    passes("broken_stream")


@test
def an_abort_reaches_the_upstream():
    client_folder()
    with Mock() as mock, Daemon(config(agents=agents(mock))) as daemon:
        check(daemon, "abort")
        wait_for(lambda: mock.cancelled == 2, 30, "both are cancelled")
        daemon.wait_idle()


@test
def a_session_is_kept_by_its_header():
    passes("session")


@test
def a_hundred_calls_at_once_are_answered():
    passes("many_at_once")


@test
def a_timeout_is_not_tried_again():
    client_folder()
    with Mock() as mock, Daemon(config(agents=agents(
            mock, "timeouts: { total_ms = 1500; };"))) as daemon:
        check(daemon, "no_retry_where_it_cannot_help")
        wait_for(lambda: mock.calls, what="the call upstream")
        assert len(mock.calls) == 1, mock.calls


@test
def a_key_opens_its_agents_only():
    client_folder()
    with Mock() as mock, Daemon(config(agents=agents(mock), security="")
                                ) as daemon:
        made = [daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", **more}).json["key"]
            for more in ({}, {"agents": ["slow"]})]
        check(daemon, "chat", made[0])
        check(daemon, "forbidden", made[1])
        check(daemon, "bad_key")


@test
def a_limit_is_a_rate_limit_error_and_waited_for():
    client_folder()
    with Mock() as mock, Daemon(config(agents=agents(mock), security="")
                                ) as daemon:
        made = daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller", "limits": {"requests_per_minute": 120,
                                         "tokens_per_minute": 5000}})
        check(daemon, "limits", made.json["key"])
        # What can never pass was not tried again.
        assert daemon.metrics().sum("atomd_rate_limited_total",
                                    limit="key_tokens") == 1


if __name__ == "__main__":
    run()
