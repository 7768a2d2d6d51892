"""Words of looking back, in three languages."""

import time

import pytest

from r1kit.verify.reflection import CHINESE, ENGLISH, KOREAN, count_reflections

COUNTS = {
    "Wait, let me check. But 31 is wrong!": 4,
    "wait wait\nWAIT": 3,
    "waiter, button, rechecking, errors": 0,
    "wait는 check한다": 2,
    "잠깐, 다시 확인하자. 틀렸다.": 4,
    "하지만 검산해 보니 맞다": 2,
    "재확인 말고 실수 x를 구하라": 0,  # 실수: a real number
    "等等,再试一次。检查:不对, 错了": 4,
    "但是再验算": 2,
    "再加 3, 不对, 不错": 0,  # then add 3; no; not bad
    "7 x + 3 = 38": 0,
    "": 0,
}


@pytest.mark.parametrize(("text", "count"), COUNTS.items())
def test_count(text: str, count: int) -> None:
    assert count_reflections(text) == count


@pytest.mark.parametrize("word", [*ENGLISH, *KOREAN, *CHINESE])
def test_every_listed_word_counts_once(word: str) -> None:
    assert count_reflections(f"5 {word} 6") == 1


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    assert count_reflections("wait " * 60_000) == 60_000
    assert count_reflections("w" * 300_000 + "다" * 300_000 + "不" * 300_000) == 0
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes
