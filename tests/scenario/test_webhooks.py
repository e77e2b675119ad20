#!/usr/bin/env python3
"""Webhooks of a rollout: who is asked, who is told, and what is signed."""

import hashlib
import hmac
import http.server
import json
import threading

from atomd_test import Daemon, agent, config, run, seconds, test, wait_for

SECRET = "a secret that nobody else has"


class Receiver:
    """Answers each POST with what `answer(body)` says: a status, or None to
    hang until the end."""

    def __init__(self, answer=lambda body: 204):
        self.calls, self.closing = [], threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(raw)
                receiver.calls.append((body, dict(self.headers.items()), raw))
                status = answer(body)
                if status is None:
                    receiver.closing.wait(60)
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return "http://127.0.0.1:%d/hook" % self.server.server_address[1]

    def of(self, event):
        return [call[0] for call in self.calls if call[0]["event"] == event]


def echo(prefix, receiver, more=""):
    return agent(
        backend='plugin = "echo"; prefix = "%s";' % prefix,
        more='deployment: { plugin = "canary"; hold = "0"; webhooks = ( '
             '{ url = "%s"; secret = "%s"; %s } ); };' % (
                 receiver.url, SECRET, more))


def status(daemon):
    answer = daemon.admin("GET", "/admin/v1/deployments/echo")
    return answer.json if answer.status == 200 else {}


def outcome(daemon, wanted):
    return wait_for(lambda: status(daemon).get("outcome") == wanted and
                    status(daemon), 30, wanted)


def revision(daemon):
    return daemon.chat("echo", "x").headers["x-atomd-revision"]


@test
def each_point_is_asked_signed_and_the_end_is_told():
    with Receiver() as receiver, \
            Daemon(config(agents=echo("one", receiver))) as daemon:
        daemon.reload(config(agents=echo("two", receiver)))
        row = outcome(daemon, "promoted")
        wait_for(lambda: receiver.of("after"), 30, "the end is told")
        names = [call[0]["event"] for call in receiver.calls]
        assert names[0] == "before" and names[-1] == "after", names
        steps = receiver.of("step")
        assert [s["step"] for s in steps][:4] == [0, 1, 2, 3], steps
        # Asked before the weight of the step.
        assert steps[0]["weight"] == 0 and steps[1]["weight"] == 500, steps
        assert receiver.of("before")[0]["weight"] == 0
        after = receiver.of("after")[0]
        assert after["outcome"] == "promoted", after
        assert after["rollout"] == row["id"] and after["to"] == 2, after
        ids = set()
        for body, headers, raw in receiver.calls:
            text = headers["X-Atomd-Timestamp"].encode() + b"." + raw
            wanted = hmac.new(SECRET.encode(), text, hashlib.sha256)
            assert headers["X-Atomd-Signature"] == "v1=" + wanted.hexdigest()
            assert headers["Idempotency-Key"] == body["id"], headers
            ids.add(body["id"])
        assert len(ids) == len(receiver.calls), receiver.calls
        shown = daemon.admin("GET",
                             "/admin/v1/agents/echo/revisions?revision=2")
        assert SECRET not in shown.body.decode(), shown.body


@test
def one_that_refuses_ends_it_before_anything_starts():
    with Receiver(lambda body: 403) as receiver, \
            Daemon(config(agents=echo("one", receiver))) as daemon:
        daemon.reload(config(agents=echo("two", receiver)))
        row = outcome(daemon, "aborted")
        assert row["cause"] == "webhook" and "403" in row["reason"], row
        assert row["workflow"]["successful_steps"] == 0, row
        assert not receiver.of("step"), receiver.calls
        assert revision(daemon) == "1"


@test
def one_that_hangs_ends_it_after_its_time_at_the_weight_it_had():
    # Long enough for the answers before it.
    patience = "timeout_ms = %d;" % seconds(2000)
    with Receiver(lambda body: None if body.get("step") == 1 and
                  body["event"] == "step" else 200) as receiver, \
            Daemon(config(agents=echo("one", receiver,
                                      patience))) as daemon:
        daemon.reload(config(agents=echo("two", receiver, patience)))
        row = outcome(daemon, "aborted")
        assert row["cause"] == "webhook" and "step" in row["reason"], row
        assert receiver.of("step")[-1]["weight"] == 500, receiver.calls
        wait_for(lambda: receiver.of("after"), 30, "the end is told")
        assert receiver.of("after")[0]["outcome"] == "aborted"
        assert revision(daemon) == "1"


@test
def what_is_not_required_stops_nothing():
    with Receiver(lambda body: 500) as receiver, \
            Daemon(config(agents=echo("one", receiver, "required = false;"))
                   ) as daemon:
        daemon.reload(config(agents=echo("two", receiver,
                                         "required = false;")))
        outcome(daemon, "promoted")
        # The end is told until it is taken.
        wait_for(lambda: len(receiver.of("after")) > 1, 30, "it is repeated")
        assert len({b["id"] for b in receiver.of("after")}) == 1


@test
def after_a_kill_the_one_under_way_is_sent_again_with_its_id():
    with Receiver(lambda body: None if body["event"] == "before" and
                  len(receiver.of("before")) == 1 else 200) as receiver, \
            Daemon(config(agents=echo("one", receiver,
                                      "timeout_ms = 60000;"))) as daemon:
        daemon.reload(config(agents=echo("two", receiver,
                                         "timeout_ms = 60000;")))
        wait_for(lambda: receiver.of("before"), 30, "it is asked")
        wait_for(lambda: status(daemon).get("waits_for") == "webhook", 30,
                 "it waits")
        wait_for(lambda: daemon.metrics().sum("atomd_state_queue_depth") == 0,
                 what="it is stored")
        daemon.kill()
        daemon.start()
        outcome(daemon, "promoted")
        ids = [b["id"] for b in receiver.of("before")]
        assert len(ids) == 2 and ids[0] == ids[1], ids


run()
