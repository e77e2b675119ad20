// How everything is.

import { badge, button, fill, h, panel, table } from "./dom.js";
import { ago, brief, count, ms, percent, seconds, time, weight } from "./format.js";
import { live, repeat } from "./live.js";
import { RANGES, chart, history, quantile, rowsOf, sum } from "./chart.js";

const REFRESH_MS = 15000; // the daemon's own sampling

export const TONES = { critical: "bad", warning: "warn", info: "plain" };
export const STATUS = { operational: "good", ok: "good", degraded: "warn",
	initializing: "plain", failed: "bad" };
export const PHASES = { Healthy: "good", Progressing: "busy", Paused: "warn",
	Degraded: "bad" };

export function tile(name) {
	const value = h("b", {}, "–");
	const note = h("small", {}, " ");
	return { node: h("div", { class: "tile" }, h("span", {}, name), value, note),
		set(text, more = "", tone = "") {
			fill(value, text);
			fill(note, more);
			value.className = tone;
		} };
}

// The choice of a range, and charts that are filled again each sample.
export function ranged(fillCharts, begin = "1h") {
	let range = sessionStorage.getItem("atomd-range") || begin;
	const asking = repeat(() => fillCharts(range), REFRESH_MS);
	const choice = h("select", { "aria-label": "Range of the charts",
		onchange: () => {
			range = choice.value;
			sessionStorage.setItem("atomd-range", range);
			asking.now();
		} }, RANGES.map(([value, text]) =>
		h("option", { value, selected: value === range }, text)));
	choice.value = range;
	return { node: h("span", { class: "range" }, asking.why, choice),
		again: asking.now, end: asking.end };
}

// What both this page and an agent's draw of the same metrics.
export function callCharts(selector) {
	const calls = chart({ title: "Calls per second", show: count, lines: [
		{ name: "calls", colour: 1, filled: true },
		{ name: "failed", colour: 4 }] });
	const latency = chart({ title: "Latency", show: seconds, lines: [
		{ name: "p50", colour: 1 }, { name: "p95", colour: 3 },
		{ name: "p99", colour: 4 }] });
	const tokens = chart({ title: "Tokens per second", show: count, lines: [
		{ name: "input", colour: 2, filled: true },
		{ name: "output", colour: 5 }] });
	async function load(range) {
		const [made, waited, used] = await Promise.all([
			history("atomd_requests_total" + selector, range),
			history("atomd_request_duration_seconds_bucket" + selector, range,
				60),
			history("atomd_tokens_total" + selector, range)]);
		const failed = made.series.filter(one => one.labels.code?.[0] === "5");
		calls.set(rowsOf(made.times, i => sum(made.series, "perSecond", i),
			i => sum(failed, "perSecond", i) ??
				(sum(made.series, "perSecond", i) === null ? null : 0)));
		latency.set(rowsOf(waited.times, ...[0.5, 0.95, 0.99].map(q =>
			i => quantile(q, waited.series, i))));
		const way = word => used.series.filter(one =>
			one.labels.direction === word);
		tokens.set(rowsOf(used.times, i => sum(way("input"), "perSecond", i),
			i => sum(way("output"), "perSecond", i)));
	}
	return { charts: [calls, latency, tokens], load };
}

export const underWay = row => row.rollout && row.rollout.stage !== "over" &&
	row.rollout.stage !== "warm";

const names = (live, row) => live.rates?.agents.get(row.name);

function agentsTable() {
	return table([
		{ name: "Agent", cell: row => h("a", {
			href: "#/agents/" + encodeURIComponent(row.name) }, row.name) },
		{ name: "Revision", cell: row => h("span", {}, String(row.revision),
			row.drift ? [" ", badge("drift", "warn")] : null) },
		{ name: "Rollout", cell: row => underWay(row)
			? badge(`${row.rollout.from} → ${row.rollout.to} at ` +
				weight(row.rollout.weight), PHASES[row.rollout.phase])
			: h("span", { class: "dim" }, "–") },
		{ name: "Calls/s", number: true,
			cell: row => count(names(live, row)?.calls) },
		{ name: "Errors", number: true, cell: row => {
			const rates = names(live, row);
			return percent(rates && rates.calls > 0
				? rates.errors / rates.calls : 0);
		} },
		{ name: "p50", number: true, cell: row => ms(row.p50_ms) },
		{ name: "p95", number: true, cell: row => ms(row.p95_ms) },
		{ name: "Instances", number: true, cell: row =>
			`${row.instances.ready} / ${row.instances.desired}` },
		{ name: "In flight", number: true, cell: row => count(row.in_flight) },
		{ name: "Queued", number: true, cell: row => count(row.queued) },
		{ name: "Calls", number: true, cell: row => count(row.calls) },
	], { caption: "Agents", key: row => row.name, empty: "No agent is served." });
}

