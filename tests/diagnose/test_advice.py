"""Advice of the findings, proved over every kind of stage and recipe."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from r1kit.config import Recipe, load, parse
from r1kit.diagnose import diagnose
from r1kit.diagnose.settings import settings_of
from r1kit.stages.plan import PlannedStage, plan
from tests.diagnose.test_diagnose import UNTAUGHT, healthy, only_warning

ROOT = Path(__file__).parents[2]
EXTRAS = """
[[tasks]]
name = "humaneval"
[model]
path = "some/base"
[cold_start]
[reasoning]
[rejection]
[final]
judge_url = "http://localhost:1"
[distill]
[[distill.students]]
name = "own"
lr = 1e-4
twin = true
[distill.students.model]
path = "another/base"
[[ablations]]
name = "long"
of = "zero"
change = { max_tokens = 4096, loss_type = "dapo", optim = { lr = 1e-3 } }
"""
SICK_RL: list[dict[str, Any]] = [
    UNTAUGHT | {"rewards/accuracy/mean": 0.0},
    UNTAUGHT | {"rewards/accuracy/mean": 0.0, "rewards/format/mean": 0.0},
    UNTAUGHT | {"rewards/accuracy/mean": 0.0, "completions/clipped_ratio": 1.0},
    UNTAUGHT | {"rewards/accuracy/mean": 1.0, "reward": 2.0},
    {"rewards/accuracy/mean": 0.0},
    {"rewards/accuracy/mean": 0.2, "frac_reward_zero_std": 0.9},
    {"rewards/accuracy/mean": 0.95, "frac_reward_zero_std": 0.9},
    {"rewards/accuracy/mean": lambda s: 0.9 - s / 100},
    {"rewards/accuracy/mean": lambda s: 0.9 - s / 100, "rewards/preference/mean": lambda s: s / 60},
    {"entropy": lambda s: 0.6 / s**2},
    {"completions/clipped_ratio": 0.4},
    {"completions/mean_length": lambda s: 2.0 ** (s / 10), "rewards/accuracy/mean": 0.6},
    {"completions/mean_length": lambda s: 35 if s < 20 else 18, "rewards/accuracy/mean": 0.12},
    {"kl": 1e6},
    {"sampling/sampling_logp_difference/mean": 0.1},
    {"grad_norm": lambda s: 40.0 if s % 10 == 0 else 0.5},
    {"n_undecided": 3200},
    {"loss": None},
]
SICK_SUPERVISED: list[dict[str, Any]] = [
    {"loss": 6.0},
    {"loss": None},
    {"grad_norm": 0.0},
    {"loss": lambda s: 6 / s, "grad_norm": lambda s: 40.0 if s % 10 == 0 else 0.5},
]


def recipes() -> dict[str, Recipe]:
    every = {path.stem: load(path) for path in sorted(ROOT.glob("recipes/**/*.toml"))}
    foreign = tomllib.loads(f'name = "foreign"\n{EXTRAS}')
    return every | {"foreign": parse(foreign, "foreign.toml")}


RECIPES = recipes()
PLANNED = [
    (name, stage)
    for name, recipe in RECIPES.items()
    for stage in plan(recipe)
    if stage.name != "preference_eval"  # it trains nothing
]


@pytest.mark.parametrize(
    ("name", "stage"), PLANNED, ids=lambda v: v if isinstance(v, str) else v.name
)
def test_advice_names_settings_that_the_recipe_has(name: str, stage: PlannedStage) -> None:
    recipe = RECIPES[name].model_dump(mode="json")
    is_rl = stage.entry_point in ("zero.run", "reasoning.run", "final.run", "ablation.run",
                             "distill.make_twin")  # fmt: skip
    titles = set()
    for sick in SICK_RL if is_rl else SICK_SUPERVISED:
        rows = []
        for step in range(1, 61):
            row = healthy(step) if is_rl else {"step": step, "loss": 1.0, "grad_norm": 1.0}
            changed = {
                key: value(step) if callable(value) else value for key, value in sick.items()
            }
            rows.append(row | changed | {"stage": stage.name})
        findings = [finding for finding in diagnose(rows, recipe) if finding.level != "fine"]
        titles |= {finding.title for finding in findings}
        for finding in findings:
            assert_settings_exist(f"{finding.observation} {finding.action}", recipe)
            assert "None" not in finding.action
    assert len(titles) > (10 if is_rl else 3)


IN_A_LIST = re.compile(r"([a-z_.]+) of \[\[([a-z.]+)\]\] ([\w-]+)")
DOTTED = re.compile(r"(?<![\w/.\[])[a-z_]+(?:\.[a-z_]+)+(?![\w(])")
NOW = re.compile(r"(?:([a-z_.]+) of \[\[([a-z.]+)\]\] ([\w-]+)|([a-z_.]+)) \((?:now )?([^ )]+)")


def assert_settings_exist(text: str, recipe: dict[str, Any]) -> None:
    """Every setting in the text is one of the recipe, and the value beside it is its value."""
    rest = text
    for key, section, entry in IN_A_LIST.findall(text):
        look_up(recipe, key, section, entry)
        rest = rest.replace(f"{key} of [[{section}]] {entry}", "")
    for key in DOTTED.findall(rest.replace("samples.jsonl", "")):
        look_up(recipe, key)
    assert "[[distill.students]]" not in rest
    assert "[[ablations]]" not in rest
    assert "/" not in re.sub(r"±\S+", "", rest).replace("some/base", "")
    for key, section, entry, plain, value in NOW.findall(text):
        name = key or plain
        if "." in name or section:
            actual = look_up(recipe, name, section, entry)
            assert value in (str(actual), f"{actual:g}" if isinstance(actual, float) else "")


def look_up(recipe: dict[str, Any], key: str, section: str = "", entry: str = "") -> Any:
    value: Any = recipe
    of = ""
    for part in section.split(".") if section else []:
        value = value[part]
    if section:
        value = next(item for item in value if item["name"] == entry)
        of = value.get("of", "")
    *parents, last = key.split(".")
    if of and parents and parents[0] == "change":
        # What an ablation does not change is its stage's; it may change any key of that stage.
        inside, base = value["change"], recipe[of]
        for part in [*parents[1:], last]:
            base = base[part]
            inside = inside.get(part, base) if isinstance(inside, dict) else base
        return inside
    for part in parents:
        value = value[part]
    assert last in value, f"{key} is not a setting"
    return value[last]


def test_a_foreign_base_has_no_corpus_to_make_longer() -> None:
    recipe = RECIPES["foreign"].model_dump(mode="json")
    rows = [healthy(s) | UNTAUGHT | {"rewards/accuracy/mean": 0.0} for s in range(1, 9)]
    action = only_warning(diagnose(rows, recipe)).action
    assert "base.tokens" not in action
    assert "level" not in action  # a public set has no level
    assert "model.path" in action


def test_the_settings_of_each_kind_of_unit_are_those_it_is_trained_with() -> None:
    recipe = RECIPES["tiny"].model_dump(mode="json")
    assert settings_of(recipe, "ablation/judged").get("optim.lr") == 5e-4
    assert settings_of(recipe, "ablation/judged").get("max_tokens") == 160
    assert settings_of(recipe, "distill/qwen-440k/zero").get("n_steps") == 52
    assert settings_of(recipe, "distill/qwen-440k/base").get("tokens") == 400_000
    assert settings_of(recipe, "preference/helpful").get("batch") == 32
    assert settings_of(recipe, "cold_start").name("optim.lr") == "cold_start.sft.optim.lr"
    own = settings_of(RECIPES["foreign"].model_dump(mode="json"), "distill/own")
    assert own.shown("optim.lr") == "lr of [[distill.students]] own (now 0.0001)"
