"""Rows of raw requests: what is sent, and what has to become of it.

A row is (rfc, name, verdict, request).  `rfc` is the document and section
that decides; the verdict names the status of each answer in order and then
what becomes of the connection:

    "200 kept"    one answer; the request pipelined behind it is answered,
                  and so is a third one that is sent later
    "400 closed"  one answer with Connection: close, then the end: what was
                  pipelined behind it is not answered
    "405 unread"  the answer is given by the head alone: when the body has
                  not come by then, "405 closed", else "405 kept"
    "closed"      no answer: the message is not complete when its sender
                  says that no more will come

Behind each row that is not incomplete NEXT is sent in the same bytes.  Where
a request's framing lets its body reach into NEXT, or end before it seems to,
the answers to what is left of it are listed like any other.
"""

from collections import namedtuple

Row = namedtuple("Row", "rfc name verdict request")

# Its answer is told from every other by what it names.
NEXT = b"GET /v1/models/pipelined HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHAT = '{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
LENGTH = "Content-Length: %d" % len(CHAT)
CHUNKED = "Transfer-Encoding: chunked"


def row(rfc, name, verdict, request):
    return Row(rfc, name, verdict, request.encode("latin-1"))


def start(*lines):
    return "\r\n".join(lines) + "\r\n\r\n"


def get(*fields, method="GET", target="/healthz", version="HTTP/1.1",
        host="127.0.0.1"):
    """A head of GET /healthz, or with another part in its place."""
    hosts = [] if host is None else ["Host: " + host]
    return start("%s %s %s" % (method, target, version), *hosts, *fields)


def post(*fields, version="HTTP/1.1"):
    """A head of a call; its body has to be CHAT to be answered by 200."""
    return get("Content-Type: application/json", *fields, method="POST",
               target="/v1/chat/completions", version=version)


def chunk(text, extension=""):
    return "%x%s\r\n%s\r\n" % (len(text), extension, text)


def chunked(*pieces, trailer="", last="0"):
    """A chunked body of these pieces."""
    return "".join(map(chunk, pieces)) + last + "\r\n" + trailer + "\r\n"
