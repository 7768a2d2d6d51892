"""Exact and near copies; the first stays, whatever the process."""

import random
from collections.abc import Iterable

from r1kit.curate.candidate import candidates_of
from r1kit.curate.duplicates import exact_copies, near_copies
from r1kit.curate.filter_pipeline import Rejection
from tests.curate.conftest import MakeGroup

ESSAY = (
    "First we write down what is known: the train leaves at nine and drives sixty kilometres an "
    "hour, the bicycle leaves at eight and drives fifteen. Let t be the hours after nine. Then the "
    "train has driven 60 t and the bicycle 15 t plus 15. Setting both equal gives 45 t = 15, "
    "hence t is a third of an hour, that is twenty minutes past nine"
)


def told(remarks: Iterable[Rejection | None]) -> list[tuple[str, str] | None]:
    return [(remark.why, remark.example) if remark else None for remark in remarks]


def thinking(*texts: str) -> list[str]:
    return [f"<think>{text}</think>\\boxed{{5}}" for text in texts]


def test_exact_means_the_same_words_and_signs(make_group: MakeGroup) -> None:
    item = make_group(*thinking("Try 5: it  fits.", "try 5, it fits!", "try 5 - it fits", "try 6"))
    remarks = told(exact_copies(candidates_of([item])))
    assert remarks == [None, ("the same words", "as t/1"), None, None]  # "!" is a factorial


def test_the_question_counts(make_group: MakeGroup) -> None:
    same = thinking("try it")
    groups = [make_group(*same, id=f"t/{i}", question=f"{i}+3?") for i in (1, 2)]
    assert told(exact_copies(candidates_of(groups))) == [None, None]


def test_near_copies_are_taken_and_reworded_ones_stay(make_group: MakeGroup) -> None:
    near = ESSAY.replace("nine and", "nine, and").replace("that is", "which is")
    other = " ".join(reversed(ESSAY.split()))
    group = make_group(*thinking(ESSAY, near, other, ESSAY[: len(ESSAY) // 2]))
    remarks = near_copies(candidates_of([group]), 0.8)
    assert [remark and remark.why for remark in remarks] == [None, "nearly the same", None, None]
    assert remarks[1] is not None
    assert remarks[1].example.endswith("as t/1")


def test_a_copy_of_a_copy_is_compared_with_what_stayed(make_group: MakeGroup) -> None:
    """Drift: each is near the one before, and the first that is far from the first kept stays."""
    words = ESSAY.split()
    texts = [" ".join([f"new{j}" for j in range(3 * i)] + words[3 * i :]) for i in range(6)]
    remaining = [
        remark is None
        for remark in near_copies(candidates_of([make_group(*thinking(*texts))]), 0.8)
    ]
    assert remaining[0]
    assert not remaining[1]
    assert 2 <= sum(remaining) <= 4


def test_similarity_is_estimated_about_right(make_group: MakeGroup) -> None:
    """Two texts whose shingles are known: 200 words of which the last k differ."""
    rng = random.Random(0)
    words = [f"w{rng.randrange(10**6)}" for _ in range(200)]
    for k, is_near in ((4, True), (8, True), (40, False), (100, False)):
        other = words[: 200 - k] + [f"v{i}" for i in range(k)]
        group = make_group(*thinking(" ".join(words), " ".join(other)))
        [_, remark] = near_copies(candidates_of([group]), 0.8)
        assert (remark is not None) == is_near, k


def test_every_threshold_works(make_group: MakeGroup) -> None:
    other = " ".join(reversed(ESSAY.split()))
    group = make_group(*thinking(ESSAY, ESSAY + " indeed", ESSAY, other))
    for threshold, collected in ((1.0, [2]), (0.85, [1, 2]), (0.5, [1, 2]), (0.1, [1, 2])):
        remarks = near_copies(candidates_of([group]), threshold)
        assert [index for index, remark in enumerate(remarks) if remark] == collected, threshold


def test_texts_shorter_than_a_shingle_and_in_chinese(make_group: MakeGroup) -> None:
    short = [make_group(*thinking("好"), question="", id=f"t/{i}") for i in range(2)]
    assert told(near_copies(candidates_of(short), 0.8))[1] == ("nearly the same", "100% as t/0")
    long = "先写出已知条件：火车九点出发，每小时六十公里；自行车八点出发，每小时十五公里。"
    group = make_group(*thinking(long * 2, long * 2 + "完", "设未知数再列方程求解" * 6))
    remarks = near_copies(candidates_of([group]), 0.8)
    assert [remark is None for remark in remarks] == [True, False, True]
