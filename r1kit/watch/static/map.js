// The stages of the recipe as the paper draws them, with what each has reached.
import { duration, el, number, render, svg } from "./dom.js";
import { t } from "./words.js";

const MARK = { finished: "✓", now: "●", begun: "◐", next: "○" };
const STATE = { finished: "finished", now: "running", begun: "begun", next: "not begun" };

export function drawMap(node, run, chosen, choose) {
  const main = run.stages.filter((stage) => stage.is_main);
  const others = run.stages.filter((stage) => !stage.is_main);
  const key = [run.id, chosen, run.now, run.stages.map((stage) => [stage.name, stage.state, stage.step, stage.pass_at_1, stage.wall_s])];
  const isOpen = node.querySelector("details")?.open;
  render(node, key, () => [
    el("div", { class: "path" }, main.map((stage) => card(stage, run, chosen, choose))),
    others.length ? el("details", { open: isOpen || others.some((stage) => stage.name === chosen || stage.state === "now") },
      el("summary", {}, `${summary(others)}`), el("div", { class: "others" }, others.map((stage) => chip(stage, chosen, choose)))) : null,
  ]);
  drawArrows(node.querySelector(".path"), main);
}

const FAMILY = { preference: ["reward model", "reward models"], distill: ["student", "students"], ablation: ["ablation", "ablations"], preference_eval: ["judgement", "judgements"] };

function summary(stages) {
  const counts = new Map();
  for (const { family, name } of stages) {
    if (!/^distill\/.+\//.test(name)) counts.set(family, (counts.get(family) ?? 0) + 1);
  }
  return [...counts].map(([family, n]) => `${n} ${(FAMILY[family] ?? [family, family])[n > 1 ? 1 : 0]}`).join(", ");
}

function card(stage, run, chosen, choose) {
  const isNow = stage.state === "now";
  const isCounting = isNow && run.now && !run.now.is_training;
  const done = isCounting ? run.now.step / Math.max(1, run.now.n_steps) : stage.n_steps ? stage.step / stage.n_steps : 0;
  return el("button", { class: `stage ${stage.state}`, type: "button", "data-stage": stage.name, "data-focus": `stage-${stage.name}`,
                        "aria-pressed": String(stage.name === chosen), onclick: () => choose(stage.name) },
    el("span", { class: "title" }, el("i", { class: "mark", "aria-hidden": "true" }, MARK[stage.state]), stage.title,
      el("span", { class: "hidden" }, `, ${t(STATE[stage.state])}`)),
    stage.pass_at_1 !== null && stage.pass_at_1 !== undefined
      ? el("span", { class: "score" }, number(stage.pass_at_1, "%"), el("small", {}, stage.stderr ? ` ± ${(100 * stage.stderr).toFixed(1)}` : ""))
      : el("span", { class: "score soft" }, isCounting ? run.now.what.split(/[,:]/)[0].slice(0, 24) : isNow ? t("training") : ""),
    el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: { width: `${100 * (stage.state === "finished" ? 1 : Math.min(1, done))}%` } })),
    el("span", { class: "facts soft" },
      isCounting ? `${number(run.now.step)} / ${number(run.now.n_steps)}` : stage.state === "next" ? "" : t("{0} steps", `${number(stage.step)}${stage.n_steps && stage.state !== "finished" ? ` / ${number(stage.n_steps)}` : ""}`),
      isNow && run.now?.seconds_left ? ` · ${t("{0} left", duration(run.now.seconds_left))}` : stage.wall_s ? ` · ${duration(stage.wall_s)}` : ""));
}

function chip(stage, chosen, choose) {
  return el("button", { class: `chip ${stage.state}`, type: "button", "data-stage": stage.name, "data-focus": `stage-${stage.name}`,
                        "aria-pressed": String(stage.name === chosen), onclick: () => choose(stage.name) },
    el("i", { class: "mark", "aria-hidden": "true" }, MARK[stage.state]), stage.name,
    stage.pass_at_1 !== null && stage.pass_at_1 !== undefined ? el("span", { class: "soft" }, ` ${number(stage.pass_at_1, "%")}`) : null);
}

// Above the cards, where weights come from; below, dashed, where data comes from.
function drawArrows(path, stages) {
  path.querySelectorAll("svg").forEach((old) => old.remove());
  const cards = new Map([...path.querySelectorAll(".stage")].map((card) => [card.dataset.stage, card]));
  const tops = new Set([...cards.values()].map((card) => card.offsetTop));
  if (tops.size !== 1 || cards.size < 2) return; // wrapped, on a phone
  const height = 30;
  const over = svg("svg", { class: "arrows over", width: path.scrollWidth, height, "aria-hidden": "true" });
  const under = svg("svg", { class: "arrows under", width: path.scrollWidth, height, "aria-hidden": "true" });
  const middle = (name) => cards.get(name).offsetLeft + cards.get(name).offsetWidth / 2;
  for (const stage of stages) {
    for (const [space, source, up] of [[over, stage.weights_from, true], [under, stage.data_from, false]]) {
      if (!cards.has(source) || source === stage.name) continue;
      const [from, to] = [middle(source) + 8, middle(stage.name) - 8];
      const depth = Math.min(height - 4, 8 + Math.abs(to - from) / 22);
      const [ground, peak] = up ? [height, height - depth] : [0, depth];
      space.append(svg("path", { d: `M${from},${ground} C${from},${peak} ${to},${peak} ${to},${ground}` }),
        svg("path", { class: "head", d: up ? `M${to - 4},${ground - 6} L${to},${ground} L${to + 4},${ground - 6}` : `M${to - 4},${ground + 6} L${to},${ground} L${to + 4},${ground + 6}` }));
    }
  }
  path.prepend(over);
  path.append(under);
}
