#!/usr/bin/env node
// Serves unmodified JavaScript as an agent of atomd.
//
//     atomd-worker.mjs MODULE[:EXPORT] [--concurrency N]
//
// MODULE is a file or a package; EXPORT ("default" where none is named) is a
// function (input, call) that returns or promises the answer, or a generator
// or async generator that yields it in pieces.  The answer is text or anything
// JSON can hold.
//
// `call` has id, agent, messages, stream, sessionId, state (assign it to keep
// it), attempt, meta, deadline (ms since the epoch), cancelled, signal (an
// AbortSignal that fires when nobody waits any more), event(type, data) and
// usage(inputTokens, outputTokens).
//
// console.log() is safe: the protocol has a descriptor of its own.

import { Socket } from "node:net";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { existsSync } from "node:fs";

const LINE_MAX = 8 * 1024 * 1024;
const CHUNK_MAX = 64 * 1024;
const MESSAGE_MAX = 1000;
const CONCURRENCY = 64;
const CODES = new Set(["invalid_input", "provider", "rate_limited",
  "context_overflow", "cancelled", "timeout", "unavailable", "internal"]);

// --- the wire --------------------------------------------------------------

class Wire {
  constructor() {
    const fd = process.env.ATOM_WORKER_FD;
    if (fd) {
      this.input = this.output = new Socket(
        { fd: Number(fd), allowHalfOpen: true });
    } else {
      // On stdin and stdout: what the program prints goes to stderr.
      this.input = process.stdin;
      const write = process.stdout.write.bind(process.stdout);
      this.output = { write, once: (...of) => process.stdout.once(...of) };
      process.stdout.write = process.stderr.write.bind(process.stderr);
    }
    // The daemon has gone: nobody waits for what is still running.
    this.input.on("error", () => process.exit(0));
    if (!fd) process.stdout.on("error", () => process.exit(0));
  }

  static encode(message) {
    // Half of a character is written as an escape that no strict reader
    // takes: it becomes the replacement character.
    const line = JSON.stringify(message).replace(
      /\\(?:\\|u(d[89a-f][0-9a-f]{2}))/g,
      (found, half) => half ? "\\ufffd" : found);
    if (Buffer.byteLength(line) >= LINE_MAX)
      throw new RangeError(`an answer of ${line.length} characters; ` +
        `a line holds ${LINE_MAX} bytes`);
    return line + "\n";
  }

  // Resolves once there is room for more.
  async say(message) {
    if (!this.output.write(Wire.encode(message)))
      await new Promise((room) => this.output.once("drain", room));
  }

  async *lines() {
    let rest = [];
    // What still runs at the end of file may answer: the socket stays.
    const parts = this.input.iterator({ destroyOnReturn: false });
    for await (const part of parts) {
      let start = 0;
      for (let end; (end = part.indexOf(10, start)) >= 0; start = end + 1) {
        yield Buffer.concat([...rest, part.subarray(start, end)])
          .toString("utf8");
        rest = [];
      }
      if (start < part.length) rest.push(part.subarray(start));
    }
  }
}

// --- one call --------------------------------------------------------------

class Cancelled extends Error {
  constructor(reason) {
    super(reason);
    this.code = "cancelled";
  }
}

class Call {
  #wire;
  #stream;
  #sent = [];
  #usage;
  #stateBefore;
  #credit;
  #credited = () => {};
  #controller = new AbortController();

  constructor(wire, message) {
    this.#wire = wire;
    this.#stream = Boolean(message.stream);
    this.id = message.id;
    this.agent = message.agent;
    this.input = message.input;
    this.messages = message.messages ?? [];
    this.attempt = message.attempt ?? 1;
    this.meta = message.meta ?? {};
    this.sessionId = message.session?.id;
    this.state = message.session?.state;
    this.#stateBefore = JSON.stringify(this.state);
    this.deadline = message.deadline_ms
      ? Date.now() + message.deadline_ms : undefined;
    this.signal = this.#controller.signal;
  }

  get stream() {
    return this.#stream;
  }

  get cancelled() {
    return this.signal.aborted;
  }

  event(type, data = {}) {
    this.#wire.say({ op: "event", id: this.id, type, data });
  }

  usage(inputTokens, outputTokens) {
    this.#usage ??= { input_tokens: 0, output_tokens: 0 };
    this.#usage.input_tokens += inputTokens;
    this.#usage.output_tokens += outputTokens;
  }

  // the runner's part

  cancel(reason) {
    this.#controller.abort(new Cancelled(reason));
    this.#credited();
  }

  addCredit(count) {
    this.#credit = (this.#credit ?? 0) + count;
    this.#credited();
  }

