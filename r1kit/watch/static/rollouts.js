// The rollout browser: what the model wrote, step by step, with what the verifier read.
import { ask, copy, duration, el, number, render } from "./dom.js";
import { t } from "./words.js";

const ORDERS = { newest: "newest first", oldest: "oldest first", best: "best first", worst: "worst first", longest: "longest first", shortest: "shortest first" };
const VERDICTS = { "": "all", right: "right", wrong: "wrong", undecided: "undecided" };
const MARKS = { right: "✓", wrong: "✗", undecided: "?" };
const PAGE = 60;
const wordOf = (correct) => (correct === true ? "right" : correct === false ? "wrong" : "undecided");

export class Rollouts {
  constructor(app) {
    this.app = app;
    this.filters = el("div", { class: "toolbar" });
    this.strip = el("div", { class: "strip" });
    this.list = el("div", { class: "list", role: "listbox", "aria-label": "Rollouts", tabindex: "0" });
    this.count = el("p", { class: "soft", role: "status" });
    this.reader = el("article", { class: "reader", "aria-label": "Rollout" });
    this.node = el("div", { class: "browser" }, this.filters, this.strip,
      el("div", { class: "columns" }, el("div", { class: "side" }, this.count, this.list), this.reader));
    this.list.addEventListener("keydown", (event) => this.onListKey(event));
    this.rows = [];
    this.n = PAGE;
  }

  query() {
    const { state } = this.app;
    return { run: this.app.main, stage: state.from_stage, step: state.step, problem: state.problem, task: state.task,
             language: state.language, verdict: state.verdict, min_tokens: state.min_tokens, max_tokens: state.max_tokens,
             part: state.part, min_part: state.part && state.min_part, max_part: state.part && state.max_part };
  }

  async show(run) {
    const query = this.query();
    const { step, ...ofSteps } = query;
    const [page, told] = await Promise.all([
      ask("/api/rollouts", { ...query, order: this.app.state.order ?? "newest", n: this.n }),
      ask("/api/steps", ofSteps),
    ]);
    if (run.id !== this.app.main) return;
    this.page = page;
    this.rows = page.rows;
    this.drawFilters(page);
    this.drawStrip(told.steps);
    this.drawList();
    await this.open(this.app.state.group, this.app.state.place);
  }

  drawFilters(page) {
    const { state } = this.app;
    const choice = (name, label, values) => el("label", {}, label,
      el("select", { "data-focus": name, onchange: (event) => this.change({ [name]: event.target.value }) },
        Object.entries(values).map(([value, text]) => el("option", { value, selected: (state[name] ?? "") === value }, value && name !== "order" ? text : t(text)))));
    const named = (values, all) => ({ "": all, ...Object.fromEntries(values.map((value) => [value, value])) });
    const limit = (name, label, step = "1") => el("label", {}, label,
      el("input", { type: "number", min: step === "1" ? "0" : null, step, size: "5", "data-focus": name, value: state[name] ?? "", onchange: (event) => this.change({ [name]: event.target.value }) }));
    render(this.filters, [page.stages, page.tasks, page.languages, state.from_stage, state.verdict, state.task, state.language, state.order, state.problem, state.min_tokens, state.max_tokens, state.step, page.parts, state.part, state.min_part, state.max_part], () => [
      choice("from_stage", t("Stage"), named(page.stages, "all stages")),
      el("div", { class: "segments", role: "group", "aria-label": t("Verdict") }, Object.entries(VERDICTS).map(([value, text]) => el("button", {
        type: "button", "data-focus": `verdict-${value}`, "aria-pressed": String((state.verdict ?? "") === value), onclick: () => this.change({ verdict: value }) }, t(text)))),
      page.tasks.length > 1 ? choice("task", t("Task"), named(page.tasks, "all tasks")) : null,
      page.languages.length > 1 ? choice("language", t("Language"), named(page.languages, "all")) : null,
      choice("order", t("Order"), ORDERS),
      limit("min_tokens", t("Tokens from")), limit("max_tokens", t("to")),
      page.parts.length ? choice("part", t("Reward part"), named(page.parts, "any")) : null,
      state.part ? [limit("min_part", t("from"), "any"), limit("max_part", t("to"), "any")] : null,
      state.problem ? el("button", { type: "button", class: "on", onclick: () => this.change({ problem: "" }) }, t("Only {0} ✕", state.problem.slice(0, 40))) : null,
      el("a", { class: "button", href: `/api/export?${new URLSearchParams(Object.entries(this.query()).filter(([, value]) => value))}`, download: "rollouts.jsonl" }, t("Export JSONL")),
    ]);
  }

