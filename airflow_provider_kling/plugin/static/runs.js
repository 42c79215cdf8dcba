// The page "Kling": recent runs of all DAGs that use Kling, and the slots that are in use.

import { parameters, query, setParameters } from "./address.js";
import { airflowLink, newTabLink } from "./airflow.js";
import { bar } from "./bar.js";
import { fill, h, icon, keep, say } from "./dom.js";
import { Part } from "./facts.js";
import { clockOf, count, counted, secondsBetween, span, time } from "./format.js";
import { message, refusal, shortRefusal } from "./messages.js";
import { poll } from "./poll.js";
import { load } from "./server.js";
import { FAILURES, ORDER, failuresIn, wordOf } from "./states.js";

const STEP = 50; // runs that are loaded at first, and each time that more are wanted
const MOST = 500;
const COLUMNS = ["Run", "State", "Rows", "Done", "Failures", "Units", "Started", "Time", "Connection", ""];

const totalOf = (counts) => Object.values(counts).reduce((sum, number) => sum + number, 0);

class Page {
  constructor(main) {
    const given = parameters();
    this.chosen = { dag_id: given.get("dag_id") ?? "", state: given.get("state") ?? "" };
    this.limit = STEP;
    this.data = null;
    this.dags = new Set();
    this.lines = new Map();
    this.slots = new Part(h("ul", { class: "slots", "aria-label": "Slots in use" }), (slots) => (slots.length ? [h("li", { class: "muted" }, "Slots in use"), ...slots.map(slot)] : []));
    this.updated = h("p", { class: "updated muted" });
    this.dag = this.select("DAG", "dag_id", () => this.again());
    this.state = this.select("State of the run", "state", () => this.render());
    this.trouble = h("p", { class: "note trouble", role: "alert", hidden: true });
    this.body = h("tbody");
    this.table = h("div", { class: "scroll" }, tableOf(this.body));
    this.more = h("button", { class: "button more", type: "button", onclick: () => this.loadMore() }, "Show older runs");
    this.rest = h("div", { class: "runs" });
    this.head = h("header", { class: "head", hidden: true }, h("div", { class: "head-line" }, h("h1", {}, "Kling"), this.slots.element, this.updated), h("div", { class: "head-line", role: "search", "aria-label": "Runs" }, this.dag, this.state));
    main.append(this.head, this.trouble, this.rest);
    setTimeout(() => this.data === null && !this.rest.hasChildNodes() && fill(this.rest, skeleton()), 250);
    this.again = poll((signal) => this.once(signal), (error) => this.failed(error));
  }

  select(label, name, changed) {
    const select = h("select", { "aria-label": label });
    select.addEventListener("change", () => {
      this.chosen[name] = select.value;
      setParameters({ [name]: select.value });
      changed();
    });
    return select;
  }

  loadMore() {
    this.limit = Math.min(MOST, this.limit + STEP);
    this.again();
  }

  async once(signal) {
    const data = await load(`api/runs?${query({ limit: this.limit, dag_id: this.chosen.dag_id })}`, { signal });
    const answer = JSON.stringify({ ...data, as_of: null });
    const changed = answer !== this.answer;
    this.answer = answer;
    this.data = data;
    this.trouble.hidden = true;
    say(this.updated, `As of ${clockOf(data.as_of)}`);
    if (changed) this.render();
    return changed ? "changed" : "same";
  }

  failed(error) {
    if (error.kind === undefined) throw error;
    if (this.data === null) fill(this.rest, refusal(error, () => this.again()));
    this.trouble.hidden = this.data === null;
    this.trouble.textContent = shortRefusal(error);
    return ["network", "server"].includes(error.kind);
  }

  render() {
    const { data, chosen } = this;
    if (data === null) return;
    for (const dag of [...(data.dag_ids ?? []), ...data.runs.map((run) => run.dag_id)]) this.dags.add(dag);
    if (chosen.dag_id) this.dags.add(chosen.dag_id);
    const states = [...new Set([...data.runs.map((run) => run.state), chosen.state].filter(Boolean))].sort();
    options(this.dag, [["", "All DAGs"], ...[...this.dags].sort().map((dag) => [dag, dag])], chosen.dag_id);
    options(this.state, [["", "All states"], ...states.map((state) => [state, state])], chosen.state);
    this.slots.update(data.slots);
    const runs = data.runs.filter((run) => !chosen.state || run.state === chosen.state);
    this.head.hidden = data.runs.length === 0 && !chosen.dag_id;
    this.more.hidden = data.runs.length < this.limit || this.limit >= MOST;
    if (runs.length === 0) return fill(this.rest, this.nothing());
    keep(this.body, runs.map((run) => this.lineOf(run)));
    return keep(this.rest, [this.table, this.more]);
  }

