// Try: a query as a shopper gets it, raw beside rewritten, and why.

import { h, badge, problem, say } from "./dom.js";
import * as api from "./api.js";
import { sentence, share } from "./format.js";

export const title = "Try a query";

const RUNGS = { verified: "verified by its own clicks", nearest: "lent by queries like it", policy: "written by the policy", raw: "the shop's own query" };

function shopper() {
  const kept = sessionStorage.getItem("unseen-shopper");
  if (kept) return kept;
  const made = `console-${Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("")}`;
  sessionStorage.setItem("unseen-shopper", made);
  return made;
}

export function show(body, [given = ""], signal) {
  const field = h("input", { id: "query", type: "search", required: true, maxlength: 512, autocomplete: "off", value: given });
  const acts = document.body.dataset.acts === "true";
  const counts = h("input", { type: "checkbox", id: "counts", role: "switch", disabled: !acts, "aria-describedby": "counts-hint" });
  const found = h("div", { "aria-live": "off" });
  const form = h(
    "form", { class: "card", onsubmit: (event) => { event.preventDefault(); search(); } },
    h("p", { class: "ask" }, h("label", { for: "query" }, "Query, as shoppers type it"), h("span", { class: "row" }, field, h("button", { type: "submit" }, "Search"))),
    h("p", { class: "check" }, counts, h("label", { for: "counts" }, "As a shopper: this page, clicks and purchases count as real events")),
    h("p", { class: "hint", id: "counts-hint" }, acts
      ? "Off, nothing is counted and nothing is learned. On, the console searches under a client of its own, which gets an arm as any shopper does, and you can click and buy."
      : "To act as a shopper, open the console with a key of the scope admin."),
  );
  body.replaceChildren(form, found);
  let newest = 0;
  async function search() {
    const turn = (newest += 1);
    const late = () => turn !== newest || signal.aborted;
    found.replaceChildren(h("p", { class: "empty" }, "Searching …"));
    try {
      const told = await api.post("try", { user_query: field.value, shopper: counts.checked ? shopper() : null });
      if (late()) return;
      found.replaceChildren(...result(told));
      say(`${told.shown.length} results; ${told.rewrite ? `added ${told.rewrite}` : "nothing added"}`);
    } catch (error) {
      if (!late()) found.replaceChildren(problem(error));
    }
  }
  if (given) return search();
  field.focus();
  return undefined;
}

function result(told) {
  const words = told.rewrite
    ? told.form === "instead" ? [h("ins", null, told.rewrite), " ", told.user_query] : [told.user_query, " ", h("ins", null, told.rewrite)]
    : [told.user_query];
  return [
    h("section", { class: "card why", "aria-label": "What was added and why" },
      h("p", { class: "words" }, words),
      h("p", null, badge(RUNGS[told.rung] ?? told.rung, told.rung === "raw" ? "" : "good"), " ", badge(`source ${told.source}`), " ",
        told.version ? badge(`version ${told.version}`) : null, " ", told.query_id ? badge(`arm ${told.arm}`) : null),
      h("p", null, sentence(told.why)),
      origin(told.origin),
      h("p", null, h("a", { href: `#/query/${encodeURIComponent(told.user_query)}` }, "All that is known of this query")),
    ),
    h("div", { class: "sides" },
      side("Raw", told.raw, null, told.shown),
      side(told.query_id ? "Shown to the shopper" : "Rewritten", told.shown, told.query_id, told.raw)),
  ];
}

function origin(from) {
  if (from.kind === "nearest") {
    return h("ul", null, from.lenders.map((one) => h("li", null, `${one.agrees ? "agrees" : "lent by"}: “${one.query}” → “${one.text || "nothing to add"}” (${share(one.similarity, 0)} alike)`)), unnamed(from));
  }
  if (from.kind === "policy" && (from.prompt.length || from.unnamed)) {
    return h("details", null, h("summary", null, "Examples in its prompt"),
      h("ul", null, from.prompt.map((one) => h("li", null, `“${one.query}” → “${one.text || "nothing"}” (${share(one.similarity, 0)} alike)`)), unnamed(from)));
  }
  return null;
}

function unnamed(from) {
  return from.unnamed ? h("li", { class: "hint" }, `and ${from.unnamed} that too few clients asked to be named`) : null;
}

function side(name, page, queryId, other) {
  const same = page.length === other.length && page.every((one) => one.rank === one.other_rank);
  return h("section", { class: "card", "aria-label": `${name} results` },
    h("h2", null, name, " ", h("span", { class: "hint" }, same ? "both pages are the same" : "")),
    page.length ? h("ol", { class: "hits" }, page.map((one) => hit(one, queryId))) : h("p", { class: "empty" }, "Finds nothing."));
}

function hit(one, queryId) {
  const moved = one.other_rank === null ? badge("only here", "good") : one.other_rank !== one.rank ? badge(`other side: ${one.other_rank}`) : null;
  return h("li", null,
    h("span", { class: "hit" }, h("span", null, one.title || one.object_id, " ", moved), h("span", { class: "hint" }, one.object_id)),
    queryId ? h("span", { class: "row" }, ["click", "purchase"].map((action) => doing(action, one, queryId))) : null);
}

function doing(action, one, queryId) {
  const name = { click: "Click", purchase: "Buy" }[action];
  const of = one.title || one.object_id;
  let done = false;
  const button = h("button", { type: "button", class: "quiet small", "aria-label": `${name}: ${of}`, onclick: async () => {
    if (done) return;
    done = true;
    if (button.nextElementSibling?.matches(".problem")) button.nextElementSibling.remove();
    try {
      await api.post("did", { action, query_id: queryId, object_id: one.object_id, shopper: shopper() });
      button.textContent = `${name} ✓`;
      button.setAttribute("aria-label", `${name} ✓: ${of}`);
      button.setAttribute("aria-disabled", "true");  // it keeps the focus
      say(`${name} is counted.`);
    } catch (error) {
      done = false;
      button.after(problem(error));
    }
  } }, name);
  return button;
}
