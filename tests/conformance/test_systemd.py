#!/usr/bin/env python3
"""What systemd says of the unit: it parses, and how much it leaves open."""

import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Folder, Skip, run, source, test  # noqa: E402

# systemd's own scale: 0 is sealed, 10 is bare; `--threshold` takes tenths.
EXPOSURE_TENTHS = 20


def analyze():
    program = shutil.which("systemd-analyze")
    if not program:
        raise Skip("systemd-analyze is missing")
    return program


def unit_in(folder, program="/bin/true"):
    """The unit as an installation has it, with a program that exists."""
    with open(source("etc", "systemd", "atomd.service.in"),
              encoding="utf-8") as f:
        text = f.read()
    text = text.replace("@sbindir@/atomd", program)
    text = text.replace("@sysconfdir@", "/etc")
    path = folder.at("atomd.service")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


@test
def the_units_exposure_is_two_of_ten_at_most():
    program = analyze()
    with Folder() as folder:
        done = subprocess.run(
            [program, "security", "--offline=true", "--no-pager",
             "--threshold=%d" % EXPOSURE_TENTHS, unit_in(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout
    assert done.returncode == 0, level.group(0)


@test
def the_unit_leaves_what_agents_that_compile_need():
    with open(source("etc", "systemd", "atomd.service.in"),
              encoding="utf-8") as f:
        keys = [line.split("=")[0] for line in f if "=" in line]
    assert "MemoryDenyWriteExecute" not in keys
    for key in ("NoNewPrivileges", "ProtectSystem", "SystemCallFilter",
                "LimitCORE"):
        assert key in keys, key


@test
def systemd_finds_nothing_to_say_of_the_unit():
    program = analyze()
    with Folder() as folder:
        done = subprocess.run(
            [program, "verify", "--man=no", "--recursive-errors=no",
             unit_in(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
    ours = [line for line in done.stdout.splitlines()
            if "atomd.service:" in line]
    assert not ours, "\n".join(ours)


if __name__ == "__main__":
    run()
