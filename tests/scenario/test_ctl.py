"""atomctl's words, addresses, output and JSON, against a daemon that says what
the test tells it to."""

import os
import re
import shutil
import socket
import subprocess

import fake_daemon
from atomctl_test import (columns, ctl_environment, document, fails,
                          run_atomctl, succeeds)
from atomd_test import (Folder, Skip, atomctl_path, run, seconds, source,
                        test)
from fake_daemon import FakeDaemon, KEY

LATER = ["jobs list", "queue stats", "dlq list",
         "backup", "restore", "plugin check x", "plugin new x",
         "plugin sign x", "plugin verify x"]


# --- usage ------------------------------------------------------------------

@test
def help_and_version_need_no_daemon():
    text = succeeds(run_atomctl("--help"))
    for word in ("status", "agents export NAME", "invoke AGENT [TEXT]",
                 "chat", "logs", "audit tail", "audit search", "top", "scale",
                 "scaling events [AGENT]", "alerts [AGENT]", "alerts silence",
                 "restart", "plugins",
                 "plugin info", "reload", "keys create", "keys list",
                 "keys revoke", "audit verify", "audit prove", "audit prune"):
        assert word in text, word
        words = [w for w in word.split() if w.islower()]
        assert "Usage: atomctl " + " ".join(words) in succeeds(
            run_atomctl(*words, "--help"))
    assert re.fullmatch(r"atomctl [0-9.]+\S*\n",
                        succeeds(run_atomctl("--version")))


@test
def the_word_help_asks_for_it_too():
    assert succeeds(run_atomctl("help")) == succeeds(run_atomctl("--help"))
    for words in (["keys"], ["rollout"], ["simulate"], ["scale"],
                  ["audit", "verify"]):
        text = succeeds(run_atomctl("help", *words))
        assert text == succeeds(run_atomctl(*words, "--help")), words
        assert text.startswith("Usage: atomctl " + " ".join(words)), text
    for words in (["help", "xyzzy"], ["xyzzy", "--help"]):
        assert "'xyzzy' is no command" in fails(run_atomctl(*words), 2)
    assert "'rollout' takes: status" in fails(
        run_atomctl("help", "rollout", "x"), 2)


@test
def the_help_has_two_columns():
    rows = succeeds(run_atomctl("help")).split("Commands:\n")[1]
    rows = rows.split("\n\n")[0].split("\n")
    for row, after in zip(rows, rows[1:] + [""]):
        # What is too long for the first has a line of its own.
        if row[26] != " ":
            assert after.startswith(" " * 27), (row, after)
        else:
            assert row[27] != " ", row


@test
def words_of_later_versions_are_refused_and_not_in_help():
    text = succeeds(run_atomctl("--help"))
    for line in LATER:
        words = line.split()
        known = (line if words[1:] and words[0] in
                 ("plugin", "keys", "scaling", "agents",
                                             "audit", "simulate")
                 else words[0])
        known = " ".join(known.split()[:2])
        said = fails(run_atomctl(*words), 2)
        assert said == ("atomctl: '%s' is not in this version of atomctl\n"
                        % known), said
        assert "\n  %s " % known not in text, known


@test
def mistyped_words_and_options_name_the_nearest():
    fails(run_atomctl("agnets"), 2, "'agnets'", "'agents'")
    fails(run_atomctl("stauts"), 2, "'status'")
    fails(run_atomctl("keys", "lsit"), 2, "'keys list'")
    fails(run_atomctl("keys"), 2, "create, list, rotate, revoke")
    fails(run_atomctl("xyzzy"), 2, "--help")
    fails(run_atomctl("logs", "--folow"), 2, "--follow")
    fails(run_atomctl("reload", "--nwo"), 2, "--now")
    fails(run_atomctl("status", "--now"), 2, "no option --now")
    fails(run_atomctl("status", "--trace", "x"), 2, "no option --trace")
    fails(run_atomctl("--url"), 2, "needs a value")
    fails(run_atomctl("status", "--json=yes"), 2, "takes no value")


