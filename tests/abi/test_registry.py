#!/usr/bin/env python3
"""Which file and which component counts, what a new scan changes, and that
plugins of strangers load."""

import os
import shutil
import time

from registry_shell import CC, Folder, Shell, Skip, run, test

SOURCE = "wrong/wrong.c"  # without a -DWRONG_x nothing is wrong with it
BUILT = os.environ.get("ATOMD_BUILD_PLUGINS")
CXX = os.environ.get("CXX") or {"gcc": "g++", "cc": "c++",
                                "clang": "clang++"}.get(CC[0], "c++")


def version(folder, file, name, number, component=None):
    return folder.put(SOURCE, file, '-DNAME="%s"' % name,
                      '-DVERSION="%s"' % number,
                      '-DCOMPONENT="%s"' % (component or name))


def states(shell):
    return {os.path.basename(r["path"]): r["state"] for r in shell.rows()}


@test
def of_two_files_of_one_plugin_the_newer_version_counts():
    with Folder() as folder:
        version(folder, "a.so", "same", "1.9.0")
        version(folder, "b.so", "same", "1.10.0")
        version(folder, "c.so", "same", "1.10.0-rc1")
        version(folder, "d.so", "same", "1.10.0")
        with Shell() as shell:
            shell.scan(folder.path)
            assert states(shell) == {
                "a.so": "superseded", "b.so": "available",
                "c.so": "superseded", "d.so": "superseded"}, shell.rows()
            assert shell.ask("open", "scaling", "same") is None
            described = shell.ask("describe", "scaling", "same")
            assert described["version"] == "1.10.0", described
            assert described["path"].endswith("/b.so"), described
            assert "is there already, as " in shell.row("d.so")["last_error"]


@test
def a_component_that_another_plugin_holds_is_refused_by_name():
    with Folder() as folder:
        version(folder, "a.so", "first", "1.0", "shared")
        version(folder, "b.so", "second", "9.0", "shared")
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.row("a.so")["state"] == "available"
            row = shell.row("b.so")
            assert row["state"] == "refused", row
            assert row["last_error"].startswith(
                "scaling/shared: the plugin first ("), row
            assert row["last_error"].endswith(
                ") already has a scaling of that name"), row
            # The order of the folders decides, and the holder may go.
            os.unlink(folder.at("a.so"))
            shell.scan(folder.path)
            assert states(shell) == {"b.so": "available"}, shell.rows()


@test
def a_new_scan_finds_what_came_and_drops_what_went():
    with Folder() as folder:
        version(folder, "old.so", "old", "1.0")
        with Shell() as shell:
            shell.scan(folder.path, folder.at("absent"))
            assert states(shell) == {"old.so": "available"}
            version(folder, "new.so", "new", "1.0")
            os.unlink(folder.at("old.so"))
            shell.scan(folder.path)
            assert states(shell) == {"new.so": "available"}
            error = shell.ask("open", "scaling", "old")["error"]
            assert "there is no scaling plugin `old`" in error, error


@test
def what_is_open_stays_and_a_new_version_waits_for_a_restart():
    with Folder() as folder:
        version(folder, "p.so", "p", "1.0")
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.ask("open", "scaling", "p") is None
            version(folder, "p.so", "p", "2.0")
            shell.scan(folder.path)
            assert {(r["version"], r["state"]) for r in shell.rows()} == {
                ("1.0", "open"), ("2.0", "waiting")}, shell.rows()
            waiting = [r for r in shell.rows() if r["state"] == "waiting"]
            assert waiting[0]["last_error"] == (
                "p 1.0 is in use; this file takes its place when atomd is "
                "restarted"), waiting
            assert shell.ask("open", "scaling", "p") is None
            assert shell.ask("describe", "scaling", "p")["version"] == "1.0"
            # Once more: nothing is added for what has not changed.
            shell.scan(folder.path)
            assert len(shell.rows()) == 2, shell.rows()
            # Put back: as if nothing had been.
            version(folder, "p.so", "p", "1.0")
            shell.scan(folder.path)
            assert states(shell) == {"p.so": "open"}, shell.rows()
            # Gone, but in use.
            os.unlink(folder.at("p.so"))
            shell.scan(folder.path)
            assert states(shell) == {"p.so": "open"}, shell.rows()


