"""Against real problems, where they lie beside the project (see docs/verifiers.md)."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.types import Json
from r1kit.verify.math import Pool, check_math

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
ALONE = ROOT / "scripts" / "math_verify_alone.py"

OURS_IS_RIGHT: dict[str, str] = {}
"""id of a MATH-500 row → why our verdict on the next row's answer, and not Math-Verify's, holds."""


def rows(name: str) -> list[Json]:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in {DATA}")
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def alone() -> Iterator[Pool]:
    with Pool(budget_s=20, worker=ALONE) as pool:
        pool.warm_up()
        yield pool


def test_every_answer_of_math500_is_itself(patient: Pool) -> None:
    for row in rows("math500_test.jsonl.gz"):
        gold = row["answer"]
        for text in (
            f"\\boxed{{{gold}}}",
            f"Hence the answer is $\\boxed{{{gold}}}$, as claimed.",
            row["solution"],
        ):
            assert check_math(text, gold, patient).correct is True, (gold, text)


def test_the_next_answer_of_math500_is_judged_as_by_math_verify(patient: Pool, alone: Pool) -> None:
    all_rows = rows("math500_test.jsonl.gz")
    differ = []
    for row, following in zip(all_rows, [*all_rows[1:], all_rows[0]], strict=True):
        text = f"\\boxed{{{following['answer']}}}"
        ours = check_math(text, row["answer"], patient).correct
        if ours is not alone.ask(row["answer"], text).same:
            differ.append(row["unique_id"])
    assert set(differ) <= OURS_IS_RIGHT.keys()


@pytest.mark.parametrize("name", ["gsm8k_test.jsonl.gz", "gsm8k_train.jsonl.gz"])
def test_every_solution_of_gsm8k_is_right(name: str, patient: Pool) -> None:
    for row in rows(name):
        gold = row["answer"].rpartition("####")[2].strip()
        assert check_math(row["answer"], gold, patient).correct is True, row["answer"]


def test_every_choice_of_mmlu_is_its_letter() -> None:
    from r1kit.verify.choice import check_choice

    for row in rows("mmlu_sample_12x40.jsonl.gz"):
        answer = row["answer"]
        gold = "ABCD"[answer] if isinstance(answer, int) else str(answer)
        for form in ("Answer: {}", "The correct answer is ({}).", "\\boxed{{{}}}", "{}"):
            for letter in "ABCD":
                verdict = check_choice(form.format(letter), gold)
                assert verdict.correct is (letter == gold)
        text = row["choices"]["ABCD".index(gold)]
        assert check_choice(f"Answer: {gold}. {text}", gold).correct is True, text
