// How the devices of an attempt were used over time: a panel each for utilisation, memory, power and temperature.

const PANELS = [
  { name: "utilisation", title: "utilisation (%)", scale: 1, digits: 0, top: 100 },
  { name: "memory", title: "memory (GB)", scale: 1e-9, digits: 2 },
  { name: "power", title: "power (W)", scale: 1, digits: 0 },
  { name: "temperature", title: "temperature (°C)", scale: 1, digits: 0 },
];
const NARROW = 640; // pixels, below which panels stand one above the other

function startDevices() {
  const { attempts } = report.devices;
  byId("devices").hidden = attempts.length === 0;
  if (!attempts.length) return;
  const select = byId("device-attempt");
  select.append(...attempts.map((attempt, place) => element("option", { value: place }, attemptName(attempt))));
  loadPlotly().then(() => {
    drawDevices();
    select.addEventListener("change", drawDevices);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawDevices);
    matchMedia(`(max-width: ${NARROW}px)`).addEventListener("change", drawDevices);
  }, () => {
    byId("device-plot").hidden = true;
    byId("device-note").textContent = PLOTLY_MISSING;
    byId("device-note").hidden = false;
  });
}

function attemptName({ row, attempt }) {
  return `result_${textOf(valueOf(rows[row], columnOf.index))}, attempt ${attempt}`;
}

function goToDevices(row) {
  byId("device-attempt").value = String(samplesOf.get(row.position));
  byId("device-attempt").dispatchEvent(new Event("change"));
  byId("devices").scrollIntoView({ block: "start" });
}

function drawDevices() {
  const attempt = report.devices.attempts[Number(byId("device-attempt").value)];
  const panels = PANELS.filter(({ name }) => attempt.devices.some((device) => device[name].some((value) => value !== null)));
  const layout = baseLayout();
  const labels = deviceLabels(attempt);
  const traces = [];
  panels.forEach((panel, place) => {
    const suffix = place ? String(place + 1) : "";
    Object.assign(layout, axesOf(panel, place, panels.length, suffix));
    attempt.devices.forEach((device, number) => traces.push(traceOf(panel, device, labels[number], number, place, suffix)));
  });
  Object.assign(layout, { showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" } });
  byId("device-caption").textContent = deviceCaption(attempt, labels, panels);
  return Plotly.react("device-plot", traces, layout, {
    responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  });
}

// Two panels side by side, or one above the other where there is no room.
function axesOf(panel, place, number, suffix) {
  const across = innerWidth <= NARROW || number === 1 ? 1 : 2;
  const down = Math.ceil(number / across);
  const [column, line] = [place % across, Math.floor(place / across)];
  const part = (at, of, gap) => [(at + (at ? gap : 0)) / of, (at + 1 - (at < of - 1 ? gap : 0)) / of];
  const low = part(down - 1 - line, down, 0.12);
  return {
    [`xaxis${suffix}`]: {
      ...axisStyle(), domain: part(column, across, 0.06), anchor: `y${suffix}`, rangemode: "tozero",
      ...(place ? { matches: "x" } : {}), ...(line === down - 1 || place + across >= number ? { title: { text: "seconds since it began", standoff: 8 } } : {}),
    },
    [`yaxis${suffix}`]: {
      ...axisStyle(), domain: low, anchor: `x${suffix}`, title: { text: panel.title, standoff: 8 },
      ...(panel.top ? { range: [0, panel.top * 1.04] } : { rangemode: "tozero" }),
    },
  };
}

// The beginning of a UUID, where that tells them apart.
function deviceLabels({ devices }) {
  const short = devices.map(({ id }) => id.slice(0, 12));
  return new Set(short).size === short.length ? short : devices.map(({ id }) => cut(id, 44));
}

function traceOf(panel, device, label, number, place, suffix) {
  const name = plain(label);
  const values = device[panel.name].map((value) => (value === null ? null : value * panel.scale));
  return {
    type: "scatter", mode: values.length > 60 ? "lines" : "lines+markers", name, legendgroup: String(number), showlegend: place === 0,
    x: device.seconds, y: values, xaxis: `x${suffix}`, yaxis: `y${suffix}`, connectgaps: false, hoverinfo: "text",
    hovertext: values.map((value, at) => (value === null ? "" : `${plain(device.id, 44)}<br>${panel.title}: ${value.toFixed(panel.digits)}<br>after ${duration(device.seconds[at])}`)),
    line: { color: colourAt(number % COLOURS.length, COLOURS.length), width: 1.6 }, marker: { size: 5 },
  };
}

function deviceCaption(attempt, labels, panels) {
  const peaks = panels.some(({ name }) => name === "memory") ? attempt.devices.map((device, number) => {
    const most = device.memory.reduce((highest, value) => Math.max(highest, value ?? 0), 0);
    return `${labels[number]} ${(most * 1e-9).toFixed(2)} GB`;
  }) : [];
  return [
    peaks.length ? `Peak memory: ${peaks.join(", ")}.` : "",
    attempt.thinned ? "Marks that lie close together are drawn as one: of utilisation and power the mean, of memory and temperature the highest." : "",
    `Every sample is in attempts/${attempt.attempt}.devices.csv of the experiment's directory.`,
    report.devices.left_out ? `${counted(report.devices.left_out, "more attempt")} with samples left out here.` : "",
  ].filter(Boolean).join(" ");
}
