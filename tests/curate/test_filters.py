"""Each filter on cases made by hand."""

import string
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.curate.candidate import Candidate, candidates_of
from r1kit.curate.filter_pipeline import Rejection
from r1kit.curate.filters import consistent, correct, difficult, finished, readable, shortest
from r1kit.curate.readable import compression, repeated_ngrams, unreadable, untidy
from r1kit.renderers.thinking import parse
from r1kit.tasks.world import FAMILIES, Family
from r1kit.types import FinishReason, Group
from tests.curate.conftest import MakeGroup

GOOD = "<think>try 5, yes</think>\\boxed{5}"


def judged(look: Callable[[Candidate], Rejection | None], group: Group) -> list[str | None]:
    return [remark.why if remark else None for remark in map(look, candidates_of([group]))]


def test_correct_is_a_right_verdict(make_group: MakeGroup) -> None:
    group = make_group(GOOD, (GOOD, {"correct": False}))
    assert judged(correct, group) == [None, "no answer"]


@pytest.mark.parametrize(
    ("text", "finish", "why"),
    [
        (GOOD, "stop", None),
        (GOOD, "length", "cut"),
        (GOOD, "abort", "aborted"),
        ("\\boxed{5}", "stop", "no thinking"),
        ("<think>try 5", "stop", "thinking never closed"),
        ("<think></think>5", "stop", "malformed"),
        ("<think>try</think>", "stop", "malformed"),
        ("well <think>try</think>5", "stop", "malformed"),
        ("<think>a<think>b</think>5", "stop", "malformed"),
        ("<think>a</think>5</think>", "stop", "malformed"),
    ],
)
def test_finished_means_thought_then_answered(
    make_group: MakeGroup, text: str, finish: FinishReason, why: str | None
) -> None:
    assert judged(finished, make_group((text, {"finish": finish}))) == [why]


PROSE = (
    "Natalia sold 48 clips in April. In May she sold half as many, which is 24 clips. Together "
    "that makes 72 clips, and since each costs two dollars, she earned 144 dollars in all. Check: "
    "144 divided by two is 72, and 72 minus 24 is 48, as the question says, so it holds."
)
UNREADABLE = [
    ("", None),
    (PROSE, None),
    ("한 번 더 확인하자.\n\t값은 5이다. 👍🏽 é ½ \u200d", None),
    ("再检查一遍：48加24等于72。", None),
    ("a\x00b", "broken characters"),
    ("a\x1b[31mb", "broken characters"),
    ("the answer \ufffd is", "broken characters"),
    ("the answer \udce2 is", "broken characters"),
    ("\u202e5 si rewsna", "broken characters"),
    ("a\rb", "broken characters"),
    (PROSE + " and again and again" * 40, "repeats itself"),
    ("wait, no. " * 30, "repeats itself"),
    ("확인하자 " * 40, "repeats itself"),
    ("是" * 300, "repeats itself"),
    ("no" * 200, "repeats itself"),  # one word only
    ("\n".join(f"{i}. it is the same as before" for i in range(40)), "repeats itself"),
    (PROSE + " " + PROSE, "repeats itself"),
]


@pytest.mark.parametrize(("text", "why"), UNREADABLE)
def test_unreadable(text: str, why: str | None) -> None:
    result = unreadable(text)
    assert (result and result[0]) == why


def test_thinking_is_prose_and_answers_may_be_code(make_group: MakeGroup) -> None:
    code = "```python\nif a:\n    return False\nif b:\n    return False\n```"
    returns = "\n".join(f"if a == {i}:\n    return False # {i % 2}" for i in range(12))
    assert judged(readable, make_group(f"<think>try it</think>{code}\n{returns}")) == [None]
    assert judged(readable, make_group(f"<think>{code}</think>5")) == ["code in the thinking"]
    line = "wait x=5: 35+3=38 yes\n"
    assert untidy(line * 4) is None
    assert untidy(line * 5) == ("repeats a line", line.strip())
    assert untidy("---\n}\n" * 9) is None  # short lines repeat rightly
    wall = " ".join(f"{i}" for i in range(1200))
    assert len(wall) > 4000
    assert untidy(wall) == ("wall of text", f"{len(wall)} characters without a line break")
    assert untidy(wall.replace(" 600 ", "\n600 ")) is None


