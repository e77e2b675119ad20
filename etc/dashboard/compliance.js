// The compliance report: it is made when it is asked for, by probing.

import { api } from "./api.js";
import { badge, busy, button, fill, h, table } from "./dom.js";
import { brief, time } from "./format.js";

const TONE = { pass: "good", fail: "bad", error: "bad", not_applicable: "plain",
	not_checked: "warn" };
const SEVERITY = { critical: "bad", high: "warn", medium: "plain", low: "plain" };
const ORDER = ["fail", "error", "not_checked", "pass", "not_applicable"];

const COLUMNS = [
	{ name: "Status", cell: row => [badge(row.status.replaceAll("_", " "),
		TONE[row.status]), row.accepted ? [" ", badge("accepted", "warn")] : null] },
	{ name: "Severity", cell: row => badge(row.severity, SEVERITY[row.severity]) },
	{ name: "Check", wide: true, cell: row => [h("strong", {}, row.title),
		h("br"), h("code", {}, row.id)] },
	{ name: "Found", wide: true, cell: row => h("details", {},
		h("summary", {}, brief(row.actual)),
		h("p", {}, h("b", {}, "Expected: "), brief(row.expected)),
		h("ul", {}, (row.evidence || []).map(one => h("li", {}, brief(one))))) },
	{ name: "Mapped to", wide: true, cell: row => h("small", {},
		(row.mappings || []).map(brief).join(", ")) },
];

export default function compliancePage() {
	const result = h("div", { class: "line", role: "status" });
	const error = h("p", { class: "error", role: "alert" });
	const checks = table(COLUMNS, { caption: "Compliance checks",
		key: row => row.id, empty: "No report yet." });
	const go = button("Run the checks", run, "primary");
	async function run() {
		if (busy(go, true))
			return;
		fill(error, "");
		fill(result, "A key is made, used and revoked; listeners, files and " +
			"processes are probed …");
		try {
			const told = await api("/admin/v1/compliance");
			fill(result, badge(told.overall_compliance ? "compliant"
				: "not compliant", told.overall_compliance ? "good" : "bad"),
			h("span", {}, `level ${told.compliance_level}, ` +
				Object.entries(told.summary || {}).filter(([, n]) =>
					typeof n === "number").map(([word, n]) =>
					`${n} ${word.replaceAll("_", " ")}`).join(", ")),
			h("span", { class: "dim" }, time(told.time)));
			checks.set(told.checks.toSorted((a, b) =>
				ORDER.indexOf(a.status) - ORDER.indexOf(b.status)));
		} catch (failure) {
			fill(result);
			fill(error, failure.message);
		}
		busy(go, false);
	}
	return { title: "Compliance", node: h("div", {},
		h("div", { class: "head" }, h("h1", {}, "Compliance"), go),
		h("div", { class: "panel" }, result, error, checks.node)) };
}
