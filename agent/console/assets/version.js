// One version: where it stands, every judgement with its figures and their limits, and who did what.

import { h, badge, table, cell, facts } from "./dom.js";
import * as api from "./api.js";
import { age, figure, lift, sentence, time } from "./format.js";
import { KIND, SAYS } from "./versions.js";

export const title = "Version";

export async function show(body, [number = ""], signal, heading) {
  heading.textContent = `Version ${number}`;
  const told = await api.get("version", { version: number }, signal);
  const { manifest } = told;
  body.replaceChildren(
    h("p", null, h("a", { href: "#/versions" }, "All versions")),
    h("section", { class: "card" }, h("h2", null, "Where it stands"), facts([
      ["State", badge(SAYS[told.state] ?? told.state, KIND[told.state])], ["Age", age(told.age_s) || "–"], ["Steps", told.steps === null ? "–" : String(told.steps)],
      ["Learned from", told.parent ? h("a", { href: `#/version/${told.parent}` }, `version ${told.parent}`) : "the base model"], ["Lift", lift(told.lift)],
      ["Evidence", manifest ? `${Object.values(manifest.window).reduce((n, one) => n + one.rows, 0)} ledger rows since its parent` : "–"],
      ["Stands on", manifest ? `${manifest.base_model}, prompt ${manifest.prompt_version}` : "–"], ["Adapter", manifest ? `${manifest.uri}, sha256 ${manifest.sha256.slice(0, 12)}…` : "–"],
    ])),
    ...told.judgements.toReversed().map(judgement),
    h("section", { class: "card" }, h("h2", null, "Who did what"), told.audit.length ? table("Audit log", ["when", "who", "did", "why"], told.audit.map((one) => h("tr", null,
      cell(time(one.at_ms)), h("th", { scope: "row" }, one.by), cell(one.did), cell(one.why)))) : h("p", { class: "empty" }, "Nothing yet.")),
  );
}

function judgement(one) {
  const rows = one.figures.map((f) => h("tr", null, h("th", { scope: "row" }, f.name), cell(figure(f.value), "number"), cell(f.limit), cell(f.limit ? badge(f.holds ? "holds" : "broken", f.holds ? "good" : "bad") : "")));
  return h("section", { class: "card" }, h("h2", null, `${one.stage[0].toUpperCase()}${one.stage.slice(1)}: ${SAYS[one.state] ?? one.state}`),
    h("p", null, `${sentence(one.reason)} `, h("span", { class: "hint" }, `by ${one.by}, ${time(one.at_ms)}`)),
    rows.length ? table(`Figures of the ${one.stage}`, ["figure", { text: "value", class: "number" }, "limit", "state"], rows) : null);
}
