"""Accuracy, format and language, part by part; rl-pitfalls 35, 37, 38."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.config import RewardConfig
from r1kit.renderers.thinking import parse
from r1kit.rollouts import rewards
from r1kit.rollouts.rewards import PARTS, overlong_penalty
from r1kit.types import Attempt, Completion, FinishReason, Message, Problem, Reward, Verdict

RIGHT, WRONG = Verdict(True, "5", "equal"), Verdict(False, "4", "not 5")
EQUAL = {"accuracy": 1.0, "format": 1.0}


def completion(text: str, finish: FinishReason = "stop") -> Completion:
    return Completion([], [], text, finish, policy_version=0)


def reward(
    result: Completion,
    verdict: Verdict,
    language: str,
    weights: dict[str, float],
    opened: bool = False,
    needs_thinking: bool = True,
) -> Reward:
    problem = Problem("p", "t", (Message("user", "?"),), "5", language, {}, needs_thinking)
    attempt = Attempt(problem, [1], result, parse(result.text, opened))
    return rewards.reward(attempt, verdict, weights)


def parts(accuracy: float, well_formed: float, language: float = 1.0) -> dict[str, float]:
    return {"accuracy": accuracy, "format": well_formed, "language": language,
            "process": 0.0}  # fmt: skip


CASES = [
    ("<think>a</think>5", "stop", RIGHT, 1.0, 1.0),
    ("<think>a</think>4", "stop", WRONG, 0.0, 1.0),
    ("5", "stop", RIGHT, 1.0, 0.0),
    ("<think></think>5", "stop", RIGHT, 1.0, 0.0),
    ("<think>a</think>5", "length", RIGHT, 1.0, 0.0),
    ("<think>a</think>5", "abort", RIGHT, 1.0, 0.0),
    ("<think>\\boxed{5}", "stop", RIGHT, 0.0, 0.0),  # thinking that never ended
    ("<think>\\boxed{5}", "length", RIGHT, 0.0, 0.0),
    ("5 <think>\\boxed{5}", "stop", RIGHT, 0.0, 0.0),
]


@pytest.mark.parametrize(("text", "finish", "verdict", "accuracy", "well_formed"), CASES)
def test_parts(
    text: str, finish: FinishReason, verdict: Verdict, accuracy: float, well_formed: float
) -> None:
    scored = reward(completion(text, finish), verdict, "en", EQUAL)
    has_thinking = bool(parse(text).thinking)
    assert scored == Reward(accuracy + well_formed, parts(accuracy, well_formed, has_thinking))


def test_weights_change_the_total_and_not_the_parts() -> None:
    result = completion("<think>a</think>5")
    assert reward(result, RIGHT, "en", {"accuracy": 2.0, "format": 0.5}) == Reward(2.5, parts(1, 1))
    assert reward(result, RIGHT, "en", {"accuracy": 1.0}) == Reward(1.0, parts(1, 1))
    assert reward(result, RIGHT, "en", {}) == Reward(0.0, parts(1, 1))


def test_a_tag_of_the_prompt_belongs_to_the_prompt() -> None:
    assert reward(completion("a</think>5"), RIGHT, "en", EQUAL, opened=True).total == 2.0
    assert reward(completion("5"), RIGHT, "en", EQUAL, opened=True).total == 0.0
    assert reward(completion("<think>a</think>5"), RIGHT, "en", EQUAL, opened=True).total == 1.0


def test_the_undecided_is_never_scored() -> None:
    with pytest.raises(ValueError, match="drop the rollout"):
        reward(completion("5"), Verdict(None, None, "timeout"), "en", EQUAL)


def test_a_weight_of_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match="acuracy"):
        reward(completion("5"), RIGHT, "en", {"acuracy": 1.0})


@given(st.text(), st.sampled_from([RIGHT, WRONG]), st.sampled_from(["stop", "length"]))
def test_any_text_is_scored_within_bounds(
    text: str, verdict: Verdict, finish: FinishReason
) -> None:
    scored = reward(completion(text, finish), verdict, "en", EQUAL)
    assert all(0 <= part <= 1 for part in scored.parts.values())
    assert scored.total == scored.parts["accuracy"] + scored.parts["format"]


LANGUAGE_CASES = [
    ("<think>wait, try 5</think>\\boxed{5}", "en", 1.0),
    ("<think>wait, 다시 5</think>\\boxed{5}", "en", 0.5),
    ("<think>wait, 다시 5</think>\\boxed{5}", "ko", 0.5),
    ("<think>다시</think>the answer in another language", "ko", 1.0),
    ("<think>x=4: 28+3=31</think>5", "zh", 1.0),  # no word is a foreign word
    ("<think></think>yes", "en", 0.0),  # no thinking
    ("yes", "en", 0.0),
    ("<think>wait and wait", "en", 1.0),  # cut, and still in English
    ("<think>wait <think>다시</think>5", "ko", 0.5),  # a tag is no word
]


@pytest.mark.parametrize(("text", "language", "share"), LANGUAGE_CASES)
def test_language_is_that_of_the_thinking(text: str, language: str, share: float) -> None:
    scored = reward(completion(text), RIGHT, language, {"language": 2.0})
    assert scored.parts["language"] == share
    assert scored.total == 2 * share


def test_the_weights_of_the_recipe_are_those_of_the_parts() -> None:
    weights = RewardConfig().model_dump()
    assert set(weights) == set(PARTS)
    assert weights["language"] == 0.0


def test_an_answer_alone_is_well_formed_where_no_thinking_is_needed() -> None:
    hello = completion("Hello, Mina!")
    assert reward(hello, RIGHT, "en", EQUAL, needs_thinking=False).total == 2.0
    assert reward(hello, RIGHT, "ko", {"language": 1.0}, needs_thinking=False).total == 0.0
    assert reward(hello, RIGHT, "en", EQUAL).total == 1.0
    for text in ("Hello</think>!", "a<think>b</think>", "<think>b</think>", ""):
        scored = reward(completion(text), RIGHT, "en", EQUAL, needs_thinking=False)
        assert scored.parts["format"] == 0.0, text


def test_true_steps_are_counted_and_weighed_only_on_demand() -> None:
    text = "<think>4*7=28\n28+3=31 38-31=8</think>5"
    assert reward(completion(text), WRONG, "en", {"process": 3.0}).total == pytest.approx(2.0)
    assert reward(completion(text), WRONG, "en", EQUAL).total == 1.0


@pytest.mark.parametrize(
    ("n_tokens", "expected"),
    # DAPO's numbers: 20480 tokens at most, a buffer of 4096, so free up to 16384
    [(1, 0), (16384, 0), (17408, -0.25), (18432, -0.5), (20480, -1), (30000, -1)],
)
def test_overlong_penalty_by_hand(n_tokens: int, expected: float) -> None:
    assert overlong_penalty(n_tokens, 20480, 4096) == expected


def test_no_buffer_no_penalty() -> None:
    assert overlong_penalty(256, 256, 0) == 0.0
