// Versions: what serves, what is on trial, the timeline, and what an operator does.

import { h, badge, facts, table, cell, problem, redraw } from "./dom.js";
import * as api from "./api.js";
import { confirmed } from "./dialog.js";
import { age, lift, sentence, share, time } from "./format.js";

export const title = "Versions";
export const KIND = { stable: "good", trial: "accent", refused: "bad", revoked: "bad" };
export const SAYS = { made: "not judged yet", waiting: "waits for its trial", trial: "on trial", stable: "serves", former: "served", retired: "retired", refused: "refused by the gate", revoked: "rolled back" };

export async function show(body, _, signal) {
  const draw = async () => redraw(body, ...page(await api.get("versions", {}, signal), change));
  const change = async (what) => {
    const done = await confirmed({ ...what, signal });
    if (done && !signal.aborted) await draw().catch((error) => signal.aborted || redraw(body, problem(error)));
  };
  await draw();
}

function page(told, change) {
  const acts = document.body.dataset.acts === "true";
  return [
    acts ? "" : h("p", { class: "hint" }, "Read only: open the console with a key of the scope admin to change anything."),
    h("div", { class: "grid" }, now(told, acts, change), switches(told, acts, change)),
    h("section", { class: "card" }, h("h2", null, "Timeline"),
      told.versions.length ? h("ol", { class: "timeline", reversed: true }, told.versions.map((one) => entry(one, told, acts, change))) : h("p", { class: "empty" }, "No version yet: the base model serves until the learner makes one."),
      told.total > told.versions.length ? h("p", { class: "hint" }, `The newest ${told.versions.length} of ${told.total}.`) : null),
    h("section", { class: "card" }, h("h2", null, "Who did what"),
      told.audit.length ? table("Audit log", ["when", "who", "did", "version", "why"], told.audit.map((one) => h("tr", null,
        cell(time(one.at_ms)), h("th", { scope: "row" }, one.by), cell(one.did), cell(one.version ? String(one.version) : ""), cell(one.why)))) : h("p", { class: "empty" }, "Nothing yet.")),
  ];
}

function now(told, acts, change) {
  const { trial, serving } = told;
  const back = (version, name, text) => h("button", { type: "button", class: "danger", "data-name": name, disabled: !acts, onclick: () => change(rollBack(version, text, told, name)) }, name);
  return h("section", { class: "card" }, h("h2", null, "Now"),
    facts([["Serves", serving ? h("a", { href: `#/version/${serving}` }, `version ${serving}`) : "no version of the policy"],
      ["On trial", trial ? [h("a", { href: `#/version/${trial.version}` }, `version ${trial.version}`), ` with ${share(trial.share, 0)} of the clients${trial.check ? " (a check)" : ""}`] : "none"]]),
    h("p", { class: "row" },
      serving ? back(null, "Roll back", `Version ${serving} answers no more, within seconds; what served before serves again.`) : null,
      trial && !trial.check ? back(trial.version, "End the trial", `Version ${trial.version} answers no more; version ${serving} goes on serving.`) : null));
}

function switches(told, acts, change) {
  return h("section", { class: "card" }, h("h2", null, "Goes on by itself"), ["learning", "releases"].map((what) => {
    const stopped = told.paused[what];
    const verb = stopped ? "Resume" : "Pause";
    const act = () => change({
      title: `${verb} ${what}?`, action: `${verb} ${what}`, danger: !stopped,
      text: stopped ? `Paused by ${stopped.by}: ${stopped.why}` : "What serves goes on, and a trial that runs is still watched.",
      act: ({ why }) => api.post(verb.toLowerCase(), { what, why }),
    });
    return h("p", { class: "row spread" }, h("span", null, `${what[0].toUpperCase()}${what.slice(1)} `, stopped ? badge(`paused by ${stopped.by}`, "bad") : badge("runs", "good")),
      h("button", { type: "button", class: "quiet", "data-name": what, disabled: !acts, onclick: act }, `${verb} ${what}`));
  }));
}

function entry(one, told, acts, change) {
  const can = acts && one.version !== told.serving;
  const small = (text, name, what) => h("button", { type: "button", class: "quiet small", "aria-label": name, "data-name": name, onclick: () => change(what) }, text);
  return h("li", { value: one.version, class: KIND[one.state] ?? "" },
    h("p", { class: "row" }, h("a", { href: `#/version/${one.version}` }, `Version ${one.version}`), one.of ? h("span", { class: "hint" }, `version ${one.of} again`) : null,
      badge(SAYS[one.state] ?? one.state, KIND[one.state]), h("span", { class: "hint" }, one.age_s === null ? "" : `${age(one.age_s)} old, ${one.steps} steps`)),
    h("p", null, sentence(one.why), " ", one.by && one.why ? h("span", { class: "hint" }, `By ${one.by}.`) : "", one.lift ? h("span", { class: "range" }, `Lift ${lift(one.lift)}.`) : ""),
    can ? h("p", { class: "row" },
      small("Promote", `Promote version ${one.version}`, promote(one, told)),
      one.state === "former" ? small("Roll back to it", `Roll back to version ${one.version}`, rollBack(one.version, `Version ${told.serving} answers no more, and version ${one.version} serves again.`, told)) : null) : null);
}

function promote(one, told) {
  return {
    title: `Promote version ${one.version}?`, action: "Promote", text: `Version ${one.version} serves all shoppers, without a trial.`,
    force: one.state === "refused" ? "Though the gate refused it" : null,
    act: ({ why, force }) => api.post("promote", { version: one.version, serving: told.serving, why, force }),
  };
}

function rollBack(version, text, told, action = "Roll back") {
  return { title: `${action}?`, action, danger: true, text, act: ({ why }) => api.post("roll_back", { version, serving: told.serving, why }) };
}
