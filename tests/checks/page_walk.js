// Run in a page: what Tab should reach, and what of the element in focus can be seen. A walk calls both by turns.
(() => {
  const REACHABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
  const seen = (one) => one.checkVisibility({ checkVisibilityCSS: true });
  const name = (one) => `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ""} "${(one.getAttribute("aria-label") || one.innerText || "").trim().slice(0, 40)}"`;
  window.reachable = () => [...document.querySelectorAll(REACHABLE)].filter((one) => one.tabIndex >= 0 && !one.disabled && seen(one));
  window.begin = () => { document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); window.visited = []; };
  // Returns null where the focus has left the page, else what is wrong with how it shows.
  window.focused = () => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const faults = [];
    window.visited.push(one);
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(one);
    const ring = outlineStyle === "auto" || (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2);
    if (!ring && boxShadow === "none") faults.push(`its focus is not seen: ${name(one)}`);
    const { left, top, right, bottom } = one.getBoundingClientRect();
    if (right <= 0 || bottom <= 0 || left >= innerWidth || top >= innerHeight) faults.push(`in focus and out of sight: ${name(one)}`);
    return faults;
  };
  window.walked = () => {
    const wanted = window.reachable(), found = [];
    for (const one of wanted) if (!window.visited.includes(one)) found.push(`Tab does not reach ${name(one)}`);
    const order = window.visited.map((one) => wanted.indexOf(one)).filter((at) => at >= 0);
    if (order.some((at, i) => i && at < order[i - 1])) found.push(`out of order: ${window.visited.map(name).join(", ")}`);
    return found;
  };
  window.moving = () => [...document.querySelectorAll("body, body *")].filter((one) => {
    const { transitionDuration, animationName, animationDuration, scrollBehavior } = getComputedStyle(one);
    const lasts = (times) => times.split(",").some((time) => parseFloat(time) > 0.01);
    return lasts(transitionDuration) || (animationName !== "none" && lasts(animationDuration)) || scrollBehavior === "smooth";
  }).map(name);
})()
