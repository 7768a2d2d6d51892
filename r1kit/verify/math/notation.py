"""Rewrite rare notations into the usual one, before tokens.py reads a text.

`usual` handles fonts, aligned equations, repeating decimals with dots, binomial coefficients of
several countries, a space between thousands, currencies, clock times and French intervals. Each
rewrite keeps the value. Most answers have none of these signs, so one search skips them all.
"""

from __future__ import annotations

import re
import unicodedata

from r1kit.verify.math.number_words import BASES
from r1kit.verify.math.rewriting import RewriteRules

_RARE = re.compile(
    r"\\(?:begin|dot|bar|bf|rm|it|cal|sf|tt|[Ll]arge|LARGE|[Hh]uge|small|normalsize|text|mathrm"
    r"|operatorname|mathbin|colon|scriptstyle|nolimits|strut|mathstrut|no(?:number|tag)|checkmark"
    r"|(?:black)?square|qed|Box|pounds|euro|cent|choose|not|lbrace|rbrace|lbrack|rbrack|middle)"
    r"|[^\x00-\x7f]|\{:\}|[_^]|\"|answer|[CP]\(|[0-9](?: |\\ )[0-9]|\[$|^\]|[ap]\.?\s?m\b"
    r"|[0-9](?:st|nd|rd|th)\b",
    re.IGNORECASE,
)
_ALIGNED = re.compile(
    r"\\begin\{(?P<name>aligned|align\*?|gathered|split|array)\}(?:\{[lcr]\})?(?P<body>.*?)\\end\{(?P=name)\}",
    re.DOTALL,
)
_CASES = re.compile(r"\\begin\{cases\}.*?\\end\{cases\}", re.DOTALL)
_WHEN = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[\s,]*(?:if|for|when|where|with|若|当|일 때)?\s*\}")
_FUNCTION = "arcsin|arccos|arctan|sin|cos|tan|cot|csc|log|ln|exp|gcd|lcm|det"
_ROMAN = r"\\(?:mathrm|operatorname\*?|text|textrm|mathit)\s*"
_TH = "(st|nd|rd|th)"
_COUNT = r"(?:[0-9]{1,4}|[0-9]?[a-z])"
_INDEX = rf"(?:\{{\s*({_COUNT})\s*\}}|([0-9]|[a-z]))"
_REWRITES = RewriteRules(
    (
        (
            "\\",
            r"\\(?:bf|rm|it|cal|sf|tt|[Ll]arge|LARGE|[Hh]uge|small|normalsize|scriptstyle|textstyle"
            r"|nolimits|strut|mathstrut|nonumber|notag|middle)(?![A-Za-z])",
            " ",
        ),
        ("\\lbrace", r"\\lbrace(?![A-Za-z])", r"\\{"),
        ("\\rbrace", r"\\rbrace(?![A-Za-z])", r"\\}"),
        ("\\not", r"\\not\s*=", r"\\ne "),
        (
            "",
            r"(?<=\S)\s*(?:\\[,;: ])*"
            r"(?:\\(?:checkmark|(?:black)?square|qed|Box)(?![A-Za-z])|[✓✔■□∎✅])\s*$",
            "",
        ),
        ("\\", rf"^{_ROMAN}\{{\s*(?i:(?:the )?(?:final )?answer is)\s*\}}\s*(?=\S)", ""),
        (
            "",
            rf"^(?:{_ROMAN}\{{\s*)?(?i:(?:the )?(?:final )?answer)(?: is)?"
            r"\s*[:=]\s*(?:\})?\s*(?=\S)",
            "",
        ),
        ("", r"\{:\}|\\mathbin\s*\{:\}|\\colon(?![A-Za-z])", ":"),
        (
            "\\dot",
            r"(?<=\.)([0-9]*)\\dot\s*(?:\{([0-9])\}|([0-9]))([0-9]*)\\dot\s*(?:\{([0-9])\}|([0-9]))",
            r"\1\\overline{\2\3\4\5\6}",
        ),
        ("\\dot", r"(?<=\.)([0-9]*)\\dot\s*(?:\{([0-9])\}|([0-9]))", r"\1\\overline{\2\3}"),
        ("\\bar", r"(?<=\.)([0-9]*)\\bar\s*(?:\{([0-9]+)\}|([0-9]))", r"\1\\overline{\2\3}"),
        (
            "^",
            r"^(?:\{\s*\})?\^\s*\{?([0-9]+)\}?\s*(?:\\!)*/(?:\\!)*\s*_\s*\{?([0-9]+)\}?$",
            r"\\frac{\1}{\2}",
        ),
        ("", r"^[–—](?=\s?[0-9\\.(])|(?<=[=(,\[{<>])\s*–(?=\s?[0-9\\.])", "-"),
        ("\\", rf"{_ROMAN}\{{\s*({_FUNCTION})\s*\}}", r"\\\1 "),
        ("\\operatorname", r"\\operatorname\*?\s*\{\s*(sec|max|min|arg)\s*\}", r"\\\1 "),
        ("\\", rf"(?<=[-+=])\s*{_ROMAN}\{{\s*([A-Za-z])\s*\}}", r" \1"),
        ("C", rf"(?:\{{\s*\}})?_\s*{_INDEX}\s*C\s*_\s*{_INDEX}", r"\\binom{\1\2}{\3\4}"),
        ("C", rf"(?:\{{\s*\}})?\^\s*{_INDEX}\s*C\s*_\s*{_INDEX}", r"\\binom{\1\2}{\3\4}"),
        ("C(", rf"(?<![A-Za-z0-9}}\\])C\(\s*({_COUNT})\s*,\s*({_COUNT})\s*\)", r"\\binom{\1}{\2}"),
        (
            "C",
            rf"(?<![A-Za-z0-9}}\\])C\s*_\s*{_INDEX}\s*\^\s*{_INDEX}(?![0-9])",
            r"\\binom{\1\2}{\3\4}",
        ),
        (
            "P",
            rf"(?:\{{\s*\}})?_\s*{_INDEX}\s*P\s*_\s*{_INDEX}",
            r"\\frac{(\1\2)!}{(\1\2-\3\4)!}",
        ),
        (
            "A",
            r"(?<![A-Za-z0-9}\\])A\s*_\s*(?:\{([0-9]{1,2})\}|([0-9]))\s*\^\s*(?:\{([0-9]{1,2})\}|([0-9]))",
            r"\\frac{(\1\2)!}{(\1\2-\3\4)!}",
        ),
        (
            "P(",
            r"(?<![A-Za-z0-9}\\])P\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)",
            r"\\frac{(\1)!}{(\1-\2)!}",
        ),
        ("\\text", rf"({_COUNT})\s*\\text\s*\{{\s*choose\s*\}}\s*({_COUNT})", r"\\binom{\1}{\2}"),
        ("\\choose", rf"\{{\s*({_COUNT})\s*\\choose\s*({_COUNT})\s*\}}", r"\\binom{\1}{\2}"),
        ("_", rf"_\s*(?:\{{\s*)?{_ROMAN}\{{\s*(?:base\s)?([0-9]+)\s*\}}(?:\s*\}})?", r"_{\1}"),
        ("_", r"_\s*\{\s*\(\s*([0-9]+)\s*\)\s*\}", r"_{\1}"),
        ("_", r"\(([0-9A-F]+)\)\s*_(?=\s*\{?\s*[0-9])", r"\1_"),
        ("_", rf"(?<=[0-9A-F]){_ROMAN}\{{\s*([A-F]{{1,6}})\s*\}}(?=[0-9A-F]*\s*_)", r"\1"),
        ("∛", r"∛\s*([0-9]+|[a-z]|\([^()]*\))", r"\\sqrt[3]{\1}"),
        ("∜", r"∜\s*([0-9]+|[a-z]|\([^()]*\))", r"\\sqrt[4]{\1}"),
        ("\\", r"\\(?:pounds|textsterling)(?![A-Za-z])", "£"),
        ("\\", r"\\(?:euro|texteuro)(?![A-Za-z])", "€"),
        ("\\", r"\\(?:cent|textcent)(?![A-Za-z])", r"\\text{cent}"),
        ("¢", r"(?<=[0-9])\s*¢", r"\\text{ cents}"),
        ("\\", rf"{_ROMAN}\{{\s*([£€₩¥₹])\s*\}}", r"\1"),
        ("\\", rf"^{_ROMAN}\{{\s*(?:negative|minus)\s*\}}\s*(?=[0-9\\])", "-"),
        ("℃", "℃", "°C"),
        ("℉", "℉", "°F"),
        (
            "",
            rf"(?<=[0-9])\s*\^?\s*(?:\{{\s*{_ROMAN}\{{\s*{_TH}\s*\}}\s*\}}|{_ROMAN}\{{\s*{_TH}\s*\}}"
            rf"|\{{\s*{_TH}\s*\}})",
            r"\1\2\3",
        ),
        ("\\", rf"(?<=[0-9])\s*{_ROMAN}\{{\s*to\s*\}}\s*(?=[0-9])", ":"),
        ("", r"(?<=[0-9])\s?(?:比|대)\s?(?=[0-9])", ":"),
    ),
    re.DOTALL,
)
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹", "01234567890123456789")
_SMALL_FRACTION = re.compile(r"([⁰¹²³⁴-⁹0-9]+)⁄([₀-₉0-9]+)")
_SMALL_DIGITS = re.compile(r"[₀-₉]+")
_BASE_WORD = re.compile(
    rf"_\s*(?:\{{\s*)?{_ROMAN}\{{\s*({'|'.join(BASES)})\s*\}}(?:\s*\}})?", re.IGNORECASE
)
_UNIT_SIGN = re.compile("\\s?([㍱-㏟])")
_THOUSANDS = re.compile(
    r"([1-9][0-9]{0,2}(?:(?: |\\ )[0-9]{3})+)(?=$|\.[0-9]|\s*(?:\\text|[A-Za-z%]))"
)
_CLOCK = re.compile(
    rf"(?:{_ROMAN}\{{)?\s*([0-9]{{1,2}})(?:\s*:\s*([0-9]{{2}}))?\s*(?:{_ROMAN}\{{)?\s*([ap])\.?\s?m\.?\s*\}}?",
    re.IGNORECASE,
)
_FRENCH = re.compile(r"\s*([\[\]])([^\[\]]+[,;][^\[\]]+)([\[\]])\s*")


