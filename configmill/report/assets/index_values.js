// The page's data, its values for the eye and in order, and the one way in which elements are made.

const report = JSON.parse(document.getElementById("report-data").textContent);
const STATUSES = ["failed", "succeeded with errors", "interrupted", "running", "pending", "succeeded"];

const collator = new Intl.Collator("en", { numeric: true });

const byId = (id) => document.getElementById(id);

// Children that are strings become text nodes: nothing in the data is ever read as markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A value's number, NaN and infinities included; null for what is none.
function numberOf(value) {
  if (typeof value === "number") return value;
  return value !== null && typeof value === "object" ? Number(value.n) : null;
}

// All of a value, as Python would write it.
function textOf(value) {
  if (value === null) return "";
  if (typeof value === "object") return value.n;
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}

// A value as short as it stays useful.
function shownOf(value, column) {
  if (typeof value !== "number") return textOf(value);
  if (column.kind === "seconds") return duration(value);
  const whole = String(value);
  if (Number.isInteger(value) || (column.kind === "config" && whole.length <= 12)) return whole;
  return String(Number(value.toPrecision(column.kind === "config" ? 8 : 5)));
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

const isEmpty = (value) => value === null || value === "" || Number.isNaN(numberOf(value) ?? 0);

// Numbers before text, each in its own order; for what isn't empty.
function compare(a, b) {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x < y ? -1 : x > y ? 1 : 0;
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return collator.compare(textOf(a), textOf(b));
}

const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
const badge = (status) => element("span", { class: "badge", "data-status": status }, status);

// Columns know their place in a row; the fixed ones are found by their kind.
report.columns.forEach((column, place) => { column.place = place; });
const columnOf = Object.fromEntries(report.columns.map((column) => [column.kind, column]));
const varying = report.columns.filter((column) => column.kind === "config");
const metrics = report.columns.filter((column) => column.kind === "metric");
const rows = report.rows.map((values, position) => ({ values, position }));
// A column that stands for several (`of`) has their values, side by side.
function valueOf(row, column) {
  if (!column.of) return row.values[column.place];
  return column.of.map((one) => shownOf(valueOf(row, one), one)).filter(Boolean).join(", ");
}

function experimentHref(row, name) {
  return `../experiments/${encodeURIComponent(valueOf(row, columnOf.digest))}/${name}`;
}

function linksOf(row) {
  const attempts = valueOf(row, columnOf.attempts);
  const [page, picture] = report.pages[row.position];
  return {
    page,
    picture,
    directory: attempts ? experimentHref(row, "") : null,
    log: attempts ? experimentHref(row, `attempts/${attempts}.log`) : null,
    config: attempts ? experimentHref(row, "config.txt") : null,
  };
}
