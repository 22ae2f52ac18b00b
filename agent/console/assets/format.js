// Figures and times for people.

export const whole = (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en"));

export const share = (n, digits = 1) => (n === null || n === undefined ? "–" : `${(100 * n).toFixed(digits)} %`);

const minus = (text) => text.replace("-", "−");

export const signed = (n, digits = 4) =>
  n === null || n === undefined ? "–" : minus(`${n >= 0 ? "+" : ""}${n.toFixed(digits)}`);

export const signedShare = (n) => (n === null || n === undefined ? "?" : minus(`${n >= 0 ? "+" : ""}${(100 * n).toFixed(1)} %`));

export const figure = (n) =>
  n === null || n === undefined ? "no number" : minus(String(Number(n.toPrecision(4))));

export const bounds = (one, digits = 4) =>
  `${signed(one.mean, digits)} (${signed(one.low, digits)} to ${signed(one.high, digits)})`;

export const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "");

export const time = (ms) => (ms ? new Date(ms).toLocaleString("en-GB") : "at an unknown time");

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "";
  for (const [name, unit] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= unit) return `${Math.round(seconds / unit)} ${name}`;
  }
  return `${Math.round(seconds)} s`;
}

export function lift(one) {
  if (!one) return "not measured";
  const [low, high] = one.interval;
  if (one.of === "clicks") return `${signedShare(one.mean)} clicks (${signedShare(low)} to ${signedShare(high)})`;
  return `reward ${signed(one.mean)} (${signed(low)} to ${signed(high)})`;
}
