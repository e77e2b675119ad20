#!/usr/bin/env python3
"""Plugins that are wrong on purpose: each is refused with a sentence that
names the fault, and the registry works on."""

import os
import re

from registry_shell import (CC, Folder, Shell,
                            compile_plugin, run, test)

SOURCE = "wrong/wrong.c"

# -D, what the sentence must hold.
WHOLE_PLUGIN = {
    "WRONG_MAGIC": r"wrong magic",
    "WRONG_STRUCT_SIZE": r"has 16 bytes, a plugin of ABI 1\.0 has at least",
    "WRONG_MAJOR": r"wrong_major\.so: built for plugin ABI 99\.0, this atomd "
                   r"speaks 1\.\d+; install wrong for atomd 1\.x",
    "WRONG_NEEDS": r"needs plugin ABI 1\.99 or newer, this atomd speaks "
                   r"1\.\d+; update atomd",
    "WRONG_NO_NOTE": r"holds no readable plugin note",
    "WRONG_NO_SYMBOL": r"exports no symbol atom_plugin_entry",
    "WRONG_STRIDE": r"components are 8 bytes apart",
    "WRONG_NO_COMPONENT": r"holds no component",
    "WRONG_ENTRY_NAME": r"note says wrong 1\.0\.0, its entry another 1\.0\.0",
    "WRONG_CONSTRUCTOR": r"crashed while it was being loaded \(SIGABRT\); "
                         r"it said: about to fail",
    "WRONG_CONSTRUCTOR_EXIT": r"ended the probe while it was being loaded "
                              r"with status 7",
    "WRONG_INIT_FAILS": r"its init\(\) failed: the moon is not in place",
    "WRONG_INIT_CRASHES": r"crashed in its init\(\) \(SIGSEGV\)",
}

ONE_COMPONENT = {
    "WRONG_HELP": r"its summary must be one short line of UTF-8",
    "WRONG_NULL_OP": r"its function `evaluate` is missing",
    "WRONG_NULL_DESTROY": r"its function `destroy` is missing",
    "WRONG_OPS_SIZE": r"its table of functions has 8 bytes",
    "WRONG_DEFAULT": r'option count: its default "many" is not a whole '
                     r"number between 1 and 16",
    "WRONG_DEFAULT_RANGE": r'option count: its default "17" is not',
    "WRONG_OFFSET": r"option far: its field lies at 4096 to 4104, the "
                    r"options struct has 16 bytes",
    "WRONG_OVERLAP": r"options count and twin: they share a field",
    "WRONG_TYPE": r"option odd: type 99 is not known",
    "WRONG_RELOADABLE": r"its function `reconfigure` is missing",
}


def sentence(row):
    assert row["state"] == "refused", row
    return row["last_error"]


@test
def a_plugin_that_is_wrong_as_a_whole_is_refused_with_its_reason():
    with Folder() as folder:
        for wrong in WHOLE_PLUGIN:
            folder.put(SOURCE, wrong.lower() + ".so", "-D" + wrong)
        folder.put(SOURCE, "right.so", '-DNAME="right"')
        with Shell() as shell:
            shell.scan(folder.path)
            for wrong, expected in WHOLE_PLUGIN.items():
                said = sentence(shell.row(wrong.lower() + ".so"))
                assert said.startswith(wrong.lower() + ".so: "), said
                assert re.search(expected, said), (expected, said)
            assert shell.row("right")["state"] == "available"
            assert shell.ask("open", "scaling", "right") is None
            assert shell.row("right")["state"] == "open"


@test
def one_wrong_component_is_refused_by_name_and_the_one_beside_it_works():
    with Folder() as folder:
        for wrong in ONE_COMPONENT:
            name = wrong.lower()
            folder.put(SOURCE, name + ".so", "-D" + wrong,
                       "-DWRONG_BESIDE_GOOD", '-DNAME="%s"' % name)
            with Shell() as shell:
                shell.scan(folder.path)
                said = sentence(shell.row(name))
                assert re.search(ONE_COMPONENT[wrong], said), (wrong, said)
                assert shell.ask("open", "scaling", "good") is None
                error = shell.ask("open", "scaling", name)["error"]
                assert ("the scaling plugin `%s` is refused: " % name
                        ) in error, error
                described = shell.ask("describe", "scaling", name)
                assert described["last_error"] == said, described
                assert "options" not in described, described
            os.unlink(folder.at(name + ".so"))


@test
def an_endless_init_is_ended_and_the_others_do_not_wait_for_each_other():
    with Folder() as folder:
        folder.put(SOURCE, "slow.so", "-DWRONG_INIT_HANGS", '-DNAME="slow"')
        folder.put(SOURCE, "flood.so", "-DWRONG_FLOOD", '-DNAME="flood"')
        folder.put(SOURCE, "right.so", '-DNAME="right"')
        with Shell() as shell:
            shell.scan(folder.path)
            said = sentence(shell.row("slow.so"))
            assert "did not end in its init() within 5 s" in said, said
            said = sentence(shell.row("flood.so"))
            assert "within 5 s" in said or "SIGXCPU" in said, said
            assert "it said: " in said, said
            assert shell.row("right")["state"] == "available"


def takes_no_other_along(define, words):
    with Folder() as folder:
        folder.put(SOURCE, "bad.so", "-D" + define, '-DNAME="bad"')
        for name in "above", "other", "right":
            folder.put(SOURCE, name + ".so", '-DNAME="%s"' % name)
        with Shell() as shell:
            shell.scan(folder.path)
            said = sentence(shell.row("bad.so"))
            assert said == "bad.so: " + words, said
            for name in "above", "other", "right":
                assert shell.row(name)["state"] == "available"


