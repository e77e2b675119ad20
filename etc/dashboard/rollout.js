// A rollout: where it is, what its judge has seen, and a person's word to it.

import { api, name } from "./api.js";
import { badge, confirm, fill, h, table } from "./dom.js";
import { brief, count, percent, seconds, time, weight } from "./format.js";
import { PHASES } from "./overview.js";

const ORDERS = {
	promote: { word: "Promote", done: "promoted a step",
		text: "Ends the pause: the rollout goes to its next step." },
	full: { word: "Promote fully", done: "promoted fully", order: "promote",
		body: { full: true }, danger: true,
		text: "All calls go to the new revision at once. Its steps and its " +
			"judge are skipped." },
	pause: { word: "Pause", done: "paused",
		text: "The rollout stands where it is until somebody resumes it. It " +
			"is judged all the same." },
	resume: { word: "Resume", done: "resumed", text: "The rollout goes on." },
	abort: { word: "Abort", done: "aborted", danger: true,
		text: "All calls go back to the old revision at once. Calls under way " +
			"end where they began." },
	back: { word: "Go back", done: "taken back", order: "abort", danger: true,
		text: "All calls go back to the old revision at once: it is still " +
			"warm." },
	retry: { word: "Try again", done: "begun again",
		text: "The rollout begins again, from its first step." },
};

function possible(rollout) {
	switch (rollout.stage) {
	case "steps":
	case "finishing":
		return [rollout.phase === "Paused" ? "promote" : null, "full",
			rollout.waits_for === "person" ? "resume" : "pause", "abort"]
			.filter(Boolean);
	case "warm":
		return ["back"];
	case "over":
		return rollout.outcome === "aborted" ? ["retry"] : [];
	default:
		return [];
	}
}

function order(rollout, which, changed) {
	const row = ORDERS[which];
	confirm({
		title: `${row.word}: ${rollout.agent} ${rollout.from} → ${rollout.to}`,
		text: row.text, action: row.word, danger: row.danger,
		async act() {
			await api(`/admin/v1/deployments/${name(rollout.id)}/` +
				(row.order || which), { method: "POST", body: row.body || {} });
			changed();
			return `The rollout of ${rollout.agent} is ${row.done}.`;
		} });
}

function split(rollout) {
	const share = rollout.stage === "warm" || rollout.outcome === "promoted"
		? 10000 : rollout.weight;
	return h("div", { class: "split", role: "img", "aria-label":
		`revision ${rollout.to} has ${weight(share)} of the calls` },
	h("span", { style: { width: share / 100 + "%" } }));
}

export function facts(rows) {
	return h("dl", { class: "facts" }, rows.filter(row => row[1])
		.map(([term, text]) => [h("dt", { key: term }, term),
			h("dd", { key: term }, text)]));
}

// The judge's evidence is of logarithms; people read the odds.
function evidence() {
	return table([
		{ name: "Looked at", cell: row => row.name.replaceAll("_", " ") },
		{ name: "Verdict", cell: row => badge(row.verdict.replaceAll("_", " "),
			{ worse: "bad", not_worse: "good" }[row.verdict] || "plain") },
		{ name: "New: bad of calls", number: true, cell: ({ evidence: e }) =>
			`${count(e.new_bad)} of ${count(e.new_calls)}` },
		{ name: "Share", number: true, cell: ({ evidence: e }) =>
			percent(e.new_calls > 0 ? e.new_bad / e.new_calls : 0) },
		{ name: "Old: bad of calls", number: true, cell: ({ evidence: e }) =>
			`${count(e.old_bad)} of ${count(e.old_calls)}` },
		{ name: "Share", number: true, cell: ({ evidence: e }) =>
			percent(e.old_calls > 0 ? e.old_bad / e.old_calls : 0) },
		{ name: "Evidence: worse", number: true, cell: ({ evidence: e }) =>
			odds(e.worse_log) },
		{ name: "Not worse", number: true, cell: ({ evidence: e }) =>
			odds(e.not_worse_log) },
	], { caption: "What the judge has counted", key: row => row.name,
		empty: "The judge has counted nothing yet." });
}

const odds = log => Number.isFinite(log)
	? (log > 15 ? "> 10⁶" : Math.exp(log).toFixed(2)) + " : 1" : "–";

export function rolloutView(may, changed) {
	const box = h("div", {});
	const seen = evidence();
	return { node: h("div", { id: "rollout" }, box, seen.node), set(rollout) {
		seen.node.hidden = !rollout;
		if (!rollout) {
			fill(box, h("p", { class: "empty" },
				"This agent has had no rollout since the daemon knows of it."));
			return;
		}
		const judge = rollout.judge;
		seen.set(rollout.analysis || []);
		fill(box,
			h("div", { class: "line" },
				badge(rollout.phase, PHASES[rollout.phase]),
				rollout.outcome !== "open" ? badge(rollout.outcome,
					rollout.outcome === "promoted" ? "good" : "warn") : null,
				h("strong", {}, `revision ${rollout.from} → ${rollout.to}`),
				h("span", {}, `step ${Math.min(rollout.step + 1,
					rollout.steps)} of ${rollout.steps}, `,
					weight(rollout.weight), " of the calls"),
				h("span", { class: "actions" }, may(["modify_config"])
					? possible(rollout).map(which => h("button", {
						type: "button", key: which,
						class: which === "abort" || which === "back" ? "danger"
							: which === "promote" ? "primary" : "",
						onclick: () => order(rollout, which, changed),
					}, ORDERS[which].word))
					: null)),
			split(rollout),
			facts([
				["Reason", rollout.reason], ["Strategy", rollout.strategy],
				["Judge", judge ? `${judge.name}: ` + (judge.reason ||
					judge.verdict.replaceAll("_", " ")) : "nobody"],
				["Looked at", judge?.metric ? `${judge.metric} ` +
					`${count(judge.value)} against ${count(judge.threshold)}`
					: null],
				["Waits for", { person: "a person", thaw: "the end of the freeze",
					time: "its time", webhook: "a webhook" }[rollout.waits_for]],
				["Begun", `${time(rollout.began)} by ${rollout.who || "–"}` +
					(rollout.why ? ": " + rollout.why : "")],
				["Ended", rollout.ended ? time(rollout.ended) : null],
				["Warm for", rollout.warm_left_ms > 0
					? seconds(rollout.warm_left_ms / 1000) : null],
				["Mirrored", rollout.mirrored ? `${count(
					rollout.mirrored.calls)} calls, ` +
					`${count(rollout.mirrored.status_differs)} with another ` +
					`status, similarity ${brief(rollout.mirrored.similarity)}`
					: null],
			]));
	} };
}

