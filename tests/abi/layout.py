"""The layout of every public struct, the value of every public enumerator
and the text of every public constant, one a line, as the compiler's debugging
information tells them."""

import os
import re
import subprocess
import tempfile

HEADERS = ("plugin.h", "host.h", "thread.h", "backend.h", "scaling.h",
           "deployment.h", "calls.h", "history.h", "monitor.h", "audit.h", "store.h")


class Die:
    def __init__(self, depth, offset, tag):
        self.depth = depth
        self.offset = offset
        self.tag = tag
        self.attributes = {}
        self.children = []


ENTRY = re.compile(r"^\s*<([0-9a-f]+)><([0-9a-f]+)>: Abbrev Number: \d+ "
                   r"\((DW_TAG_\w+)\)")
ATTRIBUTE = re.compile(r"^\s*<[0-9a-f]+>\s+(DW_AT_\w+)\s*: (.*)$")


def read_dies(text):
    """readelf's print of .debug_info as a tree; by offset."""
    by_offset, stack = {}, []
    for line in text.split("\n"):
        entry = ENTRY.match(line)
        if entry:
            die = Die(int(entry.group(1), 16), int(entry.group(2), 16),
                      entry.group(3))
            by_offset[die.offset] = die
            del stack[die.depth:]
            if stack:
                stack[-1].children.append(die)
            stack.append(die)
            continue
        attribute = ATTRIBUTE.match(line)
        if attribute and stack:
            stack[-1].attributes[attribute.group(1)] = attribute.group(2)
    return by_offset


def name_of(die):
    text = die.attributes.get("DW_AT_name", "").strip()
    text = re.sub(r"^\(ind\w+ string, offset: 0x[0-9a-f]+\): ", "", text)
    return re.sub(r"^\(indexed string: 0x[0-9a-f]+\): ", "", text).strip()


def number_of(die, attribute):
    text = die.attributes.get(attribute, "0").split("\t")[0].strip()
    text = re.sub(r"^\(\w+\) ", "", text).split(" ")[0]
    return int(text, 0)


class Types:
    def __init__(self, by_offset):
        self.by_offset = by_offset

    def of(self, die):
        text = die.attributes.get("DW_AT_type")
        if text is None:
            return None
        return self.by_offset[int(text.strip().strip("<>"), 16)]

    def words(self, die):
        """The type as C would say it, structs by name only."""
        if die is None:
            return "void"
        tag, name = die.tag, name_of(die)
        if tag == "DW_TAG_pointer_type":
            to = self.of(die)
            if to is not None and to.tag == "DW_TAG_subroutine_type":
                return self.words(to)
            return self.words(to) + " *"
        if tag == "DW_TAG_const_type":
            return "const " + self.words(self.of(die))
        if tag == "DW_TAG_volatile_type":
            return "volatile " + self.words(self.of(die))
        if tag in ("DW_TAG_structure_type", "DW_TAG_union_type"):
            return "struct " + name
        if tag == "DW_TAG_array_type":
            counts = "".join("[%d]" % self.count(c) for c in die.children)
            return self.words(self.of(die)) + counts
        if tag == "DW_TAG_subroutine_type":
            given = [self.words(self.of(c)) for c in die.children
                     if c.tag == "DW_TAG_formal_parameter"]
            return "%s (*)(%s)" % (self.words(self.of(die)),
                                   ", ".join(given) or "void")
        if name == "long unsigned int":
            return "unsigned long"
        return name

    def count(self, die):
        if "DW_AT_count" in die.attributes:
            return number_of(die, "DW_AT_count")
        return number_of(die, "DW_AT_upper_bound") + 1

    def size(self, die):
        if die.tag == "DW_TAG_pointer_type":
            return 8
        if die.tag == "DW_TAG_array_type":
            total = self.size(self.of(die))
            for child in die.children:
                total *= self.count(child)
            return total
        if "DW_AT_byte_size" in die.attributes:
            return number_of(die, "DW_AT_byte_size")
        return self.size(self.of(die))


def layout_lines(types):
    for die in types.by_offset.values():
        name = name_of(die)
        if die.tag == "DW_TAG_structure_type" and name.startswith("atom_") \
                and "DW_AT_byte_size" in die.attributes:
            yield "struct %s: at least %d bytes" % (
                name, number_of(die, "DW_AT_byte_size"))
            for member in die.children:
                kind = types.of(member)
                yield "struct %s: %s at %d, %d bytes, %s" % (
                    name, name_of(member),
                    number_of(member, "DW_AT_data_member_location"),
                    types.size(kind), types.words(kind))
        elif die.tag == "DW_TAG_enumerator" and name.startswith("ATOM_"):
            yield "enum %s = %d" % (name, number_of(die,
                                                    "DW_AT_const_value"))
        elif die.tag == "DW_TAG_typedef" and name.startswith("atom_"):
            yield "typedef %s is %s" % (name, types.words(types.of(die)))


# A younger minor may say otherwise.
MOVING = {"ATOM_ABI_MINOR", "ATOM_NEEDS_MINOR"}


def constant_lines(compiler, include, headers):
    text = "".join("#include <atomd/%s>\n" % h for h in headers)
    done = subprocess.run([*compiler, include, "-E", "-dM", "-x", "c", "-"],
                          input=text, text=True, capture_output=True,
                          check=True)
    for line in done.stdout.split("\n"):
        match = re.match(r"#define (ATOM_[A-Z0-9_]+) (.+)$", line)
        if match and match.group(1) not in MOVING and \
                not match.group(1).endswith("_") and \
                re.match(r'^("[^"]*"|[-0-9a-fA-FxulUL()* ]+)$',
                         match.group(2)):
            yield "constant %s is %s" % match.groups()


def current(compiler, source):
    """Every line there is now, sorted."""
    include = "-I" + os.path.join(source, "include")
    text = "".join("#include <atomd/%s>\n" % h for h in HEADERS)
    with tempfile.NamedTemporaryFile(suffix=".o") as made:
        subprocess.run([*compiler, include, "-std=gnu11", "-g", "-gdwarf-4",
                        "-fno-eliminate-unused-debug-types", "-c", "-x", "c",
                        "-o", made.name, "-"], input=text, text=True,
                       check=True)
        dump = subprocess.run(["readelf", "--debug-dump=info", made.name],
                              capture_output=True, text=True, check=True)
    lines = set(layout_lines(Types(read_dies(dump.stdout))))
    lines |= set(constant_lines(compiler, include, HEADERS))
    return sorted(lines, key=order)


def order(line):
    """Members by their place, the rest by name."""
    match = re.match(r"struct (\w+): (?:at least|(\w+) at (\d+))", line)
    if match:
        return ("struct", match.group(1), int(match.group(3) or -1), line)
    return (line.split(" ")[0], line, 0, line)
