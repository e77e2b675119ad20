// The audit log, searched.

import { api, query } from "./api.js";
import { badge, button, field, fill, h, table } from "./dom.js";
import { brief, time } from "./format.js";

const SEVERITY = { critical: "bad", error: "bad", warning: "warn" };

const told = details => Object.entries(details || {})
	.filter(([, value]) => value !== "")
	.map(([word, value]) => `${word} ${brief(value)}`).join(" · ");

const COLUMNS = [
	{ name: "No.", number: true, cell: row => String(row.sequence) },
	{ name: "Time", cell: row => time(row.time) },
	{ name: "Type", cell: row => h("code", {}, row.event_type) },
	{ name: "Category", cell: row => (row.category || "").replaceAll("_", " ") },
	{ name: "Severity", cell: row => badge(row.severity,
		SEVERITY[row.severity] || "plain") },
	{ name: "Who", cell: row => row.user || "–" },
	{ name: "Details", wide: true, cell: row => h("details", {},
		h("summary", {}, told(row.details) || "record"),
		h("pre", { tabindex: "0" }, JSON.stringify(row, null, 2))) },
];

export default function auditPage() {
	const input = (title, word, placeholder) => field(title,
		h("input", { name: word, placeholder, autocomplete: "off" }));
	const found = table(COLUMNS, { caption: "Audit records",
		key: row => row.sequence, empty: "No record fits." });
	const said = h("p", { class: "dim", role: "status" });
	const error = h("p", { class: "error", role: "alert" });
	const form = h("form", { class: "search" },
		input("Who", "user", "key:…"), input("Type", "type", "rollout or key."),
		input("Category", "category", ""), input("Request", "request", "req_…"),
		input("Since", "since", "2h"), input("Until", "until", ""),
		field("At most", h("select", { name: "limit" }, ["100", "500", "2000"]
			.map(value => h("option", { value }, value)))),
		h("div", { class: "actions" }, button("Clear", () => {
			form.reset();
			search();
		}, "quiet"), h("button", { type: "submit", class: "primary" },
			"Search")));

	async function search() {
		fill(error, "");
		fill(said, "Searching …");
		try {
			const answer = await api(query("/admin/v1/audit",
				Object.fromEntries(new FormData(form))));
			found.set(answer.records.toReversed());
			fill(said, `${answer.records.length} records, newest first; log `,
				h("code", {}, answer.log_id), ", last number ",
			String(answer.last));
		} catch (failure) {
			fill(said, "");
			fill(error, failure.message);
		}
	}
	form.addEventListener("submit", event => {
		event.preventDefault();
		search();
	});
	search();
	return { title: "Audit", node: h("div", {}, h("div", { class: "head" },
		h("h1", {}, "Audit")), h("div", { class: "panel" }, form, error, said,
		found.node)) };
}
