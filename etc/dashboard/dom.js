// Elements, made without a byte of markup: all text goes in as text, so that
// nothing a caller, an agent or a log line says is ever read as HTML.

export function h(tag, properties, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(properties || {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (name.startsWith("on"))
			node.addEventListener(name.slice(2), value);
		else if (name === "class")
			node.className = value;
		else if (name === "value" || name === "checked" || name === "open")
			node[name] = value;
		else
			node.setAttribute(name, value === true ? "" : value);
	}
	add(node, children);
	return node;
}

function add(node, children) {
	for (const child of children) {
		if (Array.isArray(child))
			add(node, child);
		else if (child instanceof Node)
			node.append(child);
		else if (child !== null && child !== undefined && child !== false)
			node.append(String(child));
	}
}

export function fill(node, ...children) {
	node.replaceChildren();
	add(node, children);
	return node;
}

// Puts text into a node only when it differs: screen readers and selections
// are left alone by what has not changed.
export function put(node, text) {
	const wanted = String(text);
	if (node.textContent !== wanted)
		node.textContent = wanted;
}

// Columns: { name, cell(row) -> text or node, number?, wide? }.  Rows that say
// the same as before are left standing, with the focus in them.  On a phone one
// with wide columns is no table for the eye; its roles say that it still is one.
export function table(columns, { caption, empty = "Nothing here." } = {}) {
	const body = h("tbody", { role: "rowgroup" });
	const node = h("div", {
		class: columns.some(column => column.wide) ? "scroll stack" : "scroll",
		tabindex: "0", role: "region", "aria-label": caption,
	}, h("table", { role: "table" },
		h("caption", { class: "hidden" }, caption),
		h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
			columns.map(column => h("th", { role: "columnheader",
				scope: "col", class: column.number ? "number" : null,
			}, column.name)))),
		body));
	const none = h("p", { class: "empty" }, empty);
	const box = h("div", {}, none);
	let shown = "";
	return {
		node: box,
		set(rows, key = row => JSON.stringify(row)) {
			const now = rows.map(key).join("\n");
			if (now === shown && box.firstChild !== null)
				return;
			shown = now;
			body.replaceChildren(...rows.map(row => h("tr", { role: "row" },
				columns.map(column => h("td", { role: "cell",
					class: [column.number && "number",
						column.wide && "wide"].filter(Boolean).join(" ") || null,
					"data-name": column.name,
				}, column.cell(row))))));
			const wanted = rows.length > 0 ? node : none;
			if (box.firstChild !== wanted)
				box.replaceChildren(wanted);
		},
	};
}

export function badge(text, tone = "plain") {
	return h("span", { class: "badge " + tone }, text);
}

export function panel(title, ...children) {
	const heading = h("h2", {}, title);
	return h("section", { class: "panel" }, heading, children);
}

let fields = 0;

export function field(label, control, hint) {
	const id = "field-" + ++fields;
	control.id = id;
	if (hint)
		control.setAttribute("aria-describedby", id + "-hint");
	return h("div", { class: "field" }, h("label", { for: id }, label), control,
		hint ? h("small", { id: id + "-hint" }, hint) : null);
}

export function button(text, onclick, tone = "") {
	return h("button", { type: "button", class: tone, onclick }, text);
}

// Asks before something is done.  Resolves to null (no), or to an object of
// the form's values.
export function confirm({ title, text, action, danger = false, fields = [] }) {
	return new Promise(resolve => {
		const form = h("form", { method: "dialog" },
			h("h2", { id: "confirm-title" }, title),
			h("p", {}, text),
			fields,
			h("div", { class: "actions" },
				h("button", { type: "button", onclick: () => close(null) },
					"Cancel"),
				h("button", { type: "submit", class: danger ? "danger" : "primary" },
					action)));
		const dialog = h("dialog", { "aria-labelledby": "confirm-title" }, form);
		const close = answer => {
			dialog.close();
			dialog.remove();
			resolve(answer);
		};
		form.addEventListener("submit", event => {
			event.preventDefault();
			close(Object.fromEntries(new FormData(form)));
		});
		dialog.addEventListener("cancel", event => {
			event.preventDefault();
			close(null);
		});
		document.body.append(dialog);
		dialog.showModal();
	});
}

// What came of an order, for eyes and ears.
export function say(text, tone = "good") {
	const note = h("div", { class: "note " + tone },
		h("span", {}, text),
		h("button", { type: "button", class: "quiet", "aria-label": "Dismiss",
			onclick: () => note.remove() }, "×"));
	document.getElementById("banner").append(note);
	if (tone === "good")
		setTimeout(() => note.remove(), 6000);
}
