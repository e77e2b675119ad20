#!/usr/bin/env python3
"""audit/http against a receiver that takes, refuses, hangs and goes away."""

import glob
import hashlib
import hmac
import json
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, run, test, wait_for  # noqa: E402
from audit_receiver import Receiver, refusing_port  # noqa: E402
from audit_sink import EBUSY, EDATALOSS, EINVAL, Sink  # noqa: E402
from certificates import authority, certificate  # noqa: E402

NOTE = "atomd-audit/0123456789abcdef\n5\nAAAA\n\n\u2014 key AAAA\n"


def http(folder, url, **more):
    options = {"url": url, "spill": folder.at("spill"), "timeout": "5s",
               "retry_max": "100ms"}
    options.update(more)
    env = {"ATOMD_TEST_KEYRING": folder.at("keyring"),
           **options.pop("env", {})}
    return Sink("http", env=env, **options)


def spilled(folder):
    return sorted(glob.glob(folder.at("spill", "spill-*")))


@test
def sync_means_that_the_receiver_said_2xx():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        sink.write(1, 3)
        assert not receiver.requests
        sink.sync()
        assert receiver.sequences() == [1, 2, 3]
        request = receiver.requests[0]
        for line in request.lines:
            text = json.dumps(line["record"], separators=(",", ":"),
                              sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()
            assert line["hash"] == digest, line
        sink.checkpoint(3, NOTE)
        line = receiver.taken()[-1]
        assert line["type"] == "checkpoint" and line["sequence"] == 3
        assert line["checkpoint"] == NOTE, line
        assert line["verifier"].startswith("atomd-audit/test+"), line
        assert not spilled(folder)
        last = sink.last()
        assert (last["sequence"], last["checkpoint"], last["range_count"],
                last["range_byte"]) == (3, 3, 2, 7), last
        assert sink.metric("atomd_audit_remote_sent_total") == 4
        # One connection for all of it.
        assert len({r.client for r in receiver.requests}) == 1


@test
def requests_say_what_they_hold():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url + "a?b=c", batch_records=40,
                 authorization="Bearer secret-word",
                 signature_key="a key", headers={"X-Tenant": "t 1"}) as sink:
        sink.write(1, 100)
        sink.sync()
        heads = [r.headers for r in receiver.requests]
        assert [h["X-Atomd-Sequence"] for h in heads] == [
            "1-40", "41-80", "81-100"]
        assert [h["X-Atomd-Records"] for h in heads] == ["40", "40", "20"]
        for request in receiver.requests:
            h = request.headers
            assert request.path == "/a?b=c"
            assert h["Authorization"] == "Bearer secret-word"
            assert h["X-Tenant"] == "t 1"
            assert h["Content-Type"] == "application/x-ndjson"
            assert h["Idempotency-Key"] == "%s-%s" % (
                h["X-Atomd-Sequence"],
                hashlib.sha256(request.body).hexdigest()[:16])
            signed = h["X-Atomd-Timestamp"].encode() + b"." + request.body
            assert h["X-Atomd-Signature"] == "v1=" + hmac.new(
                b"a key", signed, "sha256").hexdigest()
            assert h["Expect"] is None
        assert "secret-word" not in sink.log_text()


@test
def an_array_is_one_json_document():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url, format="json") as sink:
        sink.write(1, 3)
        sink.sync()
        request = receiver.requests[0]
        assert request.headers["Content-Type"] == "application/json"
        assert [x["sequence"] for x in json.loads(request.body)] == [1, 2, 3]


@test
def a_failed_try_is_repeated_with_the_same_key_and_logged_once():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["500", "close", "503", "garbage", "408"]
        sink.write(1, 5)
        sink.sync()
        wait_for(lambda: receiver.sequences() == [1, 2, 3, 4, 5], 30, "all")
        keys = {r.headers["Idempotency-Key"] for r in receiver.requests}
        assert len(keys) == 1 and len(receiver.requests) == 6, keys
        wait_for(lambda: sink.log_lines("audit_receiver_back"), 10, "back")
        assert len(sink.log_lines("audit_receiver_lost")) == 1
        assert "500: because" in sink.log_lines("audit_receiver_lost")[0]
        wait_for(lambda: not spilled(folder), 10, "an empty spill")
        assert sink.metric("atomd_audit_remote_failures_total") == 5
        assert sink.metric("atomd_audit_remote_spilled_total") == 5
        assert sink.metric("atomd_audit_remote_sent_total") == 5
        # And the direct way again.
        sink.write(6, 1)
        sink.sync()
        assert receiver.sequences() == [1, 2, 3, 4, 5, 6]


