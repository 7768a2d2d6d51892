"""Section `[distill]`: the students."""

from __future__ import annotations

from pydantic import Field, model_validator

from r1kit.config.model import ModelConfig
from r1kit.config.rl import RLConfig
from r1kit.config.strict import Name, StrictModel
from r1kit.config.supervised import SFTConfig


class StudentConfig(StrictModel):
    """A `[[distill.students]]` entry: a separate model, trained only on the teacher's data."""

    name: Name
    """name of the student; part of the names of its checkpoints"""
    model: ModelConfig = ModelConfig()
    """shape of the student, or an existing base"""
    tokens: int = Field(1_000_000, ge=1)
    """number of tokens its base is pretrained on (ignored when model.path is set)"""
    lr: float | None = Field(None, gt=0)
    """peak learning rate of its fine-tuning; None: that of distill.sft"""
    twin: bool = False
    """true: also train the same base by reinforcement learning alone, for comparison"""


class DistillConfig(StrictModel):
    """Stage `distill`: students are fine-tuned on the data of `rejection`, without RL."""

    students: tuple[StudentConfig, ...] = ()
    data: str | None = None
    """file of conversations, as written by `r1 sample`: the recipe then trains only students; None:
    the data of stage rejection"""
    sft: SFTConfig = SFTConfig()
    twin: RLConfig = RLConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> DistillConfig:
        if len({student.name for student in self.students}) < len(self.students):
            raise ValueError("two students have the same name")
        return self
