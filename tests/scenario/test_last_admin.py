#!/usr/bin/env python3
"""The last who can administer a daemon cannot be removed; who counts."""

import os

from atomd_test import Daemon, Folder, config, run, test
from authority import Authority
from issuer import Issuer

CLOSED = ""
NO_ADMIN_SOCKET = '{ address = "127.0.0.1:0"; }'
BOOT = "bootstrap-0123456789-abcdef"


def make(daemon, role, key, **more):
    answer = daemon.post("/admin/v1/keys", {"role": role, **more}, key=key)
    assert answer.status == 201, answer
    return answer.json


@test
def the_last_admin_cannot_be_removed():
    with Daemon(config(security='bootstrap_admin_key = "%s";' % BOOT,
                       listeners=NO_ADMIN_SOCKET)) as daemon:
        one = make(daemon, "admin", key=BOOT)
        limited = make(daemon, "admin", key=BOOT, agents=["echo"])
        # The bootstrap key is there: it may go.
        spare = make(daemon, "admin", key=BOOT)
        assert daemon.delete("/admin/v1/keys/" + spare["id"],
                             key=BOOT).status == 200
        daemon.configure(config(security=CLOSED, listeners=NO_ADMIN_SOCKET))
        answer = daemon.post("/admin/v1/reload", {}, key=BOOT)
        assert answer.status == 200, answer
        assert daemon.get("/admin/v1/keys", key=BOOT).status == 401
        answer = daemon.delete("/admin/v1/keys/" + one["id"], key=one["key"])
        assert (answer.status, answer.code) == (409, "conflict"), answer
        assert "last key with the role admin" in answer.text, answer
        assert daemon.get("/admin/v1/keys", key=one["key"]).status == 200
        # Rotating it is no way around that.
        new = daemon.post("/admin/v1/keys/%s/rotate" % one["id"],
                          {"grace": 0}, key=one["key"]).json
        assert daemon.delete("/admin/v1/keys/" + limited["id"],
                             key=new["key"]).status == 200
        other = make(daemon, "admin", key=new["key"])
        assert daemon.delete("/admin/v1/keys/" + one["id"],
                             key=other["key"]).status == 200
        assert daemon.delete("/admin/v1/keys/" + other["id"],
                             key=other["key"]).status == 409


@test
def an_admin_socket_lets_the_last_admin_key_go():
    with Daemon(config(security=CLOSED)) as daemon:
        answer = daemon.admin("POST", "/admin/v1/keys", {"role": "admin"})
        one = answer.json
        assert daemon.admin("DELETE",
                            "/admin/v1/keys/" + one["id"]).status == 200


@test
def a_daemon_that_nobody_can_administer_says_so():
    with Daemon(config(listeners=NO_ADMIN_SOCKET)) as daemon:
        daemon.wait_event("no_admin")


# --- tokens and certificates ----------------------------------------------------

def may_go(security, listeners=NO_ADMIN_SOCKET, files=None):
    """Of a daemon with one admin key and this configuration: does the key
    let itself be revoked?  And is it said that nobody is there?"""
    with Daemon(config(security='bootstrap_admin_key = "%s";' % BOOT,
                       listeners=NO_ADMIN_SOCKET), files=files) as daemon:
        one = make(daemon, "admin", BOOT)
        daemon.configure(config(security=security, listeners=listeners))
        answer = daemon.post("/admin/v1/reload", {}, key=BOOT)
        assert answer.status == 200, answer
        answer = daemon.delete("/admin/v1/keys/" + one["id"], key=one["key"])
        assert answer.status in (200, 409), answer
        assert daemon.count_event("no_admin") == 0
        return answer.status == 200


def jwt(jwks="jwks.json", role="admin", more=""):
    return ('jwt = ( { issuer = "https://id.example"; audience = "atomd";'
            ' jwks = "%s"; roles = ( { claim = "root"; role = "%s"; } );'
            ' %s } );' % (jwks, role, more))


@test
def an_issuer_counts_that_gives_the_role_and_has_its_keys():
    with Folder() as folder:
        issuer = Issuer(folder.path)
        key = issuer.add("EdDSA")
        files = {"jwks.json": issuer.jwks()}
        assert may_go(jwt(), files=files)
        # Only if it gives all of it, for every agent, and can be checked.
        assert not may_go(jwt(role="operator"), files=files)
        assert not may_go(jwt(more='agents_claim = "agents";'), files=files)
        assert not may_go(jwt(jwks="https://127.0.0.1:1/jwks"))
        own = ('roles = ( { name = "all"; permissions = [ "create_agent",'
               ' "delete_agent", "modify_config", "view_all",'
               ' "view_metrics", "restart_agent", "view_logs",'
               ' "view_public_logs", "invoke_agent" ]; } );')
        assert may_go(own + jwt(role="all"), files=files)
        with Daemon(config(security=jwt(), listeners=NO_ADMIN_SOCKET),
                    files=files) as daemon:
            # It is no empty word.
            token = issuer.token(key, role="root")
            made = make(daemon, "admin", token)
            assert daemon.delete("/admin/v1/keys/" + made["id"],
                                 key=token).status == 200


@test
def an_issuer_whose_keys_are_on_their_way_is_not_nobody():
    remote = jwt(jwks="https://127.0.0.1:1/jwks")
    with Daemon(config(security=remote,
                       listeners=NO_ADMIN_SOCKET)) as daemon:
        assert daemon.count_event("no_admin") == 0
    remote = jwt(jwks="https://127.0.0.1:1/jwks", role="operator")
    with Daemon(config(security=remote,
                       listeners=NO_ADMIN_SOCKET)) as daemon:
        daemon.wait_event("no_admin")


@test
def a_certificate_counts_where_a_listener_asks_for_it():
    with Folder() as folder:
        ca = Authority(folder.path)
        server = ca.issue("localhost", "IP:127.0.0.1", "serverAuth")

        def tls(more):
            return NO_ADMIN_SOCKET + (
                ',\n{ address = "127.0.0.2:0"; tls: { certificate = "%s";'
                ' key = "%s"; %s }; }' % (server.certificate, server.key,
                                          more))

        def rows(*rows):
            return "client_certificates = ( %s );" % ", ".join(
                "{ %s }" % row for row in rows)
        asks = tls('client_ca = "%s";' % ca.certificate)
        root = 'dns = "root.example"; role = "admin";'
        assert os.path.exists(server.key)
        assert may_go(rows(root), asks)
        # Nobody asks for it; it is for one agent; another row comes first.
        assert not may_go(rows(root), tls(""))
        assert not may_go(rows(root + ' agents = [ "echo" ];'), asks)
        assert not may_go(rows(
            'dns = "root.example"; role = "caller";', root), asks)
        assert not may_go(rows('dns = "root.example"; role = "operator";'),
                          asks)


if __name__ == "__main__":
    run()
