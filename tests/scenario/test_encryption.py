#!/usr/bin/env python3
"""Nothing that is stored can be read, or quietly changed, without the key."""

import base64
import hashlib
import hmac
import json
import os
import random
import secrets
import sqlite3
import threading
import zlib

from atomd_test import Daemon, agent, config, run, test, wait_for

CANARY = "canary-%s" % secrets.token_hex(8)
MEMORY = "memory: { max_messages = 100; };"
SEALED = b"\xd7AS\x01"


def configuration(encryption="", security=""):
    return config(agents=agent("echo", more=MEMORY),
                  security='anonymous_role = "caller"; '
                           'encryption: { %s }; %s' % (encryption, security))


PLAIN = configuration()
JWT = ('jwt: ( { issuer = "https://id.example"; audience = "atomd"; '
       'jwks = "absent.json"; roles = ( { claim = "a"; role = "caller"; } ); '
       '} );')


def state(daemon, name=""):
    return os.path.join(daemon.dir, "state", name)


def holds(daemon, *texts):
    """Files of the state folder in which one of the texts stands."""
    found = []
    for folder, _, names in os.walk(state(daemon)):
        for name in names:
            if name.endswith(".new"):
                continue  # it has its own name soon
            with open(os.path.join(folder, name), "rb") as f:
                content = f.read()
            found += [(name, t) for t in texts if t.encode() in content]
    return found


def database(daemon):
    """The database of a daemon that does not run."""
    return sqlite3.connect(state(daemon, "state.db"))


def records(daemon, bucket):
    with database(daemon) as db:
        rows = db.execute("SELECT key, value FROM record WHERE bucket = ?",
                          (bucket,)).fetchall()
    db.close()
    return {bytes(key): bytes(value) for key, value in rows}


def set_record(daemon, bucket, key, value):
    with database(daemon) as db:
        assert db.execute(
            "UPDATE record SET value = ? WHERE bucket = ? AND key = ?",
            (value, bucket, key)).rowcount == 1
    db.close()


def say(daemon, session, text):
    return daemon.chat("echo", text, {"x-atomd-session": session})


def remembered(daemon, session):
    answer = daemon.get("/v1/agents/echo/sessions/" + session)
    assert answer.status == 200, answer
    return [m["content"] for m in answer.json["messages"]]


def keyring(daemon):
    answer = daemon.admin("GET", "/admin/v1/keyring")
    assert answer.status == 200, answer
    return answer.json


def rotate(daemon):
    answer = daemon.admin("POST", "/admin/v1/keyring/rotate", {})
    assert answer.status == 200, answer
    return answer.json["current"]


def rewrap(daemon, **body):
    answer = daemon.admin("POST", "/admin/v1/keyring/rewrap", body)
    assert answer.status == 202, answer


def wait_rewrapped(daemon):
    wait_for(lambda: keyring(daemon)["rewrap"]["state"] == "idle", 60,
             "the rewrap is over")


def make_key(daemon, **more):
    answer = daemon.admin("POST", "/admin/v1/keys",
                          {"role": "caller", **more})
    assert answer.status == 201, answer
    return answer.json


def component(daemon, name):
    (found,) = [c for c in daemon.status()["components"]
                if c["name"] == name]
    return found


def refused(daemon, *words):
    """It does not start, says why in one sentence, and changes nothing."""
    def everything():
        return {n: open(state(daemon, n), "rb").read()
                for n in sorted(os.listdir(state(daemon)))
                if n.startswith("keyring")}

    before = everything()
    daemon.wait = None
    daemon.start()
    assert daemon.wait_end() == 78, daemon.process.returncode
    for word in words:
        assert word in daemon.log, (word, daemon.log[-2000:])
    assert everything() == before
    daemon.wait = "ready"


# --- what is stored ---------------------------------------------------------