def usual(text: str) -> str:
    """Return a text with rare notations rewritten: `0.\\dot{3}` → `0.\\overline{3}`."""
    if _RARE.search(text) is None:
        return text
    if not text.isascii():
        text = _UNIT_SIGN.sub(_unit, text)
        text = _SMALL_FRACTION.sub(_fraction, text)
        text = _SMALL_DIGITS.sub(lambda m: f"_{{{m[0].translate(_SUBSCRIPTS)}}}", text)
    if "\\begin" in text:
        text = _ALIGNED.sub(_as_list, text)
        text = _CASES.sub(_conditions, text)
    if (clock := _CLOCK.fullmatch(text)) is not None:
        minutes = f":{clock[2]}" if clock[2] else ""
        return f"\\text{{{clock[3].lower()}m {int(clock[1])}{minutes}}}"
    text = _BASE_WORD.sub(lambda base: f"_{{{BASES[base[1].lower()]}}}", text)
    text = _REWRITES.rewritten(text)
    if (spaced := _THOUSANDS.match(text)) is not None:
        text = re.sub(r"\\? ", "", spaced[1]) + text[spaced.end() :]
    if text[:1] == "]" or text[-1:] == "[":
        text = _french(text)
    return text


def _conditions(cases: re.Match[str]) -> str:
    return re.sub(r"[.,;]\s*(?=\\end)", " ", _WHEN.sub(" ", cases[0]))


