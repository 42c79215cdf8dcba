// What comes into view, and goes out of it.

const callbacks = new WeakMap();
const observer = new IntersectionObserver(
  (entries) => entries.forEach((entry) => callbacks.get(entry.target)?.(entry.isIntersecting)),
  { rootMargin: "240px" },
);

/** Calls back with true as soon as the element is near the window, and with false when it leaves. */
export function whenSeen(element, callback) {
  callbacks.set(element, callback);
  observer.observe(element);
}

export function forget(element) {
  callbacks.delete(element);
  observer.unobserve(element);
}
