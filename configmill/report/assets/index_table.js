// The table: a row per config, sorted by a click on a header, filtered by words and by status.

const PAGE = 500; // rows that are added at a time, where there are more than ALL_AT_ONCE
const ALL_AT_ONCE = 1500;
const MAX_COLUMNS = 24; // shown at first; the others wait under "Columns"
const MAX_WIDTH = 30; // characters
const made = []; // the rows' elements, made when they are first shown
let searched = []; // the rows' text in lower case, as far as its columns are shown
let matching = [];

const samplesOf = new Map(); // by a row's position, the first of its attempts of which there are samples
report.devices.attempts.forEach(({ row }, place) => { if (!samplesOf.has(row)) samplesOf.set(row, place); });
const hasSamples = samplesOf.size > 0;
const hasPictures = report.pages.some(([, picture]) => picture);
const inTableOrder = [columnOf.index, columnOf.status, ...varying, ...metrics, columnOf.seconds, columnOf.attempts, columnOf.digest];
const mayHide = inTableOrder.filter((column) => column !== columnOf.index);
const isNumeric = new Map(report.columns.map((column) => [column, numeric(column)]));

function numeric(column) {
  const values = rows.map((row) => valueOf(row, column)).filter((value) => value !== null);
  return values.length > 0 && values.every((value) => numberOf(value) !== null);
}

function hiddenAtFirst() {
  return new Set([columnOf.digest, ...[...varying, ...metrics].slice(MAX_COLUMNS)].map((column) => column.name));
}

const shownColumns = () => inTableOrder.filter((column) => column === columnOf.index || !state.hidden.has(column.name));

// Widths are reckoned from the text, not left to the browser. So each row is laid out by itself, and not before it comes
// into sight (content-visibility, which the rows of a table laid out as one can't have).
function drawTableHead() {
  const line = element("tr");
  const widths = [];
  const add = (head, width) => { line.append(head); widths.push(width); };
  for (const column of shownColumns()) {
    const label = element("button", { type: "button", title: column.name }, element("span", {}, ...breakable(column.name)));
    add(element("th", {
      scope: "col", "data-column": column.name, class: isNumeric.get(column) ? "number" : null,
      "aria-sort": sortedHow(column.name),
    }, label), widthOf(column));
    if (column === columnOf.index && hasPictures) add(element("th", { scope: "col" }, "plot"), 13);
  }
  add(element("th", { scope: "col" }, "files"), hasSamples ? 26 : 16);
  byId("results").tHead.replaceChildren(line);
  const { style, classList } = byId("results");
  style.setProperty("--columns", widths.map((width) => `minmax(${width}ch, ${width}fr)`).join(" "));
  style.setProperty("--columns-on-paper", widths.map((width) => `minmax(0, ${width}fr)`).join(" "));
  style.setProperty("--width", `${widths.reduce((sum, width) => sum + width, 0)}ch`);
  classList.toggle("pictured", hasPictures);
}

function markSorted() {
  for (const head of byId("results").tHead.rows[0].cells) {
    if (head.dataset.column !== undefined) head.setAttribute("aria-sort", sortedHow(head.dataset.column));
  }
}

function sortedHow(name) {
  if (state.sort !== name) return "none";
  return state.descending ? "descending" : "ascending";
}

// A long name may go on in the next line after a dot or an underscore.
const partsOf = (name) => name.match(/[^._]*[._]|[^._]+/g) || [name];
const breakable = (name) => partsOf(name).flatMap((part) => [cut(part, 20), element("wbr")]);

function widthOf(column) {
  if (column.width === undefined) {
    const lengths = rows.map((row) => shownOf(valueOf(row, column), column).length);
    const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
    const room = column === columnOf.status ? 5 : 3;
    const head = Math.max(...partsOf(column.name).map((part) => Math.min(part.length, 20)));
    column.width = Math.min(MAX_WIDTH, Math.max(longest + room, head + 5));
  }
  return column.width;
}

function rowElement(row) {
  if (made[row.position]) return made[row.position];
  const line = document.createElement("tr");
  const links = linksOf(row);
  line.dataset.index = textOf(valueOf(row, columnOf.index));
  for (const column of shownColumns()) {
    line.append(cellElement(row, column, links));
    if (column === columnOf.index && hasPictures) line.append(pictureCell(links, line.dataset.index));
  }
  const files = element("td", { class: "files" });
  for (const name of ["page", "log", "config"]) {
    if (links[name]) files.append(element("a", { href: links[name] }, name), " ");
  }
  if (samplesOf.has(row.position)) {
    const button = element("button", { type: "button", class: "link" }, "devices");
    button.addEventListener("click", () => goToDevices(row));
    files.append(button);
  }
  line.append(files);
  made[row.position] = line;
  return line;
}

