"""An issuer of tokens: its keys, its JWK set, the tokens it signs, and the
server it publishes its keys from, well-behaved or not.

    issuer = Issuer(folder)
    key = issuer.add("ES256")
    issuer.jwks()                              # the set, as text
    issuer.token(key, role="ops", sub="ann")   # signed now, for five minutes
    with KeyServer(issuer, authority) as server:
        server.url, server.hits
"""

import base64
import http.server
import json
import os
import select
import ssl
import threading
import time

from authority import openssl

MAKE = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "PS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "EdDSA": ["-algorithm", "ED25519"],
}
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]


def base64url(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_of_der(der):
    """r and s of an ECDSA signature, 32 bytes each."""
    assert der[0] == 0x30
    at, out = 2, b""
    for _ in range(2):
        assert der[at] == 2
        length = der[at + 1]
        number = int.from_bytes(der[at + 2:at + 2 + length], "big")
        out += number.to_bytes(32, "big")
        at += 2 + length
    return out


class Key:
    def __init__(self, path, algorithm, kid):
        self.path, self.algorithm, self.kid = path, algorithm, kid
        openssl("genpkey", *MAKE[algorithm], "-out", path)

    def jwk(self):
        public = openssl("pkey", "-in", self.path, "-pubout", "-outform",
                         "DER")
        jwk = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "ES256":
            jwk.update(kty="EC", crv="P-256", x=base64url(public[-64:-32]),
                       y=base64url(public[-32:]))
        elif self.algorithm == "EdDSA":
            jwk.update(kty="OKP", crv="Ed25519", x=base64url(public[-32:]))
        else:
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus")
            jwk.update(kty="RSA", e="AQAB", n=base64url(
                bytes.fromhex(modulus.decode().strip().split("=")[1])))
        return jwk

    def sign(self, text):
        data = text.encode()
        if self.algorithm == "EdDSA":
            with open(self.path + ".input", "wb") as file:
                file.write(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path,
                           "-in", self.path + ".input")
        more = PSS if self.algorithm == "PS256" else []
        signature = openssl("dgst", "-sha256", "-sign", self.path, "-binary",
                            *more, data=data)
        return raw_of_der(signature) if self.algorithm == "ES256" \
            else signature


class Issuer:
    def __init__(self, folder, name="https://id.example",
                 audience="atomd"):
        self.folder, self.name, self.audience = folder, name, audience
        self.keys, self.made = [], 0

    def add(self, algorithm="ES256", kid=None):
        self.made += 1
        key = Key(os.path.join(self.folder, "issuer-%d.pem" % self.made),
                  algorithm, kid or "key-%d" % self.made)
        self.keys.append(key)
        return key

    def jwks(self):
        return json.dumps({"keys": [key.jwk() for key in self.keys]})

    def token(self, key, header=None, ends_in=300, **claims):
        now = int(time.time())
        every = {"iss": self.name, "aud": self.audience, "sub": "ann",
                 "iat": now, "exp": now + ends_in}
        every.update(claims)
        every = {k: v for k, v in every.items() if v is not None}
        head = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
        head.update(header or {})
        text = "%s.%s" % (base64url(json.dumps(head)),
                          base64url(json.dumps(every)))
        return "%s.%s" % (text, base64url(key.sign(text)))


def wait_for_close(connection, ended):
    """Until the other side has gone away, or `ended` is set."""
    try:
        while not ended.is_set():
            if select.select([connection], [], [], 0.05)[0] and \
                    not connection.recv(1000):
                return
    except OSError:
        pass


class KeyServer:
    """Serves the issuer's set over https (http without an authority).  What
    it does is in `mode`: "good", "error", "garbage", "empty", "endless",
    "silent", "redirect"."""

    def __init__(self, issuer, authority=None, certificate=None, port=0):
        self.issuer, self.mode, self.hits = issuer, "good", 0
        self.ended = threading.Event()
        self.left_waiting = 0  # who asked a silent one and went away
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits += 1
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port),
                                                      Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, address: None
        scheme = "http"
        if authority:
            scheme = "https"
            certificate = certificate or authority.issue(
                "localhost", "DNS:localhost,IP:127.0.0.1")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = "%s://localhost:%d/jwks.json" % (scheme, self.port)
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.05},
                                       daemon=True)

    def answer(self, handler):
        mode = self.mode
        body = {"garbage": b"<html>not found</html>",
                "empty": b'{"keys":[]}'}.get(mode)
        if mode == "silent":
            wait_for_close(handler.connection, self.ended)
            self.left_waiting += 1
            return
        if body is None:
            body = self.issuer.jwks().encode()
        handler.send_response({"error": 503, "redirect": 302}.get(mode, 200))
        if mode == "redirect":
            handler.send_header("Location", "/elsewhere.json")
        handler.send_header("Content-Type", "application/json")
        if mode != "endless":
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        if mode == "endless":
            handler.wfile.write(b'{"keys":[')
            while not self.ended.is_set():
                handler.wfile.write(b" " * 65536)
        handler.wfile.write(body)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
