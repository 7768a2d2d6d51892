// A chart: a card with a title, the values under the pointer, and curves drawn by uPlot.
import { color, el, number, seriesColor } from "./dom.js";
import { shortName } from "./metrics.js";
import { t } from "./words.js";

const HEIGHT = 190;

export class Chart {
  // view: {onzoom(from, to), onmove(step)}; a move is shown in all charts
  constructor(spec, view) {
    this.spec = spec;
    this.view = view;
    this.legend = el("div", { class: "legend" });
    this.note = el("p", { class: "aside" });
    this.plot = el("div", { class: "plot", tabindex: "0", role: "img", "aria-label": t(spec.title) });
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.node = el("figure", { class: "card chart", "data-chart": spec.id },
      el("figcaption", {}, el("h3", {}, t(spec.title)), el("p", { class: "soft" }, t(spec.meaning))),
      this.legend, this.plot, this.note);
  }

  // data: {metric: {run: {x, y, raw_x, raw_y} | band: {x, y, low, high, n}}}
  show(data, { runs, main, smooth, log }) {
    const series = this.seriesOf(data, runs, main);
    const tables = [];
    const options = [];
    for (const one of series) {
      if (one.raw) {
        tables.push([one.raw.x, one.raw.y]);
        options.push({ stroke: one.stroke, width: 1, alpha: 0.28, points: { show: false } });
      }
      tables.push(one.low ? [one.x, one.y, one.low, one.high] : [one.x, one.y]);
      options.push({ label: one.label, stroke: one.stroke, width: 1.8, isShown: true,
                     points: { show: one.x.length < 2, size: 5, fill: one.stroke } });
      if (one.low) {
        const edge = { stroke: "transparent", width: 0, points: { show: false } };
        options.push(edge, edge);
      }
    }
    const isBand = series.some((one) => one.low);
    const values = tables.flatMap((table) => table.slice(1)).flat().filter((value) => value !== null);
    const isLog = log && values.length > 0 && Math.min(...extent(values)) > 0;
    const notes = [];
    if (smooth > 0 && series.length) notes.push(isBand ? t("Smoothed (EMA {0}).", smooth) : t("Smoothed (EMA {0}); the raw values are behind.", smooth));
    if (log && !isLog && values.length) notes.push(t("Linear: a log axis has no place for values of 0 or below."));
    if (isBand) notes.push(t("Line: mean of {0} seeds. Band: lowest to highest.", Math.max(...series.map((one) => one.n ?? 0))));
    if (this.spec.together && runs.length > 1) notes.push(t("Of {0} alone.", main));
    if (!values.length) notes.push(t("No numbers yet."));
    this.note.textContent = notes.join(" ");
    this.series = series;
    const data_ = tables.length ? (tables.length > 1 ? uPlot.join(tables) : tables[0]) : [[], []];
    this.draw(data_, options.length ? options : [{}], isLog, isBand);
    this.showValues(null);
  }

  seriesOf(data, runs, main) {
    if (this.spec.together) {
      return this.spec.metrics.filter((name) => data[name]?.[main]).map((name, index) => (
        { ...points(data[name][main]), label: shortName(name), stroke: seriesColor(index) }));
    }
    const found = data[this.spec.metrics[0]] ?? {};
    if (found.band) return [{ ...found.band, label: t("mean of {0} seeds", found.band.n), stroke: seriesColor(runs.find((run) => run.id === main)?.color ?? 0) }];
    return runs.filter((run) => found[run.id]).map((run) => (
      { ...points(found[run.id]), label: run.label, stroke: seriesColor(run.color) }));
  }

