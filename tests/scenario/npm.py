"""Packages from the npm registry, for tests alone: never in the source, and at
the versions that a package.json pins."""

import json
import os
import shutil
import subprocess
import tempfile

from atomd_test import Skip, seconds

_folders = {}
_out_of_reach = []


def _is_there(folder, package, version):
    try:
        with open(os.path.join(folder, "node_modules", package,
                               "package.json"), encoding="utf-8") as f:
            return json.load(f)["version"] == version
    except (OSError, ValueError):
        return False


def installed(source, *packages):
    """The build's folder with what `source`/package.json asks for."""
    if source in _folders:
        return _folders[source]
    if _out_of_reach:
        # One long wait for a registry that does not answer is enough.
        raise Skip(_out_of_reach[0])
    npm = shutil.which("npm")
    if not npm:
        raise Skip("npm is missing")
    base = os.environ.get("TOP_BUILDDIR")
    name = os.path.basename(source)
    folder = os.path.join(base, "tests", "state", "npm-" + name) if base else \
        os.path.join(tempfile.gettempdir(), "atomd-npm-%d-%s" % (
            os.getuid(), name))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    shutil.copyfile(os.path.join(source, "package.json"),
                    os.path.join(folder, "package.json"))
    with open(os.path.join(folder, "package.json"), encoding="utf-8") as f:
        pinned = json.load(f)["dependencies"]
    said = b""
    if not all(_is_there(folder, p, pinned[p]) for p in packages):
        try:
            said = subprocess.run(
                [npm, "install", "--no-package-lock", "--no-audit",
                 "--no-fund", "--ignore-scripts", "--omit=peer",
                 "--omit=optional", "--fetch-retries=1",
                 "--loglevel=error"], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=seconds(180), check=False).stdout
        except subprocess.TimeoutExpired as e:
            said = e.stdout or b""
    if not all(_is_there(folder, p, pinned[p]) for p in packages):
        print("# " + said.decode(errors="replace").replace("\n", "\n# "))
        _out_of_reach.append("the npm registry is out of reach")
        raise Skip(_out_of_reach[0])
    _folders[source] = folder
    return folder
