// The frame: who is here, which page is shown, and whether the daemon is.

import { api, decided, signIn, signOut, signedIn } from "./api.js";
import { badge, busy, button, field, fill, h, swap } from "./dom.js";
import { live, begin, end, watch } from "./live.js";
import { recolour } from "./chart.js";
import { time } from "./format.js";

// Which permission a page needs; any one of them.
const PAGES = [
	["", "Overview", ["view_metrics"], () => import("./overview.js")],
	["agents", null, ["view_metrics"], () => import("./agent.js")],
	["alerts", "Alerts", ["view_metrics"], () => import("./alerts.js")],
	["audit", "Audit", ["view_logs"], () => import("./audit.js")],
	["plugins", "Plugins", ["view_metrics"], () => import("./plugins.js")],
	["compliance", "Compliance", ["view_all"], () => import("./compliance.js")],
	["try", "Try it", ["invoke_agent"], () => import("./try.js")],
];

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const banner = document.getElementById("banner");
const light = h("span", { class: "light", role: "status" });
let me = null, page = null, shown = 0;

const may = permissions => permissions.some(one =>
	me.permissions.includes(one));

// --- the theme ----------------------------------------------------------------

const THEME = "atomd-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const system = () => dark.matches ? "dark" : "light";

function paint() {
	document.documentElement.dataset.theme =
		localStorage.getItem(THEME) || system();
	recolour();
}

// Turned round, and turned back to what the system has: it follows that again.
function turn() {
	const next = document.documentElement.dataset.theme === "dark"
		? "light" : "dark";
	if (next === system())
		localStorage.removeItem(THEME);
	else
		localStorage.setItem(THEME, next);
	paint();
}

// --- signing in -----------------------------------------------------------------

function signInPage(why) {
	const key = h("input", { type: "password", name: "key",
		autocomplete: "off", spellcheck: "false", required: true,
		placeholder: "atm_…" });
	const error = h("p", { class: "error", role: "alert" }, why || "");
	const go = h("button", { type: "submit", class: "primary" }, "Sign in");
	const form = h("form", { class: "signin" },
		h("h1", {}, "Sign in"),
		h("p", {}, "A key of this daemon opens what its role may see. It is " +
			"kept in this tab until you sign out or close it, and sent to " +
			"this daemon alone."),
		field("Key", key), error,
		h("div", { class: "actions" },
			button("Go on without a key", () => come(""), "quiet"), go),
		h("p", { class: "dim" }, "On its machine, ",
			h("code", {}, "atomctl keys create --role operator"), " makes one."));
	async function come(chosen) {
		if (busy(go, true))
			return;
		signIn(chosen);
		try {
			me = await api("/admin/v1/me");
			enter();
		} catch (failure) {
			signOut();
			fill(error, failure.message);
			key.select();
			key.focus();
		}
		busy(go, false);
	}
	form.addEventListener("submit", event => {
		event.preventDefault();
		come(key.value.trim());
	});
	leave();
	nav.replaceChildren();
	session();
	document.title = "Sign in · atomd";
	swap(main, form);
	key.focus();
}

function session() {
	swap(document.getElementById("session"), me ? light : null,
		me ? h("span", { class: "who", title: me.name }, me.name === "anonymous"
			? "no key" : me.name, " ", badge(me.role)) : null,
		button("Theme", turn, "quiet"),
		me ? button(signedIn() ? "Sign out" : "Sign in", () => {
			signOut();
			end();
			me = null;
			signInPage();
		}, "quiet") : null);
}

// --- pages -----------------------------------------------------------------------

function leave() {
	page?.leave?.();
	document.querySelector("dialog")?.close();
	page = null;
	shown++;
}

function mark(at) {
	for (const link of nav.children)
		if (link.dataset.page === at) {
			link.setAttribute("aria-current", "page");
			// On a phone the row of links is longer than the screen.
			nav.scrollLeft = link.offsetLeft - nav.offsetLeft -
				(nav.clientWidth - link.offsetWidth) / 2;
		} else
			link.removeAttribute("aria-current");
}

// `moved`: by a link, so that a keyboard or a screen reader goes along.
async function route(moved = false) {
	if (!me)
		return;
	const [, at = "", ...rest] = location.hash.replace(/^#/, "").split("/");
	// An agent's page is of an agent.
	const found = PAGES.find(([path]) => path === at &&
		(path !== "agents" || rest[0]));
	leave();
	const mine = shown;
	mark(at === "agents" ? "" : at);
	if (!found || !may(found[2])) {
		swap(main, h("h1", {}, "Not here"), h("p", {}, found
			? `The role ${me.role} may not see this page.`
			: "There is no such page."));
		return;
	}
	try {
		const module = await found[3]();
		const made = await module.default({ me, may,
			rest: rest.map(decodeURIComponent) });
		if (mine !== shown) {
			made.leave?.();
			return;
		}
		page = made;
		document.title = page.title + " · atomd";
		swap(main, page.node);
		if (moved)
			main.focus({ preventScroll: true });
	} catch (failure) {
		if (mine === shown)
			refuse(failure);
	}
}

function refuse(failure) {
	if (failure.status === 401) {
		signOut();
		end();
		me = null;
		signInPage(failure.message);
		return;
	}
	swap(main, h("h1", {}, "That did not work"),
		h("p", { class: "error" }, failure.message),
		button("Try again", () => route(true)));
}

function onLive(what, value) {
	if (what === "state")
		state(value);
	else if (what === "picture") {
		page?.picture?.(value);
		fill(document.getElementById("daemon"), `atomd ${value.version} · ` +
			`${value.environment} · ${time(value.time)}`);
	} else if (what === "event") {
		page?.event?.(value);
	}
}

function state(now) {
	const words = { live: "live", connecting: "connecting",
		lost: "disconnected", refused: "refused", off: "" };
	fill(light, words[now]);
	light.className = "light " + now;
	document.body.classList.toggle("lost", now === "lost");
	banner.querySelector(".lost")?.remove();
	if (now === "lost")
		banner.prepend(h("div", { class: "note bad lost" },
			"Disconnected: what stands here is not of now. Trying again. ",
			h("small", {}, live.why)));
	if (now === "refused") {
		signOut();
		end();
		me = null;
		signInPage("You are signed out: " + live.why);
	}
}

function enter() {
	session();
	fill(nav, PAGES.filter(([, text, needs]) => text && may(needs))
		.map(([path, text]) => h("a", { href: "#/" + path, "data-page": path },
			text)));
	if (may(["view_metrics"]))
		begin();
	const [, first = ""] = location.hash.replace(/^#/, "").split("/");
	const open = PAGES.find(([path]) => path === first);
	if (!open || !may(open[2])) {
		const mine = PAGES.find(([, text, needs]) => text && may(needs));
		history.replaceState(null, "", "#/" + (mine ? mine[0] : ""));
	}
	route();
}

async function start() {
	paint();
	dark.addEventListener("change", paint);
	watch(onLive);
	addEventListener("hashchange", () => {
		scrollTo(0, 0);
		route(true);
	});
	if (!decided()) {
		signInPage();
		return;
	}
	try {
		me = await api("/admin/v1/me");
		enter();
	} catch (failure) {
		if (failure.status === 401)
			signOut();
		signInPage(failure.message);
	}
}

start();
