#!/usr/bin/env python3
"""The compliance report: what passes was tried, what is wrong is found."""

import json
import os
import shutil
import subprocess
import threading

from atomd_test import (Daemon, Skip, agent, config, process_agent, run,
                        source, test, wait_for)
from audit_log import slow_disk

STATES = {"pass", "fail", "error", "not_applicable", "not_checked"}
CLOSED = ""
TLS = ('{ address = "127.0.0.1:0"; tls: { certificate = "@DIR@/cert.pem"; '
       'key = "@DIR@/key.pem"; }; },\n'
       '{ address = "unix:@DIR@/admin.sock"; admin = true; }')


def report_of(daemon):
    answer = daemon.admin("GET", "/admin/v1/compliance", timeout=60)
    assert answer.status == 200, answer
    return answer.json


def checks_of(report):
    return {check["id"]: check for check in report["checks"]}


def check(daemon, name):
    found = checks_of(report_of(daemon))[name]
    if found["status"] == "error":
        # The machine stood still for the two seconds that a probe has.
        found = checks_of(report_of(daemon))[name]
    return found


def must_be(found, status):
    assert found["status"] == status, json.dumps(found, indent=1)


@test
def the_report_has_the_promised_shape_and_evidence_for_each_pass():
    with Daemon(config(security=CLOSED)) as daemon:
        report = report_of(daemon)
    assert isinstance(report["overall_compliance"], bool)
    assert report["compliance_level"] in ("full", "partial")
    checks = checks_of(report)
    assert {"access_control", "audit_logging", "data_encryption"} <= set(
        checks)
    assert len(checks) == len(report["checks"]) >= 30
    with open(source("docs", "compliance.md"), encoding="utf-8") as f:
        documented = f.read()
    for name, found in checks.items():
        assert "| `%s` | %s |" % (name, found["expected"]) in documented, name
        assert found["status"] in STATES, found
        assert found["title"] and found["expected"] and found["actual"], found
        assert found["severity"] in ("critical", "high", "medium", "low")
        assert found["mappings"], name
        for mapping in found["mappings"]:
            assert mapping.split(":")[0] in ("soc2", "iso27001",
                                             "eu-ai-act"), mapping
        if found["status"] == "pass":
            assert found["evidence"], name
    bad = [c for c in checks.values() if c["status"] in ("fail", "error")]
    assert report["overall_compliance"] == (not bad)
    for state in STATES:
        assert report["summary"][state] == sum(
            c["status"] == state for c in checks.values()), state


@test
def a_closed_daemon_refuses_every_route_and_its_own_revoked_key():
    with Daemon(config(security=CLOSED)) as daemon:
        checks = checks_of(report_of(daemon))
        for name in ("access_control", "least_privilege", "key_use",
                     "key_guess", "key_revocation", "request_bounds",
                     "key_storage", "file_modes", "state_durability",
                     "data_encryption", "lockout",
                     "log_redaction", "core_dumps"):
            must_be(checks[name], "pass")
        keys = daemon.admin("GET", "/admin/v1/keys").json["keys"]
        assert not [k for k in keys if k["state"] == "active"], keys


AUDIT = 'audit_sinks = ( { plugin = "file"; path = "@DIR@/audit"; %s } );'


@test
def a_record_of_the_run_is_looked_for_in_the_audit_log():
    with Daemon(config(security=CLOSED)) as daemon:
        checks = checks_of(report_of(daemon))
        must_be(checks["audit_logging"], "fail")
        must_be(checks["audit_integrity"], "fail")
    with Daemon(config(security=CLOSED, extra=AUDIT % "")) as daemon:
        checks = checks_of(report_of(daemon))
        must_be(checks["audit_logging"], "pass")
        assert any("compliance.probe" in line
                   for line in checks["audit_logging"]["evidence"])
        must_be(checks["audit_integrity"], "pass")
        must_be(checks["audit_retention"], "pass")
        must_be(checks["audit_outside_copy"], "fail")
        # The run is on record itself.
        must_be(check(daemon, "audit_logging"), "pass")
        done = daemon.atomctl("--json", "audit", "search", "--type",
                              "compliance.run")
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)) >= 1, done.stdout


