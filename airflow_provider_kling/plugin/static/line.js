// A row as a line of the table.

import { h, icon } from "./dom.js";
import { Part, badge, copyable, downloadLink, rowLink, shortName, taskLink } from "./facts.js";
import { count, time } from "./format.js";
import { kindOf, textOf } from "./model.js";
import { klingLink, nameOf, paintFirstFrame } from "./player.js";
import { isFailure, meaningOf } from "./states.js";

export const COLUMNS = [
  ["state", "State"],
  ["row", "Row"],
  ["input", "Input"],
  ["video", "Video"],
  ["result", "Result"],
  ["units", "Units"],
  ["id", "Kling id"],
  ["changed", "Changed"],
  ["task", "Task instance"],
];

/** `{element, update(row)}`; `open(key)` shows the row alone. */
export function line(row, open) {
  let current = row;
  const cell = (name, build, tag = "td") => new Part(h(tag, { class: `col-${name}`, role: tag === "th" ? "rowheader" : "cell" }), build);
  const cells = {
    state: cell("state", () => [badge(current.state), kindOf(current) ? h("span", { class: "kind" }, kindOf(current)) : null]),
    row: cell("row", () => [rowLink(current), h("span", { class: "scene" }, current.effect_scene ?? "no scene")], "th"),
    input: cell("input", () => current.images.slice(0, 2).map((image) => thumb(image))),
    video: cell("video", () => preview(current, () => open(current.key, { autoplay: true }))),
    result: cell("result", () => resultOf(current)),
    units: cell("units", () => (current.units ? count(Number(current.units)) : "")),
    id: cell("id", () => copyable(current.kling_task_id, "Kling id")),
    changed: cell("changed", () => time(current.updated_at ?? current.created_at)),
    task: cell("task", () => [taskLink(current), detailsButton(current, open)]),
  };
  const element = h("tr", { role: "row", id: row.key, data: { key: row.key }, tabindex: "-1" }, ...Object.values(cells).map((part) => part.element));
  const update = (latest) => {
    current = latest;
    element.dataset.state = latest.state;
    cells.state.update(latest.state, kindOf(latest));
    cells.row.update(latest.row_id, latest.effect_scene);
    cells.input.update(latest.images);
    cells.video.update(latest.videos.map(({ src, kling }) => [src, kling]));
    cells.result.update(latest.state, latest.error, latest.message, latest.videos);
    cells.units.update(latest.units);
    cells.id.update(latest.kling_task_id);
    cells.changed.update(latest.updated_at ?? latest.created_at);
    cells.task.update(latest.ui, latest.task_id, latest.map_index, latest.task_state);
  };
  update(row);
  return { element, update };
}

function thumb(image) {
  const name = image.name ?? "image";
  const missing = () => h("span", { class: "missing", title: name }, shortName(name));
  const picture = image.src ? h("img", { src: image.src, alt: `Input image ${name}`, title: name, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" }) : null;
  if (!picture?.hasAttribute("src")) return missing();
  picture.addEventListener("error", () => picture.replaceWith(missing()));
  return picture;
}

function preview(row, open) {
  const [video] = row.videos;
  if (!video) return null;
  const button = h("button", { class: "thumb", type: "button", "aria-label": `Watch the video of row ${nameOf(row)}`, data: { name: "watch" } }, h("span", { class: "play" }, icon("play")));
  button.addEventListener("click", open);
  if (video.src) paintFirstFrame(button, video.src, () => button.classList.add("broken"));
  return button;
}

function resultOf(row) {
  if (isFailure(row)) return h("span", { class: "reason", title: textOf(row) }, textOf(row));
  const [video] = row.videos;
  if (!video) return h("span", { class: "muted" }, meaningOf(row.state));
  return video.src ? downloadLink(row, video, video.name ?? "Download") : klingLink(video, row) ?? h("span", { class: "muted" }, "Not saved");
}

function detailsButton(row, open) {
  const button = h("button", { class: "icon-button", type: "button", title: "Details", "aria-label": `Details of row ${nameOf(row)}`, data: { name: "details" } }, icon("larger"));
  button.addEventListener("click", () => open(row.key));
  return button;
}