@test
def no_file_of_the_state_folder_holds_what_was_said_or_a_keys_hash():
    with Daemon(PLAIN) as daemon:
        assert say(daemon, "s", CANARY).status == 200
        made = make_key(daemon, name=CANARY + "-key")
        assert daemon.chat("echo", "x", key=made["key"]).status == 200
        wait_for(lambda: keyring(daemon)["versions"][0]["messages"] >= 4, 10,
                 "session, pepper, key and agent are stored")
        # While it runs, the write-ahead log too.
        assert os.path.exists(state(daemon, "state.db-wal"))
        assert holds(daemon, CANARY) == []
        daemon.stop()
        assert holds(daemon, CANARY, made["key"], "caller", "hash") == []
        stored = [v for b in ("sessions", "keys", "secrets", "agents")
                  for v in records(daemon, b).values()]
        assert len(stored) >= 4
        assert all(v.startswith(SEALED) for v in stored)
        daemon.start()
        assert remembered(daemon, "s") == [CANARY, CANARY]
        assert daemon.chat("echo", "x", key=made["key"]).status == 200
        assert component(daemon, "encryption")["status"] == "ok"


@test
def the_files_of_keys_are_their_owners_alone():
    with Daemon(PLAIN) as daemon:
        for name in ("keyring", "keyring.kek"):
            assert os.stat(state(daemon, name)).st_mode & 0o7777 == 0o600
        assert os.stat(state(daemon, "keyring.kek")).st_size == 32
        kek = open(state(daemon, "keyring.kek"), "rb").read()
        assert kek not in open(state(daemon, "keyring"), "rb").read()
        assert kek.hex() not in daemon.log


# --- the key ----------------------------------------------------------------


@test
def a_key_comes_from_a_file_a_credential_or_a_command_in_three_forms():
    key = secrets.token_bytes(32)
    forms = [key, key.hex().encode() + b"\n", base64.b64encode(key)]
    with Daemon(configuration('key = "${file:kek}";'),
                files={"kek": forms[0]}) as daemon:
        assert not os.path.exists(state(daemon, "keyring.kek"))
        identity = keyring(daemon)
        assert identity["key_source"] == "file", identity
        say(daemon, "s", "kept")
        for form in forms:
            daemon.stop()
            daemon.write("kek", form, 0o600)
            daemon.start()
            assert keyring(daemon)["key_id"] == identity["key_id"]
            assert remembered(daemon, "s") == ["kept", "kept"]
        daemon.stop()
        daemon.configure(configuration('credential = "atomd-key";'))
        os.mkdir(os.path.join(daemon.dir, "credentials"))
        daemon.write("credentials/atomd-key", key, 0o400)
        daemon.env["CREDENTIALS_DIRECTORY"] = os.path.join(
            daemon.dir, "credentials")
        daemon.start()
        assert keyring(daemon)["key_source"] == "credential"
        daemon.stop()
        daemon.configure(configuration(
            'command = [ "cat", "@DIR@/kek" ];'))
        daemon.start()
        assert keyring(daemon)["key_source"] == "command"
        assert remembered(daemon, "s") == ["kept", "kept"]
        assert key.hex() not in daemon.log


@test
def a_weak_short_or_absent_key_is_refused_with_a_sentence():
    with Daemon(configuration('key = "${file:kek}";'), wait=None,
                files={"kek": "00" * 32}) as daemon:
        assert daemon.wait_end() == 78
        assert "not drawn at random" in daemon.log, daemon.log
        for content, word in ((b"short", "holds no key"),
                              (b"a sentence of just 32 characters",
                               "32 characters of text")):
            assert content == b"short" or len(content) == 32
            daemon.write("kek", content)
            daemon.start()
            assert daemon.wait_end() == 78
            assert word in daemon.log, daemon.log
        os.unlink(os.path.join(daemon.dir, "kek"))
        daemon.start()
        assert daemon.wait_end() == 78
        assert "security.encryption: cannot open" in daemon.log, daemon.log
        daemon.configure(configuration('key = "%s";' % ("ab" * 32)))
        daemon.start()
        assert daemon.wait_end() == 78
        assert "must be one reference to a file" in daemon.log, daemon.log
        assert "ab" * 32 not in daemon.log
        assert not os.path.exists(state(daemon))


