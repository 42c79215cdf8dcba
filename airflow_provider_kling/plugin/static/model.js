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
    const parts = [row.row_id, row.effect_scene, kindOf(row), row.error, row.message, row.kling_task_id, row.external_task_id, row.task_id];
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
 * `{groups: [{key, state, kind, reason, rows}], singles, rows}`. Where failures come first: those of one reason as a group, the
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
    const kind = kindOf(group.rows[0]);
    group.kind = group.rows.every((row) => kindOf(row) === kind) ? kind : null;
  }
  return [...groups.values()].sort((a, b) => b.rows.length - a.rows.length || FAILURES.indexOf(a.state) - FAILURES.indexOf(b.state));
}

/** What a failed row says. */
export const textOf = (row) => row.error || row.message || "No reason is known.";

/** The same without what is the row's own: the server says which failures have one reason. */
const reasonOf = (row) => row.reason || textOf(row);

/** What the error of a failed row is about, in one word: "moderation". */
export const kindOf = (row) => (isFailure(row) && row.error_kind && row.error_kind !== "unknown" ? row.error_kind : null);

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
