// Live: arms, reward and lift as they grow.

import { h, table, cell, problem, redraw } from "./dom.js";
import * as api from "./api.js";
import { chart } from "./chart.js";
import { whole, share, signed, signedShare } from "./format.js";

export const title = "Live";
const EVERY_MS = 5000;
const ARMS = ["stable", "holdback", "explore", "canary", "shadow", "log"];
const RUNGS = ["verified", "nearest", "policy", "raw"];
const NAMES = { stable: "stable", holdback: "holdback (raw)", explore: "explore", canary: "canary (trial)", shadow: "shadow (raw)", log: "played log" };

export async function show(body, _, signal) {
  const paused = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => {
    const now = paused.getAttribute("aria-pressed") !== "true";
    paused.setAttribute("aria-pressed", String(now));
    paused.textContent = now ? "Go on" : "Hold still";
  } }, "Hold still");
  const curves = h("div", { class: "grid" });
  body.replaceChildren(h("p", { class: "row" }, paused, h("span", { class: "hint" }, "Anew every five seconds.")), curves);
  draw(curves, await api.get("live", {}, signal));
  const still = () => paused.getAttribute("aria-pressed") === "true" || curves.querySelector("details[open]");
  const timer = setInterval(async () => {
    if (still() || document.hidden) return;
    try {
      const told = await api.get("live", {}, signal);
      if (!still()) draw(curves, told);
    } catch (error) {
      if (!signal.aborted) redraw(curves, problem(error));
    }
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function inShadow(would) {
  const rungs = RUNGS.filter((rung) => would[rung]);
  const all = rungs.reduce((sum, rung) => sum + would[rung], 0);
  return h("section", { class: "card" }, h("h2", null, "In shadow: who would have answered"),
    table("In shadow", ["rung", ...["pages", "share"].map((text) => ({ text, class: "number" }))], rungs.map((rung) =>
      h("tr", null, h("th", { scope: "row" }, rung), cell(whole(would[rung]), "number"), cell(share(would[rung] / all), "number")))),
    h("p", { class: "hint" }, "unseen shadow tells with which words, and for which gain."));
}

function draw(curves, told) {
  const { points, arms, would } = told;
  const present = ARMS.filter((arm) => arms[arm]);
  const lift = points.at(-1)?.lift;
  redraw(
    curves,
    h("section", { class: "card" }, h("h2", null, "Arms, since the store began"),
      present.length ? table("Arms", ["arm", ...["pages", "clicks", "purchases", "clicks a page"].map((text) => ({ text, class: "number" }))], present.map((arm) => {
        const [pages, clicks, purchases] = arms[arm];
        return h("tr", null, h("th", { scope: "row" }, NAMES[arm]), [whole(pages), whole(clicks), whole(purchases), pages ? share(clicks / pages) : "–"].map((text) => cell(text, "number")));
      })) : h("p", { class: "empty" }, "No page was shown yet."),
      h("p", { class: "big" }, lift ? signedShare(lift.mean) : "–", h("span", { class: "hint" }, lift ? ` more clicks a page than raw (${signedShare(lift.low)} to ${signedShare(lift.high)})` : " lift over raw: too few clicks yet"))),
    ...(Object.keys(would).length ? [inShadow(would)] : []),
    chart({ title: "Lift over raw", points, format: signedShare, zero: true,
      note: "Clicks a page of all clients outside holdback over those in it, since the store began. The band (95 %) takes clicks as independent: it is as narrow as it can be.",
      series: [{ name: "lift", of: (p) => p.lift?.mean ?? null, band: (p) => (p.lift ? [p.lift.low, p.lift.high] : null) }] }),
    chart({ title: "Clicks a page by arm", points, format: (v) => share(v), zero: true, note: "Over the last five minutes at each time.",
      series: present.filter((arm) => arms[arm][0]).map((arm) => ({ name: NAMES[arm], of: (p) => p.click_through[arm] ?? null })) }),
    chart({ title: "Reward of the learner's rollouts", points, format: (v) => signed(v, 3), zero: true,
      note: "Mean gain of its last samples over raw, as the clicks tell it.",
      series: [{ name: "reward", of: (p) => p.reward }] }),
    chart({ title: "Queries with a verified rewrite", points, format: whole, series: [{ name: "queries", of: (p) => p.verified }] }),
  );
}
