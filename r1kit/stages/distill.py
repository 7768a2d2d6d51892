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
from r1kit.stages.plan import PlannedStage


def make_base(context: Context, stage: PlannedStage) -> None:
    """Make a student's own base; leaves its finished checkpoint."""
    student = _student(context, stage)
    config = context.recipe.base.model_copy(update={"tokens": student.tokens})
    # A student learns to think from the data: no instruction unless the recipe has one.
    instruction = student.model.instruction or ""
    model = student.model.model_copy(update={"instruction": instruction})
    base.make(context, stage, model, config)


def run(context: Context, stage: PlannedStage) -> None:
    """Train a student; leaves its finished checkpoint."""
    config, student = _config(context), _student(context, stage)
    optim = config.sft.optim.model_copy(update={"lr": student.lr or config.sft.optim.lr})
    sft = config.sft.model_copy(update={"optim": optim})
    tune.run(context, stage, _data(context, stage, config), sft)


def make_twin(context: Context, stage: PlannedStage) -> None:
    """Train a student's base by RL alone; leaves its finished checkpoint."""
    reinforce.run_with_rule_rewards(context, stage, _config(context).twin)


def _config(context: Context) -> DistillConfig:
    return context.recipe.distill or DistillConfig()


def _student(context: Context, stage: PlannedStage) -> StudentConfig:
    name = stage.name.split("/")[1]
    return next(student for student in _config(context).students if student.name == name)


def _data(context: Context, stage: PlannedStage, config: DistillConfig) -> list[TrainingRow]:
    if config.data is not None:
        return read_conversations(Path(config.data))
    teacher = stage.data_from
    assert teacher is not None, f"{stage.name} has no source of data"
    path = context.verified_data(teacher, f"{teacher}.taught")
    remedy = f"have it written again with --from {teacher}"
    rows = [row for _, row in read_records(path, ConversationRow, remedy)]
    if not rows:
        raise ConfigError(
            f"There are no conversations in {path} for students to learn from; run stage {teacher} "
            "first, or name a file that `r1 sample` wrote as distill.data."
        )
    return rows
