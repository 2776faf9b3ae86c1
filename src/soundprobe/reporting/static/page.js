"use strict";
// Tables sort by a click on a column's heading; the first body only, so that published rows keep their place.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.querySelectorAll("tr.columns th")];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
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
