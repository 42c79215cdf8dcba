// Light or dark as Airflow's UI is, before the first paint. Airflow (next-themes) keeps the choice in localStorage under
// "theme" (light, dark or system), and shows it as a class of <html>. A page in its iframe can read both.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  function ofFrame() {
    try {
      if (parent === window) return null;
      const classes = parent.document.documentElement.classList;
      return classes.contains("dark") ? "dark" : classes.contains("light") ? "light" : null;
    } catch {
      return null; // framed by a page of another origin
    }
  }

  function chosen() {
    try {
      const theme = localStorage.getItem("theme");
      return theme === "dark" || theme === "light" ? theme : null;
    } catch {
      return null; // storage is switched off
    }
  }

  function follow() {
    const mode = ofFrame() ?? chosen() ?? (system.matches ? "dark" : "light");
    document.documentElement.classList.toggle("dark", mode === "dark");
  }

  follow();
  system.addEventListener("change", follow);
  addEventListener("storage", follow);
  try {
    if (parent !== window) {
      new MutationObserver(follow).observe(parent.document.documentElement, { attributeFilter: ["class"] });
    }
  } catch {
    // As above: then the choice in localStorage counts.
  }
})();
