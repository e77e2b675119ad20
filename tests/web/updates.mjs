// What a person does to a page while it is told what has happened since: nothing
// is taken from under the hand.  Each check waits until the page shows the news.

import { agree, ask, check, done, equal, go, keys, note, open, pressed, stands }
	from "./browser.mjs";

// The same element as before, and not one that looks like it?
const same = (before, locator) => locator.evaluate((now, then) => now === then,
	before);

async function reach(agent, order, phase) {
	equal((await ask(`deployments/${agent}/${order}`, "POST")).status, 200, order);
	await stands(agent, { phase });
}

const focused = page => page.evaluate(() => document.activeElement.textContent);
const chosen = page => page.evaluate(() => getSelection().toString());

// The text at which the first element that fits begins is chosen.
const choose = locator => locator.first().evaluate(({ firstChild: text }) =>
	getSelection().setBaseAndExtent(text, 0, text, text.length));

// What can be focused, chosen and counted of a list whose rows change places.
function reorder(fill, h) {
	const list = h("ul", {});
	const show = words => fill(list, words.map(word =>
		h("li", { key: word }, h("button", {}, word))));
	document.body.append(list);
	show(["a", "b", "c", "d"]);
	list.children[2].firstChild.focus();
	const seen = [];
	for (const words of [["c", "a", "d", "b"], ["e", "b", "c"], ["c"],
		["d", "c", "a"]]) {
		show(words);
		seen.push(list.textContent + ":" + document.activeElement.textContent);
	}
	list.remove();
	return seen;
}

// What has been opened, typed and scrolled in what is told again.
function kept(fill, h) {
	const box = h("div", {});
	const show = text => fill(box, h("p", {}, text), h("details", {},
		h("summary", {}, text), h("pre", {}, (text + "\n").repeat(200))),
	h("input", { value: "as it was" }));
	document.body.append(box);
	show("before");
	const [said, details, input] = box.children, text = details.lastChild;
	details.open = true;
	text.scrollTop = 90;
	input.value = "half of";
	input.focus();
	input.setSelectionRange(2, 4);
	show("after");
	const seen = [said.textContent, details.open, text.scrollTop, input.value,
		input.selectionStart, input.selectionEnd];
	box.remove();
	return seen;
}

// How often the page was laid out, as asking for a selection does, by an update.
function laidOut(fill, h) {
	const box = h("div", {}), ask = window.getSelection;
	const show = word => fill(box, ["a", "b", "c"].map(one => h("p", {}, one,
		word)));
	let asked = 0;
	document.body.append(box);
	show("before");
	window.getSelection = () => {
		asked++;
		return ask.call(window);
	};
	show("after");
	window.getSelection = ask;
	box.remove();
	return asked;
}

async function ofARollout(page) {
	const news = word => page.locator("#rollout .badge", { hasText: word })
		.waitFor();

	await check("pressed over an update", async () => {
		await go(page, "agents/translator", "translator");
		await news("Progressing");
		await pressed(page, "Abort").hover();
		await page.mouse.down();
		await reach("translator", "pause", "Paused");
		await news("Paused");
		await page.mouse.up();
		await page.locator("dialog h2", { hasText: "Abort: translator" })
			.waitFor();
		await pressed(page, "Cancel").click();
		equal(await focused(page), "Abort", "where one stands after a dialog");
	});

	await check("another button is another", async () => {
		const [x, y] = await pressed(page, "Promote").evaluate(node => {
			const box = node.getBoundingClientRect();
			return [box.x + box.width / 2, box.y + box.height / 2];
		});
		await page.mouse.move(x, y);
		await page.mouse.down();
		await reach("translator", "resume", "Progressing");
		await news("Progressing");
		await page.mouse.up();
		equal(await page.locator("dialog").count(), 0,
			"dialogs of a button that is gone");
	});

	await check("focus over an update", async () => {
		const button = pressed(page, "Promote fully");
		await button.focus();
		const before = await button.elementHandle();
		await reach("translator", "pause", "Paused");
		await news("Paused");
		equal(await focused(page), "Promote fully", "the focus");
		equal(await same(before, button), true, "the same button");
	});

	await check("chosen text over an update", async () => {
		const begun = page.locator("#rollout dd", { hasText: "too slow" });
		await choose(begun);
		const text = await chosen(page);
		await reach("translator", "resume", "Progressing");
		await news("Progressing");
		equal([await chosen(page), text.includes("too slow")], [text, true],
			"a text that stays");
		await choose(page.locator("#rollout .badge"));
		await reach("translator", "pause", "Paused");
		await page.locator("#rollout dd", { hasText: "a person" }).waitFor();
		equal(await chosen(page), "Progressing", "a text that changes");
		await page.evaluate(() => getSelection().removeAllRanges());
		await reach("translator", "resume", "Progressing");
		await page.locator("#rollout dd", { hasText: "a person" })
			.waitFor({ state: "detached" });
	});

	await check("half a form over an update", async () => {
		await pressed(page, "Go back to revision 1").click();
		const reason = page.getByLabel("Reason");
		await reason.fill("too ");
		await reason.press("Home");
		await reach("translator", "pause", "Paused");
		await news("Paused");
		await page.keyboard.type("much ");
		equal(await reason.inputValue(), "much too ", "what is typed");
		await pressed(page, "Cancel").click();
		equal(await page.evaluate(() => document.activeElement.ariaLabel),
			"Go back to revision 1", "where one stands after a dialog");
		await reach("translator", "resume", "Progressing");
	});
}

