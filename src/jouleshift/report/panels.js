// The controls of the front and the figures below it, each drawn when it comes near the screen.
"use strict";
(() => {
  const { data, all, css, tint, plain, make, makeTable, axis, base, config, byId } = report;

  // "var:front" and "var:front/0.2" in figures from the report are colours of the style sheet.
  function resolve(value) {
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    if (typeof value !== "string" || !value.startsWith("var:")) return value;
    const [name, alpha] = value.slice(4).split("/");
    return alpha ? tint(css(name), Number(alpha)) : css(name);
  }

  function drawFigure(id) {
    const { data: traces, layout } = resolve(data.figures[id]);
    const made = { ...base(), xaxis: axis(), yaxis: axis() };
    for (const [key, value] of Object.entries(layout)) {
      made[key] = /^[xy]axis/.test(key) ? { ...axis(), ...value } : key === "legend" ? { ...made.legend, ...value } : value;
    }
    if (made.grid && innerWidth < 640) {
      made.grid = { ...made.grid, rows: made.grid.rows * 2, columns: made.grid.columns / 2 };
    }
    Plotly.react(byId(id), traces, made, { ...config, displayModeBar: false });
  }

  // Parallel coordinates: a line through the place of each hyperparameter between its smallest and largest value.
  const columns = data.config.filter((column) => new Set(column.values.filter((v) => v !== null)).size > 1);
  const ranges = columns.map((column) => {
    const numbers = column.values.filter((v) => v !== null);
    const low = numbers.reduce((a, b) => Math.min(a, b)), high = numbers.reduce((a, b) => Math.max(a, b));
    const log = !column.levels && low > 0 && high / low >= 20;
    const at = (v) => (v === null ? null : log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
    return { low, high, at };
  });
  const MOST_LINES = 250;

  function lines(members, line, opacity) {
    return {
      type: "scatter", mode: "lines", hoverinfo: "none", showlegend: false, line, opacity,
      x: members.flatMap(() => [...columns.keys(), null]),
      y: members.flatMap((i) => [...columns.map((column, k) => ranges[k].at(column.values[i])), null]),
      customdata: members.flatMap((i) => [...columns.map(() => i), i]),
    };
  }

  function shadeOf(colour, i) {
    const value = colour.value(i);
    const share = value === null ? 0 : (value - colour.low) / (colour.high - colour.low || 1);
    if (Array.isArray(colour.scale)) return colour.scale.findLast(([at]) => at <= share + 1e-9)[1];
    const viridis = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
    return viridis[Math.min(7, Math.floor(share * 8))];
  }

  function drawParallel() {
    const shown = (role) => all.filter((i) => data.role[i] === role && report.passes(i));
    const rejected = shown(report.REJECTED);
    const every = Math.max(1, rejected.length / MOST_LINES);
    const some = rejected.filter((_, k) => Math.floor(k / every) !== Math.floor((k - 1) / every));
    const front = shown(report.FRONT), colour = report.colour();
    const groups = new Map();
    for (const i of colour ? [...some, ...front] : []) {
      const shade = shadeOf(colour, i);
      groups.set(shade, [...(groups.get(shade) ?? []), i]);
    }
    const traces = colour
      ? [...groups].map(([color, members]) => lines(members, { color, width: 1.5 }, 0.8))
      : [lines(some, { color: css("rejected"), width: 1 }, 0.4), lines(front, { color: css("front"), width: 2 }, 0.9)];
    traces.push(lines(shown(report.DEFAULT), { color: css("default"), width: 3 }, 1));
    if (report.chosen() >= 0) traces.push(lines([report.chosen()], { color: css("ink"), width: 3 }, 1));
    const note = (k, y, text) => ({
      x: k, y, text: plain(text), showarrow: false, font: { size: 10, color: css("soft") }, bgcolor: css("card") + "c0",
    });
    const notes = columns.flatMap((column, k) => column.levels
      ? column.levels.map((level, code) => note(k, ranges[k].at(code), level))
      : [note(k, -0.07, ranges[k].low), note(k, 1.07, ranges[k].high)]);
    const layout = {
      ...base(), annotations: notes, margin: { l: 24, r: 24, t: 12, b: 56 },
      xaxis: {
        ...axis(), tickvals: [...columns.keys()], ticktext: columns.map((c) => plain(c.name).replaceAll("_", "<br>")),
        range: [-0.4, columns.length - 0.6], gridcolor: css("line"), fixedrange: true,
      },
      yaxis: { ...axis(), visible: false, range: [-0.14, 1.14], fixedrange: true },
    };
    const node = byId("parallel-plot");
    const first = !node.data;
    Plotly.react(node, traces, layout, { ...config, displayModeBar: false });
    if (first) report.listen(node);
  }

  // What is escaped for plotly.js, as it was.
  const shown = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

  // Energy by layer of the picked network, or of the first that has it.
  function drawLayers() {
    const chosen = report.chosen();
    const i = data.layers[chosen] ? chosen : Number(Object.keys(data.layers)[0]);
    const { names, causes } = data.layers[i];
    byId("layers-of").textContent = `Shown: ${report.label(i)}. Pick another one of the front, or the default.`;
    const traces = Object.entries(causes).map(([name, y], k) => ({
      type: "bar", name, x: names, y, marker: { color: css(`c${(k % 8) + 1}`) },
    }));
    const rows = names.map((name, k) => [
      name, String(Number(Object.values(causes).reduce((sum, y) => sum + y[k], 0).toPrecision(4))),
      ...Object.values(causes).map((y) => String(y[k])),
    ].map(shown));
    const headings = ["energy", ...Object.keys(causes).map(shown)].map((name) => `${name}/${data.unit}`);
    byId("layers-table").replaceChildren(makeTable(["layer", ...headings], rows));
    const layout = {
      ...base(), barmode: "stack", legend: { ...base().legend, traceorder: "normal" },
      xaxis: { ...axis(), type: "category", tickfont: { size: 10 }, tickangle: -60 },
      yaxis: axis(`energy (${data.unit})`),
    };
    Plotly.react(byId("layers-plot"), traces, layout, { ...config, displayModeBar: false });
  }

  // Figures wait until they are near the screen, so that a page of many opens at once.
  const draws = new Map(Object.keys(data.figures).map((id) => [id, () => drawFigure(id)]));
  if (byId("parallel-plot") && columns.length > 1) draws.set("parallel-plot", drawParallel);
  if (byId("layers-plot") && Object.keys(data.layers).length) draws.set("layers-plot", drawLayers);
  const drawn = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) show(target.id);
  }, { rootMargin: "400px" });
  function show(id) {
    watcher.unobserve(byId(id));
    drawn.add(id);
    draws.get(id)();
  }
  for (const id of draws.keys()) watcher.observe(byId(id));
  const redraw = () => { for (const id of drawn) draws.get(id)(); };
  report.listeners.push(() => {
    for (const id of ["parallel-plot", "layers-plot"]) if (drawn.has(id)) draws.get(id)();
  });

  // Colour and filter by any hyperparameter.
  const colourBy = byId("colour-by"), filterBy = byId("filter-by"), filterTo = byId("filter-to");
  if (colourBy) {
    for (const column of columns) {
      for (const select of [colourBy, filterBy]) select.append(new Option(column.name.replaceAll("_", " "), column.name));
    }
    colourBy.addEventListener("change", () => report.setColour(colourBy.value));
    filterBy.addEventListener("change", chooseFilter);
  }

  function chooseFilter() {
    const column = columns.find((c) => c.name === filterBy.value);
    filterTo.replaceChildren();
    if (!column) return report.setFilter(() => true);
    if (column.levels) {
      const select = make("select");
      select.setAttribute("aria-label", `value of ${column.name}`);
      column.levels.forEach((level, code) => select.append(new Option(level, code)));
      const apply = () => report.setFilter((i) => column.values[i] === Number(select.value));
      select.addEventListener("change", apply);
      filterTo.append(select);
      return apply();
    }
    const { low, high } = ranges[columns.indexOf(column)];
    const inputs = [["from", low], ["to", high]].map(([word, value]) => {
      const input = make("input");
      Object.assign(input, { type: "number", step: "any", value });
      input.setAttribute("aria-label", `${column.name} ${word}`);
      filterTo.append(` ${word} `, input);
      return input;
    });
    const apply = () => {
      const [from, to] = inputs.map((input) => input.valueAsNumber);
      report.setFilter((i) => column.values[i] !== null && !(column.values[i] < from) && !(column.values[i] > to));
    };
    for (const input of inputs) input.addEventListener("input", apply);
    return apply();
  }

  // While a run goes on, its page is written anew now and then; reload unless told not to.
  const follow = byId("follow");
  if (follow) {
    follow.checked = sessionStorage.getItem("follow") !== "no";
    follow.addEventListener("change", () => sessionStorage.setItem("follow", follow.checked ? "yes" : "no"));
    setInterval(() => { if (follow.checked && !document.hidden) location.reload(); }, 10000);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { report.draw(); redraw(); });
  addEventListener("beforeprint", () => { for (const id of draws.keys()) show(id); report.draw(); });
  addEventListener("afterprint", () => { report.draw(); redraw(); });
  document.documentElement.dataset.ready = "yes";
})();
