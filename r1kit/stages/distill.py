"""Stage distill: students of other sizes, each from its own base, trained on data alone.

Source: R1 paper §2.4: SFT on the teacher's kept samples, no RL. A twin from the same student base
is trained by RL alone, for the comparison of §4.1.
"""

from __future__ import annotations

from pathlib import Path

from r1kit.config import DistillConfig, StudentConfig
from r1kit.curate import TrainingRow, read_conversations
from r1kit.errors import ConfigError
from r1kit.runs.schemas import ConversationRow
from r1kit.runs.validated import read_records
from r1kit.stages import base, reinforce, tune
from r1kit.stages.context import Context
from r1kit.stages.plan import Unit


def make_base(context: Context, unit: Unit) -> None:
    """Make a student's own base; leaves its finished checkpoint."""
    student = _student(context, unit)
    config = context.recipe.base.model_copy(update={"tokens": student.tokens})
    base.make(context, unit, student.model, config)


def run(context: Context, unit: Unit) -> None:
    """Train a student; leaves its finished checkpoint."""
    config, student = _config(context), _student(context, unit)
    optim = config.sft.optim.model_copy(update={"lr": student.lr or config.sft.optim.lr})
    sft = config.sft.model_copy(update={"optim": optim})
    tune.run(context, unit, _data(context, config), sft)


def make_twin(context: Context, unit: Unit) -> None:
    """Train a student's base by RL alone; leaves its finished checkpoint."""
    reinforce.run_with_rule_rewards(context, unit, _config(context).twin)


def _config(context: Context) -> DistillConfig:
    return context.recipe.distill or DistillConfig()


def _student(context: Context, unit: Unit) -> StudentConfig:
    name = unit.name.split("/")[1]
    return next(student for student in _config(context).students if student.name == name)


def _data(context: Context, config: DistillConfig) -> list[TrainingRow]:
    if config.data is not None:
        return read_conversations(Path(config.data))
    path = context.verified_data("rejection", "rejection.taught")
    remedy = "have it written again with --from rejection"
    rows = [row for _, row in read_records(path, ConversationRow, remedy)]
    if not rows:
        raise ConfigError(
            f"There are no conversations in {path} for students to learn from; run stage rejection "
            "first, or name a file that `r1 sample` wrote as distill.data."
        )
    return rows