@test
def retry_after_is_heeded():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["429 3600"]
        sink.write(1, 1)
        sink.sync()
        line = json.loads(sink.log_lines("audit_receiver_lost")[0])
        # Our own pauses are below 100 ms here.
        assert 3000000 < line["retry_after_ms"] <= 3600000, line
        sink.write(2, 1)
        sink.sync()
        assert len(receiver.requests) == 1
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["503 1"]
        sink.write(1, 1)
        sink.sync()
        wait_for(lambda: receiver.sequences() == [1], 20, "the second try")


@test
def a_refusal_throws_nothing_away():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["403", "401", "302", "404"]
        for number in range(1, 6):
            sink.write(number, 1)
            sink.sync()
        wait_for(lambda: receiver.sequences() == [1, 2, 3, 4, 5], 30, "all")
        assert all(r.path == "/" for r in receiver.requests)


@test
def batches_that_are_too_large_get_smaller():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["413", "413", "413"]
        sink.write(1, 16)
        sink.sync()
        wait_for(lambda: receiver.sequences() == list(range(1, 17)), 30,
                 "all")
        counts = [len(r.lines) for r in receiver.requests]
        assert counts[:5] == [16, 8, 4, 2, 4], counts


@test
def a_body_without_end_does_not_hide_the_2xx():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url) as sink:
        receiver.plan = ["endless"]
        sink.write(1, 2)
        sink.sync()
        assert receiver.sequences() == [1, 2]
        assert not spilled(folder)


@test
def a_receiver_that_hangs_costs_one_deadline_then_nothing():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url, timeout="300ms",
                 retry_max="1h") as sink:
        receiver.otherwise = "hang"
        sink.write(1, 10)
        sink.sync()
        assert len(spilled(folder)) == 1
        # From here on the disk takes all of it, without a request.
        tries = len(receiver.requests)
        for first in range(11, 1011, 10):
            sink.write(first, 10)
            sink.sync()
        assert len(receiver.requests) <= tries + 3
        assert sink.last()["sequence"] == 1010
        # A stop does not wait for the one that hangs.
        sink.destroy()


@test
def what_waits_survives_a_restart_and_comes_in_order():
    with Folder() as folder:
        port = refusing_port()
        url = "http://127.0.0.1:%d/" % port
        with http(folder, url) as sink:
            sink.write(1, 700, 200)
            sink.checkpoint(700, NOTE)
            sink.destroy()
        with http(folder, url) as sink:
            last = sink.last()
            assert (last["sequence"], last["checkpoint"],
                    last["range_byte"]) == (700, 700, 7), last
            sink.write(701, 100)
            sink.sync()
            # No word of goodbye.
            sink.kill()
        with Receiver(port) as receiver, http(folder, url) as sink:
            assert sink.last()["sequence"] == 800
            # The receiver is reached though no record comes.
            wait_for(lambda: len(receiver.sequences()) >= 800, 30, "all")
            assert receiver.sequences() == list(range(1, 801))
            kinds = [l["type"] for l in receiver.taken()]
            assert kinds.index("checkpoint") == 700, kinds
            wait_for(lambda: not spilled(folder), 10, "an empty spill")
            sink.write(801, 1)
            sink.sync()
            assert receiver.sequences()[-1] == 801
            assert not sink.log_lines("audit_spill_damaged")
        with Receiver(port) as receiver, http(folder, url) as sink:
            assert sink.last()["sequence"] == 801
            sink.write(802, 1)
            sink.sync()
            assert receiver.sequences() == [802]


@test
def a_kill_between_delivery_and_the_next_record_repeats_at_most_a_batch():
    with Folder() as folder, Receiver() as receiver:
        url = receiver.url
        for round_number in range(10):
            with http(folder, url) as sink:
                first = sink.last()["sequence"] + 1
                assert first == round_number * 10 + 1
                sink.write(first, 10)
                sink.sync()
                sink.kill()
        assert receiver.sequences() == list(range(1, 101))


