// Drives every page of the dashboard.  See test_dashboard_pages.py.

import { LIMIT_MS, agree, ask, axe, browser, check, console_, done, equal, go,
	keys, listen, note, open, pressed, rolloutOf, serves, shot, stands, tile,
	url, violations } from "./browser.mjs";
import { updates } from "./updates.mjs";

const FIRST_PAGE_BYTES = 240 * 1024; // without the charts' numbers

// --- who is here ----------------------------------------------------------------

const first = await open("", "");

await check("wrong key", async () => {
	await axe(first, "sign in");
	await shot(first, "sign-in", false);
	first.refused = true;
	await first.getByLabel("Key").fill("atm_wrong_key");
	await pressed(first, "Sign in").click();
	await first.getByRole("alert").filter({ hasText: /key/ }).waitFor();
	equal(await first.locator("nav a").count(), 0, "links of a stranger");
	equal(await first.evaluate(() => sessionStorage.getItem("atomd-key")),
		null, "the key that is kept");
	first.refused = false;
});

await check("sign in", async () => {
	await first.getByLabel("Key").fill(keys.admin);
	await pressed(first, "Sign in").click();
	await first.locator("main h1", { hasText: "Overview" }).waitFor();
	equal(await first.locator("nav a").allTextContents(), ["Overview",
		"Alerts", "Audit", "Plugins", "Compliance", "Try it"], "pages");
	equal(first.url().includes("atm_"), false, "the key in the address");
	equal(await first.evaluate(() => Object.values(localStorage)
		.some(one => one.includes("atm_"))), false, "the key on disk");
	await first.reload();
	await first.locator("main h1", { hasText: "Overview" }).waitFor();
});

await check("sign out forgets the key", async () => {
	await pressed(first, "Sign out").click();
	await first.locator("h1", { hasText: "Sign in" }).waitFor();
	equal(await first.evaluate(() => sessionStorage.getItem("atomd-key")),
		null, "the key that is kept");
	await first.reload();
	await first.locator("h1", { hasText: "Sign in" }).waitFor();
});
await done(first);

// --- the overview ---------------------------------------------------------------

await check("first page", async () => {
	const context = await browser.newContext();
	const page = await context.newPage();
	listen(page, "first");
	const session = await context.newCDPSession(page);
	const sizes = new Map();
	let bytes = 0, charts = 0;
	await session.send("Network.enable");
	session.on("Network.responseReceived", ({ requestId, response }) =>
		sizes.set(requestId, response.url.replace(url, "")));
	session.on("Network.loadingFinished", event => {
		// How many of these come before the page counts as loaded is chance.
		if (sizes.get(event.requestId)?.includes("/metrics/query"))
			charts += event.encodedDataLength;
		else
			bytes += event.encodedDataLength;
		sizes.set(event.requestId, sizes.get(event.requestId) + " " +
			event.encodedDataLength);
	});
	await page.addInitScript(key =>
		sessionStorage.setItem("atomd-key", key), keys.admin);
	const began = Date.now();
	await page.goto(url);
	await page.locator("tbody a", { hasText: "summarizer" }).waitFor();
	const usable = Date.now() - began;
	await page.waitForLoadState("load");
	// Everything but the stream, which does not end.
	console.log(`first page: ${bytes} bytes and ${charts} of charts in ` +
		`${sizes.size} answers, usable after ${usable} ms`);
	if (bytes < 50000 || bytes > FIRST_PAGE_BYTES)
		throw new Error(`${bytes} bytes: ${[...sizes.values()].join(", ")}`);
	for (const address of sizes.values())
		if (/^https?:/.test(address))
			throw new Error("from elsewhere: " + address);
	await context.close();
});

const page = await open("admin", "");

await check("live numbers", async () => {
	const calls = page.locator(".tile", { hasText: "Calls per second" })
		.locator("small");
	await page.locator(".light.live").waitFor();
	await calls.filter({ hasText: /in all/ }).waitFor();
	const before = await calls.textContent();
	await page.waitForFunction(([text]) => ![...document.querySelectorAll(
		".tile small")].some(one => one.textContent === text), [before]);
	equal(await tile(page, "Status").textContent(), "operational", "status");
});

