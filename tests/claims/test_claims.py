"""The claims table by hand: numbers, their errors, and the rule that decides."""

import json
from math import isclose, sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit import claims
from r1kit.claims import paper, reading
from r1kit.claims.decide import Claim, combine, judge
from r1kit.claims.reading import MissingError, Reading
from r1kit.runs.run_reader import RunContents
from r1kit.types import Json

ERRORS = {"mean_tokens": 1.0, "mean_reflections": 0.1, "language_consistency": 0.01,
          "cons_gain": 0.01, "well_formed": 0.01}  # fmt: skip


def stage(accuracy: float, n_parameters: int = 100, flops: float = 1.0, **more: float) -> Json:
    numbers = {"mean_tokens": 30.0, "mean_reflections": 0.5, "language_consistency": 0.9,
               "cons_gain": 0.03, "well_formed": 0.9}  # fmt: skip
    rate = {"pass_at_1": accuracy, "stderr": 0.02, "errors": ERRORS}
    return {
        "evals": {
            "reasoning": {**rate, **numbers, **more},
            "general": {**rate, "well_formed": 0.5},
        },
        "n_parameters": n_parameters,
        "compute": {"flops": flops},
    }


def run(metrics: list[Json] | None = None, **results: object) -> RunContents:
    return RunContents(Path(), {}, {}, metrics or [], [], results, {})


def rows(*runs: RunContents) -> dict[str, Json]:
    return {row["id"]: row for row in claims.table(runs)}


def claim(threshold: float) -> Claim:
    return Claim("c", "", "", "", "", "x", threshold, lambda run: Reading(0, 0))


def test_a_ratio_and_its_error() -> None:
    result = Reading(0.9, 0.03).over(Reading(0.3, 0.02))
    assert isclose(result.value, 3.0)
    assert isclose(result.stderr, sqrt(0.03**2 + (3 * 0.02) ** 2) / 0.3)
    with pytest.raises(MissingError):
        Reading(1.0, 0.0).over(Reading(0.0, 0.1))


def test_one_seed_has_the_error_within_it() -> None:
    assert judge(claim(1.0), [Reading(1.5, 0.2)]).holds is True
    assert judge(claim(1.0), [Reading(1.3, 0.2)]).holds == "undecided"
    assert judge(claim(1.0), [Reading(0.5, 0.2)]).holds is False
    assert judge(claim(1.0), [Reading(1.0, 0.0)]).holds == "undecided"


def test_three_seeds_have_the_larger_error() -> None:
    apart = combine([Reading(1.0, 0.1), Reading(2.0, 0.1), Reading(3.0, 0.1)])
    assert apart.value == 2.0
    assert isclose(apart.stderr, 1 / sqrt(3))  # stdev 1 between seeds
    alike = combine([Reading(2.0, 0.3), Reading(2.0, 0.3), Reading(2.0, 0.3)])
    assert isclose(alike.stderr, 0.3 / sqrt(3))
    two = combine([Reading(1.0, 0.1), Reading(3.0, 0.1)])
    assert isclose(two.stderr, 0.1 / sqrt(2))


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(-10, 10))
def test_nothing_within_two_errors_is_decided(
    value: float, stderr: float, threshold: float
) -> None:
    holds = judge(claim(threshold), [Reading(value, stderr)]).holds
    if abs(value - threshold) <= 2 * stderr:
        assert holds == "undecided"
    else:
        assert holds is (value > threshold)


def test_claims_about_what_was_not_measured_are_not_there() -> None:
    zero = stage(0.9, mean_tokens=60.0, language_consistency=0.7)
    result = rows(run(stages={"base": stage(0.2), "zero": zero}))
    assert list(result) == [
        "zero_accuracy",
        "zero_votes",
        "zero_length",
        "zero_reflection",
        "zero_mixes",
    ]
    assert result["zero_accuracy"]["value"] == pytest.approx(4.5)
    assert result["zero_accuracy"]["holds"] is True
    assert result["zero_votes"]["value"] == pytest.approx(3.0)
    assert result["zero_mixes"]["value"] == pytest.approx(20.0)
    assert result["zero_reflection"]["holds"] is False
    assert claims.table([run()]) == []
    assert json.dumps(list(result.values()))


