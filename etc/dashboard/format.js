// Numbers and times as people read them.

export function count(value) {
	if (value === null || value === undefined || !Number.isFinite(value))
		return "–";
	const size = Math.abs(value);
	for (const [unit, one] of [["G", 1e9], ["M", 1e6], ["k", 1e4]])
		if (size >= one)
			return trim(value / (unit === "k" ? 1e3 : one)) + " " + unit;
	return Number.isInteger(value) ? value.toLocaleString("en") : trim(value);
}

function trim(value) {
	const size = Math.abs(value);
	if (size !== 0 && size < 0.01)
		return "< 0.01";
	return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)
		.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export function percent(share) {
	if (share === null || share === undefined || !Number.isFinite(share))
		return "–";
	return trim(100 * share) + " %";
}

export function seconds(value) {
	if (value === null || value === undefined || !Number.isFinite(value))
		return "–";
	if (value === 0)
		return "0";
	if (value < 0.001)
		return "< 1 ms";
	if (value < 1)
		return trim(1000 * value) + " ms";
	if (value < 120)
		return trim(value) + " s";
	if (value < 7200)
		return trim(value / 60) + " min";
	return value < 172800 ? trim(value / 3600) + " h"
		: trim(value / 86400) + " d";
}

export const ms = value => value > 0 ? seconds(value / 1000) : "–";

export function time(text) {
	if (!text)
		return "–";
	const at = new Date(text);
	if (Number.isNaN(at.getTime()))
		return String(text);
	const today = new Date().toDateString() === at.toDateString();
	return today ? at.toLocaleTimeString("en-GB")
		: at.toLocaleString("en-GB", {
			month: "short", day: "numeric", hour: "2-digit",
			minute: "2-digit", second: "2-digit" });
}

export function ago(text) {
	const since = (Date.now() - new Date(text).getTime()) / 1000;
	if (!Number.isFinite(since))
		return "–";
	const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]]
		.find(([least]) => since >= 1.5 * least) || [1, "s"];
	return since < 1 ? "now" : `${Math.round(since / size)} ${unit} ago`;
}

export const weight = value => percent(value / 10000);

// The text of a value whatever it is, short.
export function brief(value) {
	if (value === undefined || value === null)
		return "–";
	return typeof value === "string" ? value : JSON.stringify(value);
}