@test
def one_that_ends_the_process_above_it_takes_no_other_along():
    takes_no_other_along(
        "WRONG_INIT_KILLS",
        "could not be probed: the helper was ended by SIGKILL")


@test
def one_that_closes_what_others_are_read_from_takes_none_along():
    takes_no_other_along(
        "WRONG_INIT_CLOSES", "ended the probe in its init() with status 1")


@test
def a_component_of_an_unknown_kind_is_skipped_and_the_rest_works():
    with Folder() as folder:
        folder.put(SOURCE, "mixed.so", "-DWRONG_KIND", '-DNAME="mixed"')
        with Shell() as shell:
            shell.scan(folder.path)
            rows = shell.rows()
            assert [r["name"] for r in rows] == ["mixed"], rows
            assert shell.ask("open", "scaling", "mixed") is None
        log = shell.process.stderr
        assert log is not None


@test
def an_illegal_name_and_a_name_given_twice_are_refused():
    with Folder() as folder:
        folder.put(SOURCE, "names.so", "-DWRONG_NAME", "-DWRONG_TWICE",
                   '-DNAME="names"')
        with Shell() as shell:
            shell.scan(folder.path)
            faults = {(r["name"], r["last_error"]) for r in shell.rows()
                      if r["state"] == "refused"}
            assert ("good", "the plugin declares it twice") in faults, faults
            assert any(n == "?" and "a component's name is" in why
                       for n, why in faults), faults
            assert shell.ask("open", "scaling", "good") is None


@test
def files_that_are_no_plugins_are_refused_without_running_them():
    with Folder() as folder:
        whole = folder.put(SOURCE, "work/whole.so")
        with open(whole, "rb") as f:
            content = f.read()
        folder.write("text.so", b"this is a text\n")
        folder.write("empty.so", b"")
        folder.write("tiny.so", content[:40])
        folder.write("half.so", content[:len(content) // 2])
        folder.write("tail.so", content[:-200])
        other = bytearray(content)
        other[18:20] = (183 if other[18] == 62 else 62).to_bytes(2, "little")
        folder.write("other.so", bytes(other))
        folder.write("README.md", b"not looked at")
        folder.write(".hidden.so", b"not looked at")
        os.mkdir(folder.at("folder.so"))
        os.mkfifo(folder.at("pipe.so"))
        with Shell() as shell:
            shell.scan(folder.path)
            expected = {
                "text.so": r"is no shared object \(ELF\)",
                "empty.so": r"is empty",
                "tiny.so": r"is cut off",
                "half.so": r"plugin note|cannot be loaded|SIGBUS|SIGSEGV",
                "other.so": r"built for another machine",
                "folder.so": r"is no regular file",
                "pipe.so": r"is no regular file",
            }
            for name, words in expected.items():
                said = sentence(shell.row(name))
                assert re.search(words, said), (name, said)
            names = {os.path.basename(r["path"]) for r in shell.rows()}
            assert names - set(expected) <= {"tail.so"}, names


@test
def a_program_is_no_plugin():
    with Folder() as folder:
        compile_plugin(SOURCE, folder.at("plugin.so"))
        import subprocess
        subprocess.run([*CC, "-x", "c", "-", "-no-pie", "-o",
                        folder.at("program.so")], check=True,
                       input=b"int main(void) { return 0; }")
        os.chmod(folder.at("program.so"), 0o755)
        with Shell() as shell:
            shell.scan(folder.path)
            said = sentence(shell.row("program.so"))
            assert "is no shared object; link it with -shared" in said, said


@test
def a_missing_library_is_named():
    with Folder() as folder:
        folder.put(SOURCE, "work/libneeded.so", "-Wl,-soname,libneeded.so.7")
        folder.put(SOURCE, "needs.so", "-Wl,--no-as-needed",
                   folder.at("work/libneeded.so"), '-DNAME="needs"')
        with Shell() as shell:
            shell.scan(folder.path)
            said = sentence(shell.row("needs.so"))
            assert said.startswith(
                "needs.so: cannot be loaded: libneeded.so.7: "), said


@test
def what_others_may_write_and_links_that_lead_out_are_refused():
    with Folder() as folder:
        folder.put(SOURCE, "open.so", '-DNAME="open"')
        os.chmod(folder.at("open.so"), 0o777)
        folder.put(SOURCE, "work/real.so", '-DNAME="real"')
        os.symlink("work/real.so", folder.at("out.so"))
        folder.put(SOURCE, "inside.so", '-DNAME="inside"')
        os.symlink("inside.so", folder.at("inside-too.so"))
        folder.put(SOURCE, "theirs/right.so", '-DNAME="right"')
        os.chmod(folder.at("theirs"), 0o777)
        with Shell() as shell:
            shell.scan(folder.path, folder.at("theirs"))
            assert "may be written by everybody" in sentence(
                shell.row("open.so"))
            assert "leads out of the folder, to " in sentence(
                shell.row("out.so"))
            assert shell.row("inside")["state"] == "available"
            assert "may be written by everybody, so nothing of it is loaded" \
                in sentence(shell.row("right.so"))
            assert shell.ask("open", "scaling", "inside") is None
            assert shell.ask("open", "scaling", "right")["error"]


if __name__ == "__main__":
    raise SystemExit(run())
