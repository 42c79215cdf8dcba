// Airflow's UI around this page: its time zone, and ways to its pages. The iframe's sandbox allows neither popups nor
// the navigation of the frame's parent, but both have one origin: a link of the parent's own document does it.

import { h, webAddress } from "./dom.js";

function frame() {
  try {
    return parent !== window && parent.document ? parent : null;
  } catch {
    return null;
  }
}

/** The time zone that the user chose in Airflow, or that of the browser. */
export function timeZone() {
  try {
    const zone = localStorage.getItem("timezone")?.replaceAll('"', "");
    new Intl.DateTimeFormat("en", { timeZone: zone || undefined });
    return zone || undefined;
  } catch {
    return undefined;
  }
}

function go(event, newTab) {
  const outer = frame();
  if (outer === null) return; // outside of a frame, a link is a link
  event.preventDefault();
  const link = outer.document.createElement("a");
  link.href = event.currentTarget.href;
  if (newTab) Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
  outer.document.body.append(link); // Firefox follows only links that are in the page
  link.click();
  link.remove();
}

/** A link to a page of Airflow's UI, which opens around this page; with Ctrl, ⌘ or the middle button in a new tab. */
export function airflowLink(href, properties, ...children) {
  if (!href || webAddress(href) === null) return h("span", properties, ...children);
  const onclick = (event) => go(event, event.ctrlKey || event.metaKey || event.shiftKey);
  const onauxclick = (event) => event.button === 1 && go(event, true);
  return h("a", { ...properties, href, target: "_top", onclick, onauxclick }, ...children);
}

/** A link that opens a page in a new tab. */
export function newTabLink(href, properties, ...children) {
  const onclick = (event) => go(event, true);
  return h("a", { ...properties, href, target: "_blank", rel: "noopener noreferrer", onclick }, ...children);
}
