// Metrics over what varies, drawn by plotly once its script is there.

// Told apart on light and on dark ground alike.
const COLOURS = ["#3b7ddd", "#e8833a", "#2fa36b", "#d6504d", "#9270ca", "#22a7b5", "#c9992b", "#d46aa7", "#7f8b99", "#8a6b52"];

const PLOTTED = ["metric", "x", "colour", "view", "logX", "logY", "filtered"]; // of the state, what a plot is drawn of

// plotly reads a little HTML in its texts; nothing of ours is meant as such.
const plain = (text, length = 60) => cut(text, length).replace(/[\n\r\t]+/g, " ")
  .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function startPlot() {
  const missing = whatIsMissing();
  if (missing) {
    say(missing);
    return;
  }
  if (!metrics.some((column) => measured.includes(column))) {
    say("No experiment has returned a number yet; this is how long each took.");
  }
  fillControls();
  byId("plot-controls").hidden = false;
  byId("plot").hidden = false;
  loadPlotly().then(beginPlot, () => {
    byId("plot").hidden = true;
    byId("plot-controls").hidden = true;
    say(PLOTLY_MISSING);
  });
}

function beginPlot() {
  drawPlot();
  listeners.push((changed) => {
    const filter = changed.includes("query") || changed.includes("statuses");
    if (filter && state.filtered) drawPlotSoon();
    if (PLOTTED.some((name) => changed.includes(name))) drawPlot();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlot);
  byId("plot").on("plotly_click", ({ points }) => {
    if (typeof points[0].customdata === "number") goToRow(rows[points[0].customdata]);
  });
}

function say(text) {
  byId("plot-note").textContent = text;
  byId("plot-note").hidden = false;
}

function whatIsMissing() {
  if (rows.length < 2) return "There is one experiment at most: nothing varies, so there is nothing to plot.";
  if (!measured.length) return "No experiment has returned a number yet, so there is nothing to plot.";
  return "";
}

function fillControls() {
  const option = (column) => element("option", { value: column.name }, column.name);
  const group = (label, columns) => columns.length ? element("optgroup", { label }, ...columns.map(option)) : null;
  const fill = (id, ...options) => byId(id).append(...options.filter(Boolean));
  fill("plot-metric", ...measured.map(option));
  fill("plot-x", group("varies", [...varying, columnOf.index]), group("measured", measured));
  const allElse = varying.length > 2 ? element("option", { value: ALL_ELSE }, "all else that varies") : null;
  fill("plot-colour", element("option", { value: "" }, "nothing"), allElse, ...varying.map(option));
  byId("plot-metric").addEventListener("change", ({ target }) => change({ metric: target.value }));
  byId("plot-colour").addEventListener("change", ({ target }) => change({ colour: target.value }));
  byId("plot-x").addEventListener("change", ({ target }) => change({ x: target.value, logX: spansDecades(named(target.value)) }));
  for (const [id, name] of [["plot-log-x", "logX"], ["plot-log-y", "logY"], ["plot-filtered", "filtered"]]) {
    byId(id).addEventListener("change", (event) => change({ [name]: event.target.checked }));
  }
  byId("plot-lines").addEventListener("click", () => change({ view: "points" }));
  byId("plot-heatmap").addEventListener("click", () => change({ view: "heatmap" }));
}

const PLOTLY_MISSING = "The plots need the file plotly.min.js beside this page; configmill report puts it there.";
let plotly = null;

// Once, by whoever draws first, and after the first paint: the table need not wait for five megabytes.
function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "plotly.min.js";
    script.nonce = nonce;
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    requestAnimationFrame(() => setTimeout(() => document.body.append(script)));
  });
  return plotly;
}

let waiting = 0;
function drawPlotSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(drawPlot, 150);
}

function drawPlot() {
  const metric = named(state.metric);
  const axis = axisOf(named(state.x));
  const heat = state.view === "heatmap" && state.colour !== "";
  const logX = state.logX && axis.numeric && !heat;
  const logY = state.logY && !heat;
  const { points, left } = pointsOf(metric, axis, { logX, logY, among: state.filtered ? matching : rows });
  const colour = colourColumn(points);
  syncControls(axis, heat);
  const drawn = heat && colour ? heatMap(metric, axis, axisOf(colour), points) : lines(metric, axis, colour, points);
  drawn.layout.xaxis.type = logX ? "log" : "linear";
  drawn.layout.yaxis.type = logY ? "log" : "linear";
  const caption = points.length ? drawn.caption : "No experiment has both values.";
  byId("plot-caption").textContent = `${caption} ${leftOut(left, metric, logX || logY)}`;
  // Named one by one: among plotly's own buttons there is one that sends the data to its makers' service.
  return Plotly.react("plot", drawn.traces, drawn.layout, {
    responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  });
}

