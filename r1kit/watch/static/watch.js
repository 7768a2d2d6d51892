// The page: what is chosen lives in the address, what is known comes from the server once a second.
import { ask, duration, el, number, render, seriesColor } from "./dom.js";
import { Chart, sparkline } from "./charts.js";
import { HEADLINES, about, chartsOf } from "./metrics.js";
import { drawMap } from "./map.js";
import { Diagnosis, showPlan } from "./panels.js";
import { Rollouts } from "./rollouts.js";
import { LANGUAGES, language, t } from "./words.js";

const TABS = { curves: "Curves", rollouts: "Rollouts", diagnosis: "Diagnosis", plan: "Plan & machine" };
const EVERY_MS = 1000;
const $ = (id) => document.getElementById(id);

class App {
  constructor() {
    this.runs = [];
    this.open = {};
    this.version = "";
    this.charts = new Map();
    this.visible = new Set();
    this.state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    this.diagnosis = new Diagnosis(this);
    this.rollouts = new Rollouts(this);
    this.curves = el("div", {});
    this.toolbar = el("div", { class: "toolbar" });
    this.grid = el("div", { class: "grid" });
    this.curves.append(this.toolbar, this.grid);
    this.plan = el("div", { class: "plan" });
    this.panels = { curves: this.curves, rollouts: this.rollouts.node, diagnosis: this.diagnosis.node, plan: this.plan };
    this.observer = new IntersectionObserver((seen) => this.onSeen(seen), { rootMargin: "200px" });
    for (const [name, node] of Object.entries(this.panels)) {
      node.id = `panel-${name}`;
      node.setAttribute("role", "tabpanel");
      node.setAttribute("aria-labelledby", `tab-${name}`);
      node.hidden = true;
      $("panels").append(node);
    }
    addEventListener("hashchange", () => {
      this.state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      this.refresh();
    });
    addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => { $("map").dataset.key = ""; this.refresh(); }).observe($("map"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.forgetCharts(); $("runs").dataset.key = ""; this.refresh(); });
    this.poll();
  }

  // Changes what is chosen; "" and undefined take a key out of the address.
  go(changed) {
    const next = { ...this.state, ...changed };
    const kept = Object.entries(next).filter(([, value]) => value !== undefined && value !== "" && value !== null);
    this.state = Object.fromEntries(kept);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
    this.refresh();
  }

  get opened() {
    const names = (this.state.runs ?? "").split(",").filter((name) => this.runs.some((run) => run.id === name));
    return names.length ? names : this.runs.slice(0, 1).map((run) => run.id);
  }

  get main() { return this.opened[0]; }

  get tab() { return TABS[this.state.tab] ? this.state.tab : "curves"; }

  shownRuns(names = this.opened) {
    return names.map((id) => {
      const run = this.runs.find((one) => one.id === id);
      return { id, label: run ? id : id, color: this.runs.indexOf(run) };
    });
  }

  // The stage to show: the chosen one, the one that runs, or the last RL stage that has numbers.
  get stage() {
    const { stages, now } = this.open[this.main];
    const has = (name) => stages.some((stage) => stage.name === name);
    if (has(this.state.stage)) return this.state.stage;
    if (now && this.open[this.main].status === "live" && has(now.stage)) return now.stage;
    const begun = stages.filter((stage) => stage.n_rows);
    return (begun.filter((stage) => stage.is_rl && stage.is_main).at(-1) ?? begun.at(-1) ?? stages[0])?.name;
  }

  async poll() {
    try {
      if (!document.hidden || !this.version) await this.load();
      this.say("");
    } catch (error) {
      this.version = "";
      this.say(error.status ? error.message : t("The page has lost r1 watch; it asks again every second."));
    }
    setTimeout(() => this.poll(), EVERY_MS);
  }

  async load() {
    const state = await ask("/api/runs", { open: this.opened.join(",") || (this.state.runs ?? ""), version: this.version, language });
    if (state === null) return;
    this.version = state.version;
    this.runs = state.runs;
    this.open = state.open;
    await this.refresh();
  }

  say(text) {
    if ($("connection").textContent !== text) $("connection").textContent = text;
  }

  async refresh() {
    if (this.isBusy) { this.isLate = true; return; }
    this.isBusy = true;
    try {
      await this.draw();
    } catch (error) {
      this.say(error.message);
    } finally {
      this.isBusy = false;
      document.documentElement.dataset.ready = this.version;
    }
    if (this.isLate) { this.isLate = false; await this.refresh(); }
  }

  async draw() {
    this.drawRuns();
    if (!this.runs.length) {
      render($("hero"), "empty", () => [el("h2", {}, t("No run yet")), el("p", { class: "soft" }, t("A run that begins in the watched folder appears here by itself."))]);
      return;
    }
    if (this.opened.some((name) => !this.open[name])) { // just chosen
      this.version = "";
      const state = await ask("/api/runs", { open: this.opened.join(","), language });
      [this.runs, this.open, this.version] = [state.runs, state.open, state.version];
    }
    const run = this.open[this.main];
    if (!run) return;
    document.title = `${run.now && run.status === "live" ? `${run.now.stage} ${run.now.step}/${run.now.n_steps} · ` : ""}${run.id} · r1 watch`;
    drawMap($("map"), run, this.stage, (stage) => this.go({ stage, from: "", to: "" }));
    render($("remarks"), run.remarks, () => run.remarks.map((text) => el("p", { class: "remark", role: "alert" }, text)));
    this.drawTabs(run);
    await Promise.all([this.drawHero(run), this.tab === "curves" ? this.drawCurves(run) : null]);
    if (this.tab === "rollouts") await this.rollouts.show(run);
    if (this.tab === "diagnosis") await this.diagnosis.show(run);
    if (this.tab === "plan") showPlan(this.plan, run);
  }

  drawRuns() {
    const opened = this.opened;
    render($("runs"), [this.runs, opened], () => this.runs.map((run, index) => el("span", { class: `run ${run.status}` },
      el("input", { type: "checkbox", checked: opened.includes(run.id), "aria-label": t("Show {0} too", run.id), "data-focus": `check-${run.id}`,
                    style: { "accent-color": seriesColor(index) }, onchange: (event) => this.toggle(run.id, event.target.checked) }),
      el("button", { type: "button", "data-focus": `run-${run.id}`, "aria-pressed": String(run.id === opened[0]), title: run.path, onclick: () => this.go({ runs: run.id, group: "", place: "", step: "", from_stage: "", problem: "", from: "", to: "" }) },
        el("i", { class: "dot", style: { background: seriesColor(index) } }), run.id, el("small", { class: "soft" }, ` ${run.status === "unknown" ? "" : t(run.status)}`)))));
  }

  toggle(name, isOn) {
    const names = isOn ? [...this.opened, name] : this.opened.filter((one) => one !== name);
    this.go({ runs: names.join(",") || this.main });
  }

  drawTabs(run) {
    const n = run.findings.filter((finding) => finding.level === "warning").length;
    render($("tabs"), [this.tab, n], () => Object.entries(TABS).map(([name, text]) => el("button", {
      type: "button", role: "tab", id: `tab-${name}`, "data-focus": name, "aria-selected": String(name === this.tab), "aria-controls": `panel-${name}`,
      tabindex: name === this.tab ? "0" : "-1", onclick: () => this.go({ tab: name }), onkeydown: (event) => this.onTabKey(event, name) },
      t(text), name === "diagnosis" && n ? el("span", { class: "badge", "aria-label": t("{0} warnings", n) }, String(n)) : null)));
    for (const [name, node] of Object.entries(this.panels)) node.hidden = name !== this.tab;
  }

  onTabKey(event, name) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const names = Object.keys(TABS);
    const next = names[(names.indexOf(name) + by + names.length) % names.length];
    this.go({ tab: next });
    $(`tab-${next}`).focus();
  }

  async drawHero(run) {
    const stage = run.stages.find((one) => one.name === this.stage);
    if (!stage) { render($("hero"), [run.id], () => [el("h2", {}, run.id), el("p", { class: "soft" }, t("The run has begun; its first stage has not."))]); return; }
    const headline = (stage.is_rl ? HEADLINES.rl : HEADLINES.supervised).filter((name) => stage.metrics.includes(name));
    const key = [run.id, stage.name, stage.n_rows];
    if (JSON.stringify(this.headKey) !== JSON.stringify(key)) {
      this.head = headline.length ? (await ask("/api/curves", { runs: run.id, stage: stage.name, metrics: headline.join(","), width: 30, smooth: 0.6 })).charts : {};
      this.headKey = key;
    }
    render($("hero"), [key, run.now, run.status, stage.resident_mb, run.load], () => [
      el("div", { class: "where" },
        el("p", { class: "soft" }, el("span", { class: `status ${run.status}` }, t(run.status === "unknown" ? "no sign of life" : run.status)), ` ${run.name}${run.seed === null ? "" : ` · ${t("seed {0}", run.seed)}`}`),
        el("h2", {}, stage.title, " ", el("span", { class: "soft" }, stage.n_steps ? `${number(stage.step)} / ${number(stage.n_steps)}` : stage.n_rows ? t("step {0}", number(stage.step)) : t("not begun"))),
        el("p", { class: "soft" }, told(run, stage))),
      el("div", { class: "tiles" }, headline.map((name) => tile(name, this.head[name]?.[run.id])),
        stage.resident_mb ? el("div", { class: "tile" }, el("span", { class: "soft" }, t("Memory")), el("b", {}, number(stage.resident_mb, "MB")), el("small", { class: "soft" }, stage.peak_mb ? t("peak of a process {0}", number(stage.peak_mb, "MB")) : t("all processes"))) : null,
        run.load ? el("div", { class: "tile" }, el("span", { class: "soft" }, "CPU"), el("b", {}, t("{0} cores", number(run.load.cores))), el("small", { class: "soft" }, t("machine of {0} cores {1} busy", run.load.n_cores, number(run.load.busy, "%")))) : null),
    ]);
  }

  async drawCurves(run) {
    const stage = run.stages.find((one) => one.name === this.stage);
    const { state, opened } = this;
    const runs = opened.map((name) => this.open[name]).filter(Boolean);
    const metrics = [...new Set(runs.flatMap((one) => one.stages.find((other) => other.name === this.stage)?.metrics ?? []))];
    const wanted = (state.find ?? "").toLowerCase();
    const specs = chartsOf(metrics).filter((spec) => `${spec.title} ${spec.id} ${spec.metrics.join(" ")}`.toLowerCase().includes(wanted));
    const areSeeds = runs.length > 1 && runs.every((one) => one.seed_group && one.seed_group === runs[0].seed_group);
    this.drawToolbar(areSeeds);
    for (const spec of specs) {
      const key = JSON.stringify([spec.id, spec.metrics]);
      if (!this.charts.has(key)) {
        const chart = new Chart(spec, { onzoom: (from, to) => this.go({ from: from ?? "", to: to ?? "" }) });
        this.charts.set(key, chart);
        this.observer.observe(chart.node);
      }
    }
    const shown = specs.map((spec) => this.charts.get(JSON.stringify([spec.id, spec.metrics])));
    if (shown.length !== this.grid.childElementCount || shown.some((chart, i) => this.grid.children[i] !== chart.node)) {
      this.grid.replaceChildren(...shown.map((chart) => chart.node));
    }
    if (!shown.length) this.grid.replaceChildren(el("p", { class: "soft" }, stage?.n_rows ? t("No metric has this name.") : t("This stage has no numbers yet.")));
    const smooth = Number(state.smooth ?? 0);
    const isFirst = !shown.some((chart) => this.visible.has(chart.node)); // the observer has not told yet
    const due = shown.filter((chart, i) => (isFirst ? i < 6 : this.visible.has(chart.node)));
    const names = [...new Set(due.flatMap((chart) => chart.spec.metrics))];
    const key = JSON.stringify([opened, this.stage, names, state.from, state.to, smooth, state.band, state.log, runs.map((one) => one.stages.find((other) => other.name === this.stage)?.n_rows), this.grid.clientWidth]);
    if (!names.length || this.curvesKey === key) return;
    const width = due[0]?.plot.clientWidth || 400;
    const together = new Set(due.filter((chart) => chart.spec.together).flatMap((chart) => chart.spec.metrics));
    const isBand = areSeeds && state.band !== "0";
    const asked = { runs: opened.join(","), stage: this.stage, width, from: state.from, to: state.to, smooth };
    const [alone, grouped] = await Promise.all([
      ask("/api/curves", { ...asked, metrics: names.join(","), band: isBand ? 1 : 0 }),
      isBand && together.size ? ask("/api/curves", { ...asked, metrics: [...together].join(",") }) : null,
    ]);
    const view = { runs: this.shownRuns(), main: this.main, smooth, log: state.log === "1" };
    for (const chart of due) chart.show(chart.spec.together && grouped ? grouped.charts : alone.charts, view);
    this.curvesKey = key;
  }

  drawToolbar(areSeeds) {
    const { state } = this;
    const smooth = Number(state.smooth ?? 0);
    render(this.toolbar, [smooth, state.log, state.band, state.from, state.to, state.find, areSeeds], () => [
      el("label", {}, t("Smoothing"), el("input", { type: "range", min: "0", max: "0.98", step: "0.02", value: String(smooth), "data-focus": "smooth", "aria-valuetext": smooth ? `exponential average, weight ${smooth}` : t("off"),
        oninput: (event) => this.go({ smooth: event.target.value === "0" ? "" : event.target.value }) }), el("output", {}, smooth ? `EMA ${smooth}` : t("off"))),
      el("label", {}, el("input", { type: "checkbox", checked: state.log === "1", "data-focus": "log", onchange: (event) => this.go({ log: event.target.checked ? "1" : "" }) }), t("Log axis")),
      areSeeds ? el("label", {}, el("input", { type: "checkbox", checked: state.band !== "0", "data-focus": "band", onchange: (event) => this.go({ band: event.target.checked ? "" : "0" }) }), t("Seeds as a band")) : null,
      el("label", {}, el("span", { class: "hidden" }, t("Find a metric")), el("input", { type: "search", placeholder: t("Find a metric"), value: state.find ?? "", "data-focus": "find", oninput: (event) => this.go({ find: event.target.value }) })),
      state.from || state.to ? el("button", { type: "button", class: "on", onclick: () => this.go({ from: "", to: "" }) }, t("Steps {0} – {1} ✕", number(Number(state.from || 0)), state.to ? number(Number(state.to)) : t("end")))
        : el("span", { class: "soft hint" }, t("Drag over a curve to zoom, double-click to see all.")),
    ]);
  }

  onSeen(seen) {
    for (const { target, isIntersecting } of seen) this.visible[isIntersecting ? "add" : "delete"](target);
    if (this.version) this.refresh();
  }

  forgetCharts() {
    for (const chart of this.charts.values()) { chart.close(); this.observer.unobserve(chart.node); }
    this.charts.clear();
    this.visible.clear();
    this.curvesKey = "";
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const tab = Object.keys(TABS)[Number(event.key) - 1];
    if (tab) this.go({ tab });
    if (this.tab !== "rollouts") return;
    if (event.key === "j") this.rollouts.move(1);
    if (event.key === "k") this.rollouts.move(-1);
    if (event.key === "[") this.rollouts.moveStep(-1);
    if (event.key === "]") this.rollouts.moveStep(1);
  }
}

