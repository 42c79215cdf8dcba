// The tab "Videos" of a run: rows as they stand, also while it runs.

import { decoded, parameters, query } from "./address.js";
import { fill, h, keep, say } from "./dom.js";
import { Part, badge } from "./facts.js";
import { Filters } from "./filters.js";
import { count, counted } from "./format.js";
import { message, refusal, shortRefusal, skeleton } from "./messages.js";
import { arranged, countsOf, scenesOf } from "./model.js";
import { poll } from "./poll.js";
import { Elements, RowList } from "./rows.js";
import { load } from "./server.js";
import { Summary } from "./summary.js";
import { Viewer } from "./viewer.js";

const OPEN_UP_TO = 6; // failures that are few enough to be read without opening a group

class Page {
  constructor(main) {
    this.data = null;
    this.answer = "";
    this.byKey = new Map();
    this.order = [];
    this.filters = new Filters(() => this.render());
    this.summary = new Summary();
    this.notes = h("div", { class: "notes" });
    this.trouble = h("p", { class: "note trouble", role: "alert", hidden: true });
    this.body = h("div", { class: "rows" });
    this.head = h("div", { hidden: true }, this.summary.element, this.filters.element, this.trouble, this.notes);
    this.viewer = new Viewer(() => this.order, (key) => this.byKey.get(key));
    this.groups = new Map();
    main.append(this.head, this.body);
    this.waiting = setTimeout(() => this.data ?? fill(this.body, skeleton(6)), 250);
    this.again = poll((signal) => this.once(signal), (error) => this.failed(error));
    addEventListener("hashchange", () => this.goToAnchor());
  }

  async once(signal) {
    const data = await load(addressOf(parameters()), { signal });
    clearTimeout(this.waiting);
    const first = this.data === null;
    const answer = JSON.stringify({ ...data, as_of: null });
    const changed = answer !== this.answer;
    this.answer = answer;
    this.trouble.hidden = true;
    if (changed) this.take(data);
    else Object.assign(this.data, { as_of: data.as_of });
    this.summary.update(this.data);
    if (changed) this.render();
    this.viewer.refresh();
    if (first) this.goToAnchor();
    return data.final ? "final" : changed ? "changed" : "same";
  }

  /** The new answer, with the old objects for rows that have not changed. */
  take(data) {
    const rows = data.rows.map((row) => {
      const known = this.byKey.get(row.key);
      return known && JSON.stringify(known) === JSON.stringify(row) ? known : row;
    });
    this.byKey = new Map(rows.map((row) => [row.key, row]));
    this.data = { ...data, rows };
  }

  failed(error) {
    clearTimeout(this.waiting);
    const goesOn = ["network", "server"].includes(error.kind);
    if (error.kind === undefined) throw error;
    if (this.data === null || error.kind === "forbidden") {
      this.forgetAll();
      fill(this.body, refusal(error, () => this.again()));
    } else {
      this.trouble.hidden = false;
      this.trouble.textContent = shortRefusal(error);
      this.summary.sayUpdated(this.data, ", not updated since");
    }
    return goesOn;
  }

  /** What one may not see is not kept, either. */
  forgetAll() {
    Object.assign(this, { data: null, answer: "", order: [], byKey: new Map(), groups: new Map(), list: undefined, elements: undefined });
    this.head.hidden = true;
    if (this.viewer.element.open) this.viewer.element.close();
  }

  render() {
    const { data, filters } = this;
    if (data === null) return;
    this.head.hidden = false;
    filters.update(data.rows, countsOf(data.rows), scenesOf(data.rows));
    this.summary.element.hidden = filters.element.hidden = data.rows.length === 0;
    this.showNotes();
    this.useView(filters.view(data.rows));
    const { groups, singles, rows } = arranged(data.rows, filters.chosen);
    this.order = [...groups.flatMap((group) => group.rows), ...singles, ...rows].map((row) => row.key);
    if (this.order.length) this.showRows(groups, singles, rows);
    else fill(this.body, this.nothing());
  }

  showNotes() {
    const notes = [...this.data.notes];
    if (this.data.more) notes.push(`${counted(this.data.more, "further row")} ${this.data.more === 1 ? "is" : "are"} not shown. The results file has all rows.`);
    if (notes.join("\n") === this.noted) return;
    this.noted = notes.join("\n");
    fill(this.notes, notes.map((note) => h("p", { class: "note" }, note)));
  }

