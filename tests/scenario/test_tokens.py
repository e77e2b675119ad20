#!/usr/bin/env python3
"""Tokens of other issuers: whose they are, what they may, where the keys
come from and what a bad source of keys costs."""

import os
import time

from atomd_test import (Daemon, Folder, agent, config, run, run_atomd,
                        spoken, test, wait_for)
from authority import Authority
from issuer import Issuer, KeyServer
from wire import Stream

ROLES = ('{ claim = "root"; role = "admin"; },'
         ' { claim = "ops"; role = "operator"; },'
         ' { claim = "app"; role = "caller"; }')
AGENTS = [agent("echo"), agent("other"),
          agent("memory", more="memory: { max_messages = 10; };")]


def jwt(jwks, more="", roles=ROLES):
    return ('jwt = ( { issuer = "https://id.example"; audience = "atomd";'
            ' jwks = "%s"; roles = ( %s ); %s } );' % (jwks, roles, more))


def with_file(issuer, more="", security="", **rest):
    """A daemon that reads the issuer's keys from a file."""
    return Daemon(config(AGENTS, security + jwt("jwks.json", more), **rest),
                  files={"jwks.json": issuer.jwks()})


def counted(daemon, result):
    metrics = daemon.admin("GET", "/metrics").text
    start = 'atomd_jwt_checks_total{issuer="https://id.example",' \
            'result="%s"} ' % result
    return sum(float(line[len(start):]) for line in metrics.splitlines()
               if line.startswith(start))


# --- who it is --------------------------------------------------------------

@test
def a_token_of_each_algorithm_lets_its_sender_in():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
            issuer.add(algorithm)
        with with_file(issuer) as daemon:
            for key in issuer.keys:
                token = issuer.token(key, role="app")
                for _ in range(3):
                    answer = daemon.chat("echo", "hello", key=token)
                    assert answer.status == 200, (key.algorithm, answer)
            checked = counted(daemon, "verified"), counted(daemon, "cached")
            assert sum(checked) == 12 and checked[1] >= 4, checked


@test
def the_claim_s_role_is_what_it_may_do():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer) as daemon:
            def status(path, **claims):
                return daemon.get(path, key=issuer.token(key, **claims)).status

            assert status("/admin/v1/status", role="ops") == 200
            assert status("/admin/v1/keys", role="ops") == 403
            assert status("/admin/v1/keys", role=["x", "root"]) == 200
            assert status("/admin/v1/status", role="app") == 403
            answer = daemon.get("/v1/models", key=issuer.token(key, role="none"))
            assert answer.status == 403, answer
            assert answer.code == "permission_denied", answer
            answer = daemon.get("/v1/models", key=issuer.token(key))
            assert answer.status == 403, answer


@test
def what_is_wrong_with_a_token_is_401():
    with Folder() as folder:
        issuer, forger = Issuer(folder.path), Issuer(folder.path)
        key = issuer.add("ES256")
        forger.made = 10
        forged = forger.add("ES256", kid=key.kid)
        with with_file(issuer) as daemon:
            good = issuer.token(key, role="app")
            head, claims, signature = good.split(".")
            wrong = {
                "expired": issuer.token(key, ends_in=-60, role="app"),
                "future": issuer.token(key, nbf=int(time.time()) + 600),
                "audience": issuer.token(key, aud="another", role="app"),
                "nobody": issuer.token(key, sub=None, role="app"),
                "for ever": issuer.token(key, exp=None, role="app"),
                "forged": forger.token(forged, role="root"),
                "kid": issuer.token(key, {"kid": "zzz"}, role="app"),
                "crit": issuer.token(key, {"crit": ["x"]}, role="app"),
                "none": issuer.token(key, {"alg": "none"}, role="app"),
                "hmac": issuer.token(key, {"alg": "HS256"}, role="app"),
                "unsigned": head + "." + claims + ".",
                "padded": good + "=",
                "stranger": issuer.token(key, iss="https://else", role="root"),
            }
            assert daemon.get("/v1/models", key=good).status == 200
            for name, token in wrong.items():
                answer = daemon.get("/v1/models", key=token)
                assert answer.status == 401, (name, answer)
                assert answer.code == "invalid_api_key", (name, answer)
                assert signature not in answer.text
            said = daemon.get("/v1/models", key=wrong["expired"]).text
            assert "expired" in said, said
            # Of a forgery nothing is said but that it is none of ours.
            said = daemon.get("/v1/models", key=wrong["forged"]).text
            assert "signature" not in said, said
            daemon.wait_line(lambda line: line.get("event") == "credential_refused"
                             and "https://id.example" in line["message"])


