// The small pieces that cards, table and viewer are made of.

import { airflowLink } from "./airflow.js";
import { fill, h, icon } from "./dom.js";
import { nameOf } from "./player.js";
import { meaningOf, wordOf } from "./states.js";

/** A state by colour and word. */
export const badge = (state) => h("span", { class: "badge", data: { state }, title: meaningOf(state) }, wordOf(state));

/** A text with a button that copies exactly this text. */
export function copyable(text, what) {
  if (!text) return null;
  const button = h("button", { class: "icon-button", type: "button", title: `Copy ${what}`, "aria-label": `Copy ${what} ${text}`, data: { name: `copy ${what}` } }, icon("copy"));
  button.addEventListener("click", async () => {
    const done = await copy(text);
    announce(done ? `Copied ${what} ${text}` : "The browser does not permit copying.");
    if (!done) return;
    fill(button, icon("check"));
    setTimeout(() => fill(button, icon("copy")), 1500);
  });
  return h("span", { class: "copyable" }, h("code", { title: what }, text), button);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS there is no clipboard; a selection can be copied all the same.
    const area = h("textarea", { class: "offscreen", readonly: true });
    const focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}

/** Says something to screen readers, when they have finished what they say now. */
export function announce(text) {
  const region = document.getElementById("page-said");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

/** The name of the task instance that works on a row; iterations of a loop are counted from 0, as in Airflow's UI. */
export function instanceName(row) {
  const index = row.map_index >= 0 ? ` [${row.map_index}]` : "";
  return `${row.task_id}${index}${Number.isInteger(row.iteration) ? `, iteration ${row.iteration}` : ""}`;
}

/** The way to the task instance that works on a row. */
export function taskLink(row, label) {
  if (!row.ui) return null;
  const name = instanceName(row);
  const properties = { class: "quiet", title: `Task instance ${name}${row.task_state ? `, ${row.task_state}` : ""}`, data: { name: "task" } };
  return airflowLink(row.ui, { ...properties, "aria-label": `Task instance ${name} of row ${nameOf(row)}` }, label ?? name);
}

/** A link that saves a video. */
export function downloadLink(row, video, label = "Download") {
  if (!video.src) return null;
  const properties = { class: "quiet", href: video.src, download: video.name ?? "", title: video.path ?? video.name, data: { name: "download" } };
  return h("a", { ...properties, "aria-label": `Download the video of row ${nameOf(row)}` }, icon("download"), label);
}

/** The anchor of a row. */
export const rowLink = (row) => h("a", { class: "row-id", href: `#${encodeURIComponent(row.key)}`, data: { name: "row" } }, row.row_id ?? "no row id");

/** The last part of a path or URL. */
export const shortName = (name) => name.replace(/[?#].*$/, "").split("/").filter(Boolean).pop() ?? name;

/** An input image, or its name where it cannot be shown. */
export function inputImage(row, image) {
  const name = image.name ?? "image";
  const missing = () => h("span", { class: "missing", title: name }, h("span", { class: "muted" }, "Input image"), h("span", {}, shortName(name)));
  const picture = image.src ? h("img", { src: image.src, alt: `Input image ${name}`, title: name, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" }) : null;
  if (!picture?.hasAttribute("src")) return missing();
  picture.addEventListener("error", () => picture.replaceWith(missing()));
  return picture;
}

/** A part of the page that is built anew only where what it shows has changed; the focus within it stays. */
export class Part {
  constructor(element, build) {
    this.element = element;
    this.build = build;
    this.shown = null;
  }

  update(...values) {
    const shown = JSON.stringify(values);
    if (shown === this.shown) return;
    this.shown = shown;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    fill(this.element, this.build(...values));
    if (focused) [...this.element.querySelectorAll("[data-name]")].find((element) => element.dataset.name === focused)?.focus();
  }
}