function leftOut(left, metric, log) {
  if (!left) return "";
  return `${counted(left, "experiment")} without a finite value${log ? " above 0" : ""} of ${metric.name} or of the axis left out.`;
}

function syncControls(axis, heat) {
  byId("plot-metric").value = state.metric;
  byId("plot-x").value = state.x;
  byId("plot-colour").value = state.colour;
  byId("plot-colour-label").textContent = heat ? "and" : "by";
  byId("plot-log-x").checked = state.logX;
  byId("plot-log-x").disabled = heat || !axis.numeric;
  byId("plot-log-y").checked = state.logY;
  byId("plot-log-y").disabled = heat;
  byId("plot-filtered").checked = state.filtered;
  byId("plot-lines").setAttribute("aria-pressed", String(!heat));
  byId("plot-heatmap").setAttribute("aria-pressed", String(heat));
  byId("plot-heatmap").disabled = !state.colour;
}

function lines(metric, axis, colour, points) {
  const groups = colourGroups(colour, points);
  const several = groups.map((group) => meansOf(group.points));
  const repeated = several.flat().some((mean) => mean.points.length > 1);
  const connected = axis.numeric && axis.column.kind !== "metric" && axis.column.kind !== "seconds";
  const traces = [];
  groups.forEach((group, place) => {
    const shift = axis.numeric ? 0 : (place - (groups.length - 1) / 2) * Math.min(0.12, 0.7 / groups.length);
    const look = { colour: colourAt(place, groups.length), name: plain(group.name, 44), shift, legendgroup: String(place) };
    const singles = several[place].flatMap((mean) => (mean.points.length > 1 ? mean.points : []));
    if (singles.length) traces.push(dots(singles, metric, axis, look));
    traces.push(means(several[place], metric, axis, look, connected));
  });
  const layout = baseLayout();
  layout.xaxis = axisLayout(axis);
  layout.yaxis = { ...axisStyle(), title: { text: plain(metric.name), standoff: 12 }, automargin: true };
  layout.showlegend = colour !== null;
  if (colour) layout.legend = { title: { text: plain(colour.name, 40) }, bgcolor: "rgba(0,0,0,0)" };
  return { traces, layout, caption: caption(repeated, axis, colour) };
}

function caption(repeated, axis, colour) {
  if (!repeated) return "Each mark is an experiment; click it to find its row.";
  const fixed = [axis.column, ...(colour ? colour.of || [colour] : [])];
  const over = varying.filter((column) => !fixed.includes(column)).map((column) => column.name);
  const same = fixed.map((column) => column.name).join(", ").replace(/, ([^,]*)$/, " and $1");
  return `Each mark is the mean of the experiments with the same ${same}${over.length ? ` (over ${cut(over.join(", "), 160)})` : ""}; `
    + "the bars are one standard deviation each way, the small dots the experiments: click one to find its row.";
}

function dots(points, metric, axis, look) {
  return {
    type: "scatter", mode: "markers", showlegend: false, legendgroup: look.legendgroup, hoverinfo: "text",
    x: points.map((point) => point.x + look.shift), y: points.map((point) => point.y),
    customdata: points.map((point) => point.row.position),
    hovertext: points.map((point) => describe(point.row, metric)),
    marker: { color: look.colour, size: 5, opacity: 0.45 },
  };
}

function means(means, metric, axis, look, connected) {
  const spread = means.map((mean) => mean.spread);
  return {
    type: "scatter", mode: connected && means.length > 1 ? "lines+markers" : "markers", name: look.name || plain(metric.name),
    legendgroup: look.legendgroup, hoverinfo: "text",
    x: means.map((mean) => mean.x + look.shift), y: means.map((mean) => mean.mean),
    customdata: means.map((mean) => (mean.points.length === 1 ? mean.points[0].row.position : null)),
    hovertext: means.map((mean) => (mean.points.length === 1 ? describe(mean.points[0].row, metric) : describeMean(mean, metric, axis, look))),
    error_y: spread.some((size) => size > 0) ? {
      type: "data", symmetric: false, array: spread, thickness: 1.2, width: 3, color: look.colour,
      arrayminus: means.map((mean) => (state.logY ? Math.min(mean.spread, mean.mean * 0.999) : mean.spread)),
    } : { visible: false },
    line: { color: look.colour, width: 1.6 }, marker: { color: look.colour, size: 8 },
  };
}