  useView(view) {
    if (this.view === view && this.elements) return;
    this.view = view;
    this.elements = new Elements(view, (key, options) => this.viewer.open(key, options));
    this.list = new RowList(view, this.elements, "Rows");
    this.groups = new Map();
    this.singles = new RowList(view, this.elements, "Failures with reasons of their own");
    this.groupBox = h("div", { class: "groups" });
    this.failuresTitle = h("h2", { id: "page-failures" });
    this.failures = h("section", { class: "failures", "aria-labelledby": "page-failures" }, this.failuresTitle, this.groupBox, this.singles.element);
    this.othersTitle = h("h2");
    this.others = h("section", { class: "others", "aria-label": "Rows" }, this.othersTitle, this.list.element);
    this.body.dataset.view = view;
  }

  showRows(groups, singles, rows) {
    const failed = groups.reduce((sum, group) => sum + group.rows.length, singles.length);
    say(this.failuresTitle, counted(failed, "failure"));
    keep(this.groupBox, groups.map((group) => this.groupOf(group, failed <= OPEN_UP_TO)));
    keep(this.body, [failed ? this.failures : null, rows.length ? this.others : null].filter(Boolean));
    this.singles.element.hidden = singles.length === 0;
    this.othersTitle.hidden = failed === 0;
    say(this.othersTitle, counted(rows.length, "other row"));
    this.singles.show(singles);
    this.list.show(rows);
  }

  /** The element of failures with one reason: a group that opens; it stays as the user left it. */
  groupOf(group, open) {
    let known = this.groups.get(group.key);
    if (known === undefined) {
      const list = new RowList(this.view, this.elements, group.reason);
      const head = new Part(h("summary"), headOf);
      const element = h("details", { class: "group", open }, head.element, list.element);
      known = { element, list, head };
      element.addEventListener("toggle", () => element.open && known.list.show(known.rows));
      this.groups.set(group.key, known);
    }
    known.rows = group.rows;
    known.head.update(group.state, group.kind, group.reason, group.rows.length);
    if (known.element.open) known.list.show(group.rows);
    return known.element;
  }

  nothing() {
    if (this.filters.active) {
      return message("No row matches", "No row of this run fits what you search and filter for.", h("button", { class: "button", type: "button", onclick: () => this.filters.clear() }, "Show all rows"));
    }
    if (this.data.final) return message("No videos", "No task of this run asked Kling for a video.");
    return message("Nothing here yet", "Rows appear here as soon as a task of this run has read its manifest or asks Kling for a video.");
  }

  /** Shows the row that the address names after its #. */
  goToAnchor() {
    const key = decoded(location.hash.slice(1));
    if (!this.byKey.has(key)) return;
    if (!this.order.includes(key)) this.filters.clear();
    for (const group of this.groups.values()) {
      if (group.rows.some((row) => row.key === key)) {
        group.element.open = true;
        group.list.show(group.rows);
        group.list.finish();
      }
    }
    this.singles.finish();
    this.list.finish();
    const element = document.getElementById(key);
    document.querySelector(".aimed")?.classList.remove("aimed");
    element?.classList.add("aimed");
    element?.scrollIntoView({ block: "center" });
    element?.focus({ preventScroll: true });
  }
}

const headOf = (state, kind, reason, rows) => [
  badge(state),
  kind ? h("span", { class: "kind" }, kind) : null,
  h("span", { class: "reason" }, reason),
  h("span", { class: "number" }, `× ${count(rows)}`),
];

/** Where the rows of the page are: `api/dags/d/rows?run_id=…`. Airflow leaves `{MAP_INDEX}` as it is where there is none. */
function addressOf(given) {
  const known = (name) => (/^\{[A-Z_]+\}$/.test(given.get(name) ?? "") ? "" : given.get(name));
  const wanted = query({ run_id: known("run_id"), task_id: known("task_id"), map_index: known("map_index") });
  return `api/dags/${encodeURIComponent(given.get("dag_id") ?? "")}/rows?${wanted}`;
}

new Page(document.getElementById("page-main"));