  // One bar per step, right ones green; the slider below it chooses a step.
  drawStrip(steps) {
    const { state } = this.app;
    const inTraining = steps.filter(([step]) => step >= 0);
    this.steps = inTraining.map(([step]) => step);
    if (inTraining.length < 2) { render(this.strip, [], () => []); return; }
    render(this.strip, [inTraining, state.step], () => {
      const at = state.step === undefined || state.step === "" ? -1 : this.steps.indexOf(Number(state.step));
      const size = Math.ceil(inTraining.length / 300);
      const bars = [];
      for (let i = 0; i < inTraining.length; i += size) {
        const some = inTraining.slice(i, i + size);
        const [right, wrong, open] = [1, 2, 3].map((k) => some.reduce((sum, one) => sum + one[k], 0));
        const all = right + wrong + open || 1;
        bars.push(el("i", { class: at >= i && at < i + size ? "here" : null }, el("b", { style: { height: `${(100 * right) / all}%` } })));
      }
      const [step, right, wrong, open] = at < 0 ? [null] : inTraining[at];
      const said = at < 0 ? t("all {0} recorded steps", number(inTraining.length)) : t("step {0}: {1} of {2} right", number(step), right, right + wrong + open);
      return [
        el("div", { class: "bars", "aria-hidden": "true" }, bars),
        el("input", { type: "range", min: "0", max: String(inTraining.length - 1), value: String(at < 0 ? inTraining.length - 1 : at), "data-focus": "step",
                      "aria-label": t("Step"), "aria-valuetext": said, oninput: (event) => this.change({ step: String(this.steps[event.target.value]) }) }),
        el("p", { class: "soft" }, said, at < 0 ? null : el("button", { type: "button", class: "link", onclick: () => this.change({ step: "" }) }, t("all steps"))),
      ];
    });
  }

  drawList() {
    const { state } = this.app;
    this.count.textContent = this.page.total ? `${t("{0} of {1} rollouts", number(this.page.total), number(this.page.n_rollouts))}${this.page.n_damaged ? `, ${this.page.n_damaged} damaged lines` : ""}` : t("No rollout fits.");
    const open = this.rows[this.at];
    render(this.list, [this.rows, state.group, state.place, this.page.total, this.app.main], () => [
      this.rows.map((row) => {
        const isOpen = row === open;
        return el("div", { class: `row ${row.verdict}`, role: "option", id: `row-${row.number}`, "aria-selected": String(isOpen), onclick: () => this.choose(row) },
          el("span", { class: "verdict", "aria-label": t(row.verdict) }, MARKS[row.verdict]),
          el("span", { class: "question", dir: "auto" }, row.question),
          el("span", { class: "soft" }, [row.stage, row.step === null ? t("end") : t("step {0}", number(row.step)), row.n_tokens ? t("{0} tokens", number(row.n_tokens)) : "", t("reward {0}", number(row.score))].filter(Boolean).join(" · ")));
      }),
      this.page.total > this.rows.length ? el("button", { type: "button", onclick: () => { this.n += PAGE; this.app.refresh(); } }, t("Show more")) : null,
    ]);
    if (open) this.list.setAttribute("aria-activedescendant", `row-${open.number}`);
    else this.list.removeAttribute("aria-activedescendant");
  }

  // The place in the list of the rollout that is read; without a choice it is the first, also as new ones come.
  get at() {
    const { group, place } = this.app.state;
    return group === undefined ? 0 : this.rows.findIndex((row) => row.group === Number(group) && row.place === Number(place ?? 0));
  }

  change(changed) {
    this.n = PAGE;
    this.app.go({ ...changed, group: undefined, place: undefined });
  }

  choose(row) {
    this.app.go({ group: String(row.group), place: String(row.place) });
  }

  move(by) {
    const next = this.rows[Math.min(this.rows.length - 1, Math.max(0, this.at + by))];
    if (!next) return;
    this.choose(next);
    requestAnimationFrame(() => document.getElementById(`row-${next.number}`)?.scrollIntoView({ block: "nearest" }));
  }

  moveStep(by) {
    if (!this.steps?.length) return;
    const at = this.app.state.step ? this.steps.indexOf(Number(this.app.state.step)) : this.steps.length;
    this.change({ step: String(this.steps[Math.min(this.steps.length - 1, Math.max(0, at + by))]) });
  }

  onListKey(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.move(by);
  }

