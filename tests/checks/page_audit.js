// Run in a page: what breaks WCAG AA there that can be found by looking. Returns sentences; none: nothing was found.
(() => {
  const found = [];
  const name = (one) => `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ""} "${(one.innerText || one.getAttribute("aria-label") || "").trim().slice(0, 40)}"`;
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = (colour) => colour.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [low, high] = [light(a), light(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };
  const behind = (one) => {
    const layers = [];
    for (let node = one; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((under, colour) => over(colour, under), [255, 255, 255, 1]);
  };
  const seen = (one) => one.checkVisibility({ checkVisibilityCSS: true }) && one.getBoundingClientRect().width > 1;
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !seen(one) || one.disabled) continue;
    const style = getComputedStyle(one);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && parseInt(style.fontWeight) >= 700);
    const back = behind(one);
    const colour = one instanceof SVGElement ? style.fill : style.color;
    const is = ratio(over(rgba(colour), back), back);
    if (is < (large ? 3 : 4.5)) found.push(`contrast ${is.toFixed(2)}: ${name(one)}`);
  }
  for (const one of document.querySelectorAll("input, select, textarea")) {
    if (!one.labels.length && !one.getAttribute("aria-label")) found.push(`no label: ${name(one)}`);
    const style = getComputedStyle(one);
    if (seen(one) && one.type !== "checkbox" && ratio(rgba(style.borderColor), behind(one.parentElement)) < 3) found.push(`edge too faint: ${name(one)}`);
  }
  for (const one of document.querySelectorAll("button, a, summary, dialog, nav, [role=region], [role=img], section[aria-label]")) {
    const said = one.getAttribute("aria-label") ?? document.getElementById(one.getAttribute("aria-labelledby"))?.innerText ?? one.innerText ?? one.textContent;
    if (!said.trim()) found.push(`no name: ${name(one)}`);
  }
  for (const one of document.querySelectorAll("button, a, input, select, summary")) {
    const { width, height } = one.getBoundingClientRect();
    if (seen(one) && !one.closest("p, td, th, dd, li") && Math.min(width, height) < 24) found.push(`too small to hit: ${name(one)}`);
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("there is not one h1");
  const levels = [...document.querySelectorAll("h1, h2, h3")].map((one) => Number(one.tagName[1]));
  if (levels.some((level, i) => i && level > levels[i - 1] + 1)) found.push(`headings leave a level out: ${levels}`);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  if (new Set(ids).size < ids.length) found.push(`one id stands twice: ${ids}`);
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.trim()) found.push("no title");
  for (const landmark of ["main", "body > header"]) if (document.querySelectorAll(landmark).length !== 1) found.push(`there is not one ${landmark}`);
  if (document.querySelectorAll("body > footer").length > 1) found.push("more than one footer of the page");  // one is a landmark: contentinfo
  const landmarks = [...document.querySelectorAll("nav, [role=search], dialog")].map((one) => `${one.tagName} ${one.getAttribute("aria-label") ?? ""}`);
  if (new Set(landmarks).size < landmarks.length) found.push(`landmarks of one name: ${landmarks}`);
  for (const one of document.querySelectorAll("body > :not(header, main, footer, dialog, .skip, .hidden, noscript)")) if (seen(one) && one.innerText.trim()) found.push(`outside every landmark: ${name(one)}`);
  for (const one of document.querySelectorAll("img, svg, canvas, [role=img]")) {
    const hidden = one.closest("[aria-hidden=true]");
    const told = one.getAttribute("aria-label") || one.getAttribute("alt") || one.querySelector(":scope > title");
    if (!hidden && one.getAttribute("alt") !== "" && !told) found.push(`a picture without words: ${name(one)}`);
    if (!hidden && one instanceof SVGElement && !one.parentElement.closest("svg") && one.getAttribute("role") !== "img") found.push(`a drawing that is no img: ${name(one)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the screen: ${document.documentElement.scrollWidth} > ${innerWidth}`);
  for (const one of document.querySelectorAll("table")) if (!one.querySelector("th[scope]")) found.push("a table without heads");
  return found;
})()