@test
def where_anyone_may_call_only_a_bad_token_of_ours_is_refused():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer, security='anonymous_role = "caller";') as daemon:
            for bearer in ("sk-anything", "a.b.c",
                           issuer.token(key, iss="https://else")):
                assert daemon.chat("echo", "x", key=bearer).status == 200, bearer
            bad = issuer.token(key, ends_in=-60, role="app")
            assert daemon.chat("echo", "x", key=bad).status == 401
            assert daemon.get("/admin/v1/status",
                              key=issuer.token(key, role="ops")).status == 200


@test
def agents_and_sessions_are_the_subject_s_own():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer, 'agents_claim = "x.agents";') as daemon:
            ann = issuer.token(key, role="app", x={"agents": ["memory"]})
            again = issuer.token(key, role="app", x={"agents": ["memory"]},
                                 ends_in=200)
            bob = issuer.token(key, role="app", x={"agents": ["memory"]},
                               sub="bob")
            for _ in range(2):
                assert daemon.invoke("memory", "a", key=ann,
                                     session_id="s").status == 200
                assert daemon.invoke("echo", "a", key=ann).status == 403
                assert daemon.invoke("echo", "a", key=issuer.token(
                    key, role="app")).status == 403
            models = daemon.get("/v1/models", key=ann).json["data"]
            assert [model["id"] for model in models] == ["memory"], models
            path = "/v1/agents/memory/sessions/s"
            assert daemon.get(path, key=again).status == 200
            assert daemon.get(path, key=bob).status == 404


@test
def a_token_that_was_good_ends_at_its_end():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer, 'leeway = "0s";') as daemon:
            def lets_in_twice():
                """One of whose three seconds enough are left for it."""
                token = issuer.token(key, ends_in=3, role="app")
                return [daemon.get("/v1/models", key=token).status
                        for _ in range(2)] == [200, 200] and token
            token = wait_for(lets_in_twice, 20, "a good token")
            wait_for(lambda: daemon.get("/v1/models", key=token).status == 401,
                     15, "the token expires")
            assert counted(daemon, "cached") >= 1


@test
def a_reload_with_other_roles_holds_for_tokens_seen_before():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer) as daemon:
            token = issuer.token(key, role="ops")
            assert daemon.get("/admin/v1/status", key=token).status == 200
            daemon.configure(config(AGENTS, jwt(
                "jwks.json", roles='{ claim = "ops"; role = "caller"; }')))
            assert daemon.admin("POST", "/admin/v1/reload").status == 200
            assert daemon.get("/admin/v1/status", key=token).status == 403
            assert daemon.get("/v1/models", key=token).status == 200
            daemon.configure(config(AGENTS, ""))
            assert daemon.admin("POST", "/admin/v1/reload").status == 200
            assert daemon.get("/v1/models", key=token).status == 401
            metrics = daemon.admin("GET", "/metrics").text
            assert "id.example" not in metrics, metrics


def follow(daemon, path, token):
    """A stream of whoever has this token, its head read."""
    stream = Stream(daemon.wire((
        "GET %s?follow=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        "Authorization: Bearer %s\r\n\r\n"
        % (path, daemon.port, token)).encode()))
    assert stream.status == 200, (stream.status, stream.body())
    return stream


OVERVIEW, LOG = "/admin/v1/overview", "/admin/v1/logs"


@test
def streams_end_once_a_reload_gives_their_tokens_other_roles():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer) as daemon:
            token = issuer.token(key, role="ops")
            with follow(daemon, OVERVIEW, token) as watching, \
                    follow(daemon, LOG, token) as reading:
                events = iter(watching)
                # Another refresh is no other rule: it goes on for longer than
                # it takes to look.
                assert daemon.reload(config(AGENTS, jwt(
                    "jwks.json", 'refresh = "1h";'))).status == 200
                pictures = 0
                while pictures < 3:
                    pictures += next(events).kind == "overview"
                # The role is still given, by another word of the token.
                assert daemon.reload(config(AGENTS, jwt(
                    "jwks.json",
                    roles='{ claim = "dev"; role = "operator"; }'
                ))).status == 200
                assert daemon.get("/admin/v1/status", key=token).status == 403
                reading.body()
                assert [event.kind for event in events][-1] == "again"
                assert watching.complete


