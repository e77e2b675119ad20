// Talk to an agent, and see what a caller sees: the text as it comes, who
// answered, how long it took.

import { api, stream } from "./api.js";
import { busy, button, field, fill, h } from "./dom.js";
import { count, seconds } from "./format.js";
import { facts } from "./rollout.js";

export default async function tryPage() {
	const listed = (await api("/v1/models")).data.map(one => one.id);
	const agent = h("select", { name: "agent", required: true },
		listed.map(id => h("option", { value: id }, id)));
	const text = h("textarea", { name: "text", rows: "4", required: true,
		placeholder: "What shall it answer?" });
	const session = h("input", { name: "session", autocomplete: "off",
		pattern: "[A-Za-z0-9_.:\\-]{1,128}" });
	const out = h("div", { class: "answer", id: "answer", "aria-live": "polite",
		"aria-label": "Answer", tabindex: "0", role: "region" });
	const told = h("div", { id: "told" });
	const error = h("p", { class: "error", role: "alert" });
	const go = h("button", { type: "submit", class: "primary" }, "Send");
	const stop = button("Stop", () => running?.abort());
	busy(stop, true);
	let running = null;

	async function send() {
		if (busy(go, true))
			return;
		busy(stop, false);
		const began = performance.now();
		const since = () => (performance.now() - began) / 1000;
		const said = { first: null, pieces: 0, usage: null, answer: null };
		running = new AbortController();
		fill(error, "");
		fill(out);
		fill(told, h("p", { class: "dim" }, "Waiting for the first piece …"));
		const show = ended => fill(told, facts([
			["Request", said.answer?.headers.get("x-request-id")],
			["Agent", said.answer?.headers.get("x-atomd-agent")],
			["Revision", said.answer?.headers.get("x-atomd-revision")],
			["First piece", said.first === null ? null : seconds(said.first)],
			["Until now", ended ? null : seconds(since())],
			["Whole answer", ended ? seconds(since()) : null],
			["Pieces", count(said.pieces)],
			["Tokens", said.usage ? `${count(said.usage.prompt_tokens)} in, ` +
				`${count(said.usage.completion_tokens)} out` : null],
		]));
		try {
			await stream("/v1/chat/completions", {
				method: "POST", signal: running.signal,
				headers: session.value ? { "x-atomd-session": session.value } : {},
				body: { model: agent.value, stream: true,
					stream_options: { include_usage: true },
					messages: [{ role: "user", content: text.value }] },
			}, (name, data) => {
				if (data === "[DONE]")
					return;
				const piece = JSON.parse(data);
				if (piece.error)
					throw new Error(piece.error.message);
				const delta = piece.choices?.[0]?.delta?.content;
				said.usage = piece.usage || said.usage;
				if (!delta)
					return;
				said.first ??= since();
				said.pieces++;
				out.append(delta);
				show(false);
			}, answer => {
				said.answer = answer;
			});
			show(true);
		} catch (failure) {
			fill(error, failure.name === "AbortError" ? "Stopped."
				: failure.message);
			show(true);
		}
		running = null;
		busy(go, false);
		busy(stop, true);
	}

	const form = h("form", { class: "try" }, h("div", { class: "line" },
		field("Agent", agent), field("Session", session,
			"empty: nothing is remembered")),
	field("Message", text), h("div", { class: "actions" }, stop, go));
	form.addEventListener("submit", event => {
		event.preventDefault();
		send();
	});
	text.addEventListener("keydown", event => {
		if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
			form.requestSubmit();
	});
	return { title: "Try it", node: h("div", { class: "narrow" },
		h("div", { class: "head" }, h("h1", {}, "Try it")),
		listed.length === 0 ? h("p", { class: "empty" },
			"This key is for no agent.") : form,
		error, out, told), leave: () => running?.abort() };
}
