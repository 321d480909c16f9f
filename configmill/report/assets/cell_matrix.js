// The cards of a cell matrix: filtered by what is typed, sorted by a column, so many to a row.
{
  const data = JSON.parse(document.getElementById("matrix-data").textContent);
  const place = document.getElementById("cards");
  const cards = [...place.children];
  const filter = document.getElementById("filter");
  const sort = document.getElementById("sort");
  const direction = document.getElementById("direction");
  const perRow = document.getElementById("per-row");
  let descending = false;

  // What strict JSON has no number for comes as {n: text}: NaN, Infinity, whole numbers beyond 2**53.
  const plain = (value) => (value !== null && typeof value === "object" ? Number(value.n.replace(/"/g, "")) : value);
  const text = (value) => {
    if (value === null) return "–";
    if (typeof value === "object") return value.n;
    return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value);
  };
  // Numbers before text; what has no value, NaN among it, comes last in either direction.
  const compare = (a, b) => {
    const [x, y] = [plain(a), plain(b)];
    const [noX, noY] = [x === null || Number.isNaN(x), y === null || Number.isNaN(y)];
    if (noX || noY) return noX - noY;
    const order = typeof x === typeof y && typeof x !== "string"
      ? (x > y) - (x < y)
      : typeof x === "number" ? -1 : typeof y === "number" ? 1
        : String(x).localeCompare(String(y), undefined, { numeric: true });
    return descending ? -order : order;
  };

  const arrange = () => {
    const column = Number(sort.value);
    const order = cards.map((_, position) => position);
    order.sort((a, b) => compare(data.values[a][column], data.values[b][column]) || a - b);
    place.replaceChildren(...order.map((position) => cards[position]));
    cards.forEach((card, position) => {
      const line = card.querySelector(":scope > .sorted-by");
      line.hidden = column === 0;
      line.textContent = `${data.columns[column]} ${text(data.values[position][column])}`;
    });
  };
  const choose = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    cards.forEach((card, position) => {
      card.hidden = !words.every((word) => data.texts[position].includes(word));
      shown += !card.hidden;
    });
    document.getElementById("shown").textContent = shown === cards.length ? `${shown} configs` : `${shown} of ${cards.length} configs`;
    document.getElementById("none").hidden = shown > 0;
  };

  data.columns.forEach((name, position) => sort.add(new Option(name, position)));
  sort.addEventListener("change", arrange);
  direction.addEventListener("click", () => {
    descending = !descending;
    direction.textContent = descending ? "↓" : "↑";
    arrange();
  });
  filter.addEventListener("input", choose);
  perRow.addEventListener("change", () => {
    place.style.setProperty("--per-row", perRow.value || "auto-fill");
    place.style.setProperty("--narrowest", perRow.value ? "0px" : "360px");
  });

  // Outputs that have style sheets of their own live in shadow trees, which the page's rules do not reach.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(document.getElementById("outputs-style").textContent);
  document.querySelectorAll(".shadow").forEach((host) => {
    if (host.shadowRoot) host.shadowRoot.adoptedStyleSheets = [sheet];
  });

  if (data.columns.length) arrange();
  choose();
}
