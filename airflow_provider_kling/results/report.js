
"use strict";
// Adds to a page that can be read without it: search, order, groups that open, pages, and a picture of each video.
document.documentElement.classList.add("js");
addEventListener("DOMContentLoaded", () => {
  const PAGE = 100; // rows on the screen at once
  const FEW = 3; // rows of a group of failures that is open from the start
  const FAILURES = ["failed", "error", "invalid", "capped"];
  const STATES = [...FAILURES, "running", "waiting", "succeed"];
  const get = (id) => document.getElementById(id);
  const text = (row, name) => row.querySelector(`td.${name}`).textContent.trim();
  const [table, search, scene, sort] = ["rows", "search", "scene", "sort"].map(get);
  const groups = [...table.tBodies].map(groupOf);
  const rows = groups.flatMap((group) => group.rows);
  const flat = table.appendChild(document.createElement("tbody"));
  let page = 0, pages = 1, descending = false, shown = [];

  function groupOf(body) {
    const [head, ...rows] = body.rows;
    const group = { body, head, rows, open: true, touched: false };
    rows.forEach((row) => { row.group = group; });
    group.button = Object.assign(document.createElement("button"), { type: "button" });
    const what = head.querySelector(".what");
    what.replaceWith(group.button);
    group.button.append(what);
    group.button.addEventListener("click", () => { group.open = !group.open; group.touched = true; update(); });
    const isOpen = body.className ? !FAILURES.includes(body.className) : body === table.tBodies[0]; // of runs, the latest one
    group.open = isOpen || rows.length <= FEW;
    return group;
  }

  function stateOf(row) {
    return STATES.find((state) => row.classList.contains(state));
  }

  // --- Which rows, and in which order

  function matches() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = document.querySelector("input[name=only]:checked").value;
    return (row) => (!state || row.classList.contains(state)) && (!scene.value || text(row, "scene") === scene.value)
      && words.every((word) => (row.words ??= row.textContent.toLowerCase()).includes(word));
  }

  const collator = new Intl.Collator("en", { numeric: true });
  const KEYS = {
    number: (row) => Number(row.dataset.number),
    state: (row) => STATES.indexOf(stateOf(row)),
    units: (row) => Number(text(row, "units")) || 0,
    when: (row) => row.querySelector("td.when time")?.dateTime ?? "",
    id: (row) => text(row, "id"),
    scene: (row) => text(row, "scene"),
  };

  function sorted() {
    const keyed = rows.map((row) => [KEYS[sort.value](row), sort.value === "state" ? text(row, "note") : "", row]);
    const sign = descending ? -1 : 1;
    const compare = (one, other) => (typeof one === "number" ? one - other : collator.compare(one, other));
    keyed.sort((a, b) => sign * compare(a[0], b[0]) || collator.compare(a[1], b[1]) || a[2].dataset.number - b[2].dataset.number);
    return keyed.map(([, , row]) => row);
  }

  function arrange() {
    if (sort.value) flat.append(...sorted());
    else groups.forEach((group) => group.body.append(...group.rows));
    for (const head of table.tHead.querySelectorAll("[data-sort]")) {
      if (head.dataset.sort !== sort.value) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    }
  }

  // --- What is on the screen

  function update(row = null) {
    const match = matches();
    const searching = Boolean(search.value || scene.value || get("only-all").checked === false);
    const items = [];
    let found = 0;
    for (const group of sort.value ? [{ rows: [...flat.rows], open: true }] : groups) {
      const good = group.rows.filter((each) => each.classList.toggle("out", !match(each)) === false);
      found += good.length;
      const open = group.touched ? group.open : group.open || (searching && good.length > 0);
      if (group.head) {
        group.head.classList.toggle("out", good.length === 0 && (searching || group.rows.length > 0));
        group.button.setAttribute("aria-expanded", open);
        if (!open && !group.head.classList.contains("out")) items.push(group.head);
      }
      if (open) items.push(...good);
    }
    pages = Math.max(1, Math.ceil(items.length / PAGE));
    page = row ? Math.max(0, Math.floor(items.indexOf(row) / PAGE)) : Math.min(page, pages - 1);
    show(items.slice(page * PAGE, (page + 1) * PAGE), found);
  }

  function show(items, found) {
    const now = new Set(items);
    for (const item of items) if (item.group && !sort.value) now.add(item.group.head);
    for (const item of shown) if (!now.has(item)) leave(item);
    for (const item of now) item.classList.add("on");
    shown = [...now];
    get("count").textContent = `${found.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    get("empty").hidden = found > 0 || rows.length === 0;
    table.hidden = found === 0 && rows.length > 0;
    get("pages").hidden = pages === 1;
    get("page").textContent = `Page ${page + 1} of ${pages}`;
    get("earlier").disabled = page === 0;
    get("later").disabled = page === pages - 1;
    for (const item of items) for (const poster of item.querySelectorAll(".poster:empty:not(.missing)")) observer.observe(poster);
  }

  function leave(item) {
    item.classList.remove("on");
    item.querySelectorAll("td.after video").forEach((video) => video.pause());
    item.querySelectorAll(".poster canvas").forEach((canvas) => canvas.remove());
  }

  function turn(by) {
    page += by;
    update();
    table.scrollIntoView({ block: "start", behavior: "instant" });
  }

  // --- One row: its anchor opens it

  function reveal() {
    let row = null;
    try { row = get(decodeURIComponent(location.hash.slice(1))); } catch { /* a hash that is no name */ }
    if (!row?.classList.contains("row")) return;
    if (!matches()(row)) {
      search.value = scene.value = "";
      get("only-all").checked = true;
    }
    Object.assign(row.group, { open: true, touched: true });
    update(row);
    row.classList.add("open");
    row.scrollIntoView({ block: "center", behavior: "instant" });
  }

  // --- Pictures of videos: one frame each, drawn when the row comes into sight; a player holds a video only while it plays

  const waiting = [];
  let loading = 0;
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !waiting.includes(target)) waiting.push(target);
      else if (!isIntersecting && waiting.includes(target)) waiting.splice(waiting.indexOf(target), 1);
    }
    load();
  }, { rootMargin: "2000px" });

  function load() {
    while (loading < 4 && waiting.length) draw(waiting.shift());
  }

  function draw(poster) {
    loading += 1;
    observer.unobserve(poster);
    const video = Object.assign(document.createElement("video"), { muted: true, preload: "metadata", playsInline: true });
    const timer = setTimeout(end, 8000);
    function end() {
      clearTimeout(timer);
      video.onloadedmetadata = video.onseeked = video.onerror = null;
      if (video.readyState >= 2 && video.videoWidth) paint(poster, video);
      else poster.classList.add("missing");
      video.removeAttribute("src");
      video.load();
      loading -= 1;
      load();
    }
    // Effects begin with the input image itself, so a later frame tells more.
    video.onloadedmetadata = () => { video.currentTime = (Number.isFinite(video.duration) ? video.duration : 0) * 0.6; };
    video.onseeked = video.onerror = end;
    video.src = poster.href;
  }

  function paint(poster, video) {
    const scale = Math.min(1, 480 / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    poster.replaceChildren(canvas);
  }

  function play(poster) {
    document.querySelectorAll("td.after video").forEach((other) => other.pause());
    const video = Object.assign(document.createElement("video"), { controls: true, playsInline: true, src: poster.href });
    video.setAttribute("aria-label", poster.getAttribute("aria-label"));
    poster.replaceWith(video);
    video.addEventListener("error", () => { poster.classList.add("missing"); video.replaceWith(poster); });
    video.focus();
    video.play().catch(() => {});
  }

  // --- What the reader does

  table.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const poster = event.target.closest(".poster");
    const link = event.target.closest("td.id a");
    const row = event.target.closest(".row");
    if (poster) {
      event.preventDefault();
      row.classList.add("open");
      play(poster);
    } else if (link && location.hash === link.hash) {
      event.preventDefault();
      row.classList.toggle("open");
    } else if (row && get("view-table").checked && !event.target.closest("a, button, video, dd") && !String(getSelection())) {
      row.classList.toggle("open");
    }
  });
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement) event.target.closest(".frame")?.classList.add("missing");
  }, true);
  for (const head of table.tHead.querySelectorAll("[data-sort]")) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      descending = sort.value === head.dataset.sort && !descending;
      sort.value = head.dataset.sort;
      reorder();
    });
  }
  const again = () => { page = 0; groups.forEach((group) => { group.touched = false; }); update(); };
  const reorder = () => { arrange(); page = 0; update(); };
  search.addEventListener("input", again);
  scene.addEventListener("change", again);
  sort.addEventListener("change", () => { descending = false; reorder(); });
  document.querySelectorAll("input[name=only]").forEach((input) => input.addEventListener("change", again));
  get("earlier").addEventListener("click", () => turn(-1));
  get("later").addEventListener("click", () => turn(1));
  addEventListener("hashchange", reveal);

  const names = [...new Set(rows.map((row) => text(row, "scene")))].filter(Boolean).sort(collator.compare);
  scene.append(...names.map((name) => new Option(name)));
  scene.hidden = names.length < 2;
  get("tools").hidden = rows.length < 2;
  update();
  document.documentElement.classList.add("ready");
  reveal();
  performance.mark("ready");
});
