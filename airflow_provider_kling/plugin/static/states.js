// What may become of a row: words and order. The colours stand in base.css, by the same names.

export const STATES = {
  succeed: { word: "Succeeded", means: "Kling made the video" },
  failed: { word: "Failed", means: "Kling could not make the video" },
  error: { word: "Error", means: "There is no result; the error says why" },
  invalid: { word: "Invalid", means: "The row cannot be requested; nothing was sent to Kling" },
  capped: { word: "Capped", means: "Beyond a cap of the run or the account; nothing was sent to Kling" },
  running: { word: "Running", means: "Kling makes the video" },
  waiting: { word: "Waiting", means: "Not requested yet" },
};

export const ORDER = Object.keys(STATES);
export const FAILURES = ["failed", "error", "invalid", "capped"];
export const isFailure = (row) => FAILURES.includes(row.state);
export const wordOf = (state) => STATES[state]?.word ?? state;
export const meaningOf = (state) => STATES[state]?.means ?? "";
export const failuresIn = (counts) => FAILURES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);

/** "14 succeeded, 1 failed": only what there is. */
export function sentenceOf(counts) {
  const parts = ORDER.filter((state) => counts[state]).map((state) => `${counts[state]} ${wordOf(state).toLowerCase()}`);
  return parts.join(", ") || "no rows";
}
