// Asks the gateway. The key is kept for this tab alone, and goes nowhere but into the header.

const KEY = "unseen-key";
let askForKey = async () => null;
let asking = null;

export const key = () => sessionStorage.getItem(KEY) ?? "";
export const keep = (given) => (given ? sessionStorage.setItem(KEY, given) : sessionStorage.removeItem(KEY));
export const onKeyNeeded = (ask) => (askForKey = ask);

async function asked(path, options) {
  const headers = { "X-Unseen-Console": "1", ...(options.body ? { "Content-Type": "application/json" } : {}) };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The gateway does not answer.");
  }
  if (answer.status === 401) {
    asking ??= askForKey().finally(() => (asking = null));
    if (await asking) return asked(path, options);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.detail ?? `The gateway answers ${answer.status}.`), { status: answer.status });
  return said;
}

export const door = async () => (await fetch("door.json", { cache: "no-store" })).json();

export function get(name, parameters = {}, signal = undefined) {
  const named = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
  return asked(`api/${name}?${named}`, { signal });
}

export const post = (name, body) => asked(`api/${name}`, { method: "POST", body: JSON.stringify(body) });
