#!/usr/bin/env python3
"""The configuration file: what is refused, how it is said, what a reload
does."""

import json
import os
import re
import signal
import sys

from atomd_test import (Daemon, ECHO, Folder, agent, config, descendants,
                        process_agent, run, run_atomd, source, spoken, test,
                        wait_for)

WORKER = [sys.executable, source("docs", "workers", "echo.py")]


def checked(text, *args, files=None, env=None):
    """Runs `atomd -t` on this text; (exit status, all that it said)."""
    with Folder() as folder:
        for name, content in (files or {}).items():
            if isinstance(content, str):
                content = content.replace("@DIR@", folder.path)
            folder.write(name, content)
        if isinstance(text, str):
            text = text.replace("@DIR@", folder.path)
        path = folder.write("atomd.conf", text)
        done = run_atomd("-t", "-c", path, *args, env=env)
        return done.returncode, spoken(done)


def refused(text, *parts, line=None, file="atomd.conf", **more):
    """-t exits 78 and its words hold every part, and FILE:LINE."""
    status, said = checked(text, **more)
    assert status == 78, "exit %d: %s" % (status, said)
    if line is not None:
        assert re.search(r"%s:%d\b" % (re.escape(file), line), said), \
            "no %s:%d in: %s" % (file, line, said)
    for part in parts:
        assert part in said, "no %r in: %s" % (part, said)
    return said


def accepted(text, *args, **more):
    status, said = checked(text, *args, **more)
    assert status == 0, "exit %d: %s" % (status, said)
    return said


def line_of(text, part):
    return text[:text.index(part)].count("\n") + 1


@test
def the_monitoring_sample_is_fine():
    done = run_atomd("-t", "-c", source("etc", "monitoring.conf"))
    assert done.returncode == 0, spoken(done)


@test
def a_misspelt_agnets_names_file_line_key_and_the_nearest_key():
    refused('environment = "development";\n\nagnets = ();\n',
            "agnets", "agents", line=3)


@test
def the_sample_shipped_with_the_project_passes_the_check():
    done = run_atomd("-t", "-c", source("etc", "quickstart.conf"))
    assert done.returncode == 0, spoken(done)
    done = run_atomd("-t", "-c", source("etc", "atomd.conf"))
    assert done.returncode == 0, spoken(done)


@test
def a_good_file_passes_the_check_and_starts_nothing():
    said = accepted(config(), files={}).strip()
    assert said.endswith("is good") and "\n" not in said, said
    with Folder() as folder:
        text = config().replace("@DIR@", folder.path)
        path = folder.write("atomd.conf", text)
        done = run_atomd("-t", "-c", path)
        assert done.returncode == 0, spoken(done)
        assert '"ready"' not in spoken(done)
        assert not os.path.exists(folder.at("admin.sock"))


@test
def an_empty_file_is_a_configuration():
    accepted("")


@test
def a_file_that_is_not_there_is_exit_78_and_named():
    done = run_atomd("-c", "/nonexistent/atomd.conf")
    assert done.returncode == 78, done
    assert "/nonexistent/atomd.conf" in spoken(done)


@test
def a_wrong_command_line_is_no_configuration_error():
    for args in (["--no-such-switch"], ["-c"], ["-D"],
                 ["run", "-c", "x.conf", "--", "true"]):
        done = run_atomd(*args)
        assert done.returncode not in (0, 78) and done.returncode > 0, (
            args, done)
        assert spoken(done).strip(), args


@test
def what_an_export_shows_for_a_secret_is_not_taken_as_one():
    for secret in ("backend: { plugin = \"openai\"; base_url = "
                   "\"http://127.0.0.1:1/v1\"; api_key = \"***\"; };",
                   "backend: { plugin = \"echo\"; }; deployment: { webhooks ="
                   " ( { url = \"http://127.0.0.1:1/\"; secret = \"***\"; }"
                   " ); };"):
        refused('agents = ( { name = "a"; %s } );' % secret, "`***`")