  async open(group, place) {
    if (group === undefined && this.rows.length) [group, place] = [this.rows[0].group, this.rows[0].place];
    if (group === undefined) { render(this.reader, "none", () => [el("p", { class: "soft" }, this.page.n_rollouts ? t("No rollout fits the filter.") : t("This run has recorded no rollouts yet: the first ones come with the first steps of an RL stage, or at the end of the base."))]); return; }
    const key = [this.app.main, this.page.generation, group, place, this.app.state.tokens];
    if (this.opened === JSON.stringify(key)) return;
    let page, history;
    try {
      page = await ask("/api/group", { run: this.app.main, group });
      history = page.problem.id || page.problem.question ? await ask("/api/problem", { run: this.app.main, problem: this.problemOf(group, page) }) : [];
    } catch (error) {
      render(this.reader, error.message, () => [el("p", { class: "soft" }, error.message)]);
      return;
    }
    this.opened = JSON.stringify(key);
    render(this.reader, key, () => this.read(page, Number(place ?? 0), history));
  }

  problemOf(group, page) {
    return this.rows.find((row) => row.group === Number(group))?.problem ?? page.problem.id ?? "";
  }

  read(page, place, history) {
    const rollout = page.rollouts[place] ?? page.rollouts[0];
    if (!rollout) return [el("p", { class: "soft" }, t("This group is empty."))];
    const verdict = wordOf(rollout.correct);
    const { problem } = page;
    const facts = [page.stage, page.step === null || page.step === undefined ? t("end of the stage") : t("step {0}", number(page.step)), problem.task, problem.language, problem.id].filter(Boolean);
    return [
      el("p", { class: "soft" }, facts.join(" · ")),
      el("h3", { class: "asked", dir: "auto" }, problem.question ?? ""),
      page.rollouts.length > 1 ? el("div", { class: "pills", role: "group", "aria-label": `The ${page.rollouts.length} completions of this group` },
        page.rollouts.map((one, i) => el("button", { type: "button", class: `pill ${wordOf(one.correct)}`, "data-focus": `pill-${i}`, "aria-pressed": String(i === place),
          "aria-label": `completion ${i + 1}, ${wordOf(one.correct)}, ${number(one.n_tokens)} tokens`, onclick: () => this.app.go({ group: String(page.group), place: String(i) }) },
          MARKS[wordOf(one.correct)], el("small", {}, number(one.n_tokens))))) : null,
      history.length > 1 ? el("div", { class: "history" }, el("span", { class: "soft" }, t("This problem:")),
        history.slice(-40).map((one) => el("button", { type: "button", "data-focus": `at-${one.group}`, "aria-pressed": String(one.group === page.group), onclick: () => this.app.go({ group: String(one.group), place: "0" }) },
          one.step === null ? one.stage : `${one.stage} ${number(one.step)}`, el("small", {}, one.n > 1 ? ` ${one.n_right}/${one.n}` : ` ${one.n_right ? "✓" : "✗"}`, one.mean_tokens ? ` · ${number(one.mean_tokens)} tokens` : "")))) : null,
      rollout.tokens?.length ? el("label", { class: "switch soft" }, t("Tokens"), el("select", { "data-focus": "tokens", onchange: (event) => { this.opened = ""; this.app.go({ tokens: event.target.value }); } },
        Object.entries(shownTokens(rollout)).map(([value, text]) => el("option", { value, selected: (this.app.state.tokens ?? "") === value }, t(text))))) : null,
      rollout.tokens?.length && this.app.state.tokens === "logprob" ? surprising(rollout.tokens)
        : this.app.state.tokens === "entropy" && hasEntropies(rollout) ? uncertain(rollout.tokens)
        : rollout.tokens?.length && this.app.state.tokens === "advantage" && rollout.advantage !== null ? advantaged(rollout) : [
      rollout.thinking ? el("section", { class: "thinking" }, el("h4", {}, t("Thinking")), el("p", { dir: "auto" }, parts(rollout.thinking))) : null,
      el("section", { class: "answer" }, el("h4", {}, t("Answer")),
        rollout.answer ? el("p", { dir: "auto" }, parts(rollout.answer)) : el("p", { class: "soft" }, t("none: the thinking never ended")))],
      el("section", { class: `verdict-box ${verdict}` }, el("h4", {}, t("Verifier")),
        el("dl", {},
          el("dt", {}, t("verdict")), el("dd", {}, el("b", {}, `${MARKS[verdict]} ${t(verdict)}`), rollout.why ? `: ${rollout.why}` : ""),
          rollout.extracted === undefined || rollout.extracted === null ? null : [el("dt", {}, t("read")), el("dd", {}, el("code", {}, rollout.extracted))],
          problem.gold ? [el("dt", {}, t("expected")), el("dd", {}, el("code", {}, problem.gold))] : null,
          rollout.n_tokens && [el("dt", {}, t("length")), el("dd", {}, t(rollout.finish === "length" ? "{0} tokens, cut off at max_tokens" : "{0} tokens", number(rollout.n_tokens)))]),
        this.reward(page, rollout)),
      el("div", { class: "actions" },
        el("button", { type: "button", onclick: (event) => copy(testCase(page, rollout), event.currentTarget) }, t("Copy as test case")),
        el("button", { type: "button", onclick: (event) => copy(rollout.text, event.currentTarget) }, t("Copy text")),
        history.length > 1 ? el("button", { type: "button", onclick: () => this.change({ problem: this.problemOf(page.group, page) }) }, t("Only this problem")) : null),
    ];
  }

