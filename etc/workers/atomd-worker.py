#!/usr/bin/env python3
"""Serves unmodified Python code as an agent of atomd.

    atomd-worker.py MODULE:NAME [--concurrency N] [--path FOLDER]

MODULE is a module's name or a path ending in .py; the current folder is
searched first.  NAME is one of

    a function             def answer(text): return "..."
    a generator            def answer(text): yield "..."
    an async one of these  async def answer(text): ...
    an agent object        with run(input) or run_async_stream(input), as
                           Atomic Agents' agents have
    a class, or a function without parameters, that makes one of the above:
                           called once a call, so that calls share nothing

A second parameter receives the call: its messages, session, state, deadline,
and event(), usage(), cancelled (class Call below).  What is yielded is sent
as it comes; what is returned is the answer: text, or anything JSON can hold.
Typed input and output are pydantic models, recognised by their model_validate
and model_dump, or dataclasses; a text input fills the one text field of its
schema.

print() is safe: the protocol has a descriptor of its own.  Only the standard
library is needed.
"""

import argparse
import asyncio
import concurrent.futures
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import socket
import sys
import threading
import time
import traceback
import typing

LINE_MAX = 8 * 1024 * 1024
CHUNK_MAX = 64 * 1024
MESSAGE_MAX = 1000
ASYNC_CONCURRENCY = 64
CODES = {"invalid_input", "provider", "rate_limited", "context_overflow",
         "cancelled", "timeout", "unavailable", "internal"}


class InvalidInput(Exception):
    """The caller's input does not fit the agent."""


# --- JSON -----------------------------------------------------------------

def is_model(value):
    """A pydantic model or a dataclass, with its fields."""
    return hasattr(value, "model_dump") or (
        dataclasses.is_dataclass(value) and not inspect.isclass(value))


def plain(value):
    """What JSON can hold of a value it does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_model(value):
        return {field.name: getattr(value, field.name)
                for field in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def encode(message):
    text = json.dumps(message, ensure_ascii=False, allow_nan=False,
                      default=plain, separators=(",", ":"))
    # A lone surrogate is no UTF-8: it becomes a question mark.
    line = text.encode("utf-8", "replace") + b"\n"
    if len(line) > LINE_MAX:
        raise ValueError("an answer of %d bytes; a line holds %d" % (
            len(line), LINE_MAX))
    return line


# --- one call -------------------------------------------------------------

class Call:
    """What a function may know of the call it serves, and say about it."""

    def __init__(self, worker, message):
        self._worker = worker
        self.id = message["id"]
        self.agent = message.get("agent", "")
        self.input = message.get("input")
        self.messages = message.get("messages") or []
        self.stream = bool(message.get("stream"))
        self.attempt = message.get("attempt", 1)
        self.meta = message.get("meta") or {}
        session = message.get("session") or {}
        self.session_id = session.get("id")
        self.state = session.get("state")
        # time.monotonic() at which nobody waits any more, or None
        limit = message.get("deadline_ms")
        self.deadline = time.monotonic() + limit / 1000 if limit else None
        self.started = self.cancelled = False
        self.cancel_reason = None
        self._usage = None
        self._credit = None
        self._credited = asyncio.Event()
        self._sent = []
        self._state_before = json.dumps(self.state, default=plain)

    def event(self, kind, data=None):
        """Tells progress ("tool.start"); also proof of life. [any thread]"""
        self._worker.say_soon({"op": "event", "id": self.id, "type": kind,
                               "data": data if data is not None else {}})

    def usage(self, input_tokens, output_tokens):
        """Adds to what the call has used. [any thread]"""
        before = self._usage or (0, 0)
        self._usage = (before[0] + input_tokens, before[1] + output_tokens)

    # the runner's part

    def add_credit(self, count):
        self._credit = (self._credit or 0) + count
        self._credited.set()

    async def chunk(self, data):
        """Sends a delta once the daemon has room for it."""
        if self.cancelled:
            raise asyncio.CancelledError
        self._sent.append(data)
        if not self.stream:
            return
        pieces = [data[at:at + CHUNK_MAX]
                  for at in range(0, len(data), CHUNK_MAX)] \
            if isinstance(data, str) else [data]
        for piece in pieces:
            # Until the first credit arrives the daemon has not asked to be
            # careful.
            while self._credit is not None and self._credit <= 0:
                self._credited.clear()
                await self._credited.wait()
                if self.cancelled:
                    raise asyncio.CancelledError
            if self._credit is not None:
                self._credit -= 1
            await self._worker.say({"op": "chunk", "id": self.id,
                                    "data": piece})

    def whole(self, value):
        """The answer: what was returned, else what was yielded."""
        if value is None and self._sent:
            if all(isinstance(piece, str) for piece in self._sent):
                return "".join(self._sent)
            return self._sent[-1] if len(self._sent) == 1 else self._sent
        return "" if value is None else value

    def result(self, value):
        message = {"op": "result", "id": self.id, "output": self.whole(value)}
        if self._usage:
            message["usage"] = {"input_tokens": self._usage[0],
                                "output_tokens": self._usage[1]}
        if json.dumps(self.state, default=plain) != self._state_before:
            message["state"] = self.state
        return message


def error_of(call_id, error):
    """The protocol's words for an exception."""
    status = getattr(error, "status_code", None)
    code = getattr(error, "code", None)
    retryable = False
    if code not in CODES:
        code = "internal"
        if isinstance(error, InvalidInput):
            code = "invalid_input"
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            code = "cancelled"
        elif isinstance(error, TimeoutError):
            code, retryable = "timeout", True
        elif status == 429:
            code, retryable = "rate_limited", True
        elif isinstance(status, int):
            code, retryable = "provider", status >= 500
    message = {"op": "error", "id": call_id, "code": code,
               "message": (str(error) or type(error).__name__)[:MESSAGE_MAX],
               "retryable": bool(getattr(error, "retryable", retryable))}
    wait = getattr(error, "retry_after_ms", None)
    if isinstance(wait, (int, float)):
        message["retry_after_ms"] = int(wait)
    return message


