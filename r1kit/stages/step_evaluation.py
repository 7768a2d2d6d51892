"""Evaluation during reinforcement learning, every `eval_steps` steps.

The scores are metrics of the step: `eval/<benchmark>/pass_at_1` and its `stderr`, and
`eval/pass_at_1`, the mean over the benchmarks, by which runs/kept_checkpoints.py finds the best
checkpoint. They do not depend on earlier evaluations, so a resumed run repeats them.
"""

from __future__ import annotations

import time
from statistics import fmean

from r1kit.config import RLConfig
from r1kit.console.formatting import percent
from r1kit.engines.base import Sampler
from r1kit.model.policy import Policy
from r1kit.renderers import renderer_of
from r1kit.runs.kept_checkpoints import EVAL_SCORE
from r1kit.stages import evaluation
from r1kit.stages.context import Context
from r1kit.train.rl import Metrics


class StepEvaluation:
    """Evaluates the policy of an RL stage while it is trained."""

    def __init__(
        self, context: Context, stage: str, config: RLConfig, policy: Policy, sampler: Sampler
    ) -> None:
        """Load the benchmarks of `[[evals]]`; without any, the held-out problems are measured."""
        self._context, self._stage = context, stage
        self._sampler, self._renderer = sampler, renderer_of(policy.tokenizer)
        self._benchmarks = []
        if config.eval_steps:
            public = evaluation.public(context, self._renderer, policy.max_positions)
            self._benchmarks = public or [evaluation.reasoning(context)]

    def run(self, step: int) -> Metrics:
        """Evaluate the weights that were published last; call it on every rank."""
        started, metrics, remarks = time.perf_counter(), Metrics(), []
        for benchmark in self._benchmarks:
            result = evaluation.measure(
                self._context, self._stage, benchmark, self._sampler, self._renderer
            )
            score = result.estimates["pass_at_1"]
            metrics[f"eval/{benchmark.name}/pass_at_1"] = score.value
            metrics[f"eval/{benchmark.name}/stderr"] = score.stderr
            remarks.append(f"{benchmark.name} {percent(score.value, score.stderr)}")
        self._context.note(f"{self._stage}, step {step}: {', '.join(remarks)}.")
        mean = fmean(metrics[f"eval/{benchmark.name}/pass_at_1"] for benchmark in self._benchmarks)
        return metrics | {EVAL_SCORE: mean, "time/eval_s": time.perf_counter() - started}
