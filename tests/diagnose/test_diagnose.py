"""Each finding from the metrics that call for it, and none from a healthy run."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from r1kit.config import Recipe, load, parse
from r1kit.diagnose import Finding, diagnose
from r1kit.diagnose.settings import settings_of
from r1kit.stages.plan import PlannedStage, plan
from r1kit.types import Json

RECIPE: Json = {
    "zero": {"max_tokens": 256, "n_completions": 16, "optim": {"lr": 3e-4}},
    "base": {"optim": {"lr": 3e-3}},
    "compute": {"dtype": "float32"},
}


def healthy(step: int) -> dict[str, Any]:
    share = step / 60
    return {
        "stage": "zero",
        "step": step,
        "loss": 0.001,
        "grad_norm": 0.4,
        "reward": 1 + share,
        "rewards/accuracy/mean": 0.14 + 0.7 * share,
        "rewards/format/mean": 0.95,
        "frac_reward_zero_std": 0.3,
        "completions/mean_length": 29 + 60 * share,
        "completions/clipped_ratio": 0.01,
        "entropy": 0.6 - 0.3 * share,
        "kl": 0.02,
        "sampling/sampling_logp_difference/mean": 1e-6,
        "n_problems": 32,
        "n_undecided": 0,
    }


def run(n: int = 60, **changes: Any) -> list[Finding]:
    """Findings on a healthy run with some metrics changed: a value, or a function of the step."""
    rows = [
        healthy(step)
        | {
            key.replace("__", "/"): value(step) if callable(value) else value
            for key, value in changes.items()
        }
        for step in range(1, n + 1)
    ]
    return diagnose(rows, RECIPE)


def only_warning(findings: list[Finding]) -> Finding:
    (warning,) = [finding for finding in findings if finding.level == "warning"]
    return warning


def test_a_healthy_run_is_fine_and_its_loss_near_zero_is_explained() -> None:
    assert [(f.level, f.title) for f in run()] == [
        ("fine", "Healthy"),
        ("note", "A loss near 0 is normal"),
    ]


def test_no_reward_has_three_causes() -> None:
    cut = only_warning(run(rewards__accuracy__mean=0.0, completions__clipped_ratio=0.97))
    assert cut.title == "No reward"
    assert "97% of the completions are cut off" in cut.cause
    assert "zero.max_tokens (now 256)" in cut.action
    unformatted = only_warning(run(rewards__accuracy__mean=0.0, rewards__format__mean=0.01))
    assert "1% of the completions have the format" in unformatted.cause
    weak = only_warning(run(rewards__accuracy__mean=0.002))
    assert "too weak" in weak.cause
    assert weak.observation == "Accuracy is 0.2% over the last 10 steps."


def test_equal_groups_are_a_trouble_early_and_a_success_late() -> None:
    hard = only_warning(run(frac_reward_zero_std=0.85, rewards__accuracy__mean=0.2))
    assert hard.title == "Few groups teach"
    assert hard.observation.startswith("In 85% of the groups")
    easy = run(frac_reward_zero_std=0.9, rewards__accuracy__mean=0.97)
    assert ("note", "Few groups teach") in [(f.level, f.title) for f in easy]
    assert "warning" not in [f.level for f in easy]


def test_collapse_names_the_best_step_and_a_lower_rate() -> None:
    fall = only_warning(run(rewards__accuracy__mean=lambda s: 0.5 if s <= 30 else 0.1))
    assert fall.title == "Collapse"
    assert fall.observation == "Accuracy fell from 50.0% (around step 10) to 10.0%."
    assert "(0.0003 → 0.0001)" in fall.action


def test_a_judge_that_likes_wrong_answers_is_hacked() -> None:
    result = only_warning(
        run(
            rewards__preference__mean=lambda s: s / 60,
            rewards__accuracy__mean=lambda s: 0.6 - s / 120,
        )
    )
    assert result.title == "The judge is hacked"
    assert (
        "rose from 0.09 to 0.93 while right answers fell from 55.4% to 13.7%" in result.observation
    )


def test_new_kinds_of_problems_are_no_collapse() -> None:
    rows = []
    for step in range(1, 61):
        row = healthy(step) | {"accuracy/equation": 0.9, "rewards/accuracy/mean": 0.9}
        if step > 40:
            row |= {"accuracy/general": 0.3, "rewards/accuracy/mean": 0.6}
        rows.append(row)
    assert [f.title for f in diagnose(rows, RECIPE) if f.level == "warning"] == []


def test_a_wobble_is_no_collapse() -> None:
    assert not [
        f
        for f in run(rewards__accuracy__mean=lambda s: 0.5 + 0.02 * (s % 2))
        if f.level == "warning"
    ]


@pytest.mark.parametrize(
    ("changes", "title", "observed"),
    [
        ({"entropy": lambda s: 0.6 / s**2}, "Nothing left to explore", "Entropy fell from"),
        (
            {"completions__clipped_ratio": 0.4},
            "Completions are cut off",
            "40% of the completions reach",
        ),
        (
            {
                "completions__mean_length": lambda s: 2.0 ** (s / 10),
                "rewards__accuracy__mean": 0.6,
            },
            "Length runs away",
            "by +0.0 points",
        ),
        (
            {
                "completions__mean_length": lambda s: 35 if s < 20 else 18,
                "rewards__accuracy__mean": 0.12,
            },
            "It learns to give up",
            "from 35 to 18 tokens at 12.0% accuracy",
        ),
        ({"kl": lambda s: 1e6 if s == 40 else 0.1}, "KL blew up", "reached 1e+06"),
        (
            {"sampling__sampling_logp_difference__mean": 0.01},
            "Sampler and learner disagree",
            "differ by 0.01",
        ),
        (
            {"grad_norm": lambda s: 40.0 if s % 10 == 0 else 0.5},
            "Gradient spikes",
            "6 of 60 steps",
        ),
        ({"n_undecided": 32}, "The verifier could not decide", "1920 completions (5.9%)"),
        (
            {"loss": lambda s: None if s > 7 else 0.1},
            "Numbers broke",
            "loss is not a number from step 8",
        ),
    ],
)
def test_trouble_is_named_with_its_numbers(
    changes: dict[str, Any], title: str, observed: str
) -> None:
    warning = only_warning(run(**changes))
    assert warning.title == title
    assert observed in warning.observation
    assert warning.cause
    assert warning.action


def test_sixteen_bit_sampling_may_differ_a_little() -> None:
    rows = [
        healthy(step) | {"sampling/sampling_logp_difference/mean": 0.01} for step in range(1, 30)
    ]
    recipe = {**RECIPE, "compute": {"dtype": "bfloat16"}}
    assert diagnose(rows, recipe)[0].level == "fine"


def test_pretraining_that_does_not_learn() -> None:
    rows: list[Json] = [
        {"stage": "base", "step": s, "loss": 6.0, "grad_norm": 1.0} for s in range(1, 50)
    ]
    assert only_warning(diagnose(rows, RECIPE)).title == "It does not learn"
    falling = [row | {"loss": 6 / row["step"]} for row in rows]
    assert [f.title for f in diagnose(falling, RECIPE)] == ["Healthy"]


def test_no_metrics_no_findings() -> None:
    assert diagnose([], {}) == []


UNTAUGHT = {"reward": 0.0, "frac_reward_zero_std": 1.0, "n_trained_tokens": 0.0, "grad_norm": 0.0}


@pytest.mark.parametrize("n_steps", [1, 2, 4, 5, 19, 60])
@pytest.mark.parametrize(
    "changes",
    [
        UNTAUGHT | {"rewards__accuracy__mean": 0.0, "rewards__format__mean": 0.0},
        # Every reward alike, at a reward that is not 0.
        UNTAUGHT | {"rewards__accuracy__mean": 0.0, "reward": 1.0},
        UNTAUGHT | {"rewards__accuracy__mean": 1.0, "reward": 2.0},
        # No answer was decided, so there is no group.
        {"reward": 0.0, "n_problems": 0.0, "n_undecided": 512, "rewards__accuracy__mean": None},
        # The gradient alone tells: every answer was masked.
        {"grad_norm": 0.0},
        {"n_trained_tokens": 0},
        {"reward": 0.0},
        {"frac_reward_zero_std": 1.0},
    ],
)
def test_a_run_that_learned_nothing_is_never_healthy(n_steps: int, changes: dict[str, Any]) -> None:
    findings = run(n_steps, **changes)
    titles = [finding.title for finding in findings]
    assert "Nothing was learned" in titles
    assert "Healthy" not in titles
    assert "A loss near 0 is normal" not in titles
    assert "No reward" not in titles  # one trouble, said once


def test_one_step_that_taught_is_enough() -> None:
    titles = [f.title for f in run(4, **UNTAUGHT | {"reward": lambda s: s, "n_trained_tokens": 10,
              "grad_norm": lambda s: float(s == 2), "frac_reward_zero_std": 0.5})]  # fmt: skip
    assert "Nothing was learned" not in titles


def test_a_length_penalty_may_teach_where_rewards_are_equal() -> None:
    recipe = {**RECIPE, "zero": {**RECIPE["zero"], "overlong_buffer": 32}}
    rows = [healthy(step) | {"frac_reward_zero_std": 1.0} for step in range(1, 9)]
    assert "Nothing was learned" not in [f.title for f in diagnose(rows, recipe)]


def test_supervised_training_without_a_gradient_is_not_healthy() -> None:
    rows = [{"stage": "cold_start", "step": s, "loss": 0.0, "grad_norm": 0.0} for s in range(1, 4)]
    assert only_warning(diagnose(rows, RECIPE)).title == "Nothing was learned"


# Advice, proved over every kind of stage and recipe.

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