def a_log_that_does_not_answer_holds_up_no_report():
    daemon = Daemon(config(security=CLOSED, extra=AUDIT % ""))
    # No sync ends that has the run's own record.
    waits = slow_disk(daemon, SLOW_DISK_OF="compliance.probe",
                      MALLOC_PERTURB_="165")
    with daemon:
        daemon.write("waits", "")
        for _ in range(2):
            must_be(check(daemon, "audit_logging"), "fail")
        os.unlink(waits)
        wait_for(lambda: check(daemon, "audit_logging")["status"] == "pass",
                 what="a log that answers")


# A sanitizer wants to be loaded before all others; the plain build has it.
if not os.environ.get("ATOMD_SANITIZERS"):
    test(a_log_that_does_not_answer_holds_up_no_report)


@test
def a_changed_record_and_a_short_retention_are_found():
    with Daemon(config(security=CLOSED,
                       extra=AUDIT % 'retention = "30d";')) as daemon:
        checks = checks_of(report_of(daemon))
        must_be(checks["audit_integrity"], "pass")
        must_be(checks["audit_retention"], "fail")
        folder = os.path.join(daemon.dir, "audit")
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(".new"):
                continue  # it has its own name soon
            with open(path, "rb") as f:
                text = f.read()
            if b"daemon.start" in text:
                with open(path, "wb") as f:
                    f.write(text.replace(b"daemon.start", b"daemon.stort"))
                break
        else:
            raise AssertionError("no record of the start in " + folder)
        must_be(check(daemon, "audit_integrity"), "fail")


@test
def an_open_door_is_found():
    with Daemon(config(security='anonymous_role = "admin";')) as daemon:
        checks = checks_of(report_of(daemon))
        must_be(checks["access_control"], "fail")
        must_be(checks["anonymous_access"], "fail")
        assert any("/admin/v1/status" in line
                   for line in checks["access_control"]["evidence"])


@test
def a_file_that_others_may_read_is_found():
    with Daemon(config(security=CLOSED)) as daemon:
        must_be(check(daemon, "file_modes"), "pass")
        path = os.path.join(daemon.dir, "state", "state.db")
        os.chmod(path, 0o644)
        found = check(daemon, "file_modes")
        must_be(found, "fail")
        assert any(path in line and "0644" in line
                   for line in found["evidence"]), found


@test
def a_name_that_is_no_utf8_hides_no_finding():
    with Daemon(config(security=CLOSED)) as daemon:
        state = os.path.join(os.fsencode(daemon.dir), b"state")
        with open(os.path.join(state, b"caf\xe9"), "wb") as f:
            os.chmod(f.fileno(), 0o644)
        found = check(daemon, "file_modes")
        must_be(found, "fail")
        assert any("/caf? has mode 0644" in line
                   for line in found["evidence"]), found
        # As it says where it could not look.
        os.unlink(f.name)
        os.makedirs(os.path.join(state, b"\xe9", *[b"deep"] * 20), 0o700)
        report = report_of(daemon)
        for name in ("file_modes", "key_storage", "data_encryption"):
            must_be(checks_of(report)[name], "error")
        assert sum(report["summary"][s] for s in STATES) == \
            len(report["checks"])


@test
def a_second_run_says_why_the_address_is_locked_out():
    with Daemon(config(security=CLOSED)) as daemon:
        for _ in range(2):
            found = check(daemon, "lockout")
            must_be(found, "pass")
            assert not found["actual"].startswith("1 wrong"), found
        assert "earlier run" in found["actual"], found
        assert "for " in found["evidence"][0], found


@test
def a_secret_in_the_configuration_is_found_with_its_line():
    backend = ('plugin = "openai"; base_url = "http://127.0.0.1:1/v1"; '
               'model = "m"; api_key = %s;')
    upstream = [agent("chat", backend % '"sk-stands-here-in-the-open"')]
    with Daemon(config(agents=upstream, security=CLOSED)) as daemon:
        found = check(daemon, "secrets_by_reference")
        must_be(found, "fail")
        assert "atomd.conf:" in found["evidence"][0], found
        assert "sk-stands" not in json.dumps(found)
    upstream = [agent("chat", backend % '"${env:UPSTREAM_KEY}"')]
    with Daemon(config(agents=upstream, security=CLOSED),
                env={"UPSTREAM_KEY": "sk-of-the-environment"}) as daemon:
        must_be(check(daemon, "secrets_by_reference"), "pass")


@test
def an_upstream_without_tls_is_found():
    plain = [agent("chat", 'plugin = "openai"; model = "m"; '
                           'base_url = "http://upstream.invalid/v1";')]
    with Daemon(config(agents=plain, security=CLOSED)) as daemon:
        must_be(check(daemon, "upstream_tls"), "fail")


