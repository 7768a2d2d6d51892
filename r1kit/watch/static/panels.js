// The diagnosis, each finding with its curves; and the plan beside what was measured.
import { ask, copy, duration, el, number, render } from "./dom.js";
import { Chart } from "./charts.js";
import { about } from "./metrics.js";
import { t } from "./words.js";

const LEVEL = { warning: "Warning", note: "Note", fine: "Fine" };

export class Diagnosis {
  constructor(app) {
    this.app = app;
    this.node = el("div", {});
    this.charts = [];
  }

  async show(run) {
    const key = [run.id, run.findings];
    const isSame = this.node.dataset.key === JSON.stringify(key);
    if (!isSame) {
      this.charts.forEach(({ chart }) => chart.close());
      this.charts = [];
      render(this.node, key, () => (run.findings.length ? sorted(run.findings).map((finding) => this.card(finding)) : el("p", { class: "soft" }, t("Nothing to diagnose yet: no step is done."))));
    }
    await Promise.all(this.charts.map(async ({ chart, stage }) => {
      const { charts } = await ask("/api/curves", { runs: run.id, stage, metrics: chart.spec.id, width: 400, smooth: 0 });
      chart.show(charts, { runs: this.app.shownRuns([run.id]), main: run.id, smooth: 0, log: false });
    }));
  }

  card(finding) {
    const charts = finding.level === "fine" ? [] : finding.curves.map((metric) => {
      const chart = new Chart({ id: metric, metrics: [metric], ...about(metric) }, { onzoom: () => this.app.go({ tab: "curves", stage: finding.stage }) });
      this.charts.push({ chart, stage: finding.stage });
      return chart.node;
    });
    return el("article", { class: `finding ${finding.level}` },
      el("div", { class: "words" },
        el("h3", {}, el("span", { class: "level" }, t(LEVEL[finding.level])), finding.title,
          finding.stage ? el("button", { class: "link", type: "button", onclick: () => this.app.go({ tab: "curves", stage: finding.stage }) }, finding.stage) : null),
        el("p", {}, finding.observation, " ", finding.cause),
        finding.action ? el("p", { class: "action" }, finding.action) : null),
      charts.length ? el("div", { class: "shown" }, charts) : null);
  }
}

function sorted(findings) {
  const fine = findings.filter((finding) => finding.level === "fine");
  const others = findings.filter((finding) => finding.level !== "fine");
  if (fine.length < 2) return [...others, ...fine];
  const stages = fine.map((finding) => finding.stage).join(", ");
  return [...others, { ...fine[0], stage: "", observation: stages, cause: "", action: "", curves: [] }];
}

export function showPlan(node, run) {
  render(node, [run.id, run.stages, run.machine, run.money], () => {
    const planned = run.stages.some((stage) => stage.plan);
    const head = ["stage", "steps", "s per step", "planned, at most", "time", "planned, at most", "peak memory", "planned", "pass@1"];
    const rows = run.stages.map((stage) => [stage.name, stage.n_steps ? `${number(stage.step)} / ${number(stage.n_steps)}` : number(stage.step),
      number(stage.step_s), stage.plan ? [stage.plan.expected_step_s, stage.plan.step_s].filter((one) => one !== undefined).map((one) => number(one)).join(" … ") : "–",
      duration(stage.wall_s), stage.plan ? duration(stage.plan.wall_s) : "–", number(stage.peak_mb, "MB"), stage.plan ? number(stage.plan.peak_mb, "MB") : "–",
      number(stage.pass_at_1, "%")]);
    const shown = planned ? head.map((_, i) => i) : [0, 1, 2, 4, 6, 8];
    const machine = Object.entries(run.machine).filter(([key, value]) => key !== "command" && value !== null && value !== undefined && String(value) !== "");
    const spent = run.stages.reduce((sum, stage) => sum + (stage.wall_s ?? 0), 0);
    return [
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Stages" }, el("table", {},
        el("thead", {}, el("tr", {}, shown.map((i) => el("th", { scope: "col", class: i ? "num" : null }, t(head[i]))))),
        el("tbody", {}, rows.map((row) => el("tr", {}, shown.map((i) => el(i ? "td" : "th", { class: i ? "num" : null, scope: i ? null : "row" }, row[i]))))))),
      el("p", { class: "soft" }, `${t("{0} spent so far", duration(spent))}${run.money ? `, ${run.money}` : ""}. `, planned ? t("A plan states the expected value, once the base is measured, and the most.") : [t("Short runs begin without a plan; "), el("code", {}, "r1 plan RECIPE"), t(" makes one.")]),
      el("h3", {}, t("Machine")),
      el("dl", {}, machine.map(([key, value]) => [el("dt", {}, key.replace("_", " ")), el("dd", {}, Array.isArray(value) ? value.join(", ") || "none" : String(value))])),
      el("h3", {}, t("Command")),
      el("pre", { tabindex: "0" }, run.machine.command || t("unknown")),
      run.machine.command ? el("button", { type: "button", onclick: (event) => copy(run.machine.command, event.currentTarget) }, t("Copy")) : null,
      el("p", { class: "soft" }, t("Folder: "), el("code", {}, run.path)),
    ];
  });
}