await check("live event", async () => {
	const answer = await fetch(`${url}/admin/v1/agents/classifier/scale`, {
		method: "POST", headers: { Authorization: "Bearer " + keys.admin },
		body: JSON.stringify({ instances: 2 }) });
	equal(answer.status, 200, "scaled");
	await page.locator(".events li", { hasText: "classifier" })
		.filter({ hasText: "1 → 2" }).first().waitFor();
});

await check("disconnected and back", async () => {
	const other = await open("admin", "");
	await other.locator(".light.live").waitFor();
	other.away = true;
	await other.context().setOffline(true);
	// What is offline in Chromium keeps its streams: end this one.
	await other.evaluate(async () => {
		const { begin } = await import("/dashboard/live.js");
		begin();
	});
	await other.locator(".note.lost", { hasText: "Disconnected" }).waitFor();
	await other.locator(".light.lost").waitFor();
	await axe(other, "disconnected");
	await other.context().setOffline(false);
	await other.locator(".light.live").waitFor();
	equal(await other.locator(".note.lost").count(), 0, "notes of the loss");
	await done(other);
});

// --- an agent and its rollout -----------------------------------------------------

await check("revision difference", async () => {
	await page.locator("tbody a", { hasText: "summarizer" }).click();
	await page.locator("h1", { hasText: "summarizer" }).waitFor();
	await pressed(page, "Difference of revision 2").click();
	await page.locator(".diff ins", { hasText: "b " }).waitFor();
	await page.locator(".diff del", { hasText: "a " }).waitFor();
	await axe(page, "agent");
	await shot(page, "agent");
});

await check("sessions", async () => {
	const sessions = page.locator(".tile", { hasText: "Sessions" })
		.locator("b");
	await sessions.filter({ hasText: /^0$/ }).waitFor();
	for (const session of ["one", "two", "one"]) {
		const answer = await fetch(url + "/v1/chat/completions", {
			method: "POST", headers: { Authorization: "Bearer " + keys.caller,
				"x-atomd-session": session }, body: JSON.stringify({
				model: "summarizer",
				messages: [{ role: "user", content: "a word" }] }) });
		equal(answer.status, 200, "a call of session " + session);
		await answer.text();
	}
	await sessions.filter({ hasText: /^2$/ }).waitFor();
});

await check("promote", async () => {
	await page.locator("#rollout", { hasText: "20 % of the calls" }).waitFor();
	await page.locator("#rollout tbody tr", { hasText: "error" }).waitFor();
	await pressed(page, "Promote").click();
	await axe(page, "confirm");
	await pressed(page, "Cancel").click();
	equal(await page.locator("dialog").count(), 0, "dialogs");
	await pressed(page, "Promote").click();
	await agree(page, "Promote");
	await note(page, "promoted a step");
	await page.locator("#rollout", { hasText: "50 % of the calls" }).waitFor();
	equal(await page.locator(".split span").evaluate(bar => bar.style.width),
		"50%", "the bar");
});

await check("abort", async () => {
	await pressed(page, "Abort").click();
	await agree(page, "Abort");
	await note(page, "aborted");
	await page.locator("#rollout .badge", { hasText: "aborted" }).waitFor();
	await page.locator(".tile small", { hasText: "1: 100 %, drift" }).waitFor();
	await pressed(page, "Try again").waitFor();
	equal(await pressed(page, "Promote").count(), 0, "buttons to promote");
});

await check("retry", async () => {
	const before = await stands("summarizer", { stage: "over",
		outcome: "aborted" });
	await pressed(page, "Try again").click();
	await agree(page, "Try again");
	await note(page, "begun again");
	const after = await stands("summarizer", { outcome: "open",
		stage: "steps", step: 0, phase: "Paused", waits_for: "person" });
	equal([after.from, after.to], [before.from, before.to], "revisions");
	await page.locator("#rollout", { hasText: "20 % of the calls" }).waitFor();
	await pressed(page, "Promote").waitFor();
	equal(await pressed(page, "Try again").count(), 0, "buttons to retry");
});