@test
def old_versions_of_tls_are_tried_and_refused():
    openssl = shutil.which("openssl")
    if not openssl:
        raise Skip("openssl is missing")
    daemon = Daemon(config(security=CLOSED, listeners=TLS))
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "10", "-subj",
         "/CN=localhost", "-keyout", os.path.join(daemon.dir, "key.pem"),
         "-out", os.path.join(daemon.dir, "cert.pem")],
        check=True, capture_output=True)
    with daemon:
        checks = checks_of(report_of(daemon))
        must_be(checks["access_control"], "pass")
        must_be(checks["tls_listeners"], "pass")
        must_be(checks["tls_versions"], "pass")
        lines = checks["tls_versions"]["evidence"]
        for version, word in (("TLS 1.0", "refused"), ("TLS 1.1", "refused"),
                              ("TLS 1.2", "accepted"),
                              ("TLS 1.3", "accepted")):
            assert any("only " + version in line and word in line
                       for line in lines), (version, lines)
        # It ends in ten days.
        must_be(checks["tls_certificate"], "fail")


@test
def a_variable_that_a_worker_should_not_have_is_found():
    worker = source("docs", "workers", "echo.py")
    made = process_agent("echo", ["python3", worker])
    with Daemon(config(agents=[made], security=CLOSED),
                env={"SMUGGLED": "1"}) as daemon:
        must_be(check(daemon, "worker_isolation"), "pass")
    # A wrapper of the command that adds one is no fault of the daemon's, but
    # it is what the probe must see.
    made = process_agent("echo", ["env", "SMUGGLED=1", "python3", worker])
    with Daemon(config(agents=[made], security=CLOSED),
                env={"SMUGGLED": "1"}) as daemon:
        found = check(daemon, "worker_isolation")
        must_be(found, "fail")
        assert any("SMUGGLED" in line for line in found["evidence"]), found


@test
def a_failed_check_may_be_accepted_with_a_reason_and_counts_no_more():
    with Daemon(config(security='anonymous_role = "caller";')) as daemon:
        before = report_of(daemon)
        failed = [c["id"] for c in before["checks"]
                  if c["status"] in ("fail", "error")]
        assert "anonymous_access" in failed
        assert daemon.atomctl("compliance").returncode == 1
        done = daemon.atomctl("compliance", "--accept", "anonymous_access")
        assert done.returncode == 2 and b"--reason" in done.stderr, done
        done = daemon.atomctl("compliance", "--accept", "anonymous_acces",
                              "--reason", "x")
        assert done.returncode == 1, done
        assert b"did you mean 'anonymous_access'" in done.stderr, done
        done = daemon.atomctl("compliance", "--accept", "access_review",
                              "--reason", "x")
        assert done.returncode == 1, done
        for name in failed:
            done = daemon.atomctl("--json", "compliance", "--accept", name,
                                  "--reason", "only this machine calls")
            report = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert report["overall_compliance"] is True
        assert report["compliance_level"] == "partial"
        accepted = checks_of(report)["anonymous_access"]
        assert accepted["status"] == "fail"
        assert accepted["accepted"]["reason"] == "only this machine calls"
        assert accepted["accepted"]["user"].startswith("unix:")


@test
def the_report_needs_view_all_and_an_acceptance_modify_config():
    with Daemon(config(security=CLOSED)) as daemon:
        key = daemon.admin("POST", "/admin/v1/keys",
                           {"role": "operator"}).json["key"]
        assert daemon.request("GET", "/admin/v1/compliance",
                              key=key).status == 403
        answer = daemon.request("POST", "/admin/v1/compliance/acceptances",
                                {"id": "clock_sync", "reason": "x"}, key=key)
        assert answer.status == 403, answer


@test
def runs_asked_for_at_once_share_one_report():
    with Daemon(config(security=CLOSED)) as daemon:
        reports = []
        threads = [threading.Thread(
            target=lambda: reports.append(report_of(daemon)))
            for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(reports) == 6
        for report in reports:
            must_be(checks_of(report)["key_revocation"], "pass")
        keys = daemon.admin("GET", "/admin/v1/keys").json["keys"]
        assert not [k for k in keys if k["state"] == "active"], keys


if __name__ == "__main__":
    run()
