#!/usr/bin/env python3
"""A key after it was made: rotated, listed, revoked; and who may do that."""

import json
import os
import threading
import time

from atomd_test import Daemon, agent, config, run, test, wait_for
from wire import deltas

CLOSED = ""


def make(daemon, role, key=None, **more):
    answer = daemon.request("POST", "/admin/v1/keys", {"role": role, **more},
                            key=key, admin=key is None)
    assert answer.status == 201, answer
    return answer.json


def rotate(daemon, ident, **body):
    return daemon.admin("POST", "/admin/v1/keys/%s/rotate" % ident, body)


def row(daemon, ident):
    rows = daemon.admin("GET", "/admin/v1/keys").json["keys"]
    return [r for r in rows if r["id"] == ident][0]


def opens(daemon, key):
    return daemon.get("/v1/models", key=key).status


# --- rotation -----------------------------------------------------------------

@test
def two_secrets_are_good_during_the_grace_and_one_after_it():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller", name="ci", expires="30d")
        short = make(daemon, "caller")
        assert row(daemon, made["id"])["rotated"] is None
        answer = rotate(daemon, made["id"], grace="1h")
        assert answer.status == 200, answer
        new = answer.json
        assert new["id"] == made["id"] and new["key"] != made["key"], new
        assert new["role"] == "caller" and new["expires"] == made["expires"]
        listed = row(daemon, made["id"])
        assert listed["rotated"] and listed["old_secret_ends"], listed
        assert listed["state"] == "active", listed
        assert opens(daemon, new["key"]) == 200
        assert opens(daemon, made["key"]) == 200
        assert row(daemon, made["id"])["old_secret_last_used"]
        # One whose grace is over at once.
        new = rotate(daemon, short["id"], grace="2s").json
        wait_for(lambda: opens(daemon, short["key"]) == 401, 20,
                 "the old secret has ended")
        assert opens(daemon, new["key"]) == 200
        listed = row(daemon, short["id"])
        assert listed["old_secret_ends"] is None, listed
        assert listed["rotated"], listed


@test
def the_grace_is_a_day_unless_one_says_otherwise_and_nothing_at_0():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        new = rotate(daemon, made["id"]).json
        assert new["old_secret_ends"] > new["rotated"], new
        assert opens(daemon, made["key"]) == opens(daemon, new["key"]) == 200
        newest = rotate(daemon, made["id"], grace=0).json
        assert opens(daemon, newest["key"]) == 200
        assert opens(daemon, new["key"]) == 401
        assert opens(daemon, made["key"]) == 401


@test
def there_are_never_three_secrets():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        second = rotate(daemon, made["id"], grace="1h").json
        answer = rotate(daemon, made["id"], grace="1h")
        assert (answer.status, answer.code) == (409, "conflict"), answer
        assert second["old_secret_ends"] in answer.text, answer
        assert opens(daemon, made["key"]) == opens(daemon,
                                                   second["key"]) == 200
        third = rotate(daemon, made["id"], grace="0s")
        assert third.status == 200, third
        assert opens(daemon, second["key"]) == 401


@test
def both_secrets_outlive_a_kill_and_so_does_the_end_of_the_old_one():
    with Daemon(config(security=CLOSED)) as daemon:
        made, other = make(daemon, "caller"), make(daemon, "caller")
        new = rotate(daemon, made["id"], grace="1h").json
        only = rotate(daemon, other["id"], grace=0).json
        daemon.kill()
        daemon.start()
        assert opens(daemon, made["key"]) == opens(daemon, new["key"]) == 200
        assert opens(daemon, other["key"]) == 401
        assert opens(daemon, only["key"]) == 200
        secret = new["key"].rsplit("_", 1)[1]
        daemon.stop()
        for base, _, names in os.walk(os.path.join(daemon.dir, "state")):
            for name in names:
                with open(os.path.join(base, name), "rb") as kept:
                    assert secret.encode() not in kept.read(), name
        assert secret not in daemon.log


@test
def what_cannot_be_rotated_says_why():
    with Daemon(config(security=CLOSED)) as daemon:
        assert rotate(daemon, "nosuchid").status == 404
        made = make(daemon, "caller")
        for grace in ("yesterday", "-1s", "91d", 5, True, [], ""):
            answer = rotate(daemon, made["id"], grace=grace)
            assert (answer.status, answer.code) == (
                400, "invalid_request"), (grace, answer)
        daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
        answer = rotate(daemon, made["id"])
        assert (answer.status, answer.code) == (409, "conflict"), answer
        assert "revoked" in answer.text, answer
        short = make(daemon, "caller", expires="1s")
        wait_for(lambda: opens(daemon, short["key"]) == 401, 20, "expired")
        answer = rotate(daemon, short["id"])
        assert answer.status == 409 and "expired" in answer.text, answer


