// Elements. Every text from outside becomes a text node, every link is checked: nothing is ever parsed as HTML.

/** An element. Properties: `class`, `on…` listeners, `data`, `href` and `src` (checked), and attributes; null is left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "href" || name === "src") {
    const url = webAddress(value);
    if (url !== null) element.setAttribute(name, url);
  } else element.setAttribute(name, value === true ? "" : value);
}

/** The address, where it is one of the web, as seen from this page; null for `javascript:` and all else. */
export function webAddress(value) {
  try {
    return ["http:", "https:"].includes(new URL(value, document.baseURI).protocol) ? value : null;
  } catch {
    return null;
  }
}

/** Replaces a text only where it differs, so that a selection of the user stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Replaces the children of an element by those given. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** The same, where the children are not those already: what is shown is not touched. */
export function keep(element, children) {
  if (children.length !== element.children.length || children.some((child, index) => element.children[index] !== child)) fill(element, children);
}

/** Brings a child to its place. A playing video goes on and the focus stays, where the browser can do that. */
export function place(parent, child, before) {
  if (child.parentNode === parent && child.nextSibling === before) return;
  if (child.isConnected && typeof parent.moveBefore === "function") parent.moveBefore(child, before);
  else parent.insertBefore(child, before);
}

const SHAPES = {
  play: "M8 5.5v13l11-6.5z",
  copy: "M9 9h11v11H9z M5 15H4V4h11v1",
  check: "M4.5 12.5l5 5 10-11",
  download: "M12 4v11 M7 10.5l5 5 5-5 M5 20h14",
  leave: "M14 4h6v6 M20 4l-9 9 M18 14v6H4V6h6",
  larger: "M4 10V4h6 M20 14v6h-6 M4 4l7 7 M20 20l-7-7",
  back: "M15 5l-7 7 7 7",
  forth: "M9 5l7 7-7 7",
  close: "M6 6l12 12 M18 6L6 18",
};

/** A picture of 1 em for an element that has words or a label of its own. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}