def _unit(match: re.Match[str]) -> str:
    name = re.sub("([23])$", r"^\1", unicodedata.normalize("NFKC", match[1]))
    return f"\\text{{ {name}}}"


def _fraction(match: re.Match[str]) -> str:
    top, bottom = (digits.translate(_SUBSCRIPTS) for digits in match.groups())
    return f"\\frac{{{top}}}{{{bottom}}}"


def _as_list(match: re.Match[str]) -> str:
    """Write aligned equations as a list; matrices keep their own `&` and row ends."""
    if "\\begin" in match["body"]:
        return match[0]
    if match["name"] == "array" and "&" in match["body"]:
        return match[0]
    rows = re.split(r"\\\\(?!\s*=)", match["body"].replace("&", ""))
    rows = [row.replace("\\\\", " ") for row in rows]
    return ", ".join(row.strip(" ,\n") for row in rows if row.strip(" ,\n"))


def _french(text: str) -> str:
    """Write open ends as parentheses: `]2, 5]` → `(2, 5]`."""
    parts = [_FRENCH.fullmatch(part) for part in re.split(r"\\cup|∪", text)]
    if any(part is None for part in parts):
        return text
    return " \\cup ".join(
        ("(" if part[1] == "]" else "[") + part[2] + (")" if part[3] == "[" else "]")
        for part in parts
        if part is not None
    )