@test
def atomctl_rotates():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        done = daemon.atomctl("keys", "rotate", made["id"], "--grace", "2h",
                              "--json")
        assert done.returncode == 0, done.stderr
        new = json.loads(done.stdout)
        assert opens(daemon, new["key"]) == opens(daemon, made["key"]) == 200
        done = daemon.atomctl("keys", "rotate", made["id"])
        assert done.returncode == 1 and b"two secrets" in done.stderr, done
        done = daemon.atomctl("keys", "rotate", made["key"], "--grace", "0")
        assert done.returncode == 0, done.stderr
        assert opens(daemon, new["key"]) == 401


@test
def rotations_at_once_leave_one_of_them_and_no_lost_secret():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        answers = []

        def one():
            answers.append(rotate(daemon, made["id"], grace="1h"))
        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [a for a in answers if a.status == 200]
        assert len(good) == 1, answers
        assert all(a.status == 409 for a in answers if a not in good), answers
        assert opens(daemon, good[0].json["key"]) == 200
        assert opens(daemon, made["key"]) == 200


# --- the list -------------------------------------------------------------------

@test
def the_list_comes_in_pages_newest_first():
    with Daemon(config(security=CLOSED)) as daemon:
        ids = [make(daemon, "caller", name="k%d" % n)["id"]
               for n in range(7)]
        ids.reverse()

        def pages(limit):
            seen, after = [], ""
            while True:
                page = daemon.admin("GET", "/admin/v1/keys?limit=%d%s" % (
                    limit, after)).json
                assert len(page["keys"]) <= limit
                seen += [r["id"] for r in page["keys"]]
                if page["next"] is None:
                    return seen
                after = "&after=" + page["next"]
        for limit in (1, 3, 7, 100):
            assert pages(limit) == ids, limit
        # A key made meanwhile does not shift the pages behind.
        first = daemon.admin("GET", "/admin/v1/keys?limit=3").json
        make(daemon, "caller")
        second = daemon.admin(
            "GET", "/admin/v1/keys?limit=3&after=" + first["next"]).json
        assert [r["id"] for r in second["keys"]] == ids[3:6]
        for query in ("limit=0", "limit=x", "limit=10001", "after=nobody"):
            answer = daemon.admin("GET", "/admin/v1/keys?" + query)
            assert (answer.status, answer.code) == (
                400, "invalid_request"), (query, answer)
        made = daemon.admin("GET", "/admin/v1/keys").json["keys"]
        daemon.stop()
        daemon.start()
        assert [r["id"] for r in daemon.admin(
            "GET", "/admin/v1/keys").json["keys"]] == [r["id"] for r in made]


@test
def the_list_says_who_made_a_key_and_when_it_was_used_also_after_a_stop():
    with Daemon(config(security=CLOSED)) as daemon:
        admin = make(daemon, "admin")
        made = make(daemon, "caller", key=admin["key"], agents=["echo"])
        listed = row(daemon, made["id"])
        assert listed["created_by"] == "key:" + admin["id"], listed
        assert row(daemon, admin["id"])["created_by"].startswith("unix:")
        assert listed["last_used"] is None and listed["agents"] == ["echo"]
        assert opens(daemon, made["key"]) == 200
        used = row(daemon, made["id"])["last_used"]
        assert used
        daemon.stop()
        daemon.start()
        assert row(daemon, made["id"])["last_used"] == used


# --- revocation -------------------------------------------------------------------

