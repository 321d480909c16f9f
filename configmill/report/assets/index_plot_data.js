// What there is to plot: the choices with their defaults, and the points in groups with means and spread.

const measured = [...metrics, columnOf.seconds].filter((column) => rows.some((row) => isFinite(finite(row, column))));
const SEEDS = /(^|[._])(seed|replica|repeat|trial|run)s?$/i;
const MAX_COLOURS = 24;
const MAX_GROUPS_AT_FIRST = 8;
const NONE = "(none)";

function finite(row, column) {
  return numberOf(valueOf(row, column)) ?? NaN;
}

const distinct = new Map(); // a column's values but empty ones, in order
function distinctOf(column) {
  if (!distinct.has(column)) {
    const byText = new Map(rows.map((row) => valueOf(row, column)).filter((value) => !isEmpty(value))
      .map((value) => [JSON.stringify(value), value]));
    distinct.set(column, [...byText.values()].sort(compare));
  }
  return distinct.get(column);
}

// First the metric that is a float; over the number that varies most; coloured by all else where that makes few groups,
// or by what has few values, text first. Seeds come last: what shares all but the seed is one point with a spread.
function plotDefaults() {
  const metric = measured.find((column) => column.float && column.kind === "metric") || measured[0];
  const most = (columns) => [...columns].sort((a, b) => distinctOf(b).length - distinctOf(a).length)[0];
  const apart = varying.filter((column) => !SEEDS.test(column.name) && distinctOf(column).length > 1);
  const numbers = apart.filter((column) => isNumeric.get(column));
  const x = most(numbers) || most(apart) || most(varying.filter((column) => distinctOf(column).length > 1)) || columnOf.index;
  const colour = metric ? defaultColour(metric, x, apart) : "";
  return { metric: metric ? metric.name : "", x: x.name, colour, logX: spansDecades(x) };
}

// A learning rate of 0.1, 0.01, 0.001 belongs on a logarithmic axis.
function spansDecades(column) {
  const numbers = isNumeric.get(column) ? distinctOf(column).map(numberOf) : [];
  return numbers.length > 2 && numbers[0] > 0 && numbers.at(-1) >= 100 * numbers[0];
}

function defaultColour(metric, x, apart) {
  const { of, groups } = tellingApart(pointsOf(metric, axisOf(x)).points, x);
  if (of.length > 1 && groups <= MAX_GROUPS_AT_FIRST) return ALL_ELSE;
  const few = apart.filter((column) => column !== x && distinctOf(column).length <= MAX_GROUPS_AT_FIRST);
  const colour = few.find((column) => !isNumeric.get(column)) || few[0];
  return colour ? colour.name : "";
}

const named = (name) => report.columns.find((column) => column.name === name) || null;

// What the plot is coloured by: a column, none, or all else that varies, so that only seeds are averaged over.
const ALL_ELSE = "*";
function colourColumn(points) {
  if (state.colour !== ALL_ELSE) return named(state.colour);
  const { of } = tellingApart(points, named(state.x));
  return of.length ? { name: of.map((column) => column.name).join(", "), kind: "config", of } : null;
}

// The keys besides `x` that tell the points apart, and into how many groups: a key that follows from those before it
// would only make the groups' names long.
function tellingApart(points, x) {
  const of = [];
  let groups = 1;
  for (const column of varying.filter((one) => one !== x && !SEEDS.test(one.name))) {
    const names = new Set(points.map(({ row }) => JSON.stringify([...of, column].map((one) => valueOf(row, one)))));
    if (names.size > groups) {
      of.push(column);
      groups = names.size;
    }
  }
  return { of, groups };
}

// A column as an axis: numbers lie where they are, anything else side by side in its order.
function axisOf(column) {
  if (!column.of && isNumeric.get(column)) return { column, numeric: true, at: (row) => finite(row, column), labels: null };
  const values = distinctOf(column);
  const places = new Map(values.map((value, place) => [JSON.stringify(value), place]));
  const empty = rows.some((row) => isEmpty(valueOf(row, column)));
  return {
    column,
    numeric: false,
    at: (row) => places.get(JSON.stringify(valueOf(row, column))) ?? values.length,
    labels: [...values.map(textOf), ...(empty ? [NONE] : [])],
  };
}

function colourGroups(column, points) {
  if (!column) return [{ name: "", points }];
  const values = distinctOf(column);
  const kept = new Map(values.slice(0, MAX_COLOURS).map((value) => [JSON.stringify(value), { name: textOf(value), points: [] }]));
  const others = { name: `${values.length - MAX_COLOURS} others`, points: [] };
  const without = { name: NONE, points: [] };
  for (const point of points) {
    const value = valueOf(point.row, column);
    (isEmpty(value) ? without : kept.get(JSON.stringify(value)) || others).points.push(point);
  }
  return [...kept.values(), others, without].filter((group) => group.points.length);
}

// Points at one x become a mean, a standard deviation (of the sample; 0 for a single one), and themselves.
function meansOf(points) {
  const byX = new Map();
  for (const point of points) {
    if (!byX.has(point.x)) byX.set(point.x, []);
    byX.get(point.x).push(point);
  }
  return [...byX].sort(([a], [b]) => a - b).map(([x, same]) => {
    const mean = same.reduce((sum, point) => sum + point.y, 0) / same.length;
    const squares = same.reduce((sum, point) => sum + (point.y - mean) ** 2, 0);
    return { x, mean, spread: same.length > 1 ? Math.sqrt(squares / (same.length - 1)) : 0, points: same };
  });
}

// The points of all rows that have a finite place in the plot, and how many rows with a value have none.
function pointsOf(metric, axis, { logX = false, logY = false, among = rows } = {}) {
  const points = [];
  let left = 0;
  for (const row of among) {
    const [x, y] = [axis.at(row), finite(row, metric)];
    const fits = isFinite(x) && isFinite(y) && !(logX && x <= 0) && !(logY && y <= 0);
    if (fits) points.push({ row, x, y });
    else if (valueOf(row, metric) !== null) left += 1;
  }
  return { points, left };
}