@test
def a_wrong_key_ends_the_start_and_the_right_one_still_fits():
    with Daemon(PLAIN) as daemon:
        say(daemon, "s", "kept")
        daemon.stop()
        right = open(state(daemon, "keyring.kek"), "rb").read()
        with open(state(daemon, "keyring.kek"), "wb") as f:
            f.write(secrets.token_bytes(32))
        refused(daemon, "is under the key-encryption key", "security_layer")
        os.unlink(state(daemon, "keyring.kek"))
        refused(daemon, "keyring.kek is gone")
        with open(state(daemon, "keyring.kek"), "wb") as f:
            f.write(right)
        os.chmod(state(daemon, "keyring.kek"), 0o644)
        refused(daemon, "chmod 0600")
        os.chmod(state(daemon, "keyring.kek"), 0o600)
        daemon.start()
        assert remembered(daemon, "s") == ["kept", "kept"]


@test
def a_keyring_that_is_gone_damaged_or_anothers_is_never_made_anew():
    with Daemon(PLAIN) as daemon, Daemon(PLAIN) as stranger:
        say(daemon, "s", "kept")
        stranger.stop()
        daemon.stop()
        own = open(state(daemon, "keyring"), "rb").read()
        os.unlink(state(daemon, "keyring"))
        refused(daemon, "is gone: restore it from a backup")
        with open(state(daemon, "keyring"), "wb") as f:
            f.write(own[:-1] + bytes([own[-1] ^ 1]))
        refused(daemon, "is damaged")
        with open(state(daemon, "keyring"), "wb") as f:
            f.write(own)
        # Another store's pair of keyring and key.
        kek = open(state(daemon, "keyring.kek"), "rb").read()
        for name in ("keyring", "keyring.kek"):
            with open(state(daemon, name), "wb") as f:
                f.write(open(state(stranger, name), "rb").read())
        refused(daemon, "restore the two from the same backup")
        for name, content in (("keyring", own), ("keyring.kek", kek)):
            with open(state(daemon, name), "wb") as f:
                f.write(content)
        daemon.start()
        assert remembered(daemon, "s") == ["kept", "kept"]
        stranger.start()


@test
def another_key_encryption_key_at_a_start_and_at_a_reload():
    one, two = (secrets.token_bytes(32) for _ in range(2))
    with Daemon(PLAIN, files={"one": one, "two": two}) as daemon:
        say(daemon, "s", "kept")
        # From the file in the state folder to a configured key.
        answer = daemon.reload(configuration('key = "${file:one}";'))
        assert answer.status == 200, answer
        wait_for(lambda: keyring(daemon)["key_source"] == "file")
        first = keyring(daemon)["key_id"]
        daemon.stop()
        daemon.start()
        assert remembered(daemon, "s") == ["kept", "kept"]
        # Without a word about the old one: refused, and unharmed.
        daemon.stop()
        os.unlink(state(daemon, "keyring.kek"))
        daemon.configure(configuration('key = "${file:two}";'))
        refused(daemon, "previous_key")
        daemon.configure(configuration(
            'key = "${file:two}"; previous_key = "${file:one}";'))
        daemon.start()
        assert keyring(daemon)["key_id"] != first
        assert remembered(daemon, "s") == ["kept", "kept"]
        # The old one is no longer needed.
        os.unlink(os.path.join(daemon.dir, "one"))
        daemon.stop()
        daemon.start()
        assert remembered(daemon, "s") == ["kept", "kept"]
        # A key that is none leaves all as it is.
        daemon.write("three", "x" * 64)
        before = keyring(daemon)
        answer = daemon.reload(configuration('key = "${file:three}";'))
        assert answer.status == 400, answer
        assert keyring(daemon)["key_id"] == before["key_id"]
        # Nor is a key taken of a configuration that is refused for another
        # reason.
        answer = daemon.reload(configuration("", JWT))
        assert answer.status == 400 and "absent.json" in answer.text, answer
        assert keyring(daemon)["key_source"] == "file", keyring(daemon)


