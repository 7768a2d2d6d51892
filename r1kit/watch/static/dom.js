// Elements, numbers and requests. A text only ever becomes a text node: nothing a model wrote is markup.
import { t } from "./words.js";

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, one] of Object.entries(value)) node.style.setProperty(name, one);
    else if (key === "value") node.value = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Replaces the content of a node unless it is what is there already: focus and scroll positions stay.
export function render(node, key, make) {
  const text = JSON.stringify(key);
  if (node.dataset.key === text) return;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  node.dataset.key = text;
  node.replaceChildren(...[make()].flat(3).filter(Boolean));
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

export async function ask(path, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const response = await fetch(`${path}?${new URLSearchParams(filled)}`, { signal: AbortSignal.timeout(20000) });
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.error ?? response.statusText), { status: response.status });
  return body;
}

export function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (unit === "%") return `${(100 * value).toFixed(1)} %`;
  if (unit === "MB") return value >= 1000 ? `${(value / 1000).toFixed(value >= 1e5 ? 0 : 1)} GB` : `${value.toFixed(0)} MB`;
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en");
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.round(seconds);
  const [h, m] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60)];
  if (h >= 48) return t("{0} d {1} h", Math.floor(h / 24), h % 24);
  if (h) return t("{0} h {1} min", h, String(m).padStart(2, "0"));
  if (m >= 10) return t("{0} min", m);
  if (m) return t("{0} min {1} s", m, String(s % 60).padStart(2, "0"));
  return t("{0} s", seconds < 10 && seconds > 0 ? seconds.toFixed(1) : s);
}

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export const seriesColor = (index) => color(`--c${index % 8}`);

export async function copy(text, button) {
  const label = button.dataset.label ??= button.textContent;  // a second click comes while it says "Copied"
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = t("Copied");
  } catch {
    button.textContent = t("Not allowed by the browser");
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
