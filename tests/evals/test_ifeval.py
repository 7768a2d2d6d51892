"""IFEval's accuracies and their errors, computed by hand."""

import math

import pytest

from r1kit.evals.ifeval import instruction_scores
from r1kit.evals.scores import stderr
from r1kit.verify.instructions import check_instructions, read_instructions

NO_COMMA, QUOTED, UNKNOWN = "punctuation:no_comma", "startend:quotation", "copy:copy"


def answers(kinds: list[str], *texts: str) -> list:  # type: ignore[type-arg]
    instructions = read_instructions({"instruction_id_list": kinds, "kwargs": [None] * len(kinds)})
    reports = [check_instructions(text, instructions) for text in texts]
    return [{"strict": report.strict, "loose": report.loose} for report in reports]


def test_the_four_accuracies_of_three_prompts() -> None:
    scores = instruction_scores(
        [
            answers([NO_COMMA, QUOTED], '"a"'),
            answers([NO_COMMA, QUOTED], 'Sure\n"a"'),  # loose alone
            answers([NO_COMMA], "a, b"),
        ]
    )
    assert scores["prompt strict"].value == pytest.approx(1 / 3)
    assert scores["prompt loose"].value == pytest.approx(2 / 3)
    assert scores["instruction strict"].value == pytest.approx(3 / 5)
    assert scores["instruction loose"].value == pytest.approx(4 / 5)
    assert scores["prompt strict"].stderr == pytest.approx(stderr([1, 0, 0]))
    # residuals of the ratio 3/5: 2 - 6/5, 1 - 6/5, 0 - 3/5
    residuals = 0.8**2 + 0.2**2 + 0.6**2
    assert scores["instruction strict"].stderr == pytest.approx(math.sqrt(residuals * 3 / 2) / 5)


def test_the_answers_of_one_prompt_are_one_sample() -> None:
    two = instruction_scores([answers([QUOTED], '"a"', "a"), answers([QUOTED], '"a"', '"b"')])
    assert two["prompt strict"].value == 0.75
    assert two["prompt strict"].stderr == pytest.approx(stderr([0.5, 1.0]))
    assert two["instruction strict"] == two["prompt strict"]


def test_what_cannot_be_checked_is_left_out() -> None:
    scores = instruction_scores(
        [answers([NO_COMMA, UNKNOWN], "a"), answers([NO_COMMA, UNKNOWN], "a, b"),
         answers([NO_COMMA], "a")]
    )  # fmt: skip
    assert scores["prompt strict"].value == 0.5  # the first is undecided
    assert scores["instruction strict"].value == pytest.approx(2 / 3)
    assert instruction_scores([answers([UNKNOWN], "a")]) == {}
