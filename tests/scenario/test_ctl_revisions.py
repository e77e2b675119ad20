#!/usr/bin/env python3
"""atomctl deploy, undo, revisions, agents delete: against a real daemon."""

import json

from atomctl_test import columns, document, fails, succeeds
from atomd_test import Daemon, agent, config, run, test, wait_for

TWO = 'backend: { plugin = "echo"; };\nsystem_prompt = "two";\n'


def echo():
    return config(agents=agent(more='system_prompt = "one";'))


def serves(daemon, number, name="echo"):
    wait_for(lambda: any(
        a["name"] == name and a["revision"] == number
        for a in document(daemon.atomctl("--json", "agents"))), 20,
        "revision %d of %s serves" % (number, name))


@test
def a_file_is_deployed_listed_compared_and_undone():
    with Daemon(echo(), files={"echo.conf": TWO}) as daemon:
        path = daemon.dir + "/echo.conf"
        said = succeeds(daemon.atomctl("deploy", "echo", "-f", path,
                                       "--reason", "CHG 7"))
        assert said == "echo: revision 2 follows 1\n", said
        serves(daemon, 2)
        rows = columns(succeeds(daemon.atomctl("revisions", "echo")),
                       "REVISION")
        assert [r[0] for r in rows] == ["2*", "1"], rows
        assert rows[0][2] == "api" and rows[1][2] == "file", rows
        assert rows[0][4:] == ["system_prompt", "CHG 7"], rows
        said = succeeds(daemon.atomctl("revisions", "echo", "--diff", "2"))
        assert said == ("- system_prompt = one\n"
                        "+ system_prompt = two\n"), said
        again = succeeds(daemon.atomctl("deploy", "-f", path, "echo"))
        assert "says that already: revision 2" in again, again
        said = succeeds(daemon.atomctl("undo", "echo"))
        assert said == ("echo: revision 3 follows 2\nby a rollout: "
                        "revision 1 is not kept warm (any more)\n"), said
        rows = columns(succeeds(daemon.atomctl("revisions", "echo")),
                       "REVISION")
        assert rows[0][2] == "undo to 1", rows


@test
def what_export_prints_can_be_deployed_and_is_no_change():
    with Daemon(echo()) as daemon:
        text = succeeds(daemon.atomctl("agents", "export", "echo"))
        daemon.write("echo.conf", text)
        shape = document(daemon.atomctl(
            "deploy", "echo", "-f", daemon.dir + "/echo.conf", "--json"))
        assert shape["changed"] is False and shape["revision"] == 1, shape
        shape = document(daemon.atomctl(
            "--json", "deploy", "echo", "-f", "-", stdin=text.replace(
                "one", "three").encode()))
        assert shape["changed"] is True and shape["revision"] == 2, shape
        rows = document(daemon.atomctl("--json", "revisions", "echo"))
        assert [r["revision"] for r in rows] == [2, 1], rows
        one = document(daemon.atomctl("--json", "revisions", "echo",
                                      "--diff", "2"))
        assert one["difference"] == [{"key": "system_prompt", "from": "one",
                                      "to": "three"}], one


@test
def a_wrong_file_is_told_by_its_line_and_changes_nothing():
    with Daemon(echo(), files={"bad.conf": TWO + "max_tokenz = 1;\n"}) \
            as daemon:
        fails(daemon.atomctl("deploy", "echo", "-f",
                             daemon.dir + "/bad.conf"), 1,
              "bad.conf:3:", "max_tokenz", "max_tokens")
        fails(daemon.atomctl("deploy", "echo", "-f", daemon.dir + "/none"),
              1, "none")
        fails(daemon.atomctl("deploy", "echo"), 2, "-f FILE")
        fails(daemon.atomctl("deploy", "nobody", "-f", "-",
                             stdin=TWO.encode()), 1, "nobody")
        fails(daemon.atomctl("undo", "echo"), 1, "before the one in force")
        fails(daemon.atomctl("undo", "echo", "--to", "x"), 2, "--to", "'x'")
        fails(daemon.atomctl("undo", "echo", "--to", "7"), 1, "revision 7")
        fails(daemon.atomctl("revisions", "nobody"), 1, "nobody")
        fails(daemon.atomctl("revisions", "echo", "--diff", "9"), 1)
        fails(daemon.atomctl("revisions", "echo", "--diff", "0"), 2)
        assert len(document(daemon.atomctl("--json", "revisions",
                                           "echo"))) == 1


@test
def an_agent_is_created_and_deleted():
    with Daemon(echo(), files={"new.conf": TWO}) as daemon:
        path = daemon.dir + "/new.conf"
        said = succeeds(daemon.atomctl("deploy", "new", "-f", path,
                                       "--create"))
        assert said == "new: revision 1\n", said
        assert daemon.chat("new", "hello").status == 200
        fails(daemon.atomctl("deploy", "new", "-f", path, "--create"), 1,
              "already")
        fails(daemon.atomctl("agents", "delete", "echo"), 1, "reload")
        assert "deleted" in succeeds(daemon.atomctl("agents", "delete",
                                                    "new"))
        assert daemon.chat("new", "hello").status == 404


@test
def without_the_permission_it_exits_4_and_shows_no_value():
    with Daemon(echo()) as daemon:
        succeeds(daemon.atomctl("deploy", "echo", "-f", "-",
                                stdin=TWO.encode()))
        key = document(daemon.atomctl("--json", "keys", "create", "--role",
                                      "operator"))["key"]
        env = {"ATOMD_URL": daemon.url, "ATOMD_KEY": key}
        fails(daemon.atomctl("deploy", "echo", "-f", "-", stdin=b"a = 1;",
                             env=env), 4, "modify_config")
        fails(daemon.atomctl("undo", "echo", env=env), 4)
        rows = json.loads(succeeds(daemon.atomctl("--json", "revisions",
                                                  "echo", env=env)))
        assert rows[0]["changes"] == ["system_prompt"], rows
        fails(daemon.atomctl("revisions", "echo", "--diff", "2", env=env), 4,
              "view_all")


if __name__ == "__main__":
    run()
