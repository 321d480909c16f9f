// The head of the page, and what failed: class, last line of the traceback, place in user code, logs.

const MAX_GROUPS = 10;
const MAX_MEMBERS = 6;

function drawHead() {
  byId("name").textContent = report.name;
  byId("target").textContent = report.target;
  const facts = byId("facts");
  const fact = (term, ...what) => facts.append(element("div", {}, element("dt", {}, term), element("dd", {}, ...what)));
  fact("Experiments", String(rows.length));
  if (report.duration) {
    fact("Time, all together", duration(report.duration.total));
    fact("Median", duration(report.duration.median));
  }
  if (report.run && report.run.commit) {
    const { commit, branch, dirty } = report.run;
    const where = [branch && branch !== "HEAD" ? branch : null, dirty ? "with uncommitted changes" : null];
    const rest = where.filter(Boolean).join(", ");
    fact("Commit", element("code", { title: commit }, commit.slice(0, 9)), rest ? ` ${rest}` : "");
  }
  if (report.run && report.run.started) fact("Last command", moment(report.run.started));
  fact("Report made", moment(report.made));
}

function moment(timestamp) {
  const style = { dateStyle: "medium", timeStyle: "short" };
  return element("time", { datetime: timestamp, title: timestamp }, new Date(timestamp).toLocaleString("en-GB", style));
}

function drawCounts() {
  const counts = new Map(STATUSES.map((status) => [status, 0]));
  for (const row of rows) counts.set(valueOf(row, columnOf.status), counts.get(valueOf(row, columnOf.status)) + 1);
  for (const [status, count] of [...counts].reverse()) {
    if (!count) continue;
    const part = element("span", { "data-status": status });
    part.style.flexGrow = count;
    byId("bar").append(part);
    const label = element("button", { type: "button", "data-status": status, "aria-pressed": "false" },
      element("b", {}, String(count)), ` ${status}`);
    label.addEventListener("click", () => {
      const statuses = new Set(state.statuses);
      if (!statuses.delete(status)) statuses.add(status);
      change({ statuses });
    });
    byId("chips").append(label);
  }
}

function markChips() {
  for (const chip of byId("chips").children) {
    chip.setAttribute("aria-pressed", String(state.statuses.has(chip.dataset.status)));
  }
}

function drawFailures() {
  const groups = report.failures;
  if (!groups.length) return;
  byId("failures").hidden = false;
  byId("failures").dataset.status = groups[0].status;
  byId("failures-title").textContent = failuresTitle(groups);
  const few = groups.length <= 3;
  const draw = (group) => byId("groups").append(failureGroup(group, few));
  groups.slice(0, MAX_GROUPS).forEach(draw);
  if (groups.length > MAX_GROUPS) {
    const rest = element("button", { type: "button" }, `Show ${groups.length - MAX_GROUPS} more kinds`);
    rest.addEventListener("click", () => { rest.remove(); groups.slice(MAX_GROUPS).forEach(draw); });
    byId("groups").append(rest);
  }
}

function failuresTitle(groups) {
  const words = { failed: "failed", "succeeded with errors": "succeeded with errors in cells", interrupted: "interrupted" };
  const number = (status) => groups.reduce((sum, g) => sum + (g.status === status ? g.members.length : 0), 0);
  const parts = Object.keys(words).filter(number).map((status) => `${number(status)} ${words[status]}`);
  const kinds = groups.length > 1 ? ` in ${groups.length} kinds` : "";
  return parts.join(", ") + kinds;
}

function failureGroup(group, open) {
  const count = group.members.length;
  const summary = element("summary", {},
    element("span", { class: "badge", "data-status": group.status }, group.failure_class || group.status),
    count > 1 ? element("span", { class: "count" }, `${count} times`) : element("span", { class: "count" }, nameOf(group.members[0])),
    element("code", { class: "error" }, group.error),
    group.where ? element("span", { class: "where" }, "at ", element("code", {}, group.where)) : null);
  const list = element("ul", { class: "members" });
  const made = element("details", { class: "group", open }, summary, list);
  const fill = () => {
    if (list.children.length) return;
    group.members.slice(0, MAX_MEMBERS).forEach((member) => list.append(failureMember(member)));
    if (count <= MAX_MEMBERS) return;
    const rest = element("button", { type: "button" }, `Show all ${count}`);
    const last = element("li", {}, rest);
    rest.addEventListener("click", () => {
      last.remove();
      list.append(...group.members.slice(MAX_MEMBERS).map(failureMember));
    });
    list.append(last);
  };
  made.addEventListener("toggle", fill);
  if (open) fill();
  return made;
}

const nameOf = ([position]) => `result_${valueOf(rows[position], columnOf.index)}`;

function failureMember([position, error]) {
  const row = rows[position];
  const { directory, log, page } = linksOf(row);
  const attempts = valueOf(row, columnOf.attempts);
  const settings = varying.filter((column) => !isEmpty(valueOf(row, column)))
    .map((column) => `${column.name}=${cut(shownOf(valueOf(row, column), column), 40)}`).join("  ");
  return element("li", {},
    element("a", { href: directory, class: "name" }, nameOf([position])),
    log ? element("a", { href: log, class: "log" }, attempts > 1 ? `log of attempt ${attempts}` : "log") : null,
    page ? element("a", { href: page }, "page") : null,
    element("span", { class: "settings" }, settings),
    error ? element("code", { class: "error" }, error) : null);
}

function drawFoot() {
  const file = (href, name) => element("a", { href }, name);
  const links = report.files.map((name) => file(`../${name}`, name));
  if (report.run) {
    const run = `../runs/${encodeURIComponent(report.run.name)}`;
    links.push(file(`${run}.json`, "the last command's record"), file(`${run}.log`, "its log"));
  }
  byId("foot").append(element("p", {}, "Made by Configmill. "), element("p", {}, ...links.flatMap((link) => [link, " "])));
}