@test
def a_plugin_that_is_not_open_is_replaced_at_the_next_scan():
    with Folder() as folder:
        version(folder, "p.so", "p", "1.0")
        with Shell() as shell:
            shell.scan(folder.path)
            version(folder, "p.so", "p", "0.9")
            error = shell.ask("open", "scaling", "p")["error"]
            assert "has changed since it was probed; reload" in error, error
            shell.scan(folder.path)
            assert shell.ask("open", "scaling", "p") is None
            assert shell.ask("describe", "scaling", "p")["version"] == "0.9"


@test
def a_crash_is_remembered_by_content_and_a_cure_is_seen():
    with Folder() as folder:
        folder.put(SOURCE, "p.so", "-DWRONG_INIT_HANGS", '-DNAME="p"')
        with Shell() as shell:
            shell.scan(folder.path)
            shutil.copy(folder.at("p.so"), folder.at("q.so"))
            began = time.monotonic()
            shell.scan(folder.path)
            assert time.monotonic() - began < 3, "probed once more"
            assert states(shell) == {"p.so": "refused", "q.so": "refused"}
            folder.put(SOURCE, "p.so", '-DNAME="p"')
            os.unlink(folder.at("q.so"))
            shell.scan(folder.path)
            assert states(shell) == {"p.so": "available"}, shell.rows()


@test
def a_hundred_plugins_are_probed_in_a_few_seconds():
    with Folder() as folder:
        one = version(folder, "work/one.so", "name-000", "1.0")
        with open(one, "rb") as f:
            content = f.read()
        for i in range(100):
            folder.write("p%03d.so" % i,
                         content.replace(b"name-000", b"name-%03d" % i))
        with Shell() as shell:
            began = time.monotonic()
            shell.scan(folder.path)
            took = time.monotonic() - began
            assert set(states(shell).values()) == {"available"}
            assert len(shell.rows()) == 100
            assert shell.ask("open", "scaling", "name-077") is None
            began = time.monotonic()
            shell.scan(folder.path)
            again = time.monotonic() - began
        print("# 100 plugins: %.2f s, again %.3f s" % (took, again))
        assert again < 1, again


@test
def a_wrong_name_gets_the_nearest_and_the_reason_of_a_refused_file():
    with Folder() as folder:
        version(folder, "a.so", "steady", "1.0")
        folder.put(SOURCE, "scaling-other.so", "-DWRONG_MAGIC")
        with Shell() as shell:
            shell.scan(folder.path)
            said = shell.ask("open", "scaling", "stedy")["error"]
            assert said == ("there is no scaling plugin `stedy`; did you "
                            "mean `steady`?"), said
            said = shell.ask("open", "backend", "steady")["error"]
            assert said == "there is no backend plugin `steady`", said
            said = shell.ask("open", "scaling", "other")["error"]
            assert said.startswith(
                "the scaling plugin `other` is refused: scaling-other.so: "
                "its atom_plugin_entry begins with the wrong magic"), said


@test
def the_private_copy_is_what_runs():
    for place in ("memory", "folder"):
        with Folder() as folder:
            version(folder, "p.so", "p", "1.0")
            state = folder.at("state", "x")[:-2]
            args = ["--state", state] if place == "folder" else []
            with Shell(*args) as shell:
                shell.scan(folder.path)
                assert shell.ask("open", "scaling", "p") is None
                with open("/proc/%d/maps" % shell.process.pid) as f:
                    maps = f.read()
                assert folder.at("p.so") not in maps, maps
                copies = os.path.join(state, "plugins")
                if place == "folder":
                    assert copies + "/p-" in maps, maps
                # Overwritten in place, as a careless copy does.
                with open(folder.at("p.so"), "r+b") as f:
                    f.write(b"\0" * os.path.getsize(folder.at("p.so")))
                assert shell.ask("create", "scaling", "p") is None
            if place == "folder":
                assert os.listdir(copies) == [], os.listdir(copies)


@test
def in_place_the_installed_file_runs():
    with Folder() as folder:
        version(folder, "p.so", "p", "1.0")
        with Shell("--in-place") as shell:
            shell.scan(folder.path)
            assert shell.ask("create", "scaling", "p") is None
            with open("/proc/%d/maps" % shell.process.pid) as f:
                assert folder.at("p.so") in f.read()


