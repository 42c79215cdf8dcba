// What the page says where it has no rows to show.

import { airflowLink } from "./airflow.js";
import { h } from "./dom.js";

const root = new URL("../", document.baseURI).href; // Airflow itself, also under a path prefix

/** A sentence in the place of the rows, with what to do about it. */
export function message(title, text, ...actions) {
  return h("section", { class: "message" }, h("h2", {}, title), h("p", {}, text), actions.length ? h("p", { class: "message-actions" }, ...actions) : null);
}

/** The sentence for an answer that is no data. `again` loads once more. */
export function refusal({ kind, detail }, again) {
  const retry = h("button", { class: "button", type: "button", onclick: again }, "Try again");
  const said = detail && !/^HTTP \d+$/.test(detail) ? detail : "";
  switch (kind) {
    case "login":
      return message("You are not logged in", "Your login to Airflow has ended. Log in again, then come back to this page.", airflowLink(root, { class: "button" }, "Log in"), retry);
    case "forbidden":
      return message("You may not see these videos", "They belong to a DAG whose XComs you have no right to read. An administrator of Airflow can give you this right.", retry);
    case "missing":
      return message("There is no such run", said || "The DAG or the run was deleted, or its name is another one.", retry);
    case "network":
      return message("The server cannot be reached", "Airflow's API server does not answer. It may restart at this moment, or the connection is lost.", retry);
    default:
      return message("The server has an error", said || detail || "Airflow's API server could not answer. Its log says why.", retry);
  }
}

/** In one line, for a page that has rows already. */
export function shortRefusal({ kind, detail }) {
  const sentences = {
    login: "Your login to Airflow has ended: log in again, then reload this page.",
    missing: "The run is no longer there.",
    network: "The server cannot be reached. The page tries again.",
  };
  return sentences[kind] ?? `The server has an error${detail ? `: ${detail}` : ""}. The page tries again.`;
}

/** Grey shapes in the place of rows, until the first answer is there. */
export function skeleton(number) {
  const shape = () => h("li", { class: "card skeleton" }, h("div", { class: "pair" }, h("div", { class: "before" }), h("div", { class: "after" })), h("div", { class: "card-body" }, h("span"), h("span")));
  return h("section", { class: "loading", "aria-label": "Loading" }, h("ul", { class: "cards", "aria-hidden": "true" }, ...Array.from({ length: number }, shape)));
}