await check("back while warm", async () => {
	await pressed(page, "Promote fully").click();
	await agree(page, "Promote fully");
	await stands("summarizer", { stage: "warm", outcome: "promoted" });
	await serves("summarizer", 2);
	await pressed(page, "Go back").click();
	await axe(page, "go back");
	await agree(page, "Go back");
	await note(page, "taken back");
	await stands("summarizer", { stage: "over", outcome: "aborted" });
	await serves("summarizer", 1);
	await page.locator("#rollout .badge", { hasText: "aborted" }).waitFor();
});

await check("pause", async () => {
	await go(page, "agents/translator", "translator");
	await stands("translator", { stage: "steps", phase: "Progressing",
		waits_for: null });
	await pressed(page, "Pause").click();
	await agree(page, "Pause");
	await note(page, "is paused");
	await stands("translator", { phase: "Paused", waits_for: "person" });
	await page.locator("#rollout dd", { hasText: "a person" }).waitFor();
	await pressed(page, "Resume").waitFor();
	equal(await pressed(page, "Pause").count(), 0, "buttons to pause");
});

await check("resume", async () => {
	await pressed(page, "Resume").click();
	await agree(page, "Resume");
	await note(page, "resumed");
	await stands("translator", { stage: "steps", phase: "Progressing",
		waits_for: null });
	await pressed(page, "Pause").waitFor();
	equal(await pressed(page, "Resume").count(), 0, "buttons to resume");
});

await check("undo of an ended rollout", async () => {
	await pressed(page, "Promote fully").click();
	await agree(page, "Promote fully");
	await stands("translator", { stage: "over", outcome: "promoted" });
	await page.locator("#rollout .badge", { hasText: "promoted" }).waitFor();
	equal(await page.locator("#rollout button").count(), 0, "orders");
	await pressed(page, "Go back to revision 1").click();
	const dialog = page.locator("dialog");
	await dialog.getByLabel("Reason").fill("too slow");
	await agree(page, "Go back");
	await note(page, "A rollout back to revision 1 has begun");
	await stands("translator", { from: 2, to: 3, outcome: "open",
		why: "too slow" });
	await page.locator("#rollout strong", { hasText: "revision 2 → 3" })
		.waitFor();
	await page.locator("tbody tr", { hasText: "too slow" }).waitFor();
});

await check("scale", async () => {
	await go(page, "agents/classifier", "classifier");
	await page.getByLabel("Instances", { exact: true }).fill("3");
	await pressed(page, "Set by hand").click();
	await agree(page, "Do it");
	await note(page, "3 instances: done");
	await page.locator("dd", { hasText: "3 wanted" }).waitFor();
	await page.locator("tbody tr", { hasText: "2" }).filter({ hasText: "3" })
		.first().waitFor();
	const number = page.getByLabel("Instances", { exact: true });
	equal(await number.inputValue(), "3", "the number in the form");
	await page.locator("dd", { hasText: /^none$/ }).waitFor();
	await pressed(page, "Leave to the strategy").click();
	await agree(page, "Do it");
	await page.locator("dd", { hasText: "1 wanted" }).waitFor();
	equal([await number.inputValue(),
		await pressed(page, "Leave to the strategy").isDisabled()],
	["1", true], "the form of who scales by itself");
});

// --- roles ------------------------------------------------------------------------

await check("operator sees no orders", async () => {
	const other = await open("operator", "agents/summarizer");
	await other.locator("#rollout .badge").first().waitFor();
	equal(await other.locator("nav a").allTextContents(), ["Overview",
		"Alerts", "Audit", "Plugins"], "pages of an operator");
	equal(await other.locator("#rollout button").count(), 0, "orders");
	equal(await pressed(other, "Set by hand").count(), 0, "scaling by hand");
	equal(await pressed(other, "Restart").count(), 1, "restart");
	await other.evaluate(() => { location.hash = "#/compliance"; });
	await other.locator("main p", { hasText: "may not see" }).waitFor();
	await done(other);
});

