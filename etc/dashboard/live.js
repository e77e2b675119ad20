// The daemon's overview as it comes, and whether it comes.

import { stream } from "./api.js";
import { fill, h } from "./dom.js";

const EVENTS_MAX = 100;
const QUIET_MS = 20000; // the daemon sends a comment each 15 s at least
const AGAIN_MS = 5000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;

export const live = {
	state: "off", // off, connecting, live, lost, refused
	why: "",
	picture: null,
	rates: null, // per second, between the last two pictures
	events: [],
};

const listeners = new Set();
let running = null;

export function watch(listener) {
	listeners.add(listener);
	return () => listeners.delete(listener);
}

function change(what, value) {
	for (const listener of listeners)
		listener(what, value);
}

function become(state, why = "") {
	live.why = why;
	if (live.state === state)
		return;
	live.state = state;
	change("state", state);
}

// A counter that fell began again.
const gone = (now, before) => now >= before ? now - before : now;

function rates(now, before) {
	const passed = (new Date(now.time) - new Date(before.time)) / 1000;
	if (!(passed > 0.2))
		return live.rates;
	const of = (a, b) => Object.fromEntries(
		["calls", "errors", "input_tokens", "output_tokens"].map(what =>
			[what, gone(a[what], b ? b[what] : a[what]) / passed]));
	const agents = new Map(before.agents.map(row => [row.name, row]));
	return {
		...of(now.totals, before.totals),
		agents: new Map(now.agents.map(row =>
			[row.name, of(row, agents.get(row.name))])),
	};
}

function take(name, text) {
	if (name === "overview") {
		const picture = JSON.parse(text);
		if (live.picture)
			live.rates = rates(picture, live.picture);
		live.picture = picture;
		become("live");
		change("picture", picture);
	} else if (name === "event") {
		const event = JSON.parse(text);
		live.events.unshift(event);
		live.events.length = Math.min(live.events.length, EVENTS_MAX);
		change("event", event);
	}
}

const pause = (ms, signal) => new Promise(resolve => {
	const timer = setTimeout(resolve, ms);
	signal.addEventListener("abort", () => {
		clearTimeout(timer);
		resolve();
	}, { once: true });
});

// One connection, until it ends or says nothing for too long.
async function once(signal) {
	const own = new AbortController();
	const stop = () => own.abort();
	let timer = setTimeout(stop, QUIET_MS);
	let again = false;
	signal.addEventListener("abort", stop, { once: true });
	try {
		await stream("/admin/v1/overview?follow=1", { signal: own.signal },
			(name, text) => {
				clearTimeout(timer);
				timer = setTimeout(stop, QUIET_MS);
				again ||= name === "again";
				take(name, text);
			});
		return again;
	} finally {
		clearTimeout(timer);
		signal.removeEventListener("abort", stop);
	}
}

async function run(signal) {
	let wait = FIRST_WAIT_MS;
	become("connecting");
	while (!signal.aborted) {
		const began = Date.now();
		let why = "The stream has ended.";
		try {
			if (await once(signal))
				continue;
		} catch (failure) {
			if (failure.status === 401 || failure.status === 403) {
				become("refused", failure.message);
				return;
			}
			why = failure.message;
		}
		if (signal.aborted)
			return;
		become("lost", why);
		if (Date.now() - began > 10000)
			wait = FIRST_WAIT_MS;
		// Not all browsers at once after a restart.
		await pause(wait * (0.5 + Math.random() / 2), signal);
		wait = Math.min(2 * wait, LONGEST_WAIT_MS);
	}
}

// A page's own questions: asked again `ms` after each answer until end(), and
// by now() at once, or once more after what is under way: never two at a time,
// so that an older answer never comes after a newer one.  `why` says so on the
// page when what stands there is not of now.
export function repeat(ask, ms = AGAIN_MS) {
	const why = h("span", { class: "error", role: "status" });
	let ended = false, busy = false, more = false;
	let timer = setTimeout(now, ms);
	async function now() {
		more = busy;
		if (busy || ended)
			return;
		clearTimeout(timer);
		busy = true;
		try {
			await ask();
			fill(why);
		} catch (failure) {
			fill(why, "Not of now: " + failure.message);
		}
		busy = false;
		if (!ended)
			timer = setTimeout(now, more ? 0 : ms);
	}
	return { now, why, end() {
		ended = true;
		clearTimeout(timer);
	} };
}

export function begin() {
	end();
	running = new AbortController();
	run(running.signal);
}

export function end() {
	running?.abort();
	running = null;
	live.picture = live.rates = null;
	live.events = [];
	become("off");
}
