// Lists of rows, as cards or as a table, kept up to date with as few changes as possible.

import { card } from "./card.js";
import { h, place } from "./dom.js";
import { COLUMNS, line } from "./line.js";
import { isPlaying } from "./player.js";

const FIRST = 40; // rows that are shown at once
const SLICE = 60; // rows in each of the steps that follow, so that the page stays quick in between

const later = globalThis.requestIdleCallback ?? ((callback) => setTimeout(callback, 16));

/** The elements of all rows in one view; a row keeps its element wherever it moves. */
export class Elements {
  constructor(view, open) {
    this.make = view === "table" ? line : card;
    this.open = open;
    this.known = new Map();
  }

  of(row) {
    let known = this.known.get(row.key);
    if (known === undefined) {
      known = this.make(row, this.open);
      this.known.set(row.key, known);
    } else if (known.row !== row) known.update(row);
    known.row = row;
    return known.element;
  }
}

/** A list of rows on the page. */
export class RowList {
  constructor(view, elements, label) {
    this.elements = elements;
    this.body = view === "table" ? h("tbody", { role: "rowgroup" }) : h("ul", { class: "cards", "aria-label": label });
    this.element = view === "table" ? tableOf(this.body, label) : this.body;
    this.rows = [];
    this.turn = 0;
  }

  /** Shows these rows: the first at once, the others in slices. */
  show(rows) {
    const keys = new Set(rows.map((row) => row.key));
    for (const child of [...this.body.children]) if (!keys.has(child.dataset.key)) child.remove();
    this.rows = rows;
    this.next = 0;
    this.cursor = this.body.firstElementChild;
    this.turn += 1;
    this.step(FIRST);
    this.goOn(this.turn);
  }

  goOn(turn) {
    if (this.next >= this.rows.length) return;
    later(() => {
      if (turn !== this.turn) return;
      this.step(SLICE);
      this.goOn(turn);
    });
  }

  /** Shows all that is still to come. */
  finish() {
    this.step(this.rows.length);
  }

  step(number) {
    const end = Math.min(this.rows.length, this.next + number);
    for (; this.next < end; this.next += 1) this.put(this.elements.of(this.rows[this.next]));
  }

  /** Brings an element to its place. One that plays or has the focus stays, and the others go around it. */
  put(element) {
    const busy = element.parentNode === this.body && (element.contains(document.activeElement) || isPlaying(element));
    if (element === this.cursor || busy) this.cursor = element.nextElementSibling;
    else place(this.body, element, this.cursor);
  }
}

// Its rows are laid out as grids of their own, so that a browser can skip those out of view. That takes their meaning away
// from the elements of a table; the roles give it back.
function tableOf(body, label) {
  const head = COLUMNS.map(([name, title]) => h("th", { class: `col-${name}`, role: "columnheader" }, title));
  return h("table", { class: "lines", role: "table", "aria-label": label }, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)), body);
}
