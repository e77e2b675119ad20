// The way to the daemon.  A key is kept for this tab alone (sessionStorage is
// gone with it), is sent as Authorization and nowhere else, and never stands
// in an address.

const KEY = "atomd-key", WITHOUT = "atomd-without-key";
let key = sessionStorage.getItem(KEY) || "";

export class ApiError extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

export const signedIn = () => key !== "";
// Has this tab said who it is, or that it goes without?
export const decided = () => key !== "" || sessionStorage.getItem(WITHOUT) !== null;

export function signIn(given) {
	key = given;
	sessionStorage.setItem(given ? KEY : WITHOUT, given || "1");
}

export function signOut() {
	key = "";
	sessionStorage.removeItem(KEY);
	sessionStorage.removeItem(WITHOUT);
}

async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
	const request = { method, signal, cache: "no-store", credentials: "omit",
		headers: { ...headers } };
	if (key)
		request.headers.Authorization = "Bearer " + key;
	if (body !== undefined) {
		request.body = JSON.stringify(body);
		request.headers["Content-Type"] = "application/json";
	}
	let answer;
	try {
		answer = await fetch(path, request);
	} catch (failure) {
		if (failure.name === "AbortError")
			throw failure;
		throw new ApiError(0, "unreachable",
			"The daemon cannot be reached.");
	}
	if (answer.ok)
		return answer;
	let told = null;
	try {
		told = (await answer.json()).error;
	} catch {
		told = null;
	}
	throw new ApiError(answer.status, told?.code || "error",
		told?.message || "The daemon answered " + answer.status + ".");
}

export async function api(path, options) {
	const answer = await send(path, options);
	if (answer.status === 204)
		return null;
	return answer.json();
}

// Has this daemon that route?  It says so itself.
let described = null;
export async function has(path) {
	described ??= api("/openapi.json");
	const row = (await described).paths[path];
	return row !== undefined &&
		!Object.values(row).every(one => one["x-later"]);
}

export const name = part => encodeURIComponent(part);

export function query(path, parameters) {
	const words = new URLSearchParams();
	for (const [word, value] of Object.entries(parameters))
		if (value !== "" && value !== null && value !== undefined)
			words.set(word, value);
	const text = words.toString();
	return text ? path + "?" + text : path;
}

// Server-sent events by fetch, because EventSource sends no Authorization.
// Calls onOpen(answer) once, onEvent(name, text) for each; returns at its end.
export async function stream(path, options, onEvent, onOpen) {
	const answer = await send(path, options);
	onOpen?.(answer);
	const reader = answer.body.pipeThrough(new TextDecoderStream())
		.getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done)
			return;
		rest += value;
		for (;;) {
			const end = rest.indexOf("\n\n");
			if (end < 0)
				break;
			const block = rest.slice(0, end);
			rest = rest.slice(end + 2);
			tell(block, onEvent);
		}
	}
}

function tell(block, onEvent) {
	let event = "message";
	const data = [];
	for (const line of block.split("\n")) {
		if (line.startsWith("event: "))
			event = line.slice(7);
		else if (line.startsWith("data: "))
			data.push(line.slice(6));
	}
	if (data.length > 0)
		onEvent(event, data.join("\n"));
}
