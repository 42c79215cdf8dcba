// Which rows are shown, in which order and groups. Pure: from rows to rows.

import { FAILURES, ORDER, isFailure } from "./states.js";

export const SORTS = {
  failures: "Failures first",
  manifest: "Order of the manifest",
  row: "Row id",
  scene: "Scene",
  units: "Units, most first",
  updated: "Last changed first",
};

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const texts = (key) => (a, b) => collator.compare(a[key] ?? "", b[key] ?? "");

const COMPARE = {
  row: texts("row_id"),
  scene: texts("effect_scene"),
  units: (a, b) => Number(b.units ?? -1) - Number(a.units ?? -1),
  updated: (a, b) => (b.updated_at ?? b.created_at ?? "").localeCompare(a.updated_at ?? a.created_at ?? ""),
};

const haystacks = new WeakMap();

function haystack(row) {
  if (!haystacks.has(row)) {
    const names = [...row.images, ...row.videos].map((file) => file.name);
    const parts = [row.row_id, row.effect_scene, row.error, row.message, row.kling_task_id, row.external_task_id, row.task_id];
    const all = [...parts, ...names, ...Object.values(row.columns ?? {})];
    haystacks.set(row, all.filter((part) => part !== null && part !== undefined).join("\n").toLowerCase());
  }
  return haystacks.get(row);
}

/** The rows that pass state, scene and search: those with the whole text, or where there are none, with each word of it. */
export function filtered(rows, { state, scene, search }) {
  const text = search.toLowerCase().trim();
  const chosen = rows.filter((row) => (!state || row.state === state) && (!scene || row.effect_scene === scene));
  const whole = chosen.filter((row) => haystack(row).includes(text));
  if (whole.length) return whole;
  const words = text.split(/\s+/);
  return chosen.filter((row) => words.every((word) => haystack(row).includes(word)));
}

/**
 * `{groups: [{key, state, reason, rows}], singles, rows}`. Where failures come first: those of one reason as a group, the
 * largest first; those that are alone with theirs; then the other rows. In any other order all are in `rows`.
 */
export function arranged(rows, filters) {
  const chosen = filtered(rows, filters);
  if (filters.sort !== "failures") {
    const compare = COMPARE[filters.sort];
    return { groups: [], singles: [], rows: compare ? [...chosen].sort(compare) : chosen };
  }
  const groups = groupsOf(chosen.filter(isFailure));
  return {
    groups: groups.filter((group) => group.rows.length > 1),
    singles: groups.filter((group) => group.rows.length === 1).flatMap((group) => group.rows),
    rows: chosen.filter((row) => !isFailure(row)),
  };
}

function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = `${row.state} ${reasonOf(row)}`;
    if (!groups.has(key)) groups.set(key, { key, state: row.state, rows: [] });
    groups.get(key).rows.push(row);
  }
  for (const group of groups.values()) {
    const first = textOf(group.rows[0]);
    group.reason = group.rows.every((row) => textOf(row) === first) ? first : reasonOf(group.rows[0]);
  }
  return [...groups.values()].sort((a, b) => b.rows.length - a.rows.length || FAILURES.indexOf(a.state) - FAILURES.indexOf(b.state));
}

/** What a failed row says. */
export const textOf = (row) => row.error || row.message || "No reason is known.";

/** The same without what is the row's own (its line, ids, names of files): rows that failed for one reason have one such text. */
export function reasonOf(row) {
  const names = row.images.flatMap(({ name }) => (name ? [name, name.split("/").pop()] : []));
  let text = textOf(row).replace(/^line \d+, (id '[^']*'|id "[^"]*"|row \d+): /, "");
  for (const value of [row.kling_task_id, row.external_task_id, row.row_id, ...names].filter((value) => value?.length > 2)) {
    const literal = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    text = text.replace(new RegExp(`(?<![\\p{L}\\p{N}_-])${literal}(?![\\p{L}\\p{N}_-])`, "gu"), "…");
  }
  return text.replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, "…").replace(/\d{6,}/g, "…");
}

/** The scenes of the rows, with their numbers, by name. */
export function scenesOf(rows) {
  const scenes = new Map();
  for (const { effect_scene: scene } of rows) if (scene) scenes.set(scene, (scenes.get(scene) ?? 0) + 1);
  return [...scenes].sort((a, b) => collator.compare(a[0], b[0]));
}

/** How many rows there are of each state. */
export function countsOf(rows) {
  const counts = Object.fromEntries(ORDER.map((state) => [state, 0]));
  for (const row of rows) counts[row.state] = (counts[row.state] ?? 0) + 1;
  return counts;
}
