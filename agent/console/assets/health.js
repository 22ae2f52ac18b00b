// Health: what is there and what is not.

import { h, badge, facts, problem } from "./dom.js";
import * as api from "./api.js";
import { share, whole } from "./format.js";

export const title = "Health";
const EVERY_MS = 5000;
const NEEDS = { opensearch: "OpenSearch", redis: "Redis", rewriter: "Rewriter" };

export async function show(body, _, signal) {
  const draw = async () => {
    const told = await api.get("health", {}, signal);
    const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.dataset.name));
    body.replaceChildren(...page(told, open));
  };
  await draw();
  const timer = setInterval(() => {
    if (!document.hidden && !body.contains(document.activeElement)) draw().catch((error) => signal.aborted || body.replaceChildren(problem(error)));
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function page(told, open) {
  return [
    h("section", { class: "card" }, h("h2", null, told.faults.length ? "What is not as it should be" : "All is well"),
      told.faults.length ? h("ul", { class: "faults" }, told.faults.map((one) => h("li", null, one))) : null,
      h("p", { class: "row" }, Object.entries(told.needs).map(([name, there]) => badge(`${NEEDS[name] ?? name}: ${there ? "answers" : "away"}`, there ? "good" : "bad"))),
      told.shadow ? h("p", null, "In shadow: everybody gets the shop's own query.") : null),
    told.store ? h("section", { class: "card" }, h("h2", null, "Store and intake"), facts([
      [told.store.servers > 1 ? "Redis' fullest server" : "Redis' memory", `${(told.store.memory_bytes / 2 ** 20).toFixed(0)} MiB${told.store.memory_share === null ? ", no bound set" : `, ${share(told.store.memory_share, 0)} of its bound`}`],
      ["In the streams", `${whole(told.store.waiting)} pages and events`], ["Collectors", whole(told.store.collectors)], ["Dead letters", whole(told.store.dead_letters)],
      ["Shed", whole(told.store.shed)], ["Clients in quarantine", whole(told.store.quarantined)],
      ["Dropped", Object.entries(told.dropped).map(([why, n]) => `${why} ${whole(n)}`).join(", ") || "nothing"]])) : null,
    h("section", { class: "card" }, h("h2", null, "Processes"), told.processes.map((one) => {
      const figures = Object.entries(one.figures).sort(([a], [b]) => a.localeCompare(b));
      const quiet = one.name === "collector" ? badge("see collectors") : badge("silent", "bad");
      return h("details", { "data-name": one.name, open: open.has(one.name) }, h("summary", null, `${one.name} `, figures.length ? badge("speaks", "good") : quiet),
        figures.length ? facts(figures) : h("p", { class: "empty" }, one.name === "collector" ? "It tells no figures here." : "It tells no figures now."));
    })),
  ].filter(Boolean);
}
