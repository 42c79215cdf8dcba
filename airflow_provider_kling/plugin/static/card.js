// A row as a card: the input beside the video.

import { h, icon } from "./dom.js";
import { Part, badge, copyable, downloadLink, inputImage, rowLink, taskLink } from "./facts.js";
import { time, units } from "./format.js";
import { kindOf, textOf } from "./model.js";
import { klingLink, nameOf, player } from "./player.js";
import { isFailure, meaningOf } from "./states.js";

/** `{element, update(row)}`; `open(key)` shows the row alone. */
export function card(row, open) {
  let current = row;
  const details = h("button", { class: "icon-button", type: "button", title: "Details", "aria-label": `Details of row ${nameOf(row)}`, data: { name: "details" } }, icon("larger"));
  details.addEventListener("click", () => open(current.key));
  const before = new Part(h("div", { class: "before" }), (images) => imagesOf(current, images));
  const after = new Part(h("div", { class: "after" }), () => outcome(current));
  const head = new Part(h("div", { class: "card-head" }), () => [badge(current.state), h("h3", {}, rowLink(current)), details]);
  const sub = new Part(h("p", { class: "card-sub" }), () => subtitle(current));
  const foot = new Part(h("div", { class: "card-foot" }), () => footOf(current));
  const element = h(
    "li",
    { class: "card", id: row.key, data: { key: row.key }, tabindex: "-1" },
    h("div", { class: "pair" }, before.element, after.element),
    h("div", { class: "card-body" }, head.element, sub.element, foot.element),
  );
  const update = (latest) => {
    current = latest;
    element.dataset.state = latest.state;
    element.classList.toggle("failure", isFailure(latest) && latest.videos.length === 0);
    before.update(latest.images, latest.refused_image);
    after.update(latest.state, latest.error, latest.message, latest.created_at, latest.videos.map(({ src, kling, name, duration }) => [src, kling, name, duration]));
    head.update(latest.state, latest.row_id);
    sub.update(latest.effect_scene, latest.units, kindOf(latest));
    foot.update(latest.kling_task_id, latest.ui, latest.task_id, latest.map_index, latest.task_state, latest.videos);
  };
  update(row);
  return { element, update };
}

export const imagesOf = (row, images) => (images.length ? images.map((image, index) => marked(inputImage(row, image), index + 1 === row.refused_image)) : [h("span", { class: "missing muted" }, "No input image")]);

/** An image, with a mark if it is the one that the content control has refused. */
const marked = (element, refused) => (refused ? h("span", { class: "refused" }, element, h("span", { class: "mark" }, "Refused")) : element);

/** What became of a row, in the place of its video. */
export function outcome(row, options) {
  if (row.videos.length) return row.videos.map((video) => player(row, video, options));
  if (isFailure(row)) return [h("p", { class: "reason", data: { state: row.state }, title: textOf(row) }, textOf(row))];
  const since = row.state === "running" && row.created_at ? ["Since ", time(row.created_at)] : [];
  return [h("div", { class: "pending", data: { state: row.state } }, h("p", {}, meaningOf(row.state)), h("p", { class: "muted" }, ...since))];
}

function subtitle(row) {
  const kind = kindOf(row);
  return [h("span", { class: "scene" }, row.effect_scene ?? "no scene"), kind ? h("span", { class: "kind" }, kind) : null, row.units ? h("span", { class: "number" }, units(row.units)) : null];
}

function footOf(row) {
  const [video] = row.videos;
  return [
    copyable(row.kling_task_id, "Kling id"),
    h("span", { class: "actions" }, ...row.videos.map((each) => downloadLink(row, each)), video && !video.src ? klingLink(video, row) : null, taskLink(row)),
  ];
}
