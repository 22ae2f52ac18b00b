// Dialogs: the key, and a change that must be confirmed with a reason.

import { h, say, tell } from "./dom.js";
import * as api from "./api.js";

function open(label, form) {
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title" }, label), form);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

export function askKey() {
  return new Promise((resolve) => {
    const field = h("input", { type: "password", id: "key-field", required: true, minlength: 16, autocomplete: "off", spellcheck: "false" });
    const form = h(
      "form", { onsubmit: (event) => { event.preventDefault(); given = field.value.trim(); dialog.close(); } },
      h("p", null, h("label", { for: "key-field" }, "A key with the scope admin (access.keys)"), field),
      h("p", { class: "hint" }, "It is kept until this tab is closed."),
      h("p", { class: "row" }, h("button", { type: "submit" }, "Open"), h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel")),
    );
    let given = "";
    const dialog = open("Key of the console", form);
    dialog.addEventListener("close", () => {
      if (given) api.keep(given);
      resolve(Boolean(given));
    });
  });
}

// Asks for a reason, then acts; an error stays in the dialog, which goes with its page (signal). Resolves to what the
// gateway said, also where the dialog was closed before it did, or to null.
export function confirmed({ title, text, action, danger = false, force = null, act, signal }) {
  return new Promise((resolve) => {
    let acting = null;
    const why = h("textarea", { id: "why", required: true, minlength: 3, maxlength: 500, rows: 2 });
    const box = force ? h("input", { type: "checkbox", id: "force" }) : null;
    const wrong = h("p", { class: "problem", role: "alert", hidden: true });
    const go = h("button", { type: "submit", class: danger ? "danger" : "" }, action);
    const tried = async () => {
      try {
        const said = await act({ why: why.value, force: Boolean(box?.checked) });
        say(`${action}: done`);
        return said;
      } catch (error) {
        if (!dialog.open) tell(error);
        wrong.hidden = false;
        wrong.textContent = error.message;
        return null;
      }
    };
    const form = h(
      "form", { onsubmit: async (event) => {
        event.preventDefault();
        if (acting) return;
        wrong.hidden = true;
        go.setAttribute("aria-disabled", "true");  // it keeps the focus
        if (await (acting = tried())) return dialog.close();
        acting = null;
        return go.removeAttribute("aria-disabled");
      } },
      h("p", null, text),
      h("p", null, h("label", { for: "why" }, "Why (for the audit log)"), why),
      box ? h("p", { class: "check" }, box, h("label", { for: "force" }, force)) : null,
      wrong,
      h("p", { class: "row" }, go, h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel")),
    );
    const dialog = open(title, form);
    signal.addEventListener("abort", () => dialog.close());
    dialog.addEventListener("close", async () => resolve(await acting));
  });
}