@test
def missing_and_surplus_words_are_usage_errors():
    fails(run_atomctl("invoke"), 2, "invoke AGENT [TEXT]")
    fails(run_atomctl("invoke", "a", "b", "c"), 2, "'c'", "quotes")
    fails(run_atomctl("scale", "a"), 2, "N|--auto")
    fails(run_atomctl("scale", "a", "2", "--auto"), 2, "N|--auto")
    fails(run_atomctl("scale", "a", "-1"), 2)
    fails(run_atomctl("scale", "a", "two"), 2, "'two'")
    fails(run_atomctl("keys", "create"), 2, "--role")
    fails(run_atomctl("keys", "create", "--role", "x", "--agents", "a,,b"), 2,
          "a,,b")
    fails(run_atomctl("plugin", "info", "openai"), 2, "KIND/NAME")
    fails(run_atomctl("chat", "echo", "--json"), 2, "invoke --json")
    fails(run_atomctl("logs", "--limit", "many"), 2, "'many'")
    done = run_atomctl()
    assert done.returncode == 2 and done.stdout == b"", done
    assert b"Usage: atomctl" in done.stderr, done.stderr


@test
def a_bad_address_or_key_is_a_usage_error():
    fails(run_atomctl("--url", "ftp://x", "status"), 2, "'ftp://x'",
          "unix:PATH")
    fails(run_atomctl("--url", "unix:", "status"), 2, "unix:")
    fails(run_atomctl("status", env=ctl_environment(ATOMD_URL="nonsense")),
          2, "$ATOMD_URL", "'nonsense'")
    fails(run_atomctl("--key", "a\nX-Evil: 1", "status"), 2, "key")
    fails(run_atomctl("--key-file", "/nonexistent/key", "status"), 2,
          "/nonexistent/key", "No such file")
    with Folder() as folder:
        empty = folder.write("key", "\n")
        fails(run_atomctl("--key-file", empty, "status"), 2, "found none")


# --- finding the daemon -----------------------------------------------------

@test
def a_failure_to_reach_names_all_that_was_tried():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d" % taken.getsockname()[1]
        fails(run_atomctl("--url", url, "status"), 3, url, "refused")
    fails(run_atomctl("--url", "http://no-such-host.invalid", "status"), 3,
          "no-such-host.invalid")
    with socket.socket(socket.AF_UNIX) as installed:
        if installed.connect_ex("/run/atomd/admin.sock") == 0:
            raise Skip("an installed atomd runs on this machine")
    with Folder() as folder:
        env = ctl_environment(XDG_RUNTIME_DIR=str(folder))
        said = fails(run_atomctl("status", env=env), 3, "$ATOMD_URL")
        first = said.index("unix:%s/atomd/admin.sock" % folder)
        assert first < said.index("unix:/run/atomd/admin.sock"), said


@test
def the_runtime_folders_socket_comes_before_the_systems():
    with FakeDaemon() as fake, Folder() as folder:
        os.mkdir(folder.at("atomd"))
        os.symlink(fake.url[len("unix:"):], folder.at("atomd", "admin.sock"))
        env = ctl_environment(XDG_RUNTIME_DIR=str(folder))
        succeeds(run_atomctl("status", env=env))
        assert len(fake.calls) == 1


@test
def url_and_key_stand_anywhere_and_win_over_the_environment():
    with FakeDaemon(unix=False) as fake, Folder() as folder:
        key_file = folder.write("key", "atm_file_secret\nmore\n", 0o600)
        env = ctl_environment(ATOMD_URL="http://127.0.0.1:1",
                                 ATOMD_KEY="atm_env_secret",
                                 http_proxy="http://127.0.0.1:1")
        for args, key in (
                (["--url", fake.url, "--key", "atm_a_b", "agents"],
                 "atm_a_b"),
                (["agents", "--key=atm_a_b", "--url=" + fake.url + "/"],
                 "atm_a_b"),
                (["agents", "--url", fake.url, "--key-file", key_file],
                 "atm_file_secret"),
                (["agents", "--url", fake.url], "atm_env_secret")):
            succeeds(run_atomctl(*args, env=env))
            call = fake.calls[-1]
            assert call.path == "/admin/v1/agents", call.path
            assert call.headers["Authorization"] == "Bearer " + key


@test
def a_key_given_as_an_argument_is_not_left_readable():
    with FakeDaemon() as fake:
        fake.routes["POST", "/v1/agents/"] = \
            lambda call: call.wait_for_client_to_leave()
        process = subprocess.Popen(
            [atomctl_path(), "--key", KEY, "invoke", "echo", "hi"],
            env=fake.environment(), stdin=subprocess.DEVNULL)
        try:
            fake.wait_calls(1)
            with open("/proc/%d/cmdline" % process.pid, "rb") as line:
                assert KEY.encode() not in line.read()
            assert fake.calls[0].headers["Authorization"] == "Bearer " + KEY
        finally:
            process.kill()
            process.wait()


