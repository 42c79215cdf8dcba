// The line above the rows: how many, what they cost, how long it took, and where the files of the run are.

import { newTabLink } from "./airflow.js";
import { paint } from "./bar.js";
import { h, icon, say } from "./dom.js";
import { Part, announce } from "./facts.js";
import { clockOf, count, counted, secondsBetween, span } from "./format.js";
import { failuresIn } from "./states.js";

const QUIET = 20_000; // between two announcements of progress

export class Summary {
  constructor() {
    this.bar = h("div", { class: "bar", role: "img" });
    this.numbers = new Part(h("dl", { class: "numbers" }), (numbers) => numbers.map(([name, value, state]) => h("div", { data: state ? { state } : {} }, h("dt", {}, name), h("dd", {}, value))));
    this.links = new Part(h("nav", { class: "links", "aria-label": "Files of this run" }), linksOf);
    this.updated = h("p", { class: "updated muted" });
    this.element = h("header", { class: "summary" }, h("h1", { class: "offscreen" }, "Videos of this run"), h("div", { class: "summary-line" }, this.numbers.element, h("div", { class: "summary-side" }, this.links.element, this.updated)), this.bar);
    this.announced = { at: 0, done: null };
  }

  update(data) {
    const { counts } = data;
    const total = Object.values(counts).reduce((sum, number) => sum + number, 0);
    this.numbers.update(numbersOf(data, total));
    this.links.update(data.report, data.results);
    paint(this.bar, counts);
    this.bar.hidden = total === 0;
    this.sayUpdated(data);
    this.sayProgress(data, total);
  }

  sayUpdated(data, note = "") {
    const live = data.final ? "Final" : "Live";
    say(this.updated, `${live}, as of ${clockOf(data.as_of)}${note}`);
    this.updated.dataset.live = String(!data.final && !note);
  }

  /** Tells screen readers of progress, but not of every answer. */
  sayProgress({ counts, final }, total) {
    const done = total - counts.running - counts.waiting;
    const now = Date.now();
    const first = this.announced.done === null;
    if (done === this.announced.done && final === this.announced.final) return;
    if (!first && !final && now - this.announced.at < QUIET) return;
    this.announced = { at: now, done, final };
    const failed = failuresIn(counts);
    if (total) announce(`${count(done)} of ${counted(total, "row")} done${failed ? `, ${counted(failed, "failure")}` : ""}${final ? ". The run is final." : ""}`);
  }
}

function numbersOf({ counts, units, videos, started_at: start, ended_at: end, as_of: now }, total) {
  const failed = failuresIn(counts);
  const seconds = secondsBetween(start, end ?? now);
  const numbers = [
    ["Rows", count(total)],
    ["Videos", count(videos)],
    ["Failures", failed ? count(failed) : null, "failed"],
    ["Running", counts.running ? count(counts.running) : null, "running"],
    ["Waiting", counts.waiting ? count(counts.waiting) : null, "waiting"],
    ["Units", units === null || units === undefined ? null : count(Number(units))],
    ["Time", seconds === null ? null : span(seconds)],
  ];
  return numbers.filter(([, value]) => value !== null);
}

function linksOf(report, results) {
  return [
    report ? newTabLink(report, { class: "button", data: { name: "report" } }, icon("leave"), "Report") : null,
    results ? h("a", { class: "button", href: results, download: "", data: { name: "results" } }, icon("download"), "Results") : null,
  ];
}