def test_a_recipe_in_one_language_says_nothing_about_mixing() -> None:
    zero = stage(0.9, language_consistency=0.7)
    korean = run(stages={"base": stage(0.2), "zero": zero})
    korean.recipe["languages"] = ["ko"]
    assert "zero_mixes" not in rows(korean)
    korean.recipe["languages"] = ["ko", "en"]
    assert rows(korean)["zero_mixes"]["value"] == pytest.approx(20.0)


def test_a_claim_needs_every_seed() -> None:
    whole = run(stages={"base": stage(0.2), "zero": stage(0.9)})
    assert rows(whole, run(stages={"base": stage(0.2)})) == {}
    assert rows(whole, whole)["zero_accuracy"]["per_seed"] == pytest.approx([4.5, 4.5])


def test_a_twin_with_less_compute_does_not_count() -> None:
    stages = {
        "distill/a/base": stage(0.1),
        "distill/a": stage(0.8, n_parameters=10, flops=5.0),
        "distill/a/zero": stage(0.5, flops=5.0),
        "distill/b": stage(0.9, n_parameters=20, flops=5.0),
        "distill/b/zero": stage(0.1, flops=4.9),
    }
    result = rows(run(stages=stages))
    assert result["distilled_beats_rl"]["value"] == pytest.approx(30.0)
    assert result["distilled_by_size"]["value"] == pytest.approx(10.0)
    del stages["distill/a/zero"]
    assert "distilled_beats_rl" not in rows(run(stages=stages))


def test_hacking_is_truth_lost_while_the_reward_models_gain() -> None:
    stages = {
        "rejection": stage(0.8),
        "ablation/judged": stage(0.4),
        "ablation/ruled": stage(0.82),
    }

    def scored(judged: float) -> RunContents:
        scores = {"rejection": 0.6, "ablation/judged": judged}
        liked = {name: {"value": value, "stderr": 0.01} for name, value in scores.items()}
        return run(stages=stages, preference_eval={"scores": liked})

    result = rows(scored(0.9))
    assert result["preference_hacked"]["value"] == pytest.approx(40.0)
    assert result["preference_hacked"]["holds"] is True
    assert result["rule_not_hacked"]["value"] == pytest.approx(2.0)
    assert rows(scored(0.5))["preference_hacked"]["value"] == 0.0
    assert "preference_hacked" not in rows(run(stages=stages))


def test_a_curve_of_truth_and_reward_is_that_of_its_stage() -> None:
    metrics = [
        {
            "stage": "ablation/ruled",
            "step": 1,
            "accuracy/general": 0.8,
            "rewards/accuracy/mean": 0.1,
        },
        {
            "stage": "ablation/ruled",
            "step": 2,
            "accuracy/general": 0.9,
            "rewards/accuracy/mean": 0.2,
        },
        {"stage": "final", "step": 2, "accuracy/general": 0.7, "rewards/accuracy/mean": 0.2},
    ]
    result = reading.truth_and_reward(run(metrics), "ablation/ruled", "rewards/accuracy/mean")
    assert result == [(1, 0.8, 0.1), (2, 0.9, 0.2)]


def test_claims_have_ids_of_their_own_and_say_their_rule() -> None:
    assert len({item.id for item in paper.CLAIMS}) == len(paper.CLAIMS) >= 19
    assert all(item.rule and item.paper and item.section for item in paper.CLAIMS)


def test_a_base_that_mixes_languages_already_decides_nothing_about_zero() -> None:
    mixed = rows(run(stages={"base": stage(0.2), "zero": stage(0.9), "final": stage(0.9)}))
    for claim_id in ("zero_mixes", "r1_one_language"):
        assert mixed[claim_id]["value"] == pytest.approx(0.0)
        assert mixed[claim_id]["holds"] is not True
