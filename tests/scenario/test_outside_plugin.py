#!/usr/bin/env python3
"""A plugin that somebody else wrote: built against installed headers with one
compiler line, dropped into a folder, served; and what is wrong beside it."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

from atomd_test import (Daemon, agent, config, run, run_atomd, source,
                        test, wait_for)
from outside import build, cflags, plugins_of
from places import Folder

SHOUT = 'plugin = "shout";'
WRONG = source("tests", "abi", "wrong", "wrong.c")


def listed(daemon):
    answer = daemon.admin("GET", "/admin/v1/plugins")
    assert answer.status == 200, answer
    rows = answer.json
    return rows["plugins"] if isinstance(rows, dict) else rows


def row_of(daemon, file):
    rows = [r for r in listed(daemon) if os.path.basename(r["path"]) == file]
    assert len(rows) == 1, (file, rows)
    return rows[0]


@test
def a_plugin_built_with_pkg_config_is_served():
    with Folder() as folder:
        build(folder.at("plugins", "shout.so"), cflags(folder),
              path=source("tests", "abi", "outside", "shout.c"))
        with Daemon(config(agents=agent("loud", SHOUT),
                           extra=plugins_of(folder.at("plugins")))) as daemon:
            answer = daemon.chat("loud", "hello there")
            assert answer.status == 200, answer
            assert answer.content == "HELLO THERE", answer
            answer = daemon.invoke("loud", "and again")
            assert answer.json["output"] == "AND AGAIN", answer
            row = row_of(daemon, "shout.so")
            assert row["state"] == "open" and row["kind"] == "backend", row
            assert row["calls"] == 2, row
            metrics = daemon.metrics()
            assert metrics.sum("atomd_plugin_info", plugin="shout",
                               kind="backend", version="1.0.0") == 1


def inotify_descriptors(daemon):
    folder, found = "/proc/%d/fd" % daemon.pid, []
    for fd in os.listdir(folder):
        try:
            if "inotify" in os.readlink(os.path.join(folder, fd)):
                found.append(fd)
        except FileNotFoundError:
            pass  # closed since it was listed
    return found


@test
def a_file_that_is_dropped_in_is_found_while_the_daemon_runs():
    def files(daemon):
        return {os.path.basename(r["path"]): r["state"]
                for r in listed(daemon) if r["path"].startswith(daemon.dir)}
    shout = agent("loud", SHOUT)
    with Folder() as folder:
        build(folder.at("made", "shout.so"), cflags(folder),
              path=source("tests", "abi", "outside", "shout.c"))
        with Daemon(config(extra=plugins_of("@DIR@/plugins")), files={
                "plugins/README": "none yet"}) as daemon:
            assert files(daemon) == {}
            # Copied in pieces and put there at once; and what is no plugin.
            shutil.copy(folder.at("made", "shout.so"),
                        os.path.join(daemon.dir, "plugins", "shout.so"))
            daemon.write("plugins/text.so", "hello")
            wait_for(lambda: files(daemon) == {"shout.so": "available",
                                               "text.so": "refused"},
                     what="both files are listed")
            made = daemon.admin("POST", "/admin/v1/agents", {
                "name": "loud", "config": 'backend: { plugin = "shout"; };'})
            assert made.status == 201, made
            wait_for(lambda: daemon.invoke("loud", "hi").status == 200)
            assert daemon.invoke("loud", "hi").json["output"] == "HI"
            os.unlink(os.path.join(daemon.dir, "plugins", "text.so"))
            wait_for(lambda: files(daemon) == {"shout.so": "open"},
                     what="the one that is gone is not listed")
            # One that is made by a reload's configuration is watched then.
            daemon.write("more/README", "none yet")
            daemon.configure(config(agents=[agent(), shout], extra=(
                'plugins: { directories = [ "@DIR@/plugins", "@DIR@/more" ]; '
                "};")))
            daemon.atomctl("reload")
            daemon.write("more/late.so", "hello")
            wait_for(lambda: files(daemon).get("late.so") == "refused",
                     what="the new folder is watched")
            assert inotify_descriptors(daemon)
            daemon.stop()
    unwatched = "plugins: { directories = [ ]; watch = false; };"
    with Daemon(config(extra=unwatched)) as daemon:
        assert not inotify_descriptors(daemon)


@test
def its_threads_end_calls_that_the_daemon_still_hands_on():
    text = "a word and another one, over and over again, " * 20
    with Folder() as folder:
        build(folder.at("plugins", "shout.so"), cflags(folder),
              path=source("tests", "abi", "outside", "shout.c"))
        with Daemon(config(agents=agent("loud", SHOUT),
                           extra=plugins_of(folder.at("plugins")))) as daemon:
            with ThreadPoolExecutor(4) as pool:
                answers = pool.map(lambda _: daemon.chat("loud", text),
                                   range(100))
            assert all(a.content == text.upper() for a in answers)
            assert daemon.metrics().sum("atomd_requests_total",
                                        agent="loud", code="200") == 100


@test
def a_plugin_dropped_into_the_folder_is_found_at_reload():
    with Folder() as folder:
        flags = cflags(folder)
        os.makedirs(folder.at("plugins"), mode=0o755)
        before = config(agents=agent("quiet"),
                        extra=plugins_of(folder.at("plugins")))
        after = config(agents=agent("quiet") + "," + agent("loud", SHOUT),
                       extra=plugins_of(folder.at("plugins")))
        with Daemon(before) as daemon:
            answer = daemon.reload(after)
            assert answer.status >= 400, answer
            assert "there is no backend plugin `shout`" in answer.text, answer
            assert daemon.chat("quiet", "hi").content == "hi"
            build(folder.at("plugins", "shout.so"), flags,
                  path=source("tests", "abi", "outside", "shout.c"))
            answer = daemon.reload(after)
            assert answer.status == 200, answer
            assert daemon.chat("loud", "hi").content == "HI"


@test
def wrong_plugins_beside_it_are_listed_and_the_daemon_serves_on():
    with Folder() as folder:
        flags = cflags(folder)
        wrong = {
            "WRONG_MAJOR": "built for plugin ABI 99.0, this atomd speaks",
            "WRONG_MAGIC": "wrong magic",
            "WRONG_NULL_OP": "its function `evaluate` is missing",
            "WRONG_CONSTRUCTOR_EXIT": "ended the probe",
            "WRONG_INIT_FAILS": "the moon is not in place",
        }
        for name in wrong:
            build(folder.at("plugins", name.lower() + ".so"), flags,
                  path=WRONG, defines=["-D" + name,
                                       '-DNAME="%s"' % name.lower()])
        folder.write("plugins/text.so", "a text", 0o644)
        with open(folder.at("plugins", "wrong_magic.so"), "rb") as f:
            content = f.read()
        with open(folder.at("plugins", "half.so"), "wb") as f:
            f.write(content[:len(content) // 3])
        with Daemon(config(extra=plugins_of(folder.at("plugins")))) as daemon:
            assert daemon.chat("echo", "hi").content == "hi"
            for name, sentence in wrong.items():
                row = row_of(daemon, name.lower() + ".so")
                assert row["state"] == "refused", row
                assert sentence in row["last_error"], row
            for file in ("text.so", "half.so"):
                assert row_of(daemon, file)["state"] == "refused"
            wait_for(lambda: daemon.count_event("plugin_refused")
                     >= len(wrong) + 2, 20, "a line for each refused file")
            assert daemon.reload().status == 200
            assert daemon.chat("echo", "hi").content == "hi"


@test
def a_plugin_that_hangs_in_its_init_holds_up_nobody_at_reload():
    with Folder() as folder:
        flags = cflags(folder)
        os.makedirs(folder.at("plugins"), mode=0o755)
        with Daemon(config(extra=plugins_of(folder.at("plugins")))) as daemon:
            build(folder.at("plugins", "slow.so"), flags, path=WRONG,
                  defines=["-DWRONG_INIT_HANGS"])
            with ThreadPoolExecutor() as pool:
                reload = pool.submit(daemon.reload, None, 40)
                calls = 0
                while not reload.done():
                    assert daemon.chat("echo", "hi").content == "hi"
                    calls += 1
            answer = reload.result()
            assert answer.status == 200, answer
            # Held up, the first would have lasted as long as the reload.
            assert calls > 3, calls
            row = row_of(daemon, "slow.so")
            assert "did not end in its init() within 5 s" in row[
                "last_error"], row
            assert daemon.chat("echo", "hi").content == "hi"


@test
def a_configuration_that_needs_a_refused_plugin_says_why():
    with Folder() as folder:
        build(folder.at("plugins", "shout.so"), cflags(folder), path=WRONG,
              defines=["-DWRONG_MAJOR", '-DNAME="shout"'])
        path = folder.write("atomd.conf", config(
            agents=agent("loud", SHOUT),
            extra=plugins_of(folder.at("plugins"))).replace(
                "@DIR@", str(folder)))
        done = run_atomd("-t", "-c", path)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 78, (done.returncode, said)
        assert ("the backend plugin `shout` is refused: shout.so: built for "
                "plugin ABI 99.0, this atomd speaks 1.") in said, said


@test
def a_folder_that_others_may_write_is_not_loaded_from():
    with Folder() as folder:
        build(folder.at("plugins", "shout.so"), cflags(folder),
              path=source("tests", "abi", "outside", "shout.c"))
        os.chmod(folder.at("plugins"), 0o777)
        with Daemon(config(extra=plugins_of(folder.at("plugins")))) as daemon:
            row = row_of(daemon, "shout.so")
            assert row["state"] == "refused", row
            assert "may be written by everybody" in row["last_error"], row


if __name__ == "__main__":
    run()
