"""Verdicts on mathematical answers: policy by name, labelled pairs, properties, bounds."""

import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from r1kit.types import Verdict
from r1kit.verify.math import Pool, check_math
from r1kit.verify.math.check import decide
from r1kit.verify.math.extract import extract
from r1kit.verify.math.grammar import parse
from r1kit.verify.math.refusals import RefusalError
from r1kit.verify.math.same import same_value
from r1kit.verify.math.tokens import clean
from r1kit.verify.math.values import Value
from r1kit.verify.statements.policy import LENIENT

LABELLED = [
    json.loads(line) for line in (Path(__file__).parent / "labelled.jsonl").read_text().splitlines()
]
PAGE = (Path(__file__).parents[3] / "docs" / "verifiers.md").read_text(encoding="utf-8")

POLICY: dict[str, tuple[str, list[str], list[str]]] = {
    "exact numbers": ("0.5", ["1/2", "\\frac12", ".50"], ["0.49", "0.5000001"]),
    "no approximation": ("\\frac{1}{3}", ["2/6"], ["0.333333", "0.33333333333333333"]),
    "no approximation of irrationals": ("\\pi", ["pi", "π"], ["3.14159", "\\frac{22}{7}"]),
    "variable named by the answer only": ("5", ["x=5", "y = 5"], ["x=x", "x"]),
    "computation before its result": ("5", ["2+3=5", "10/2 = 6-1 = 5"], ["2+2=5", "5+1=6", "2x=5"]),
    "variable named by the gold answer": ("x=5", ["5", "x=5", "5=x"], ["y=5", "6"]),
    "equations up to a factor": ("x+y=1", ["2x+2y=2", "1=y+x"], ["x+y=2", "x-y=1"]),
    "percent asked": ("50\\%", ["50%", "50", "0.5"], ["5", "0.5\\%"]),
    "percent given": ("0.5", ["50%"], ["0.005%", "50"]),
    "percent where none is asked": ("50", ["50\\%"], ["0.5"]),
    "words after a unit": (
        "18",
        ["18 \\text{ dollars a day}", "18 \\text{ cups of feed}", "18 \\text{ years old}"],
        ["18 \\text{ thirds of a cake}", "18 \\text{ of 20}"],
    ),
    "unit ignored": ("5", ["5 cm", "5 \\text{ apples}", "\\$5"], ["5 million", "5 or 6"]),
    "unit left out": ("5 \\text{ cm}", ["5"], ["500"]),
    "unit agrees": ("5 \\text{ cm}", ["5 centimeters"], ["5 \\text{ m}", "0.05 \\text{ m}"]),
    "bare lists have no order": ("1, 2", ["2, 1", "2 and 1", "\\{1,2\\}"], ["1", "1, 2, 2"]),
    "sets have no repetition": ("\\{1,2\\}", ["\\{2,1,1\\}"], ["\\{1,2,3\\}"]),
    "tuples have an order": ("(1,2)", ["(1, 2)"], ["(2,1)", "[1,2]"]),
    "brackets left out": ("(1,2)", ["1, 2"], ["2, 1", "\\{1,2\\}"]),
    "sets are no intervals": ("\\{1,2\\}", ["1, 2"], ["(1,2)", "[1,2]"]),
    "plus-minus is two answers": ("1 \\pm \\sqrt{2}", ["1-√2, 1+√2"], ["1+√2", "\\pm 1"]),
    "base agrees": ("52_8", ["52_{8}", "52"], ["52_9", "42"]),
    "base where none is asked": ("42", ["42"], ["52_8", "42_{10}"]),
    "words as written": ("\\text{even}", ["Even"], ["odd", "not even"]),
    "choice letters": ("\\text{(C)}", ["C", "(C)"], ["B", "C or D"]),
    "left to be evaluated": ("6", ["3!", "6^1"], ["2\\cdot 3", "12/2", "\\sum_{k=1}^{3} k"]),
    "ratios": ("3:4:5", ["6:8:10"], ["3:5:4", "3:4"]),
    "vectors": (
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        ["(1,2)"],
        ["(2,1)", r"\begin{pmatrix}1&2\end{pmatrix}"],
    ),
    "words that are values": (r"\emptyset", [r"\text{no solution}", r"\{\}"], ["0", r"\{0\}"]),
    "exceptions": (
        r"x \ne 2",
        [r"(-\infty,2)\cup(2,\infty)", r"\mathbb{R}\setminus\{2\}"],
        ["2", "x=2"],
    ),
    "systems and cases": (
        "(1,2)",
        [r"\begin{cases}x=1\\y=2\end{cases}"],
        [r"\begin{cases}x=2\\y=1\end{cases}"],
    ),
    "half of the day": ("5:30", [r"5:30 \text{ pm}"], [r"6:30 \text{ pm}"]),
    "repeating decimals": (
        r"\frac{1}{6}",
        [r"0.1\dot{6}", r"0.1666\ldots"],
        ["0.1666", r"0.\dot{1}\dot{6}"],
    ),
    "no value": ("0", ["0"], ["0/0", "1/0", "\\infty-\\infty"]),
}