@test
def an_unknown_key_at_any_level_is_named_with_its_line_and_neighbour():
    cases = [
        ('max_agent = 5;', "max_agent", "max_agents"),
        ('plugins: { directory = [ ]; };', "directory", "directories"),
        ('listeners = ( { adress = "127.0.0.1:0"; } );',
         "adress", "address"),
        ('listeners = ( { address = "127.0.0.1:0";\n'
         ' tls: { certificates = ""; }; } );', "certificates", "certificate"),
        ('state: { store = "sqlite"; directori = "@DIR@/s"; };',
         "directori", "directory"),
        ('security: { anonymous_rol = ""; };',
         "anonymous_rol", "anonymous_role"),
        ('security: { roles = ( { name = "x"; permission = [ ]; } ); };',
         "permission", "permissions"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' max_token = 3; } );', "max_token", "max_tokens"),
        ('agents = ( { name = "a"; backend: { plugin = "echo";\n'
         ' prefx = "x"; }; } );', "prefx", "prefix"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' instances: { mni = 1; }; } );', "mni", "min"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' memory: { max_mesages = 1; }; } );', "max_mesages",
         "max_messages"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' queue: { dept = 1; }; } );', "dept", "depth"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' timeouts: { totl_ms = 1; }; } );', "totl_ms", "total_ms"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };\n'
         ' probe: { inptu = "x"; }; } );', "inptu", "input"),
    ]
    for text, key, near in cases:
        said = refused("\n\n" + text, key, near,
                       line=2 + line_of(text, key))
        assert "not in this version" not in said, said


@test
def every_wrong_key_of_a_file_is_told_at_once():
    said = refused('agnets = ();\nmax_agnts = 1;\n', "agnets")
    assert "max_agnts" in said, said


@test
def a_wrong_type_is_named_with_what_was_expected():
    cases = [
        ('max_agents = "many";', "max_agents"),
        ('max_agents = 1.5;', "max_agents"),
        ('monitoring_enabled = 1;', "monitoring_enabled"),
        ('environment = 3;', "environment"),
        ('agents = "echo";', "agents"),
        ('agents: { name = "a"; };', "agents"),
        ('agents = ( "echo" );', "agents"),
        ('agents = ( { name = 5; backend: { plugin = "echo"; }; } );',
         "name"),
        ('agents = ( { name = "a"; backend = "echo"; } );', "backend"),
        ('agents = ( { name = "a"; backend: { plugin = "echo";'
         ' repeat = "x"; }; } );', "repeat"),
        ('include = "agents.d/*.conf";', "include"),
        ('include = [ 1 ];', "include"),
        ('state = "sqlite";', "state"),
    ]
    for text, key in cases:
        refused("\n" + text, key, line=2)


@test
def a_value_out_of_its_range_is_named_with_the_range():
    cases = [
        ('max_agents = -1;', "max_agents"),
        ('workers = 100000;', "workers"),
        ('token_limit = -5;', "token_limit"),
        ('memory_limit = -1;', "memory_limit"),
        ('log_level = "loud";', "log_level"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };'
         ' instances: { min = -1; }; } );', "min"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };'
         ' instances: { min = 3; max = 2; }; } );', "min"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };'
         ' instances: { concurrency = 0; }; } );', "concurrency"),
        ('agents = ( { name = "a"; backend: { plugin = "echo";'
         ' repeat = -1; }; } );', "repeat"),
        ('agents = ( { name = "a"; backend: { plugin = "echo"; };'
         ' memory: { max_messages = -2; }; } );', "max_messages"),
    ]
    for text, key in cases:
        refused("\n" + text, key, line=2)


@test
def an_integer_beyond_32_bits_is_refused_and_never_wrapped():
    for number in ("4294967297", "2147483648", "9999999999999", "-2147483649",
                   "99999999999999999999999", "0x1FFFFFFFF"):
        refused("\nmax_agents = %s;\n" % number, number[-6:], line=2)
    said = refused("\nmax_agents = 4294967297;\n", line=2)
    assert "L" in said and "`max_agents`" in said, said


