"use strict";
(() => {
  const EVERY = 2000, RELOAD = 10000;
  const box = document.getElementById("live"), tail = document.getElementById("log-tail");
  const opened = Date.now();
  let touched = 0;
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  function elapsed(seconds) {
    seconds = Math.max(0, Math.round(seconds));
    if (seconds < 60) return seconds + " s";
    const minutes = Math.floor(seconds / 60);
    return minutes < 60 ? `${minutes}:${String(seconds % 60).padStart(2, "0")}` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }
  function show(now) {
    const parts = [];
    if (now.phase) {
      const head = make("p");
      head.append(make("b", now.phase), ` of iteration ${now.working}`);
      if (now.since) head.append(make("span", ` for ${elapsed(Date.now() / 1000 - now.since)}`, "soft"));
      if (now.note) head.append(make("span", ` · ${now.note}`, "soft"));
      parts.push(head);
      for (const [label, done, total] of now.parts) {
        const row = make("p", undefined, "part"), bar = make("progress");
        bar.max = total; bar.value = done;
        row.append(bar, make("span", ` ${label ? label + ": " : ""}${done} of ${total} parts`, "soft"));
        parts.push(row);
      }
      for (const [what, site, id, state, reason] of now.jobs)
        parts.push(make("p", `${what}: ${site} job ${id || "–"} ${state.toLowerCase()}${reason ? ` (${reason})` : ""}`, "soft"));
      for (const warning of now.warnings) parts.push(make("p", warning, "bad"));
    }
    box.className = now.phase ? "box now-doing" : "";
    box.replaceChildren(...parts);
    tail.textContent = now.log.map(([at, level, where, text]) => `${at}  ${level === "info" ? "" : level + "  "}${where ? where + "  " : ""}${text}`).join("\n") || "nothing was logged";
    document.title = `${now.status === "running" ? "▸ " : now.trouble ? "! " : ""}${box.dataset.run} · ${now.status}`;
    // the page is made anew where there is more to see, but not under somebody's hands
    const news = String(now.iteration) !== box.dataset.iteration || now.status !== box.dataset.status;
    const ended = now.status !== box.dataset.status;
    if (news && (ended || Date.now() - opened > RELOAD) && Date.now() - touched > RELOAD) location.reload();
  }
  async function ask() {
    try {
      const answer = await fetch("../live/" + encodeURIComponent(box.dataset.run));
      if (answer.ok) show(await answer.json());
    } catch (error) {
      box.className = "box now-doing";
      box.replaceChildren(make("p", "qcsc-loop ui does not answer any more", "bad"));
    }
    document.documentElement.dataset.live = "yes";
    setTimeout(ask, EVERY);
  }
  for (const kind of ["pointerdown", "keydown", "wheel"]) addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  ask();
})();