await check("reader is refused", async () => {
	const other = await open("read_only", "agents/translator");
	await other.locator("#rollout .badge").first().waitFor();
	equal(await other.locator("#rollout button").count(), 0, "orders");
	equal(await other.getByRole("button", { name: /^Go back/ }).count(), 0,
		"buttons to go back");
	await go(other, "alerts", "Alerts");
	await other.locator(".alert").first().waitFor();
	equal(await other.getByRole("button", { name: /ilence/ }).count(), 0,
		"buttons to silence");
	await done(other);
	// Its reason counts seconds.
	const stand = async () => ({ ...await rolloutOf("translator"), reason: "" });
	const before = await stand();
	for (const path of [...["promote", "pause", "resume", "abort", "retry"]
		.map(word => "deployments/translator/" + word),
	"agents/translator/undo", "alerts/silences"]) {
		const answer = await ask(path, "POST", keys.read_only);
		equal([answer.status, answer.told.error?.code], [403, "permission_denied"],
			path);
	}
	equal(await stand(), before, "the rollout");
});

await check("caller sees the console alone", async () => {
	const other = await open("caller", "");
	await other.locator("h1", { hasText: "Try it" }).waitFor();
	equal(await other.locator("nav a").allTextContents(), ["Try it"],
		"pages of a caller");
	await done(other);
});

// --- the other pages --------------------------------------------------------------

await check("audit", async () => {
	await go(page, "audit", "Audit");
	await page.getByLabel("Type").fill("rollout.abort");
	await pressed(page, "Search").click();
	await page.locator("p[role=status]", { hasText: /^[12] records/ }).waitFor();
	await page.locator("tbody code", { hasText: "rollout.abort" }).first()
		.waitFor();
	await axe(page, "audit");
	await pressed(page, "Clear").click();
	await page.locator("tbody tr").nth(20).waitFor();
	await shot(page, "audit", false);
	await page.getByLabel("Since").fill("no time");
	page.refused = true;
	await pressed(page, "Search").click();
	await page.getByRole("alert").filter({ hasText: "since" }).waitFor();
	page.refused = false;
});

await check("plugins", async () => {
	await go(page, "plugins", "Plugins");
	await pressed(page, "backend/echo").click();
	await page.locator("h2", { hasText: "backend/echo" }).waitFor();
	await page.locator("tbody code", { hasText: "chunk_delay_ms" }).waitFor();
	await axe(page, "plugins");
});

await check("compliance", async () => {
	await go(page, "compliance", "Compliance");
	await pressed(page, "Run the checks").click();
	await page.locator("[role=status] .badge", { hasText: "compliant" })
		.waitFor();
	await page.locator("tbody code", { hasText: "key_revocation" }).waitFor();
	await axe(page, "compliance");
	await shot(page, "compliance", false);
});

await check("try it", async () => {
	await go(page, "try", "Try it");
	await page.getByLabel("Agent", { exact: true }).selectOption("summarizer");
	await page.getByLabel("Message").fill("one two three four five six");
	await pressed(page, "Send").click();
	// It comes in pieces: a part of it stands there while the rest is due.
	await page.waitForFunction(() => {
		const text = document.getElementById("answer").textContent;
		return text.length > 0 && !text.endsWith("six");
	}, null, { polling: 5 });
	await page.locator("#answer", { hasText: /a one two three four five six$/ })
		.waitFor();
	await page.locator("#told dd", { hasText: /^req_/ }).waitFor();
	await axe(page, "try it");
	await shot(page, "try", false);
});

await check("try it stopped", async () => {
	await page.getByLabel("Message").fill("word ".repeat(2000));
	await pressed(page, "Send").click();
	await page.locator("#answer", { hasText: "word word" }).waitFor();
	await pressed(page, "Stop").click();
	await page.getByRole("alert").filter({ hasText: "Stopped." }).waitFor();
});

await check("markup", async () => {
	const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>";
	let asked = false;
	page.on("dialog", dialog => {
		asked = true;
		dialog.dismiss();
	});
	await page.getByLabel("Message").fill(evil);
	await pressed(page, "Send").click();
	await page.waitForFunction(wanted => document.getElementById("answer")
		.textContent.endsWith(wanted), evil);
	equal(await page.locator("#answer *").count(), 0, "elements of an answer");
	equal(asked, false, "alerts of the browser");
});

// --- charts, alerts: what the daemon's clock has to make first -------------------

