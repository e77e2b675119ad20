"""An OpenAI-compatible upstream that answers, records and misbehaves.

    with Mock() as mock:
        ... base_url = mock.url ...
        assert mock.calls[-1].json["model"] == "m"

The answer repeats the last user text, one word a delta.  A fault is chosen by
`mock.behaviour`, by the last user text ("fault:status 429 7") or by the model
("fault:cut"), in this order.  The faults:

    status CODE [RETRY_AFTER]   an OpenAI error; the text quotes a key
    reset                       RST before the first byte
    reset-midway [N]            RST after N deltas (or half of the body)
    stall                       nothing, ever
    stall-midway [N]            N deltas (or half of the body), then nothing
    trickle [MS]                the body byte by byte, MS between
    long [N]                    Content-Length N bytes more than the body
    short                       Content-Length less than the body
    endless                     deltas without end
    endless-body                one JSON answer without end
    endless-head                header fields without end
    garbage-head                no HTTP at all
    garbage-json                status 200, not JSON
    garbage-sse                 status 200, events that are not JSON
    wrong-json                  status 200, JSON of another shape
    cut [N]                     a clean end of the stream without [DONE]
    slow-first MS               MS before the head
    slow MS                     MS before each delta
    length                      finish_reason "length"
    error-event                 an error object within the stream
    tool                        a tool call instead of text

Run as a program it prints its URL and serves until its stdin ends.
"""

import asyncio
import json
import socket
import sys
import threading
import time

SECRET = "sk-upstream-4f1d9c"


class Call:
    """What one request brought, and how it ended."""

    def __init__(self, method, path, headers, body, number):
        self.method, self.path, self.headers = method, path, headers
        self.body, self.number = body, number
        self.started = time.monotonic()
        self.finished = self.cancelled = False
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    def __repr__(self):
        return "<%s %s %r%s%s>" % (
            self.method, self.path, self.body[:300],
            " finished" * self.finished, " cancelled" * self.cancelled)


class Gone(Exception):
    """The client closed its connection."""


