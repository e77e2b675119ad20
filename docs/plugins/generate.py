#!/usr/bin/env python3
"""Writes docs/plugins/KIND-NAME.md from what the built plugins say of
themselves: `make docs-plugins`."""

import os
import sys

TOP = os.environ.get("TOP_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "abi"))

from registry_shell import Folder, Shell  # noqa: E402

HEAD = ("<!-- Made by `make docs-plugins` from the plugin's own tables; "
        "edit those. -->\n")
PLACES = {
    "backend": 'backend: { plugin = "%s"; ... };   # of an agent',
    "scaling": 'scaling: { plugin = "%s"; ... };   # of an agent',
    "deployment": 'deployment: { plugin = "%s"; ... };   # of an agent',
    "judge": 'deployment: { judge = "%s"; ... };   # of an agent',
    "monitor": 'monitors = ( { plugin = "%s"; ... } );',
    "audit": 'audit_sinks = ( { plugin = "%s"; ... } );',
    "store": 'state: { store = "%s"; ... };',
}
TYPES = {
    "bool": "boolean", "int": "integer", "float": "number",
    "string": "string", "choice": "one of", "duration": "duration",
    "size": "size", "secret": "secret string", "strings": "list of strings",
    "ints": "list of integers", "floats": "list of numbers",
    "map": "group of strings", "group": "group", "groups": "list of groups",
}
DURATIONS = ((86400000, "d"), (3600000, "h"), (60000, "m"), (1000, "s"))
SIZES = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def amount(option, value):
    """3600000 ms as 1h, 65536 bytes as 64K."""
    units = {"duration": DURATIONS, "size": SIZES}.get(option["type"], ())
    for size, letter in units:
        if value and value % size == 0 and value // size < 100000:
            return "%d%s" % (value // size, letter)
    if option["type"] == "duration" and value:
        return "%gms" % value
    return "%g" % value if isinstance(value, float) else str(value)


def bounds(option):
    if "min" not in option:
        return ""
    low = amount(option, option["min"])
    if "max" not in option:
        return "from %s" % low
    return "%s to %s" % (low, amount(option, option["max"]))


def kind_of(option):
    words = TYPES[option["type"]]
    if option["type"] == "choice":
        words += " " + ", ".join("`%s`" % c for c in option["choices"])
    unit = option["unit"]
    if unit and option["type"] not in ("duration", "size"):
        words += " (%s)" % unit
    return words


def default_of(option):
    if option["required"]:
        return "*required*"
    value = option.get("default")
    if value is None:
        return ""
    return "`%s`" % value if value else "empty"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def rows(options, prefix=""):
    for option in options:
        if option.get("hidden"):
            continue
        name = prefix + option["name"]
        change = "reload" if option["reloadable"] else ""
        yield "| %s |" % " | ".join(cell(c) for c in (
            "`%s`" % name, kind_of(option), default_of(option),
            bounds(option), option["help"], change))
        inner = name + ("[]." if option["type"] == "groups" else ".")
        yield from rows(option.get("members", ()), inner)


def page(described):
    kind, name = described["kind"], described["name"]
    lines = [HEAD, "# %s/%s" % (kind, name), "",
             described["summary"][0].upper() + described["summary"][1:] + ".",
             "", "    " + PLACES[kind] % name, ""]
    if described["options"]:
        lines += ["| option | type | default | range | what | a change |",
                  "|---|---|---|---|---|---|"]
        lines += list(rows(described["options"]))
        lines += ["", "`reload` in the last column: a reload changes it "
                  "without replacing anything."]
    else:
        lines += ["It takes no options."]
    lines += ["", "More in [the plugin's own README]"
              "(../../plugins/%s/%s/README.md)." % (kind, name), ""]
    return "\n".join(lines)


def index(all_described):
    lines = [HEAD, "# Options of the plugins", "",
             "`atomctl plugin info KIND/NAME` prints the same from the "
             "running daemon.", "", "| plugin | what it does |", "|---|---|"]
    for d in all_described:
        lines.append("| [%s/%s](%s-%s.md) | %s |" % (
            d["kind"], d["name"], d["kind"], d["name"], cell(d["summary"])))
    return "\n".join(lines) + "\n"


def pages(built):
    """{file name: text} for every plugin of the folder."""
    with Folder() as folder:
        for name in sorted(os.listdir(built)):
            if name.endswith(".so"):
                with open(os.path.join(built, name), "rb") as f:
                    folder.write(name, f.read())
        with Shell() as shell:
            shell.scan(folder.path)
            found = shell.rows()
            refused = [r for r in found if r["state"] != "available"]
            assert not refused, refused
            described = [shell.ask("describe", r["kind"], r["name"])
                         for r in sorted(found, key=lambda r: (
                             r["kind"], r["name"]))]
    made = {"%s-%s.md" % (d["kind"], d["name"]): page(d) for d in described}
    made["README.md"] = index(described)
    return made


def main():
    built = os.environ["ATOMD_BUILD_PLUGINS"]
    to = os.path.join(TOP, "docs", "plugins")
    for name, text in pages(built).items():
        with open(os.path.join(to, name), "w", encoding="utf-8") as f:
            f.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
