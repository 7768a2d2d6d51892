"""The settings that a stage of a run was trained with, and their places in the recipe.

Advice refers to settings by name, and a stage's name is not always a section of the recipe: a
student's RL twin is trained by `[distill.twin]`, an ablation by its stage's section with its own
changes on top.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from r1kit.diagnose.finding_texts import FINDING_TEXTS, Texts
from r1kit.runs.stage_specs import STAGES
from r1kit.stages.plan import merge_settings

WORLD = ("equation", "series", "countdown", "arithmetic", "program")
"""generated tasks; only these have levels and a corpus"""


@dataclass(frozen=True)
class Settings:
    """Settings of one stage: `Settings("distill.twin", {"max_tokens": 160}, recipe)`."""

    section: str
    """dotted name of the recipe section: `zero`, `cold_start.sft`"""
    values: dict[str, Any]
    recipe: dict[str, Any] = field(default_factory=dict)
    """the whole resolved recipe, as in recipe.json"""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """keys outside `section` and their places: `{"optim.lr": "lr of the student"}`"""
    pretraining: str = ""
    """name of the setting for the pretraining length of this stage's base; empty if it was not
    pretrained here"""
    words: Texts = field(default_factory=lambda: FINDING_TEXTS["en"])
    """the texts in the reader's language"""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a dotted key such as `optim.lr`."""
        value: Any = self.values
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    def name(self, key: str) -> str:
        """Return the name of the key as the user finds it in the recipe."""
        return self.elsewhere.get(key, f"{self.section}.{key}")

    def shown(self, key: str) -> str:
        """Return the key with its current value: `zero.max_tokens (now 256)`."""
        return self.words["setting.now"].format(name=self.name(key), value=self.get(key))

    @property
    def dtype(self) -> str | None:
        """Precision of the model in training and sampling."""
        dtype: str | None = self.recipe.get("compute", {}).get("dtype")
        return dtype

    @property
    def sampler(self) -> str:
        """Kind of the engine that samples."""
        kind: str = self.recipe.get("sampler", {}).get("kind", "local")
        return kind

    @property
    def level(self) -> int | None:
        """Highest level of the generated tasks; None without such a task."""
        tasks = self.recipe.get("tasks", [])
        return max((task.get("level", 1) for task in tasks if task["name"] in WORLD), default=None)


def settings_of(recipe: dict[str, Any], stage: str, language: str = "en") -> Settings:
    """Return the settings of a stage of the plan (stages/plan.py); empty if the recipe lacks it."""
    family, _, rest = stage.partition("/")
    words = FINDING_TEXTS[language]
    if family == "distill":
        return replace(_student_settings(recipe, rest, words), words=words)
    if family == "ablation":
        return replace(_ablation_settings(recipe, rest, words), words=words)
    section = STAGES[family].section if family in STAGES else family
    values = _section(recipe, section)
    return Settings(section, values, recipe, {}, _pretraining(recipe), words)


def _student_settings(recipe: dict[str, Any], rest: str, words: Texts) -> Settings:
    name, _, part = rest.partition("/")
    students = _section(recipe, "distill").get("students") or []
    student: dict[str, Any] = next((item for item in students if item["name"] == name), {})
    tokens = _of(words, "tokens", "distill.students", name)
    is_adopted = (student.get("model") or {}).get("path") is not None
    pretraining = "" if is_adopted else tokens
    if part == "base":
        values = _section(recipe, "base") | {"tokens": student.get("tokens")}
        return Settings("base", values, recipe, {"tokens": tokens}, pretraining)
    if part == "zero":
        values = _section(recipe, "distill.twin")
        return Settings("distill.twin", values, recipe, {}, pretraining)
    values = _section(recipe, "distill.sft")
    if student.get("lr") is None:
        return Settings("distill.sft", values, recipe, {}, pretraining)
    values = merge_settings(values, {"optim": {"lr": student["lr"]}})
    elsewhere = {"optim.lr": _of(words, "lr", "distill.students", name)}
    return Settings("distill.sft", values, recipe, elsewhere, pretraining)


def _ablation_settings(recipe: dict[str, Any], name: str, words: Texts) -> Settings:
    ablations = recipe.get("ablations") or []
    ablation: dict[str, Any] = next((item for item in ablations if item["name"] == name), {})
    stage = ablation.get("of", name)
    values = merge_settings(_section(recipe, stage), ablation.get("change") or {})
    # Changing the stage's own section would change the original stage as well.
    elsewhere = {key: _of(words, f"change.{key}", "ablations", name) for key in _dotted(values)}
    return Settings(stage, values, recipe, elsewhere, _pretraining(recipe))


def _of(words: Texts, key: str, section: str, entry: str) -> str:
    return words["setting.of"].format(key=key, section=section, entry=entry)


def _pretraining(recipe: dict[str, Any]) -> str:
    return "" if (recipe.get("model") or {}).get("path") else "base.tokens"


def _section(recipe: dict[str, Any], section: str) -> dict[str, Any]:
    value: Any = recipe
    for part in section.split("."):
        value = (value or {}).get(part)
    return value or {}


def _dotted(values: dict[str, Any], before: str = "") -> list[str]:
    """List all keys below `values`, sections included: `optim`, `optim.lr`."""
    keys = []
    for key, value in values.items():
        keys.append(before + key)
        if isinstance(value, dict):
            keys += _dotted(value, f"{before}{key}.")
    return keys