@test
def streams_end_once_a_reload_has_their_issuer_no_more():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        with with_file(issuer) as daemon:
            token = issuer.token(key, role="ops")
            with follow(daemon, OVERVIEW, token) as watching, \
                    follow(daemon, LOG, token) as reading:
                assert daemon.reload(config(AGENTS, "")).status == 200
                reading.body()
                assert [event.kind for event in watching][-1] == "again"


# --- keys from a file -----------------------------------------------------

@test
def a_file_of_keys_is_checked_before_the_start():
    with Folder() as folder:
        for text, word in (("{", "JSON"), ('{"keys":[]}', "none of the 0 keys"),
                           (None, "No such file")):
            with_keys = config(AGENTS, jwt("%s/jwks.json" % folder.path))
            folder.write("atomd.conf",
                         with_keys.replace("@DIR@", folder.path))
            if text is not None:
                folder.write("jwks.json", text)
            else:
                os.unlink(folder.at("jwks.json"))
            for more in ([], ["-t"]):
                done = run_atomd("-c", folder.path + "/atomd.conf", *more)
                assert done.returncode == 78, done
                said = spoken(done)
                assert word in said and "https://id.example" in said, said


@test
def new_keys_in_the_file_are_found_and_bad_ones_change_nothing():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        old = issuer.add("EdDSA")
        with with_file(issuer, 'refresh = "1s";') as daemon:
            before = issuer.token(old, role="app")
            assert daemon.get("/v1/models", key=before).status == 200
            daemon.write("jwks.json", '{"keys": "broken"')
            daemon.wait_event("jwks_failed")
            assert daemon.get("/v1/models", key=before).status == 200
            # The status has the fault of now, not the first one.
            os.unlink(os.path.join(daemon.dir, "jwks.json"))
            wait_for(lambda: "No such file" in component(daemon)["last_error"],
                     15, "another fault")
            issuer.keys.remove(old)
            new = issuer.add("ES256")
            after = issuer.token(new, role="app")
            daemon.write("jwks.json", issuer.jwks())
            wait_for(lambda: daemon.get("/v1/models", key=after).status == 200,
                     15, "the new key is known")
            assert daemon.get("/v1/models", key=before).status == 401


# --- keys from a server ---------------------------------------------------

def https(server, authority, more='refresh = "1s";'):
    return jwt(server.url, 'ca_file = "%s"; %s' % (authority.certificate,
                                                   more))


def component(daemon, name="jwt"):
    listed = daemon.admin("GET", "/admin/v1/status").json["components"]
    return next((c for c in listed if c["name"] == name), None)


@test
def keys_are_fetched_by_the_clock_and_never_for_a_token():
    with Folder() as folder:
        authority, issuer = Authority(folder.path), Issuer(folder.path)
        first = issuer.add("ES256")
        with KeyServer(issuer, authority) as server:
            with Daemon(config(AGENTS, https(server, authority,
                                             'refresh = "1h";'))) as daemon:
                daemon.wait_event("jwks_loaded")
                good = issuer.token(first, role="app")
                assert daemon.get("/v1/models", key=good).status == 200
                second = issuer.add("EdDSA")
                unknown = issuer.token(second, {
                    "jku": server.url, "x5u": server.url,
                    "jwk": second.jwk()}, role="app")
                for _ in range(20):
                    assert daemon.get("/v1/models", key=unknown).status == 401
                assert server.hits == 1, server.hits
                assert component(daemon)["status"] == "ok"


@test
def keys_rotate():
    with Folder() as folder:
        authority, issuer = Authority(folder.path), Issuer(folder.path)
        first = issuer.add("ES256")
        with KeyServer(issuer, authority) as server, \
                Daemon(config(AGENTS, https(server, authority))) as daemon:
            daemon.wait_event("jwks_loaded")
            old = issuer.token(first, role="app")
            assert daemon.get("/v1/models", key=old).status == 200
            second = issuer.add("EdDSA")
            new = issuer.token(second, role="app")
            wait_for(lambda: daemon.get("/v1/models", key=new).status == 200, 15,
                     "the second key is known")
            assert daemon.get("/v1/models", key=old).status == 200
            issuer.keys.remove(first)
            wait_for(lambda: daemon.get("/v1/models", key=old).status == 401, 15,
                     "the first key is gone, and what was remembered with it")
            assert daemon.get("/v1/models", key=new).status == 200