await check("charts", async () => {
	await go(page, "", "Overview");
	const calls = page.locator("figure", { hasText: "Calls per second" });
	// Two samples of 15 s, and the page asks each 15 s.
	await calls.locator("canvas").first().waitFor({ timeout: 4 * LIMIT_MS });
	await page.waitForFunction(() => /calls: .* now/.test(document
		.querySelector(".picture")?.getAttribute("aria-label")), null,
	{ timeout: 4 * LIMIT_MS });
	await calls.locator("summary").click();
	await calls.locator("tbody tr").first().waitFor();
	await axe(page, "overview");
	await calls.locator("summary").click();
	const range = page.getByLabel("Range of the charts");
	for (const one of ["15m", "30d", "1h"]) {
		const answered = page.waitForResponse(answer =>
			answer.url().includes("range=" + one));
		await range.selectOption(one);
		equal((await answered).status(), 200, "answer to the range " + one);
	}
	equal(await page.locator(".range .error").textContent(), "", "error");
	await shot(page, "overview");
});

await check("without the library", async () => {
	const other = await open("admin", "plugins");
	await other.route("**/dygraph.js", route => route.fulfill({
		body: "", contentType: "text/javascript" }));
	await other.evaluate(() => { location.hash = "#/"; });
	await other.reload();
	await other.locator("figure tbody tr").first()
		.waitFor({ timeout: 4 * LIMIT_MS });
	equal(await other.locator("canvas").count(), 0, "canvases");
	await done(other);
});

await check("alert", async () => {
	await go(page, "alerts", "Alerts");
	await page.locator(".alert", { hasText: "too_many_instances" })
		.waitFor({ timeout: 4 * LIMIT_MS });
	await axe(page, "alerts");
});

await check("note of an analyst", async () => {
	const alert = page.locator(".alert", { hasText: "too_many_instances" });
	await alert.locator("blockquote", { hasText: "Asked because of the alert" })
		.waitFor();
	const [row] = (await ask("annotations")).told
		.filter(one => one.alert === "too_many_instances");
	equal(await alert.locator("blockquote p").textContent(), row.text,
		"what stands beside the alert");
	const shown = await page.evaluate(async at => (await import(
		"/dashboard/format.js")).time(at), row.time);
	for (const place of [alert.locator("blockquote"), page.locator("tbody tr",
		{ hasText: "monitor/analyst" }).first()])
		await place.filter({ hasText: shown }).waitFor();
	await alert.locator(".badge", { hasText: "warning" }).waitFor();
	await axe(page, "a note");
});

await check("silence", async () => {
	await page.locator(".alert", { hasText: "too_many_instances" })
		.getByRole("button", { name: "Silence" }).click();
	const dialog = page.locator("dialog");
	equal(await dialog.getByLabel("Which").inputValue(),
		'alertname="too_many_instances"', "what is silenced");
	await dialog.getByLabel("Why").fill("a known one");
	await axe(page, "silence");
	await agree(page, "Silence");
	await note(page, "silence is in force");
	await page.locator("tbody tr", { hasText: "a known one" })
		.filter({ hasText: "active" }).waitFor();
	await page.locator(".alert .badge", { hasText: "silenced" }).waitFor();
	equal(await pressed(page, "Silence").count(), 0,
		"buttons to silence what is silenced");
	await shot(page, "alerts", false);
});

await check("end of a silence", async () => {
	await pressed(page, "End").click();
	await agree(page, "End it");
	await note(page, "silence has ended");
	await page.waitForFunction(() => ![...document.querySelectorAll("tbody tr")]
		.some(row => row.textContent.includes("active")));
});
await done(page);

await updates();

// --- other eyes, other hands -------------------------------------------------------

async function wide(page_, name) {
	const over = await page_.evaluate(() =>
		document.documentElement.scrollWidth - innerWidth);
	if (over > 0)
		throw new Error(`${name} is ${over} px wider than the screen`);
}

// All of it can be read without moving anything to the side.
async function across(page_, locator, name) {
	const box = await locator.boundingBox();
	const { width } = page_.viewportSize();
	if (box.x < 0 || box.x + box.width > width)
		throw new Error(`${name} goes from ${box.x} to ${box.x + box.width}, ` +
			`the screen to ${width}`);
}