  draw(data, options, isLog, isBand) {
    const width = Math.max(200, this.plot.clientWidth);
    const shape = JSON.stringify([options.map((one) => [one.stroke, one.alpha, one.points]), isLog, isBand, color("--ink")]);
    if (this.uplot && this.shape === shape) {
      if (this.uplot.width !== width) this.uplot.setSize({ width, height: HEIGHT });
      this.uplot.setData(data);
      return;
    }
    this.uplot?.destroy();
    this.shape = shape;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false },
                   font: "11px system-ui, sans-serif", gap: 4 };
    const bands = isBand ? options.flatMap((one, i) => (one.isShown ? [{ series: [i + 3, i + 2], fill: fade(one.stroke) }] : [])) : [];
    this.uplot = new uPlot({
      width, height: HEIGHT, padding: [8, 8, 0, 0], bands, legend: { show: false },
      scales: { x: { time: false }, y: { distr: isLog ? 3 : 1, range: isLog ? undefined : padded } },
      axes: [{ ...axis, size: 24, space: 60 },
             { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => this.tick(tick)) }],
      series: [{}, ...options.map(({ isShown, ...one }) => one)],
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, sync: { key: "step", setSeries: false },
                points: { size: 6 }, bind: { dblclick: () => () => { this.view.onzoom(null, null); return null; } } },
      hooks: { setCursor: [(u) => this.showValues(u.cursor.idx)],
               setSelect: [(u) => this.onSelect(u)] },
    }, data, this.plot);
    this.plot.querySelectorAll("canvas").forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
  }

  tick(value) {
    if (value === null || value === undefined) return "";
    return this.spec.unit === "%" ? `${Number((100 * value).toPrecision(4))} %` : number(value, this.spec.unit);
  }

  onSelect(u) {
    if (u.select.width < 4) return;
    const [from, to] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.view.onzoom(Math.floor(from), Math.ceil(to));
  }

  onKey(event) {
    const u = this.uplot;
    if (!u || !u.data[0].length) return;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) {
      const last = u.data[0].length - 1;
      this.at = Math.min(last, Math.max(0, (this.at ?? last) + move * (event.shiftKey ? 10 : 1)));
      u.setCursor({ left: u.valToPos(u.data[0][this.at], "x"), top: 10 });
      this.plot.setAttribute("aria-label", this.described(this.at));
    } else if (event.key === "+" || event.key === "-") {
      const [low, high] = [u.scales.x.min, u.scales.x.max];
      const middle = u.cursor.idx === null || u.cursor.idx === undefined ? (low + high) / 2 : u.data[0][u.cursor.idx];
      const half = (high - low) * (event.key === "+" ? 0.25 : 1);
      this.view.onzoom(Math.max(0, Math.floor(middle - half)), Math.ceil(middle + half));
    } else if (event.key === "0") this.view.onzoom(null, null);
    else return;
    event.preventDefault();
  }

  described(index) {
    const step = index === null || !this.uplot ? null : this.uplot.data[0][index];
    const told = this.series.map((one) => `${one.label} ${number(valueAt(one, step), this.spec.unit)}`);
    return `${t(this.spec.title)}${step === null || step === undefined ? "" : `, step ${step}`}: ${told.join(", ") || "no numbers yet"}`;
  }

  showValues(index) {
    if (!this.series) return;
    const isAt = index !== null && index !== undefined && this.uplot;
    const step = isAt ? this.uplot.data[0][index] : null;
    this.legend.replaceChildren(
      ...this.series.slice(0, 12).map((one) => el("span", { class: "entry" },
        el("i", { style: { background: one.stroke } }),
        this.series.length > 1 || one.low ? el("span", { class: "soft" }, one.label) : null,
        el("b", {}, number(valueAt(one, step), this.spec.unit)),
        one.low ? el("span", { class: "soft" }, `${number(valueAt({ x: one.x, y: one.low }, step), this.spec.unit)} – ${number(valueAt({ x: one.x, y: one.high }, step), this.spec.unit)}`) : null)),
      el("span", { class: "at soft" }, isAt ? t("step {0}", number(step)) : t("latest")));
    if (!isAt) this.plot.setAttribute("aria-label", `${this.described(null)}. Arrow keys move along the curve, plus and minus zoom.`);
  }

  close() {
    this.uplot?.destroy();
    this.uplot = null;
  }
}

const points = (curve) => ({ x: curve.x, y: curve.y, raw: curve.raw_x ? { x: curve.raw_x, y: curve.raw_y } : null });

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return [low, high];
}

function padded(_, low, high) {
  if (low === null || high === null) return [0, 1];
  const space = (high - low || Math.abs(high) || 1) * 0.08;
  return [low >= 0 && low - space < 0 ? 0 : low - space, high + space];
}

// The value of a series at a step, or the nearest one before it; the last one without a step.
function valueAt({ x, y }, step) {
  let index = x.length - 1;
  if (step !== null && step !== undefined) while (index > 0 && x[index] > step) index -= 1;
  while (index > 0 && y[index] === null) index -= 1;
  return y[index];
}

function fade(stroke) {
  return `${stroke}30`;  // the colours are written as #rrggbb
}

export function sparkline(values, name) {
  const clean = values.filter((value) => value !== null);
  const space = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  space.setAttribute("viewBox", "0 0 100 28");
  space.setAttribute("preserveAspectRatio", "none");
  space.setAttribute("class", "spark");
  space.setAttribute("aria-hidden", "true");
  if (clean.length < 2) return space;
  const [low, high] = extent(clean);
  const at = (value, index) => `${(index / (clean.length - 1)) * 100},${26 - ((value - low) / (high - low || 1)) * 24}`;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", clean.map(at).join(" "));
  space.append(line);
  return space;
}
