// The browser, what its checks share, and what they tell: one line of JSON a check,
// { check, wrong }, where "" is as it should be.

import fs from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const url = process.env.ATOMD_URL;
export const keys = JSON.parse(process.env.ATOMD_KEYS);
const shots = process.env.ATOMD_SHOTS;
export const LIMIT_MS = 15000 * Number(process.env.FACTOR || 1);
const axeSource = fs.readFileSync(createRequire(import.meta.url)
	.resolve("axe-core/axe.min.js"), "utf8");
export const console_ = []; // what a browser's console said, of all pages
export const violations = [];

export const browser = await chromium.launch({ executablePath: process.env.BROWSER,
	args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });

export async function check(name, what) {
	const began = Date.now();
	let wrong = "";
	try {
		await what();
	} catch (failure) {
		wrong = failure.stack || String(failure);
	}
	console.log(JSON.stringify({ check: name, wrong, ms: Date.now() - began }));
}

export function equal(found, wanted, what) {
	if (JSON.stringify(found) !== JSON.stringify(wanted))
		throw new Error(`${what}: ${JSON.stringify(found)}, expected ` +
			JSON.stringify(wanted));
}

export function listen(page, path) {
	page.setDefaultTimeout(LIMIT_MS);
	page.on("console", message => {
		if (message.type() !== "error" && message.type() !== "warning")
			return;
		// A refused request is in the console whatever the page does.
		if (page.refused && /status of 4\d\d/.test(message.text()))
			return;
		// So is one to a daemon that is not there.
		if (page.away && /net::ERR_/.test(message.text()))
			return;
		console_.push(`${path}: ${message.text()}`);
	});
	page.on("pageerror", failure => console_.push(`${path}: ${failure.stack}`));
}

// A page of its own, signed in as `role` unless "".
export async function open(role, path, { scheme = "light", width = 1280,
	height = 900 } = {}) {
	const context = await browser.newContext({ colorScheme: scheme,
		viewport: { width, height }, reducedMotion: "reduce" });
	const page = await context.newPage();
	listen(page, path);
	if (role)
		await page.addInitScript(([name, key]) => {
			if (sessionStorage.getItem("begun") === null)
				sessionStorage.setItem(name, key);
			sessionStorage.setItem("begun", "1");
		}, ["atomd-key", keys[role]]);
	await page.goto(`${url}/#/${path}`);
	await page.locator("main h1").waitFor();
	return page;
}

export const done = page => page.context().close();

export async function go(page, path, title) {
	await page.evaluate(to => { location.hash = "#/" + to; }, path);
	await page.locator("main h1", { hasText: title }).waitFor();
}

export async function axe(page, name, rules = null) {
	await page.evaluate(axeSource);
	const found = await page.evaluate(only => axe.run(document, {
		resultTypes: ["violations"],
		...(only ? { runOnly: { type: "rule", values: only } } : {}) }), rules);
	for (const one of found.violations)
		if (["serious", "critical"].includes(one.impact))
			violations.push(`${name}: ${one.id} (${one.help}) at ` +
				one.nodes.slice(0, 3).map(node => node.target + " " +
					node.html.slice(0, 120)).join(" and "));
}

export async function shot(page, name, full = true) {
	if (!shots)
		return;
	// What sticks to the top is where it was, in a picture of the whole page.
	await page.evaluate(() => scrollTo(0, 0));
	await page.screenshot({ path: `${shots}/dashboard-${name}.png`,
		fullPage: full });
}

export const pressed = (page, name) => page.getByRole("button", { name, exact: true });
export const tile = (page, name) => page.locator(".tile", { hasText: name })
	.locator("b");
export const note = (page, text) => page.locator(".note", { hasText: text }).waitFor();

// What the daemon says, whatever the page shows.
export async function ask(path, method = "GET", key = keys.admin, body = {}) {
	const answer = await fetch(url + "/admin/v1/" + path, { method,
		headers: { Authorization: "Bearer " + key },
		body: method === "GET" ? undefined : JSON.stringify(body) });
	return { status: answer.status, told: answer.status === 204 ? null
		: await answer.json() };
}

export const rolloutOf = async agent => (await ask("deployments/" + agent)).told;

// Until the answer has these members.
export async function told(path, members) {
	const end = Date.now() + LIMIT_MS;
	for (;;) {
		const answer = (await ask(path)).told;
		const found = Object.fromEntries(Object.keys(members)
			.map(member => [member, answer[member]]));
		if (JSON.stringify(found) === JSON.stringify(members))
			return answer;
		if (Date.now() > end)
			equal(found, members, path);
	}
}

export const stands = (agent, members) => told("deployments/" + agent, members);
export const serves = (agent, revision) => told("agents/" + agent, { revision });

export async function agree(page, action) {
	await page.locator("dialog").getByRole("button", { name: action,
		exact: true }).click();
}
