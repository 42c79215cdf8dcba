// A video: its first frame as a button; the player itself only after the button is pressed, so that 2,000 rows are light.

import { newTabLink } from "./airflow.js";
import { fill, h, icon, say } from "./dom.js";
import { dayOf, isPast, span } from "./format.js";
import { firstFrame } from "./frames.js";
import { forget, whenSeen } from "./seen.js";
import { detailOf } from "./server.js";

/** What a row is called in labels. */
export const nameOf = (row) => row.row_id ?? row.kling_task_id ?? "without an id";

const lengthOf = (video) => (video.duration === null || video.duration === undefined ? "" : span(Number(video.duration)));

/** An element with the video of a row: `media`, of the size of its parent. */
export function player(row, video, { autoplay = false } = {}) {
  const element = h("div", { class: "media" });
  if (autoplay && video.src) play(element, row, video, video.src);
  else if (video.src) showPoster(element, row, video);
  else showUnsaved(element, row, video);
  return element;
}

function showPoster(element, row, video) {
  const length = lengthOf(video);
  const button = h(
    "button",
    { class: "poster", type: "button", "aria-label": `Play the video of row ${nameOf(row)}${length ? `, ${length}` : ""}` },
    h("span", { class: "play" }, icon("play")),
    length ? h("span", { class: "length" }, length) : null,
  );
  button.addEventListener("click", () => play(element, row, video, video.src));
  fill(element, button);
  paintFirstFrame(button, video.src, () => showBroken(element, row, video, video.src));
}

/** Puts the first frame of a video behind what an element shows, as soon as it is in view. */
export function paintFirstFrame(element, address, broken) {
  let near = false;
  whenSeen(element, async (seen) => {
    near = seen;
    if (!seen) return;
    try {
      const picture = await firstFrame(address, () => near && element.isConnected);
      if (picture === null || element.querySelector("img")) return;
      forget(element);
      const image = h("img", { class: "frame", alt: "" });
      image.src = picture;
      element.prepend(image);
    } catch {
      forget(element);
      if (element.isConnected) broken();
    }
  });
}

function play(element, row, video, address) {
  const screen = h("video", { controls: true, playsinline: true, preload: "metadata", src: address, "aria-label": `Video of row ${nameOf(row)}` });
  screen.addEventListener("error", () => showBroken(element, row, video, address, true));
  fill(element, screen);
  screen.focus({ preventScroll: true });
  screen.play().catch(() => {}); // it is an error event, too, or the browser wants another click
}

function showUnsaved(element, row, video) {
  fill(element, h("p", {}, "Not saved"), fromKling(element, row, video) ?? h("p", { class: "muted" }, "Kling’s link is not known."));
}

async function showBroken(element, row, video, address, pressed = false) {
  const said = h("p", { role: pressed ? "alert" : null }, "The video cannot be loaded.");
  const again = h("button", { class: "button", type: "button" }, "Try again");
  again.addEventListener("click", () => play(element, row, video, address));
  fill(element, said, again, address === video.kling ? null : fromKling(element, row, video));
  try {
    // A player does not tell what the server said.
    const response = await fetch(address, { headers: { Range: "bytes=0-0" }, credentials: "same-origin" });
    if (!response.ok) say(said, await detailOf(response));
  } catch {
    // Kling's link leads to another host, whose answers only a player may read.
  }
}

function fromKling(element, row, video) {
  if (!video.kling) return null;
  const button = h("button", { class: "button", type: "button", "aria-label": `Play the video of row ${nameOf(row)} from Kling` }, icon("play"), "Play from Kling");
  button.addEventListener("click", () => play(element, row, video, video.kling));
  return button;
}

/** "Open at Kling, until 26 Dec 2026": where a video is as long as Kling keeps it. */
export function klingLink(video, row) {
  if (!video.kling) return null;
  const until = dayOf(video.expires_at);
  const lives = until ? (isPast(video.expires_at) ? `ended on ${until}` : `works until ${until}`) : "";
  const label = `Open the video of row ${nameOf(row)} at Kling${lives ? ` (${lives})` : ""}`;
  return newTabLink(video.kling, { class: "quiet", data: { name: "kling" }, "aria-label": label }, icon("leave"), "Kling’s link", lives ? h("span", { class: "muted" }, ` ${lives}`) : null);
}

/** Whether something plays in an element, so that it should not be touched. */
export const isPlaying = (element) => [...element.querySelectorAll("video")].some((video) => !video.paused && !video.ended);
