// One agent: its load, its rollout, its revisions, its instances.

import { api, name, query } from "./api.js";
import { badge, button, confirm, field, fill, h, panel, say, table }
	from "./dom.js";
import { brief, count, ms, percent, time, weight } from "./format.js";
import { live, repeat } from "./live.js";
import { chart, history, rowsOf, sum } from "./chart.js";
import { callCharts, ranged, tile } from "./overview.js";
import { facts, rolloutView } from "./rollout.js";

const selector = (agent, more = "") =>
	`{agent="${agent.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"${more}}`;

// --- revisions -------------------------------------------------------------------

async function difference(agent, row, box) {
	const told = await api(query(`/admin/v1/agents/${name(agent)}/revisions`,
		{ revision: row.revision }));
	const one = told.revisions ? told.revisions[0] : told;
	if (!one.difference) {
		fill(box, h("p", { class: "empty" }, one.changes?.length
			? "changed: " + one.changes.join(", ")
			: "The texts of revisions need the permission view_all."));
		return;
	}
	fill(box, one.difference.length === 0
		? h("p", { class: "empty" }, "The first one, or the same text.")
		: h("div", { class: "scroll", tabindex: "0", role: "region",
			"aria-label": "What revision " + row.revision + " changed" },
		h("table", { class: "diff" }, h("thead", {}, h("tr", {},
			["Key", "Before", "After"].map(word =>
				h("th", { scope: "col" }, word)))),
		h("tbody", {}, one.difference.map(change => h("tr", {},
			h("td", {}, h("code", {}, change.key)),
			h("td", {}, "from" in change ? h("del", {}, brief(change.from))
				: "–"),
			h("td", {}, "to" in change ? h("ins", {}, brief(change.to))
				: "–")))))),
	one.text ? h("details", {}, h("summary", {}, "The whole text"),
		h("pre", { tabindex: "0" }, one.text)) : null);
}

function revisions(agent, may, changed) {
	const box = h("div", { class: "below", "aria-live": "polite" });
	const list = table([
		{ name: "Revision", cell: row => [String(row.revision),
			row.in_force ? [" ", badge("in force", "good")] : null] },
		{ name: "Time", cell: row => time(row.time) },
		{ name: "Origin", cell: row => row.origin || "–" },
		{ name: "By", cell: row => row.who || "–" },
		{ name: "Why", wide: true, cell: row => row.why || "–" },
		{ name: "Changed", wide: true, cell: row =>
			(row.changes || []).join(", ") || "–" },
		{ name: "", cell: row => h("span", { class: "actions" },
			h("button", { type: "button", class: "quiet", "aria-label":
				"Difference of revision " + row.revision,
			onclick: () => difference(agent, row, box)
				.catch(failure => say(failure.message, "bad")) }, "Difference"),
			may(["modify_config"]) && !row.in_force ? h("button", {
				type: "button", class: "quiet", "aria-label":
					"Go back to revision " + row.revision,
				onclick: () => undo(row.revision) }, "Go back") : null) },
	], { caption: "Revisions", key: row => row.revision });
	function undo(to) {
		confirm({ title: `${agent}: back to revision ${to}`,
			text: "At once while that revision is kept warm; else its text " +
				"comes in as the next revision, by a rollout.",
			action: "Go back", danger: true, fields: [field("Reason", h("input",
				{ name: "reason", maxlength: "200" }))],
			async act({ reason }) {
				const told = await api(`/admin/v1/agents/${name(agent)}/undo`, {
					method: "POST", body: { to, ...(reason ? { reason } : {}) } });
				if (told.changed === false)
					throw new Error(`Revision ${to} is the newest text of ` +
						`${agent} already: its rollout is what is to be ` +
						"promoted or tried again.");
				changed();
				return told.way === "swap" ? `${agent} is back at revision ${to}.`
					: `A rollout back to revision ${to} has begun: ` +
						(told.no_swap || "");
			} });
	}
	return { node: h("div", {}, list.node, box), set: list.set };
}

