// The openai package, unchanged, against a running daemon.
//
//     node openai.test.mjs CHECK
//
// ATOMD_URL is the daemon, ATOMD_KEY a key; `echo` is an agent of the echo
// backend, `slow` one that answers a word every 50 ms, `bot` one in front of
// the mock upstream.  A failed check throws, and the exit status is 1.

import assert from "node:assert/strict";
import OpenAI from "openai";

const settings = {
  baseURL: process.env.ATOMD_URL + "/v1",
  apiKey: process.env.ATOMD_KEY ?? "sk-none",
  maxRetries: 0,
  timeout: 20000,
};
const client = new OpenAI(settings);
const user = (content) => [{ role: "user", content }];
const tools = [{
  type: "function",
  function: {
    name: "look_up",
    description: "Looks a word up.",
    parameters: {
      type: "object",
      properties: { text: { type: "string" } },
      required: ["text"],
    },
  },
}];

async function rejects(promise, kind, also = {}) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name}`), (found) => found);
  assert.ok(error instanceof kind,
    `${error?.constructor?.name}: ${error?.message}, not ${kind.name}`);
  for (const [name, value] of Object.entries(also))
    assert.equal(error[name], value, `${name} of ${error}`);
  return error;
}

const checks = {
  async chat() {
    const answer = await client.chat.completions.create(
      { model: "echo", messages: user("hello big world") });
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].message.content, "hello big world");
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, 6);
    assert.ok(answer._request_id, "no x-request-id");
  },

  async raw_response() {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: "echo", messages: user("hi") }).withResponse();
    assert.equal(data.choices[0].message.content, "hi");
    assert.equal(response.headers.get("x-atomd-agent"), "echo");
    assert.equal(response.headers.get("x-request-id"), request_id);
  },

  async stream() {
    for (const model of ["echo", "bot", "slow"]) {
      const stream = await client.chat.completions.create({ model,
        messages: user("one two three"), stream: true,
        stream_options: { include_usage: true } });
      let text = "", finish, usage, chunks = 0;
      for await (const chunk of stream) {
        chunks++;
        text += chunk.choices[0]?.delta.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
      }
      assert.equal(text, "one two three", model);
      assert.equal(finish, "stop", model);
      assert.equal(usage.total_tokens, 6, model);
      assert.ok(chunks >= 4, `${model}: ${chunks} chunks`);
    }
  },

  async stream_helper() {
    const seen = [];
    const runner = client.chat.completions.stream(
      { model: "slow", messages: user("a b c") });
    runner.on("content", (delta) => seen.push(delta));
    assert.equal(await runner.finalContent(), "a b c");
    assert.ok(seen.length >= 3, seen);
  },

  async tools() {
    const answer = await client.chat.completions.create({ model: "bot",
      messages: user("fault:tool"), tools, tool_choice: "auto" });
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.equal(call.function.name, "look_up");
    assert.deepEqual(JSON.parse(call.function.arguments),
      { text: "fault:tool" });
    const next = await client.chat.completions.create({ model: "bot", tools,
      messages: [...user("fine"), answer.choices[0].message,
        { role: "tool", tool_call_id: call.id, content: "42" }] });
    assert.equal(next.choices[0].message.content, "fine");
  },

  async tools_streamed() {
    const answer = await client.chat.completions.stream({ model: "bot",
      messages: user("fault:tool"), tools }).finalChatCompletion();
    const [call] = answer.choices[0].message.tool_calls;
    assert.deepEqual(JSON.parse(call.function.arguments),
      { text: "fault:tool" });
  },

  async formats() {
    const answer = await client.chat.completions.create({ model: "bot",
      messages: user([{ type: "text", text: "what is this" },
        { type: "image_url", image_url: {
          url: "data:image/png;base64,iVBORw0KGgo=" } }]),
      response_format: { type: "json_schema", json_schema: {
        name: "n", strict: true, schema: { type: "object" } } } });
    assert.equal(answer.choices[0].message.content, "what is this");
    assert.equal(answer.system_fingerprint, "fp_mock");
  },

  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.deepEqual(names.sort(), ["bot", "echo", "slow"]);
    const model = await client.models.retrieve("echo");
    assert.equal(model.id, "echo");
    assert.equal(model.object, "model");
    await rejects(client.models.retrieve("nobody"), OpenAI.NotFoundError,
      { status: 404, code: "agent_not_found" });
  },

  async errors() {
    const ask = (text, model = "bot") => client.chat.completions.create(
      { model, messages: user(text) });
    await rejects(ask("x", "nobody"), OpenAI.NotFoundError,
      { code: "agent_not_found" });
    await rejects(client.chat.completions.create({ model: "echo",
      messages: [] }), OpenAI.BadRequestError, { code: "invalid_request" });
    await rejects(ask("fault:status 400"), OpenAI.BadRequestError,
      { code: "context_length_exceeded" });
    await rejects(ask("fault:status 404"), OpenAI.NotFoundError,
      { code: "model_not_found" });
    await rejects(ask("fault:status 422"), OpenAI.UnprocessableEntityError);
    await rejects(ask("fault:status 413"), OpenAI.APIError,
      { status: 413 });
    await rejects(ask("fault:status 401"), OpenAI.InternalServerError,
      { status: 502, code: "backend_auth" });
    const limited = await rejects(ask("fault:status 429 7"),
      OpenAI.RateLimitError, { code: "backend_rate_limited" });
    assert.equal(limited.headers.get("retry-after"), "7");
    await rejects(ask("fault:status 500"), OpenAI.InternalServerError,
      { status: 502, code: "backend_error" });
    await rejects(ask("fault:reset"), OpenAI.InternalServerError,
      { status: 502 });
  },

  async bad_key() {
    const other = new OpenAI({ ...settings, apiKey: "atm_wrong_key" });
    await rejects(other.chat.completions.create(
      { model: "echo", messages: user("x") }), OpenAI.AuthenticationError,
    { status: 401, code: "invalid_api_key" });
  },

  async forbidden() {
    await rejects(client.chat.completions.create(
      { model: "echo", messages: user("x") }),
    OpenAI.PermissionDeniedError, { status: 403, code: "permission_denied" });
  },

  async broken_stream() {
    for (const fault of ["cut 2", "reset-midway 2", "error-event 2"]) {
      const stream = await client.chat.completions.create({ model: "bot",
        messages: user("fault:" + fault), stream: true });
      let chunks = 0;
      const error = await (async () => {
        for await (const chunk of stream) chunks += chunk.choices.length;
      })().then(() => undefined, (found) => found);
      assert.ok(error instanceof OpenAI.APIError,
        `${fault}: ${error ?? "passed for a success"}`);
      assert.ok(chunks > 0, fault);
    }
  },

  async abort() {
    const controller = new AbortController();
    const stream = await client.chat.completions.create({ model: "bot",
      messages: user("fault:endless"), stream: true },
    { signal: controller.signal });
    let chunks = 0;
    for await (const chunk of stream) {
      assert.ok(chunk.choices);
      if (++chunks === 5) controller.abort();
    }
    assert.ok(chunks >= 5);
    const whole = new AbortController();
    const asked = client.chat.completions.create({ model: "bot",
      messages: user("fault:stall") }, { signal: whole.signal });
    // By then it is upstream.
    setTimeout(() => whole.abort(), 1500);
    await rejects(asked, OpenAI.APIUserAbortError);
  },

  async session() {
    const headers = { "x-atomd-session": "npm" };
    for (const text of ["one", "two"])
      await client.chat.completions.create(
        { model: "echo", messages: user(text) }, { headers });
    const kept = await client.get("/agents/echo/sessions/npm");
    assert.deepEqual(kept.messages.map((m) => m.content),
      ["one", "one", "two", "two"]);
  },

  async many_at_once() {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) =>
      client.chat.completions.create(
        { model: "echo", messages: user(`call ${n}`) })));
    answers.forEach((answer, n) =>
      assert.equal(answer.choices[0].message.content, `call ${n}`));
  },

  async no_retry_where_it_cannot_help() {
    const patient = new OpenAI({ ...settings, maxRetries: 3 });
    await rejects(patient.chat.completions.create(
      { model: "bot", messages: user("fault:stall") }),
    OpenAI.InternalServerError, { status: 504, code: "timeout" });
  },

  // With a key of 120 requests and 5000 tokens a minute.
  async limits() {
    const ask = (who, more = {}) => who.chat.completions.create(
      { model: "echo", messages: user("x"), max_tokens: 5, ...more });
    const { response } = await ask(client).withResponse();
    assert.equal(response.headers.get("x-ratelimit-limit-requests"), "120");
    assert.equal(response.headers.get("x-ratelimit-limit-tokens"), "5000");
    let error;
    for (let n = 0; n < 1000 && error === undefined; n++)
      error = await ask(client).then(() => undefined, (found) => found);
    assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
    assert.equal(error.status, 429);
    assert.equal(error.code, "rate_limit_exceeded");
    assert.equal(error.type, "rate_limit_error");
    assert.equal(error.headers.get("retry-after"), "1");
    assert.match(error.message, /limit 120, used 120/);
    // It waits as long as it was told to, and then passes.
    const patient = new OpenAI({ ...settings, maxRetries: 2 });
    const answer = await ask(patient);
    assert.equal(answer.choices[0].message.content, "x");
    await rejects(ask(patient, { max_tokens: 5001 }), OpenAI.RateLimitError,
      { status: 429, code: "rate_limit_exceeded" });
  },
};

const check = checks[process.argv[2]];
assert.ok(check, `no check ${process.argv[2]}; there are ${
  Object.keys(checks).join(" ")}`);
await check();
