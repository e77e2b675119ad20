#!/usr/bin/env python3
"""An agent for atomd in twenty lines: it says back what it is told."""
import json
import os

wire = os.fdopen(int(os.environ["ATOM_WORKER_FD"]), "r+b", buffering=0)


def say(**line):
    wire.write(json.dumps(line).encode() + b"\n")


say(op="ready", protocol=1, name="echo", version="1", concurrency=1,
    caps=["stream"], agents={})
for line in os.fdopen(os.dup(wire.fileno()), encoding="utf-8"):
    call = json.loads(line)
    if call["op"] != "call":
        continue
    text = call["input"]
    words = text.split(" ") if isinstance(text, str) else []
    for n, word in enumerate(words if call.get("stream") else []):
        say(op="chunk", id=call["id"], data=" " * (n > 0) + word)
    say(op="result", id=call["id"], output=text,
        usage={"input_tokens": len(words), "output_tokens": len(words)})