@test
def a_duration_or_a_size_may_carry_its_unit():
    def with_timeout(value):
        return config(agents=agent(
            more="timeouts: { total_ms = %s; };" % value))
    for value in ('"250ms"', '"30s"', '"2h"', "60000", '"5m"'):
        accepted(with_timeout(value))
    for value in ('"30 parsecs"', '"s"', '"-3s"', '""', '"1e99h"', "1.5"):
        refused(with_timeout(value), "total_ms")


@test
def two_agents_of_one_name_are_refused():
    refused(config(agents=[ECHO, ECHO]), "echo")


@test
def a_name_that_no_url_can_carry_is_refused():
    for name in ("", "a/b", "a b", "../x", "a\\n", "x" * 300):
        refused(config(agents=agent(name)), "name")


@test
def an_agent_needs_a_name_and_a_backend():
    refused(config(agents='{ backend: { plugin = "echo"; }; }'), "name")
    refused(config(agents='{ name = "x"; }'), "backend")
    refused(config(agents='{ name = "x"; backend: { }; }'), "plugin")


@test
def an_unknown_plugin_is_named_with_the_nearest_one():
    text = '\n\nagents = ( { name = "a"; backend: { plugin = "ecko"; }; } );'
    refused(text, "ecko", "echo", line=3)


@test
def more_instances_than_max_agents_are_refused():
    text = "max_agents = 3;\n" + config(agents=[
        agent("a", more="instances: { min = 2; max = 4; };"),
        agent("b", more="instances: { min = 2; max = 4; };")])
    refused(text, "max_agents")


@test
def a_key_of_a_later_version_is_refused_unless_inactive():
    active = [
        "plugins: { require_signature = true; };",
    ]
    for text in active:
        refused("\n" + text, "not in this version", line=2)
    inactive = [
        "plugins: { require_signature = false; };",
        "monitors = ( );", "audit_sinks = ( );",
    ]
    for text in inactive:
        accepted(text)


@test
def libconfigs_own_include_is_refused_and_the_right_way_told():
    refused('\n@include "other.conf"\n', "@include", "include", line=2)
    refused('\n  @include "/nonexistent"\n', "@include", line=2)
    accepted('environment = "@include";\n')
    accepted('# @include "x"\n/* @include "y" */\n// @include "z"\n')


@test
def included_files_add_to_the_lists():
    with Daemon(config(agents=agent("one"),
                       extra='include = [ "agents.d/*.conf" ];'),
                files={"agents.d/b.conf": "agents = ( %s );" % agent("two"),
                       "agents.d/a.conf": "agents = ( %s );" % agent("six"),
                       "agents.d/skip.txt": "agnets"}) as daemon:
        assert set(daemon.agents()) == {"one", "two", "six"}
        assert daemon.chat("two", "hi").status == 200


@test
def the_files_of_an_environment_are_its_own():
    text = config(extra='environment = "staging";\n'
                  'include = [ "agents.d/${environment}/*.conf" ];')
    with Daemon(text, files={
            "agents.d/staging/a.conf": "agents = ( %s );" % agent("stage"),
            "agents.d/production/a.conf": "agents = ( %s );" % agent(
                "prod")}) as daemon:
        assert set(daemon.agents()) == {"echo", "stage"}


@test
def an_error_in_an_included_file_names_that_file_and_line():
    refused('include = [ "agents.d/*.conf" ];', "agnets", "agents",
            file="agents.d/x.conf", line=3,
            files={"agents.d/x.conf": "\n\nagnets = ( );\n"})


@test
def an_include_that_leads_back_to_itself_ends_with_an_error():
    refused('include = [ "a.conf" ];', "a.conf",
            files={"a.conf": 'include = [ "b.conf" ];',
                   "b.conf": 'include = [ "a.conf" ];'})
    refused('include = [ "atomd.conf" ];', "atomd.conf")


