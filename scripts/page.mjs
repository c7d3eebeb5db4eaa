// Drives the page in headless Chromium, as people use it, and judges what they see. Called by scripts/page.
// usage: node scripts/page.mjs PACKAGES PICTURES PRIMARY SECONDARY
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [packages, pictures, primary, secondary] = process.argv.slice(2);
const packaged = createRequire(join(resolve(packages), "node_modules/"));
const { chromium } = packaged("playwright-core");
const axe = packaged("axe-core").source;

let bad = 0;
function say(what, faults) {
  if (faults.length) bad += 1;
  console.log(`${faults.length ? "BAD " : "good"}  ${what}${faults.map((fault) => `\n        ${fault}`).join("")}`);
}
// Waits for what the page has to show; the fault says what it showed instead.
async function see(what, page, shown, limit_s, argument) {
  try {
    await page.waitForFunction(shown, argument, { timeout: limit_s * 1000, polling: 200 });
    say(what, []);
  } catch (why) {
    const main = await page.locator("main").innerText().catch(() => "nothing");
    say(what, [`not within ${limit_s} s (${why.message.split("\n")[0]}); the page shows:`, ...main.split("\n").slice(0, 12)]);
  }
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const said = [], elsewhere = [];
async function open(address, width, height, colorScheme) {
  // its own policy lets no script in but the page's; axe-core comes in through the debugger, which asks nobody
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && said.push(`${line.text()} (${line.location().url})`));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("requestfailed", (request) => said.push(`${request.url()}: ${request.failure().errorText}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== new URL(address).origin) elsewhere.push(request.url());
  });
  const answer = await page.goto(address);
  return [page, answer.status()];
}
async function picture(page, name) {
  const path = join(pictures, `${name}.png`);
  await page.screenshot({ path, fullPage: true });
  console.log(`      ${path}`);
}

const [page, status] = await open(primary, 1280, 900, "light");
const [other, otherStatus] = await open(secondary, 1280, 900, "light");
const title = await page.title();
say("both pages load", status === 200 && otherStatus === 200 && title.includes("twinstream 1") ? [] : [`${status}, ${otherStatus}, ${title}`]);

// what is remembered in the page is lost if it is loaded anew
await page.evaluate(() => {
  window.count = () => Number(document.querySelector(".bars")?.ariaLabel?.split(" ")[0]);
  window.first = window.count();
});
await see("the count of posts grows, and the page is not loaded anew", page, () => window.first < window.count(), 20);

// Five minutes without a post, while the fault is on: at this speed a machine that hesitates has alarms of its own.
const alarmed = ([from, until]) => {
  const now = document.querySelector(".now").innerText.slice(11, 16);
  const text = [...document.querySelectorAll(".alarm")].map((alarm) => alarm.innerText).join("\n");
  const minutes = Number(text.match(/has stored no post for (\d+) min[.;].* Since \d\d:\d\d\.\s+What to do: ./)?.[1]);
  return from <= now && now <= until && 5 <= minutes;
};
await see("server 2 stalls: its page has the alarm, with what to do", other, alarmed, 60, ["14:30", "14:45"]);
await picture(other, "secondary-alarm");
await see("it goes on: the alarm is gone", other, () => !document.querySelector("main").innerText.includes("has stored no post"), 60);

// [whose strip, cause, from, until]: what scripts/page has injected, with the time that it takes to notice
const shown = ([who, cause, from, until]) => [...document.querySelectorAll(`svg[aria-label^="${who}:"] title`)].some((title) => {
  const [, begin, end, what] = title.textContent.match(/^(\S+ \S+) – (\S+ \S+): (.*)$/) ?? [];
  return what === cause && from <= begin && end <= until;
});
const day = "2026-11-23 ";
for (const gap of [
  ["server 1", "lock-out", "14:10", "14:16"], ["server 2", "stall", "14:25", "14:46"], ["together", "network", "14:49", "14:56"],
]) {
  const [who, cause, from, until] = gap;
  await see(`the gap of ${who}, ${from} to ${until} at most, is shown with its cause: ${cause}`, page, shown, 120, [who, cause, day + from, day + until]);
}
await see("the table of gaps names them, too", page, () => {
  const causes = [...document.querySelectorAll('[aria-label="Latest gaps"] td:last-child')].map((cell) => cell.innerText);
  return ["lock-out", "stall", "network"].every((cause) => causes.includes(cause));
}, 10);
await picture(page, "primary-light");

// the last fault goes on until the end, so that what follows sees an alarm
await see("the port is closed for good: the primary's page has the alarm", page, alarmed, 60, ["15:34", "23:59"]);
for (const width of [1280, 390]) {
  for (const scheme of ["light", "dark"]) {
    for (const [server, address] of [["primary", primary], ["secondary", secondary]]) {
      const [seen] = await open(address, width, 900, scheme);
      await seen.evaluate(axe);
      const { violations } = await seen.evaluate(() => window.axe.run());
      const faults = violations.flatMap(({ id, impact, nodes }) => nodes.map((node) => `${impact} ${id}: ${node.target} ${node.failureSummary}`));
      say(`axe-core at ${width} pixels, ${scheme}, ${server}`, faults);
      await picture(seen, `${server}-${scheme}-${width}`);
      await seen.close();
    }
  }
}

const [narrow] = await open(primary, 390, 900, "light");
const region = narrow.getByRole("region", { name: "Servers" });
const before = { left: 0, text: "" };
for (let tabs = 0; tabs < 20 && !(await region.evaluate((it) => it === document.activeElement).catch(() => false)); tabs += 1) {
  await narrow.keyboard.press("Tab");
}
for (let keys = 0; keys < 3; keys += 1) await narrow.keyboard.press("ArrowRight");
await narrow.waitForTimeout(500);
before.left = await region.evaluate((it) => it.scrollLeft).catch(() => 0);
before.text = await narrow.locator(".now").innerText();
say("the table of servers scrolls by keyboard", 0 < before.left ? [] : ["it does not move"]);
await see("it keeps its place and the focus when the page is brought up to date", narrow, ({ left, text }) => {
  const region = document.activeElement;
  return document.querySelector(".now").innerText !== text && region.ariaLabel === "Servers" && region.scrollLeft === left && 0 < left;
}, 20, before);

say("nothing is wrong in the console", said);
say("nothing is asked for elsewhere", elsewhere);
await browser.close();
process.exit(bad ? 1 : 0);
