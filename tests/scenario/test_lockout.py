#!/usr/bin/env python3
"""Who guesses is locked out; who has a valid key never notices."""

import threading
import time
import zlib

from atomd_test import Daemon, config, run, test, wait_for
from audit_log import audited, search, wait_records

CLOSED = ""
PROXIED = ('{ address = "127.0.0.1:0"; trusted_proxies = [ "127.0.0.0/8",'
           ' "10.0.0.0/8" ]; },'
           ' { address = "unix:@DIR@/admin.sock"; admin = true; }')


def crc62(text):
    digits = ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
              "abcdefghijklmnopqrstuvwxyz")
    value, out = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        out = digits[digit] + out
    return text + out


UNKNOWN = crc62("atm_000000000000_" + "0" * 43)


def make(daemon, role="caller", **more):
    answer = daemon.admin("POST", "/admin/v1/keys", {"role": role, **more})
    assert answer.status == 201, answer
    return answer.json


def guess(daemon, address=None, key=UNKNOWN):
    headers = {"X-Forwarded-For": address} if address else {}
    return daemon.get("/v1/models", key=key, headers=headers)


def locked(answer):
    """Every wrong guess is 401; that of a locked address says when to come
    back, and is the connection's last."""
    assert (answer.status, answer.code) == (401, "invalid_api_key"), answer
    told = "retry-after" in answer.headers
    assert told == (answer.headers.get("connection") == "close"), answer
    return told


@test
def ten_wrong_keys_lock_the_address_and_no_valid_key():
    with Daemon(config(security=CLOSED)) as daemon:
        good = make(daemon)["key"]
        open_one = daemon.wire()
        head = ("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Authorization: Bearer %s\r\n\r\n" % good)
        assert open_one.send(head).answer().status == 200
        told = [locked(guess(daemon)) for _ in range(30)]
        assert told == [False] * 9 + [True] * 21, told
        assert int(guess(daemon).headers["retry-after"]) <= 60
        assert daemon.get("/v1/models", key=good).status == 200
        assert open_one.send(head).answer().status == 200
        open_one.close()
        line = daemon.wait_event("address_locked")
        assert line["address"] == "127.0.0.1" and line["seconds"] == 60, line
        assert daemon.count_event("address_locked") == 1
        metrics = daemon.metrics()
        assert metrics.sum("atomd_auth_lockouts_total") == 1
        assert metrics.sum("atomd_auth_locked_addresses") == 1
        assert metrics.sum("atomd_auth_total", result="refused") == 10
        assert metrics.sum("atomd_auth_total", result="locked") == 21


@test
def a_locked_address_is_let_go_and_locked_for_longer_the_next_time():
    short = 'lockout: { failures = 3; window_ms = "1m"; ban_ms = "1s"; };'
    with Daemon(config(security=short)) as daemon:
        for seconds in (1, 2):
            assert [locked(guess(daemon)) for _ in range(3)] == [
                False, False, True]
            assert daemon.wait_line(
                lambda line: line.get("event") == "address_locked" and
                line["seconds"] == seconds)
            wait_for(lambda: daemon.metrics().sum(
                "atomd_auth_locked_addresses") == 0, 20, "let go")


@test
def zero_failures_lock_nobody():
    with Daemon(config(security="lockout: { failures = 0; };")) as daemon:
        assert not any(locked(guess(daemon)) for _ in range(50))


@test
def what_is_wrong_with_a_key_shows_in_nothing():
    with Daemon(config(security="lockout: { failures = 0; };")) as daemon:
        revoked, old = make(daemon), make(daemon)
        expired = make(daemon, expires="1s")
        daemon.admin("DELETE", "/admin/v1/keys/" + revoked["id"])
        daemon.admin("POST", "/admin/v1/keys/%s/rotate" % old["id"],
                     {"grace": 0})
        wait_for(lambda: guess(daemon, key=expired["key"]).status == 401, 20,
                 "expired")
        wrong_secret = crc62(make(daemon)["key"][:-10] + "0000")
        shapes = set()
        for key in (UNKNOWN, revoked["key"], expired["key"], old["key"],
                    wrong_secret, UNKNOWN[:-1] + "x", "atm_", "ATM_x",
                    "sk-other", "eyJhbGciOiJub25lIn0.e30."):
            answer = guess(daemon, key=key)
            names = tuple(answer.headers)
            shapes.add((answer.status, answer.body, names))
        assert len(shapes) == 1, shapes


