"""Each finding from the metrics that call for it, and none from a healthy run."""

from typing import Any

import pytest

from r1kit.diagnose import Finding, diagnose
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