class Connection:
    """One connection from the daemon: requests in, answers out."""

    def __init__(self, mock, reader, writer):
        self.mock, self.reader, self.writer = mock, reader, writer
        self.buffer, self.gone = b"", asyncio.Event()
        self.watcher = None

    async def fill(self):
        more = await self.reader.read(65536)
        if not more:
            raise Gone
        self.buffer += more

    async def line(self):
        while b"\n" not in self.buffer:
            await self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    async def exactly(self, count):
        while len(self.buffer) < count:
            await self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    async def request(self):
        method, path, _ = (await self.line()).split(" ")
        headers = []
        while line := await self.line():
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        named = dict(headers)
        body = b""
        if named.get("expect"):
            self.mock.expects += 1
        if "content-length" in named:
            body = await self.exactly(int(named["content-length"]))
        elif named.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await self.line(), 16):
                body += await self.exactly(size)
                await self.line()
            await self.line()
        return method, path, headers, body

    async def watch(self):
        """Notices that the client left while it is being answered."""
        try:
            while True:
                more = await self.reader.read(65536)
                if not more:
                    break
                self.buffer += more
        except (ConnectionError, OSError):
            pass
        self.gone.set()

    async def send(self, content):
        if self.gone.is_set():
            raise Gone
        self.writer.write(content if isinstance(content, bytes)
                          else content.encode())
        await self.writer.drain()

    async def pause(self, seconds):
        """Waits, or raises at once when the client leaves."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise Gone

    async def head(self, status=200, kind="application/json", length=None,
                   more=()):
        reasons = {200: "OK", 400: "Bad Request", 429: "Too Many Requests"}
        lines = ["HTTP/1.1 %d %s" % (status, reasons.get(status, "Status")),
                 "Content-Type: " + kind, "X-Upstream: mock", *more]
        lines.append("Transfer-Encoding: chunked" if length is None
                     else "Content-Length: %d" % length)
        await self.send("\r\n".join(lines) + "\r\n\r\n")

    async def chunk(self, content):
        if isinstance(content, str):
            content = content.encode()
        await self.send(b"%x\r\n%s\r\n" % (len(content), content))

    async def last_chunk(self):
        await self.send(b"0\r\n\r\n")

    async def whole(self, content, status=200, more=()):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        await self.head(status, length=len(content), more=more)
        await self.send(content)

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    async def serve(self):
        self.mock.connections += 1
        self.mock.open += 1
        try:
            while True:
                method, path, headers, body = await self.request()
                call = self.mock.record(method, path, dict(headers), body)
                call.fields = headers
                self.gone.clear()
                watcher = asyncio.ensure_future(self.watch())
                try:
                    again = await answer(self, call)
                    call.finished = not call.cancelled
                    if not again:
                        return
                except (Gone, ConnectionError):
                    call.cancelled = True
                    return
                finally:
                    call.ended = time.monotonic()
                    watcher.cancel()
                    try:
                        await watcher
                    except asyncio.CancelledError:
                        pass
                if self.gone.is_set():
                    return
        except (Gone, ConnectionError, ValueError, OSError):
            pass
        finally:
            self.mock.open -= 1
            self.writer.close()


def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content
                   if isinstance(part, dict))


def words_of(text):
    """The text in pieces that keep their spaces."""
    pieces, start = [], 0
    for at in range(1, len(text)):
        if text[at - 1].isspace() and not text[at].isspace():
            pieces.append(text[start:at])
            start = at
    return pieces + [text[start:]] if text else []


def completion(call, text, finish="stop", tool=None):
    body = call.json
    message = {"role": "assistant", "content": text, "refusal": None}
    if tool:
        message = {"role": "assistant", "content": None, "tool_calls": [tool]}
        finish = "tool_calls"
    return {"id": "chatcmpl-%d" % call.number, "object": "chat.completion",
            "created": 1700000000, "model": body.get("model"),
            "choices": [{"index": 0, "message": message, "logprobs": None,
                         "finish_reason": finish}],
            "usage": usage(call, text), "system_fingerprint": "fp_mock",
            "service_tier": "default"}


def usage(call, text):
    prompt = sum(len(text_of(m).split())
                 for m in call.json.get("messages", []))
    answer = len(text.split())
    return {"prompt_tokens": prompt, "completion_tokens": answer,
            "total_tokens": prompt + answer}


def delta(call, content=None, finish=None, **more):
    change = dict(more)
    if content is not None:
        change["content"] = content
    return "data: %s\n\n" % json.dumps({
        "id": "chatcmpl-%d" % call.number,
        "object": "chat.completion.chunk", "created": 1700000000,
        "model": call.json.get("model"), "system_fingerprint": "fp_mock",
        "choices": [{"index": 0, "delta": change, "logprobs": None,
                     "finish_reason": finish}]})


ERRORS = {
    400: ("invalid_request_error", "context_length_exceeded"),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "model_forbidden"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", "unprocessable"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


def choose_tool(call):
    """Calls the first tool offered, with the last user text."""
    tool = call.json["tools"][0]["function"]["name"]
    text = text_of(call.json["messages"][-1])
    return {"id": "call_1", "type": "function", "function": {
        "name": tool, "arguments": json.dumps({"text": text})}}


async def answer(connection, call):
    """Answers one call; True when the connection may be used again."""
    mock = connection.mock
    if mock.gate is not None:
        while not mock.gate.is_set():
            await connection.pause(0.01)
    if call.path.endswith("/models"):
        await connection.whole({"object": "list", "data": [
            {"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
        return True
    if call.json is None or not call.path.endswith("/chat/completions"):
        await connection.whole({"error": {"message": "no such thing"}}, 404)
        return True
    messages = call.json.get("messages") or [{}]
    users = [m for m in messages if m.get("role") == "user"]
    text = text_of(users[-1]) if users else ""
    fault = mock.behaviour
    if not fault and text.startswith("fault:"):
        fault = text[6:]
    if not fault and str(call.json.get("model")).startswith("fault:"):
        fault = call.json["model"][6:]
    name, *numbers = (fault or "none").split()
    numbers = [int(number) for number in numbers]
    return await (answer_stream if call.json.get("stream") else answer_whole)(
        connection, call, mock.answer or text, name, numbers)


async def refuse(connection, numbers):
    status = numbers[0]
    kind, code = ERRORS.get(status, ("server_error", "server_error"))
    more = []
    if len(numbers) > 1:
        more.append("Retry-After: %d" % numbers[1])
    await connection.whole({"error": {
        "message": "upstream says %d about %s" % (status, SECRET),
        "type": kind, "code": code, "param": None}}, status, more)
    return True


async def before_head(connection, call, name, numbers):
    """Faults that both kinds of answer share; None: carry on."""
    if name == "status":
        return await refuse(connection, numbers)
    if name == "reset":
        connection.reset()
        return False
    if name == "stall":
        await connection.pause(600)
        return False
    if name == "garbage-head":
        await connection.send(b"\x16\x03\x01 what is this\n\n" * 20)
        return False
    if name == "endless-head":
        await connection.send("HTTP/1.1 200 OK\r\n")
        while True:
            await connection.send("X-More: %s\r\n" % ("y" * 1000))
            await connection.pause(0.0005)
    if name == "slow-first":
        await connection.pause(numbers[0] / 1000)
    if name == "garbage-json":
        await connection.whole(b"<html>\xff not json {{{")
        return True
    if name == "wrong-json":
        await connection.whole(b'{"hello":["world",null]}')
        return True
    return None


async def answer_whole(connection, call, text, name, numbers):
    early = await before_head(connection, call, name, numbers)
    if early is not None:
        return early
    tool = choose_tool(call) if name == "tool" else None
    answer = completion(call, text,
                        "length" if name == "length" else "stop", tool)
    if not connection.mock.counts:
        del answer["usage"]
    body = json.dumps(answer).encode()
    if name == "slow":
        await connection.pause(numbers[0] / 1000)
    half = len(body) // 2
    if name in ("reset-midway", "stall-midway", "cut"):
        await connection.head(length=len(body))
        await connection.send(body[:half])
        if name == "reset-midway":
            await connection.pause(0.05)
            connection.reset()
        if name == "stall-midway":
            await connection.pause(600)
        return False
    if name == "trickle":
        await connection.head(length=len(body))
        for at in range(len(body)):
            await connection.send(body[at:at + 1])
            await connection.pause((numbers or [20])[0] / 1000)
        return True
    if name == "long":
        await connection.head(length=len(body) + (numbers or [100])[0])
        await connection.send(body)
        return False
    if name == "short":
        await connection.head(length=half)
        await connection.send(body)
        return False
    if name in ("endless", "endless-body"):
        await connection.head()
        await connection.chunk('{"id":"x","choices":[{"message":{"content":"')
        while True:
            await connection.chunk("word " * 2000)
            connection.mock.sent += 10000
            await connection.pause(0.0005)
    await connection.whole(body)
    return True


async def answer_stream(connection, call, text, name, numbers):
    early = await before_head(connection, call, name, numbers)
    if early is not None:
        return early
    mock = connection.mock
    await connection.head(kind="text/event-stream")
    if name == "garbage-sse":
        await connection.chunk("data: {{{ not json\n\nrubbish\n\n" * 5)
        await connection.chunk(b"data: \xff\xfe\0\n\n")
        await connection.last_chunk()
        return True
    if name == "endless-body":
        while True:
            await connection.chunk("data: " + "x" * 60000)
            mock.sent += 60000
            await connection.pause(0.0005)
    await connection.chunk(delta(call, "", role="assistant"))
    pieces = words_of(text)
    if name == "units":
        # Half a surrogate pair a delta, as providers cut them.
        pieces = [chr(int.from_bytes(unit, "little")) for unit in
                  map(bytes, zip(*[iter(text.encode(
                      "utf-16-le", "surrogatepass"))] * 2))]
    if name == "endless":
        pieces = iter(lambda: "word " * 400, None)
    stop = (numbers or [2])[0] if name in (
        "reset-midway", "stall-midway", "cut", "error-event") else None
    if name == "tool":
        pieces = []
        tool = choose_tool(call)
        arguments = tool["function"]["arguments"]
        first = dict(tool, index=0, function={
            "name": tool["function"]["name"], "arguments": ""})
        await connection.chunk(delta(call, tool_calls=[first]))
        for at in range(0, len(arguments), 5):
            await connection.chunk(delta(call, tool_calls=[
                {"index": 0, "function": {
                    "arguments": arguments[at:at + 5]}}]))
    for count, piece in enumerate(pieces):
        if count == stop:
            break
        if name == "slow" or mock.slow_ms:
            await connection.pause((numbers or [mock.slow_ms])[0] / 1000)
        elif name == "endless":
            await connection.pause(0.0005)
        while mock.deltas is not None and not mock.deltas.acquire(False):
            await connection.pause(0.005)
        event = delta(call, piece)
        mock.sent += len(event)
        if name == "trickle":
            for at in range(len(event)):
                await connection.chunk(event[at])
                await connection.pause((numbers or [5])[0] / 1000)
        else:
            await connection.chunk(event)
    if name == "reset-midway":
        await connection.pause(0.05)
        connection.reset()
        return False
    if name == "stall-midway":
        await connection.pause(600)
        return False
    if name == "cut":
        await connection.last_chunk()
        return True
    if name == "error-event":
        await connection.chunk("data: %s\n\n" % json.dumps({"error": {
            "message": "the model fell over", "type": "server_error",
            "code": "model_error", "param": None}}))
        await connection.last_chunk()
        return True
    finish = {"length": "length", "tool": "tool_calls"}.get(name, "stop")
    await connection.chunk(delta(call, finish=finish))
    asked = (call.json.get("stream_options") or {}).get("include_usage")
    if asked and mock.counts:
        await connection.chunk("data: %s\n\n" % json.dumps({
            "id": "chatcmpl-%d" % call.number,
            "object": "chat.completion.chunk", "created": 1700000000,
            "model": call.json.get("model"), "choices": [],
            "usage": usage(call, text)}))
    await connection.chunk("data: [DONE]\n\n")
    await connection.last_chunk()
    return True


class Mock:
    """The upstream, on a thread of its own; over TLS with a context."""

    def __init__(self, tls=None):
        self.tls = tls
        self.behaviour = self.answer = None
        self.slow_ms = 0
        self.counts = True  # answers tell their usage
        self.gate = self.deltas = None
        self.calls = []
        self.connections = self.open = self.sent = self.expects = 0
        self.lock = threading.Lock()

    def record(self, method, path, headers, body):
        with self.lock:
            call = Call(method, path, headers, body, len(self.calls) + 1)
            self.calls.append(call)
            return call

    def hold(self):
        """Holds every answer back until release()."""
        self.gate = threading.Event()

    def release(self):
        self.gate.set()

    def hold_deltas(self):
        """Holds each delta of an answer back until let_go_delta()."""
        self.deltas = threading.Semaphore(0)

    def let_go_delta(self):
        self.deltas.release()

    @property
    def cancelled(self):
        return sum(call.cancelled for call in self.calls)

    @property
    def url(self):
        return "%s:%d/v1" % ("https://localhost" if self.tls
                             else "http://127.0.0.1", self.port)

    def __enter__(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        self.port = listener.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, args=(listener,),
                                       daemon=True)
        self.thread.start()
        return self

    def _run(self, listener):
        asyncio.set_event_loop(self.loop)
        self.tasks = set()

        async def serve(reader, writer):
            self.tasks.add(asyncio.current_task())
            try:
                await Connection(self, reader, writer).serve()
            except asyncio.CancelledError:
                pass
            finally:
                self.tasks.discard(asyncio.current_task())

        self.loop.run_until_complete(
            asyncio.start_server(serve, sock=listener, backlog=2048,
                                 ssl=self.tls))
        self.loop.run_forever()

    def __exit__(self, *_):
        async def end():
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0)
            self.loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)


if __name__ == "__main__":
    with Mock() as served:
        print(served.url, flush=True)
        sys.stdin.read()
