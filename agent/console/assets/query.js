// One query: what it gets now and why; pages, candidates, verdict, lending, evidence.

import { h, badge, table, cell, facts } from "./dom.js";
import * as api from "./api.js";
import { signed, share, bounds, sentence, time } from "./format.js";

export const title = "Query";
const TOP = 10;

export async function show(body, [asked = ""], signal, heading) {
  heading.textContent = `Query “${asked}”`;
  body.replaceChildren(h("p", { class: "empty" }, "Reading what is known …"));
  const told = await api.get("query", { query: asked }, signal);
  if (!told.shown) {
    body.replaceChildren(h("section", { class: "card" }, h("p", null, sentence(told.why))));
    return;
  }
  const { now } = told;
  body.replaceChildren(
    h("p", { class: "row" }, h("a", { href: `#/try/${encodeURIComponent(asked)}` }, "Try it"), h("a", { href: "#/queries" }, "All queries")),
    h("section", { class: "card" }, h("h2", null, "What it gets now"),
      h("p", { class: "words" }, asked, now.text ? [" ", h("ins", null, now.text)] : ""),
      h("p", null, badge(`rung ${now.rung}`, now.rung === "raw" ? "" : "good"), " ", badge(`source ${now.source}`)),
      h("p", null, sentence(now.why)),
      told.gain ? h("p", null, `Gain over raw by its own evidence ${bounds(told.gain)}, chance of harm ${share(told.gain.p_harm)}.`) : null,
      told.canary ? h("p", null, `Clients of the trial: ${told.canary.text || "nothing to add"} (rung ${told.canary.rung}).`) : null),
    h("div", { class: "sides" }, page("Raw page", told.raw_page), told.rewritten_page ? page("Rewritten page", told.rewritten_page) : null),
    verdict(told.verdict),
    candidates(told.candidates),
    lending(told.lending),
    evidence(told.evidence),
  );
}

const number = (text) => ({ text, class: "number" });
const worth = (one) => (one ? [signed(one.mean), " ", h("span", { class: "range" }, `(${signed(one.low)} to ${signed(one.high)})`)] : "not known");

function page(name, rows) {
  return h("section", { class: "card" }, h("h2", null, name), rows.length ? table(name, [number("rank"), "object", "raw rank", number("worth (95\u00a0%)")], rows.map((one) => h("tr", null,
    cell(String(one.rank), "number"), h("th", { scope: "row" }, one.title || one.object_id), cell(one.raw_rank === null ? badge("new", "good") : String(one.raw_rank)), cell(worth(one.worth), "number")))) : h("p", { class: "empty" }, "Finds nothing."));
}

function verdict(one) {
  if (!one) return h("section", { class: "card" }, h("h2", null, "Verdict"), h("p", { class: "empty" }, "None."));
  const says = !one.settled ? "too little is known for one" : one.text ? `serve “${one.text}”` : "nothing is to be added";
  const more = one.text ? [["Gain", `${signed(one.gain)} (sd ${one.gain_sd.toFixed(4)})`], ["Chance of harm", share(one.p_harm, 2)], ["Raw share", `${share(one.raw_share, 0)} of its searches`]] : [];
  return h("section", { class: "card" }, h("h2", null, "Verdict"), facts([["It says", says], ...more, ["Clicks behind it", one.support.toFixed(1)],
    ["Made", `${time(one.made_at_ms)}, on evidence ${one.evidence_seq} (now ${one.evidence_seq_now})`],
    ["Suspended", one.suspended_at_ms ? `since ${time(one.suspended_at_ms)}` : one.moved ? "its pages moved just now" : "no"]]));
}

function candidates(all) {
  return h("section", { class: "card" }, h("h2", null, "Candidates of shoppers"), all.length ? table("Candidates", ["text", "source", number("support by fold"), "pages of", "state"], all.map((one) => h("tr", null,
    h("th", { scope: "row" }, one.text), cell(one.source), cell(one.support.map((n) => n.toFixed(2)).join(" / "), "number"), cell(one.arms.join(", ")), cell(one.serves ? badge("serves", "good") : one.proposed ? badge("to be tried") : ""))))
    : h("p", { class: "empty" }, "None: no shopper refined it, none came to its objects by other words."));
}

function lending(one) {
  const says = one.judged ? "Nothing is lent to it: it is judged by its own clicks."
    : `${one.lends ? "Lending is known to pay" : "Lending is not known to pay, or turned off"}; the nearest judged query is ${share(one.similarity, 0)} like it.`;
  return h("section", { class: "card" }, h("h2", null, "Lending"), h("p", null, says),
    one.offers.length ? table("Offers", ["words", number("gain")], one.offers.slice(0, TOP).map((offer) => h("tr", null, h("th", { scope: "row" }, offer.text), cell(signed(offer.gain), "number")))) : null);
}

function evidence(all) {
  return h("section", { class: "card" }, h("h2", null, "Evidence"), h("p", null, `${all.searches.toFixed(1)} searches and ${all.clicks.toFixed(1)} clicks (effective).`),
    all.objects.length ? table("Worth of objects", ["object", ...["worth (95\u00a0%)", "clicks", "examinations"].map(number)], all.objects.slice(0, TOP).map((one) => h("tr", null,
      h("th", { scope: "row" }, one.object_id), cell(worth(one), "number"), cell(one.clicks.toFixed(1), "number"), cell(one.examinations.toFixed(1), "number")))) : null);
}
