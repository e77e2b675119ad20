#!/usr/bin/env python3
"""The pages of docs/plugins say what the plugins themselves say."""

import os
import re
import sys

from registry_shell import (Folder, SOURCE, Shell, Skip, compile_plugin, run,
                            test)

FOLDER = os.path.join(SOURCE, "docs", "plugins")
sys.path.insert(0, FOLDER)

import generate  # noqa: E402

BUILT = os.environ.get("ATOMD_BUILD_PLUGINS")


@test
def every_page_is_what_make_docs_plugins_writes():
    if not BUILT:
        raise Skip("ATOMD_BUILD_PLUGINS is not set")
    for name, text in generate.pages(BUILT).items():
        path = os.path.join(FOLDER, name)
        assert os.path.exists(path), name + ": run `make docs-plugins`"
        with open(path, encoding="utf-8") as f:
            assert f.read() == text, name + ": run `make docs-plugins`"


@test
def every_plugin_has_a_readme_of_its_own():
    if not BUILT:
        raise Skip("ATOMD_BUILD_PLUGINS is not set")
    for name in os.listdir(BUILT):
        if name.endswith(".so"):
            kind, plugin = name[:-3].split("-", 1)
            path = os.path.join(SOURCE, "plugins", kind, plugin, "README.md")
            assert os.path.exists(path), path


def listing(name):
    """The indented block of docs/plugins.md that begins with its name."""
    with open(os.path.join(SOURCE, "docs", "plugins.md"),
              encoding="utf-8") as f:
        found = re.search(r"^    /\* %s \*/\n((?:    .*\n|\n)*)" % re.escape(
            name), f.read(), re.M)
    assert found, name
    return re.sub(r"^    ", "", found.group(1), flags=re.M)


@test
def the_tutorials_plugin_is_built_and_loads():
    with Folder() as folder:
        source = folder.at("work", "shout.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(listing("shout.c"))
        compile_plugin(source, folder.at("shout.so"))
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.ask("create", "backend", "shout") is None


@test
def the_tutorials_options_are_legal_and_say_what_it_says():
    with open(os.path.join(SOURCE, "tests/abi/outside/shout.c"),
              encoding="utf-8") as f:
        text = f.read()
    text = text.replace("#include <stdlib.h>\n",
                        "#include <stdlib.h>\n" + listing("options.c"), 1)
    text = re.sub(r"ATOM_COMPONENT_PLAIN\((.*?)&ops\)",
                  r"ATOM_COMPONENT(\1&ops, shout_options, "
                  r"struct shout_options)", text, flags=re.S)
    with Folder() as folder:
        source = folder.at("work", "shout.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(text)
        compile_plugin(source, folder.at("shout.so"))
        with Shell() as shell:
            shell.scan(folder.path)
            assert shell.ask(
                "create", "backend", "shout",
                '{"repeat": 2, "pause_ms": "250ms", "mood": "merry",'
                ' "api_key": "a-key", "stop_words": ["please"]}') is None
            said = shell.ask("create", "backend", "shout")
            assert "option `api_key` (a string) is required" in said[
                "error"], said


if __name__ == "__main__":
    raise SystemExit(run())
