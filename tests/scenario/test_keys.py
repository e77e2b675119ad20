#!/usr/bin/env python3
"""Who may do what: keys, roles, and every door closed by default."""

import base64
import os
import re
import time

from atomd_test import Daemon, agent, config, run, test, wait_for

CLOSED = ""
ADMIN_ROUTES = [
    ("GET", "/admin/v1/status"), ("GET", "/admin/v1/agents"),
    ("GET", "/admin/v1/agents/echo"), ("POST", "/admin/v1/agents"),
    ("DELETE", "/admin/v1/agents/echo"),
    ("POST", "/admin/v1/agents/echo/scale"),
    ("POST", "/admin/v1/agents/echo/restart"),
    ("GET", "/admin/v1/plugins"), ("POST", "/admin/v1/reload"),
    ("GET", "/admin/v1/logs"), ("GET", "/admin/v1/keys"),
    ("POST", "/admin/v1/keys"), ("DELETE", "/admin/v1/keys/x"),
    ("GET", "/metrics"), ("GET", "/v1/models"), ("GET", "/v1/models/echo"),
    ("POST", "/v1/chat/completions"), ("POST", "/v1/agents/echo/invoke"),
    ("GET", "/v1/agents/echo/sessions/s"),
    ("DELETE", "/v1/agents/echo/sessions/s"),
]
# What a role may do of these; the rest is 403.
MAY = {
    "admin": {"/admin/v1/status", "/admin/v1/agents", "/metrics",
              "/admin/v1/plugins", "/admin/v1/logs", "/admin/v1/keys",
              "/v1/models"},
    "operator": {"/admin/v1/status", "/admin/v1/agents", "/metrics",
                 "/admin/v1/plugins", "/admin/v1/logs"},
    "read_only": {"/admin/v1/status", "/admin/v1/agents", "/metrics",
                  "/admin/v1/plugins", "/admin/v1/logs"},
    "caller": {"/v1/models"},
}


def make_key(daemon, role, **more):
    answer = daemon.admin("POST", "/admin/v1/keys", {"role": role, **more})
    assert answer.status in (200, 201), answer
    return answer.json


@test
def without_a_principal_nothing_but_the_public_routes_answers():
    with Daemon(config(security=CLOSED)) as daemon:
        for method, path in ADMIN_ROUTES:
            answer = daemon.request(method, path, b"{}" * (
                method == "POST"))
            assert answer.status == 401, (method, path, answer)
            assert answer.code == "invalid_api_key", answer
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            assert daemon.get(path).status == 200, path
        assert set(daemon.agents()) == {"echo"}


@test
def an_unauthorised_body_is_not_even_read():
    with Daemon(config(security=CLOSED)) as daemon:
        with daemon.wire("POST /v1/chat/completions HTTP/1.1\r\n"
                         "Host: 127.0.0.1\r\n"
                         "Content-Length: 9000000\r\n\r\n") as wire:
            assert wire.answer().status == 401


@test
def a_key_is_shown_once_and_opens_what_its_role_may():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make_key(daemon, "caller")
        assert re.fullmatch(r"atm_[0-9A-Za-z]+_[0-9A-Za-z]{20,}",
                            made["key"]), made
        assert made["id"] and made["role"] == "caller", made
        assert "expires" in made, made
        assert daemon.chat("echo", "x", key=made["key"]).status == 200
        listed = daemon.admin("GET", "/admin/v1/keys")
        assert listed.status == 200, listed
        secret = made["key"].rsplit("_", 1)[1]
        assert made["id"] in listed.text and secret not in listed.text
        assert secret not in daemon.log
        daemon.stop()
        for base, _, names in os.walk(os.path.join(daemon.dir, "state")):
            for name in names:
                with open(os.path.join(base, name), "rb") as kept:
                    assert secret.encode() not in kept.read(), name


