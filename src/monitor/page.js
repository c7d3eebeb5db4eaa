// Brings the page up to date without loading it anew. Without this script it is as good, only older.
"use strict";
const every = 5000;
async function refresh() {
  if (document.hidden || String(document.getSelection())) return;
  const header = document.querySelector("header .now");
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = [...document.querySelectorAll(".wide")].map((region) => [
      region.ariaLabel, region.scrollLeft, region === document.activeElement,
    ]);
    for (const part of ["header", "main"]) {
      document.querySelector(part).replaceWith(next.querySelector(part));
    }
    // whoever reads on the right, or goes by keyboard, stays there
    for (const [name, left, focused] of before) {
      const region = document.querySelector(`.wide[aria-label="${name}"]`);
      if (!region) continue;
      region.scrollLeft = left;
      if (focused) region.focus({ preventScroll: true });
    }
    document.title = next.title;
  } catch {
    header.textContent = "the service does not answer";
  }
}
setInterval(refresh, every);
