// What the experiments used: a line for each way of measuring, since unlike ones are never added.

const ENERGY_COLUMNS = ["method", "of what", "experiments", "energy", "net of idle", "uncertainty", "gCO2e"];

function drawEnergy() {
  const groups = report.energy;
  byId("energy").hidden = groups.length === 0;
  if (!groups.length) return;
  const head = element("tr", {}, ...ENERGY_COLUMNS.map((name) => element("th", { scope: "col" }, name)));
  byId("energy-table").append(element("thead", {}, head), element("tbody", {}, ...groups.map(energyLine)));
  byId("energy-caption").textContent = energyCaption(groups);
}

function energyLine(group) {
  const unknown = group.joules === null;
  const cells = [
    unknown ? element("td", {}, "none") : element("td", {}, group.method),
    unknown ? element("td", {}, group.reason ?? "") : element("td", {}, group.scope),
    element("td", { class: "number" }, String(group.experiments)),
    element("td", { class: "number" }, unknown ? "not known" : joules(group.joules)),
    element("td", { class: "number", title: group.reason }, group.net_joules === null ? "not known" : joules(group.net_joules)),
    element("td", { class: "number", title: group.uncertainty_source }, group.uncertainty === null ? "not known" : `± ${(group.uncertainty * 100).toPrecision(2)} %`),
    element("td", { class: "number", title: group.factor }, group.gco2e === null ? "not known" : grams(group.gco2e)),
  ];
  return element("tr", {}, ...cells);
}

function energyCaption(groups) {
  const contended = groups.reduce((sum, group) => sum + group.contended, 0);
  const notes = new Set(groups.filter((group) => group.joules !== null).flatMap((group) => [
    group.uncertainty_source && `${group.method}: ${group.uncertainty_source}.`, group.factor && `${group.factor}.`,
  ]));
  return [
    "Of each experiment's last attempt. Figures of unlike methods or scopes are not to be compared or added.",
    contended ? `In ${counted(contended, "experiment")} others may have run at the same time, whose energy is among it.` : "",
    ...notes,
  ].filter(Boolean).join(" ");
}

function joules(value) {
  const size = Math.abs(value);
  if (size >= 3.6e5) return `${(value / 3.6e6).toPrecision(3)} kWh`;
  return size >= 1e4 ? `${(value / 1e3).toPrecision(3)} kJ` : `${value.toPrecision(3)} J`;
}

function grams(value) {
  const size = Math.abs(value);
  if (size >= 1000) return `${(value / 1000).toPrecision(3)} kg`;
  return size > 0 && size < 0.1 ? `${(value * 1000).toPrecision(3)} mg` : `${value.toPrecision(3)} g`;
}
