// Queries: all judged ones, worst or best first, searched and cut into pages by the gateway.

import { h, badge, table, cell, problem, redraw, say } from "./dom.js";
import * as api from "./api.js";
import { signed, share, whole, time } from "./format.js";

export const title = "Queries";
const COLUMNS = [
  ["query", "Query", false], ["", "Rewrite", false], ["gain", "Gain over raw (95\u00a0%)", true], ["p_harm", "Chance of harm", true],
  ["support", "Clicks behind it", true], ["searches", "Searches", true], ["made_at_ms", "Judged", false],
];
export const VERDICTS = { serves: "a rewrite serves", silent: "nothing to add", open: "too little known" };
const WAIT_MS = 200;

export async function show(body, _, signal) {
  const wanted = { search: "", verdict: "serves", sort: "gain", descending: false, page: 1, size: 25 };
  const search = h("input", { type: "search", id: "search", maxlength: 512, autocomplete: "off" });
  const verdict = h("select", { id: "verdict" }, h("option", { value: "serves" }, "a rewrite serves"), h("option", { value: "silent" }, "nothing to add"),
    h("option", { value: "open" }, "too little known"), h("option", { value: "all" }, "all"));
  const order = ["Worst first", "Best first"].map((name, i) => h("button", { type: "button", class: "quiet", onclick: () => change({ sort: "gain", descending: Boolean(i) }) }, name));
  const rows = h("div");
  body.replaceChildren(
    h("form", { class: "card filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h("p", null, h("label", { for: "search" }, "Words of query or rewrite"), search),
      h("p", null, h("label", { for: "verdict" }, "Verdict"), verdict),
      h("p", { class: "row", role: "group", "aria-label": "Order by gain" }, order)),
    rows,
  );
  let timer = 0, newest = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => change({ search: search.value }), WAIT_MS); });
  verdict.addEventListener("change", () => change({ verdict: verdict.value }));
  signal.addEventListener("abort", () => clearTimeout(timer));
  async function change(what) {
    Object.assign(wanted, { page: 1 }, what);
    const turn = (newest += 1);
    order.forEach((one, i) => one.setAttribute("aria-pressed", String(wanted.sort === "gain" && wanted.descending === Boolean(i))));
    try {
      const told = await api.get("queries", wanted, signal);
      if (turn !== newest) return;
      redraw(rows, ...list(told, wanted, change));
      say(`${told.total} queries, page ${told.page} of ${told.pages}`);
    } catch (error) {
      if (!signal.aborted && turn === newest) redraw(rows, problem(error));
    }
  }
  await change({});
}

function list(told, wanted, change) {
  const heads = COLUMNS.map(([sort, name, number]) => {
    const kind = number ? "number" : null;
    if (!sort) return { text: name, class: kind };
    const now = wanted.sort === sort;
    const arrow = now ? (wanted.descending ? " ↓" : " ↑") : "";
    return {
      class: kind, sort: now ? (wanted.descending ? "descending" : "ascending") : "none",
      node: h("button", { type: "button", class: "head", "data-name": sort, onclick: () => change({ sort, descending: now && !wanted.descending }) }, `${name}${arrow}`),
    };
  });
  const few = told.min_clients > 1 ? ` Queries that fewer than ${told.min_clients} clients asked are not shown.` : "";
  const step = (name, page, on) => h("button", { type: "button", class: "quiet", "data-name": name, "aria-disabled": String(!on), onclick: () => on && change({ page }) }, name);
  return [
    told.rows.length ? table("Judged queries", heads, told.rows.map(line)) : h("p", { class: "card empty" }, "No judged query is like that."),
    h("nav", { class: "row pages", "aria-label": "Pages of queries" },
      step("Previous", told.page - 1, told.page > 1), h("span", null, `${whole(told.total)} queries, page ${told.page} of ${told.pages}`), step("Next", told.page + 1, told.page < told.pages)),
    few ? h("p", { class: "hint" }, few.trim()) : null,
  ].filter(Boolean);
}

function line(one) {
  const kind = one.low > 0 ? "good" : one.high < 0 ? "bad" : "";
  return h("tr", null,
    h("th", { scope: "row" }, h("a", { href: `#/query/${encodeURIComponent(one.query)}` }, one.query), one.segment === "all" ? null : [" ", badge(one.segment)]),
    cell(one.verdict === "serves" ? one.text : h("span", { class: "hint" }, VERDICTS[one.verdict])),
    cell(one.verdict === "serves" ? h("span", { class: kind }, signed(one.gain), " ", h("span", { class: "range" }, `(${signed(one.low)} to ${signed(one.high)})`)) : "–", "number"),
    cell(one.verdict === "serves" ? share(one.p_harm) : "–", "number"),
    cell(one.support.toFixed(1), "number"), cell(one.searches.toFixed(1), "number"), cell(time(one.made_at_ms)));
}
