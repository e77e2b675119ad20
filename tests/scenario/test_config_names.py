#!/usr/bin/env python3
"""Users and groups of the configuration that the machine does not have."""

import grp
import os
import pwd

from atomd_test import Daemon, Folder, config, run, run_atomd, spoken, test

NOBODY = "no-such-name-here"
GROUPED = ('{ address = "127.0.0.1:0"; },\n'
           '  { address = "unix:@DIR@/admin.sock"; admin = true;\n'
           '    admin_group = "%s"; }')


def line_of(text, part):
    return text[:text.index(part)].count("\n") + 1


def with_user(name):
    return config(extra='user = "%s";\n' % name)


def with_group(name):
    return config(listeners=GROUPED % name)


def checked(text):
    with Folder() as folder:
        path = folder.write("atomd.conf", text.replace("@DIR@", folder.path))
        done = run_atomd("-t", "-c", path)
        return done.returncode, spoken(done)


@test
def a_check_names_file_line_and_what_to_do():
    for text, at, words in (
            (with_user(NOBODY), "user =", "no user"),
            (with_group(NOBODY), "admin_group =", "no group")):
        status, said = checked(text)
        assert status == 78, (status, said)
        assert "atomd.conf:%d" % line_of(text, at) in said, said
        assert words in said and NOBODY in said and "leave it empty" in said


@test
def a_check_tells_of_all_of_them_at_once():
    text = config(listeners=GROUPED % NOBODY + ",\n" + GROUPED.split(
        ",\n", 1)[1].replace("admin.sock", "more.sock") % "nor-this-one",
        extra='user = "%s";\n' % NOBODY)
    status, said = checked(text)
    assert status == 78, (status, said)
    assert said.count("there is no") == 3, said


@test
def names_that_are_there_are_good():
    for text in (with_user(pwd.getpwuid(os.getuid()).pw_name),
                 with_group(grp.getgrgid(os.getgid()).gr_name)):
        status, said = checked(text)
        assert status == 0, (status, said)


@test
def the_start_and_a_reload_say_the_same():
    for text in (with_user(NOBODY), with_group(NOBODY)):
        with Daemon(text, wait=None) as daemon:
            assert daemon.wait_end() == 78
            assert NOBODY in daemon.log and "atomd.conf:" in daemon.log
        with Daemon(config()) as daemon:
            answer = daemon.reload(text)
            assert answer.status == 400, answer
            assert NOBODY in answer.text and "atomd.conf:" in answer.text
            assert daemon.chat("echo", "x").status == 200


if __name__ == "__main__":
    run()
