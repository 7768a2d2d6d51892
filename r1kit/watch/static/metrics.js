// What the metrics mean (docs/runs.md has all of them), and which are drawn together.

// [metric, title, unit, meaning]
const KNOWN = [
  ["rewards/accuracy/mean", "Accuracy", "%", "right answers among the sampled completions"],
  ["completions/mean_length", "Length", "", "tokens of a completion, thinking included"],
  ["completions/mean_reflections", "Reflection", "", "words like wait, check, 다시, 检查 in a completion"],
  ["reward", "Reward", "", "mean reward"],
  ["loss", "Loss", "", "nats per token; in RL near 0 by construction"],
  ["accuracy", "Accuracy", "%", "examples that the reward model judges right"],
  ["eval/pass_at_1", "pass@1, held out", "%", "evaluation during training, mean over the benchmarks"],
  ["entropy", "Entropy", "", "nats per token: how much the policy still explores"],
  ["frac_reward_zero_std", "Groups without signal", "%", "groups whose rewards are all equal: they teach nothing"],
  ["completions/clipped_ratio", "Cut off", "%", "completions that reached max_tokens"],
  ["rewards/format/mean", "Format", "%", "completions that follow the format"],
  ["language_consistency", "Language", "%", "words in the language of the question"],
  ["rewards/preference/mean", "Judge's score", "", "mean score of the judge"],
  ["kl", "KL", "", "nats per token from the reference"],
  ["grad_norm", "Gradient norm", "", "before clipping"],
  ["learning_rate", "Learning rate", "", ""],
  ["n_undecided", "Undecided", "", "completions without a verdict"],
  ["sampling/sampling_logp_difference/mean", "Sampler and learner", "", "mean difference of their log-probabilities, in nats"],
  ["step_time", "Seconds per step", "", "without logging and saving"],
  ["memory/resident_mb", "Memory", "MB", "of all processes of the run"],
  ["memory/peak_mb", "Peak memory", "MB", "the most that one process has held, on its GPU if it has one"],
  ["time/tokens_per_s", "Tokens per second", "", "trained tokens"],
];
const ABOUT = new Map(KNOWN.map(([name, title, unit, meaning], order) => [name, { title, unit, meaning, order }]));

// Several metrics in one chart: [id, title, unit, meaning, belongs(metric)]
const TOGETHER = [
  ["by-task", "Accuracy by task", "%", "right answers, by kind of problem", (m) => m.startsWith("accuracy/"), 7.1],
  ["benchmarks", "Benchmarks", "%", "evaluation during training", (m) => /^eval\/.+\/pass_at_1$/.test(m), 7.2],
  ["rewards", "Parts of the reward", "", "before their weights", (m) => /^rewards\/.+\/mean$/.test(m), 9.1],
  ["phases", "Seconds by phase", "", "of a step, on the slowest process", (m) => /^time\/.+_s$/.test(m) && m !== "time/tokens_per_s", 18.1],
  ["clipping", "Clipped tokens", "%", "tokens on which the lower, the upper or either clip acted", (m) => m.startsWith("clip_ratio/"), 13.1],
];

export function about(metric) {
  return ABOUT.get(metric) ?? { title: metric, unit: "", meaning: "", order: 99 };
}

export const HEADLINES = {
  rl: ["rewards/accuracy/mean", "completions/mean_length", "completions/mean_reflections", "entropy"],
  supervised: ["loss", "accuracy", "grad_norm", "time/tokens_per_s"],
};

// The charts of a stage: [{id, title, unit, meaning, metrics}], the most telling first.
export function chartsOf(metrics) {
  const charts = metrics.map((name) => ({ id: name, metrics: [name], ...about(name) }));
  for (const [id, title, unit, meaning, belongs, order] of TOGETHER) {
    const own = metrics.filter(belongs);
    if (own.length > 1) charts.push({ id, title, unit, meaning, order, metrics: own, together: true });
  }
  const isIn = (chart) => !chart.together && chart.order === 99 && charts.some((other) => other.together && other.metrics.includes(chart.id));
  const kept = charts.filter((chart) => !isIn(chart));
  return kept.sort((a, b) => a.order - b.order || a.title.localeCompare(b.title));
}

export function shortName(metric) {
  return metric.replace(/^(accuracy|rewards|time|clip_ratio|eval)\//, "").replace(/\/(mean|pass_at_1)$/, "").replace(/_(s|mean)$/, "");
}