# --- what it shows ----------------------------------------------------------

@test
def json_is_one_document_in_the_promised_shape():
    with FakeDaemon() as fake:
        assert document(fake.atomctl("--json", "status")) == fake_daemon.STATUS
        assert document(fake.atomctl("agents", "--json")) == fake_daemon.AGENTS
        assert document(fake.atomctl("plugins", "--json")) == \
            fake_daemon.PLUGINS
        assert document(fake.atomctl("plugin", "--json", "info",
                                     "backend/process")) == fake_daemon.PLUGIN
        assert document(fake.atomctl("keys", "list", "--json")) == \
            fake_daemon.KEYS
        assert document(fake.atomctl("logs", "--json")) == fake_daemon.LOGS
        assert document(fake.atomctl("agents", "echo", "--json"))["settings"] \
            == fake_daemon.SETTINGS
        assert document(fake.atomctl("agents", "export", "echo", "--json")) \
            == {"name": "echo", "libconfig": fake_daemon.LIBCONFIG}
        assert document(fake.atomctl("scale", "echo", "3", "--json")) == \
            {"ok": True}
        assert document(fake.atomctl("reload", "--json"))["unchanged"] == 4
        assert document(fake.atomctl("keys", "revoke", "k1", "--json")) == \
            {"id": "k1", "state": "revoked"}
        made = document(fake.atomctl("keys", "create", "--role", "caller",
                                     "--json"))
        assert made["key"] == KEY
        answer = document(fake.atomctl("invoke", "echo", "hello", "--json"))
        assert answer["output"] == "hello" and answer["usage"]
        assert [a["name"] for a in document(fake.atomctl("top", "--json"))] \
            == ["echo", "profiler"]


@test
def status_shows_the_start_in_order():
    with FakeDaemon() as fake:
        text = succeeds(fake.atomctl("status"))
    assert columns(text, "SYSTEM") == [["operational", "staging", "100", "on"]]
    assert columns(text, "START") == [
        ["core_orchestrator", "success", "2 loops"],
        ["monitoring_system", "success", "-"],
        ["security_layer", "success", '{"roles":4}'],
        ["health_checks", "failed", "no probe"]]
    name, status, since, error = columns(text, "COMPONENT")[0]
    assert (name, status, error) == ("store", "ok", "-")
    assert re.fullmatch(r"\d+[smhd]", since), since
    assert "\033" not in text


@test
def agents_are_aligned_columns_or_one_in_full():
    with FakeDaemon() as fake:
        text = succeeds(fake.atomctl("agents"))
        assert columns(text, "NAME") == [
            ["echo", "process", "3", "1/2", "4", "5", "120", "7", "-", "-",
             "file, drifted"],
            ["profiler", "process", "3", "1/2", "4", "5", "120", "7", "12ms",
             "1.50s", "api"]], text
        one = succeeds(fake.atomctl("agents", "profiler"))
        assert "revision 3 95%, revision 4 5%" in one, one
        assert ["backend.plugin", "process"] in columns(one, "SETTING")
        assert ["backend.command", '["python3","a.py"]'] in columns(
            one, "SETTING")
        assert succeeds(fake.atomctl("agents", "export", "echo")) == \
            fake_daemon.LIBCONFIG
        fails(fake.atomctl("agents", "nobody"), 1, "no agent is named nobody",
              "agent_not_found", "req_test")


@test
def a_name_cannot_climb_out_of_its_place_in_the_path():
    with FakeDaemon() as fake:
        fails(fake.atomctl("agents", "../keys"), 1)
        fails(fake.atomctl("agents", "a/b?c#d e"), 1)
        fails(fake.atomctl("agents", ".."), 1)
        assert [call.raw_path for call in fake.calls] == [
            "/admin/v1/agents/..%2Fkeys",
            "/admin/v1/agents/a%2Fb%3Fc%23d%20e",
            "/admin/v1/agents/%2E%2E"]


