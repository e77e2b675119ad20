#!/usr/bin/env python3
"""Each public header compiles alone, as C and C++, without hidden padding;
and what was promised of sizes and offsets holds."""

import os
import shutil
import subprocess

from registry_shell import CC, HERE, INCLUDE, SOURCE, Skip, run, test

FOLDER = os.path.join(SOURCE, "include", "atomd")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wpadded", "-Wshadow",
            "-Wundef", "-Werror"]
# Whatever stands on this machine: a plugin's author may have the other one.
# The one of this build may be several words, as "ccache gcc".
COMPILERS = [list(c) for c in dict.fromkeys([tuple(CC), ("gcc",), ("clang",)])
             if shutil.which(c[0])]
CXX_COMPILERS = [[c] for c in ("g++", "clang++") if shutil.which(c)]


def headers():
    names = sorted(
        prefix + n for prefix in ("", "draft/")
        for n in os.listdir(os.path.join(FOLDER, prefix))
        if n.endswith(".h"))
    assert len(names) >= 10, names
    return names


def compile_alone(header, compiler, language, standard):
    text = "#include <atomd/%s>\n#include <atomd/%s>\n" % (header, header)
    if language == "c":
        text += "int nothing(void);\n"
    done = subprocess.run(
        [*compiler, "-x", language, "-std=" + standard, *WARNINGS, INCLUDE,
         "-c", "-o", os.devnull, "-"], input=text, text=True,
        capture_output=True)
    assert done.returncode == 0, "%s %s %s\n%s" % (
        " ".join(compiler), standard, header, done.stderr)


@test
def every_header_compiles_alone_as_c():
    for header in headers():
        for compiler in COMPILERS:
            for standard in ("c11", "gnu11", "c17"):
                compile_alone(header, compiler, "c", standard)


@test
def every_header_compiles_alone_as_cxx():
    if not CXX_COMPILERS:
        raise Skip("no C++ compiler")
    for header in headers():
        for compiler in CXX_COMPILERS:
            for standard in ("c++17", "gnu++17", "c++20"):
                compile_alone(header, compiler, "c++", standard)


@test
def no_header_knows_anything_but_the_c_library_and_its_neighbours():
    allowed = {"stdarg.h", "stddef.h", "stdint.h", "stdio.h"}
    for header in headers():
        with open(os.path.join(FOLDER, header), encoding="utf-8") as f:
            for line in f:
                if not line.lstrip().startswith("#include"):
                    continue
                name = line.split("<")[1].split(">")[0]
                assert name in allowed or name.startswith("atomd/"), (
                    header, line)


@test
def sizes_and_offsets_are_as_promised():
    source = os.path.join(HERE, "promised.c")
    for compiler in COMPILERS:
        done = subprocess.run(
            [*compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", INCLUDE,
             "-c", "-o", os.devnull, source], capture_output=True, text=True)
        assert done.returncode == 0, "%s\n%s" % (
            " ".join(compiler), done.stderr)
    for compiler in CXX_COMPILERS:
        done = subprocess.run(
            [*compiler, "-x", "c++", "-std=c++17", "-Wall", "-Wextra",
             "-Werror", INCLUDE, "-c", "-o", os.devnull, source],
            capture_output=True, text=True)
        assert done.returncode == 0, "%s\n%s" % (
            " ".join(compiler), done.stderr)


if __name__ == "__main__":
    raise SystemExit(run())