@test
def a_named_include_that_is_missing_is_an_error_an_empty_glob_is_none():
    refused('\ninclude = [ "agents.d/not-there.conf" ];',
            "agents.d/not-there.conf")
    accepted('include = [ "agents.d/*.conf" ];')


@test
def references_are_replaced_with_types_and_defaults():
    text = config(agents=agent(
        backend='plugin = "echo"; prefix = "${env:P} ${env:NO:-fall} ";'
        ' repeat = "${env:N}";'))
    with Daemon(text, env={"P": "pre", "N": "2"}) as daemon:
        assert daemon.chat("echo", "x").content.count("pre fall") >= 1
        said = daemon.chat("echo", "word").content
        assert said.count("word") == 2, said
    accepted('monitoring_enabled = "${env:B}";', env={"B": "false"})
    refused('\nmonitoring_enabled = "${env:B}";', "monitoring_enabled",
            env={"B": "maybe"}, line=2)
    refused('\nmax_agents = "${env:N}";', "max_agents", env={"N": "ten"},
            line=2)
    accepted('environment = "${env:GONE:-}x";')


@test
def an_unset_reference_without_default_is_an_error_that_names_it():
    said = refused('\nenvironment = "${env:ATOMD_TEST_UNSET}";',
                   "ATOMD_TEST_UNSET", line=2)
    assert said.count("is not set") == 1, said
    refused('\nenvironment = "${file:@DIR@/missing}";', "missing", line=2)
    refused('\nenvironment = "${env:ATOMD_TEST_UNSET";', line=2)
    refused('\nenvironment = "${nonsense:x}";', "nonsense", line=2)


@test
def a_file_reference_holds_the_files_text_without_its_last_newline():
    text = config(agents=agent(
        backend='plugin = "echo"; prefix = "[${file:@DIR@/word}]";'))
    with Daemon(text, files={"word": "open sesame\n"}) as daemon:
        assert daemon.chat("echo", "x").content.startswith("[open sesame]")


@test
def a_secret_is_never_printed():
    secret = "hush-7c1f90aa"
    backend = ('plugin = "openai"; base_url = "http://127.0.0.1:1/v1";'
               ' model = "m"; api_key = "${env:SECRET_KEY}";')
    text = config(agents=[agent("paid", backend), agent(
        "filed", 'plugin = "echo"; prefix = "${file:@DIR@/secret}";')])
    env = {"SECRET_KEY": secret}
    files = {"secret": secret + "\n"}
    said = accepted(text, env=env, files=files)
    assert secret not in said
    broken = text.replace('model = "m";', 'modle = "m";')
    said = refused(broken, "modle", env=env, files=files)
    assert secret not in said
    with Daemon(text, env=env, files=files) as daemon:
        assert daemon.chat("paid", "x").status in (502, 503, 504)
        for path in ("/admin/v1/agents", "/admin/v1/agents/paid",
                     "/admin/v1/agents/filed", "/admin/v1/status",
                     "/admin/v1/plugins"):
            answer = daemon.admin("GET", path)
            assert answer.status == 200, (path, answer)
            assert secret not in answer.text, path
        assert secret not in daemon.metrics().text
        exported = daemon.atomctl("agents", "export", "paid")
        assert exported.returncode == 0, exported
        assert secret.encode() not in exported.stdout
        daemon.reload()
        daemon.stop()
        assert secret not in daemon.log
    with Folder() as folder:
        path = folder.write("atomd.conf", 'max_agents = "${file:%s}";'
                            % folder.write("secret", secret))
        done = run_atomd("-t", "-c", path)
        assert done.returncode == 78
        assert secret not in spoken(done), "a bad value quoted the secret"