  reward(page, rollout) {
    const partsOf = Object.entries(rollout.reward).filter(([, value]) => typeof value === "number");
    if (!partsOf.length) return null;
    const above = rollout.score - page.mean_score;
    return el("div", { class: "parts" },
      partsOf.map(([name, value]) => el("span", { class: "part" }, el("span", { class: "soft" }, name), el("b", {}, number(value)),
        el("i", { "aria-hidden": "true" }, el("i", { style: { width: `${100 * Math.min(1, Math.max(0, value))}%` } })))),
      page.rollouts.length > 1 ? el("span", { class: "part" }, el("span", { class: "soft" }, t(page.has_total ? "reward against its group" : "sum of parts against its group")), el("b", {}, `${above >= 0 ? "+" : "−"}${number(Math.abs(above))}`)) : null);
  }
}

function parts(texts) {
  return texts.map((part) => (part.is_reflection ? el("mark", {}, part.text) : part.text));
}

// Every token on a ground that is the darker the less likely the token was when it was sampled.
function surprising(tokens) {
  const title = (logprob) => `log p ${logprob}, p ${number(Math.exp(logprob))}`;
  const values = tokens.map(([text, logprob]) => ({ text, nats: logprob === null ? null : -logprob, title: title(logprob) }));
  return shaded(values, [0, 1, 2, 3, 4], (nats) => `−${nats}`, "certain", "surprising, in nats");
}

// Every token on a ground that is the darker the less the policy knew which token would be next.
function uncertain(tokens) {
  const title = (entropy, logprob) => `H ${entropy} nat${logprob === null ? "" : `, p ${number(Math.exp(logprob))}`}`;
  const values = tokens.map(([text, logprob, entropy]) => ({ text, nats: entropy, title: title(entropy, logprob) }));
  return shaded(values, [0, 0.5, 1, 1.5, 2], String, "one continuation", "many, entropy in nats");
}

// Tokens on grounds from none at the first mark of the scale to full at its last; below them the scale, between two words.
function shaded(tokens, scale, label, least, most) {
  const ground = (nats) => ({ "--strength": `${Math.round(70 * Math.min(1, nats / scale.at(-1)))}%` });
  return el("section", { class: "tokens" }, el("h4", {}, t("Completion, token by token")),
    el("p", { dir: "auto" }, tokens.map(({ text, nats, title }) =>
      el("span", { style: ground(nats ?? 0), title: nats === null ? t("not recorded") : title }, text || "·"))),
    el("p", { class: "soft scale" }, `${t(least)} `, scale.map((nats) => el("span", { style: ground(nats) }, label(nats))), ` ${t(most)}`));
}

const hasEntropies = (rollout) => rollout.tokens?.some(([, , entropy]) => entropy !== null) ?? false;
const shownTokens = (rollout) => ({ "": "as text", logprob: "by log-probability", ...(hasEntropies(rollout) ? { entropy: "by entropy" } : {}), ...(rollout.advantage === null ? {} : { advantage: "by advantage" }) });

// Every token of a completion has the advantage of the completion, so that the ground is the same everywhere.
function advantaged({ tokens, advantage }) {
  const [kind, what] = advantage > 0 ? ["raised", "the step makes these tokens likelier"] : advantage < 0 ? ["lowered", "the step makes these tokens less likely"] : ["", "the rewards of this group are equal, so that the step learns nothing from it"];
  return el("section", { class: "tokens" }, el("h4", {}, t("Completion, token by token")),
    el("p", { dir: "auto" }, tokens.map(([text]) => el("span", { class: kind, style: { "--strength": `${Math.round(Math.min(60, 30 * Math.abs(advantage)))}%` } }, text || "·"))),
    el("p", { class: "soft scale" }, t("advantage {0}, the same for every token of a completion: {1}", signed(advantage), t(what))));
}

const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(value))}`;

// A line for `r1 verify KIND --jsonl FILE`; `expected` is the verdict so far, to be corrected by whoever disagrees.
function testCase(page, rollout) {
  const expected = { right: "correct", wrong: "incorrect", undecided: "undecided" }[wordOf(rollout.correct)];
  return JSON.stringify({ id: page.problem.id ?? "", question: page.problem.question ?? "", gold: page.problem.gold ?? "", text: rollout.text, expected, extracted: rollout.extracted ?? null, why: rollout.why });
}
