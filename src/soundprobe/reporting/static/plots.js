"use strict";
// Charts: drawn when they come into view, redrawn when the reader chooses another run or the system changes its colours.
(() => {
  if (typeof Plotly === "undefined") return;
  const root = document.documentElement;
  root.classList.add("plots");
  document.querySelectorAll("details.as-table").forEach((details) => { details.open = false; });

  // "var(--accent)" under a key that names a colour becomes the page's colour of the moment.
  const themed = (value, key, style) => {
    if (Array.isArray(value)) return value.map((item) => themed(item, key, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name, style)]));
    }
    const variable = /color/i.test(key) && typeof value === "string" && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return variable ? style.getPropertyValue(variable[1]).trim() : value;
  };
  const merged = (base, extra) => {
    const result = { ...base };
    for (const [name, value] of Object.entries(extra || {})) {
      const both = value && result[name] && typeof value === "object" && !Array.isArray(value);
      result[name] = both ? merged(result[name], value) : value;
    }
    return result;
  };
  const axis = { gridcolor: "var(--line)", zeroline: false, linecolor: "var(--line)", automargin: true,
    fixedrange: true, ticklabelposition: "outside" };
  const common = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false, hovermode: "closest",
    font: { color: "var(--text)", size: 13 }, margin: { l: 8, r: 16, t: 16, b: 8 },
    hoverlabel: { bgcolor: "var(--surface)", bordercolor: "var(--line)", font: { color: "var(--text)", size: 13 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left" },
  };
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false, showTips: false };

  const draw = (figure) => {
    const spec = (figure.spec ??= JSON.parse(figure.querySelector("script").textContent));
    const canvas = figure.querySelector(".canvas");
    const chosen = spec.variants[Number(figure.querySelector("select")?.value || 0)];
    const style = getComputedStyle(root);
    const layout = merged(merged(common, spec.layout), chosen.layout);
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis/.test(name)) layout[name] = merged(axis, layout[name]);
    }
    layout.font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    layout.height = spec.height;
    canvas.style.minHeight = `${spec.height}px`;
    return Plotly.react(canvas, themed(chosen.data, "", style), themed(layout, "", style), config)
      .then(() => {
        if (!figure.dataset.drawn) {
          canvas.on("plotly_click", ({ points: [{ x, y }] }) => figure.dispatchEvent(new CustomEvent("picked", { detail: [x, y] })));
        }
        figure.dataset.drawn = "yes";
      });
  };

  const figures = [...document.querySelectorAll("figure.plotted[data-plot]")];
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  for (const figure of figures) {
    seen.observe(figure);
    figure.querySelector("select")?.addEventListener("change", () => draw(figure));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    figures.filter((figure) => figure.dataset.drawn).forEach(draw);
  });
})();
