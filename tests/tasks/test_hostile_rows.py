"""Whatever a data file holds, reading it ends with rows or with a sentence."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.curate.conversations import ConversationRules, read_conversation_file
from r1kit.errors import DataError
from r1kit.files.rows import read_rows
from r1kit.preview.kinds import kinds_of
from r1kit.tasks.general.preference_file import label_of, pair_of, prompt_of, read_examples
from r1kit.tasks.questions import read_question_file

KEYS = (
    "problem", "question", "prompt", "messages", "conversations", "generations", "answer",
    "solution", "reasoning", "response", "completion", "label", "chosen", "rejected", "options",
    "choices", "tests", "test", "entry_point", "nums", "target", "id", "language", "instruction",
    "input",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["<think>", "</think>", "a</think>b", "\\boxed{", "#### ", "1/0", "\ud800",
                     "\x00", "9" * 5000, "\n\nHuman: ", "\n\nAssistant: ", "def check(c): (",
                     "<|begin_of_thought|>", "assistant", "user"]),
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.just(10**400))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "reasoning", "inputs", "outputs",
                             "fn_name", "text", "label", "A", "stdin", "stdout"]),
            inner, max_size=4,
        ),
    ),
    max_leaves=6,
)  # fmt: skip
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), max_size=5)


@pytest.mark.parametrize("verifier", [None, "math", "exact", "choice", "code", "countdown"])
@given(rows=ROWS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_row_breaks_the_reading(
    verifier: str | None, rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"hostile-{verifier}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    readers = (
        lambda: read_question_file(str(file), verifier, {}),
        lambda: read_conversation_file(str(file), ConversationRules(needs_thinking=True)),
        lambda: read_examples(str(file), pair_of),
        lambda: read_examples(str(file), label_of),
        lambda: read_examples(str(file), prompt_of),
        lambda: kinds_of(str(file), list(read_rows(str(file))), {}),
    )
    for read in readers:
        try:
            made = read()
        except DataError:
            continue
        for question in getattr(made, "questions", []):
            question.problem("t", made.verifier, "Answer.")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.tsv", "a.jsonl"])
@given(content=st.binary(max_size=200))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_no_bytes_break_the_reading(
    name: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    with contextlib.suppress(DataError):
        for row in read_rows(str(file)):
            assert isinstance(row, dict)