function cellElement(row, column, links) {
  const value = valueOf(row, column);
  const cell = document.createElement(column === columnOf.index ? "th" : "td");
  const shown = shownOf(value, column);
  if (column === columnOf.index) {
    const href = links.page || links.directory;
    cell.scope = "row";
    cell.append(href ? element("a", { href, title: valueOf(row, columnOf.digest) }, shown) : shown);
  } else if (column === columnOf.status) {
    cell.append(badge(value));
  } else {
    const whole = textOf(value);
    cell.textContent = shown;
    if (shown !== whole || shown.length + 3 > MAX_WIDTH) cell.title = whole;
  }
  if (isNumeric.get(column)) cell.className = "number";
  return cell;
}

function pictureCell({ page, picture }, index) {
  const cell = element("td", { class: "picture" });
  if (picture) {
    const image = element("img", { src: picture, loading: "lazy", decoding: "async", width: "88", height: "54",
      alt: `first plot of result_${index}` });
    cell.append(element("a", { href: page || picture }, image));
  }
  return cell;
}

// What failed is found by its class, message and place too, which the section above the table shows.
const failureTexts = [];
for (const { failure_class: kind, error, where, members } of report.failures) {
  for (const [position, message] of members) failureTexts[position] = [kind, message ?? error, where].join("\n");
}

function searchableText(row) {
  const parts = shownColumns().flatMap((column) => {
    const value = valueOf(row, column);
    return [textOf(value), shownOf(value, column)];
  });
  return `result_${parts.concat(failureTexts[row.position] ?? []).join("\n")}`.toLowerCase();
}

function filterAndSort() {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length && !searched.length) searched = rows.map(searchableText);
  const status = columnOf.status.place;
  const found = rows.filter((row) => (!state.statuses.size || state.statuses.has(row.values[status]))
    && words.every((word) => searched[row.position].includes(word)));
  return sorted(found, report.columns.find((column) => column.name === state.sort));
}

function sorted(found, column) {
  const sign = state.descending ? -1 : 1;
  const full = found.filter((row) => !isEmpty(valueOf(row, column)));
  const empty = found.filter((row) => isEmpty(valueOf(row, column)));
  full.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)) || a.position - b.position);
  return full.concat(empty);
}

function drawRows() {
  matching = filterAndSort();
  const body = byId("results").tBodies[0];
  body.replaceChildren(...(rows.length <= ALL_AT_ONCE ? matching : matching.slice(0, PAGE)).map(rowElement));
  byId("shown").textContent = `${matching.length} of ${rows.length} shown`;
  byId("none").hidden = matching.length > 0;
  byId("clear").hidden = !state.query && !state.statuses.size;
  drawMore();
}

function drawMore() {
  const drawn = byId("results").tBodies[0].rows.length;
  byId("more").hidden = drawn >= matching.length;
  byId("more").firstElementChild.textContent = `The first ${drawn} of ${matching.length} are listed.`;
}

function showMore(number) {
  const body = byId("results").tBodies[0];
  const drawn = body.rows.length;
  body.append(...matching.slice(drawn, drawn + number).map(rowElement));
  drawMore();
}

function drawColumnList() {
  byId("column-list").replaceChildren(...mayHide.map((column) => {
    const box = element("input", { type: "checkbox", checked: !state.hidden.has(column.name) });
    box.addEventListener("change", () => {
      const hidden = new Set(state.hidden);
      if (box.checked) hidden.delete(column.name);
      else hidden.add(column.name);
      change({ hidden });
    });
    return element("label", { title: column.name }, box, ` ${column.name}`);
  }));
  const number = mayHide.filter((column) => column !== columnOf.digest && state.hidden.has(column.name)).length;
  byId("columns").firstElementChild.textContent = number ? `Columns (${number} hidden)` : "Columns";
}

// Where a point was clicked: its row, in sight, for a moment in another colour.
function goToRow(row) {
  if (!matching.includes(row)) change({ query: "", statuses: new Set() });
  while (!byId("more").hidden && !rowElement(row).isConnected) showMore(PAGE);
  const line = rowElement(row);
  line.scrollIntoView({ block: "center" });
  line.classList.remove("found");
  requestAnimationFrame(() => line.classList.add("found"));
}

function listenToTable() {
  const head = byId("results").tHead;
  head.addEventListener("click", (event) => {
    const column = event.target.closest("th")?.dataset.column;
    if (column === undefined) return;
    change({ sort: column, descending: state.sort === column && !state.descending });
  });
  for (const kind of ["input", "change"]) {
    byId("search").addEventListener(kind, ({ target }) => { if (target.value !== state.query) change({ query: target.value }); });
  }
  byId("clear").addEventListener("click", () => change({ query: "", statuses: new Set() }));
  byId("more-some").addEventListener("click", () => showMore(PAGE));
  byId("more-all").addEventListener("click", () => showMore(Infinity));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#columns")) byId("columns").open = false;
  });
  listeners.push((changed) => {
    if (changed.includes("hidden")) {
      made.length = 0;
      searched = [];
      drawColumnList();
    }
    if (byId("search").value !== state.query) byId("search").value = state.query;
    markChips();
    if (changed.includes("hidden")) drawTableHead();
    else markSorted();
    if (["sort", "descending", "hidden", "query", "statuses"].some((name) => changed.includes(name))) drawRows();
  });
}