@test
def a_revocation_reaches_every_loop_and_every_open_connection():
    with Daemon(config(agents=agent("slow", 'plugin = "echo"; '
                                    'chunk_delay_ms = 20;'),
                       security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        head = ("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Authorization: Bearer %s\r\n\r\n" % made["key"])
        wires = [daemon.wire(head) for _ in range(16)]
        for wire in wires:
            assert wire.answer().status == 200
        stream = daemon.chat_stream(
            "slow", "word " * 60,
            {"Authorization": "Bearer " + made["key"]})
        assert stream.status == 200, stream
        answer = daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
        assert answer.status == 200, answer
        # It was answered: from now on it is so, on whatever loop.
        for wire in wires:
            wire.send(head)
            assert wire.answer().status == 401
            wire.close()
        # What was let in goes on to its end.
        text = "".join(deltas(stream))
        assert text.count("word") == 60, text
        assert daemon.chat("slow", "x", key=made["key"]).status == 401


@test
def a_body_that_began_before_the_revocation_is_refused_at_its_end():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make(daemon, "caller")
        body = json.dumps({"model": "echo", "messages": [
            {"role": "user", "content": "x"}]}).encode()
        whole = daemon.post_bytes("/v1/chat/completions", body, {
            "Authorization": "Bearer " + made["key"]})
        with daemon.wire(whole[:-5]) as wire:
            # The head was judged, and the key was good then.
            wait_for(lambda: row(daemon, made["id"])["last_used"], 10,
                     "let in")
            daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
            # The promise is "within 1 s": that has to pass.
            time.sleep(1)
            wire.send(whole[-5:])
            answer = wire.answer()
            assert answer.status == 401, answer


# --- nobody raises their own role -----------------------------------------------------

OWN = ('roles = ( { name = "keeper"; permissions = [ "modify_config",'
       ' "invoke_agent" ]; },'
       ' { name = "empty"; permissions = [ ]; } );')


@test
def nobody_hands_out_what_they_do_not_have():
    with Daemon(config(agents=[agent("one"), agent("two")],
                       security=OWN)) as daemon:
        keeper = make(daemon, "keeper")
        limited = make(daemon, "keeper", agents=["one"])
        admin = make(daemon, "admin")
        caller = make(daemon, "caller")
        for role, status in (("keeper", 201), ("caller", 201),
                             ("empty", 201), ("operator", 403),
                             ("read_only", 403), ("admin", 403)):
            answer = daemon.post("/admin/v1/keys", {"role": role},
                                 key=keeper["key"])
            assert answer.status == status, (role, answer)
        for ident, status in ((admin["id"], 403), (caller["id"], 200),
                              (keeper["id"], 200)):
            answer = daemon.post("/admin/v1/keys/%s/rotate" % ident,
                                 {"grace": "1h"}, key=keeper["key"])
            assert answer.status == status, answer
        # Fewer agents than another: no key with more of them, not even by
        # a new secret of one that has.
        for path, body in (
                ("/admin/v1/keys", {"role": "caller"}),
                ("/admin/v1/keys", {"role": "caller", "agents": ["two"]}),
                ("/admin/v1/keys/%s/rotate" % caller["id"], {"grace": 0})):
            answer = daemon.post(path, body, key=limited["key"])
            assert (answer.status, answer.code) == (
                403, "permission_denied"), (path, body, answer)
        assert opens(daemon, caller["key"]) == 200
        for key in (caller["key"], make(daemon, "operator")["key"]):
            for path in ("/admin/v1/keys",
                         "/admin/v1/keys/%s/rotate" % caller["id"]):
                assert daemon.post(path, {"role": "caller"},
                                   key=key).status == 403


@test
def a_role_changed_in_the_file_changes_its_keys_at_once():
    def roles(words):
        return config(security='roles = ( { name = "x"; permissions = '
                      '[ %s ]; } );' % words)
    with Daemon(roles('"view_metrics", "invoke_agent"')) as daemon:
        made = make(daemon, "x")
        assert daemon.get("/metrics", key=made["key"]).status == 200
        assert daemon.reload(roles('"invoke_agent"')).status == 200
        assert daemon.get("/metrics", key=made["key"]).status == 403
        assert opens(daemon, made["key"]) == 200


@test
def a_role_that_is_gone_lets_its_keys_do_nothing_and_shows():
    with Daemon(config(security=OWN)) as daemon:
        made = make(daemon, "keeper")
        assert opens(daemon, made["key"]) == 200
        assert daemon.reload(config(security=CLOSED)).status == 200
        answer = daemon.get("/v1/models", key=made["key"])
        assert (answer.status, answer.code) == (
            403, "permission_denied"), answer
        assert row(daemon, made["id"])["state"] == "role_missing"
        line = daemon.wait_event("role_missing")
        assert made["id"] in line["message"], line

        def security():
            return [c for c in daemon.status()["components"]
                    if c["name"] == "security"][0]["status"]
        assert security() == "degraded", security()
        assert daemon.admin("POST", "/admin/v1/keys",
                            {"role": "keeper"}).status == 400
        # It comes back with the role.
        assert daemon.reload(config(security=OWN)).status == 200
        assert opens(daemon, made["key"]) == 200
        assert security() != "degraded", security()



if __name__ == "__main__":
    run()