await check("phone", async () => {
	const phone = await open("admin", "", { width: 390, height: 844 });
	await phone.locator("tbody a", { hasText: "summarizer" }).waitFor();
	await wide(phone, "overview");
	await axe(phone, "overview on a phone");
	await shot(phone, "phone", false);
	for (const [path, title] of [["agents/summarizer", "summarizer"],
		["alerts", "Alerts"], ["audit", "Audit"], ["plugins", "Plugins"],
		["compliance", "Compliance"], ["try", "Try it"]]) {
		await go(phone, path, title);
		await wide(phone, path);
		await across(phone, phone.locator(path.startsWith("agents")
			? "nav a" : "nav a[aria-current]").first(), "the page's link");
	}
	await go(phone, "alerts", "Alerts");
	const row = phone.locator("tbody tr", { hasText: "Asked because" }).first();
	await across(phone, row.locator("td").last(), "an analyst's text");
	equal(await phone.getByRole("cell", { name: "monitor/analyst" }).count() > 0,
		true, "cells for those who do not see it");
	await axe(phone, "alerts on a phone");
	await go(phone, "plugins", "Plugins");
	await pressed(phone, "store/sqlite").click();
	const title = await phone.locator("h2", { hasText: "store/sqlite" })
		.boundingBox();
	const bar = await phone.locator(".bar").boundingBox();
	equal(title.y >= bar.y + bar.height, true, "options below the bar");
	await done(phone);
});

await check("dark", async () => {
	const dark = await open("admin", "", { scheme: "dark" });
	await dark.locator("tbody a", { hasText: "summarizer" }).waitFor();
	equal(await dark.evaluate(() => document.documentElement.dataset.theme),
		"dark", "theme");
	await axe(dark, "overview in the dark", ["color-contrast"]);
	await dark.locator("canvas").first().waitFor();
	await shot(dark, "dark");
	for (const [path, title] of [["agents/summarizer", "summarizer"],
		["plugins", "Plugins"], ["alerts", "Alerts"]]) {
		await go(dark, path, title);
		await axe(dark, path + " in the dark", ["color-contrast"]);
	}
	const theme = () => dark.evaluate(() =>
		document.documentElement.dataset.theme);
	await pressed(dark, "Theme").click();
	equal(await theme(), "light", "theme after its button");
	await pressed(dark, "Theme").click();
	await dark.emulateMedia({ colorScheme: "light" });
	await dark.waitForFunction(() =>
		document.documentElement.dataset.theme === "light");
	await done(dark);
});

await check("keyboard", async () => {
	const keyboard = await open("admin", "");
	await keyboard.locator("tbody a", { hasText: "summarizer" }).waitFor();
	await keyboard.keyboard.press("Tab");
	equal(await keyboard.evaluate(() => document.activeElement.textContent),
		"Skip to the content", "the first stop");
	for (let i = 0; i < 3; i++)
		await keyboard.keyboard.press("Tab");
	equal(await keyboard.evaluate(() => document.activeElement.textContent),
		"Alerts", "the fourth stop");
	await keyboard.keyboard.press("Enter");
	await keyboard.locator("h1", { hasText: "Alerts" }).waitFor();
	equal(await keyboard.evaluate(() => document.activeElement.id), "main",
		"where one stands after a page came");
	await done(keyboard);
});

await check("a button at work keeps the focus", async () => {
	const at = page_ => page_.evaluate(() => document.activeElement.textContent);
	const keyboard = await open("admin", "try");
	await keyboard.getByLabel("Message").fill("a word");
	await pressed(keyboard, "Send").focus();
	await keyboard.keyboard.press("Enter");
	equal(await at(keyboard), "Send", "the focus at work");
	await keyboard.locator("#told dt", { hasText: "Whole answer" }).waitFor();
	equal(await at(keyboard), "Send", "the focus after it");
	await go(keyboard, "compliance", "Compliance");
	await pressed(keyboard, "Run the checks").focus();
	await keyboard.keyboard.press("Enter");
	await keyboard.locator("tbody code").first().waitFor();
	equal(await at(keyboard), "Run the checks", "the focus after the checks");
	await done(keyboard);
});

await check("no such page", async () => {
	const other = await open("admin", "agents");
	await other.locator("p", { hasText: "There is no such page." }).waitFor();
	await done(other);
});

await check("axe", () => equal(violations, [], "violations"));
await check("console", () => equal(console_, [], "messages"));
await browser.close();
