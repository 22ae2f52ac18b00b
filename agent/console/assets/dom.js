// Makes elements. All text goes in as text: nothing here, or anywhere in the console, takes HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Says something to screen readers without moving the focus.
export function say(text) {
  document.getElementById("said").textContent = text;
}

// Draws a place anew and keeps the focus: on what bears the same name then, else on the page's heading.
export function redraw(place, ...children) {
  const held = place.contains(document.activeElement) ? document.activeElement : null;
  const { top, bottom } = (held ?? place).getBoundingClientRect();
  place.replaceChildren(...children);
  if (!held) return;
  const same = held.dataset.name && [...place.querySelectorAll("[data-name]")].find((one) => one.dataset.name === held.dataset.name && !one.disabled);
  if (same) same.focus({ preventScroll: bottom <= 0 || top >= innerHeight });  // whoever scrolled away is not fetched back
  else document.querySelector("h1")?.focus();
}

export const problem = (error) => h("p", { class: "problem", role: "alert" }, error.message ?? String(error));

// Shows an error under the heading of whichever page is there by now.
export function tell(error) {
  for (const one of document.querySelectorAll("main > .problem")) one.remove();
  document.querySelector("h1")?.after(problem(error));
}

export const badge = (text, kind = "") => h("span", { class: `badge ${kind}` }, text);

// A table that scrolls by itself where the screen is narrow; reachable by keyboard.
export function table(label, heads, rows) {
  const head = heads.map((one) =>
    h("th", { scope: "col", class: one.class ?? null, "aria-sort": one.sort ?? null }, one.node ?? one.text ?? one),
  );
  return h(
    "div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label, "data-name": label },
    h("table", null, h("thead", null, h("tr", null, head)), h("tbody", null, rows)),
  );
}

export const cell = (content, kind = null) => h("td", { class: kind }, content);

export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