@test
def a_switch_overrides_a_scalar_and_is_checked_like_the_file():
    with Folder() as folder:
        path = folder.write("atomd.conf", config().replace(
            "@DIR@", folder.path))
        for override, status in (
                ("agents.echo.backend.prefix=hey", 0),
                ("max_agents=7", 0), ("agents.echo.max_tokens=3", 0),
                ("max_agnets=7", 78), ("max_agents=seven", 78),
                ("agents.nobody.max_tokens=3", 78), ("max_agents=-3", 78),
                ("agents=3", 78)):
            done = run_atomd("-t", "-c", path, "-D", override)
            assert done.returncode == status, (override, spoken(done))
            if status:
                assert override.split("=")[0].split(".")[-1] in spoken(
                    done) or "nobody" in spoken(done), spoken(done)
    with Daemon(config(), args=["-D", "agents.echo.backend.prefix=HEY "]
                ) as daemon:
        assert daemon.chat("echo", "x").content.startswith("HEY ")


@test
def a_hostile_file_is_refused_in_bounded_time():
    deep = "a = " + "( " * 200000 + ")" * 200000 + ";"
    groups = "a: { " * 100000
    for name, text in {
            "deep lists": deep, "deep groups": groups,
            "arrays": "a = " + "[" * 100000,
            "nul": b'environment = "a\0b";\n', "nul first": b"\0\0\0",
            "binary": bytes(range(256)) * 200,
            "invalid utf-8": b'environment = "\xff\xfe";\n',
            "open string": 'environment = "abc\n',
            "open comment": "/* never closed",
            "escape at the end": 'a = "\\',
            "long word": "a" * 1000000,
            "references": 'environment = "%s";' % ("${env:X" * 20000),
            "double key": 'environment = "a";\nenvironment = "b";\n',
            "semicolons": ";" * 100000,
    }.items():
        status, said = checked(text)
        assert status == 78, (name, status, said[-500:])
        assert len(said) < 20000, (name, len(said))
        assert said.strip(), name


@test
def a_huge_file_is_refused():
    with Folder() as folder:
        path = folder.at("atomd.conf")
        with open(path, "wb") as out:
            out.truncate(1 << 32)
        done = run_atomd("-t", "-c", path)
        assert done.returncode == 78, spoken(done)


@test
def what_is_no_regular_file_is_refused_without_hanging():
    with Folder() as folder:
        fifo = folder.at("fifo")
        os.mkfifo(fifo)
        done = run_atomd("-t", "-c", fifo, timeout=10)
        assert done.returncode == 78, spoken(done)
        done = run_atomd("-t", "-c", folder.path)
        assert done.returncode == 78, spoken(done)
        done = run_atomd("-t", "-c", "/dev/zero", timeout=10)
        assert done.returncode == 78, spoken(done)
        text = folder.write("a.conf", 'include = [ "fifo" ];')
        done = run_atomd("-t", "-c", text, timeout=10)
        assert done.returncode == 78, spoken(done)
        text = folder.write("b.conf", 'environment = "${file:%s}";' % fifo)
        done = run_atomd("-t", "-c", text, timeout=10)
        assert done.returncode == 78, spoken(done)
        text = folder.write("c.conf", 'environment = "${file:/dev/zero}";')
        done = run_atomd("-t", "-c", text, timeout=10)
        assert done.returncode == 78, spoken(done)


@test
def anonymous_access_on_a_public_address_is_refused():
    text = config(listeners='{ address = "0.0.0.0:0"; }')
    refused(text, "anonymous_role")
    accepted(config(listeners='{ address = "0.0.0.0:0"; }', security=""))
    refused(config(security='anonymous_role = "nobody";'), "nobody")


@test
def admin_is_for_unix_sockets_only():
    refused(config(listeners='{ address = "127.0.0.1:0"; admin = true; }'),
            "admin")


@test
def a_bad_listener_address_is_named():
    for address in ("127.0.0.1", "127.0.0.1:99999", "localhost:http",
                    "unix:", "300.0.0.1:80", ":::", "[::1:80"):
        refused(config(listeners='{ address = "%s"; }' % address), "address")


