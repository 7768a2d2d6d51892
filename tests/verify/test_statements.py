"""How a text states its answer: sentences, stance, boxes, tags, markers, corrections."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.statements.boxes import answer_tag, boxes_from_end, last_boxed
from r1kit.verify.statements.policy import LENIENT
from r1kit.verify.statements.reading import corrected, read
from r1kit.verify.statements.sentences import sentences
from r1kit.verify.statements.stance import stance, withdrawal

READ = {
    "\\boxed{5}": ("5", "box"),
    "\\boxed 7.": ("7", "box"),
    "\\boxed{2} and \\boxed{-4}": ("2, -4", "box"),
    "\\boxed{2}, then \\boxed{-4}": ("-4", "box"),
    "It may be \\boxed{2} or \\boxed{-4}.": (None, "box"),
    "\\boxed{12}, corrected \\boxed{15": (None, "box"),
    "not \\boxed{5}": (None, "box"),
    "Answer: 5 cm.": ("5 cm", "marker"),
    "Answer: not 5 but 6": ("6", "marker"),
    "정답은 7이 아니라 8": ("8", "marker"),
    "【答案】根号3": ("根号3", "marker"),
    "<answer>\nx = 5\n</answer>": ("x = 5", "answer tag"),
    "\\boxed{6} <answer>Answer: 5</answer>": ("5", "marker"),
    "If the answer is 5, it fails.": (None, "none"),
    "Hello.": (None, "none"),
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_read(text: str, expected: tuple[str | None, str]) -> None:
    stated = read(text)
    assert (stated.text, stated.form) == expected
    assert (stated.text is None) == bool(stated.why)


def test_the_lenient_policy_takes_the_last_box_whatever_stands_around_it() -> None:
    for text, box in (
        ("It may be \\boxed{2} or \\boxed{-4}.", "-4"),
        ("\\boxed{12}, corrected \\boxed{15", "12"),
        ("\\boxed{5}. Wait, that is wrong.", "5"),
    ):
        assert read(text).text is None
        assert read(text, LENIENT).text == box


STANCES = {
    "asserted": ["The answer is @.", "so @ is right", "故选@", "정답은 @이다", "If x = 2, then @"],
    "denied": [
        "not @",
        "@ is wrong",
        "@ cannot be right",
        "不是@",
        "@项错误",
        "@가 아니다",
        "ruled out @",
    ],
    "supposed": ["If it is @, then no", "Suppose @", "如果选@，则", "만약 @라면", "assume @ holds"],
    "asked": ["Is it @?", "是@吗", "@일까?"],
    "doubted": ["maybe @", "可能是@", "아마 @", "it might be @"],
}


@pytest.mark.parametrize(
    ("text", "expected"), [(text, name) for name, texts in STANCES.items() for text in texts]
)
def test_stance(text: str, expected: str) -> None:
    position = text.index("@")
    assert stance(text.replace("@", "B"), position, position + 1) == expected


def test_a_later_sentence_takes_back_and_another_restores() -> None:
    for rest in (" Wait, that is wrong.", "。不对，应该是6。", ". 아니, 틀렸다.", ". No, it is 6."):
        assert withdrawal(rest) is not None
    for rest in (".", " This is a frequent mistake.", ". A is wrong.", ". I hope it is correct."):
        assert withdrawal(rest) is None
    assert withdrawal(" Wait, is it? Let me see. Yes, that is right.") is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert corrected(text) is None or text
    assert all(part.text in text for part in sentences(text))
    assert (read(text).text is None) == bool(read(text).why)


@given(st.text(alphabet="abc {}\\.\n", max_size=30), st.integers(0, 10**6))
def test_the_last_whole_box_is_read_whatever_precedes_it(before: str, number: int) -> None:
    text = f"{before}\n\nSo \\boxed{{{number}}}"
    assert last_boxed(text) == str(number)
    assert boxes_from_end(text)[0].end == len(text)
    assert answer_tag(f"{text}<answer>{number}</answer>") == str(number)


def test_hostile_texts_are_read_in_linear_time() -> None:
    start = time.process_time()
    for part in (
        "Answer: ",
        "not ",
        "\\boxed{",
        "<answer>",
        "if ",
        "。",
        "wait. ",
        "아니 ",
        "不是",
    ):
        read(part * (500_000 // len(part)))
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes
