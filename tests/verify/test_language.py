"""Whose words these are, by script."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.language import LANGUAGES, language_share

SHARES = [
    ("wait, check again", "en", 1.0),
    ("wait 다시 check", "en", 2 / 3),
    ("wait 다시 check", "ko", 1 / 3),
    ("다시 확인하자 100은", "ko", 1.0),
    ("再试 wait", "zh", 2 / 3),  # every Han character is a word
    ("检查", "zh", 1.0),
    ("检查", "en", 0.0),
    ("7 x + 3 = 38, x = 5", "en", None),
    ("\\boxed{5} \\frac{1}{2}", "en", None),
    ("try \\boxed{5}", "en", 1.0),
    ("α + β = π", "en", None),
    ("5 = 5", "ko", None),
    ("", "zh", None),
    ("проверим wait", "en", 0.5),
    ("カナ wait", "en", 0.5),
    ("don't", "en", 1.0),
    ("\u202ewait\x00 다시", "en", 0.5),
]


@pytest.mark.parametrize(("text", "language", "share"), SHARES)
def test_share(text: str, language: str, share: float | None) -> None:
    assert language_share(text, language) == share


@given(st.text())
def test_shares_sum_to_at_most_one(text: str) -> None:
    shares = [language_share(text, language) for language in LANGUAGES]
    known = [share for share in shares if share is not None]
    assert len(known) in (0, 3)
    assert 0 <= sum(known) <= 1 + 1e-9


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'fr'"):
        language_share("bonjour", "fr")


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    for unit in ("a", "가", "字", "\\", "\\a", "a가字 "):
        language_share(unit * (300_000 // len(unit)), "en")
    assert time.process_time() - start < 5