  lineOf(run) {
    const key = JSON.stringify([run.dag_id, run.run_id]);
    const shown = JSON.stringify(run) + (run.ended_at ? "" : this.data.as_of);
    const known = this.lines.get(key);
    if (known?.shown === shown) return known.element;
    const element = h("tr", {}, cellsOf(run, this.data.as_of));
    this.lines.set(key, { element, shown });
    return element;
  }

  nothing() {
    if (this.chosen.dag_id || this.chosen.state) {
      const all = h("button", { class: "button", type: "button" }, "Show all runs");
      all.addEventListener("click", () => {
        Object.assign(this.chosen, { dag_id: "", state: "" });
        setParameters(this.chosen);
        this.again();
        this.render();
      });
      return message("No run fits", "No recent run fits what you filter for.", all);
    }
    return message("No run has used Kling yet", h("span", {}, "Runs appear here as soon as a DAG uses ", h("code", {}, "KlingEffectOperator"), " or ", h("code", {}, "KlingEffectBatchOperator"), ". To start: add a connection of the type Kling AI under Admin, Connections, and trigger the sample DAG ", h("code", {}, "kling_effect"), "."));
  }
}

/** Grey lines until the first answer is there. */
const skeleton = () => h("div", { class: "skeleton", role: "img", "aria-label": "Loading" }, Array.from({ length: 6 }, () => h("div")));

function options(select, choices, chosen) {
  const shown = JSON.stringify(choices);
  if (select.dataset.shown !== shown) fill(select, choices.map(([value, words]) => h("option", { value }, words)));
  select.dataset.shown = shown;
  select.value = chosen;
}

function slot({ kling_conn_id: connection, in_use: used }) {
  const title = `Kling works on ${counted(used, "task")} of the connection ${connection}`;
  return h("li", { class: "slot", title }, h("span", {}, connection), h("span", { class: "number" }, count(used)));
}

function tableOf(body) {
  const head = COLUMNS.map((title) => h("th", { scope: "col", class: `col-${title.toLowerCase() || "links"}` }, title || h("span", { class: "offscreen" }, "Links")));
  return h("table", { class: "lines" }, h("caption", { class: "offscreen" }, "Recent runs of DAGs that use Kling"), h("thead", {}, h("tr", {}, head)), body);
}

function cellsOf(run, now) {
  const { counts } = run;
  const failed = failuresIn(counts);
  const seconds = secondsBetween(run.started_at, run.ended_at ?? now);
  const cell = (name, ...content) => h("td", { class: `col-${name}` }, ...content);
  return [
    h("th", { scope: "row", class: "col-run" }, airflowLink(run.ui, { class: "run-id" }, run.run_id), h("span", { class: "muted" }, run.dag_id)),
    cell("state", h("span", { class: "badge", data: { run: run.state } }, run.state)),
    cell("rows", count(run.rows)),
    cell("done", bar(counts), h("span", { class: "muted number" }, doneOf(counts))),
    cell("failures", ...(failed ? kindsOf(counts) : [h("span", { class: "muted" }, "none")])),
    cell("units", run.units === null || run.units === undefined ? "" : count(Number(run.units))),
    cell("started", time(run.started_at)),
    cell("time", seconds === null ? "" : span(seconds)),
    cell("connection", run.conn_ids.join(", ")),
    cell("links", run.report ? newTabLink(run.report, { class: "quiet", "aria-label": `Report of run ${run.run_id}` }, icon("leave"), "Report") : null),
  ];
}

function doneOf(counts) {
  const total = totalOf(counts);
  const done = total - (counts.running ?? 0) - (counts.waiting ?? 0);
  return done === total ? counted(counts.succeed ?? 0, "video") : `${count(done)} of ${count(total)} done`;
}

function kindsOf(counts) {
  return ORDER.filter((state) => FAILURES.includes(state) && counts[state]).map((state) => h("span", { class: "badge", data: { state } }, `${count(counts[state])} ${wordOf(state).toLowerCase()}`));
}

new Page(document.getElementById("page-main"));