@test
def a_server_that_is_down_at_the_start_holds_nobody_else():
    with Folder() as folder:
        authority, issuer = Authority(folder.path), Issuer(folder.path)
        key = issuer.add("ES256")
        certificate = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1")
        with KeyServer(issuer, authority, certificate) as server:
            pass
        with Daemon(config(AGENTS, https(server, authority))) as daemon:
            daemon.wait_event("jwks_failed")
            token = issuer.token(key, role="app")
            assert daemon.get("/v1/models", key=token).status == 401
            made = daemon.admin("POST", "/admin/v1/keys", {"role": "caller"})
            assert daemon.get("/v1/models",
                              key=made.json["key"]).status == 200
            assert daemon.get("/readyz").status == 200
            assert component(daemon)["status"] == "degraded"
            with KeyServer(issuer, authority, certificate, server.port):
                wait_for(lambda: daemon.get("/v1/models",
                                            key=token).status == 200, 30,
                         "the keys arrive")
                assert component(daemon)["status"] == "ok"


@test
def the_last_good_keys_stay_whatever_the_server_does():
    with Folder() as folder:
        authority, issuer = Authority(folder.path), Issuer(folder.path)
        key = issuer.add("ES256")
        with KeyServer(issuer, authority) as server, \
                Daemon(config(AGENTS, https(server, authority))) as daemon:
            daemon.wait_event("jwks_loaded")
            token = issuer.token(key, role="app")
            for mode, word in (("error", "503"), ("garbage", "JSON"),
                               ("empty", "none of the 0 keys"),
                               ("redirect", "302"), ("endless", "262144")):
                server.mode = mode
                daemon.wait_line(lambda line: line.get("event") == "jwks_failed"
                                 and word in line["message"], 30, mode)
                for _ in range(5):
                    assert daemon.get("/v1/models", key=token).status == 200, mode
                assert component(daemon)["status"] == "degraded", mode
                server.mode = "good"
                wait_for(lambda: component(daemon)["status"] == "ok", 30)
            server.mode = "silent"
            hits, left = server.hits, server.left_waiting
            wait_for(lambda: server.hits > hits, 30, "it asks")
            assert daemon.get("/v1/models", key=token).status == 200
            assert server.left_waiting == left, "it waited for the issuer"
            for _ in range(20):
                assert daemon.get("/v1/models", key=token).status == 200


@test
def keys_that_are_too_old_count_no_longer():
    with Folder() as folder:
        authority, issuer = Authority(folder.path), Issuer(folder.path)
        key = issuer.add("ES256")
        more = 'refresh = "1s"; max_stale = "10s";'
        with KeyServer(issuer, authority) as server, \
                Daemon(config(AGENTS, https(server, authority, more))) as daemon:
            daemon.wait_event("jwks_loaded")
            token = issuer.token(key, role="app")
            assert daemon.get("/v1/models", key=token).status == 200
            server.mode = "error"
            daemon.wait_event("jwks_stale", 40)
            assert daemon.get("/v1/models", key=token).status == 401
            server.mode = "good"
            wait_for(lambda: daemon.get("/v1/models", key=token).status == 200,
                     30, "the keys are back")


@test
def a_server_without_a_certificate_we_know_gives_no_keys():
    with Folder() as folder:
        known = Authority(folder.path, "known")
        unknown = Authority(folder.path, "unknown")
        issuer = Issuer(folder.path)
        key = issuer.add("ES256")
        elsewhere = known.issue("elsewhere", "DNS:elsewhere.example")
        for authority, certificate in ((unknown, None), (known, elsewhere)):
            with KeyServer(issuer, authority, certificate) as server, \
                    Daemon(config(AGENTS, https(server, known))) as daemon:
                line = daemon.wait_event("jwks_failed")
                assert "certificate" in line["message"].lower(), line
                assert daemon.get("/v1/models", key=issuer.token(
                    key, role="app")).status == 401
                assert server.hits == 0


@test
def plain_http_is_for_this_machine_only():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("ES256")
        with KeyServer(issuer) as server, \
                Daemon(config(AGENTS, jwt(server.url))) as daemon:
            daemon.wait_event("jwks_loaded")
            assert daemon.get("/v1/models", key=issuer.token(
                key, role="app")).status == 200


if __name__ == "__main__":
    run()