# --- typed input and output -----------------------------------------------

def required_fields(schema):
    """[(name, type)] of what a schema cannot be without: a pydantic model, or
    whatever its constructor takes."""
    fields = getattr(schema, "model_fields", None)
    if isinstance(fields, dict):
        return [(name, getattr(field, "annotation", str))
                for name, field in fields.items()
                if not hasattr(field, "is_required") or field.is_required()]
    try:
        parameters = inspect.signature(schema).parameters.values()
    except (TypeError, ValueError):
        return []
    return [(p.name, str if p.annotation in (p.empty, "str")
             else p.annotation) for p in parameters
            if p.default is p.empty and p.kind in (
                p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def text_field(schema):
    """The one required text field of a schema, or None."""
    required = required_fields(schema) if schema is not None else []
    if len(required) == 1 and required[0][1] is str:
        return required[0][0]
    return None


def is_schema(thing):
    return inspect.isclass(thing) and (
        hasattr(thing, "model_validate") or dataclasses.is_dataclass(thing))


def annotated_schema(function):
    """What the first parameter says it wants, where that is a schema."""
    try:
        first = next(iter(inspect.signature(function).parameters))
        wanted = typing.get_type_hints(function).get(first)
    except (TypeError, ValueError, NameError, StopIteration):
        return None
    return wanted if is_schema(wanted) else None


def typed_input(schema, value):
    """The input as the schema wants it."""
    if not inspect.isclass(schema):
        return value
    if isinstance(value, str):
        name = text_field(schema)
        if name is not None:
            value = {name: value}
        else:
            try:
                value = json.loads(value)
            except ValueError:
                raise InvalidInput(
                    "the input must be JSON for %s" % schema.__name__) \
                    from None
    try:
        if hasattr(schema, "model_validate"):
            return schema.model_validate(value)
        return schema(**value)
    except Exception as error:
        raise InvalidInput(str(error)) from error


def typed_output(schema, value):
    """A model with one text field is that text; another is its fields."""
    if not is_model(value):
        return value
    name = text_field(schema or type(value))
    if name is not None and isinstance(getattr(value, name, None), str):
        return getattr(value, name)
    return plain(value)


# --- agents ---------------------------------------------------------------

class FunctionAgent:
    """A function, a generator, or an async one of these."""

    def __init__(self, function):
        self.function = function
        self.wants_call = False
        self.schema = None
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return
        places = [p for p in parameters if p.kind in (
            p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.wants_call = len(places) > 1 and (
            places[1].default is inspect.Parameter.empty
            or places[1].name == "call")
        if places:
            self.schema = annotated_schema(function)

    def schemas(self):
        return self.schema, None

    async def answer(self, worker, call):
        arguments = [typed_input(self.schema, call.input)]
        if self.wants_call:
            arguments.append(call)
        value = await worker.run(self.function, arguments, call.chunk)
        return typed_output(None, value)


class ObjectAgent:
    """An object with run() and its kin.  Its own memory of a conversation
    (`history`, or `memory` in older releases) travels in the session's
    state, so that two sessions never see each other."""

    def __init__(self, agent):
        self.agent = agent

    def schemas(self):
        return (getattr(self.agent, "input_schema", None)
                or annotated_schema(self.method(False)),
                getattr(self.agent, "output_schema", None))

    def method(self, stream):
        """Which of its methods to call: an agent whose model client is
        async has no working run(), and the other way round."""
        whole, parts = ["run"], ["run_stream"]
        later, flow = ["run_async"], ["run_async_stream"]
        client = getattr(self.agent, "client", None)
        if client is None:
            names = flow + parts + whole + later if stream else \
                whole + later + flow + parts
        elif type(client).__name__.startswith("Async"):
            names = flow + later if stream else later + flow
            names += whole
        else:
            names = parts + whole if stream else whole + parts
        for name in names:
            if callable(getattr(self.agent, name, None)):
                return getattr(self.agent, name)
        raise AttributeError("%s has no run()" % type(self.agent).__name__)

    def keeper(self):
        """Where the agent keeps its conversation: (object, reset), or
        None."""
        for name in ("history", "memory"):
            kept = getattr(self.agent, name, None)
            reset = getattr(self.agent, "reset_" + name, None)
            if callable(reset) and hasattr(kept, "dump") \
                    and hasattr(kept, "load"):
                return name, reset
        return None

    def recall(self, call):
        keeper = self.keeper()
        if keeper is None:
            return
        keeper[1]()
        history, state = getattr(self.agent, keeper[0]), call.state
        if isinstance(state, dict) and isinstance(state.get("history"), str):
            history.load(state["history"])
            return
        schemas = dict(zip(("user", "assistant"), self.schemas()))
        for message in call.messages[:-1]:
            schema = schemas.get(message.get("role"))
            field, text = text_field(schema), message.get("content")
            if field and isinstance(text, str) and text:
                history.add_message(message["role"], schema(**{field: text}))

    def remember(self, call):
        keeper = self.keeper()
        if keeper is not None and call.session_id:
            call.state = {"history": getattr(self.agent, keeper[0]).dump()}

    async def answer(self, worker, call):
        input_schema, output_schema = self.schemas()
        value = typed_input(input_schema, call.input)
        self.recall(call)
        last, said = None, ""

        async def part(piece):
            """A partial answer: a stream of ever longer models, or of
            pieces of text."""
            nonlocal last, said
            if isinstance(piece, str):
                await call.chunk(piece)
                return
            last = piece
            text = typed_output(output_schema, piece)
            if isinstance(text, str) and text.startswith(said):
                if len(text) > len(said):
                    await call.chunk(text[len(said):])
                said = text

        answer = await worker.run(self.method(call.stream), [value], part)
        self.remember(call)
        return typed_output(output_schema, last if answer is None else answer)


def looks_like_agent(thing):
    return not inspect.isclass(thing) and any(
        callable(getattr(thing, name, None))
        for name in ("run", "run_async", "run_async_stream"))


def wrap(thing):
    if looks_like_agent(thing):
        return ObjectAgent(thing)
    if callable(thing):
        return FunctionAgent(thing)
    raise TypeError("%r is neither a function nor an agent" % (thing,))


def is_factory(thing):
    """A class, or a function that takes nothing."""
    if inspect.isclass(thing):
        return True
    if looks_like_agent(thing) or not callable(thing):
        return False
    try:
        return not inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return False


class Factory:
    """Makes an agent for each call."""

    def __init__(self, make):
        self.make = make
        self.first = wrap(make())

    def take(self):
        first, self.first = self.first, None
        return first or wrap(self.make())


class Shared:
    """One agent for all calls."""

    def __init__(self, thing):
        self.first = wrap(thing)

    def take(self):
        return self.first


def is_async(agent):
    if isinstance(agent, ObjectAgent):
        methods = [agent.method(True), agent.method(False)]
    else:
        methods = [agent.function]
    return all(inspect.iscoroutinefunction(inspect.unwrap(m))
               or inspect.isasyncgenfunction(inspect.unwrap(m))
               for m in methods)


def load(name, folder):
    """The thing that MODULE:NAME means."""
    module_name, colon, path = name.rpartition(":")
    if not colon or not module_name or not path:
        raise SystemExit("atomd-worker: %r is not MODULE:NAME" % name)
    sys.path.insert(0, folder)
    if module_name.endswith(".py"):
        file = os.path.join(folder, module_name)
        sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
        title = os.path.basename(file)[:-3].replace("-", "_")
        spec = importlib.util.spec_from_file_location(title, file)
        thing = importlib.util.module_from_spec(spec)
        sys.modules[title] = thing
        spec.loader.exec_module(thing)
    else:
        thing = importlib.import_module(module_name)
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


# --- the worker -----------------------------------------------------------

class Worker:
    """The protocol's side of the process."""

    def __init__(self, name, source, concurrency):
        self.name, self.source = name, source
        self.concurrency = concurrency
        self.tasks, self.calls = {}, {}
        self.draining = False
        self.threads = concurrent.futures.ThreadPoolExecutor(concurrency)

    async def open(self):
        self.loop = asyncio.get_running_loop()
        fd = os.environ.get("ATOM_WORKER_FD")
        if fd:
            self.reader, self.writer = await asyncio.open_connection(
                sock=socket.socket(fileno=int(fd)), limit=LINE_MAX)
            return
        # On stdin and stdout: what the program prints goes to stderr.
        answers = os.fdopen(os.dup(1), "wb", 0)
        os.dup2(2, 1)
        self.reader = asyncio.StreamReader(limit=LINE_MAX)
        await self.loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self.reader), sys.stdin)
        transport, protocol = await self.loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, answers)
        self.writer = asyncio.StreamWriter(transport, protocol, None,
                                           self.loop)

    async def say(self, message):
        line = encode(message)
        try:
            self.writer.write(line)
            await self.writer.drain()
        except OSError:
            # The daemon has gone: nobody waits for what is still running.
            os._exit(0)

    def say_soon(self, message):
        line = encode(message)
        if threading.current_thread() is threading.main_thread():
            self.writer.write(line)
        else:
            self.loop.call_soon_threadsafe(self.writer.write, line)

    async def run(self, function, arguments, part):
        """Runs a function of any kind; part(piece) is awaited for each
        piece that it yields; returns what it returned."""
        unwrapped = inspect.unwrap(function)
        if inspect.iscoroutinefunction(unwrapped) or \
                inspect.isasyncgenfunction(unwrapped):
            value = function(*arguments)
        else:
            value = await self.in_thread(function, *arguments)
        if inspect.isawaitable(value):
            value = await value
        if hasattr(value, "__aiter__"):
            try:
                async for piece in value:
                    await part(piece)
            finally:
                if hasattr(value, "aclose"):
                    await value.aclose()
            return None
        if inspect.isgenerator(value):
            return await self.in_thread(self.exhaust, value, part)
        return value

    async def in_thread(self, function, *arguments):
        """A cancelled thread runs on to its end, and the call with it: were
        the call ended earlier, the next one would wait for the thread.  The
        daemon ends a process that takes too long."""
        future = self.loop.run_in_executor(
            self.threads, lambda: function(*arguments))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def exhaust(self, generator, part):
        """[thread]"""
        try:
            while True:
                try:
                    piece = next(generator)
                except StopIteration as end:
                    return end.value
                asyncio.run_coroutine_threadsafe(
                    part(piece), self.loop).result()
        finally:
            generator.close()

    async def serve_call(self, call):
        try:
            call.started = True
            if call.cancelled:
                raise asyncio.CancelledError
            agent = self.source.take()
            value = await agent.answer(self, call)
            if call.cancelled:
                raise asyncio.CancelledError
            await self.say(call.result(value))
        except (asyncio.CancelledError,
                concurrent.futures.CancelledError) as error:
            await self.say(error_of(call.id, asyncio.CancelledError(
                call.cancel_reason or str(error) or "cancelled")))
        except Exception as error:
            if not isinstance(error, InvalidInput):
                traceback.print_exc()
                sys.stderr.flush()
            await self.say(error_of(call.id, error))
        finally:
            self.tasks.pop(call.id, None)
            self.calls.pop(call.id, None)

    def begin(self, message):
        call = Call(self, message)
        self.calls[call.id] = call
        task = self.loop.create_task(self.serve_call(call))
        self.tasks[call.id] = task

    def cancel(self, message):
        call = self.calls.get(message.get("id"))
        if call is None or call.cancelled:
            return
        call.cancelled = True
        call.cancel_reason = message.get("reason") or "cancelled"
        call.add_credit(0)
        # A task that has not begun would never reach its end.
        if call.started:
            self.tasks[call.id].cancel()

    async def serve(self):
        await self.open()
        first = self.source.first
        schemas = {}
        for name, schema in zip(("input_schema", "output_schema"),
                                first.schemas()):
            if hasattr(schema, "model_json_schema"):
                schemas[name] = schema.model_json_schema()
        await self.say({
            "op": "ready", "protocol": 1, "name": "atomd-worker.py",
            "version": "1", "concurrency": self.concurrency,
            "caps": ["stream", "cancel", "ping", "state"] + (
                ["credit"] if self.concurrency > 1 else []),
            "agents": {self.name: schemas}})
        while line := await self.reader.readline():
            try:
                message = json.loads(line)
                op = message.get("op")
            except (ValueError, AttributeError):
                print("atomd-worker: not a message: %r" % line[:200],
                      file=sys.stderr, flush=True)
                continue
            if op == "call":
                self.begin(message)
            elif op == "cancel":
                self.cancel(message)
            elif op == "credit":
                if call := self.calls.get(message.get("id")):
                    call.add_credit(message.get("n", 0))
            elif op == "ping":
                await self.say({"op": "pong", "n": message.get("n")})
            elif op == "drain":
                self.draining = True
        if self.draining and self.tasks:
            await asyncio.wait(list(self.tasks.values()))


def main():
    parser = argparse.ArgumentParser(
        usage="%(prog)s MODULE:NAME [--concurrency N] [--path FOLDER]",
        description="Serves a Python function or agent object to atomd.")
    parser.add_argument("name", metavar="MODULE:NAME")
    parser.add_argument("--concurrency", type=int, metavar="N",
                        help="calls at once (%d for async code, else 1)"
                        % ASYNC_CONCURRENCY)
    parser.add_argument("--path", default=os.getcwd(), metavar="FOLDER",
                        help="where to look for the module first")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    thing = load(options.name, options.path)
    made = is_factory(thing)
    source = Factory(thing) if made else Shared(thing)
    concurrency = options.concurrency or (
        ASYNC_CONCURRENCY if is_async(source.first) else 1)
    if isinstance(source.first, ObjectAgent) and not made:
        # One object holds one conversation at a time.
        concurrency = 1
    worker = Worker(options.name.rpartition(":")[2], source,
                    max(1, concurrency))
    try:
        asyncio.run(worker.serve())
    except (OSError, KeyboardInterrupt):
        pass
    sys.stdout.flush()
    sys.stderr.flush()
    # A function that still runs in a thread must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    main()