@test
def a_keyring_that_cannot_be_written_is_degraded_until_it_can():
    one = configuration('key = "${file:one}";')
    two = configuration('key = "${file:two}";')
    keys = {name: secrets.token_bytes(32) for name in ("one", "two")}
    with Daemon(one, files=keys) as daemon:
        before = keyring(daemon)
        # What is written first has the place of a folder.
        os.mkdir(state(daemon, "keyring.new"))
        assert daemon.reload(two).status == 200
        why = component(daemon, "keyring")
        assert why["status"] == "degraded", why
        assert "keyring" in why["last_error"], why
        assert daemon.status()["system_status"] == "degraded"
        assert component(daemon, "encryption")["status"] == "ok"
        assert keyring(daemon)["key_id"] == before["key_id"]
        os.rmdir(state(daemon, "keyring.new"))
        assert daemon.reload(two).status == 200
        assert component(daemon, "keyring")["status"] == "ok"
        assert daemon.status()["system_status"] == "operational"
        assert keyring(daemon)["key_id"] != before["key_id"]


# --- damage -----------------------------------------------------------------


@test
def a_record_that_does_not_open_is_refused_and_the_others_are_not():
    with Daemon(PLAIN) as daemon:
        for session in ("good", "bad", "swapped"):
            say(daemon, session, "of " + session)
        good, bad = (make_key(daemon) for _ in range(2))
        daemon.stop()
        sessions = records(daemon, "sessions")
        keys = records(daemon, "keys")
        by_name = {k.rsplit(b"\x1f", 1)[1].decode(): k for k in sessions}
        value = bytearray(sessions[by_name["bad"]])
        value[-20] ^= 1
        set_record(daemon, "sessions", by_name["bad"], bytes(value))
        set_record(daemon, "sessions", by_name["swapped"],
                   sessions[by_name["good"]])
        # Smuggled in: a plain one, as an older atomd would have stored it.
        set_record(daemon, "keys", bad["id"].encode(), json.dumps({
            "hash": "00" * 32, "role": "admin", "name": "", "agents": None,
            "created_by": "x", "created_ms": 1, "expires_ms": 0,
            "last_used_ms": 0, "revoked": False}).encode())
        assert len(keys) == 2
        daemon.start()
        assert remembered(daemon, "good") == ["of good", "of good"]
        assert daemon.chat("echo", "x", key=good["key"]).status == 200
        for session in ("bad", "swapped"):
            answer = say(daemon, session, "again")
            assert answer.status == 503, answer
            assert answer.code == "state_unavailable", answer
            answer = daemon.get("/v1/agents/echo/sessions/" + session)
            assert answer.status in (500, 503), answer
        assert daemon.chat("echo", "x", key=bad["key"]).status == 401
        assert daemon.status()["system_status"] == "degraded"
        why = component(daemon, "encryption")
        assert why["status"] == "degraded", why
        assert daemon.metrics().sum("atomd_state_damaged_records_total") >= 3
        for words in (bad["id"], "bucket keys", "bucket sessions"):
            wait_for(lambda: words in daemon.log, what="a line with " + words)
        # Whoever owns it can begin anew.
        assert daemon.delete("/v1/agents/echo/sessions/bad").status in (
            200, 204)
        wait_for(lambda: say(daemon, "bad", "anew").status == 200)
        assert remembered(daemon, "bad") == ["anew", "anew"]


# --- rotate and rewrap ------------------------------------------------------


@test
def versions_come_and_go_while_calls_go_on():
    with Daemon(PLAIN) as daemon:
        stop = threading.Event()
        said = {}
        failures = []

        def talk(name):
            said[name] = 0
            while not stop.is_set():
                answer = say(daemon, name, "n%d" % said[name])
                if answer.status != 200:
                    failures.append(answer)
                said[name] += 1

        for n in range(200):
            say(daemon, "old%d" % n, "text %d" % n)
        talkers = [threading.Thread(target=talk, args=("t%d" % n,))
                   for n in range(4)]
        for talker in talkers:
            talker.start()
        made = make_key(daemon)
        for turn in range(3):
            assert rotate(daemon) == turn + 2
            rewrap(daemon)
            wait_rewrapped(daemon)
            versions = [v["version"] for v in keyring(daemon)["versions"]]
            assert versions == [turn + 2], versions
        stop.set()
        for talker in talkers:
            talker.join()
        assert not failures, failures[:3]
        assert daemon.chat("echo", "x", key=made["key"]).status == 200
        daemon.stop()
        newest = (4).to_bytes(4, "big")
        for bucket in ("sessions", "keys", "secrets", "agents"):
            for key, value in records(daemon, bucket).items():
                assert value[:8] == SEALED + newest, (bucket, key)
        daemon.start()
        assert daemon.status()["system_status"] == "operational"
        for n in range(200):
            assert remembered(daemon, "old%d" % n) == ["text %d" % n] * 2
        for name, count in said.items():
            assert remembered(daemon, name)[-1] == "n%d" % (count - 1)


