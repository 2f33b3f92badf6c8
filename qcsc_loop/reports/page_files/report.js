"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const LEFT = 74, FONT = "12px system-ui, sans-serif", LARGEST = 1e150, LEAST = 1e-300;

  // words

  const grouped = (text) => text.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
  function number(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value === "NaN" ? "–" : value;
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return grouped(String(value));
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e9) return value.toExponential(5).replace(/\.?0+e/, "e").replace("e+", "e");
    return grouped(String(Number(value.toPrecision(9))));
  }
  function seconds(value) {
    if (value === null || value === undefined) return "–";
    if (value >= 5400) return (value / 3600).toFixed(1) + " h";
    if (value >= 100) return (value / 60).toFixed(1) + " min";
    if (value === 0) return "0 s";
    if (value < 0.1) return (value * 1000).toFixed(value < 0.01 ? 1 : 0) + " ms";
    return (value >= 10 ? value.toFixed(1) : value.toFixed(2)) + " s";
  }
  function decimals(step) { return Math.max(0, -Math.floor(Math.log10(step) + 1e-9)); }
  function tick(value, step) {
    if (Math.abs(value) < step * 1e-6) return "0";
    const digits = decimals(step);
    if (Math.abs(value) >= 1e7 || digits > 10 || (digits > 4 && Math.abs(value) < 1e-3))
      return value.toExponential(Math.min(10, Math.max(0, Math.floor(Math.log10(Math.abs(value))) + digits))).replace("e+", "e");
    return grouped(value.toFixed(digits));
  }
  const power = (value) => value >= 1e-3 && value < 1e5 ? String(Number(value.toPrecision(6))) : value.toExponential(0).replace("e+", "e");

  // numbers

  const finite = (value) => typeof value === "number" && Math.abs(value) < LARGEST ? value : null;
  const scalars = new Map();
  for (const [name, line] of Object.entries(data.scalars)) {
    let at = line.first ?? 0;
    const x = line.steps ? line.steps.map((step) => (at += step)) : line.values.map((_, k) => at + k);
    scalars.set(name, { x, y: line.values.map(finite), raw: line.values });
  }
  const kin = new Set([data.headline, ...data.kin]);  // on the headline's axis
  const names = [...scalars.keys()];

  function merged(lines) {
    const same = lines.every((line) => line.x.length === lines[0].x.length && line.x[0] === lines[0].x[0]);
    if (data.whole && same) return [lines[0].x, lines.map((line) => line.y)];
    const x = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    return [x, lines.map((line) => {
      const known = new Map(line.x.map((at, k) => [at, line.y[k]]));
      return x.map((at) => known.has(at) ? known.get(at) : undefined);  // undefined: the line goes on; null: a gap
    })];
  }
  function distanceEnd(name) {
    if (!kin.has(name)) return 0;
    if (data.goal) return data.goal.value;
    return data.best && data.best.value && Math.abs(data.best.value) < LARGEST ? data.best.value : 0;
  }
  function away(line, end) {
    return { x: line.x, y: line.y.map((v) => {
      if (v === null) return null;
      const size = Math.abs(v - end);
      return size > LEAST && size < LARGEST ? size : null;
    }) };
  }
  function windowOf(values, references, log) {
    const scale = log ? Math.log10 : (v) => v;
    const sorted = values.map(scale).sort((a, b) => a - b);
    if (!sorted.length) return log ? [0.1, 10] : [0, 1];
    let low = sorted[0], high = sorted[sorted.length - 1];
    const newest = scale(values[values.length - 1]);
    if (sorted.length >= 8) {
      const cut = Math.floor(sorted.length / 20);
      const below = sorted[cut], above = sorted[sorted.length - 1 - cut], span = above - below;
      if (span > 0 && high - low > 4 * span) {
        low = Math.max(low, below - span); high = Math.min(high, above + span);
      }
    }
    low = Math.min(low, newest); high = Math.max(high, newest);
    const span = high - low;
    const near = references.filter((v) => v >= low - 3 * span && v <= high + 3 * span);
    low = Math.min(low, ...near); high = Math.max(high, ...near);
    const least = log ? 0 : 1e-6 * Math.max(Math.abs(low), Math.abs(high)); // what its labels can tell apart
    if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
    const room = (high - low) * 0.06 || (log ? 0.5 : Math.abs(low) * 1e-3 || 1);
    return log ? [10 ** (low - room), 10 ** (high + room)] : [low - room, high + room];
  }

  // the two charts

  const charts = {};
  const first = names.length ? Math.min(...names.map((n) => scalars.get(n).x[0] ?? 0)) : 0;
  const last = names.length ? Math.max(...names.map((n) => scalars.get(n).x.at(-1) ?? 1)) : 1;
  const half = Math.max(0.5, data.times.every / 2);
  const whole = [first - half, last + half];
  const shown = new Set(names.filter((name) => kin.has(name)));
  if (!shown.size && names.length) shown.add(names[0]);
  const longest = Math.max(0, ...Object.keys(data.references).map((name) => Math.min(14, name.length) + 2));
  const SIDE = Math.min(innerWidth < 560 ? 70 : 125, 14 + 7 * longest);  // of both, so that they are in line
  let log = false;

  const cursor = () => ({
    drag: { x: true, y: false, dist: 4 }, points: { size: 7 }, y: false,
    sync: { key: "iterations", scales: ["x", null], setSeries: false },
  });
  const axis = (more) => Object.assign({
    stroke: colour("--soft"), font: FONT, grid: { stroke: colour("--grid"), width: 1 },
    ticks: { stroke: colour("--grid"), width: 1, size: 5 },
  }, more);
  const across = () => axis({
    incrs: [1, 2, 5].flatMap((digit) => [...Array(8).keys()].map((p) => digit * 10 ** p)).sort((a, b) => a - b),
    values: (u, at) => at.map((v) => Number.isInteger(v) && v >= first && v <= last ? grouped(String(v)) : ""), size: 32,
  });
  const scaleX = () => ({ time: false, range: (u, low, high) => {
    if (low === null || low === undefined) return whole;
    return low <= u.data[0][0] && high >= u.data[0].at(-1) ? whole : [low, high];
  } });
  const width = (id) => Math.max(200, byId(id).clientWidth);
  const height = () => window.innerWidth < 560 ? 270 : 350;

  function references(u, right) {
    if (log || !shown.has(data.headline)) return;
    const { ctx, bbox } = u, ratio = devicePixelRatio, scale = u.scales.y;
    if (!scale || scale.min === null) return;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--good");
    ctx.font = 12 * ratio + "px system-ui, sans-serif";
    ctx.textBaseline = "middle"; ctx.textAlign = "left"; ctx.lineWidth = ratio; ctx.setLineDash([6 * ratio, 5 * ratio]);
    const wanted = Object.entries(data.references).map(([name, value]) => {
      const inside = value >= scale.min && value <= scale.max;
      const y = u.valToPos(Math.min(Math.max(value, scale.min), scale.max), "y", true);
      if (inside) { ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke(); }
      const short = name.length > 14 ? name.slice(0, 13) + "…" : name;
      return { y, text: inside ? short : (value > scale.max ? "↑ " : "↓ ") + short };
    }).sort((a, b) => a.y - b.y);
    const least = 14 * ratio;
    wanted.forEach((label, k) => { if (k) label.y = Math.max(label.y, wanted[k - 1].y + least); });
    let room = bbox.top + bbox.height;
    for (const label of wanted.reverse()) { label.y = Math.min(label.y, room); room = label.y - least; }
    const x = right ? bbox.left + bbox.width + 6 * ratio : bbox.left + 6 * ratio;
    if (!right) ctx.textBaseline = "bottom";  // another axis is there: over their lines
    for (const label of wanted) ctx.fillText(label.text, x, label.y);
    ctx.restore();
  }
  function resumes(u, named) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    const marks = data.forked === null ? data.resumed : [...data.resumed, data.forked];
    const seen = marks.filter((at) => at >= u.scales.x.min && at <= u.scales.x.max);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--soft"); ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]); ctx.globalAlpha = seen.length > 40 ? 0.25 : 0.8;
    for (const at of seen.slice(-400)) {
      const x = u.valToPos(at - 0.5, "x", true);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    }
    if (named && seen.length && seen.length <= 6) {
      ctx.font = 11 * ratio + "px system-ui, sans-serif"; ctx.textBaseline = "top";
      for (const at of seen) {
        const x = u.valToPos(at - 0.5, "x", true), end = x > bbox.left + bbox.width - 60 * ratio;
        ctx.textAlign = end ? "right" : "left";
        const fork = at === data.forked;
        ctx.fillText(fork ? "forked" : "resumed", x + (end ? -5 : 5) * ratio, bbox.top + (fork ? 18 : 4) * ratio);
      }
    }
    ctx.restore();
  }
  function band(u) {
    const mean = scalars.get(data.headline), error = scalars.get(data.error);
    if (log || !mean || !error || !shown.has(data.headline)) return;
    const spread = new Map(error.x.map((at, k) => [at, error.y[k]]));
    const points = [];
    mean.x.forEach((at, k) => {
      const e = spread.get(at);
      if (mean.y[k] !== null && e) points.push([at, mean.y[k], Math.abs(e)]);
    });
    if (points.length < 2) return;
    const { ctx, bbox } = u;
    const place = (v) => Math.min(Math.max(u.valToPos(v, "y", true), bbox.top - bbox.height), bbox.top + 2 * bbox.height);
    ctx.save();
    ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
    ctx.beginPath();
    points.forEach(([at, y, e], k) => ctx[k ? "lineTo" : "moveTo"](u.valToPos(at, "x", true), place(y + e)));
    points.reverse().forEach(([at, y, e]) => ctx.lineTo(u.valToPos(at, "x", true), place(y - e)));
    ctx.closePath(); ctx.globalAlpha = 0.16; ctx.fillStyle = colour("--line0"); ctx.fill();
    ctx.restore();
  }

  const tints = new Map([[data.headline, 0]]);  // each that is shown has one of its own, as far as there are
  function tint(name) {
    if (!tints.has(name)) {
      const used = new Set([...tints].filter(([each]) => shown.has(each)).map(([, place]) => place));
      const free = [...Array(8).keys()].find((place) => !used.has(place));
      tints.set(name, free ?? tints.size % 8);
    }
    return colour("--line" + tints.get(name));
  }
  function drawCurve() {
    charts.curve?.destroy();
    charts.curve = undefined;
    const box = byId("curve");
    box.textContent = "";
    const picked = names.filter((name) => shown.has(name));
    if (!picked.length || !scalars.get(picked[0]).x.length) {
      box.append(make("p", names.length ? "nothing is chosen" : "no iteration is committed yet", "soft"));
      return;
    }
    const lines = picked.map((n) => log ? away(scalars.get(n), distanceEnd(n)) : scalars.get(n));
    if (lines.every((line) => line.y.every((v) => v === null))) {
      box.append(make("p", log ? "no distance to draw" : "no number yet", "soft"));
      return;
    }
    const [x, ys] = merged(lines);
    const others = picked.filter((name) => !kin.has(name));
    const scales = { x: scaleX() };
    const scaleOf = (name) => kin.has(name) ? "y" : "s" + names.indexOf(name);
    for (const key of new Set(picked.map(scaleOf))) {
      const mine = lines.filter((_, k) => scaleOf(picked[k]) === key);
      scales[key] = { distr: log ? 3 : 1, range: (u) => {
        const from = u.scales.x.min ?? whole[0], to = u.scales.x.max ?? whole[1];
        const values = mine.flatMap((line) => line.y.filter((v, k) => v !== null && line.x[k] >= from && line.x[k] <= to));
        const refs = key === "y" && !log && shown.has(data.headline) ? Object.values(data.references) : [];
        return windowOf(values, refs, log);
      } };
    }
    const leading = picked.find((name) => kin.has(name)) ?? picked[0];
    const label = (name) => log ? (kin.has(name) ? (data.goal ? `|${name} - ${data.goal.name}|` : data.best ? `|${name} - best|` : `|${name}|`) : `|${name}|`)
      : name;
    const written = (u, at) => {
      const step = at.length > 1 ? Math.min(...at.slice(1).map((v, k) => v - at[k])) : 1;
      return at.map((v) => v === null ? "" : log ? power(v) : tick(v, step));
    };
    const right = others.find((name) => name !== leading);
    const unit = kin.has(leading) && data.unit ? ` (${data.unit})` : "";
    const side = right ? 12 : SIDE;
    const axes = [across(), axis({ scale: scaleOf(leading), values: written, size: LEFT, label: label(leading) + unit,
      labelFont: FONT, labelSize: 18, labelGap: 2 })];
    if (right) axes.push(axis({ scale: scaleOf(right), side: 1, values: written, size: LEFT - 10, grid: { show: false },
      stroke: tint(right), label: label(right), labelFont: FONT, labelSize: 18 }));
    charts.curve = new uPlot({
      width: width("curve"), height: height(), padding: [10, side, 0, 0], cursor: cursor(), legend: { show: false },
      scales, axes,
      series: [{}, ...picked.map((name) => ({
        label: name, scale: scaleOf(name), stroke: tint(name), width: name === data.headline ? 2.2 : 1.4,
        alpha: name === data.headline || !kin.has(name) ? 1 : 0.85,
        points: { show: x.length <= 60, size: 5, fill: tint(name) },
      }))],
      hooks: {
        drawClear: [band],
        draw: [(u) => { resumes(u, true); references(u, !right); }],
        setCursor: [(u) => say(u.cursor.left >= 0 ? u.cursor.idx : null, x)],
        setScale: [(u, key) => { if (key === "x") zoomed(u); }],
      },
    }, [x, ...ys], box);
    say(null, x);
  }

  const chips = new Map();
  function say(index, x) {
    const at = index === null || index === undefined ? null : x[index];
    byId("at").textContent = at === null ? "" : `iteration ${grouped(String(at))}`;
    for (const [name, chip] of chips) {
      const line = scalars.get(name);
      let place = at === null ? line.x.length - 1 : nearest(line.x, at);
      chip.querySelector("output").textContent = shown.has(name) && place >= 0 ? number(line.raw[place]) : "";
    }
  }
  function nearest(x, at) {
    let low = 0, high = x.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (x[middle] < at) low = middle + 1; else high = middle; }
    return low;
  }
  function zoomed(u) {
    const is = u.scales.x.min > whole[0] + 1e-9 || u.scales.x.max < whole[1] - 1e-9;
    byId("reset").hidden = !is;
  }

  function addChips() {
    const row = byId("scalars");
    for (const name of names) {
      const chip = make("button", undefined, "chip");
      chip.type = "button";
      chip.append(make("i"), make("span", name), make("output"));
      chip.addEventListener("click", () => {
        if (!shown.delete(name)) shown.add(name);
        else if (!kin.has(name)) tints.delete(name);
        paintChips(); drawCurve();
      });
      chips.set(name, chip);
      row.insertBefore(chip, row.querySelector(".end"));
    }
  }
  function paintChips() {
    for (const [name, chip] of chips) {
      const on = shown.has(name), dot = chip.querySelector("i");
      chip.setAttribute("aria-pressed", String(on));
      dot.style.background = on ? tint(name) : "transparent";
      dot.style.borderColor = on ? tint(name) : "";
      chip.style.borderColor = on ? tint(name) : "";
    }
  }

  const partNames = Object.keys(data.times.parts);
  const usual = ["sample", "evaluate", "update", "initialize"];
  const partTint = (name) => {
    if (name === "in the queue" || name === "rest") return colour(name === "rest" ? "--rest" : "--queue");
    const others = partNames.filter((each) => !usual.includes(each));
    return colour("--part" + (usual.includes(name) ? usual.indexOf(name) : 4 + others.indexOf(name) % 4));
  };
  function drawTimes() {
    charts.times?.destroy();
    const box = byId("times"), x = data.times.iterations;
    box.textContent = "";
    if (!x.length || !partNames.length) { box.append(make("p", "no times are known", "soft")); return; }
    const sums = [];
    partNames.forEach((name, k) => sums.push(data.times.parts[name].map((v, i) => (v ?? 0) + (k ? sums[k - 1][i] : 0))));
    const top = [...sums].reverse(), order = [...partNames].reverse();
    const stretch = Math.min(40, (width("times") - LEFT) / x.length);
    const bars = uPlot.paths.bars({ size: [stretch < 4 ? 1 : 0.82, 60], align: 0 });
    charts.times = new uPlot({
      width: width("times"), height: 200, padding: [10, SIDE, 0, 0], cursor: cursor(), legend: { show: false },
      scales: { x: scaleX(), y: { range: (u) => {
        const from = u.scales.x.min ?? whole[0], to = u.scales.x.max ?? whole[1];
        const values = sums.at(-1).filter((v, k) => x[k] >= from && x[k] <= to).sort((a, b) => a - b);
        const all = values.at(-1) ?? 0, most = values[Math.floor(values.length * 0.9)] ?? 0;
        return [0, (values.length > 5 && all > 4 * most && most ? 2 * most : all) * 1.06 || 1];
      } } },
      axes: [across(), axis({ size: LEFT, label: data.times.every > 1 ? `mean of ${data.times.every}` : "seconds", labelFont: FONT, labelSize: 18, labelGap: 2,
        values: (u, at) => { const step = at.length > 1 ? at[1] - at[0] : 1; return at.map((v) => tick(v, step)); } })],
      series: [{}, ...order.map((name) => {
        const fill = partTint(name);
        return { label: name, fill, stroke: fill, width: 0, paths: bars, points: { show: false } };
      })],
      hooks: {
        draw: [(u) => resumes(u, false)],
        setCursor: [(u) => sayTimes(u.cursor.left >= 0 ? u.cursor.idx : null)],
        setScale: [(u, key) => { if (key === "x") zoomed(u); }],
      },
    }, [x, ...top], box);
    sayTimes(null);
  }
  const keys = new Map();
  function addKeys() {
    const row = byId("parts");
    for (const name of partNames) {
      const key = make("span", undefined, "chip key");
      key.append(make("i"), make("span", name), make("output"));
      keys.set(name, key);
      row.insertBefore(key, row.querySelector(".end"));
    }
  }
  function sayTimes(index) {
    const at = data.times.iterations[index], every = data.times.every;
    byId("of").textContent = at === undefined ? "on average"
      : every > 1 ? `from ${grouped(String(at))} on, on average` : `iteration ${grouped(String(at))}`;
    for (const [name, key] of keys) {
      const values = data.times.parts[name];
      const known = values.filter((v) => v !== null);
      const mean = known.reduce((a, b) => a + b, 0) / (known.length || 1);
      key.querySelector("i").style.background = partTint(name);
      key.querySelector("output").textContent = index === null || index === undefined ? seconds(mean) : seconds(values[index]);
    }
  }

  // the table, and its file

  function addRows() {
    const { iterations, epochs, committed, scalars: columns, seconds: steps } = data.rows;
    if (!data.count) { byId("rows").append(make("caption", "none yet", "soft")); return; }
    const table = byId("rows"), head = make("tr"), several = new Set(epochs).size > 1;
    const heads = ["iteration", ...(several ? ["driver"] : []), ...Object.keys(columns), ...Object.keys(steps).map((s) => s + " (s)"), "committed"];
    for (const name of heads) head.append(make("th", name));
    table.append(make("thead")); table.tHead.append(head);
    const body = make("tbody");
    const addFrom = (start, end) => {
      const rows = document.createDocumentFragment();
      for (let k = start; k > end; k--) rows.append(oneRow(k));
      body.append(rows);
    };
    const oneRow = (k) => {
      const row = make("tr");
      if (data.best && iterations[k] === data.best.iteration) row.className = "now";
      const cells = [number(iterations[k]), ...(several ? [String(epochs[k])] : []),
        ...Object.values(columns).map((values) => number(values[k])),
        ...Object.values(steps).map((values) => values[k] === null ? "–" : values[k].toFixed(3)),
        committed[k]];
      for (const text of cells) row.append(make("td", text));
      if (row.className) row.firstChild.textContent += " best";
      return row;
    };
    const newest = iterations.length - 1, at_once = Math.max(-1, newest - 40);
    addFrom(newest, at_once);
    table.append(body);
    if (at_once >= 0) setTimeout(() => addFrom(at_once, -1), 50);  // the page is seen before
  }
  function csv() {
    const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? "'" : "") + String(text).replace(/"/g, '""')}"`;
    const all = data.whole && names.length;
    const at = all ? scalars.get(names[0]).x : data.rows.iterations;
    const lines = [["iteration", ...names].map(cell).join(",")];
    at.forEach((iteration, k) => {
      const values = names.map((name) => all ? scalars.get(name).raw[k] : data.rows.scalars[name][k]);
      lines.push([iteration, ...values].join(","));
    });
    return lines.join("\r\n") + "\r\n";
  }
  function save() {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = `${data.run}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  function copy(button) {
    const code = byId("command"), said = button.textContent;
    const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = said; }, 1500); };
    const old = () => {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges(); getSelection().addRange(range);
      if (document.execCommand("copy")) done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, old); else old();
  }

  function drawAll() { paintChips(); drawCurve(); drawTimes(); }
  addChips(); addKeys(); addRows(); drawAll();
  byId("log").addEventListener("click", (event) => {
    log = !log;
    event.currentTarget.setAttribute("aria-pressed", String(log));
    drawCurve();
  });
  byId("reset").addEventListener("click", () => {
    for (const chart of Object.values(charts)) chart.setScale("x", { min: whole[0], max: whole[1] });
  });
  if (!data.count) byId("log").hidden = byId("csv").hidden = true;
  byId("csv").addEventListener("click", save);
  byId("copy")?.addEventListener("click", (event) => copy(event.currentTarget));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let before = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === before) return;
    before = innerWidth;
    charts.curve?.setSize({ width: width("curve"), height: height() });
    charts.times?.setSize({ width: width("times"), height: 200 });
  });
  document.documentElement.dataset.drawn = "yes";
})();
