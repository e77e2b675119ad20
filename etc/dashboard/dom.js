// Elements, made without a byte of markup: all text goes in as text, so that
// nothing a caller, an agent or a log line says is ever read as HTML.

export function h(tag, properties, ...children) {
	const node = document.createElement(tag);
	dress(node, properties || {});
	node.append(...nodesOf(children));
	return node;
}

const none = value => value === null || value === undefined || value === false;

function nodesOf(children) {
	return children.flat(Infinity).filter(child => !none(child) && child !== "")
		.map(child => child instanceof Node ? child
			: document.createTextNode(child));
}

// Gives a node what it is to have, and takes what it had from here before; what
// a person has done to it (opened, typed, scrolled) is no part of that.
function dress(node, properties) {
	const had = node.made || {};
	for (const name of Object.keys({ ...had, ...properties })) {
		const value = properties[name];
		if (value === had[name] || name === "key")
			continue;
		if (name.startsWith("on") || name === "value")
			node[name] = value ?? null;
		else if (name === "style")
			Object.assign(node.style, value);
		else if (none(value))
			node.removeAttribute(name);
		else
			node.setAttribute(name, value === true ? "" : value);
	}
	node.made = properties;
}

// A page is told again and again what it is to show, while a person presses a
// button of it, types, or has chosen a text.  So what stands there already is
// changed where it differs, and stays the same node; only what has no
// counterpart comes and goes.  A `key` says who is whose counterpart among
// many.  The children are used up by this: nobody may hold on to one.
export function fill(node, ...children) {
	const left = [...node.childNodes];
	const wanted = nodesOf(children).map(child => {
		const i = left.findIndex(old => alike(old, child));
		return i < 0 ? child : become(left.splice(i, 1)[0], child);
	});
	left.forEach(old => old.remove());
	wanted.forEach((child, i) => {
		// What is in use stays where it is, and the others go around it.
		while (node.childNodes[i] !== child &&
			child.matches?.(":focus-within, :active"))
			node.append(node.childNodes[i]);
		if (node.childNodes[i] !== child)
			node.insertBefore(child, node.childNodes[i] ?? null);
	});
	return node;
}

const alike = (old, child) => old.nodeName === child.nodeName &&
	old.made?.key === child.made?.key;

function become(old, child) {
	if (child instanceof Element) {
		dress(old, child.made);
		return fill(old, ...child.childNodes);
	}
	if (old.data !== child.data && !chosen.includes(old))
		old.data = child.data;
	return old;
}

// The texts in which a selection begins and ends wait until they are let go.
// To ask for them between two changes would have the page laid out each time.
let chosen = [];
document.addEventListener("selectionchange", () => {
	const now = getSelection();
	chosen = now.isCollapsed ? [] : [now.anchorNode, now.focusNode];
});

// Another content altogether, of nodes that are held.
export function swap(node, ...children) {
	node.replaceChildren(...nodesOf(children));
}

// Columns: { name, cell(row) -> text or node, number?, wide? }; key(row) tells
// one row from the others.  On a phone one with wide columns is no table for the
// eye; its roles say that it still is one.
export function table(columns, { caption, key, empty = "Nothing here." }) {
	const body = h("tbody", { role: "rowgroup" });
	const node = h("div", {
		class: columns.some(column => column.wide) ? "scroll stack" : "scroll",
		tabindex: "0", role: "region", "aria-label": caption, hidden: true,
	}, h("table", { role: "table" },
		h("caption", { class: "hidden" }, caption),
		h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
			columns.map(column => h("th", { role: "columnheader",
				scope: "col", class: column.number ? "number" : null,
			}, column.name)))),
		body));
	const nothing = h("p", { class: "empty" }, empty);
	return {
		node: h("div", {}, nothing, node),
		set(rows) {
			fill(body, rows.map(row => h("tr", { role: "row", key: key(row) },
				columns.map(column => h("td", { role: "cell",
					class: [column.number && "number",
						column.wide && "wide"].filter(Boolean).join(" ") || null,
					"data-name": column.name,
				}, column.cell(row))))));
			node.hidden = rows.length === 0;
			nothing.hidden = rows.length > 0;
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

// A button that is at work keeps the focus, which a disabled one would lose;
// true if it was so already.
export function busy(node, is) {
	const was = node.getAttribute("aria-disabled") === "true";
	node.setAttribute("aria-disabled", is);
	return was;
}

// Asks before something is done, and does it: act(values of the form) resolves to
// what to say of it.  Where it fails the dialog says why and stays as it was
// filled in, to be mended or given up.
export function confirm({ title, text, action, danger = false, fields = [], act }) {
	const error = h("p", { class: "error", role: "alert" });
	const go = h("button", { type: "submit",
		class: danger ? "danger" : "primary" }, action);
	const form = h("form", { method: "dialog" },
		h("h2", { id: "confirm-title" }, title),
		h("p", {}, text),
		fields, error,
		h("div", { class: "actions" }, button("Cancel", end), go));
	const dialog = h("dialog", { "aria-labelledby": "confirm-title",
		onclose: () => dialog.remove() }, form);
	function end() {
		dialog.close();
		dialog.remove();
	}
	form.addEventListener("submit", async event => {
		event.preventDefault();
		if (busy(go, true))
			return;
		fill(error);
		try {
			say(await act(Object.fromEntries(new FormData(form))));
			end();
		} catch (failure) {
			fill(error, failure.message);
		}
		busy(go, false);
	});
	document.body.append(dialog);
	dialog.showModal();
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
