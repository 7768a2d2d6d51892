"""What becomes mathematics, bold or a tag, and what stays as it was written."""

import time

import pytest

from r1kit.pages.markup import readable


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and then $10",
        "US$5 or A$6, $7–$8, ($5)/($10)",
        "$5, then it's 6$ more",
        "first 5$ and then 10$",
        "값은 $5이고 나중에 $10",
        "echo $HOME and $PATH",
        "$$$ and $$$",
        "\\$5 and \\$10",
        "from $1,000 to $2,000.",
    ],
)
def test_money_is_no_mathematics(text: str) -> None:
    assert readable(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("so $x=5$.", "so \\(x=5\\)."),
        ("$5$, $5x$ and $10 \\text{ cm}$", "\\(5\\), \\(5x\\) and \\(10 \\text{ cm}\\)"),
        ("$f(x)=3x$입니다", "\\(f(x)=3x\\)입니다"),
        ("$$x^2$$", "\\[x^2\\]"),
        ("\\(a\\) \\[b\\]", "\\(a\\) \\[b\\]"),
        ("between $1,000 and $2,000 per $x$", "between $1,000 and $2,000 per \\(x\\)"),
        ("$x<y$ <u>", "\\(x&lt;y\\) &lt;u>"),
        ("$50%$", "\\(50\\%\\)"),
        ("\\boxed{5}", "\\(\\boxed{5}\\)"),
        ("so $x=5$ and \\boxed{5}", "so \\(x=5\\) and \\(\\boxed{5}\\)"),
        ("\\(x\\): \\boxed{\\frac{1}{\\sqrt{2}}}", "\\(x\\): \\(\\boxed{\\frac{1}{\\sqrt{2}}}\\)"),
        ("`x` \\boxed{\\{1,2\\}}", "`x` \\(\\boxed{\\{1,2\\}}\\)"),
        ("\\boxed{$x=5$} \\boxed{$5}", "\\(\\boxed{x=5}\\) \\(\\boxed{\\$5}\\)"),
        ("\\boxed{def f(x):return 3*x}", "\\(\\boxed{\\text{def f(x):return 3*x}}\\)"),
        ("\\boxed{서울}", "\\(\\boxed{\\text{서울}}\\)"),
        ("$\\boxed{5}$", "\\(\\boxed{5}\\)"),
        ("\\boxed{5", "\\boxed{5"),
    ],
)
def test_mathematics_leaves_in_brackets(text: str, seen: str) -> None:
    assert readable(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("**답(5)**은 **값(6)**이다", "<strong>답(5)</strong>은 <strong>값(6)</strong>이다"),
        ("**重点：**中文", "<strong>重点：</strong>中文"),
        ("**“인용”**이라고", "<strong>“인용”</strong>이라고"),
        ("값은**$5$**이다", "값은<strong>\\(5\\)</strong>이다"),
        ("값은**`5`**이다", "값은<strong>`5`</strong>이다"),
        ("a *답(가)*은", "a <em>답(가)</em>은"),
        ("***답(가)***은", "<em><strong>답(가)</strong></em>은"),
        ("2**3 그리고 **답(5)**은", "2**3 그리고 <strong>답(5)</strong>은"),
        ("**a <b>(가)**은", "<strong>a &lt;b>(가)</strong>은"),
        # CommonMark does these itself.
        ("**답**은 **so** *강조*은 **a (b)** c", "**답**은 **so** *강조*은 **a (b)** c"),
        ("`**답(5)**은`", "`**답(5)**은`"),
        ("**열린(채)\n\n**은", "**열린(채)\n\n**은"),
    ],
)
def test_bold_ends_beside_korean_and_chinese(text: str, seen: str) -> None:
    assert readable(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a <b>c</b> < d", "a &lt;b>c&lt;/b> < d"),
        ("50*101=50*100 **so** 5", "50\\*101=50\\*100 **so** 5"),
        ("`<b>` <i>", "`<b>` &lt;i>"),
        ("``a`<b>`` <i>", "``a`<b>`` &lt;i>"),
        ("```html\n<p>\n``` <p>", "```html\n<p>\n``` &lt;p>"),
        ("```\n<p> never closed", "```\n<p> never closed"),
        ("a \ue000 <b> `c`", "a \ue000 &lt;b> `c`"),
    ],
)
def test_tags_and_products_are_shown_as_they_were_written(text: str, seen: str) -> None:
    assert readable(text) == seen


@pytest.mark.parametrize(
    "piece",
    [
        "\\[",
        "\\(",
        "$a ",
        "$$a ",
        "\\boxed{",
        "\\boxed{{}",
        "**x ",
        "*x ",
        "**(가",
        "` ",
        "<a",
        "***a**b*c ",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    """100,000 characters, in processor time: what never ends must not be searched for each time."""
    began = time.process_time()
    readable(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 20
