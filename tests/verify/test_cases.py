"""Real answers and their verdicts, decided before they were run (docs/verifiers.md)."""

import gzip
import json
from pathlib import Path

import pytest

from r1kit.types import Json
from r1kit.verify_file import AnswerRow, grade

FILE = Path(__file__).parent / "cases" / "verifier_cases.jsonl.gz"
VARIANTS_FILE = FILE.with_name("variants.jsonl")
ARGUED = {
    "m137": "the question asks for 亿, which a verifier that sees no question cannot know; paying "
    "2.4 for 2.4亿 would pay 5 for 5万",
}
"""id of a case → why another verdict than the expected one holds"""


def cases(*kinds: str) -> list[AnswerRow]:
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return [row for line in file if (row := json.loads(line))["kind"] in kinds]


def expected(row: Json) -> set[str]:
    """A text that states no answer is as wrong as one that states a wrong answer."""
    return {"incorrect", "no answer"} if row["expected"] == "incorrect" else {row["expected"]}


VARIANTS = [json.loads(line) for line in VARIANTS_FILE.read_text().splitlines()]


@pytest.mark.parametrize("row", VARIANTS, ids=lambda row: row["id"])
def test_variants_of_the_kinds_in_three_languages(row: AnswerRow) -> None:
    verdict = grade(row["kind"], row)
    assert verdict["outcome"] in expected(row), (row, verdict)


@pytest.mark.parametrize("kind", ["math", "choice"])
def test_real_answers_get_the_expected_verdict(kind: str) -> None:
    rows = cases(kind)
    assert len(rows) > 80
    wrong = [row["id"] for row in rows if grade(kind, row)["outcome"] not in expected(row)]
    assert set(wrong) == ARGUED.keys() & {row["id"] for row in rows}