@test
def plugins_and_their_options_are_listed():
    with FakeDaemon() as fake:
        rows = columns(succeeds(fake.atomctl("plugins")), "PLUGIN")
        assert rows[0][:5] == ["backend/process", "0.1.0", "1.0", "active",
                               "12"], rows
        assert rows[1][0] == "shout" and "ABI 2.0" in rows[1][-1], rows
        text = succeeds(fake.atomctl("plugin", "info", "backend/process"))
        assert text.startswith("backend/process 0.1.0\n"), text
        assert columns(text, "OPTION") == [
            ["command", "list of string", "-", "-", "required",
             "program and arguments"],
            ["transport", "choice", "fd3", "fd3 | stdio", "reloadable",
             "the way in"],
            ["limits", "list of group", "-", "-", "-", "bounds"],
            ["limits.memory", "int", "64", "1 to 4096 MiB", "-",
             "of one child"]], text


@test
def logs_filter_by_agent_or_by_request():
    with FakeDaemon() as fake:
        text = succeeds(fake.atomctl("logs", "--limit", "20"))
        assert text.split("\n") == [
            "2026-01-02T03:04:05.678Z info  ready: serving agents=2",
            "2026-01-02T03:04:06.000Z error worker_lost agent=echo "
            'why="signal 9"', ""], text
        assert fake.calls[-1].query == {"limit": "20"}
        succeeds(fake.atomctl("logs", "echo"))
        assert fake.calls[-1].query == {"agent": "echo"}
        succeeds(fake.atomctl("logs", "my-own-request"))
        assert fake.calls[-1].query == {"request": "my-own-request"}
        request = "req_01hqzzzzzzzzzzzzzzzzzzzzzz"
        before = len(fake.calls)
        succeeds(fake.atomctl("logs", request))
        assert fake.calls[-1].query == {"request": request}
        assert len(fake.calls) == before + 1


@test
def scale_restart_and_reload_send_what_was_asked():
    with FakeDaemon() as fake:
        assert succeeds(fake.atomctl("scale", "echo", "3")) == \
            "echo is scaled to 3 instances\n"
        assert fake.calls[-1].sent == {"instances": 3}
        assert fake.calls[-1].path == "/admin/v1/agents/echo/scale"
        succeeds(fake.atomctl("scale", "--auto", "echo"))
        assert fake.calls[-1].sent == {"auto": True}
        succeeds(fake.atomctl("restart", "echo"))
        assert fake.calls[-1].path == "/admin/v1/agents/echo/restart"
        assert fake.calls[-1].sent == {}
        text = succeeds(fake.atomctl("reload"))
        assert fake.calls[-1].sent == {"now": False}
        assert "changed   echo\n" in text and "removed   old, older\n" in text
        assert "added" not in text and "4 unchanged" in text, text
        succeeds(fake.atomctl("reload", "--now"))
        assert fake.calls[-1].sent == {"now": True}


@test
def a_refused_reload_prints_every_line_of_the_reason():
    reason = ("/etc/atomd/atomd.conf:3: agnets: unknown key; did you mean "
              "agents?\n/etc/atomd/atomd.conf:9: max_agents: expected 1 to "
              "100000, found 0")
    with FakeDaemon() as fake:
        fake.routes["POST", "/admin/v1/reload"] = \
            lambda call: call.error(400, "invalid_request", reason + "\n")
        said = fails(fake.atomctl("reload"), 1)
        assert said == "atomctl: " + reason + "\n", said


@test
def keys_are_created_listed_rotated_and_revoked():
    with FakeDaemon() as fake:
        done = fake.atomctl("keys", "create", "--role", "caller", "--agents",
                            "a,b", "--expires", "30d", "--name", "ci")
        text = succeeds(done)
        assert "key      %s\n" % KEY in text, text
        assert b"this once" in done.stderr, done.stderr
        assert fake.calls[-1].sent == {
            "role": "caller", "agents": ["a", "b"], "expires": "30d",
            "name": "ci"}
        succeeds(fake.atomctl("keys", "create", "--role", "caller", "--rpm",
                              "60", "--concurrent=0"))
        assert fake.calls[-1].sent["limits"] == {
            "requests_per_minute": 60, "concurrent": 0}, fake.calls[-1].sent
        row = columns(succeeds(fake.atomctl("keys", "list")), "ID")[0]
        assert row[:6] == ["k1", "ci", "caller", "echo,profiler", "default",
                           "active"], row
        assert row[-2:] == ["never", "never"], row
        done = fake.atomctl("keys", "rotate", "k1", "--grace", "2h")
        assert "key      %s\n" % KEY in succeeds(done), done
        assert b"good until 2026-01-02" in done.stderr, done.stderr
        assert (fake.calls[-1].method, fake.calls[-1].path,
                fake.calls[-1].sent) == (
            "POST", "/admin/v1/keys/k1/rotate", {"grace": "2h"})
        succeeds(fake.atomctl("keys", "rotate", "k1"))
        assert fake.calls[-1].sent == {}, fake.calls[-1].sent
        succeeds(fake.atomctl("keys", "revoke", "k1"))
        assert (fake.calls[-1].method, fake.calls[-1].path) == (
            "DELETE", "/admin/v1/keys/k1")
        # A whole key pasted: its secret stays here.
        succeeds(fake.atomctl("keys", "revoke", KEY))
        assert fake.calls[-1].path == "/admin/v1/keys/k1"


