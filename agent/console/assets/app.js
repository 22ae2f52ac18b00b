// The shell: which page is shown, the key, the theme.

import { h, problem, say } from "./dom.js";
import * as api from "./api.js";
import { askKey } from "./dialog.js";
import * as trying from "./try.js";
import * as live from "./live.js";
import * as queries from "./queries.js";
import * as query from "./query.js";
import * as versions from "./versions.js";
import * as version from "./version.js";
import * as health from "./health.js";

const PAGES = { try: trying, live, queries, query, versions, version, health };
const OF = { query: "queries", version: "versions" };
const THEMES = ["auto", "light", "dark"];
const main = document.getElementById("main");
let leaving = new AbortController();

async function show({ focus = true } = {}) {
  const [, name = "try", ...rest] = location.hash.split("/");
  if (location.hash && !location.hash.startsWith("#/")) return;
  const page = PAGES[name] ?? trying;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#/${OF[name] ?? (PAGES[name] ? name : "try")}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = h("h1", { tabindex: -1 }, page.title);
  const body = h("div", { class: "page" });
  main.replaceChildren(title, body);
  main.setAttribute("aria-busy", "true");
  document.title = `${page.title} – Unseen console`;
  if (focus) title.focus({ preventScroll: false });
  try {
    await page.show(body, rest.map(decodeURIComponent), signal, title);
  } catch (error) {
    if (!signal.aborted) body.replaceChildren(problem(error));
  }
  if (!signal.aborted) main.removeAttribute("aria-busy");
}

async function tellWho() {
  const { name, acts, tenant } = await api.get("who");
  document.getElementById("tenant").textContent = tenant;
  document.getElementById("who").textContent = acts ? `key ${name}` : "read only";
  document.body.dataset.acts = String(acts);
}

function setTheme(theme) {
  localStorage.setItem("unseen-theme", theme);
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = `Theme: ${theme}`;
}

async function changeKey() {
  if (await askKey()) {
    await tellWho();
    await show();
    say("The key is kept for this tab.");
  }
}

setTheme(THEMES.includes(localStorage.getItem("unseen-theme")) ? localStorage.getItem("unseen-theme") : "auto");
document.getElementById("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
});
document.getElementById("key").addEventListener("click", () => changeKey().catch((error) => main.replaceChildren(problem(error))));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
api.onKeyNeeded(async () => { api.keep(""); return askKey(); });
addEventListener("hashchange", () => show());

try {
  if ((await api.door()).keyed && !api.key()) await askKey();
  await tellWho();
  await show({ focus: false });
} catch (error) {
  main.replaceChildren(h("h1", null, "Unseen console"), problem(error));
}
