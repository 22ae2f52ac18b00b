// Line charts with a table of the same figures: colour is never the only mark.

import { h, s, table, cell } from "./dom.js";

const HIGH = 220, LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 26;
const wide = () => (matchMedia("(max-width: 640px)").matches ? 360 : 640);
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

function ticks(low, high, n = 4) {
  const raw = (high - low) / n || 1;
  const step = 10 ** Math.floor(Math.log10(raw));
  const nice = [1, 2, 5, 10].map((one) => one * step).find((one) => one >= raw);
  const first = Math.ceil(low / nice) * nice;
  return Array.from({ length: Math.floor((high - first) / nice + 1e-9) + 1 }, (_, i) => first + i * nice);
}

// points: [{at_ms, ...}]; series: [{name, of: (point) => number|null, band?: (point) => [low, high]|null}]
export function chart({ title, points, series, format, zero = false, note = "" }) {
  const known = series.flatMap((one) => points.flatMap((p) => [one.of(p), ...(one.band?.(p) ?? [])])).filter((v) => v !== null && v !== undefined);
  const WIDE = wide();
  const heading = h("h2", null, title);
  const hint = note ? h("p", { class: "hint" }, note) : null;
  if (!known.length) return h("section", { class: "card" }, heading, hint, h("p", { class: "empty" }, "Nothing is known yet."));
  let low = Math.min(...known), high = Math.max(...known);
  if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [low - pad, high + pad];
  const [first, last] = [points[0].at_ms, points.at(-1).at_ms];
  const x = (ms) => LEFT + ((ms - first) / (last - first || 1)) * (WIDE - LEFT - RIGHT);
  const y = (v) => TOP + (1 - (v - low) / (high - low)) * (HIGH - TOP - BOTTOM);
  const grid = ticks(low, high).map((v) => [
    s("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(v), y2: y(v), class: Math.abs(v) < 1e-12 ? "zero" : "rule" }),
    s("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, format(v)),
  ]);
  const times = [first, (first + last) / 2, last].map((ms, i) =>
    s("text", { x: x(ms), y: HIGH - 8, "text-anchor": ["start", "middle", "end"][i] }, clock(ms)));
  const drawn = series.map((one, i) => lineOf(one, i, points, x, y));
  const summary = series.map((one) => `${one.name}: ${latest(one, points, format)}`).join("; ");
  const legend = series.map((one, i) => h("li", null,
    s("svg", { viewBox: "0 0 28 8", class: "mark", "aria-hidden": "true" }, s("line", { x1: 1, x2: 27, y1: 4, y2: 4, class: `line line-${i}` })),
    `${one.name} `, h("strong", null, latest(one, points, format))));
  const rows = points.slice(-30).reverse().map((p) => h("tr", null, cell(clock(p.at_ms)), series.map((one) => cell(valueOf(one, p, format), "number"))));
  return h(
    "section", { class: "card" }, heading, hint,
    s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img", "aria-label": `${title}. Now ${summary}` }, grid, times, drawn),
    h("ul", { class: "legend" }, legend),
    h("details", null, h("summary", { "data-name": title }, "As a table"), table(title, ["time", ...series.map((one) => one.name)], rows)),
  );
}

function lineOf(one, i, points, x, y) {
  const shapes = [];
  const banded = one.band ? points.filter((p) => one.band(p)) : [];
  if (banded.length > 1) {
    const up = banded.map((p) => `${x(p.at_ms)},${y(one.band(p)[1])}`);
    const down = banded.map((p) => `${x(p.at_ms)},${y(one.band(p)[0])}`).reverse();
    shapes.push(s("polygon", { points: [...up, ...down].join(" "), class: `band band-${i}` }));
  }
  let path = "", open = false;
  for (const p of points) {
    const v = one.of(p);
    if (v === null || v === undefined) { open = false; continue; }
    path += `${open ? "L" : "M"}${x(p.at_ms).toFixed(1)} ${y(v).toFixed(1)}`;
    open = true;
  }
  shapes.push(s("path", { d: path, class: `line line-${i}` }));
  const end = points.findLast((p) => one.of(p) !== null && one.of(p) !== undefined);
  if (end) shapes.push(s("circle", { cx: x(end.at_ms), cy: y(one.of(end)), r: 3.5, class: `dot dot-${i}` }));
  return shapes;
}

function valueOf(one, p, format) {
  const v = one.of(p);
  if (v === null || v === undefined) return "–";
  const band = one.band?.(p);
  return band ? `${format(v)} (${format(band[0])} to ${format(band[1])})` : format(v);
}

function latest(one, points, format) {
  const end = points.findLast((p) => one.of(p) !== null && one.of(p) !== undefined);
  return end ? valueOf(one, end, format) : "nothing yet";
}
