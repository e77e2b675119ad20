#!/usr/bin/env python3
"""The pages of docs/plugins say what the plugins themselves say, and what any
page shows as configuration is taken."""

import glob
import os
import re
import subprocess
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


def blocks(page):
    """The indented and the fenced blocks of a page, without their indent."""
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for found in re.finditer(r"^```\w*\n(.*?)^```$|"
                             r"(?<=\n\n)((?: {4}[^\n]*\n|\n)+)", text,
                             re.M | re.S):
        yield (text.count("\n", 0, found.start()) + 1,
               re.sub(r"^    ", "", found.group(1) or found.group(2),
                      flags=re.M))


def reference(section):
    """The keys of one section of the reference in docs/configuration.md."""
    with open(os.path.join(SOURCE, "docs", "configuration.md"),
              encoding="utf-8") as f:
        table = f.read().split("### %s\n" % section, 1)[1].split("###", 1)[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.M))


def whole(text, top, of_agent):
    """A configuration around a fragment; None: it is no configuration."""
    text = re.split(r"^[$#] ", text, flags=re.M)[0]
    if "..." in text:
        return None
    if re.match(r"\{ *name *=.*\bbackend *[:=]", text, re.S):
        return "agents = (\n%s );" % text.rstrip()
    key = re.match(r"(\w+) *[:=]", text)
    if key is None or key.group(1) not in top | of_agent:
        return None
    if key.group(1) in top:
        return text
    if not re.search(r"\bbackend *[:=]", text):
        text = ('backend: { plugin = "process"; command = [ "true" ]; };\n' +
                text)
    return 'agents = ( { name = "shown";\n%s\n} );' % text


def faults(text, folder):
    """What `atomd -t` says of a configuration, but for what is another
    machine's: its files, its credentials, and the tutorial's plugin."""
    path = folder.at("work", "shown.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    variables = {name: "shown" for name in
                 re.findall(r"\$\{env:(\w+)\}", text)}
    done = subprocess.run(
        [os.environ["ATOMD"], "-t", "-c", path], text=True, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, ATOMD_PLUGIN_DIR=BUILT, **variables))
    lines = [line for line in done.stdout.splitlines()
             if line.startswith(path) and not line.endswith(
                 (": No such file or directory", "plugin `shout`"))]
    return lines if done.returncode else []


@test
def what_pages_show_as_configuration_is_taken():
    if not BUILT or not os.environ.get("ATOMD"):
        raise Skip("ATOMD_BUILD_PLUGINS and ATOMD are not set")
    top, of_agent = reference("The top level"), reference("agents[]")
    pages = [os.path.join(SOURCE, "README.md")]
    for pattern in ("docs/*.md", "docs/*/*.md", "plugins/*/*/README.md"):
        pages += sorted(glob.glob(os.path.join(SOURCE, pattern)))
    wrong, taken = [], 0
    with Folder() as folder:
        for page in pages:
            for line, block in blocks(page):
                # Alternatives, one below the other, are one each.
                parts = re.split(r"\n(?=(?:security|deployment) *:)", block)
                for part in parts:
                    text = whole(part, top, of_agent)
                    if text is None:
                        continue
                    said = faults(text, folder)
                    taken += not said
                    if said:
                        wrong.append((os.path.relpath(page, SOURCE), line,
                                      said))
    assert not wrong, "\n".join(map(str, wrong))
    assert taken >= 50, taken


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
