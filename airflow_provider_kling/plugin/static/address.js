// The parameters of the page's address. Airflow 3.1 writes a run id into it as it is, with a `+` that is one: so a `+` is
// never a blank here, neither where the address is read nor where it is written.

/** All parameters, decoded. */
export function parameters() {
  const found = new Map();
  for (const pair of location.search.slice(1).split("&").filter(Boolean)) {
    const [name, ...value] = pair.split("=");
    found.set(decoded(name), decoded(value.join("=")));
  }
  return found;
}

export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that encodes nothing
  }
}

/** A query of what there is; empty values are left out. */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}

/** Sets parameters of the page's address, and removes those that are empty. The page stays. */
export function setParameters(values) {
  const search = query({ ...Object.fromEntries(parameters()), ...values });
  history.replaceState(history.state, "", `${location.pathname}${search ? `?${search}` : ""}${location.hash}`);
}
