// The interactive front: hover, pick, colour, filter. Everything it shows is in the tables too.
"use strict";
const report = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const FRONT = 0, DEFAULT = 1, REJECTED = 2, LOWER = 3, INFEASIBLE = 4;
  const ROLE_NAMES = ["on the front", "default configuration", "dominated", "lower budget", "infeasible"];
  const MANY = 1500;
  const byId = (id) => document.getElementById(id);
  const plot = byId("front-plot"), tip = byId("tip"), picked = byId("picked");
  const all = data.trial.map((_, i) => i);
  const listeners = [];
  let chosen = data.pick ?? -1, drawn = false, colour = null, passes = () => true;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  // plotly.js reads some tags in texts; names from outside are only text.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const make = (tag, text, ...children) => {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    node.append(...children);
    return node;
  };
  const label = (i) => `trial ${data.trial[i]}` + (data.runs.length > 1 ? ` of ${data.runs[data.run[i]]}` : "");
  const valueOf = (column, i) => {
    const value = column.values[i];
    if (column.name === "shift_depth" && value === 0) return "0 (float)";
    return value === null ? "–" : column.levels ? column.levels[value] : String(value);
  };

  // What is known of one trial, as [name, text] pairs; always shown as text.
  const describe = (i) => [
    ["accuracy", `${(100 - data.error[i]).toFixed(1)} %`],
    ["error", `${data.error[i].toFixed(1)} %`],
    ["energy", `${Number(data.energy[i].toPrecision(4))} ${data.unit}`],
    ["CO₂eq", `${data.emissions[i]} ${data.gram}`],
    ["epochs", String(data.budget[i])],
    ...data.config.map((column) => [column.name, valueOf(column, i)]),
  ];
  const title = (i, tag) => make(tag, `${label(i)}, ${ROLE_NAMES[data.role[i]]}`);

  function showTip(i, event) {
    tip.replaceChildren(title(i, "b"), make("dl", "", ...describe(i).flatMap(([n, t]) => [make("dt", n), make("dd", t)])));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 18 + box.width > innerWidth ? event.clientX - box.width - 18 : event.clientX + 18;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY - 20, innerHeight - box.height - 4))}px`;
  }
  const hideTip = () => { tip.hidden = true; };

  // The path from the default to a trial, in the order of what each change is predicted to bring.
  function path(i) {
    const steps = data.paths[i];
    if (!steps || !steps.length) return [];
    const cell = (text) => make("td", text);
    const rows = steps.map(([name, old, now, error, energy]) => {
      const head = make("th", name);
      head.scope = "row";
      return make("tr", "", head, cell(`${old} → ${now}`), cell(`${error} %`), cell(`${energy} ${data.unit}`));
    });
    const headings = ["change", "from → to", "predicted error", "predicted energy"].map((text) => make("th", text));
    for (const heading of headings) heading.scope = "col";
    const table = make("table", "", make("thead", "", make("tr", "", ...headings)), make("tbody", "", ...rows));
    table.className = "words";
    const box = make("div", "", table);
    box.className = "scroll";
    const text = "From the default to here: the changes in the order of what they bring";
    return [make("details", "", make("summary", text), box)];
  }

  function pick(i) {
    chosen = i;
    const pairs = describe(i).map(([name, text]) => make("div", "", make("dt", name), make("dd", text)));
    picked.replaceChildren(title(i, "h3"), make("dl", "", ...pairs), ...path(i));
    for (const row of document.querySelectorAll("tr[data-point]")) {
      const same = row.dataset.point === `${data.run[i]}-${data.trial[i]}`;
      row.classList.toggle("is-picked", same);
      row.querySelector("button")?.setAttribute("aria-pressed", String(same));
    }
    if (drawn) Plotly.relayout(plot, { shapes: ring() });
    for (const listener of listeners) listener();
  }

  // Colours of one hyperparameter: numbers on a scale (of logarithms where they span much), levels one by one.
  function scaleOf(column) {
    if (column.levels) {
      const size = column.levels.length;
      const steps = column.levels.flatMap((_, k) => [k / size, (k + 1) / size].map((at) => [at, css(`c${(k % 8) + 1}`)]));
      return {
        value: (i) => column.values[i], low: -0.5, high: size - 0.5, scale: steps,
        ticks: { tickvals: column.levels.map((_, k) => k), ticktext: column.levels.map(plain) },
      };
    }
    const numbers = column.values.filter((v) => v !== null);
    const low = Math.min(...numbers), high = Math.max(...numbers), log = low > 0 && high / low >= 20;
    const at = (v) => (v === null ? null : log ? Math.log10(v) : v);
    const tickvals = log ? [0, 0.25, 0.5, 0.75, 1].map((t) => at(low) + t * (at(high) - at(low))) : undefined;
    const ticks = log ? { tickvals, ticktext: tickvals.map((t) => (10 ** t).toPrecision(2)) } : {};
    return { value: (i) => at(column.values[i]), low: at(low), high: at(high), scale: "Viridis", ticks };
  }

  const members = (role) => all.filter((i) => data.role[i] === role && passes(i));
  function trace(role, name, marker) {
    const found = members(role);
    const shades = colour && role !== DEFAULT ? { color: found.map(colour.value), coloraxis: "coloraxis" } : {};
    return {
      type: "scatter", mode: "markers", name: `${name} (${found.length})`, hoverinfo: "none", customdata: found,
      x: found.map((i) => data.energy[i]), y: found.map((i) => data.error[i]), marker: { ...marker, ...shades },
    };
  }

  // Thousands of markers take seconds; as one filled path whose parts have no extent, with a round stroke from the
  // style sheet, they are instant.
  function dots(role, name, color) {
    const found = members(role);
    if (found.length < MANY) return trace(role, name, { color, size: 5 });
    return {
      type: "scatter", mode: "none", name: `${name} (${found.length})`, hoverinfo: "none", hoveron: "points",
      x: found.flatMap((i) => [data.energy[i], data.energy[i], null]),
      y: found.flatMap((i) => [data.error[i], data.error[i], null]),
      customdata: found.flatMap((i) => [i, i, i]), fill: "toself", fillcolor: color,
    };
  }

  const stairs = (points, line, extra = {}) => ({
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
    x: points.map((p) => p[0]), y: points.map((p) => p[1]), line: { shape: "hv", ...line }, ...extra,
  });

  function surfaces() {
    if (!data.surfaces) return [];
    const band = { fill: "tonexty", fillcolor: tint(css("front"), 0.15) };
    return [
      stairs(data.surfaces.optimistic, { width: 0 }),
      stairs(data.surfaces.pessimistic, { width: 0 }, { ...band, name: "middle half of the runs", showlegend: true }),
      stairs(data.surfaces.median, { color: css("front"), width: 2, dash: "dash" }, { name: "median run", showlegend: true }),
    ];
  }
  const tint = (hex, alpha) => hex + Math.round(255 * alpha).toString(16).padStart(2, "0");

  function traces() {
    const edge = { color: css("card"), width: 1 };
    return [
      ...surfaces(),
      dots(LOWER, "lower budget", css("lower")),
      trace(REJECTED, "dominated", { color: css("rejected"), size: 7 }),
      ...(data.role.includes(INFEASIBLE) ? [trace(INFEASIBLE, "infeasible", { color: css("rejected"), size: 7, symbol: "x-thin-open" })] : []),
      stairs(data.front, { color: css("front"), width: 2 }),
      trace(FRONT, "front", { color: css("front"), size: 11, line: edge }),
      trace(DEFAULT, "default", { color: css("default"), size: 18, symbol: "star", line: edge }),
    ];
  }

  // Around the picked point; a shape, because a changed trace would make plotly.js compute all of them again. A path,
  // because on a logarithmic axis plotly.js takes the negative half of a circle's width for nothing.
  const ring = () => chosen < 0 ? [] : [{
    type: "path", xref: "x", yref: "y", xsizemode: "pixel", ysizemode: "pixel", line: { color: css("ink"), width: 2 },
    xanchor: data.energy[chosen], yanchor: data.error[chosen],
    path: "M-11,0C-11,-6,-6,-11,0,-11C6,-11,11,-6,11,0C11,6,6,11,0,11C-6,11,-11,6,-11,0Z",
  }];

  const axis = (text = "") => ({
    title: { text, standoff: 8 }, gridcolor: css("grid"), linecolor: css("line"), zeroline: false, automargin: true,
  });
  const base = () => ({
    paper_bgcolor: css("card"), plot_bgcolor: css("card"), hovermode: "closest", hoverdistance: 12,
    font: { family: "system-ui, sans-serif", color: css("ink"), size: 13 }, margin: { l: 56, r: 12, t: 36, b: 48 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hoverlabel: { bgcolor: css("card"), bordercolor: css("line"), font: { color: css("ink") } },
  });
  // Without showSendToCloud: false, plotly.js offers a button that uploads the chart.
  const config = {
    ...(innerWidth < 640 ? { displayModeBar: false } : {}), // there it would lie over the legend
    displaylogo: false, responsive: true, showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  function layout() {
    const made = {
      ...base(), uirevision: "front", shapes: ring(),
      xaxis: { ...axis(`energy per image (${data.unit})`), type: data.log ? "log" : "linear" },
      yaxis: axis("validation error (%)"),
    };
    if (colour) {
      const bar = { ...colour.ticks, title: { text: plain(colour.name), side: "right" }, thickness: 12, outlinewidth: 0 };
      made.coloraxis = { cmin: colour.low, cmax: colour.high, colorscale: colour.scale, colorbar: bar };
    }
    return made;
  }

  function listen(node) {
    node.on("plotly_hover", (e) => { if (e.points[0].customdata !== undefined) showTip(e.points[0].customdata, e.event); });
    node.on("plotly_unhover", hideTip);
    node.on("plotly_click", (e) => { if (e.points[0].customdata !== undefined) pick(e.points[0].customdata); });
  }

  function draw() {
    if (!all.length) return;
    if (!drawn) plot.replaceChildren(); // the drawing that was there before any script ran
    Plotly.react(plot, traces(), layout(), config);
    if (!drawn) listen(plot);
    drawn = true;
    for (const listener of listeners) listener();
  }

  // Arrow keys walk along the front, for whoever has no mouse.
  const walk = all.filter((i) => data.role[i] <= DEFAULT).sort((a, b) => data.energy[a] - data.energy[b]);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !walk.length) return;
    event.preventDefault();
    const at = walk.indexOf(chosen);
    pick(walk[at < 0 ? (step > 0 ? 0 : walk.length - 1) : Math.min(walk.length - 1, Math.max(0, at + step))]);
  });

  const position = new Map(all.map((i) => [`${data.run[i]}-${data.trial[i]}`, i]));
  for (const row of document.querySelectorAll("tr[data-point]")) {
    const i = position.get(row.dataset.point);
    if (i !== undefined) row.addEventListener("click", () => pick(i));
  }

  function setColour(name) {
    const column = data.config.find((c) => c.name === name);
    colour = column ? { name, ...scaleOf(column) } : null;
    draw();
  }

  function setFilter(test) {
    passes = test;
    for (const row of document.querySelectorAll("tr[data-point]")) {
      const i = position.get(row.dataset.point);
      row.hidden = i !== undefined && !passes(i);
    }
    draw();
  }

  if (chosen >= 0 || walk.length) pick(chosen >= 0 ? chosen : walk[0]);
  draw();
  return {
    data, all, css, tint, plain, make, axis, base, config, listen, draw, setColour, setFilter, valueOf, byId, label,
    FRONT, DEFAULT, REJECTED, listeners, colour: () => colour, passes: (i) => passes(i), chosen: () => chosen,
  };
})();