async function ofNotes(page) {
	await check("a note moves nothing and is seen", async () => {
		const placed = () => page.locator("main h1").evaluate(one =>
			one.getBoundingClientRect().top + scrollY);
		const before = await placed();
		await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
		await pressed(page, "Restart").click();
		await agree(page, "Do it");
		await note(page, "restart: begun");
		const seen = await page.locator(".note").last().boundingBox();
		equal(seen.y > 0 && seen.y + seen.height <= 900, true, "in sight");
		equal(await placed(), before, "where the page begins");
	});
}

async function ofDialogs(page) {
	await check("what is refused can be mended", async () => {
		const dialog = page.locator("dialog"), error = dialog.getByRole("alert");
		await go(page, "agents/translator", "translator");
		await pressed(page, "Go back to revision 3").click();
		await agree(page, "Go back");
		await error.filter({ hasText: "Revision 3 is the newest" }).waitFor();
		await pressed(page, "Cancel").click();
		await go(page, "alerts", "Alerts");
		await pressed(page, "New silence").click();
		const which = dialog.getByLabel("Which");
		await which.fill("what is this");
		await dialog.getByLabel("Why").fill("half of it");
		await agree(page, "Silence");
		await error.filter({ hasText: "name=value" }).waitFor();
		await which.fill('alertname=~"("');
		page.refused = true;
		await agree(page, "Silence");
		await error.filter({ hasText: /regular expression|matcher/ }).waitFor();
		page.refused = false;
		equal(await dialog.getByLabel("Why").inputValue(), "half of it",
			"what was filled in");
		await page.keyboard.press("Escape");
		await dialog.waitFor({ state: "detached" });
		equal(await focused(page), "New silence", "where one stands");
		await page.keyboard.press("Enter");
		await dialog.waitFor();
		await page.goBack();
		await page.locator("h1", { hasText: "translator" }).waitFor();
		equal(await dialog.count(), 0, "dialogs of a page that was left");
	});
}

// How many questions there were, and how many at a time, of four that come while
// the first one is unanswered.
async function asked() {
	const { repeat } = await import("/dashboard/live.js");
	let under = 0, most = 0, answers = [];
	const asking = repeat(async () => {
		most = Math.max(most, ++under);
		await new Promise(resolve => answers.push(resolve));
		under--;
	}, 1e9);
	const first = asking.now();
	for (let i = 0; i < 3; i++)
		asking.now();
	answers[0]();
	await first;
	while (answers.length < 2)
		await new Promise(resolve => setTimeout(resolve));
	asking.end();
	answers[1]();
	return [answers.length, most];
}

async function ofAnswers(page) {
	await check("one question at a time", async () => {
		equal(await page.evaluate(asked), [2, 1], "questions, and at once");
	});

	await check("what is not of now is called so", async () => {
		const path = "**/admin/v1/agents/classifier";
		const why = page.locator("main > div > .error");
		await go(page, "agents/classifier", "classifier");
		page.refused = true;
		await page.route(path, route => route.fulfill({ status: 404,
			json: { error: { code: "not_found", message: "It is gone." } } }));
		await why.filter({ hasText: "Not of now: It is gone." }).waitFor();
		await page.unroute(path);
		page.refused = false;
		await why.filter({ hasText: "gone" }).waitFor({ state: "detached" });
		await why.waitFor({ state: "hidden" });
	});

	await check("a rollout without the stream", async () => {
		const other = await open("caller", "");
		await other.route("**/overview?follow=1", () => {});
		await other.evaluate(key => sessionStorage.setItem("atomd-key", key),
			keys.admin);
		await other.evaluate(() => { location.hash = "#/agents/translator"; });
		await other.reload();
		await other.locator("h1", { hasText: "translator" }).waitFor();
		equal(await other.locator("#rollout strong").allTextContents(),
			["revision 2 → 3"], "the rollout");
		await done(other);
	});
}

