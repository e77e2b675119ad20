// Alerts, what the analysts say about them, and silences.

import { api, has, name } from "./api.js";
import { badge, button, confirm, field, fill, h, panel, table }
	from "./dom.js";
import { ago, brief, time } from "./format.js";
import { repeat } from "./live.js";
import { TONES } from "./overview.js";

const ALERTS = "/admin/v1/alerts";
const SILENCES = ALERTS + "/silences";
const NOTES = "/admin/v1/annotations";

const listOf = (told, word) => Array.isArray(told) ? told : told[word] || [];

// Some members of `annotations` are the rule's words, others the analysts'.
const RULES_OWN = ["summary", "description", "runbook_url", "dashboard"];

function notesOf(alert) {
	return Object.entries(alert.annotations || {})
		.filter(([word]) => !RULES_OWN.includes(word));
}

// When that was said: the newest note beside the alert is what it has.
function timeOf(alert, text, said) {
	const note = said.find(row => row.alert === alert.name &&
		row.agent === alert.agent && row.text === text);
	return note ? h("span", { class: "dim" }, `${time(note.time)}, ` +
		ago(note.time)) : null;
}

function alertCard(alert, silence, said) {
	const notes = notesOf(alert);
	return h("article", {
		key: JSON.stringify([alert.monitor, alert.name, alert.labels]),
		class: "alert " + (TONES[alert.severity] || "plain") },
		h("div", { class: "line" },
			badge(alert.severity, TONES[alert.severity]),
			h("h3", {}, alert.name), badge(alert.state, alert.state === "firing"
				? "bad" : "plain"),
			alert.silenced ? badge("silenced") : null,
			alert.agent ? h("a", { href: "#/agents/" + name(alert.agent) },
				alert.agent) : null,
			h("span", { class: "dim" }, "since " + time(alert.since) + ", " +
				ago(alert.since)),
			silence && !alert.silenced ? h("span", { class: "actions" },
				button("Silence", () => silence(alert))) : null),
		h("p", {}, alert.message || alert.annotations?.summary || ""),
		h("p", { class: "dim" }, `value ${brief(alert.value)}` +
			(alert.threshold !== undefined && alert.threshold !== null
				? `, threshold ${brief(alert.threshold)}` : "")),
		alert.annotations?.description ? h("p", {},
			alert.annotations.description) : null,
		notes.map(([word, text]) => h("blockquote", {},
			h("div", { class: "line" }, h("cite", {}, word.replaceAll("_", " ")),
				timeOf(alert, text, said)),
			h("p", { class: "pre" }, brief(text)))));
}

function matcherText(matcher) {
	const sign = matcher.equal === false ? (matcher.regex ? "!~" : "!=")
		: matcher.regex ? "=~" : "=";
	return matcher.name + sign + '"' + matcher.value + '"';
}

// "alertname=X, agent=Y" as matchers; throws what is wrong with it.
export function matchersOf(text) {
	const made = text.split(",").map(part => part.trim()).filter(Boolean)
		.map(part => {
			const found = /^([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?(.*?)"?$/.exec(part);
			if (!found)
				throw new Error(`"${part}" is not name=value`);
			return { name: found[1], value: found[3],
				regex: found[2].endsWith("~"), equal: found[2][0] === "=" };
		});
	if (made.length === 0)
		throw new Error("A silence needs one matcher at least.");
	return made;
}

function addSilence(alert, changed) {
	const begin = alert ? `alertname="${alert.name}"` + (alert.agent
		? `, agent="${alert.agent}"` : "") : "";
	confirm({ title: "Silence alerts",
		text: "Nobody is told of alerts that fit, until the silence ends. " +
			"They are evaluated and shown all the same.",
		action: "Silence", danger: true, fields: [
			field("Which", h("input", { name: "matchers", required: true,
				value: begin }), 'labels that must fit: alertname="x", agent=~"a|b"'),
			field("For how long", h("select", { name: "duration" },
				[["30m", "30 minutes"], ["2h", "2 hours"], ["8h", "8 hours"],
					["24h", "a day"], ["7d", "7 days"]].map(([value, text]) =>
					h("option", { value }, text)))),
			field("Why", h("input", { name: "comment", required: true,
				maxlength: "500" }))],
		async act({ matchers, duration, comment }) {
			await api(SILENCES, { method: "POST", body: {
				matchers: matchersOf(matchers), duration, comment } });
			changed();
			return "The silence is in force.";
		} });
}

function silenceTable(may, changed) {
	const end = row => confirm({ title: "End the silence",
		text: row.matchers.map(matcherText).join(", "), action: "End it",
		async act() {
			await api(SILENCES + "/" + name(row.id), { method: "DELETE" });
			changed();
			return "The silence has ended.";
		} });
	return table([
		{ name: "State", cell: row => badge(row.state, row.state === "active"
			? "warn" : "plain") },
		{ name: "Which", wide: true, cell: row => h("code", {},
			row.matchers.map(matcherText).join(", ")) },
		{ name: "Until", cell: row => time(row.ends_at) },
		{ name: "By", cell: row => row.created_by },
		{ name: "Why", wide: true, cell: row => row.comment },
		{ name: "", cell: row => may(["modify_config"]) &&
			row.state !== "expired" ? button("End", () => end(row), "quiet")
			: null },
	], { caption: "Silences", key: row => row.id,
		empty: "Nothing is silenced." });
}

function notesTable() {
	return table([
		{ name: "Time", cell: row => time(row.time) },
		{ name: "Monitor", cell: row => row.monitor },
		{ name: "About", cell: row => row.subject },
		{ name: "Text", wide: true, cell: row => h("span", { class: "pre" },
			row.text) },
	], { caption: "Notes of the analysts", key: row => row.time + row.monitor,
		empty: "No analyst has said anything." });
}

export default async function alertsPage({ may }) {
	const known = { alerts: await has(ALERTS), silences: await has(SILENCES),
		notes: await has(NOTES) };
	const list = h("div", {});
	const silences = silenceTable(may, () => asking.now());
	const notes = notesTable();
	const silence = known.silences && may(["modify_config"])
		? alert => addSilence(alert, () => asking.now()) : null;

	async function load() {
		const [alerts, quiet, said] = await Promise.all([
			known.alerts ? api(ALERTS) : [], known.silences ? api(SILENCES) : [],
			known.notes ? api(NOTES) : []]);
		const noted = listOf(said, "annotations");
		const rows = listOf(alerts, "alerts");
		fill(list, rows.length === 0 ? h("p", { class: "empty" },
			known.alerts ? "No alert is pending or firing."
				: "This daemon tells no alerts over its API.")
			: rows.map(row => alertCard(row, silence, noted)));
		silences.set(listOf(quiet, "silences"));
		notes.set(noted);
	}

	await load();
	const asking = repeat(load);
	return {
		title: "Alerts",
		node: h("div", {},
			h("div", { class: "head" }, h("h1", {}, "Alerts"), silence
				? button("New silence", () => silence(null), "primary") : null),
			asking.why, list,
			known.silences ? panel("Silences", silences.node) : null,
			known.notes ? panel("Analysts", notes.node) : null),
		event: event => event.name === "alert" && asking.now(),
		leave: asking.end,
	};
}
