// Loads again and again while something may change: soon after a change, less often while nothing happens, not at all
// while the page is hidden.

const SHORTEST = 5_000;
const LONGEST = 30_000;

/**
 * `once(signal)` loads and shows; it returns "changed", "same" or "final", and throws where it fails. `failed(error)` returns
 * whether to try again. Returns the function that loads at once.
 */
export function poll(once, failed) {
  let timer = null;
  let running = null;
  let delay = SHORTEST;
  let over = false;

  async function turn() {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    try {
      const outcome = await once(mine.signal);
      if (mine !== running) return;
      over = outcome === "final";
      delay = outcome === "changed" ? SHORTEST : Math.min(LONGEST, delay * 1.4);
    } catch (error) {
      if (mine !== running || error.name === "AbortError") return;
      over = !failed(error);
      delay = Math.min(LONGEST, delay * 2);
    }
    running = null;
    if (!over && !document.hidden) timer = setTimeout(turn, delay);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden && running === null) turn(); // also a run that was final: it may have been cleared since
  });
  turn();
  return turn;
}