async function ofEvents() {
	await check("an alert among the events", async () => {
		const other = await open("caller", "");
		await other.route("**/overview?follow=1", route => route.fulfill({
			contentType: "text/event-stream", body: "event: event\ndata: " +
				JSON.stringify({ time: new Date(), name: "alert", agent: "",
					details: { name: "too_slow", severity: "warning",
						state: "firing", agent: "", message: "it takes 3 s",
						labels: { a: "b" } } }) + "\n\n" }));
		await other.evaluate(key => sessionStorage.setItem("atomd-key", key),
			keys.admin);
		await other.evaluate(() => { location.hash = "#/"; });
		await other.reload();
		const row = other.locator(".events li", { hasText: "too_slow" }).first();
		await row.filter({ hasText: "too_slow firing: it takes 3 s" }).waitFor();
		equal(await row.locator("a").count(), 0, "links to no agent");
		equal(await other.evaluate(async () => {
			const { ago } = await import("/dashboard/format.js");
			return [0.2, 12, 89, 182, 5000, 200000].map(s =>
				ago(Date.now() - 1000 * s));
		}), ["now", "12 s ago", "89 s ago", "3 min ago", "83 min ago", "2 d ago"],
		"how long ago");
		await done(other);
	});
}

async function ofAlerts(page) {
	await check("alerts over an update", async () => {
		await go(page, "alerts", "Alerts");
		const button = page.locator(".alert", { hasText: "too_many_instances" })
			.getByRole("button", { name: "Silence" });
		await button.focus();
		const before = await button.elementHandle();
		const { status, told: { id } } = await ask("alerts/silences", "POST",
			undefined, { matchers: [{ name: "alertname",
				value: "another_one" }], duration: "30m",
			comment: "from elsewhere" });
		equal(status, 201, "silenced");
		const row = page.locator("tbody tr", { hasText: "from elsewhere" });
		await row.waitFor();
		equal(await same(before, button), true, "the same button");
		equal(await focused(page), "Silence", "the focus");
		await row.getByRole("button", { name: "End" }).click();
		await agree(page, "End it");
		await note(page, "silence has ended");
		const { told: list } = await ask("alerts/silences");
		equal(list.find(one => one.id === id).state, "expired",
			"the silence that has ended");
	});
}

async function ofTheOverview(page) {
	await check("overview over an update", async () => {
		await go(page, "", "Overview");
		const link = page.locator("tbody a", { hasText: "summarizer" });
		await link.focus();
		const before = await link.elementHandle();
		const calls = page.locator(".tile", { hasText: "Calls per second" })
			.locator("small");
		await calls.filter({ hasText: "in all" }).waitFor();
		await choose(calls);
		const text = await chosen(page);
		const cell = page.locator("tbody tr", { hasText: "summarizer" })
			.locator("td").last();
		const then = await cell.textContent();
		await page.waitForFunction(([node, was]) => node.textContent !== was,
			[await cell.elementHandle(), then]);
		equal(await chosen(page), text, "a number that is chosen");
		await page.evaluate(() => getSelection().removeAllRanges());
		await page.waitForFunction(([node, was]) => node.textContent !== was,
			[await calls.elementHandle(), text]);
		equal(await same(before, link), true, "the same link");
		equal(await focused(page), "summarizer", "the focus");
	});
}

export async function updates() {
	const page = await open("admin", "");
	const inside = what => page.evaluate(`import("/dashboard/dom.js")
		.then(({ fill, h }) => (${what})(fill, h))`);

	await check("places change", async () => {
		equal(await inside(reorder), ["cadb:c", "ebc:c", "c:c", "dca:c"],
			"rows and the focus");
	});
	await check("what was done stays done", async () => {
		equal(await inside(kept), ["after", true, 90, "half of", 2, 4],
			"the text, then what a person did");
	});
	await check("cheap updates", async () => {
		equal(await inside(laidOut), 0, "how often it asked for a selection");
	});
	await ofARollout(page);
	await ofNotes(page);
	await ofAnswers(page);
	await ofDialogs(page);
	await ofAlerts(page);
	await ofTheOverview(page);
	await ofEvents();
	await done(page);
}
