// Charts over the daemon's own history.  They are drawn by dygraphs where the
// daemon has it, and are numbers in a table in any case: a canvas says nothing
// to a screen reader.

import { api, query } from "./api.js";
import { fill, h, swap } from "./dom.js";
import { time } from "./format.js";

const Dygraph = window.Dygraph;
if (Dygraph)
	// Its legend writes style attributes, which the policy of the page refuses.
	Dygraph.PLUGINS = Dygraph.PLUGINS.filter(one =>
		one !== Dygraph.Plugins.Legend);

const SAMPLE_S = 15; // the daemon takes no shorter step
const LEAST_MS = 300000;
const charts = new Set();
const style = name =>
	getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// All of them in the theme's colours again.
export function recolour() {
	for (const chart of charts)
		chart.colour();
}

// Without the time before there was anything, but five minutes of it.
function fit(rows) {
	const first = rows.findIndex(row => row.slice(1).some(v => v !== null));
	if (first <= 0)
		return rows;
	const from = Math.min(rows[first][0].getTime(),
		rows[rows.length - 1][0].getTime() - LEAST_MS);
	return rows.slice(Math.max(0, rows.findIndex(row =>
		row[0].getTime() >= from) - 1));
}

// lines: [{ name, colour: 1..5, filled?, steps?, dashed? }]; `show` makes a
// value a text.  set(rows): [[Date, value or null, ...]], marks: [{ at, text }].
export function chart({ title, lines, show, empty = "No data yet." }) {
	const values = lines.map(() => h("b", {}, "–"));
	const keys = lines.map((line, i) => h("span", { class: "key" },
		h("i", { class: "swatch c" + line.colour, "aria-hidden": "true" }),
		line.name, " ", values[i]));
	const at = h("span", { class: "at" });
	const canvas = h("div", { class: "canvas" });
	const picture = h("div", { class: "picture", role: "img",
		"aria-label": title }, canvas);
	const none = h("p", { class: "empty" }, empty);
	const body = h("tbody");
	const details = h("details", { class: "numbers",
		ontoggle: () => details.open && list() },
		h("summary", {}, "Numbers"),
		h("div", { class: "scroll low", tabindex: "0", role: "region",
			"aria-label": title + ", numbers" },
		h("table", {}, h("thead", {}, h("tr", {},
			h("th", { scope: "col" }, "Time"), lines.map(line =>
				h("th", { scope: "col", class: "number" }, line.name)))),
		body)));
	const node = h("figure", { class: "chart" },
		h("figcaption", {}, h("h3", {}, title), at,
			h("div", { class: "keys" }, keys)), none, details);
	let rows = [], marks = [], drawn = null;

	function tell(row, when) {
		fill(at, when);
		values.forEach((value, i) => fill(value, row ? show(row[i + 1]) : "–"));
	}

	function last() {
		tell(rows.findLast(row => row.slice(1).some(v => v !== null)), "");
	}

	function list() {
		fill(body, rows.slice(-240).reverse().map(row => h("tr",
			{ key: row[0].getTime() }, h("td", {}, time(row[0])), row.slice(1).map(value =>
				h("td", { class: "number" }, show(value))))));
	}

	function describe() {
		const said = lines.map((line, i) => {
			const known = rows.map(row => row[i + 1]).filter(v => v !== null);
			return known.length === 0 ? line.name + ": none" :
				`${line.name}: ${show(known[known.length - 1])} now, ` +
				`${show(Math.max(...known))} at most`;
		});
		picture.setAttribute("aria-label", title + ". " + said.join("; "));
	}

	function colours() {
		return {
			colors: lines.map(line => style("--c" + line.colour)),
			axisLineColor: style("--line"),
			gridLineColor: style("--grid"),
		};
	}

	function series() {
		return Object.fromEntries(lines.map(line => [line.name, {
			fillGraph: !!line.filled,
			stepPlot: !!line.steps,
			strokePattern: line.dashed ? [5, 4] : null,
		}]));
	}

	function underlay(context, area, g) {
		context.save();
		context.strokeStyle = style("--mark");
		context.setLineDash([2, 3]);
		for (const mark of marks) {
			const x = g.toDomXCoord(mark.at);
			if (x < area.x || x > area.x + area.w)
				continue;
			context.beginPath();
			context.moveTo(x, area.y);
			context.lineTo(x, area.y + area.h);
			context.stroke();
		}
		context.restore();
	}

	function draw() {
		drawn = new Dygraph(canvas, rows, {
			labels: ["Time", ...lines.map(line => line.name)],
			...colours(), series: series(), fillAlpha: 0.12, strokeWidth: 1.5,
			includeZero: true, axisLabelFontSize: 11, gridLineWidth: 1,
			highlightCircleSize: 3, rightGap: 8, xRangePad: 2,
			connectSeparatedPoints: false, underlayCallback: underlay,
			animatedZooms: false, digitsAfterDecimal: 3,
			axes: {
				y: { axisLabelWidth: 52, axisLabelFormatter: v => show(v),
					pixelsPerLabel: 32 },
				x: { drawGrid: false, pixelsPerLabel: 70 },
			},
			highlightCallback: (_event, x, _points, row) =>
				rows[row] && tell(rows[row], time(x)),
			unhighlightCallback: last,
		});
		const held = drawn;
		new ResizeObserver(() => held === drawn && held.resize())
			.observe(picture);
	}

	const it = {
		node,
		set(newRows, newMarks = []) {
			rows = fit(newRows);
			marks = newMarks;
			const any = rows.some(row => row.slice(1).some(v => v !== null));
			const wanted = any && Dygraph ? picture : any ? null : none;
			if (wanted && !wanted.isConnected)
				swap(node, node.firstChild, wanted, details);
			else if (!wanted)
				none.remove();
			last();
			describe();
			if (details.open)
				list();
			else if (any && !Dygraph)
				details.open = true;
			if (!any || !Dygraph)
				return;
			if (drawn)
				drawn.updateOptions({ file: rows });
			else if (picture.isConnected)
				draw();
		},
		colour: () => drawn?.updateOptions(colours()),
		end() {
			charts.delete(it);
			drawn?.destroy();
			drawn = null;
		},
	};
	charts.add(it);
	return it;
}