  async #chunk(piece) {
    this.signal.throwIfAborted();
    this.#sent.push(piece);
    if (!this.#stream) return;
    const pieces = typeof piece === "string" ? split(piece) : [piece];
    for (const data of pieces) {
      // Until the first credit arrives the daemon has not asked to be careful.
      while (this.#credit !== undefined && this.#credit <= 0) {
        await new Promise((more) => { this.#credited = more; });
        this.signal.throwIfAborted();
      }
      if (this.#credit !== undefined) this.#credit--;
      await this.#wire.say({ op: "chunk", id: this.id, data });
    }
  }

  // What was yielded, where nothing was returned.
  #whole(value) {
    if (value !== undefined || this.#sent.length === 0) return value ?? "";
    if (this.#sent.every((piece) => typeof piece === "string"))
      return this.#sent.join("");
    return this.#sent.length === 1 ? this.#sent[0] : this.#sent;
  }

  async #exhaust(pieces) {
    const walk = pieces[Symbol.asyncIterator]?.() ??
      pieces[Symbol.iterator]();
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await orAborted(
          Promise.resolve(walk.next()), this.signal);
        if (done) {
          ended = true;
          return value;
        }
        await this.#chunk(value);
      }
    } finally {
      if (!ended) Promise.resolve(walk.return?.()).catch(() => {});
    }
  }

  async serve(agent) {
    let value = await orAborted(
      Promise.resolve(agent(this.input, this)), this.signal);
    if (typeof value === "object" && value !== null && !Array.isArray(value)
        && (value[Symbol.asyncIterator] || value[Symbol.iterator]))
      value = await this.#exhaust(value);
    const message = { op: "result", id: this.id, output: this.#whole(value) };
    if (this.#usage) message.usage = this.#usage;
    if (JSON.stringify(this.state) !== this.#stateBefore)
      message.state = this.state;
    await this.#wire.say(message);
  }
}

function split(text) {
  const pieces = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + CHUNK_MAX, text.length);
    // Not between the two halves of a character.
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end--;
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

// A promise, given up when the signal fires.
function orAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(
      () => signal.removeEventListener("abort", stop));
  });
}

// The protocol's words for what was thrown.
function errorOf(id, error) {
  let code = error?.code, retryable = false;
  if (!CODES.has(code)) {
    code = "internal";
    if (error?.name === "TimeoutError") {
      [code, retryable] = ["timeout", true];
    } else if (error?.status === 429) {
      [code, retryable] = ["rate_limited", true];
    } else if (Number.isInteger(error?.status)) {
      [code, retryable] = ["provider", error.status >= 500];
    }
  }
  const message = { op: "error", id, code,
    message: String(error?.message || error || "failed")
      .slice(0, MESSAGE_MAX),
    retryable: Boolean(error?.retryable ?? retryable) };
  if (Number.isFinite(error?.retry_after_ms))
    message.retry_after_ms = Math.round(error.retry_after_ms);
  return message;
}

// --- the worker ------------------------------------------------------------

function usage(problem) {
  console.error(`atomd-worker: ${problem}`);
  console.error("usage: atomd-worker.mjs MODULE[:EXPORT] [--concurrency N]");
  process.exit(2);
}

function parse(words) {
  let name, concurrency = CONCURRENCY;
  while (words.length > 0) {
    const word = words.shift();
    if (word === "--concurrency") {
      concurrency = Number(words.shift());
      if (!(Number.isInteger(concurrency) && concurrency > 0))
        usage("--concurrency wants a number");
    } else if (word.startsWith("-") || name !== undefined) {
      usage(`what is ${word}?`);
    } else {
      name = word;
    }
  }
  if (name === undefined) usage("which module?");
  const [, module, exported] = /^(.+?)(?::([\w$]+))?$/.exec(name);
  return { module, exported: exported ?? "default", concurrency };
}

async function load({ module, exported }) {
  const file = resolve(module);
  const loaded = await import(existsSync(file)
    ? pathToFileURL(file).href : module);
  const agent = loaded[exported];
  if (typeof agent !== "function")
    usage(`${module} exports no function named ${exported}`);
  return agent;
}

async function main() {
  const options = parse(process.argv.slice(2));
  const wire = new Wire();
  const agent = await load(options);
  const calls = new Map(), running = new Set();
  let draining = false;

  const begin = (message) => {
    const call = new Call(wire, message);
    calls.set(call.id, call);
    const task = call.serve(agent).catch((error) => {
      if (!(error instanceof Cancelled)) console.error(error);
      return wire.say(errorOf(call.id, error));
    }).finally(() => {
      calls.delete(call.id);
      running.delete(task);
    });
    running.add(task);
  };

  await wire.say({ op: "ready", protocol: 1, name: "atomd-worker.mjs",
    version: "1", concurrency: options.concurrency,
    caps: ["stream", "cancel", "ping", "state", "credit"],
    agents: { [options.exported]: {} } });
  for await (const line of wire.lines()) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      console.error(`atomd-worker: not a message: ${line.slice(0, 200)}`);
      continue;
    }
    switch (message?.op) {
    case "call":
      begin(message);
      break;
    case "cancel":
      calls.get(message.id)?.cancel(message.reason ?? "cancelled");
      break;
    case "credit":
      calls.get(message.id)?.addCredit(message.n ?? 0);
      break;
    case "ping":
      wire.say({ op: "pong", n: message.n });
      break;
    case "drain":
      draining = true;
      break;
    }
  }
  if (draining) await Promise.allSettled(running);
  process.exit(0);
}

await main();
