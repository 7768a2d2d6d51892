"""Countdown verdicts; rl-pitfalls 40 (three peers accept most of EXPLOITS), 39."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Verdict
from r1kit.verify.expression import check_countdown

RIGHT = [
    ("(3 + 4) * 5", [3, 4, 5], 35),
    ("3+4*5", [5, 4, 3], 23),
    ("10 - 4 - 3", [10, 4, 3], 3),
    ("24 / 4 / 2", [24, 4, 2], 3),
    ("8 / (3 - 8 / 3)", [3, 3, 8, 8], 24),
    ("(3 + 4) × 5 = 35", [3, 4, 5], 35),
    ("6 ÷ 2 · 5 − 1", [6, 2, 5, 1], 14),
    ("6 \\div 2 \\times 5 \\cdot 1", [6, 2, 5, 1], 15),
    ("(3 + 4)\n  * 5\n = 35", [3, 4, 5], 35),
    ("-3 + 5", [3, 5], 2),
    ("2 * (-3 + 5) = 4", [2, 3, 5], 4),
    ("3 - 5 = -2", [3, 5], -2),
    ("((7))", [7], 7),
    ("0 * 5", [0, 5], 0),
    ("So \\boxed{(3 + 4) * 5} it is.", [3, 4, 5], 35),
    ("\\boxed{3 +\n4}", [3, 4], 7),
    ("Answer: 3 + 4 = 7.", [3, 4], 7),
    ("답: 3 + 4", [3, 4], 7),
]


@pytest.mark.parametrize(("text", "numbers", "target"), RIGHT)
def test_right_work_is_accepted(text: str, numbers: list[int], target: int) -> None:
    assert check_countdown(text, numbers, target).correct is True
    assert check_countdown(text, numbers, target + 1).correct is False
    assert check_countdown(text, [*numbers, 1], target).correct is False
    assert check_countdown(text, [*numbers[1:], 99], target).correct is False


EXPLOITS = [
    ("2.5*4", [2, 5, 4], 10),  # digits spliced into a decimal
    ("2.*5", [2, 5], 10),
    ("25", [2, 5], 25),
    ("2 5", [2, 5], 25),
    ("2\n5", [2, 5], 25),
    ("2_5", [2, 5], 25),
    ("2,5", [2, 5], 25),
    ("2\u200b5", [2, 5], 25),
    ("2e5", [2, 5], 200000),
    ("0x2+5", [2, 5], 7),
    ("2**3", [2, 3], 8),
    ("2 * * 3", [2, 3], 8),
    ("2^3", [2, 3], 1),
    ("2²", [2], 4),
    ("7//2", [7, 2], 3),
    ("7 / / 2", [7, 2], 3),
    ("7 % 2", [7, 2], 1),
    ("9**9**9", [9, 9, 9], 1),  # must not be computed either
    ("7/2", [7, 2], 3),
    ("3!", [3], 6),
    ("~2", [2], -3),
    ("2<<3", [2, 3], 16),
    ("2 < 3", [2, 3], 1),
    ("--2 + 3", [2, 3], 5),
    ("3 - -2", [3, 2], 5),
    ("3 * -2", [3, 2], -6),
    ("+3 + 2", [3, 2], 5),
    ("2(3)", [2, 3], 6),
    ("(2)(3)", [2, 3], 6),
    ("(2)3", [2, 3], 6),
    ("2 3 +", [2, 3], 5),
    ("3 + 4 = 8", [3, 4], 7),
    ("3 + 4 = 7", [3, 4], 8),
    ("3 + 4 = 7 = 7", [3, 4], 7),
    ("3 + 4 = 3 + 4", [3, 4], 7),
    ("3 + 4 = 7.0", [3, 4], 7),
    ("3 + 4 =", [3, 4], 7),
    ("= 7", [3, 4], 7),
    ("7 = 3 + 4", [3, 4], 7),
    ("x = 3 + 4", [3, 4], 7),
    ("3 + 4; 5", [3, 4], 7),
    ("3 + 4 # + 9", [3, 4], 7),
    ("3 + 03", [3, 3], 6),
    ("3 + ３", [3, 3], 6),
    ("3 + ٣", [3, 3], 6),
    ("5 / (3 - 3)", [5, 3, 3], 0),
    ("5 / 0", [5, 0], 0),
    ("0 / 0", [0, 0], 0),
    ("(3 + 4", [3, 4], 7),
    ("3 + 4)", [3, 4], 7),
    ("()", [], 0),
    ("3 +", [3], 3),
    ("-", [], 0),
    ("", [], 0),
    (" ", [], 0),
    ("abs(3) + 4", [3, 4], 7),
    ("__import__('os').getpid()", [3, 4], 7),
    ("3 \\timesx 4", [3, 4], 12),
    ("3 + 4\x00", [3, 4], 7),
    ("\u202e3 + 4", [3, 4], 7),
    ("3 + 4 + 4", [3, 4], 11),
    ("3", [3, 4], 3),
    ("\\boxed{3 + 4} or \\boxed{3 * 4}", [3, 4], 7),
]


@pytest.mark.parametrize(("text", "numbers", "target"), EXPLOITS)
def test_wrong_work_is_refused(text: str, numbers: list[int], target: int) -> None:
    verdict = check_countdown(text, numbers, target)
    assert verdict.correct is False
    assert verdict.why


def test_verdicts_say_why() -> None:
    assert check_countdown("3 + 4", [3, 4], 7) == Verdict(True, "3 + 4", "makes 7")
    assert check_countdown("7 / 2", [7, 2], 3) == Verdict(False, "7 / 2", "makes 7/2, not 3")
    assert check_countdown("3 + 3", [3, 4], 6).why == "uses 3, 3, not 3, 4"
    assert check_countdown("3 + 4 = 8", [3, 4], 7).why == "claims 8, not 7"
    assert check_countdown("3 / (4 - 4)", [3, 4, 4], 7).why == "divides by zero"


def random_expression(numbers: list[int], rng: random.Random) -> str:
    parts = [str(number) for number in numbers]
    while len(parts) > 1:
        i = rng.randrange(len(parts) - 1)
        left, right = parts[i : i + 2]
        parts[i : i + 2] = [f"({left} {rng.choice('+-*')} {right})"]
    return parts[0]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_agrees_with_python_on_its_own_expressions(numbers: list[int], rng: random.Random) -> None:
    expression = random_expression(numbers, rng)
    target = eval(expression, {"__builtins__": {}})  # our own text, as the oracle
    rng.shuffle(numbers)
    assert check_countdown(expression, numbers, target).correct is True
    assert check_countdown(f"{expression} = {target}", numbers, target).correct is True
    assert check_countdown(expression, numbers, target + 1).correct is False


@given(st.text(alphabet="0123456789+-*/()=×÷ .\n\\boxed{}", max_size=40))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert check_countdown(text, [1, 2], 3).correct in (True, False)


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    texts = ["(" * 10**6, "9" * 10**6, "9*" * 10**6, "\\boxed{" * 10**5, "1" + " " * 10**6 + "+"]
    texts += ["(" * 249 + "1" + ")" * 249, "9" * 499, "9*" * 249 + "9", " " * 499 + "\x00"]
    for text in texts:
        assert check_countdown(text, [1], 1).correct is False
    assert check_countdown("(" * 50 + "1" + ")" * 50, [1], 1).correct is True
    assert check_countdown("+".join(["(1)"] * 99), [1] * 99, 99).correct is True
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes
