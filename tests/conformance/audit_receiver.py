"""An HTTP receiver of audit records that keeps what it took, and misbehaves.

    with Receiver() as receiver:
        receiver.plan = ["500", "429 1"]     # then 200 for ever
        ... url = receiver.url ...
        assert receiver.sequences() == [1, 2, 3]

Steps of the plan: a status code, with a Retry-After behind it; `hang` (until
the receiver ends); `close` (no answer); `garbage` (no HTTP); `endless` (200,
and a body that never ends).
"""

import http.server
import json
import socket
import threading


class Request:
    def __init__(self, handler, body, status):
        self.headers, self.body, self.status = handler.headers, body, status
        self.path, self.client = handler.path, handler.client_address
        if handler.headers["Content-Type"] == "application/x-ndjson":
            self.lines = [json.loads(l) for l in body.split(b"\n")[:-1]]
            assert body.endswith(b"\n")
        else:
            self.lines = json.loads(body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with receiver.lock:
            step = (receiver.plan.pop(0) if receiver.plan
                    else receiver.otherwise).split()
            request = Request(self, body, step[0])
            receiver.requests.append(request)
        if step[0] == "hang":
            receiver.ended.wait()
            self.close_connection = True
        elif step[0] == "close":
            self.close_connection = True
        elif step[0] == "garbage":
            self.wfile.write(b"\x00\xff what? \r\n\r\n" * 20)
            self.close_connection = True
        elif step[0] == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not receiver.ended.is_set():
                    self.wfile.write(b"x" * 4096)
            except OSError:
                pass
            self.close_connection = True
        else:
            text = b"because\n" if step[0] != "204" else b""
            self.send_response(int(step[0]))
            if len(step) > 1:
                self.send_header("Retry-After", step[1])
            if step[0].startswith("3"):
                self.send_header("Location", receiver.url + "elsewhere")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass


class Receiver:
    def __init__(self, port=0, context=None):
        self.plan, self.otherwise, self.requests = [], "200", []
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.receiver = self
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True)
        self.url = "http%s://127.0.0.1:%d/" % ("s" if context else "",
                                               self.port)

    def __enter__(self):
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def taken(self):
        """Lines of the requests that were answered with 2xx, in order."""
        with self.lock:
            return [line for request in self.requests
                    if request.status.startswith("2")
                    or request.status == "endless"
                    for line in request.lines]

    def sequences(self):
        return [line["sequence"] for line in self.taken()
                if line["type"] == "record"]


def refusing_port():
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
