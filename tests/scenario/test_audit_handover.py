#!/usr/bin/env python3
"""Another required audit sink by a reload: the log goes on in it, whole, or
stays where it is."""

import glob
import json
import os
import threading

from atomd_test import Daemon, run, test, wait_for
from audit_log import audited, kept, search, wait_records


def sink(path="audit", more=""):
    return 'plugin = "file"; path = "%s"; required = true; %s' % (path, more)


def make_key(daemon):
    answer = daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
    assert answer.status == 201, answer
    return answer.headers["x-request-id"]


def reload(daemon, sinks):
    answer = daemon.reload(audited(sinks))
    assert answer.status == 200, answer
    assert "needs_restart" not in answer.json, answer
    return answer


def must_be_sound(daemon, folder):
    done = daemon.atomctl("--json", "audit", "verify",
                          os.path.join(daemon.dir, folder))
    assert done.returncode == 0, (done.stdout, done.stderr)
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] == "sound", verdict
    return verdict["records"]


def state(daemon):
    return daemon.status()["audit"]


@test
def changed_options_take_effect_at_once_and_nothing_is_missing():
    with Daemon(audited(sink())) as daemon:
        made, over = [], threading.Event()

        def order():
            while not over.is_set():
                made.append(make_key(daemon))
        threads = [threading.Thread(target=order) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for size in ("64K", "128K", "96K", "1M"):
                reload(daemon, sink(more='segment_size = "%s";' % size))
            reload(daemon, sink(more="encrypt = true;"))
            reload(daemon, sink(more='segment_size = "64K";'))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert state(daemon)["state"] == "ok", state(daemon)
        wait_for(lambda: daemon.count_event("audit_handed_over") >= 6,
                 what="each of the changes is logged")
        assert daemon.count_event("audit_handed_over") == 6
        found = {}
        for record in search(daemon, type="key.create", limit=10000):
            found.setdefault(record["request_id"], set()).add(
                record["details"]["phase"])
        for request in made:
            assert found[request] == {"intent", "outcome"}, request
        daemon.stop()
        daemon.start()
        assert len(search(daemon, type="key.create", limit=10000)) == \
            2 * len(made)


@test
def another_folder_gets_all_and_the_next_start_goes_on_there():
    with Daemon(audited(sink())) as daemon:
        first = make_key(daemon)
        log_id = state(daemon)["log_id"]
        reload(daemon, sink("elsewhere"))
        before = kept(daemon, "audit")
        second = make_key(daemon)
        assert kept(daemon, "audit") == before
        on_disk = kept(daemon, "elsewhere")
        assert first.encode() in on_disk and second.encode() in on_disk
        assert len(search(daemon, type="key.create")) == 4
        assert must_be_sound(daemon, "elsewhere") > must_be_sound(
            daemon, "audit")
        daemon.stop()
        daemon.start()
        assert state(daemon)["state"] == "ok", state(daemon)
        assert state(daemon)["log_id"] == log_id
        make_key(daemon)
        daemon.stop()
        daemon.start()
        must_be_sound(daemon, "elsewhere")


@test
def a_kill_after_it_is_taken_up_there():
    with Daemon(audited(sink())) as daemon:
        make_key(daemon)
        reload(daemon, sink("elsewhere"))
        last = make_key(daemon)
        daemon.kill()
        daemon.start()
        assert state(daemon)["state"] == "ok", state(daemon)
        assert len(wait_records(daemon, 2, request=last)) == 2
        must_be_sound(daemon, "elsewhere")


@test
def a_follower_becomes_the_required_one():
    both = ('plugin = "file"; path = "audit"; %s }, '
            '{ plugin = "file"; path = "copy"; %s')
    first, second = (both % ("required = true;", ""),
                     both % ("", "required = true;"))
    with Daemon(audited(first)) as daemon:
        for n in range(4):
            make_key(daemon)
            reload(daemon, second if n % 2 == 0 else first)
            assert [s["name"] for s in state(daemon)["sinks"]
                    if s["required"]] == ["file#2" if n % 2 == 0 else "file"]
        last = make_key(daemon)
        wait_for(lambda: last.encode() in kept(daemon, "copy"),
                 what="the follower has it")
        daemon.stop()
        for folder in ("audit", "copy"):
            done = daemon.atomctl("--json", "audit", "verify",
                                  os.path.join(daemon.dir, folder))
            assert json.loads(done.stdout)["verdict"] == "sound", done


@test
def a_sink_that_cannot_be_opened_leaves_the_configuration_whole():
    with Daemon(audited(sink())) as daemon:
        make_key(daemon)
        daemon.write("file", "no folder")
        for wrong in (sink("@DIR@/file"),
                      sink(more='segment_size = "64K"; encrypt = true; ')
                      .replace('"audit"', '"/proc/nowhere"')):
            text = audited(wrong).replace('name = "echo"', 'name = "other"')
            answer = daemon.reload(text)
            assert answer.status == 400, answer
            assert "required sink file" in answer.text, answer
            assert "goes on where it is" in answer.text, answer
            assert daemon.chat("echo", "x").status == 200
            assert daemon.chat("other", "x").status == 404
            assert state(daemon)["state"] == "ok", state(daemon)
            request = make_key(daemon)
            assert request.encode() in kept(daemon)
        reload(daemon, sink(more='segment_size = "64K";'))
        must_be_sound(daemon, "audit")


@test
def where_the_way_back_is_barred_too_it_is_tried_until_it_is_free():
    with Daemon(audited(sink())) as daemon:
        for _ in range(3):
            make_key(daemon)
        # The only segment, at its beginning: no one opens it like that.
        path, = glob.glob(os.path.join(daemon.dir, "audit", "segment-*"))
        with open(path, "r+b") as segment:
            good = segment.read(1)
            segment.seek(0)
            segment.write(b"X")
        answer = daemon.reload(audited(sink(more='segment_size = "64K";')))
        assert answer.status == 400, answer
        assert state(daemon)["state"] == "failing", state(daemon)
        answer = daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
        assert answer.code == "audit_unavailable", answer
        assert daemon.chat("echo", "x").status == 200
        with open(path, "r+b") as segment:
            segment.write(good)
        wait_for(lambda: state(daemon)["state"] == "ok", 30,
                 "the log goes on")
        make_key(daemon)
        wait_records(daemon, 1, type="call")
        must_be_sound(daemon, "audit")


@test
def a_folder_of_another_log_is_not_gone_on_in():
    with Daemon(audited(sink("other"))) as daemon:
        for _ in range(3):
            make_key(daemon)
        daemon.stop()
        for name in ("audit.key", "audit.head"):
            os.unlink(os.path.join(daemon.dir, "state", name))
        daemon.configure(audited(sink()))
        daemon.start()
        make_key(daemon)
        answer = daemon.reload(audited(sink("other")))
        assert answer.status == 400, answer
        assert "of another log" in answer.text, answer
        make_key(daemon)


@test
def a_sink_that_cannot_be_read_back_waits_for_the_next_start():
    with Daemon(audited(sink())) as daemon:
        answer = daemon.reload(audited(
            'plugin = "memory"; required = true; accept_loss = true;'))
        assert answer.status == 200, answer
        assert answer.json["needs_restart"] == "audit_sinks", answer
        assert make_key(daemon).encode() in kept(daemon)


if __name__ == "__main__":
    run()
