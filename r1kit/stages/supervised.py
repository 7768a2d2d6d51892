"""Shared code of the supervised stages: optimizer, resume points, training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from r1kit.config import BaseConfig, PreferenceConfig, SFTConfig
from r1kit.model.policy import TrainableModel
from r1kit.stages.context import Context, ResumePoint
from r1kit.stages.plan import PlannedStage
from r1kit.train.optim import make_optimizers
from r1kit.train.train_loop import Gradients, train_loop

T = TypeVar("T")
M = TypeVar("M", bound=TrainableModel)


def run(
    context: Context,
    stage: PlannedStage,
    gradients: Gradients[M, T],
    model: M,
    steps: Sequence[Sequence[T]],
    config: BaseConfig | SFTConfig | PreferenceConfig,
    resumed: ResumePoint | None,
    what: str,
) -> None:
    """Train the model on this rank's examples; leaves a finished checkpoint of `stage`.

    `model` is that of `resumed` if there is one. `what` describes the stage in the live view.
    """
    optimizers = make_optimizers(model.trainable(), config.optim)
    if resumed:
        with resumed.restoring():
            optimizers.load_state_dict(resumed.state["optimizers"])
    context.started(stage, len(steps), what)

    def after_step(step: int, metrics: dict[str, float]) -> None:
        context.log(stage.name, step, metrics)
        if step % config.checkpoint_every == 0 or step == len(steps):
            context.save(stage, step, model, {"optimizers": optimizers.state_dict()})

    train_loop(
        gradients,
        model,
        optimizers,
        steps,
        config.optim,
        context.ranks,
        first_step=resumed.step if resumed else 0,
        micro_batch_tokens=context.recipe.compute.micro_batch_tokens,
        after_step=after_step,
        router_bias_update_rate=getattr(config, "router_bias_update_rate", 0.0),
    )