@test
def a_wrong_key_is_401_even_where_anyone_may_call():
    with Daemon(config()) as daemon:
        key = make_key(daemon, "caller")["key"]
        head, secret = key.rsplit("_", 1)
        flipped = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        for wrong in (head + "_" + flipped, key + "A", key[:-1], "atm_",
                      "atm_x_y", "atm__", "atm_" + "x" * 5000,
                      head + "_", key.swapcase()):
            answer = daemon.chat("echo", "x", key=wrong)
            assert answer.status == 401, (wrong, answer)
            assert answer.code == "invalid_api_key", answer
            assert secret not in answer.text
        assert daemon.chat("echo", "x", key="sk-anything").status == 200
        assert daemon.chat("echo", "x").status == 200
        basic = base64.b64encode(b"user:" + key.encode()).decode()
        answer = daemon.chat("echo", "x", {"Authorization":
                                           "Basic " + basic})
        assert answer.status in (200, 401), answer
    with Daemon(config(security=CLOSED)) as daemon:
        for value in ("Bearer sk-anything", "Bearer", "Bearer ", "atm_x_y",
                      "Basic eDp5", "bearer x", "Bearer a b"):
            answer = daemon.chat("echo", "x", {"Authorization": value})
            assert answer.status in (400, 401), (value, answer)


@test
def each_role_opens_its_routes_and_no_other():
    with Daemon(config(security=CLOSED)) as daemon:
        for role, may in MAY.items():
            key = make_key(daemon, role)["key"]
            for path in sorted(MAY["admin"]):
                status = daemon.get(path, key=key).status
                assert status == (200 if path in may else 403), (
                    role, path, status)
            called = daemon.chat("echo", "x", key=key).status
            assert called == (200 if role in ("caller", "admin") else 403), (
                role, called)
            restarted = daemon.post("/admin/v1/agents/echo/restart", {},
                                    key=key).status
            assert (restarted in (200, 202)) == (
                role in ("admin", "operator")), (role, restarted)
            for path, body in (("/admin/v1/agents/echo/scale",
                                {"instances": 1}),
                               ("/admin/v1/reload", {}),
                               ("/admin/v1/keys", {"role": "caller"})):
                status = daemon.post(path, body, key=key).status
                if role == "admin":
                    assert status in (200, 201, 202), (role, path, status)
                else:
                    assert status == 403, (role, path, status)


@test
def a_caller_sees_no_more_than_its_agents():
    with Daemon(config(agents=[agent("one"), agent("two")],
                       security=CLOSED)) as daemon:
        key = make_key(daemon, "caller", agents=["one"])["key"]
        assert daemon.chat("one", "x", key=key).status == 200
        for answer in (daemon.chat("two", "x", key=key),
                       daemon.invoke("two", "x", key=key)):
            assert answer.status == 403, answer
            assert answer.code == "permission_denied", answer
        assert daemon.chat("nobody", "x", key=key).status in (403, 404)
        ids = [m["id"] for m in daemon.get("/v1/models", key=key).json[
            "data"]]
        assert ids == ["one"], ids


@test
def a_revoked_key_is_dead_at_once_and_for_good():
    with Daemon(config(security=CLOSED)) as daemon:
        made = make_key(daemon, "caller")
        other = make_key(daemon, "caller")
        assert daemon.chat("echo", "x", key=made["key"]).status == 200
        answer = daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
        assert answer.status in (200, 204), answer
        wait_for(lambda: daemon.chat("echo", "x", key=made["key"]
                                     ).status == 401, deadline=1,
                 what="the key is dead")
        assert daemon.chat("echo", "x", key=other["key"]).status == 200
        answer = daemon.admin("DELETE", "/admin/v1/keys/" + made["id"])
        assert answer.status in (200, 204, 404), answer
        assert daemon.admin("DELETE",
                            "/admin/v1/keys/nonsense").status == 404
        daemon.kill()
        daemon.start()
        assert daemon.chat("echo", "x", key=made["key"]).status == 401
        assert daemon.chat("echo", "x", key=other["key"]).status == 200


@test
def an_expired_key_is_401():
    with Daemon(config(security=CLOSED)) as daemon:
        def call(made):
            answer = daemon.chat("echo", "x", key=made["key"])
            assert answer.status in (200, 401), answer
            return answer.status

        def good_for_a_while():
            # A pause may be longer than its life.
            made = make_key(daemon, "caller", expires="2s")
            assert made["expires"], made
            return call(made) == 200 and made
        made = wait_for(good_for_a_while, 60, "a call with it")
        wait_for(lambda: call(made) == 401, 20, "its end")
        assert call(made) == 401


