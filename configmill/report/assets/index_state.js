// What is sorted, filtered and plotted; the part of the address after # holds it, so that a view can be sent and kept.

const state = {
  sort: "index", descending: false, query: "", statuses: new Set(), hidden: new Set(),
  metric: "", x: "", colour: "", view: "points", logX: false, logY: false, filtered: false,
};
const defaults = { ...state };
const listeners = [];
let lastWritten = null;

function change(changes) {
  Object.assign(state, changes);
  writeHash();
  listeners.forEach((listener) => listener(Object.keys(changes)));
}

function writeHash() {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value instanceof Set) {
      if ([...value].join("\n") !== [...defaults[name]].join("\n")) value.forEach((item) => parts.append(name, item));
      if (value.size === 0 && defaults[name].size) parts.append(name, "");
    } else if (value !== defaults[name]) {
      parts.set(name, value === true ? "1" : value === false ? "0" : value);
    }
  }
  lastWritten = parts.toString();
  history.replaceState(null, "", `#${lastWritten}`);
}

// Unknown names and values are left out: an address may come from an older report, or from anybody.
function readHash() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const known = new Set(report.columns.map((column) => column.name));
  const read = {};
  for (const [name, value] of Object.entries(defaults)) {
    const given = parts.get(name);
    if (given === null) {
      read[name] = value instanceof Set ? new Set(value) : value;
    } else if (name === "statuses" || name === "hidden") {
      const fits = name === "statuses" ? (item) => STATUSES.includes(item) : (item) => known.has(item);
      read[name] = new Set(parts.getAll(name).filter(fits));
    } else if (typeof value === "boolean") {
      read[name] = given === "1";
    } else if (name === "query" || (name === "view" ? ["points", "heatmap"].includes(given) : known.has(given))) {
      read[name] = given;
    } else {
      read[name] = name === "colour" && ["", "*"].includes(given) ? given : value;
    }
  }
  return read;
}

// Once the defaults are known: take over the address, and follow it where it is changed by hand.
function startState(choices) {
  Object.assign(defaults, choices);
  Object.assign(state, readHash());
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== lastWritten) change(readHash());
  });
}