@test
def a_reload_adds_changes_and_removes_agents():
    before = config(agents=[agent("keep"), agent("change"), agent("go")])
    after = config(agents=[
        agent("keep"), agent("new"),
        agent("change", 'plugin = "echo"; prefix = "changed ";')])
    with Daemon(before) as daemon:
        answer = daemon.reload(after)
        assert answer.status == 200, answer
        assert daemon.chat("new", "x").status == 200
        wait_for(lambda: daemon.chat("go", "x").status == 404,
                 what="the removed agent is gone")
        wait_for(lambda: daemon.chat("change", "x").content == "changed x",
                 what="the changed agent answers anew")
        assert set(daemon.agents()) == {"keep", "new", "change"}
        assert daemon.agents()["keep"]["revision"] == 1


@test
def a_reload_keeps_the_instances_and_sessions_of_an_unchanged_agent():
    memory = "memory: { max_messages = 20; };"
    worker = process_agent("worker", WORKER, more="instances: { min = 1; "
                           "max = 1; concurrency = 1; };")
    before = config(agents=[agent("echo", more=memory), worker])
    after = config(agents=[worker, agent("echo", more=memory),
                           agent("extra")])
    with Daemon(before) as daemon:
        daemon.wait_ready("worker", 1)
        answer = daemon.chat("echo", "one", {"x-atomd-session": "s1"})
        assert answer.status == 200, answer
        children = descendants(daemon.pid)
        assert daemon.reload(after).status == 200
        assert daemon.chat("extra", "x").status == 200
        assert descendants(daemon.pid) == children, "a new worker"
        answer = daemon.get("/v1/agents/echo/sessions/s1")
        assert answer.status == 200 and "one" in answer.text, answer


@test
def a_reload_by_signal_works_too():
    with Daemon(config()) as daemon:
        daemon.configure(config(agents=agent("other")))
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.chat("other", "x").status == 200,
                 what="the new agent answers")


@test
def a_bad_file_at_a_reload_changes_nothing_and_says_why():
    with Daemon(config()) as daemon:
        def standing():
            return [(name, row["revision"], row["instances"])
                    for name, row in daemon.agents().items()]
        good = standing()
        for bad, part in (
                ("agnets = ();\n" + config(), "agnets"),
                (config(agents=[agent("a"), agent("b", more="max_token=1;")]),
                 "max_token"),
                ("{{{", "atomd.conf"), ("( " * 100000, "atomd.conf")):
            answer = daemon.reload(bad)
            assert 400 <= answer.status < 500, answer
            assert part in answer.json["error"]["message"], answer
            assert standing() == good
            assert daemon.chat("echo", "x").status == 200
        os.unlink(daemon.config_file)
        assert 400 <= daemon.reload().status < 500
        lines = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: any(
            line.get("level") in ("error", "warn", "warning")
            for line in daemon.lines[lines:]), what="an error in the log")
        assert daemon.chat("echo", "x").status == 200


@test
def a_reload_over_running_calls_cuts_none():
    slow = agent("echo", 'plugin = "echo"; chunk_delay_ms = 100;')
    with Daemon(config(agents=slow)) as daemon:
        with daemon.chat_stream("echo", "a b c d e f g h i j") as stream:
            events = iter(stream)
            next(events)
            changed = agent("echo", 'plugin = "echo"; prefix = "new ";')
            assert daemon.reload(config(agents=changed)).status == 200
            rest = list(events)
            assert rest[-1].text == "[DONE]", rest
            text = "".join(c["delta"].get("content") or ""
                           for e in rest[:-1]
                           for c in e.json.get("choices", []))
            assert text.endswith("j") and "new" not in text
        wait_for(lambda: daemon.chat("echo", "x").content == "new x",
                 what="the new revision answers")


@test
def what_a_restart_would_need_is_said_at_a_reload():
    with Daemon(config()) as daemon:
        answer = daemon.reload(config().replace(
            "@DIR@/state", "@DIR@/elsewhere"))
        text = json.dumps(answer.json)
        assert "state" in text and "restart" in text, answer
        assert daemon.chat("echo", "x").status == 200


if __name__ == "__main__":
    run()
