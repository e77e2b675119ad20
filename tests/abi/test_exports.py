#!/usr/bin/env python3
"""Each of our plugins exports one symbol and asks nobody of ours for any."""

import os
import re
import shutil
import subprocess

from registry_shell import SANITIZED, Skip, run, test

BUILT = os.environ.get("ATOMD_BUILD_PLUGINS")


def plugins():
    if SANITIZED:
        raise Skip("a sanitizer's runtime adds symbols")
    if not BUILT or not shutil.which("nm"):
        raise Skip("no built plugins, or no nm")
    files = sorted(os.path.join(BUILT, n) for n in os.listdir(BUILT)
                   if n.endswith(".so"))
    assert len(files) >= 4, files
    return files


def output(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True).stdout


@test
def each_exports_exactly_one_symbol():
    for path in plugins():
        names = [line.split()[-1] for line in output(
            "nm", "-D", "--defined-only", path).splitlines()]
        assert names == ["atom_plugin_entry"], (path, names)


@test
def each_finds_all_its_symbols_in_the_libraries_it_names():
    for path in plugins():
        asked = [line.split()[-1] for line in output(
            "nm", "-D", "--undefined-only", path).splitlines()]
        ours = [name for name in asked if re.match(r"atom_", name)]
        assert not ours, (path, ours)


@test
def each_is_named_kind_name_and_has_neither_prefix_nor_version():
    for path in plugins():
        name = os.path.basename(path)
        assert re.match(r"^(backend|scaling|monitor|audit|deployment|judge|"
                        r"store)-[a-z0-9_]+\.so$", name), name


@test
def each_is_bound_at_once_and_has_no_executable_stack():
    for path in plugins():
        dynamic = output("readelf", "-d", path)
        assert "BIND_NOW" in dynamic or "NOW" in dynamic, path
        assert "TEXTREL" not in dynamic, path
        assert "SONAME" not in dynamic, path
        stack = [line for line in output("readelf", "-lW", path).splitlines()
                 if "GNU_STACK" in line]
        assert stack and "RWE" not in stack[0], (path, stack)


if __name__ == "__main__":
    raise SystemExit(run())