def torn_spill(folder, count=20):
    """A spill that a killed sink left; the path of its only segment."""
    with http(folder, "http://127.0.0.1:%d/" % refusing_port()) as sink:
        sink.write(1, count)
        sink.sync()
        sink.kill()
    paths = spilled(folder)
    assert len(paths) == 1, paths
    return paths[0]


@test
def what_waits_on_disk_is_sealed_by_the_keyring():
    with Folder() as folder:
        path = torn_spill(folder)
        with open(path, "rb") as f:
            waiting = f.read()
        for clear in (b"sequence", b"category", b"record", b"event_type"):
            assert clear not in waiting, clear
        # Under another keyring it does not open, and is not given up.
        other = {"ATOMD_TEST_KEYRING": folder.at("other")}
        with Receiver() as receiver:
            with http(folder, receiver.url, start=False, env=other) as sink:
                answer = sink.create(ok=False)
                assert answer["status"] == EDATALOSS, answer
                assert "another keyring" in answer["error"], answer
            assert not receiver.requests and spilled(folder) == [path]
            with http(folder, receiver.url):
                wait_for(lambda: receiver.sequences() == list(range(1, 21)),
                         20, "all of it")


@test
def a_torn_tail_is_passed_over_at_every_length():
    with Folder() as folder:
        path = torn_spill(folder, 3)
        with open(path, "rb") as f:
            whole = f.read()
        size = len(whole) // 3
        for length in [0, 1, size - 1, size, size + 79, size + 80,
                       2 * size, 2 * size + 1, 3 * size - 1]:
            for name in spilled(folder) + glob.glob(
                    folder.at("spill", "position")):
                os.unlink(name)
            with open(path, "wb") as f:
                f.write(whole[:length])
            kept = length // size
            with Receiver() as receiver, \
                    http(folder, receiver.url) as sink:
                assert sink.last()["sequence"] == kept, (length, kept)
                wait_for(lambda: len(receiver.sequences()) == kept, 20,
                         "what is whole")
                # The host gives the rest again.
                sink.write(kept + 1, 1)
                sink.sync()
                wait_for(lambda: receiver.sequences() ==
                         list(range(1, kept + 2)), 20, "the rest")
                assert not sink.log_lines("audit_spill_damaged")


@test
def damage_is_found_and_told_and_the_rest_arrives():
    with Folder() as folder:
        path = torn_spill(folder)
        with http(folder, "http://127.0.0.1:%d/" % refusing_port()) as sink:
            sink.write(21, 10)  # a segment of its own
            sink.sync()
            sink.destroy()
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 1]))
        with Receiver() as receiver, http(folder, receiver.url) as sink:
            wait_for(lambda: receiver.sequences()[-1:] == [30], 20, "30")
            got = receiver.sequences()
            assert got == list(range(1, 11)) + list(range(21, 31)), got
            line = json.loads(sink.log_lines("audit_spill_damaged")[0])
            assert line["lost"] == 10, line
            assert sink.metric("atomd_audit_remote_dropped_total") == 10


@test
def a_full_spill_takes_no_more_and_loses_nothing():
    with Folder() as folder:
        port = refusing_port()
        url = "http://127.0.0.1:%d/" % port
        with http(folder, url, spill_size="1M", batch_size="64K") as sink:
            taken, answer = 0, {"status": 0}
            while answer["status"] == 0:
                answer = sink.write(taken + 1, 1, 4000, ok=False)
                taken += answer["status"] == 0
                assert taken < 1000, "endless room"
            assert answer["status"] == EBUSY, answer
            assert "spill_size" in answer["error"], answer
            assert sink.sync(ok=False)["status"] == EBUSY
            held = sum(os.path.getsize(p) for p in spilled(folder))
            assert held <= 1 << 20, held
            with Receiver(port) as receiver:
                wait_for(lambda: sink.write(taken + 1, 1, 4000,
                                            ok=False)["status"] == 0, 30,
                         "room")
                wait_for(lambda: sink.sync(ok=False)["status"] == 0, 30,
                         "synced")
                wait_for(lambda: len(receiver.sequences()) == taken + 1, 30,
                         "all")
                assert receiver.sequences() == list(range(1, taken + 2))


