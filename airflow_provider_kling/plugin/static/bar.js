// The states of many rows as one bar.

import { fill, h } from "./dom.js";
import { ORDER, sentenceOf } from "./states.js";

/** A bar whose parts are as long as there are rows of each state. */
export function bar(counts) {
  const element = h("div", { class: "bar", role: "img" });
  paint(element, counts);
  return element;
}

export function paint(element, counts) {
  const parts = ORDER.filter((state) => counts[state]).map((state) => {
    const part = h("span", { data: { state } });
    part.style.flexGrow = counts[state];
    return part;
  });
  element.setAttribute("aria-label", sentenceOf(counts));
  element.title = sentenceOf(counts);
  fill(element, parts);
}
