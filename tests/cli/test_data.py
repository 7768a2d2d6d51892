"""`r1 data`: what a user sees of their files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import DataError
from r1kit.preview.kinds import kinds_of
from r1kit.preview.measure import estimated_tokens, languages, lengths
from r1kit.types import Json

OWN = Path(__file__).parents[1] / "data" / "own"


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["data", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_questions(tmp_path: Path) -> None:
    rows: list[Json] = [{"frage": f"{i} + 1?", "loesung": str(i + 1)} for i in range(20)]
    rows += [{"frage": "3 + 1?", "loesung": "5"}, {"frage": "1/0?", "loesung": "1/0"}, {"frage": 5}]
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = shown(str(file), "--column", "problem=frage", "--column", "answer=loesung",
                   "--held-out", "0.25")  # fmt: skip
    for part in (
        "23 rows of questions", "problem = frage, answer = loesung",
        "math (guessed): of 22 golds 21 decided exactly, 1 refused",
        "1 times a question, 1 with another answer", "a share of 0.25: ",
        "6 · 7 · 7 characters", "2 rows cannot be used",
        "line 22 has a gold answer that cannot be decided (divides by zero): '1/0'",
        'line 23 has no text at "frage", and no messages (it is a number)', "gold: 1",
        'columns = { problem = "frage", answer = "loesung" }', "held_out = 0.25",
    ):  # fmt: skip
        assert part in output, output


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sums.jsonl", ["40 rows of questions", "gold: "]),
        ("words.csv", ["30 rows of questions", "answer = gold"]),
        ("traces.jsonl", ["20 rows of traces", "conversations, questions, prompts (--as)",
                          "in 20 of 20", "thinking: 20 + 3", 'traces = "']),
        ("conversations.jsonl", ["11 rows of conversations", "in 0 of 11", 'conversations = "']),
        ("pairs.jsonl", ["24 rows of pairs", "chosen is longer in 100 %", 'pairs = "']),
        ("labels.jsonl", ["28 rows of labels", "14 safe, 14 unsafe", 'labels = "']),
    ],
)  # fmt: skip
def test_every_kind_is_recognised(name: str, parts: list[str]) -> None:
    output = shown(str(OWN / name))
    for part in parts:
        assert part in output, output


def test_a_kind_can_be_chosen() -> None:
    output = shown(str(OWN / "pairs.jsonl"), "--as", "prompts", "--show", "1")
    assert "24 rows of prompts" in output
    assert "chosen:" not in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.jsonl"], "There is no file none.jsonl"),
        ([str(OWN / "sums.jsonl"), "--as", "poems"], "There is no kind 'poems' of data"),
        ([str(OWN / "sums.jsonl"), "--column", "x"], "write ROLE=NAME"),
        ([str(OWN / "sums.jsonl"), "--column", "problem=q"], "has no column 'q' for problem"),
        ([str(OWN / "sums.jsonl"), "--verifier", "mat"], "verifier needs 'math', 'choice'"),
        ([str(OWN / "sums.jsonl"), "--held-out", "7"], "held_out needs a share between 0 and 1"),
        ([str(OWN / "sums.jsonl"), "--model", "none"], "There is no checkpoint at none"),
        ([str(OWN / "own.toml")], "has a name that tells no format"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["data", *arguments])
    assert result.exit_code in (2, 3), result.output
    assert says in result.output
    assert result.output.count("\n") == 1


def test_what_nothing_can_be_made_of() -> None:
    with pytest.raises(DataError, match="holds nothing that r1kit knows: it has a, b; map the"):
        kinds_of("x.jsonl", [{"a": 1, "b": 2}], {})


def test_lengths_and_languages() -> None:
    texts = ["a" * n for n in range(1, 101)]
    assert lengths(texts, len) == "50 · 95 · 100 tokens"
    assert lengths(texts, None) == "50 · 95 · 100 characters, about 12 · 24 · 25 tokens"
    assert lengths([], len) == "none"
    assert estimated_tokens("가나다 abcd") == 3  # 3 / 1.5 + 5 / 4
    assert languages(["hello there", "안녕하세요 여러분", "how are you", "fine thanks"]) == (
        "en 75 %, ko 25 %"
    )