@test
def a_certificate_of_another_name_or_authority_is_refused():
    with Folder() as folder:
        ca = authority(folder, "ca")
        other = authority(folder, "other")
        certificate(folder, "ca", "server", "IP:127.0.0.1")
        certificate(folder, "ca", "wrong", "DNS:elsewhere")
        certificate(folder, "ca", "client", "DNS:client")

        def context(name):
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(folder.at(name + ".pem"),
                                 folder.at(name + ".key"))
            return made

        for name, options, taken in (
                ("server", {"ca_file": ca}, True),
                ("server", {"ca_file": other}, False),
                ("wrong", {"ca_file": ca}, False),
                ("wrong", {"verify": False}, True)):
            with Receiver(context=context(name)) as receiver, \
                    http(folder, receiver.url,
                         spill=folder.at("spill-" + os.urandom(4).hex()),
                         **options) as sink:
                sink.write(1, 1)
                sink.sync()
                assert bool(receiver.requests) == taken, (name, options)
        asks = context("server")
        asks.load_verify_locations(ca)
        asks.verify_mode = ssl.CERT_REQUIRED
        with Receiver(context=asks) as receiver, \
                http(folder, receiver.url, ca_file=ca,
                     certificate=folder.at("client.pem"),
                     key=folder.at("client.key")) as sink:
            sink.write(1, 1)
            sink.sync()
            assert receiver.sequences() == [1]


@test
def a_folder_belongs_to_one_sink():
    with Folder() as folder, Receiver() as receiver, \
            http(folder, receiver.url), \
            http(folder, receiver.url, start=False) as second:
        answer = second.create(ok=False)
        assert answer["status"] == EBUSY, answer
        assert "another sink" in answer["error"], answer
    with Folder() as folder:
        os.mkdir(folder.at("spill"))
        os.chmod(folder.at("spill"), 0o777)
        with http(folder, "http://127.0.0.1/", start=False) as sink:
            answer = sink.create(ok=False)
            assert "chmod go-w" in answer["error"], answer


@test
def a_position_that_is_damaged_in_both_slots_is_refused():
    with Folder() as folder, Receiver() as receiver:
        for _ in range(2):
            with http(folder, receiver.url) as sink:
                sink.write(sink.last()["sequence"] + 1, 5)
                sink.sync()
        path = folder.at("spill", "position")
        with open(path, "rb") as f:
            sound = f.read()

        def flip(at):
            with open(path, "r+b") as f:
                f.seek(at)
                f.write(bytes([sound[at] ^ 1]))

        # The second slot is the newer one; the first is a batch behind.
        for at, last in ((100, 10), (4096 + 100, 5)):
            with open(path, "wb") as f:
                f.write(sound)
            flip(at)
            with http(folder, receiver.url) as sink:
                assert sink.last()["sequence"] == last
        flip(100)
        with http(folder, receiver.url, start=False) as sink:
            answer = sink.create(ok=False)
            assert answer["status"] == EDATALOSS, answer
            assert "position" in answer["error"], answer


@test
def options_that_cannot_work_are_refused_with_the_reason():
    for options, word in (
            ({"url": "ftp://127.0.0.1/"}, "url"),
            ({"url": "127.0.0.1"}, "url"),
            ({"url": "http://u:pw@127.0.0.1/"}, "authorization"),
            ({"spill": ""}, "spill"),
            ({"batch_size": "1M", "spill_size": "1M"}, "spill_size"),
            ({"headers": {"Content-Length": "5"}}, "Content-Length"),
            ({"headers": {"x-atomd-sequence": "5"}}, "X-Atomd"),
            ({"headers": {"a b": "5"}}, "`a b`"),
            ({"headers": {"a": "5\r\nb: 6"}}, "control bytes"),
            ({"authorization": "Bearer x\n"}, "authorization"),
            ({"format": "xml"}, "format")):
        with Folder() as folder, \
                http(folder, "http://127.0.0.1/", start=False) as sink:
            answer = sink.create(ok=False, **options)
            assert answer["status"] == EINVAL, (options, answer)
            assert word in answer["error"], answer
            assert "pw@" not in answer["error"]


if __name__ == "__main__":
    run()
