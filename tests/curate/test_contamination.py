"""Overlaps made by hand, and known questions in disguise."""

import gzip
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.curate.candidate import candidates_of
from r1kit.curate.contamination import BenchmarkQuestions, uncontaminated
from r1kit.curate.words import ngrams, words
from r1kit.types import Json
from tests.curate.conftest import MakeGroup

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CLIPS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
)
THETA = (
    "Find $\\dfrac{\\sin\\theta}{2}$ if $0 \\le \\theta < 2\\pi$ and $\\cos \\theta = \\tfrac12$."
)


def modes(question: str, *questions: str) -> list[str]:
    """Without the template of what is there word for word."""
    result = [overlap.mode for overlap in BenchmarkQuestions("b", questions).overlaps(question)]
    return [mode for mode in result if mode != "template" or "exact" not in result]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Find $\\dfrac{1,000}{x}$!", ["find", "frac", "1000", "x"]),
        ("$10{,}000$ or $10\\,000$", ["10000", "or", "10000"]),
        ("\\left( x,\\; y \\right) \\quad \\text{cm}", ["x", "y", "cm"]),
        ("\\begin{align*} a &= b \\end{align*}", ["a", "b"]),
        ("has_close_elements(3.14)", ["has", "close", "elements", "3.14"]),
        ("求x的值：３＋4", ["求", "x", "的", "值", "3", "4"]),
        ("방정식 3x를 풀어라", ["방정식", "3", "x", "를", "풀어라"]),
        ("Don’t / don't", ["don", "t", "don", "t"]),
        ("\\leftarrow \\sin x", ["leftarrow", "sin", "x"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_signs_are_words_on_request() -> None:
    assert words("7x − 3 \\le 2\\cdot 4", with_signs=True) == list("7x-3≤2*4")
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []


def test_eight_words_in_a_row_are_an_overlap_and_seven_are_none() -> None:
    eight = "Yesterday a boy sold clips to 48 of her friends in the rain"
    assert modes(eight, CLIPS) == ["8-gram"]
    seven = "Yesterday a boy sold clips to 48 of her friends on the road"
    assert modes(seven, CLIPS) == []
    thirteen = "Long ago Natalia sold clips to 48 of her friends in april and then she slept"
    assert modes(thirteen, CLIPS) == ["13-gram", "8-gram"]


def test_a_free_rewording_is_not_found() -> None:
    assert modes("In April, 48 friends bought a clip each from Natalia; in May 24.", CLIPS) == []


def test_spacing_case_and_punctuation_hide_nothing() -> None:
    other = (
        "FIND \\(\\frac{\\sin\\,\\theta}{2}\\), if\\quad 0\\leq\\theta<2\\pi; and cos theta = 1/2"
    )
    assert modes(other, THETA) == ["13-gram", "8-gram"]
    assert modes(THETA.replace(" ", "  ").replace("$", "$$"), THETA)[0] == "exact"


def test_short_questions_are_compared_as_a_whole() -> None:
    assert modes("what is 2 + 2", "What is $2+2$?") == ["exact"]
    assert modes("What is 2*2?", "What is $2+2$?") == []  # signs count
    assert modes("What is 2 \\times 2?", "What is $2 \\cdot 2$?") == ["exact"]
    assert modes("Think first: what is 2+2?", "What is 2+2?") == []
    assert modes("Think first. What is 2+2?\nBox it.", "What is $2+2$?") == ["exact"]
    assert modes("请回答。2加2等于几？谢谢！", "2加2等于几") == ["exact"]
    assert modes("Is pi 3. 14 or 22/7?", "14 or 22/7", "pi 3") == ["exact"]
    assert modes("", "", "?!") == []


def test_a_template_is_a_mode_of_its_own() -> None:
    assert modes("What is 17+25?", "What is 2+2?") == ["template"]
    assert modes("What is 17-25?", "What is 2+2?") == []
    assert modes("What is two?", "What is 2?") == []
    sheep = "Ann has {} sheep and buys {} more sheep on the market; how many sheep has she now?"
    assert "template" in modes(sheep.format(5, 1200), sheep.format(3.5, 4))


def test_chinese_by_characters_and_korean_by_words() -> None:
    chinese = "小明有三个苹果，又买了五个苹果，现在一共有几个？"
    assert modes("昨天小红有七个，又买了五个苹果，现在想睡觉", chinese) == ["8-gram"]
    assert modes("又买了五个苹果", chinese) == []  # seven
    korean = "민수는 사과 세 개를 가지고 있고 시장에서 사과 다섯 개를 더 샀다."
    assert modes("영희는 사과 세 개를 가지고 있고 시장에서 사과 다섯 자루를 팔았다", korean) == [
        "8-gram"
    ]


def test_the_filter_names_benchmark_mode_and_what_matched(make_group: MakeGroup) -> None:
    text = "<think>a</think>5"
    benchmarks = [
        BenchmarkQuestions("clips", [THETA, CLIPS]),
        BenchmarkQuestions("sums", ["What is 2+2?"]),
    ]
    groups = [
        make_group(text, text, question="why she sold clips to 48 of her friends in may"),
        make_group(text, question="What is 3+2?"),
        make_group(text, question="What is 3-2?"),
        make_group(text, question="what is 2+2"),
    ]
    remarks = uncontaminated(candidates_of(groups), benchmarks, ("exact", "8-gram"))
    actual = [remark and (remark.why, remark.is_note) for remark in remarks]
    assert actual == [
        ("clips 8-gram", False), ("clips 8-gram", False), ("sums template", True), None,
        ("sums exact", False),
    ]  # fmt: skip
    assert remarks[0] is not None
    assert remarks[0].example == "“sold clips to 48 of her friends in” is in question 1"
    # A looser rule only notes what a stricter one takes.
    loose = uncontaminated(candidates_of(groups), benchmarks, ("13-gram",))
    assert [remark.is_note for remark in loose if remark] == [True] * 4


def test_a_rule_for_one_mode_takes_what_overlaps_in_surer_modes_too(make_group: MakeGroup) -> None:
    group = make_group("<think>a</think>5", question=CLIPS)
    for mode in ("exact", "13-gram", "8-gram", "template"):
        [remark] = uncontaminated(
            candidates_of([group]), [BenchmarkQuestions("clips", [CLIPS])], (mode,)
        )
        assert remark is not None
        assert (remark.why, remark.is_note) == (f"clips {mode}", False)


@given(st.lists(st.sampled_from(["alpha", "beta", "7", "x", "求", "어느"]), max_size=30))
def test_modes_imply_each_other(tokens: list[str]) -> None:
    text = " ".join(tokens)
    result = modes(f"{text} .", text)
    assert ("exact" in result) == bool(tokens)
    assert ("13-gram" in result) == (len(words(text)) >= 13)
    assert ("8-gram" in result) == (len(words(text)) >= 8)


def rows(name: str) -> list[Json]:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in {DATA}")
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def disguised(question: str, rng: random.Random) -> str:
    """Reformatted: spacing, case, LaTeX delimiters, fractions, punctuation."""
    text = question.replace("$", rng.choice(("$$", " ", "$ "))).replace("\\frac", "\\dfrac")
    text = re.sub(r"\s+", lambda _: rng.choice((" ", "  ", "\n", "\t")), text)
    text = text.upper() if "\\" not in text and rng.random() < 0.3 else text
    text = f"{text.rstrip('.?')}{rng.choice('.?')}"
    return f"Solve this problem.\n\n{text}\nPut the answer in \\boxed{{}}."


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("gsm8k_test.jsonl.gz", "question"),
        ("math500_test.jsonl.gz", "problem"),
        ("HumanEval.jsonl.gz", "prompt"),
    ],
)
def test_known_questions_are_caught_in_disguise(name: str, field: str) -> None:
    rng = random.Random(0)
    shared = rng.sample([row[field] for row in rows(name)], 150)
    benchmark = BenchmarkQuestions(name, shared)
    for question in rng.sample(shared, len(shared)):
        result = [overlap.mode for overlap in benchmark.overlaps(disguised(question, rng))]
        assert set(result) & {"exact", "8-gram"}, question


def test_the_training_set_of_gsm8k_hardly_meets_its_test_set() -> None:
    benchmark = BenchmarkQuestions(
        "gsm8k", [row["question"] for row in rows("gsm8k_test.jsonl.gz")]
    )
    train = [row["question"] for row in rows("gsm8k_train.jsonl.gz")[:1500]]
    hits = [next(benchmark.overlaps(question), None) for question in train]
    assert 0 < sum(hit is not None for hit in hits) / len(train) < 0.03
