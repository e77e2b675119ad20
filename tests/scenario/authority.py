"""A certificate authority of the tests' own, on the openssl command.

    ca = Authority(folder)                     # folder.path is a directory
    server = ca.issue("localhost", names="DNS:localhost,IP:127.0.0.1")
    server.certificate, server.key             # PEM files
    ca.certificate                             # the authority's own
    ca.revoke(server); ca.crl()                # its revocation list
"""

import os
import subprocess
import time

CONFIG = """
[ca]
default_ca = own
[own]
database = %(dir)s/index
serial = %(dir)s/serial
crlnumber = %(dir)s/crlnumber
new_certs_dir = %(dir)s
certificate = %(dir)s/ca.pem
private_key = %(dir)s/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
organizationalUnitName = optional
"""


def openssl(*arguments, data=None, cwd=None):
    """The command's output; what it says when it fails."""
    done = subprocess.run(["openssl", *arguments], input=data, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, "openssl %s: %s" % (
        " ".join(arguments), done.stderr.decode())
    return done.stdout


class Issued:
    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class Authority:
    def __init__(self, parent, name="test authority"):
        self.dir = os.path.join(parent, "ca-" + name.replace(" ", "-"))
        os.mkdir(self.dir)
        self.count = 0
        self.config = self._write("openssl.cnf", CONFIG % {"dir": self.dir})
        self._write("index", "")
        self._write("serial", "1000\n")
        self._write("crlnumber", "1000\n")
        self.certificate = os.path.join(self.dir, "ca.pem")
        key = os.path.join(self.dir, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-noenc", "-keyout", key,
                "-out", self.certificate, "-days", "90", "-subj",
                "/CN=" + name, "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def issue(self, subject, names="", usage="serverAuth,clientAuth",
              ends_in=60 * 86400, began=-3600, algorithm="ec"):
        """`subject` is a common name, or "/CN=..../O=..."; `names` its
        alternative names as openssl writes them; times in seconds."""
        self.count += 1
        stem = os.path.join(self.dir, "issued-%d" % self.count)
        if not subject.startswith("/"):
            subject = "/CN=" + subject
        options = (["-newkey", "rsa:2048"] if algorithm == "rsa" else
                   ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        openssl("req", "-new", *options, "-noenc", "-keyout", stem + ".key",
                "-out", stem + ".csr", "-subj", subject, "-utf8")
        extensions = "basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n" % usage
        if names:
            extensions += "subjectAltName=%s\n" % names
        self._write("extensions", extensions)
        openssl("ca", "-batch", "-notext", "-preserveDN", "-config",
                self.config, "-in", stem + ".csr", "-out", stem + ".pem",
                "-startdate", stamp(began), "-enddate", stamp(ends_in),
                "-extfile", os.path.join(self.dir, "extensions"))
        return Issued(stem + ".pem", stem + ".key")

    def revoke(self, issued):
        openssl("ca", "-config", self.config, "-revoke", issued.certificate)

    def crl(self, path=None, seconds=None):
        """Writes the list of what is revoked and returns its path."""
        path = path or os.path.join(self.dir, "crl.pem")
        more = ["-crlsec", str(seconds), "-crldays", "0"] if seconds else []
        openssl("ca", "-config", self.config, "-gencrl", "-out", path + "~",
                *more)
        os.replace(path + "~", path)
        return path


def stamp(seconds_from_now):
    return time.strftime("%y%m%d%H%M%SZ",
                         time.gmtime(time.time() + seconds_from_now))
