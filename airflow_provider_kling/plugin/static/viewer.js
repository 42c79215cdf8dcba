// One row alone: input and video as large as the window permits, and all that is known of it.

import { imagesOf, outcome } from "./card.js";
import { h, icon, say } from "./dom.js";
import { Part, badge, copyable, downloadLink, instanceName, taskLink } from "./facts.js";
import { dayOf, isPast, span, time, units } from "./format.js";
import { kindOf, textOf } from "./model.js";
import { klingLink } from "./player.js";
import { isFailure } from "./states.js";

export class Viewer {
  /** `order()` gives the keys in the order of the page, `rowOf(key)` a row as it stands. */
  constructor(order, rowOf) {
    Object.assign(this, { order, rowOf, key: null, options: {} });
    this.before = new Part(h("div", { class: "before" }), (images) => imagesOf(this.row, images));
    this.after = new Part(h("div", { class: "after" }), () => outcome(this.row, this.options));
    this.facts = new Part(h("dl", { class: "facts" }), () => factsOf(this.row));
    this.actions = new Part(h("div", { class: "actions" }), () => actionsOf(this.row));
    this.badge = new Part(h("span", {}), (state) => badge(state));
    this.title = h("h2", { id: "page-viewer-title" });
    this.position = h("span", { class: "muted number" });
    this.back = this.button("back", "Previous row (←)", () => this.move(-1));
    this.forth = this.button("forth", "Next row (→)", () => this.move(1));
    this.element = this.dialog();
    document.body.append(this.element);
  }

  button(name, label, onclick) {
    return h("button", { class: "icon-button", type: "button", title: label, "aria-label": label, data: { name }, onclick }, icon(name));
  }

  dialog() {
    const bar = h("div", { class: "viewer-bar" }, this.badge.element, this.title, this.position, this.back, this.forth, this.button("close", "Close (Esc)", () => this.element.close()));
    const body = h("div", { class: "viewer-body" }, h("div", { class: "pair" }, this.before.element, this.after.element), h("div", { class: "viewer-side" }, this.actions.element, this.facts.element));
    const dialog = h("dialog", { class: "viewer", "aria-labelledby": "page-viewer-title" }, bar, body);
    dialog.addEventListener("close", () => this.closed());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => this.pressed(event));
    return dialog;
  }

  open(key, options = {}) {
    this.from = document.activeElement;
    this.show(key, options);
    if (!this.element.open) this.element.showModal();
  }

  show(key, options) {
    Object.assign(this, { key, options });
    this.after.shown = null; // another row's player, even where both look alike
    this.refresh();
  }

  /** Shows the row as it stands now. */
  refresh() {
    const row = (this.row = this.key === null ? null : this.rowOf(this.key) ?? this.row);
    if (!row) return;
    const order = this.order();
    const at = order.indexOf(row.key);
    say(this.title, row.row_id ?? "no row id");
    say(this.position, at < 0 ? "" : `${at + 1} of ${order.length}`);
    this.back.disabled = at <= 0;
    this.forth.disabled = at < 0 || at === order.length - 1;
    this.badge.update(row.state);
    this.before.update(row.images, row.refused_image);
    this.after.update(row.state, row.error, row.message, row.videos.map(({ src, kling, name }) => [src, kling, name]));
    this.facts.update(row);
    this.actions.update(row.videos, row.ui, row.task_id, row.map_index, row.task_state);
  }

  move(step) {
    const order = this.order();
    const next = order[order.indexOf(this.key) + step];
    if (next !== undefined) this.show(next, { autoplay: true });
  }

  pressed(event) {
    if (event.target.closest("video, input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      this.move(step);
    }
  }

  closed() {
    this.after.element.replaceChildren(); // no sound goes on
    this.key = null;
    const kept = this.from?.isConnected ? this.from : null;
    kept?.focus();
  }
}

function actionsOf(row) {
  return [...row.videos.flatMap((video) => [downloadLink(row, video), klingLink(video, row)]), taskLink(row, row.ui ? "Task instance" : null)];
}

function factsOf(row) {
  const task = row.task_id ? instanceName(row) : null;
  const facts = [
    [isFailure(row) ? "Reason" : "Error", row.error],
    ["About", kindOf(row)],
    ["Refused", isFailure(row) && row.refused_image ? `image ${row.refused_image}${row.images.length > 1 ? ` of ${row.images.length}` : ""}` : null],
    ["Message", row.message && row.message !== row.error ? row.message : null],
    ["Scene", row.effect_scene],
    ["Units", row.units ? units(row.units) : null],
    ["Input", row.images.map((image) => image.name).filter(Boolean).join(", ")],
    ...row.videos.flatMap(videoFacts),
    ["Created", time(row.created_at)],
    ["Changed", time(row.updated_at)],
    ["Kling id", copyable(row.kling_task_id, "Kling id")],
    ["External id", copyable(row.external_task_id, "external id")],
    ["Task instance", task && row.task_state ? `${task}, ${row.task_state}` : task],
    ...Object.entries(row.columns ?? {}).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  if (isFailure(row) && !row.error) facts[0][1] = textOf(row);
  return facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

function videoFacts(video) {
  const until = dayOf(video.expires_at);
  return [
    ["Duration", video.duration ? span(Number(video.duration)) : null],
    ["File", video.path ?? video.name],
    ["Kling’s link", until ? `${isPast(video.expires_at) ? "ended on" : "works until"} ${until}` : null],
  ];
}
