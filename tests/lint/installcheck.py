#!/usr/bin/env python3
"""Checks an installation: `make installcheck`, and so `make distcheck`.

Only what the documentation names is installed; the README's plugin, compiled
outside the tree with nothing but `pkg-config atomd`, is served by the installed
daemon from its plugin folder; a misspelt key is refused with its neighbour's
name. Prints TAP.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile

TOP = os.environ["TOP_SRCDIR"]
sys.path.insert(0, os.path.join(TOP, "tests", "scenario"))

PREFIX = os.environ["PREFIX"]
PLUGINS = os.environ["PLUGINDIR"]
ATOMD = os.path.join(os.environ["SBINDIR"], "atomd")
ATOMCTL = os.path.join(os.environ["BINDIR"], "atomctl")

# Relative to the prefix, with lib for whatever libdir is.
NAMED = [re.compile(p + r"\Z") for p in (
    r"s?bin/(atomd|atomctl)",
    r"lib/atomd/plugins/(backend|scaling|monitor|audit|deployment|judge|store)"
    r"-[a-z0-9_-]+\.so",
    r"lib/pkgconfig/atomd\.pc",
    r"include/atomd/[a-z_]+\.h",
    r"etc/atomd/atomd\.conf",
    r"etc/atomd/agents\.d/[a-z0-9_-]+\.conf(\.sample)?",
    r"share/atomd/((alerts|dashboard|grafana|workers|quickstart\.d)/)?[a-z0-9_.-]+",
    r"share/man/man8/atomd\.8",
    r"share/man/man1/atomctl\.1",
    r"share/bash-completion/completions/atomctl",
)]

CONF = """
state: { directory = "%s/state"; };
listeners = ( { address = "127.0.0.1:0"; } );
security: { anonymous_role = "caller"; };
agents = ( { name = "parrot"; backend: { plugin = "parrot"; }; } );
"""


def only_what_is_named_is_installed():
    if PREFIX in ("/usr", "/usr/local", "/", "/opt"):
        return "SKIP the prefix is shared with others"
    foreign, documented = [], 0
    for folder, _, files in os.walk(PREFIX):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), PREFIX)
            path = re.sub(r"^lib(64|/[a-z0-9_]+-linux-gnu)(?=/)", "lib", path)
            if any(p.match(path) for p in NAMED):
                documented += 1
            else:
                foreign.append(path)
    assert not foreign, "not documented: " + " ".join(foreign)
    assert documented >= 20, "hardly anything is installed"
    return None


def pkg_config(*words):
    path = os.path.join(os.environ["LIBDIR"], "pkgconfig")
    done = subprocess.run(
        ["pkg-config", *words, "atomd"], check=True, capture_output=True,
        text=True, env=dict(os.environ, PKG_CONFIG_PATH=path))
    return done.stdout.strip()


def pkg_config_knows_the_abi():
    with open(os.path.join(os.environ["INCLUDEDIR"], "atomd", "plugin.h"),
              encoding="utf-8") as f:
        header = f.read()
    for word in ("MAJOR", "MINOR"):
        there = re.search(r"#define ATOM_ABI_%s\s+(\d+)" % word,
                          header).group(1)
        said = pkg_config("--variable=abi_" + word.lower())
        assert said == there, (word, said, there)
    assert pkg_config("--variable=plugindir") == PLUGINS
    return None


def readme_plugin():
    """The C source in README.md, from its include to the entry."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        text = f.read()
    found = re.search(
        r"^    #include <atomd/backend\.h>\n.*?^    ATOM_PLUGIN\(.*?\);\n",
        text, re.S | re.M)
    assert found, "README.md shows no plugin"
    return re.sub(r"^    ", "", found.group(0), flags=re.M)


def the_readmes_plugin_is_compiled_and_served():
    from atomd_test import Daemon

    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "parrot.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(readme_plugin())
        plugin = os.path.join(PLUGINS, "backend-parrot.so")
        command = shlex.split(os.environ.get("CC", "cc")) + [
            "-shared", "-fPIC", *shlex.split(pkg_config("--cflags")), source,
            "-o", plugin]
        subprocess.run(command, check=True)
        try:
            with Daemon(CONF % folder) as daemon:
                answer = daemon.invoke("parrot", "hello")
                assert answer.status == 200, answer
                assert answer.json["output"] == "hello", answer
        finally:
            os.unlink(plugin)
    return None


def a_misspelt_key_is_named_with_its_neighbour():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "typo.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("agnets = ();\n")
        done = subprocess.run([ATOMD, "-t", "-c", path], check=False,
                              capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 78, (done.returncode, said)
    for word in ("typo.conf", "1", "agnets", "agents"):
        assert word in said, (word, said)
    return None


def the_installed_configuration_is_sound():
    path = os.path.join(os.environ["SYSCONFDIR"], "atomd", "atomd.conf")
    done = subprocess.run([ATOMD, "-t", "-c", path], check=False,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return None


def the_installed_daemon_serves_the_installed_dashboard():
    from atomd_test import Daemon

    os.environ.pop("ATOMD_DASHBOARD_DIR", None)
    with tempfile.TemporaryDirectory() as folder:
        with Daemon((CONF % folder).replace("parrot", "echo")) as daemon:
            for path in ("/", "/dashboard/app.js", "/dashboard/style.css"):
                answer = daemon.get(path)
                assert answer.status == 200, answer
                assert "content-security-policy" in answer.headers, answer
            assert b"/dashboard/app.js" in daemon.get("/").body
            assert daemon.count_event("dashboard_missing") == 0
    return None


def both_programs_say_their_version():
    for program in (ATOMD, ATOMCTL):
        done = subprocess.run([program, "--version"], check=False,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (program, done)
        assert os.environ["VERSION"] in done.stdout, (program, done)
    return None


CHECKS = (
    only_what_is_named_is_installed,
    pkg_config_knows_the_abi,
    both_programs_say_their_version,
    a_misspelt_key_is_named_with_its_neighbour,
    the_installed_configuration_is_sound,
    the_readmes_plugin_is_compiled_and_served,
    the_installed_daemon_serves_the_installed_dashboard,
)


def main():
    # The installed programs, with the folders that were compiled in.
    os.environ.update(ATOMD=ATOMD, ATOMCTL=ATOMCTL,
                      ATOMD_BUILD_PLUGINS=PLUGINS)
    failed = 0
    print("1..%d" % len(CHECKS))
    for number, check in enumerate(CHECKS, 1):
        name = check.__name__.replace("_", " ")
        try:
            note = check()
            print("ok %d - %s%s" % (number, name, " # " + note if note else ""))
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in str(e).split("\n"):
                print("#   " + line)
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