def test_a_loop_is_seen_in_the_answer_too(make_group: MakeGroup) -> None:
    assert judged(readable, make_group(f"<think>try</think>{'5 and ' * 60}")) == ["repeats itself"]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_the_world_writes_is_readable(family: type[Family]) -> None:
    task = family(level=3)
    for index in range(60):
        parsed = parse(task.document(index)[1])
        assert parsed.answer is not None
        assert unreadable(parsed.answer) is None
        assert untidy(parsed.thinking or "") is None
        assert unreadable(task.exercise(index)) is None


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    unreadable(text), untidy(text)
    assert 0 <= repeated_ngrams(text) <= 1
    assert compression(text) > 0


@given(st.text(string.ascii_lowercase + " \n", min_size=1, max_size=30), st.integers(60, 90))
def test_a_long_loop_of_anything_is_unreadable(unit: str, n: int) -> None:
    if unit.strip():
        text = (unit + " ") * n * (1 + 30 // len(unit))
        assert unreadable(text) is not None


def test_hostile_text_is_judged_in_bounded_time() -> None:
    started = time.process_time()
    for unit in ("a", "\\", "\\begin{", "a1", "\n", "字", "1,", "{,}", "\\hspace{"):
        text = unit * (100_000 // len(unit))
        unreadable(text), untidy(text)
    assert (
        time.process_time() - started < 20
    )  # a busy machine takes a few; quadratic time would be minutes


@pytest.mark.parametrize(
    ("text", "language", "why"),
    [
        ("<think>wait, try again</think>so it is 5", "en", None),
        ("<think>28+3=31</think>\\boxed{5}", "ko", None),  # nothing in it has a language
        ("<think>잠깐 wait</think>5", "ko", "mixed thinking"),
        ("<think>잠깐 다시</think>the answer", "ko", "mixed answer"),
        ("<think>等等，再试</think>答案是5", "zh", None),
        ("<think>等等，再试</think>\\boxed{def f(x):return 2*x}", "zh", None),
        (
            "<think>a b c one two three four five six seven eight 구</think>5",
            "en",
            "mixed thinking",
        ),
    ],
)
def test_consistent_in_thinking_and_answer(
    make_group: MakeGroup, text: str, language: str, why: str | None
) -> None:
    group = make_group(text, language=language)
    assert judged(lambda candidate: consistent(candidate, 0.9), group) == [why]


def test_one_foreign_word_in_ten_passes(make_group: MakeGroup) -> None:
    group = make_group(f"<think>{'wait ' * 9}다시</think>5", f"<think>{'wait ' * 8}다시</think>5")
    assert judged(lambda candidate: consistent(candidate, 0.9), group) == [None, "mixed thinking"]


def test_pass_rate_bounds_are_included(make_group: MakeGroup) -> None:
    group = make_group(GOOD, (GOOD, {"correct": False}), GOOD, (GOOD, {"correct": False}))
    [candidate, *_] = candidates_of([group])
    assert (candidate.pass_rate, candidate.n_samples) == (0.5, 4)
    assert difficult(candidate, 0.5, 0.5) is None
    assert difficult(candidate, 0.6, 1.0) == Rejection("too hard", "50%")
    assert difficult(candidate, 0.0, 0.4) == Rejection("too easy", "50%")


def test_the_shortest_of_each_problem_stay(make_group: MakeGroup) -> None:
    lengths = [30, 10, 20, 10]
    item = make_group(*[(GOOD, {"n_tokens": n}) for n in lengths], id="t/1")
    two = make_group((GOOD, {"n_tokens": 99}), id="t/2")
    remarks = shortest(candidates_of([item, two]), 2)
    assert [remark.why if remark else None for remark in remarks] == [
        "more than 2 of a problem", None, "more than 2 of a problem", None, None]  # fmt: skip
    assert [remark is None for remark in shortest(candidates_of([item]), 1)] == [
        False,
        True,
        False,
        False,
    ]