@test
def what_a_locked_address_pipelines_is_thrown_away():
    with Daemon(config(security=CLOSED)) as daemon:
        one = ("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Authorization: Bearer %s\r\n\r\n" % UNKNOWN)
        with daemon.wire(one * 100) as wire:
            answers = 0
            while True:
                answer = wire.answer()
                answers += 1
                if "retry-after" in answer.headers:
                    break
            assert answers == 10, answers
            assert wire.at_end()
        refused = daemon.metrics().sum("atomd_auth_total")
        assert refused <= 12, refused


@test
def callers_without_a_key_are_served_whatever_others_guess():
    with Daemon(config()) as daemon:
        for _ in range(12):
            guess(daemon)
        assert locked(guess(daemon))
        assert daemon.chat("echo", "x").status == 200
        assert daemon.chat("echo", "x", key="sk-any").status == 200


@test
def the_address_behind_a_trusted_proxy_counts_and_not_the_proxy():
    with Daemon(config(security=CLOSED, listeners=PROXIED)) as daemon:
        good = make(daemon)["key"]
        for _ in range(10):
            guess(daemon, "203.0.113.7")
        assert locked(guess(daemon, "203.0.113.7"))
        # What the client wrote itself stands to the left.
        assert locked(guess(daemon, "198.51.100.1, 203.0.113.7, 10.1.2.3"))
        assert not locked(guess(daemon, "203.0.113.8"))
        assert not locked(guess(daemon, "203.0.113.7, 203.0.113.8"))
        assert not locked(guess(daemon))
        answer = daemon.get("/v1/models", key=good, headers={
            "X-Forwarded-For": "203.0.113.7"})
        assert answer.status == 200, answer
        line = daemon.wait_event("address_locked")
        assert line["address"] == "203.0.113.7", line
        # IPv6 by its /64.
        for n in range(10):
            guess(daemon, "2001:db8:7:7::%x" % n)
        assert locked(guess(daemon, "2001:db8:7:7:ffff::1"))
        assert not locked(guess(daemon, "2001:db8:7:8::1"))


@test
def who_is_no_trusted_proxy_cannot_speak_for_others():
    with Daemon(config(security=CLOSED)) as daemon:
        for n in range(10):
            guess(daemon, "203.0.113.%d" % n)
        assert locked(guess(daemon, "198.51.100.9"))
        assert daemon.wait_event("address_locked")["address"] == "127.0.0.1"


@test
def guesses_on_all_loops_at_once_are_counted_together():
    with Daemon(config(security=CLOSED)) as daemon:
        good = make(daemon)["key"]
        told, served = [], []

        def some():
            for _ in range(20):
                told.append(locked(guess(daemon)))
                served.append(daemon.get("/v1/models", key=good).status)
        threads = [threading.Thread(target=some) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told.count(False) == 9, told.count(False)
        assert set(served) == {200}, served
        assert daemon.metrics().sum("atomd_auth_lockouts_total") == 1


ONE_TRY = 'lockout: { failures = 1; window_ms = "1m"; ban_ms = "1m"; };'


@test
def a_lock_out_is_on_record_with_its_address():
    with Daemon(audited(security=ONE_TRY, listeners=PROXIED)) as daemon:
        assert locked(guess(daemon, "203.0.113.7"))
        assert locked(guess(daemon, "203.0.113.7"))
        record, = wait_records(daemon, 1, type="address.locked")
        assert record["address"] == "203.0.113.7", record
        assert record["category"] == "security_events", record
        assert record["severity"] == "warn", record
        assert record["details"] == {"count": 1, "seconds": 60}, record
        assert UNKNOWN not in str(search(daemon))


@test
def lock_outs_of_a_crowd_are_counted_in_few_records():
    crowd = 300
    with Daemon(audited(security=ONE_TRY, listeners=PROXIED)) as daemon:
        began = time.monotonic()
        for n in range(crowd):
            guess(daemon, "198.51.%d.%d" % divmod(n, 250))
        assert daemon.metrics().sum("atomd_auth_lockouts_total") == crowd

        def counted():
            rows = search(daemon, type="address.locked", limit=1000)
            return rows if sum(r["details"]["count"] for r in rows) == \
                crowd else None
        rows = wait_for(counted, what="every lock-out in some record")
        # However fast: ten a second, and one for those beyond.
        whole = int(time.monotonic() - began) + 2
        named = [r for r in rows if r["address"]]
        assert len(named) <= 10 * whole, (len(named), whole)
        assert len(rows) - len(named) <= whole, (len(rows), whole)


if __name__ == "__main__":
    run()