// --- the history ------------------------------------------------------------

export const RANGES = [["15m", "15 min"], ["1h", "1 hour"], ["6h", "6 hours"],
	["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];
const LENGTH_S = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400,
	"7d": 604800, "30d": 2592000 };

// What a metric was: { times: [Date], series: [{ labels, values, perSecond }] }.
export async function history(metric, range, steps = 120) {
	const step = Math.max(SAMPLE_S, Math.ceil(LENGTH_S[range] / steps)) + "s";
	const told = await api(query("/admin/v1/metrics/query",
		{ metric, range, step }));
	const start = new Date(told.start).getTime();
	return {
		times: Array.from({ length: told.steps }, (_, i) =>
			new Date(start + 1000 * told.step_seconds * i)),
		series: told.series.map(one => ({
			labels: one.labels, values: one.values, perSecond: one.per_second,
		})),
	};
}

// The sum over series of one step's values; null where none has any.
export function sum(series, what, i) {
	let total = null;
	for (const one of series) {
		const value = one[what]?.[i];
		if (value !== null && value !== undefined)
			total = (total ?? 0) + value;
	}
	return total;
}

// Rows for a chart; each of `columns` gives the value of step i.
export function rowsOf(times, ...columns) {
	return times.map((at, i) => [at, ...columns.map(column => column(i))]);
}

// A histogram's quantile in step i from the rates of its buckets, by linear
// interpolation as Prometheus' histogram_quantile does it.
export function quantile(q, series, i) {
	const buckets = new Map();
	for (const one of series) {
		const rate = one.perSecond?.[i];
		const bound = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
		if (rate !== null && rate !== undefined)
			buckets.set(bound, (buckets.get(bound) || 0) + rate);
	}
	const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
	const total = sorted.at(-1)?.[1] || 0;
	if (total <= 0)
		return null;
	let low = 0, under = 0;
	for (const [bound, upTo] of sorted) {
		if (upTo >= q * total) {
			if (bound === Infinity)
				return low;
			const within = upTo - under;
			return within > 0
				? low + (bound - low) * (q * total - under) / within : bound;
		}
		low = bound;
		under = upTo;
	}
	return low;
}
