"""Certificates and free ports for peers that are not ours."""

import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))

from atomd_test import Skip  # noqa: E402


def openssl(*args):
    program = shutil.which("openssl")
    if not program:
        raise Skip("openssl is missing")
    subprocess.run([program, *args], check=True, capture_output=True)


def authority(folder, name):
    """A certificate authority; returns the path of its certificate."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            "/CN=test authority " + name, "-keyout",
            folder.at(name + ".key"), "-out", folder.at(name + ".pem"))
    return folder.at(name + ".pem")


def certificate(folder, authority_name, name, names="DNS:localhost"):
    """NAME.pem and NAME.key for `names`, signed by the authority."""
    openssl("req", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=localhost", "-keyout", folder.at(name + ".key"), "-out",
            folder.at(name + ".csr"))
    extensions = folder.write(name + ".ext",
                              "subjectAltName=" + names)
    openssl("x509", "-req", "-days", "2", "-in", folder.at(name + ".csr"),
            "-CA", folder.at(authority_name + ".pem"), "-CAkey",
            folder.at(authority_name + ".key"), "-CAcreateserial",
            "-extfile", extensions, "-out", folder.at(name + ".pem"))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
