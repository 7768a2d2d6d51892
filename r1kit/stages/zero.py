"""Stage zero: R1-Zero. Reinforcement learning on the base with rule-based rewards, nothing else.

Source: R1 paper §2.2. Weights from `base`; data are the policy's own samples. No supervised step,
no reward model, no instruction to reflect.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from transformers import PreTrainedTokenizerBase

from r1kit.engines.local import LocalEngine
from r1kit.rollout import Collected, Exam, collect
from r1kit.stages.context import Context
from r1kit.stages.measure import describe, group_record
from r1kit.tasks import mix
from r1kit.train.optim import make_optimizers
from r1kit.train.rl import Learner, Metrics, RLState, Step, reinforce
from r1kit.types import Problem, Sampling

STAGE = "zero"


def run(context: Context) -> None:
    """Leaves a finished checkpoint of stage `zero`."""
    recipe, config = context.recipe, context.recipe.zero
    resumed = context.resume(STAGE)
    model, words = context.load(resumed.path if resumed else context.latest("base"))
    optimizers = make_optimizers(model, config.optim)
    state = RLState()
    learner = Learner(model, optimizers, config, context.ranks, recipe.compute.micro_batch_tokens)
    if resumed:
        optimizers.load_state_dict(resumed.state["optimizers"])
        state = RLState(**resumed.state["rl"])
        if learner.reference is not None:
            learner.reference.load_state_dict(resumed.state["reference"])
    engine = LocalEngine(model, words, max_rows=recipe.compute.max_rows)
    engine.publish(state.step)
    collector = Collector(context, engine, words)

    def after_step(state: RLState, metrics: Metrics, step: Step) -> None:
        if state.step % config.sample_every == 0 and step.groups:
            context.sample(group_record(STAGE, state.step, step.groups[0][1]))
        context.log(STAGE, state.step, metrics)
        if state.step % config.checkpoint_every == 0 or state.step == config.n_steps:
            saved: dict[str, Any] = {"optimizers": optimizers.state_dict(), "rl": asdict(state)}
            if learner.reference is not None:
                saved["reference"] = learner.reference.state_dict()
            context.save(
                STAGE,
                state.step,
                model,
                words,
                weights_from="base",
                data_from="its own samples",
                state=saved,
            )

    if context.observer is not None:
        context.observer.stage_started(
            STAGE,
            config.n_steps,
            f"{config.loss}, {config.n_problems} x {config.n_completions} completions a step",
        )
    reinforce(learner, state, collector.step, engine.publish, after_step)


class Collector:
    """Draws the problems of a step, has them sampled and rewarded, shared out over the ranks."""

    def __init__(
        self, context: Context, engine: LocalEngine, words: PreTrainedTokenizerBase
    ) -> None:
        self.context = context
        self.engine = engine
        self.tasks = mix.load(context.recipe, "train")
        weights = context.recipe.zero.rewards.model_dump()
        self.exam = Exam(words, self.tasks.verify, weights)

    def step(self, step: int, cursor: int) -> Step:
        """Groups of one step; with dynamic sampling, only mixed ones, from as many rounds as
        allowed."""
        config, ranks = self.context.recipe.zero, self.context.ranks
        rounds = config.dynamic_rounds if config.dynamic_sampling else 1
        parts: list[Collected] = []
        kept: list[tuple[int, int]] = []  # (place among this rank's groups, problem index)
        everybody: list[int] = []
        for _ in range(rounds):
            indices = ranks.share(range(cursor, cursor + config.n_problems))
            found = self._collect([(index, self.tasks.problem(index)) for index in indices])
            cursor += config.n_problems
            offset = sum(len(part.groups) for part in parts)
            parts.append(found)
            kept += [
                (offset + place, index)
                for place, index in enumerate(indices)
                if not config.dynamic_sampling or _is_mixed(found, place)
            ]
            everybody = sorted(i for part in ranks.gather([i for _, i in kept]) for i in part)
            if len(everybody) >= config.n_problems:
                break
        chosen = {index: place for place, index in enumerate(everybody[: config.n_problems])}
        sampled = [group for part in parts for group in part.groups]
        groups = [(chosen[index], sampled[place]) for place, index in kept if index in chosen]
        metrics = describe(sampled, ranks) | _times(parts, self.context)
        return Step(groups, len(chosen), cursor, metrics)

    def _collect(self, problems: list[tuple[int, Problem]]) -> Collected:
        recipe, config = self.context.recipe, self.context.recipe.zero
        return collect(
            self.engine,
            self.exam,
            problems,
            config.n_completions,
            Sampling(config.max_tokens, config.temperature),
            recipe.seed,
        )


def _is_mixed(found: Collected, place: int) -> bool:
    return len({rollout.verdict.correct for rollout in found.groups[place].rollouts}) > 1


def _times(parts: list[Collected], context: Context) -> Metrics:
    """The slowest rank's seconds, and what could not be verified."""
    mine = {
        "time/sample_s": sum(part.sample_s for part in parts),
        "time/verify_s": sum(part.verify_s for part in parts),
    }
    everybody = context.ranks.gather(mine)
    counts = {
        "n_undecided": float(sum(part.n_undecided for part in parts)),
        "n_late": float(sum(part.n_late for part in parts)),
    }
    slowest = {key: max(rank[key] for rank in everybody) for key in mine}
    return slowest | context.ranks.sum(counts)
