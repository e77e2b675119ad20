"""Builds plugins as somebody else would: against the installed headers, with
one compiler line."""

import os
import shlex
import shutil
import subprocess

from atomd_test import Skip

BUILD = os.environ.get("TOP_BUILDDIR")
CC = shlex.split(os.environ.get("CC") or "cc")


def install_headers(folder):
    """The public headers and atomd.pc under a prefix; its environment."""
    if not shutil.which("pkg-config"):
        raise Skip("pkg-config is missing")
    if not BUILD or not os.path.exists(os.path.join(BUILD, "Makefile")):
        raise Skip("TOP_BUILDDIR has no Makefile")
    prefix = folder.at("prefix")
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
    subprocess.run(["make", "-s", "-C", BUILD, "prefix=" + prefix,
                    "install-pkgincludeHEADERS", "install-pkgconfigDATA"],
                   check=True, env=env, stdout=subprocess.DEVNULL)
    found = [os.path.join(path, "pkgconfig") for path, names, _ in
             os.walk(prefix) if "pkgconfig" in names]
    assert len(found) == 1, found
    return {"PKG_CONFIG_PATH": found[0]}, prefix


def cflags(folder):
    env, prefix = install_headers(folder)
    done = subprocess.run(
        ["pkg-config", "--define-variable=includedir=" + os.path.join(
            prefix, "include"), "--cflags", "atomd"],
        check=True, stdout=subprocess.PIPE, text=True,
        env=dict(os.environ, **env))
    return shlex.split(done.stdout)


def build(to, flags, text=None, path=None, defines=()):
    """One `cc` line."""
    os.makedirs(os.path.dirname(to), mode=0o755, exist_ok=True)
    subprocess.run([*CC, "-shared", "-fPIC", "-Wall", "-Werror", *flags,
                    *defines, "-o", to, *(["-x", "c", "-"] if text else
                                          [path])],
                   input=text, text=True, check=True)
    os.chmod(to, 0o755)


def plugins_of(folder):
    return 'plugins: { directories = [ "%s" ]; };' % folder
