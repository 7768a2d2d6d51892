"""Each finding from the metrics that call for it, and none from a healthy run."""

from typing import Any

import pytest

from r1kit.diagnose import Finding, diagnose

RECIPE = {
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
        "rewards/accuracy": 0.14 + 0.7 * share,
        "rewards/format": 0.95,
        "frac_reward_zero_std": 0.3,
        "completions/mean_length": 29 + 60 * share,
        "completions/clipped_ratio": 0.01,
        "entropy": 0.6 - 0.3 * share,
        "kl": 0.02,
        "mismatch/mean_abs": 1e-6,
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


def test_a_healthy_run_is_fine_and_its_loss_near_zero_is_explained():
    assert [(f.level, f.title) for f in run()] == [
        ("fine", "Healthy"),
        ("note", "A loss near 0 is normal"),
    ]


def test_no_reward_has_three_causes():
    cut = only_warning(run(rewards__accuracy=0.0, completions__clipped_ratio=0.97))
    assert cut.title == "No reward"
    assert "97% of the answers are cut off" in cut.cause
    assert "zero.max_tokens (now 256)" in cut.action
    unformatted = only_warning(run(rewards__accuracy=0.0, rewards__format=0.01))
    assert "format is hit by 1%" in unformatted.cause
    weak = only_warning(run(rewards__accuracy=0.002))
    assert "too weak" in weak.cause
    assert weak.seen == "Accuracy is 0.2% over the last 10 steps."


def test_equal_groups_are_a_trouble_early_and_a_success_late():
    hard = only_warning(run(frac_reward_zero_std=0.85, rewards__accuracy=0.2))
    assert hard.title == "Few groups teach"
    assert hard.seen.startswith("In 85% of the groups")
    easy = run(frac_reward_zero_std=0.9, rewards__accuracy=0.97)
    assert ("note", "Few groups teach") in [(f.level, f.title) for f in easy]
    assert "warning" not in [f.level for f in easy]


def test_collapse_names_the_best_step_and_a_lower_rate():
    fall = only_warning(run(rewards__accuracy=lambda s: 0.5 if s <= 30 else 0.1))
    assert fall.title == "Collapse"
    assert fall.seen == "Accuracy fell from 50.0% (around step 10) to 10.0%."
    assert "(0.0003 → 0.0001)" in fall.action


def test_a_judge_that_likes_wrong_answers_is_hacked():
    found = only_warning(
        run(rewards__preference=lambda s: s / 60, rewards__accuracy=lambda s: 0.6 - s / 120)
    )
    assert found.title == "The judge is hacked"
    assert "rose from 0.09 to 0.93 while right answers fell from 55.4% to 13.7%" in found.seen


def test_new_kinds_of_problems_are_no_collapse():
    rows = []
    for step in range(1, 61):
        row = healthy(step) | {"accuracy/equation": 0.9, "rewards/accuracy": 0.9}
        if step > 40:
            row |= {"accuracy/general": 0.3, "rewards/accuracy": 0.6}
        rows.append(row)
    assert [f.title for f in diagnose(rows, RECIPE) if f.level == "warning"] == []


def test_a_wobble_is_no_collapse():
    assert not [
        f for f in run(rewards__accuracy=lambda s: 0.5 + 0.02 * (s % 2)) if f.level == "warning"
    ]


@pytest.mark.parametrize(
    ("changes", "title", "seen"),
    [
        ({"entropy": lambda s: 0.6 / s**2}, "Nothing left to explore", "Entropy fell from"),
        ({"completions__clipped_ratio": 0.4}, "Answers are cut off", "40% of the answers reach"),
        (
            {
                "completions__mean_length": lambda s: 2.0 ** (s / 10),
                "rewards__accuracy": 0.6,
            },
            "Length runs away",
            "by +0.0 points",
        ),
        (
            {"completions__mean_length": lambda s: 35 if s < 20 else 18, "rewards__accuracy": 0.12},
            "It learns to give up",
            "from 35 to 18 tokens at 12.0% accuracy",
        ),
        ({"kl": lambda s: 1e6 if s == 40 else 0.1}, "KL blew up", "reached 1e+06"),
        ({"mismatch__mean_abs": 0.01}, "Sampler and learner disagree", "differ by 0.01"),
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
def test_trouble_is_named_with_its_numbers(changes: dict[str, Any], title: str, seen: str):
    warning = only_warning(run(**changes))
    assert warning.title == title
    assert seen in warning.seen
    assert warning.cause
    assert warning.action


def test_sixteen_bit_sampling_may_differ_a_little():
    rows = [healthy(step) | {"mismatch/mean_abs": 0.01} for step in range(1, 30)]
    recipe = {**RECIPE, "compute": {"dtype": "bfloat16"}}
    assert diagnose(rows, recipe)[0].level == "fine"


def test_pretraining_that_does_not_learn():
    rows = [{"stage": "base", "step": s, "loss": 6.0, "grad_norm": 1.0} for s in range(1, 50)]
    assert only_warning(diagnose(rows, RECIPE)).title == "It does not learn"
    falling = [row | {"loss": 6 / row["step"]} for row in rows]
    assert [f.title for f in diagnose(falling, RECIPE)] == ["Healthy"]


def test_nothing_and_almost_nothing_is_no_trouble():
    assert diagnose([], {}) == []
    assert [f.level for f in diagnose([{"stage": "zero", "step": 1, "reward": 0.0}], {})] == [
        "fine"
    ]