// --- instances --------------------------------------------------------------------

function scaling(agent, may, changed) {
	const box = h("div", {});
	const number = h("input", { type: "number", min: "0", max: "100000",
		required: true, "aria-label": "Instances" });
	function ask(title, text, path, body) {
		confirm({ title, text, action: "Do it", async act() {
			const told = await api(`/admin/v1/agents/${name(agent)}/${path}`,
				{ method: "POST", body });
			form.reset();
			changed();
			return `${title}: ${told.restarting ? "begun" : "done"}.`;
		} });
	}
	const leave = button("Leave to the strategy", () => ask(
		`${agent}: scale by itself`,
		"The strategy decides again how many instances there are.", "scale",
		{ auto: true }));
	const form = h("form", { class: "inline" }, number,
		h("button", { type: "submit" }, "Set by hand"), leave);
	form.addEventListener("submit", event => {
		event.preventDefault();
		const instances = Number(number.value);
		ask(`${agent}: ${instances} instances`,
			"The number stays until it is left to the strategy again.", "scale",
			{ instances });
	});
	const restart = button("Restart", () => ask(`${agent}: restart`,
		"Every instance is replaced, one after the other. No call is lost.",
		"restart", {}));
	return { node: h("div", {}, box, h("div", { class: "line" },
		may(["modify_config"]) ? form : null,
		may(["restart_agent"]) ? restart : null)),
	set(row) {
		const s = row.scaling || {};
		const byHand = s.pinned !== null && s.pinned !== undefined;
		// Shown as long as nobody has typed another one.
		number.defaultValue = row.instances.desired;
		leave.disabled = !byHand;
		fill(box, facts([
			["Strategy", s.strategy ||
				(byHand ? "none" : "none: it stays at its minimum")],
			["By hand", byHand ? `${s.pinned} instances` : null],
			["Advised", s.advised !== null && s.advised !== undefined
				? String(s.advised) : null],
			["Because", s.reason], ["Bound by", s.bound], ["Fault", s.fault],
			["Instances", `${row.instances.ready} ready, ` +
				`${row.instances.starting} starting, ` +
				`${row.instances.draining} draining, ` +
				`${row.instances.desired} wanted`],
		]));
	} };
}

function scalingEvents() {
	return table([
		{ name: "Time", cell: row => time(row.time) },
		{ name: "Action", cell: row => badge(row.action.replaceAll("_", " ")) },
		{ name: "From", number: true, cell: row => String(row.from) },
		{ name: "To", number: true, cell: row => String(row.to) },
		{ name: "Reason", wide: true, cell: row => row.reason },
		{ name: "Strategy", cell: row => row.strategy || "–" },
	], { caption: "Scaling events", key: row => row.time,
		empty: "Nothing has been scaled yet." });
}

// --- the page ---------------------------------------------------------------------

function splitText(row) {
	return row.split.map(part => `${part.revision}: ${weight(part.weight)}`)
		.join(", ");
}