@test
def keys_of_many_pages_are_one_list():
    with FakeDaemon() as fake:
        rows = [{"id": "k%d" % n, "role": "caller"} for n in range(5)]

        def page(call):
            after = call.query.get("after")
            at = 0 if after is None else int(after[1:]) + 1
            more = at + 2 < len(rows)
            call.json({"keys": rows[at:at + 2],
                       "next": rows[at + 1]["id"] if more else None})
        fake.routes["GET", "/admin/v1/keys"] = page
        assert document(fake.atomctl("keys", "list", "--json")) == rows
        # One that never ends.
        fake.routes["GET", "/admin/v1/keys"] = lambda call: call.json(
            {"keys": [], "next": "k1"})
        assert document(fake.atomctl("keys", "list", "--json")) == []


# --- audit ------------------------------------------------------------------

@test
def audit_prune_asks_the_daemon():
    with FakeDaemon() as fake:
        for word, sent in (("400d", "400d"), ("71", 71),
                           ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z")):
            done = fake.atomctl("audit", "prune", "--before", word)
            assert "70 records removed" in succeeds(done)
            assert fake.calls[-1].sent == {"before": sent}
        assert document(fake.atomctl("audit", "prune", "--before", "1d",
                                     "--json"))["removed"] == 70


# --- completion -------------------------------------------------------------

COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_atomctl
printf '%s\n' "${COMPREPLY[@]}"
"""


@test
def bash_completes_commands_options_and_names():
    bash = shutil.which("bash")
    if not bash:
        raise Skip("bash is missing")
    with FakeDaemon() as fake, Folder() as folder:
        os.symlink(atomctl_path(), folder.at("atomctl"))
        # It asks for a second, in which a slow machine answers nothing.
        folder.write("timeout", '#!/bin/sh\nshift\nexec "$@"\n', 0o755)
        env = fake.environment(PATH="%s:%s" % (folder, os.environ["PATH"]))
        script = source("etc", "atomctl.bash-completion")
        for line, expected in (
                ("re", {"restart", "revisions", "reload"}),
                ("deploy e", {"echo"}),
                ("deploy echo --cr", {"--create"}),
                ("deploy -f x e", {"echo"}),
                ("undo echo --t", {"--to"}),
                ("rollout p", {"promote", "pause"}),
                ("rollout abort e", {"echo"}),
                ("rollout promote echo --f", {"--full"}),
                ("revisions echo --d", {"--diff"}),
                ("agents e", {"export", "echo"}),
                ("agents export ", {"echo", "profiler"}),
                ("--json invoke pro", {"profiler"}),
                ("--url %s scale e" % fake.url, {"echo"}),
                ("plugin ", {"info"}),
                ("plugin info back", {"backend/process"}),
                ("keys ", {"create", "list", "rotate", "revoke"}),
                ("keys revoke ", {"k1"}),
                ("keys rotate ", {"k1"}),
                ("keys rotate k1 --gr", {"--grace"}),
                ("keys create --ro", {"--role"}),
                ("keys create --rp", {"--rpm"}),
                ("keys create --rpm ", {""}),
                ("keys create --role a", {"admin"}),
                ("keys create --agents p", {"profiler"}),
                ("logs --fo", {"--follow"}),
                ("status --fo", {""}),
                ("invoke echo ", {""})):
            words = ["atomctl"] + line.split(" ")
            done = subprocess.run(
                [bash, "--norc", "-c", COMPLETE, "bash", script, *words],
                env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                check=False, timeout=seconds(30))
            assert done.stderr == b"", (line, done.stderr)
            assert set(done.stdout.decode().split("\n")[:-1]) == expected, (
                line, done.stdout)


if __name__ == "__main__":
    run()