@pytest.mark.parametrize("name", POLICY)
def test_policy(name: str, patient: Pool) -> None:
    gold, right, wrong = POLICY[name]
    for answer in right:
        assert check_math(f"\\boxed{{{answer}}}", gold, patient).correct is True, answer
    for answer in wrong:
        assert check_math(f"\\boxed{{{answer}}}", gold, patient).correct is False, answer


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("25", "\\boxed{\\text{twenty-five}}"),
        ("205", "The answer is two hundred and five."),
        ("15", "정답은 열다섯입니다."),
        ("15", "答案是十五。"),
        ("6", "\\boxed{6 \\ldots}"),
    ],
)
def test_numbers_in_words_and_cut_off_numbers_count_by_policy(
    gold: str, text: str, patient: Pool
) -> None:
    assert check_math(text, gold, patient).correct is False
    assert check_math(text, gold, patient, LENIENT).correct is True
    assert check_math(text, "7", patient, LENIENT).correct is False


def test_every_policy_is_on_the_page() -> None:
    for name in POLICY:
        assert f"| {name} |" in PAGE


def test_labelled_answers(patient: Pool) -> None:
    assert len(LABELLED) >= 250
    verdicts = [check_math(row["text"], row["gold"], patient).correct for row in LABELLED]
    wrong = [row for row, v in zip(LABELLED, verdicts, strict=True) if v is not row["label"]]
    assert wrong == []


def test_the_four_outcomes(pool: Pool) -> None:
    assert check_math("\\boxed{x = 5}", "5", pool) == Verdict(True, "x = 5", "equal")
    assert check_math("\\boxed{4}", "5", pool) == Verdict(False, "4", "not 5")
    assert check_math("hm", "5", pool) == Verdict(False, None, "no final answer")
    assert check_math("\\boxed{5}", "", pool).outcome == "undecided"
    assert check_math("\\boxed{5}", "1/0", pool).outcome == "undecided"
    hard = check_math("\\boxed{2^{999999}+1}", "2^{999999}", pool)
    assert hard.outcome == "undecided"
    assert hard.why.startswith("limit: ")
    assert check_math(f"\\boxed{{{'1+' * 5000}1}}", "5", pool).outcome == "incorrect"


EXTRACTED = {
    "\\boxed{4}, no: \\boxed{5}. Answer: 6": "5",
    "\\boxed{5} \\boxed{}": None,
    "\\boxed{\\frac{1}{2}}": "\\frac{1}{2}",
    "\\fbox{5}": "5",
    "Answer: 5.": "5",
    "**Answer:** $5$ cm.": "5 cm",
    "the answer is 5, because 6 is not": "5",
    "#### 1,000": "1,000",
    "정답은 5개입니다.": "5개",
    "所以答案是 5。": "5",
    "so $x$ is\n\\[ x = 5. \\]": "x = 5.",
    "She has 5 + 2 = 7 apples.": "7",
    "\\boxed{5": None,
    "It is 4 or 5.": None,
    "4, 5": "4, 5",
    "It is not 5.": None,
    "<!-- 5 -->": None,
    "": None,
}


@pytest.mark.parametrize(("text", "answer"), EXTRACTED.items())
def test_extract(text: str, answer: str | None) -> None:
    assert extract(text) == answer


# -- properties

rationals = st.builds(Fraction, st.integers(-5000, 5000), st.integers(1, 400))