export default async function agentPage({ may, rest: [agent] }) {
	const tiles = ["Revision", "Calls per second", "Errors", "p50", "p95",
		"Instances", "In flight", "Queued", "Sessions"].map(tile);
	const [revision, calls, errors, p50, p95, instances, flight, queued,
		sessions] = tiles;
	const rollout = rolloutView(may, () => asking.now());
	const history_ = revisions(agent, may, () => asking.now());
	const size = scaling(agent, may, () => asking.now());
	const events = scalingEvents();
	const settings = h("pre", { tabindex: "0" });
	const origin = h("span", { class: "dim" });
	const common = callCharts(selector(agent));
	const loadChart = chart({ title: "Load and instances", show: count, lines: [
		{ name: "in flight", colour: 1, filled: true },
		{ name: "queued", colour: 4 },
		{ name: "ready", colour: 2, steps: true },
		{ name: "wanted", colour: 5, steps: true, dashed: true }] });
	const charts = [loadChart, ...common.charts];
	const mine = picture => picture?.agents.find(row => row.name === agent);
	let scaled = [], marks = "", stand = "", asking = null;
	const range = ranged(async chosen => {
		await common.load(chosen);
		const [busy, waiting, ready, wanted] = await Promise.all([
			history("atomd_inflight_requests" + selector(agent), chosen),
			history("atomd_queue_depth" + selector(agent), chosen),
			history("atomd_instances" + selector(agent, ',state="ready"'),
				chosen),
			history("atomd_instances_desired" + selector(agent), chosen)]);
		const of = told => i => sum(told.series, "values", i);
		loadChart.set(rowsOf(busy.times, of(busy), of(waiting), of(ready),
			of(wanted)), scaled.map(event => ({
			at: new Date(event.time).getTime() })));
	});

	// What changes slowly, and what a rollout does.
	async function load() {
		const path = "/admin/v1/agents/" + name(agent);
		const had = mine(live.picture ?? await api("/admin/v1/overview"))?.rollout;
		const [row, list, happened, under] = await Promise.all([api(path),
			api(path + "/revisions"),
			api(query("/admin/v1/scaling/events", { agent, limit: 50 })),
			had ? api("/admin/v1/deployments/" + name(agent)) : null]);
		size.set(row);
		fill(origin, `${row.backend}, from the ` +
			(row.origin === "api" ? "API" : "configuration"));
		fill(settings, row.settings ? JSON.stringify(row.settings, null, 2) : "");
		history_.set(list.revisions);
		scaled = happened.events;
		events.set(scaled.toReversed());
		rollout.set(under);
		stand = JSON.stringify(had);
		const now = scaled.map(event => event.time).join();
		if (now !== marks)
			range.again();
		marks = now;
		return row;
	}

	function show(picture) {
		const row = mine(picture);
		if (!row)
			return;
		// A rollout that has begun, gone on or ended.
		if (JSON.stringify(row.rollout) !== stand)
			asking?.now();
		const rates = live.rates?.agents.get(agent);
		revision.set(String(row.revision), splitText(row) +
			(row.drift ? ", drift" : ""), row.drift ? "warn" : "");
		calls.set(count(rates?.calls), count(row.calls) + " in all");
		errors.set(rates ? percent(rates.calls > 0
			? rates.errors / rates.calls : 0) : "–",
		count(row.errors) + " in all", rates && rates.errors > 0 ? "bad" : "");
		p50.set(ms(row.p50_ms), "stable revision");
		p95.set(ms(row.p95_ms), "stable revision");
		instances.set(`${row.instances.ready} / ${row.instances.desired}`,
			"ready / wanted", row.unhealthy ? "bad"
				: row.instances.ready < row.instances.desired ? "warn" : "");
		flight.set(count(row.in_flight), "calls now");
		queued.set(count(row.queued), "waiting", row.queued > 0 ? "warn" : "");
		sessions.set(count(row.sessions), "remembered");
	}

	show(live.picture);
	const first = await load();
	asking = repeat(load);
	range.again();
	return {
		title: agent,
		node: h("div", {},
			h("div", { class: "head" }, h("h1", {}, agent, " ", origin),
				range.node), asking.why,
			h("div", { class: "tiles" }, tiles.map(one => one.node)),
			panel("Rollout", rollout.node),
			h("div", { class: "charts" }, charts.map(one => one.node)),
			panel("Instances", size.node, events.node),
			panel("Revisions", history_.node),
			first.settings ? panel("Settings", h("details", {},
				h("summary", {}, "As they are in force"), settings)) : null),
		picture: show,
		event(event) {
			if (event.agent === agent)
				asking.now();
		},
		leave() {
			asking.end();
			range.end();
			charts.forEach(one => one.end());
		},
	};
}