function told(run, stage) {
  const { now } = run;
  const isHere = now && now.stage === stage.name && run.status === "live";
  const words = [];
  if (isHere && !now.is_training) words.push(`${now.what}, ${t("{0} of {1}", number(now.step), number(now.n_steps))}`);
  if (isHere && now.seconds_left !== null) words.push(t("{0} left in this stage", duration(now.seconds_left)));
  if (stage.step_s) words.push(t("{0} per step", duration(stage.step_s)));
  if (stage.wall_s) words.push(t("{0} spent", duration(stage.wall_s)));
  if (stage.weights_from) words.push(t("weights from {0}", stage.weights_from));
  return words.join(" · ");
}

function tile(name, curve) {
  const values = (curve?.y ?? []).filter((value) => value !== null);
  const { title, unit } = about(name);
  return el("div", { class: "tile" }, el("span", { class: "soft" }, t(title)), el("b", {}, number(values.at(-1), unit)),
    el("small", { class: "soft" }, values.length > 1 ? t("from {0}", number(values[0], unit)) : ""), sparkline(values));
}

document.documentElement.lang = language;
document.querySelector("header").append(el("select", { class: "language", "aria-label": t("Language"), onchange: (event) => {
  const state = new URLSearchParams(location.hash.slice(1));
  state.set("lang", event.target.value);
  location.hash = state;
  location.reload();
} }, Object.entries(LANGUAGES).map(([value, text]) => el("option", { value, selected: value === language, lang: value }, text))));
new App();
