// The user's choices: which rows, in which order, in which view. They stand in the page's address, so that a reload keeps them.

import { parameters, setParameters } from "./address.js";
import { fill, h, say } from "./dom.js";
import { count } from "./format.js";
import { SORTS } from "./model.js";
import { ORDER, meaningOf, wordOf } from "./states.js";

const MANY = 60; // rows from which on a table is easier to read than cards

const EMPTY = { state: "", scene: "", search: "", sort: "failures", view: "" };
const NAMES = { search: "q" };

/** The toolbar. `changed()` is called after each choice of the user. */
export class Filters {
  constructor(changed) {
    this.changed = changed;
    const given = parameters();
    this.chosen = Object.fromEntries(Object.keys(EMPTY).map((name) => [name, given.get(NAMES[name] ?? name) ?? EMPTY[name]]));
    if (!(this.chosen.sort in SORTS)) this.chosen.sort = EMPTY.sort;
    if (!ORDER.includes(this.chosen.state)) this.chosen.state = "";
    this.search = h("input", { type: "search", placeholder: "Search rows", "aria-label": "Search in ids, scenes, errors, files and columns", value: this.chosen.search });
    this.search.addEventListener("input", () => this.typed());
    this.states = h("div", { class: "chips", role: "group", "aria-label": "State" });
    this.scene = h("select", { "aria-label": "Scene" });
    this.scene.addEventListener("change", () => this.choose({ scene: this.scene.value }));
    this.sort = h("select", { "aria-label": "Order" }, ...Object.entries(SORTS).map(([name, words]) => h("option", { value: name }, words)));
    this.sort.value = this.chosen.sort;
    this.sort.addEventListener("change", () => this.choose({ sort: this.sort.value }));
    this.views = Object.fromEntries(["cards", "table"].map((view) => [view, this.viewButton(view)]));
    const views = h("div", { class: "segments", role: "group", "aria-label": "View" }, ...Object.values(this.views));
    this.element = h("div", { class: "toolbar", role: "search", "aria-label": "Rows of this run" }, this.search, this.states, h("div", { class: "choices" }, this.scene, this.sort, views));
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  viewButton(view) {
    const button = h("button", { type: "button" }, view === "cards" ? "Cards" : "Table");
    button.addEventListener("click", () => this.choose({ view }));
    return button;
  }

  pressed(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    this.search.focus();
    this.search.select();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.choose({ search: this.search.value }), 120);
  }

  choose(choice) {
    Object.assign(this.chosen, choice);
    setParameters(Object.fromEntries(Object.entries(this.chosen).map(([name, value]) => [NAMES[name] ?? name, value === EMPTY[name] ? "" : value])));
    this.changed();
  }

  clear() {
    this.search.value = "";
    this.choose({ state: "", scene: "", search: "" });
  }

  get active() {
    return Boolean(this.chosen.state || this.chosen.scene || this.chosen.search.trim());
  }

  /** Cards for a few rows, a table for many, unless the user chose. */
  view(rows) {
    return this.chosen.view in this.views ? this.chosen.view : rows.length > MANY ? "table" : "cards";
  }

  /** Shows what there is to choose from. */
  update(rows, counts, scenes) {
    const wanted = ORDER.filter((state) => counts[state] || state === this.chosen.state);
    const chips = wanted.length > 1 || this.chosen.state ? ["", ...wanted] : [];
    this.refreshChips(chips, counts, rows.length);
    const options = [["", "All scenes"], ...scenes.map(([scene, number]) => [scene, `${scene} (${count(number)})`])];
    if (this.chosen.scene && !scenes.some(([scene]) => scene === this.chosen.scene)) options.push([this.chosen.scene, this.chosen.scene]);
    if (JSON.stringify(options) !== this.options) {
      this.options = JSON.stringify(options);
      fill(this.scene, options.map(([value, words]) => h("option", { value }, words)));
    }
    this.scene.value = this.chosen.scene;
    this.scene.hidden = options.length < 3;
    for (const [view, button] of Object.entries(this.views)) button.setAttribute("aria-pressed", String(this.view(rows) === view));
  }

  refreshChips(chips, counts, total) {
    if (chips.join() !== this.chips) {
      this.chips = chips.join();
      const focused = this.states.contains(document.activeElement) ? document.activeElement.value : null;
      fill(this.states, chips.map((state) => this.chip(state)));
      if (focused !== null) [...this.states.children].find((chip) => chip.value === focused)?.focus();
    }
    for (const chip of this.states.children) {
      chip.setAttribute("aria-pressed", String(chip.value === this.chosen.state));
      say(chip.lastElementChild, count(chip.value ? counts[chip.value] ?? 0 : total));
    }
  }

  chip(state) {
    const chip = h("button", { class: "chip", type: "button", value: state, data: { state }, title: meaningOf(state) }, h("span", {}, state ? wordOf(state) : "All"), " ", h("span", { class: "number" }));
    chip.addEventListener("click", () => this.choose({ state: chip.value === this.chosen.state ? "" : chip.value }));
    return chip;
  }
}