@test
def a_kill_in_the_middle_of_a_rotation_or_a_rewrap_harms_nothing():
    chance = random.Random(11)
    with Daemon(PLAIN) as daemon:
        for n in range(300):
            say(daemon, "k%d" % n, "text %d" % n)
        made = make_key(daemon)
        daemon.stop()
        daemon.start()
        for turn in range(16):
            # Requests that may never be answered.
            def order():
                try:
                    daemon.admin("POST", "/admin/v1/keyring/rotate", {})
                    daemon.admin("POST", "/admin/v1/keyring/rewrap", {})
                except OSError:
                    pass

            orders = threading.Thread(target=order)
            orders.start()
            orders.join(chance.choice((0, 0.002, 0.02, 0.1, 0.3)) *
                        chance.random())
            daemon.kill()
            orders.join()
            daemon.start()
            assert daemon.status()["system_status"] == "operational", turn
            for n in chance.sample(range(300), 20):
                assert remembered(daemon, "k%d" % n) == ["text %d" % n] * 2
            assert daemon.chat("echo", "x", key=made["key"]).status == 200
        # What was under way goes on by itself, and ends.
        wait_rewrapped(daemon)
        rewrap(daemon)
        wait_rewrapped(daemon)
        assert len(keyring(daemon)["versions"]) == 1
        assert keyring(daemon)["rewrap"]["damaged"] == 0
        for n in range(300):
            assert remembered(daemon, "k%d" % n) == ["text %d" % n] * 2


@test
def a_rewrap_that_was_under_way_at_the_end_goes_on_at_the_start():
    with Daemon(PLAIN) as daemon:
        for n in range(600):
            say(daemon, "k%d" % n, "x")
        daemon.stop()
        daemon.start()
        rotate(daemon)
        rewrap(daemon)
        daemon.kill()
        before = daemon.count_event("rewrapped")  # it may have been done
        daemon.start()
        wait_for(lambda: [v["version"] for v in keyring(daemon)["versions"]]
                 == [2], 60, "the old version is retired")
        if before == 0:  # the line follows what it tells of
            daemon.wait_event("rewrapped")
        assert before + daemon.count_event("rewrapped") == 1


@test
def who_may_look_at_the_keyring_and_who_may_turn_it():
    with Daemon(PLAIN) as daemon:
        keys = {role: make_key(daemon, role=role)["key"]
                for role in ("admin", "operator", "read_only", "caller")}
        for role, key in keys.items():
            allowed = role == "admin"
            for method, path, status in (
                    ("GET", "", 200), ("POST", "/rotate", 200),
                    ("POST", "/rewrap", 202)):
                answer = daemon.request(
                    method, "/admin/v1/keyring" + path,
                    {} if method == "POST" else None, key=key)
                assert answer.status == (status if allowed else 403), (
                    role, method, path, answer)
        wait_rewrapped(daemon)
        for wrong in ("1", 0, -1, 2.5, 1 << 40):
            answer = daemon.admin("POST", "/admin/v1/keyring/rewrap",
                                  {"retire": wrong})
            assert answer.status == 400, (wrong, answer)
        assert daemon.admin("POST", "/admin/v1/keyring/rewrap",
                            {"retire": 99}).status == 404


@test
def atomctl_rotates_and_watches_a_rewrap():
    with Daemon(PLAIN) as daemon:
        for n in range(20):
            say(daemon, "k%d" % n, "x")
        done = daemon.atomctl("keyring", "rotate")
        assert done.returncode == 0, done
        assert b"version 2" in done.stdout, done
        done = daemon.atomctl("keyring", "rewrap", "--watch")
        assert done.returncode == 0, done
        assert done.stderr == b"", "no progress line without a terminal"
        done = daemon.atomctl("--json", "keyring", "status")
        assert [v["version"] for v in json.loads(done.stdout)["versions"]] \
            == [2], done
        done = daemon.atomctl("keyring", "rewrap", "--retire", "2")
        assert done.returncode == 1 and b"current" in done.stderr, done
        done = daemon.atomctl("keyring", "rewrap", "--retire", "two")
        assert done.returncode == 2, done


