// Requests to the plugin's server half. Its addresses are relative to the page's own, so that a path prefix is kept.

/** An answer that is no data: `kind` says which of the page's sentences fits, `detail` is the server's own. */
export class Refused extends Error {
  constructor(kind, detail) {
    super(detail);
    this.kind = kind;
    this.detail = detail;
  }
}

const KINDS = { 401: "login", 403: "forbidden", 404: "missing" };

/** The JSON of an address. Refused for any other answer, and where the server cannot be reached. */
export async function load(address, { signal } = {}) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", headers: { Accept: "application/json" }, cache: "no-store", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("network", "");
  }
  if (!response.ok) throw new Refused(KINDS[response.status] ?? "server", await detailOf(response));
  try {
    return await response.json();
  } catch {
    // A login page in the place of data: a proxy before Airflow asks for the login.
    throw new Refused(response.redirected ? "login" : "server", "The answer is no JSON.");
  }
}

/** The sentence of an answer that is an error. */
export async function detailOf(response) {
  try {
    const { detail } = await response.json();
    return typeof detail === "string" ? detail : `HTTP ${response.status}`;
  } catch {
    return `HTTP ${response.status}`;
  }
}
