// The plugins that were found, and the options of each component.

import { api, name } from "./api.js";
import { badge, fill, h, say, table } from "./dom.js";
import { brief, count } from "./format.js";
import { repeat } from "./live.js";

const TONE = { open: "good", available: "plain", refused: "bad",
	failed: "bad" };

function options(list, depth = 0) {
	return list.flatMap(option => [h("tr", {},
		h("td", {}, h("code", {}, "  ".repeat(depth) + option.name),
			option.required ? [" ", badge("required", "warn")] : null,
			option.secret ? [" ", badge("secret")] : null),
		h("td", {}, option.type, option.choices?.length
			? ": " + option.choices.join(", ") : ""),
		h("td", {}, option.default === null ? "–" : brief(option.default)),
		h("td", { class: "wide" }, option.help)),
	...options(option.options || [], depth + 1)]);
}

export default async function pluginsPage() {
	const box = h("section", { "aria-live": "polite" });
	async function show(row) {
		try {
			const told = await api(`/admin/v1/plugins/${name(row.kind)}/` +
				name(row.name));
			fill(box, h("div", { class: "panel" },
				h("h2", {}, `${told.kind}/${told.name}`),
				h("p", {}, told.summary), told.options.length === 0
					? h("p", { class: "empty" }, "It has no options.")
					: h("div", { class: "scroll", tabindex: "0", role: "region",
						"aria-label": "Options of " + told.name },
					h("table", {}, h("thead", {}, h("tr", {},
						["Option", "Type", "Default", "What it is"].map(word =>
							h("th", { scope: "col" }, word)))),
					h("tbody", {}, options(told.options))))));
			box.scrollIntoView({ block: "nearest" });
		} catch (failure) {
			say(failure.message, "bad");
		}
	}
	const list = table([
		{ name: "Plugin", cell: row => row.kind ? h("button", {
			type: "button", class: "link", onclick: () => show(row),
		}, `${row.kind}/${row.name}`) : row.name },
		{ name: "State", cell: row => badge(row.state,
			TONE[row.state] || "plain") },
		{ name: "Version", cell: row => row.version || "–" },
		{ name: "ABI", cell: row => row.abi || "–" },
		{ name: "Calls", number: true, cell: row => count(row.calls) },
		{ name: "Last error", wide: true, cell: row => row.last_error
			? h("span", { class: "error" }, row.last_error) : "–" },
		{ name: "File", wide: true, cell: row => h("small", {}, row.path) },
	], { caption: "Plugins", key: row => row.path });
	const load = async () => list.set((await api("/admin/v1/plugins")).plugins);
	await load();
	const asking = repeat(load);
	return { title: "Plugins", node: h("div", {}, h("div", { class: "head" },
		h("h1", {}, "Plugins")), asking.why, box,
	h("div", { class: "panel" }, list.node)), leave: asking.end };
}