@test
def a_small_plugin_of_a_stranger_loads():
    with Folder() as folder:
        folder.put("outside/shout.c", "shout.so")
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.ask("create", "backend", "shout") is None
            row = shell.row("shout")
            assert (row["kind"], row["version"], row["abi"]) == (
                "backend", "1.0.0", "1.0"), row
            assert row["state"] == "open" and row["calls"] == 0, row
            shell.ask("count", "backend", "shout")
            assert shell.row("shout")["calls"] == 1


@test
def a_stripped_plugin_loads():
    if not shutil.which("strip"):
        raise Skip("strip is missing")
    with Folder() as folder:
        folder.put("outside/shout.c", "shout.so", "-s")
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.ask("create", "backend", "shout") is None


@test
def a_plugin_in_cxx_loads_with_its_options():
    if not shutil.which(CXX):
        raise Skip(CXX + " is missing")
    with Folder() as folder:
        folder.put("outside/greet.cc", "greet.so", "-std=c++17", "-Wpedantic",
                   compiler=[CXX])
        with Shell() as shell:
            shell.scan(folder.path)
            described = shell.ask("describe", "scaling", "greet")
            assert [o["name"] for o in described["options"]] == [
                "most", "share", "loud", "mood", "greeting", "names"]
            assert shell.ask(
                "create", "scaling", "greet",
                '{"most": 4, "share": 1, "loud": true, "mood": "merry",'
                ' "names": ["a", "b"]}') is None
            said = shell.ask("create", "scaling", "greet",
                             '{"most": 40, "mood": "mery", "nmes": []}')
            assert said["error"].splitlines() == [
                "scaling/greet: option `most` is a whole number between 1 "
                "and 10, not the integer 40",
                'scaling/greet: option `mood` is one of "calm", "merry", '
                'not the string "mery"; did you mean "merry"?',
                "scaling/greet: unknown option `nmes`; did you mean "
                "`names`?"], said


@test
def an_option_of_the_wrong_type_stops_the_compiler():
    import subprocess
    for compiler, flags, source in (
            (CC, ["-x", "c"], "static const struct atom_option t[] = {"
             " ATOM_OPTION_INT(struct o, word, \"1\", 1, 2, 0, \"h\") };"),
            ([CXX], ["-x", "c++", "-std=c++17"],
             "const atom_option t[] = {"
             " ATOM_OPTION_INT(o, word, \"1\", 1, 2, 0, \"h\") };")):
        if not shutil.which(compiler[0]):
            continue
        text = ("#include <atomd/plugin.h>\n"
                "struct o { const char *word; int64_t number; };\n%s\n")
        for field, fine in (("number", True), ("word", False)):
            done = subprocess.run(
                [*compiler, *flags, "-I" + os.path.join(
                    os.environ["TOP_SRCDIR"], "include"), "-fsyntax-only",
                 "-"], input=text % source.replace("word", field),
                text=True, capture_output=True)
            assert (done.returncode == 0) == fine, (
                compiler, field, done.stderr)


@test
def our_own_plugins_load_and_say_what_they_take():
    if not BUILT:
        raise Skip("ATOMD_BUILD_PLUGINS is not set")
    with Folder() as folder:
        # The build folder may belong to a user of the group's: copy.
        for name in os.listdir(BUILT):
            if name.endswith(".so"):
                with open(os.path.join(BUILT, name), "rb") as f:
                    folder.write(name, f.read())
        with Shell() as shell:
            shell.scan(folder.path)
            for row in shell.rows():
                assert row["state"] == "available", row
                file = os.path.basename(row["path"])
                assert file == "%s-%s.so" % (row["kind"], row["name"]), row
                described = shell.ask("describe", row["kind"], row["name"])
                assert described["license"] == "Apache-2.0", described
                assert described["summary"], described
                for option in described["options"]:
                    assert option["help"], option
            for kind, name in (("scaling", "fixed"), ("monitor", "logger"),
                               ("audit", "memory"),
                               ("deployment", "at_once")):
                assert shell.ask("create", kind, name) is None, (kind, name)


if __name__ == "__main__":
    raise SystemExit(run())