export function eventText(event) {
	const d = event.details || {};
	if (event.name === "scaling")
		return `${d.action.replaceAll("_", " ")} ${d.from} → ${d.to}: ${d.reason}`;
	if (event.name === "rollout")
		return `${d.from} → ${d.to} ${d.phase} at ${weight(d.weight)}` +
			(d.reason ? ": " + d.reason : "");
	if (event.name === "alert")
		return `${d.name} ${d.state}` + (d.message ? ": " + d.message : "");
	if (event.name === "workflow")
		return `${d.revision}: ${brief(d.step).replaceAll("_", " ")}, ` +
			`${d.status}` + (d.result ? ": " + d.result : "");
	return Object.entries(d).filter(([word]) => word !== "agent")
		.map(([word, value]) => word + " " + brief(value)).join(", ");
}

function parts() {
	const list = h("ul", { class: "plainlist" });
	return { node: panel("Components", list), set(components) {
		fill(list, components.map(one => h("li", { key: one.name },
			badge(one.status, STATUS[one.status] || "plain"), " ", one.name,
			h("small", {}, one.status === "ok" ? " since " + time(one.since)
				: " " + (one.last_error || "")))));
	} };
}

export default function overview() {
	const tiles = ["Status", "Calls per second", "Errors", "Tokens per second",
		"Instances", "In flight", "Queued", "Alerts"].map(tile);
	const [status, calls, errors, tokens, instances, flight, queued, alerts] =
		tiles;
	const agents = agentsTable();
	const components = parts();
	const events = h("ol", { class: "plainlist events" });
	const common = callCharts("");
	const capacity = chart({ title: "Instances and queue", show: count, lines: [
		{ name: "ready", colour: 1, steps: true },
		{ name: "wanted", colour: 2, steps: true, dashed: true },
		{ name: "queued", colour: 4 }] });
	const charts = [...common.charts, capacity];
	const range = ranged(async chosen => {
		await common.load(chosen);
		const [ready, wanted, waiting] = await Promise.all([
			history('atomd_instances{state="ready"}', chosen),
			history("atomd_instances_desired", chosen),
			history("atomd_queue_depth", chosen)]);
		capacity.set(rowsOf(ready.times, i => sum(ready.series, "values", i),
			i => sum(wanted.series, "values", i),
			i => sum(waiting.series, "values", i)));
	});

	function firing(picture) {
		const worst = picture.firing.some(one => one.severity === "critical")
			? "bad" : picture.firing.length > 0 ? "warn" : "good";
		const number = picture.firing.reduce((n, one) => n + one.count, 0);
		alerts.set(number === 0 ? "none" : count(number),
			picture.firing.map(one => one.name).join(", ") || "firing", worst);
	}

	function show(picture) {
		if (!picture)
			return;
		const add = get => picture.agents.reduce((n, row) => n + get(row), 0);
		const ready = add(row => row.instances.ready);
		const wanted = add(row => row.instances.desired);
		const rates = live.rates;
		status.set(picture.system_status, picture.freeze.frozen
			? "deployments are frozen" : picture.environment,
		STATUS[picture.system_status]);
		calls.set(count(rates?.calls), count(picture.totals.calls) + " in all");
		errors.set(rates ? percent(rates.calls > 0
			? rates.errors / rates.calls : 0) : "–",
		count(picture.totals.errors) + " in all",
		rates && rates.errors > 0 ? "bad" : "");
		tokens.set(rates ? count(rates.input_tokens + rates.output_tokens) : "–",
			rates ? `${count(rates.input_tokens)} in, ` +
				`${count(rates.output_tokens)} out` : "");
		instances.set(`${count(ready)} / ${count(wanted)}`, "ready / wanted",
			ready < wanted ? "warn" : "");
		flight.set(count(add(row => row.in_flight)), "calls now");
		queued.set(count(add(row => row.queued)), "waiting",
			add(row => row.queued) > 0 ? "warn" : "");
		firing(picture);
		agents.set(picture.agents);
		components.set(picture.components);
	}

	function tellEvents() {
		fill(events, live.events.length === 0
			? h("li", { class: "empty" }, "Nothing has happened since this " +
				"page was opened.")
			: live.events.slice(0, 12).map(event => h("li", { key: event },
				h("time", { title: event.time }, time(event.time)), " ",
				badge(event.name), " ", event.agent ? h("a", { href: "#/agents/" +
					encodeURIComponent(event.agent) }, event.agent) : null, " ",
				eventText(event))));
	}

	show(live.picture);
	tellEvents();
	range.again();
	return {
		title: "Overview",
		node: h("div", {},
			h("div", { class: "head" }, h("h1", {}, "Overview"), range.node),
			h("div", { class: "tiles" }, tiles.map(one => one.node)),
			h("div", { class: "charts" }, charts.map(one => one.node)),
			panel("Agents", agents.node),
			h("div", { class: "two" }, panel("Events", events),
				components.node)),
		picture: show,
		event: tellEvents,
		leave() {
			range.end();
			charts.forEach(one => one.end());
		},
	};
}
