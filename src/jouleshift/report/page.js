// The interactive half of the report. Everything it shows is in the tables too.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const FRONT = 0, DEFAULT = 1, REJECTED = 2, LOWER = 3;
  const ROLE_NAMES = ["on the front", "default configuration", "dominated", "lower budget"];
  const plot = document.getElementById("front-plot");
  const tip = document.getElementById("tip");
  const picked = document.getElementById("picked");
  const count = data.trial.length;
  const all = Array.from({ length: count }, (_, i) => i);
  let chosen = -1;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const label = (i) => `trial ${data.trial[i]}` + (data.runs.length > 1 ? ` of ${data.runs[data.run[i]]}` : "");
  const valueOf = (column, i) => {
    const value = column.values[i];
    if (value === null || value === undefined) return "–";
    return column.levels ? column.levels[value] : String(value);
  };

  // What is known of one trial, as [name, text] pairs; always shown through textContent.
  const describe = (i) => [
    ["accuracy", `${(100 - data.error[i]).toFixed(1)} %`],
    ["error", `${data.error[i].toFixed(1)} %`],
    ["energy", `${data.energy[i]} ${data.unit}`],
    ["CO₂eq", `${data.emissions[i]} ${data.gram}`],
    ["epochs", String(data.budget[i])],
    ...data.config.map((column) => [column.name, valueOf(column, i)]),
  ];

  const list = (i, wrap) => {
    const dl = document.createElement("dl");
    for (const [name, text] of describe(i)) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = text;
      if (wrap) {
        const div = document.createElement("div");
        div.append(dt, dd);
        dl.append(div);
      } else dl.append(dt, dd);
    }
    return dl;
  };

  const title = (i, tag) => {
    const heading = document.createElement(tag);
    heading.textContent = `${label(i)}, ${ROLE_NAMES[data.role[i]]}`;
    return heading;
  };

  function showTip(i, event) {
    tip.replaceChildren(title(i, "b"), list(i, false));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 18 + box.width > innerWidth ? event.clientX - box.width - 18 : event.clientX + 18;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY - 20, innerHeight - box.height - 4))}px`;
  }

  function pick(i) {
    chosen = i;
    picked.replaceChildren(title(i, "h3"), list(i, true));
    for (const row of document.querySelectorAll("tr[data-point]")) {
      const same = row.dataset.point === `${data.run[i]}-${data.trial[i]}`;
      row.classList.toggle("is-picked", same);
      row.querySelector("button")?.setAttribute("aria-pressed", String(same));
    }
    if (drawn) Plotly.relayout(plot, { shapes: ring() });
  }

  const trace = (role, name, marker, extra = {}) => {
    const members = all.filter((i) => data.role[i] === role);
    return {
      type: "scatter", mode: "markers", name: `${name} (${members.length})`, hoverinfo: "none",
      x: members.map((i) => data.energy[i]), y: members.map((i) => data.error[i]), customdata: members,
      marker, ...extra,
    };
  };

  // Thousands of markers take seconds; as one filled path whose parts have no extent, with
  // a round stroke from the style sheet, they are instant.
  const MANY = 1500;
  const dots = (role, name, color) => {
    const members = all.filter((i) => data.role[i] === role);
    if (members.length < MANY) return trace(role, name, { color, size: 5 });
    return {
      type: "scatter", mode: "none", name: `${name} (${members.length})`, hoverinfo: "none", hoveron: "points",
      x: members.flatMap((i) => [data.energy[i], data.energy[i], null]),
      y: members.flatMap((i) => [data.error[i], data.error[i], null]),
      customdata: members.flatMap((i) => [i, i, i]), fill: "toself", fillcolor: color,
    };
  };

  const stairs = (points, style) => ({
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
    x: points.map((p) => p[0]), y: points.map((p) => p[1]), line: { shape: "hv", ...style },
  });

  function traces() {
    const edge = { color: css("card"), width: 1 };
    return [
      dots(LOWER, "lower budget", css("lower")),
      trace(REJECTED, "dominated", { color: css("rejected"), size: 7 }),
      ...data.fronts.map((points) => stairs(points, { color: css("front"), width: 1, dash: "dot" })),
      stairs(data.front, { color: css("front"), width: 2 }),
      trace(FRONT, "front", { color: css("front"), size: 11, line: edge }),
      trace(DEFAULT, "default", { color: css("default"), size: 18, symbol: "star", line: edge }),
    ];
  }

  // Around the picked point; a shape, because a changed trace would make Plotly compute all of them again.
  const ring = () => chosen < 0 ? [] : [{
    type: "circle", xref: "x", yref: "y", xsizemode: "pixel", ysizemode: "pixel", line: { color: css("ink"), width: 2 },
    xanchor: data.energy[chosen], yanchor: data.error[chosen], x0: -11, x1: 11, y0: -11, y1: 11,
  }];

  const axis = (text, extra = {}) => ({
    title: { text, standoff: 10 }, gridcolor: css("grid"), linecolor: css("line"), zeroline: false,
    automargin: true, ...extra,
  });

  const layout = () => ({
    paper_bgcolor: css("card"), plot_bgcolor: css("card"), hovermode: "closest", hoverdistance: 12, dragmode: "zoom",
    font: { family: "system-ui, sans-serif", color: css("ink"), size: 13 },
    margin: { l: 56, r: 12, t: 36, b: 52 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: axis(`energy per image (${data.unit})`, { type: data.log ? "log" : "linear" }),
    yaxis: axis("validation error (%)"),
    shapes: ring(),
  });

  // Without showSendToCloud: false, plotly.js offers a button that uploads the chart.
  const config = {
    displaylogo: false, responsive: true, showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  let drawn = false;

  function draw() {
    if (!count) return;
    Plotly.react(plot, traces(), layout(), config);
    if (drawn) return;
    drawn = true;
    plot.on("plotly_hover", (e) => showTip(e.points[0].customdata, e.event));
    plot.on("plotly_unhover", () => { tip.hidden = true; });
    plot.on("plotly_click", (e) => pick(e.points[0].customdata));
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

  for (const row of document.querySelectorAll("tr[data-point]")) {
    const [run, trial] = row.dataset.point.split("-").map(Number);
    const i = all.find((j) => data.run[j] === run && data.trial[j] === trial);
    if (i === undefined) continue;
    row.addEventListener("click", () => pick(i));
  }

  if (walk.length) pick(data.pick ?? walk[0]);
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  for (const moment of ["beforeprint", "afterprint"]) addEventListener(moment, draw);
  document.documentElement.dataset.ready = "yes";
})();