function describe(row, metric) {
  const settings = [...varying, metric].filter((column) => !isEmpty(valueOf(row, column))).slice(-14)
    .map((column) => `${plain(column.name)} = ${plain(shownOf(valueOf(row, column), column), 50)}`);
  return [`<b>result_${valueOf(row, columnOf.index)}</b>`, ...settings].join("<br>");
}

function describeMean(mean, metric, axis, look) {
  const place = axis.labels ? axis.labels[mean.x] : String(mean.x);
  const number = (value) => String(Number(value.toPrecision(5)));
  return [
    look.name ? `<b>${look.name}</b>` : null, `${plain(axis.column.name)} = ${plain(place)}`,
    `${plain(metric.name)} = ${number(mean.mean)} ± ${number(mean.spread)}`, `mean of ${mean.points.length} experiments`,
  ].filter(Boolean).join("<br>");
}

function heatMap(metric, axis, other, all) {
  const points = all.filter(({ row }) => isFinite(other.at(row)));
  const across = steps(axis, points);
  const down = steps(other, points);
  const cells = down.map(() => across.map(() => []));
  for (const { row, y } of points) cells[down.indexOf(other.at(row))][across.indexOf(axis.at(row))].push(y);
  const z = cells.map((line) => line.map((values) => (values.length ? values.reduce((a, b) => a + b) / values.length : null)));
  const layout = baseLayout();
  layout.xaxis = ticks(axis, across);
  layout.yaxis = ticks(other, down);
  const most = Math.max(0, ...cells.flat().map((values) => values.length));
  const trace = {
    type: "heatmap", z, colorscale: "Viridis", xgap: 1, ygap: 1, hoverongaps: false, hoverinfo: "text",
    colorbar: { title: { text: plain(metric.name, 30), side: "right" }, thickness: 12, outlinewidth: 0 },
    hovertext: cells.map((line, j) => line.map((values, i) => [
      `${plain(axis.column.name)} = ${plain(labelOf(axis, across[i]))}`, `${plain(other.column.name)} = ${plain(labelOf(other, down[j]))}`,
      `${plain(metric.name)} = ${z[j][i] === null ? "" : Number(z[j][i].toPrecision(5))}`, counted(values.length, "experiment"),
    ].join("<br>"))),
  };
  if (across.length <= 14 && down.length <= 24) Object.assign(trace, { texttemplate: "%{z:.3g}", textfont: { size: 11 } });
  const text = most > 1 ? `Each cell is the mean of up to ${most} experiments.` : "Each cell is an experiment.";
  return { traces: points.length ? [trace] : [], layout, caption: text };
}

const steps = (axis, points) => [...new Set(points.map(({ row }) => axis.at(row)))].filter(isFinite).sort((a, b) => a - b);
const labelOf = (axis, step) => (axis.labels ? axis.labels[step] : String(step));

function ticks(axis, values) {
  const every = Math.ceil(values.length / 40);
  const places = values.map((_, place) => place).filter((place) => place % every === 0);
  return {
    ...axisStyle(), showgrid: false, automargin: true, title: { text: plain(axis.column.name), standoff: 12 },
    tickmode: "array", tickvals: places, ticktext: places.map((place) => plain(labelOf(axis, values[place]), 28)),
  };
}

function axisLayout(axis) {
  const layout = { ...axisStyle(), title: { text: plain(axis.column.name), standoff: 12 }, automargin: true };
  if (axis.numeric) return layout;
  return { ...ticks(axis, axis.labels.map((_, place) => place)), showgrid: true, range: [-0.5, axis.labels.length - 0.5] };
}

function colourAt(place, number) {
  if (number <= COLOURS.length) return COLOURS[place];
  return `hsl(${Math.round((260 * place) / (number - 1))}, 55%, 52%)`;
}

const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axisStyle = () => ({ gridcolor: styleOf("--line"), zerolinecolor: styleOf("--line-strong"), linecolor: styleOf("--line-strong") });

function baseLayout() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 64, r: 24, t: 34, b: 52 }, hovermode: "closest",
    font: { family: styleOf("--font"), size: 12.5, color: styleOf("--text") },
    hoverlabel: { align: "left", bgcolor: styleOf("--raised"), bordercolor: styleOf("--line-strong"), font: { color: styleOf("--text") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: styleOf("--muted"), activecolor: styleOf("--accent") },
  };
}