@test
def a_key_with_a_wrong_role_agent_or_expiry_is_refused():
    with Daemon(config(security=CLOSED)) as daemon:
        for body in ({"role": "emperor"}, {"role": 5}, {}, {"role": ""},
                     {"role": "caller", "expires": "yesterday"},
                     {"role": "caller", "expires": "-5s"},
                     {"role": "caller", "agents": "echo"},
                     {"role": "caller", "agents": [5]}):
            answer = daemon.admin("POST", "/admin/v1/keys", body)
            assert answer.status == 400, (body, answer)
            assert answer.code == "invalid_request", answer


@test
def a_role_of_ones_own_has_its_permissions():
    own = ('roles = ( { name = "watcher"; permissions = ['
           ' "view_metrics" ]; } );')
    with Daemon(config(security=own)) as daemon:
        key = make_key(daemon, "watcher")["key"]
        assert daemon.get("/metrics", key=key).status == 200
        assert daemon.get("/admin/v1/keys", key=key).status == 403
        assert daemon.chat("echo", "x", key=key).status == 403


@test
def the_bootstrap_key_opens_the_first_door():
    key = "atm_boot_" + "Zx9" * 15
    with Daemon(config(
            security='bootstrap_admin_key = "${file:@DIR@/key}";'),
            files={"key": key + "\n"}) as daemon:
        answer = daemon.get("/admin/v1/agents", key=key)
        assert answer.status == 200, answer
        made = daemon.post("/admin/v1/keys", {"role": "caller"}, key=key)
        assert made.status in (200, 201), made
        assert daemon.chat("echo", "x",
                           key=made.json["key"]).status == 200
        assert key not in daemon.log


@test
def keys_outlive_a_kill_once_they_were_shown():
    with Daemon(config(security=CLOSED)) as daemon:
        keys = [make_key(daemon, "caller")["key"] for _ in range(20)]
        daemon.kill()
        daemon.start()
        for key in keys:
            assert daemon.chat("echo", "x", key=key).status == 200, key


@test
def the_admin_socket_trusts_its_peer_and_a_plain_one_does_not():
    listeners = ('{ address = "127.0.0.1:0"; },'
                 ' { address = "unix:@DIR@/plain.sock"; },'
                 ' { address = "unix:@DIR@/admin.sock"; admin = true; }')
    with Daemon(config(security=CLOSED, listeners=listeners)) as daemon:
        daemon.admin_sock = os.path.join(daemon.dir, "plain.sock")
        assert daemon.admin("GET", "/admin/v1/agents").status == 401
        daemon.admin_sock = os.path.join(daemon.dir, "admin.sock")
        assert daemon.admin("GET", "/admin/v1/agents").status == 200


@test
def another_user_at_the_admin_socket_is_refused():
    import subprocess
    import sys
    if os.getuid() != 0:
        from atomd_test import Skip
        raise Skip("only root can become somebody else")
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try:\n"
        "    s.connect(sys.argv[1])\n"
        "except PermissionError:\n"
        "    print('refused by the file system'); sys.exit()\n"
        "s.sendall(b'GET /admin/v1/agents HTTP/1.1\\r\\nHost: x\\r\\n"
        "Connection: close\\r\\n\\r\\n')\n"
        "print(s.recv(4096).decode())\n")
    with Daemon(config(security=CLOSED)) as daemon:
        os.chmod(daemon.dir, 0o755)
        done = subprocess.run(
            [sys.executable, "-c", script, daemon.admin_sock],
            capture_output=True, text=True, timeout=30, check=True)
        assert "refused" in done.stdout or " 401 " in done.stdout \
            or " 403 " in done.stdout, done.stdout
        assert '"instances"' not in done.stdout


@test
def many_keys_are_looked_up_as_fast_as_one():
    with Daemon(config(security=CLOSED)) as daemon:
        keys = [make_key(daemon, "caller")["key"] for _ in range(200)]

        def spent(key):
            """By the quickest: the others may have had to wait."""
            times = []
            for _ in range(20):
                started = time.monotonic()
                assert daemon.get("/v1/models", key=key).status == 200
                times.append(time.monotonic() - started)
            return min(times)
        first, last = spent(keys[0]), spent(keys[-1])
        assert last < first * 5 + 0.025, (first, last)


if __name__ == "__main__":
    run()