# --- a store of an older atomd ----------------------------------------------

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def api_key():
    text = "atm_%s_%s" % tuple(
        "".join(secrets.choice(BASE62) for _ in range(n)) for n in (12, 43))
    crc, check = zlib.crc32(text.encode()), ""
    for _ in range(6):
        check = BASE62[crc % 62] + check
        crc //= 62
    return text + check


def make_plain(daemon, count):
    """What the version before encryption left: plain records, no keyring.
    Returns a key that it knows."""
    pepper, key = secrets.token_bytes(32), api_key()
    (name,) = records(daemon, "sessions")
    prefix = name.rsplit(b"\x1f", 1)[0] + b"\x1f"
    with database(daemon) as db:
        db.execute("DELETE FROM record")
        rows = [("secrets", b"pepper", pepper),
                ("agents", b"echo", b'{"revision":7,"text_hash":"00"}'),
                ("keys", key[4:16].encode(), json.dumps({
                    "hash": hmac.new(pepper, key.encode(),
                                     hashlib.sha256).hexdigest(),
                    "role": "caller", "name": "", "agents": None,
                    "created_by": "x", "created_ms": 1, "expires_ms": 0,
                    "last_used_ms": 0, "revoked": False}).encode())]
        now = int(os.stat(state(daemon, "state.db")).st_mtime * 1000)
        for n in range(count):
            text = json.dumps([{"role": "user", "content": CANARY},
                               {"role": "assistant", "content": str(n)}])
            rows.append(("sessions", prefix + b"m%d" % n,
                         b"1 %d %d 2 0\n" % (now, now) + text.encode()))
        db.executemany("INSERT INTO record (bucket, key, version, value) "
                       "VALUES (?, ?, 1, ?)", rows)
    db.close()
    for name in ("keyring", "keyring.kek"):
        os.unlink(state(daemon, name))
    return key


@test
def plain_records_of_an_older_version_are_read_and_sealed_once_for_all():
    with Daemon(PLAIN) as daemon:
        say(daemon, "s", "x")
        daemon.stop()
        key = make_plain(daemon, 500)
        assert holds(daemon, CANARY)
        daemon.start()
        assert daemon.agents()["echo"]["revision"] == 8
        assert daemon.chat("echo", "x", key=key).status == 200
        assert remembered(daemon, "m7") == [CANARY, "7"]
        assert say(daemon, "m8", "more").status == 200
        wait_for(lambda: keyring(daemon)["all_sealed"], 60,
                 "every record is sealed")
        for n in range(500):
            assert remembered(daemon, "m%d" % n)[:2] == [CANARY, str(n)]
        assert len(remembered(daemon, "m8")) == 4
        daemon.stop()
        assert holds(daemon, CANARY) == []
        # From now on a plain one is nobody's.
        (name,) = [k for k in records(daemon, "sessions")
                   if k.endswith(b"\x1fm7")]
        set_record(daemon, "sessions", name, b'1 1 9999999999999 0 0\n[]')
        daemon.start()
        assert say(daemon, "m7", "x").status == 503
        assert daemon.chat("echo", "x", key=key).status == 200


@test
def a_kill_while_plain_records_are_sealed_harms_nothing():
    chance = random.Random(5)
    with Daemon(PLAIN) as daemon:
        say(daemon, "s", "x")
        daemon.stop()
        key = make_plain(daemon, 400)
        for turn in range(8):
            daemon.start()
            for n in chance.sample(range(400), 10):
                assert remembered(daemon, "m%d" % n) == [CANARY, str(n)]
            assert daemon.chat("echo", "x", key=key).status == 200
            daemon.kill()
        daemon.start()
        wait_for(lambda: keyring(daemon)["all_sealed"], 60)
        for n in range(400):
            assert remembered(daemon, "m%d" % n) == [CANARY, str(n)]
        assert daemon.status()["system_status"] == "operational"


if __name__ == "__main__":
    run()
