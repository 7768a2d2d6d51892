"""Whose words these are, by script."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.language import LANGUAGES, language_of, language_share

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
    ("다시 $a \\text{ if } b$ 확인", "ko", 1.0),
    ("다시 $$\\text{let}\n x=1$$ \\(sin\\) \\[cos\\]", "ko", 1.0),
    ("$5 apple and pear/$7 다시", "en", 3 / 4),
    ("it costs $5 here and $7 다시", "en", 4 / 5),  # prices are no formula
    ("다시 `max` 하고\n```python\ndef f(x): return x\n```", "ko", 1.0),
    ("다시 ``` wait", "ko", 0.5),  # an opening mark alone hides nothing
    ("\\[ wait 다시", "ko", 0.5),
    ("\\begin{align*} 다시 \\end{align*}", "ko", 1.0),
    ("답은 \\boxed{\\text{yes, def f(x): return x}}", "ko", 1.0),
    ("다시 sin(x1) + max_tokens 5cm", "ko", 1.0),
    ("함수(function)를 보자", "ko", 3 / 4),
    ("见 https://example.org/a-b?c=d 检查", "zh", 1.0),
    ("Mina는 간다", "ko", 2 / 3),  # names count, in the script they are written in
    ("\u202ewait\x00 다시", "en", 0.5),
]


@pytest.mark.parametrize(("text", "language", "share"), SHARES)
def test_share(text: str, language: str, share: float | None) -> None:
    assert language_share(text, language) == share


@given(st.text())
def test_shares_sum_to_at_most_one(text: str) -> None:
    shares = [language_share(text, language) for language in LANGUAGES]
    shared = [share for share in shares if share is not None]
    assert len(shared) in (0, 3)
    assert 0 <= sum(shared) <= 1 + 1e-9


WORDS = {"en": ["wait", "check"], "ko": ["다시", "잠깐만"], "zh": ["等等", "对"]}
OTHERS = {"en": WORDS["ko"] + WORDS["zh"], "ko": WORDS["en"] + ["ой"], "zh": WORDS["ko"]}
MUTE = ["5", "x = 4", "$\\text{or}$", "\\frac{1}{2}", "`code`", "```\nlet a\n```", "sin(x)", "π",
        "x_max", "\\boxed{no}", "https://a.org", "38-38=0,", "!"]  # fmt: skip
ANY = [word for words in WORDS.values() for word in words]
languages = st.sampled_from(LANGUAGES)
texts = st.lists(st.sampled_from(ANY + MUTE), max_size=8)


@given(texts, st.integers(0, 8), languages, st.data())
def test_what_each_addition_does(
    pieces: list[str], place: int, language: str, data: st.DataObject
) -> None:
    def share(addition: list[str]) -> float | None:
        return language_share(" ".join(pieces[:place] + addition + pieces[place:]), language)

    before = share([])
    assert share([data.draw(st.sampled_from(MUTE))]) == before
    own = share([data.draw(st.sampled_from(WORDS[language]))])
    assert own is not None
    assert own >= (before or 0)
    ceiling = 1 if before is None else before
    foreign = share([data.draw(st.sampled_from(OTHERS[language]))])
    assert foreign is not None
    assert foreign <= ceiling


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'fr'"):
        language_share("bonjour", "fr")


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    marks = ("`", "``", "```a", "$", "$a", "$$a", "\\(", "\\(a", "\\[", "\\boxed{", "a_", "a1 ")
    for unit in ("a", "가", "字", "\\", "\\a", "a가字 ", "\\boxed{{}", "www.", "aa(", *marks):
        language_share(unit * (300_000 // len(unit)), "en")
    assert time.process_time() - start < 60  # quadratic time would be hours


@pytest.mark.parametrize(
    ("text", "language"),
    [("1+2+3+...+100은?", "ko"), ("计算47+38", "zh"), ("Solve 3x+1=10", "en"), ("3x+1=10", "en"),
     ("", "en")],
)  # fmt: skip
def test_the_language_of_a_question(text: str, language: str) -> None:
    assert language_of(text) == language
