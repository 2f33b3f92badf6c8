"use strict";
(() => {
  const AT_ONCE = 150, EVERY = 2000;
  const byId = (id) => document.getElementById(id);
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const rows = new Map(), drawn = new Map(), chosen = new Set();
  let version = 0, shown = AT_ONCE, sort = { by: "trouble", down: false }, status = "", whole = false, store = "";

  // words

  const grouped = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  function number(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value;
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return grouped(value);
    const size = Math.abs(value);
    return size < 1e-3 || size >= 1e9 ? value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(9)));
  }
  function span(seconds) {
    if (seconds < 100) return Math.round(seconds) + " s";
    if (seconds < 5400) return Math.round(seconds / 60) + " min";
    if (seconds < 129600) return (seconds / 3600).toFixed(1) + " h";
    return (seconds / 86400).toFixed(1) + " d";
  }
  function cost(row) {
    const words = [], spent = row.spent;
    if (spent.qpu_seconds) words.push(number(Number(spent.qpu_seconds.toFixed(1))) + " QPU s");
    if (spent.node_hours) words.push(Number(spent.node_hours.toPrecision(3)) + " node h");
    if (spent.shots) words.push(grouped(spent.shots) + " shots");
    return words;
  }
  const value = (row) => typeof row.value === "number" ? row.value : null;

  // which, and in which order

  const keys = {
    trouble: (row) => row.rank, run: (row) => row.run, status: (row) => row.rank, iteration: (row) => row.iteration ?? -1,
    value, cost: (row) => (row.spent.qpu_seconds ?? 0) * 1e12 + (row.spent.node_hours ?? 0) * 1e9 + (row.spent.shots ?? 0),
    seen: (row) => -(row.seen ?? 0),
  };
  function compared(a, b) {
    const key = keys[sort.by], x = key(a), y = key(b);
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    const order = x < y ? -1 : x > y ? 1 : 0;
    return (sort.down ? -order : order) || (b.seen ?? 0) - (a.seen ?? 0) || (a.run < b.run ? -1 : 1);
  }
  function wanted(row, words) {
    if (status && row.status !== status) return false;
    return words.every((word) => {
      const [name, ...rest] = word.split(":"), text = rest.join(":");
      if (rest.length && name in { run: 1, algorithm: 1, status: 1, note: 1 }) return String(row[name]).toLowerCase().includes(text);
      return [row.run, row.algorithm, row.status, row.note].some((each) => each.toLowerCase().includes(word));
    });
  }
  function selected() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    return [...rows.values()].filter((row) => wanted(row, words)).sort(compared);
  }

  // drawing

  const kinds = { failed: "failed", damaged: "failed", running: "running", converged: "good", plateau: "good" };
  const pill = (row) => make("span", row.status, "pill " + (kinds[row.status] ?? (row.trouble ? "trouble" : "")));
  function curve(points) {
    const known = points.filter((v) => v !== null);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 120 30"); svg.setAttribute("class", "spark"); svg.setAttribute("aria-hidden", "true");
    if (known.length < 2) return svg;
    const sorted = [...known].sort((a, b) => a - b), cut = Math.floor(sorted.length / 20);
    let low = sorted[cut], high = sorted[sorted.length - 1 - cut];
    low = Math.min(low, known.at(-1)); high = Math.max(high, known.at(-1));
    const y = (v) => 27 - 24 * (high > low ? Math.min(1, Math.max(0, (v - low) / (high - low))) : 0.5);
    let path = "", gap = true;
    points.forEach((v, k) => {
      if (v === null) { gap = true; return; }
      path += `${gap ? "M" : "L"}${(2 + 116 * k / (points.length - 1)).toFixed(1)} ${y(v).toFixed(1)}`;
      gap = false;
    });
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  }
  function cell(kind, ...parts) {
    const found = make("td", undefined, kind);
    parts.forEach((part) => { if (part) found.append(part); });
    return found;
  }
  const small = (text, kind) => text ? make("div", text, "small " + (kind ?? "")) : null;
  function line(row) {
    const found = make("tr"), box = make("input");
    found.dataset.run = row.run;
    box.type = "checkbox"; box.checked = chosen.has(row.run); box.setAttribute("aria-label", "choose " + row.run);
    box.addEventListener("change", () => { chosen[box.checked ? "add" : "delete"](row.run); sayChosen(); });
    const link = make("a", row.run, "run");
    link.href = "run/" + encodeURIComponent(row.run);
    const iterations = make("span", row.iteration === null ? "" : grouped(row.iteration));
    if (row.limit !== null && row.iteration !== null) iterations.append(make("span", " / " + grouped(row.limit), "soft"));
    const words = cost(row), next = row.next ? make("code", row.next) : null;
    const copy = row.next ? make("button", "copy", "copy") : null;
    copy?.addEventListener("click", () => {
      navigator.clipboard?.writeText(row.next).then(() => { copy.textContent = "copied"; setTimeout(() => { copy.textContent = "copy"; }, 1500); });
    });
    if (next) next.title = row.next;
    const last = make("span", "", "ago");
    last.dataset.seen = row.seen ?? "";
    found.append(
      cell("pick", box), cell("", link, small(row.algorithm)), cell("words state", pill(row), small(row.note, row.trouble ? "bad" : "")),
      cell("", iterations), cell("", make("b", number(row.value)), small(row.headline)), cell("words", curve(row.curve)),
      cell("", make("span", words[0] ?? ""), small(words.slice(1).join(", "))), cell("", last), cell("words next", next, copy),
    );
    return found;
  }
  function draw() {
    const all = selected(), body = byId("runs").tBodies[0], some = all.slice(0, shown);
    const elements = some.map((row) => {
      let known = drawn.get(row.run);
      if (!known || known.row !== row) drawn.set(row.run, known = { row, element: line(row) });
      return known.element;
    });
    const before = [...body.children];
    if (before.length !== elements.length || before.some((each, k) => each !== elements[k])) body.replaceChildren(...elements);
    sayAges();
    const rest = byId("rest");
    rest.replaceChildren();
    if (all.length > shown) {
      const more = make("button", `show ${Math.min(AT_ONCE, all.length - shown)} more of ${grouped(all.length - shown)}`);
      more.type = "button";
      more.addEventListener("click", () => { shown += AT_ONCE; draw(); });
      rest.append(more);
    } else if (!all.length && whole) {
      rest.textContent = rows.size ? "no run is like that" : "no runs yet: qcsc-loop run bitcount";
    }
    sayCount(all.length);
  }
  function sayAges() {
    const now = Date.now() / 1000;
    for (const each of document.querySelectorAll(".ago"))
      each.textContent = each.dataset.seen ? span(Math.max(0, now - Number(each.dataset.seen))) + " ago" : "";
  }
  function sayCount(count) {
    const running = [...rows.values()].filter((row) => row.status === "running").length;
    const trouble = [...rows.values()].filter((row) => row.trouble).length;
    const words = [count === rows.size ? `${grouped(rows.size)} runs` : `${grouped(count)} of ${grouped(rows.size)} runs`];
    if (running) words.push(`${grouped(running)} running`);
    if (trouble) words.push(`${grouped(trouble)} want you`);
    if (!whole) words.push("reading the store…");
    byId("count").textContent = words.join(" · ");
    byId("count").title = store;
  }
  function sayChosen() {
    const button = byId("compare");
    button.disabled = chosen.size < 2;
    button.textContent = chosen.size > 1 ? `compare ${chosen.size}` : "compare";
  }
  function drawStatuses() {
    const counts = new Map();
    for (const row of [...rows.values()].sort((a, b) => a.rank - b.rank)) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    const box = byId("statuses"), text = JSON.stringify([[...counts], status]);
    if (box.dataset.drawn === text) return;
    box.dataset.drawn = text;
    box.replaceChildren(...[...counts].map(([name, count]) => {
      const chip = make("button", `${name} ${grouped(count)}`, "plain");
      chip.type = "button";
      chip.setAttribute("aria-pressed", String(status === name));
      chip.addEventListener("click", () => { status = status === name ? "" : name; shown = AT_ONCE; drawStatuses(); draw(); });
      return chip;
    }));
  }

  // news

  async function ask() {
    try {
      const answer = await fetch("runs.json?after=" + version);
      if (!answer.ok) throw new Error(answer.status);
      const news = await answer.json();
      if (news.version < version) rows.clear();  // another server by now
      ({ version, whole, store } = news);
      for (const row of news.rows) rows.set(row.run, row);
      for (const run of news.gone) { rows.delete(run); drawn.delete(run); chosen.delete(run); }
      document.body.classList.remove("lost");
      if (news.rows.length || news.gone.length || !document.documentElement.dataset.drawn) { drawStatuses(); draw(); }
      if (whole) document.documentElement.dataset.drawn = "yes";
    } catch (error) {
      document.body.classList.add("lost");
      byId("count").textContent = "qcsc-loop ui does not answer any more";
    }
    setTimeout(ask, whole ? EVERY : 300);
  }

  for (const head of document.querySelectorAll("th[data-by]")) {
    const button = make("button", head.textContent, "sort");
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const by = head.dataset.by;
      sort = sort.by !== by ? { by, down: by === "cost" || by === "iteration" } : sort.down === (by === "cost" || by === "iteration") ? { by, down: !sort.down } : { by: "trouble", down: false };
      for (const each of document.querySelectorAll("th[data-by]"))
        each.setAttribute("aria-sort", each.dataset.by !== sort.by ? "none" : sort.down ? "descending" : "ascending");
      draw();
    });
  }
  byId("filter").addEventListener("input", () => { shown = AT_ONCE; draw(); });
  byId("compare").addEventListener("click", () => {
    location.href = "compare?" + [...chosen].map((run) => "run=" + encodeURIComponent(run)).join("&");
  });
  setInterval(sayAges, 1000);
  ask();
})();
