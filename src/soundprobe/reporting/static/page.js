"use strict";
// Tables that are wider than their frame: the edge fades where they go on, and the keyboard can move them.
const frames = [...document.querySelectorAll(".scroll")];
function showEnds(frame) {
  const hidden = frame.scrollWidth - frame.clientWidth;
  frame.classList.toggle("goes-on", hidden - frame.scrollLeft > 2);
  if (hidden > 2) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}
const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => showEnds(target)));
for (const frame of frames) {
  resized.observe(frame);
  frame.addEventListener("scroll", () => showEnds(frame), { passive: true });
}

// The contents say which chapter is being read.
for (const contents of document.querySelectorAll(".contents")) {
  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const reading = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) seen[isIntersecting ? "add" : "delete"](target.id);
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0% -70% 0%" });
  for (const id of links.keys()) reading.observe(document.getElementById(id));
}

// A link to what is folded opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();

// Tables sort by a click on a column's heading; the first body only, so that published rows keep theirs.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.querySelectorAll("tr.columns th")];
  // One stop for Tab; the arrows go from heading to heading.
  table.tHead.addEventListener("keydown", (event) => {
    const buttons = headings.map((heading) => heading.querySelector("button")).filter(Boolean);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = step && buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  headings.forEach((heading, column) => {
    if (!heading.dataset.kind) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.tabIndex = headings.find((one) => one.dataset.kind) === heading ? 0 : -1;
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const first = heading.dataset.first || (heading.dataset.kind === "number" ? "descending" : "ascending");
      const order = before ? (before === "ascending" ? "descending" : "ascending") : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      sortRows(table.tBodies[0], column, heading.dataset.kind === "number", order === "ascending" ? 1 : -1);
    });
  });
}

function sortRows(body, column, numeric, sign) {
  const value = (row) => row.cells[column].dataset.value;
  // Cells without a value stay below, whichever way the others run.
  const empty = (text) => text === "" || text === undefined || text === "nan";
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (empty(a) || empty(b)) return Number(empty(a)) - Number(empty(b));
    return sign * (numeric ? a - b : a.localeCompare(b, "en"));
  });
  body.append(...rows);
}

// What is folded away on the screen is printed.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
