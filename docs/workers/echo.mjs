#!/usr/bin/env node
// An agent for atomd in twenty lines: it says back what it is told.
import { createInterface } from "node:readline";
import { Socket } from "node:net";

const wire = new Socket({ fd: Number(process.env.ATOM_WORKER_FD) });
const say = (line) => wire.write(JSON.stringify(line) + "\n");

say({ op: "ready", protocol: 1, name: "echo", version: "1", concurrency: 8,
  caps: ["stream"], agents: {} });
for await (const line of createInterface({ input: wire })) {
  const { op, id, input, stream } = JSON.parse(line);
  if (op !== "call") continue;
  const words = typeof input === "string" ? input.split(" ") : [];
  if (stream)
    words.forEach((word, n) => say({ op: "chunk", id,
      data: (n ? " " : "") + word }));
  say({ op: "result", id, output: input, usage: {
    input_tokens: words.length, output_tokens: words.length } });
}