def renderings(value: Fraction) -> list[str]:
    """Every form that can hold this value exactly."""
    sign, (top, bottom) = "-" if value < 0 else "", abs(value).as_integer_ratio()
    fraction = f"{sign}\\frac{{{top}}}{{{bottom}}}"
    forms = [
        f"{sign}{top}/{bottom}",
        fraction,
        f"${fraction}$",
        f"\\left( {fraction} \\right)",
        f"{sign}\\dfrac{{{3 * top}}}{{{3 * bottom}}}",
        f"x = {sign}{top} / {bottom}",
        f"{sign}{top}\\,/\\,{bottom}",
        f"{fraction} \\text{{ cm}}",
    ]
    if top > bottom > 1:
        whole, rest = divmod(top, bottom)
        forms += [f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}", f"{sign}{whole} {rest}/{bottom}"]
    decimal = finite_decimal(value)
    if decimal is not None:
        forms += [decimal, f"{decimal}0" if "." in decimal else f"{decimal}.0"]
        forms += [f"{finite_decimal(value * 100)}\\%", f"{finite_decimal(value * 100)}%"]
    if bottom == 1:
        forms += [f"{sign}{top:,}", f"{sign}{top:,}".replace(",", "{,}"), f"{sign}{top}"]
    return forms


def finite_decimal(value: Fraction) -> str | None:
    scaled = value * 10**12
    if scaled.denominator > 1:
        return None
    digits = f"{abs(scaled.numerator):013d}"
    text = f"{digits[:-12]}.{digits[-12:]}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


@given(rationals, st.data())
def test_a_rational_equals_itself_in_every_form_and_not_its_neighbour(
    value: Fraction, data: st.DataObject
) -> None:
    gold, answer = (data.draw(st.sampled_from(renderings(value))) for _ in range(2))
    neighbour = data.draw(st.sampled_from(renderings(value + Fraction(1, 400))))
    assume("cm" not in gold + answer or "%" not in gold + answer)
    same = decide(clean(gold), clean(answer))
    assert same is not None
    assert same.same is True, (gold, answer)
    if "cm" not in gold and "%" not in gold + neighbour:
        other = decide(clean(gold), clean(neighbour))
        assert other is not None
        assert other.same is False, (gold, neighbour)


PIECES = r"""
1 2 10 0.5 x y n pi \pi e i + - * / ^ ^2 = ( ) [ ] { } \{ \} , \frac{1}{2} \frac \sqrt \sqrt{3}
\pm \infty \cup \in % \% $ ! _ \text{cm} \text{and} even or \left( \right) \begin{pmatrix}
\end{pmatrix} & \\ \sin \ldots < \le ° √ ² −
"""
SOUP = st.lists(st.sampled_from(PIECES.split()), max_size=12).map(" ".join)


def value_of(text: str) -> Value | None:
    try:
        return parse(clean(text))
    except RefusalError:
        return None


@settings(max_examples=300)
@given(SOUP, SOUP)
def test_equality_is_reflexive_and_symmetric(a: str, b: str) -> None:
    left, right = value_of(a), value_of(b)
    if left is not None:
        assert same_value(left, left) in (True, None)
        if right is not None:
            assert same_value(left, right) is same_value(right, left)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.one_of(SOUP, st.text(max_size=200)), SOUP)
def test_any_text_gets_a_verdict_in_bounded_time(pool: Pool, text: str, gold: str) -> None:
    start = time.perf_counter()
    verdict = check_math(f"\\boxed{{{text}}}", gold, pool)
    assert verdict.outcome in ("correct", "incorrect", "no answer", "undecided")
    assert time.perf_counter() - start < pool.budget_s + 1


@given(st.text())
def test_extraction_never_fails(text: str) -> None:
    assert extract(text) is None or extract(text)


@given(st.integers(0, 200), st.integers(0, 200))
def test_powers_are_exact(a: int, b: int) -> None:
    assume(a != b)
    left, right = value_of(f"2^{{-{a}}}"), value_of(f"2^{{-{b}}}")
    assert left is not None
    assert right is not None
    assert same_value(left, right) is False
    assert same_value(left, value_of(f"\\frac{{1}}{{2^{{{a}}}}}") or right) is True


def test_the_caller_loads_neither_torch_nor_sympy() -> None:
    code = (
        "import sys, r1kit.verify.math, r1kit.verify.choice;"
        "r1kit.verify.math.check_math('\\\\boxed{\\\\sqrt8}', '2\\\\sqrt2');"
        "sys.exit(any(m in sys.modules for m in ('torch', 'sympy', 'math_verify')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        (r"\sin(x)^2", r"\sin^2 x", True),
        (r"\sin(x)^2", r"1-\cos(x)^2", True),
        (r"\sin(x)^2", r"\sin(x^2)", False),
        (r"\sin x^2", r"\sin(x^2)", True),
        (r"\ln(2)x", r"x\ln 2", True),
        (r"\cos(2)3", r"3\cos 2", True),
    ],
)
def test_parentheses_end_the_argument_of_a_function(gold: str, answer: str, expected: bool) -> None:
    assert check_math(f"\\boxed{{{answer}}}", gold).correct is expected
