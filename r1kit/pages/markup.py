"""The conversion of user and model text to Markdown that gradio's Chatbot renders well.

gradio takes everything between two dollar signs for math, passes HTML through, and follows
CommonMark, whose rules for emphasis fail in Korean and Chinese. So math and emphasis are recognized
here: math becomes \\(...\\) or \\[...\\] (the Chatbot has no other delimiters), a tag becomes text,
and bold that CommonMark would not close becomes <strong>, after the CJK-friendly amendments
(github.com/tats-u/markdown-cjk-friendly).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
"""math delimiters, for the Chatbot"""

MAX_DEPTH = 16
"""maximum nesting of braces in a box; without a limit, unclosed braces would take quadratic time"""
_CJK = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_ATOM = "\ue000"
"""placeholder of a span that Markdown must not parse"""
_SPAN = re.compile(
    r"""
      (?P<code> ```.*?(?:```|\Z) | (?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`) )
    | (?P<literal> \\\$ | \ue000 )
    | \\\[ (?P<display> (?: (?! \\\[ ) . )+? ) \\\]
    | \\\( (?P<inline> (?: (?! \\\( ) . )+? ) \\\)
    | (?<!\$) \$\$ (?!\$) (?P<dollars> (?: (?! \$\$ ) . )+? ) (?<!\$) \$\$ (?!\$)
    | (?<! [\\$0-9A-Za-z] ) \$ (?! [\s$] ) (?P<dollar> (?: \\[^\n] | [^$\\\n] )+? ) (?<! [\s\\] ) \$
      (?! [$0-9A-Za-z] )
    | (?P<boxed> \\boxed\{ )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMAND = re.compile(r"\\[a-zA-Z]+(?:\{[^{}]*\})?")
_PRICE = re.compile(rf"\d.*?(?:\s[A-Za-z]{{2}}|[{_CJK}])")
"""a number followed by words: `$5 or US$`"""
_WORDS = re.compile(rf"[A-Za-z]{{2,}} +[A-Za-z]|[{_CJK}]")
"""text that KaTeX would render without its spaces, or with a warning"""
_COMMENT = re.compile(r"(?<!\\)%")
_TIMES = re.compile(r"(?<=[0-9A-Za-z)])\*(?=[0-9A-Za-z(])")
"""50*101 is a product, not emphasis"""
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")
_EMPHASIS = re.compile(
    r"(?<![\\*])(?P<run>\*{1,3})(?![\s*])"
    r"(?P<text>(?:(?!(?<!\*)(?P=run)(?!\*)|\n[ \t]*\n).)+?)(?<![\s*\\])(?P=run)(?!\*)",
    re.DOTALL,
)
_LETTER = re.compile(rf"[{_CJK}]")
_TAGS = {1: ("<em>", "</em>"), 2: ("<strong>", "</strong>"),
         3: ("<em><strong>", "</strong></em>")}  # fmt: skip


def well_formed(text: str) -> str:
    """Replace lone surrogates, which JSON can hold but nothing can send on or show."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def readable(text: str) -> str:
    """Return Markdown with math and no HTML; tags, products and prices are shown as written."""
    plain, atoms, end = [], [], 0
    for start, stop, atom in _atoms(text):
        plain += [text[end:start], _ATOM]
        atoms.append(atom)
        end = stop
    prose = "".join([*plain, text[end:]])
    prose = _emphasised(_TIMES.sub(r"\*", _TAG.sub("&lt;", prose)))
    first, *others = prose.split(_ATOM)
    return first + "".join(atom + part for atom, part in zip(atoms, others, strict=True))


def _atoms(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, replacement) of each span of code, math and escapes."""
    end = 0
    while match := _SPAN.search(text, end):
        start, end = match.span()
        if match["boxed"]:
            stop = _closing(text, end)
            if stop is None:
                continue
            yield start, stop, _math(f"\\boxed{{{_in_box(text[end : stop - 1])}}}", "()")
            end = stop
        elif match["code"] or match["literal"]:
            yield start, end, match.group()
        elif match["dollar"] and _is_price(match["dollar"]):
            end = start + 1  # only a dollar sign; math may begin after it
        elif body := match["display"] or match["dollars"]:
            yield start, end, _math(body, "[]")
        else:
            yield start, end, _math(match["inline"] or match["dollar"], "()")


def _closing(text: str, start: int) -> int | None:
    """Return the index after the brace that closes the one before `start`, None if none does."""
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
        if depth > MAX_DEPTH:
            break
    return None


def _in_box(body: str) -> str:
    """Return a box's content as TeX; models also box sentences, programs, and formulas in $...$."""
    if len(body) > 2 and body[0] == body[-1] == "$":
        body = body[1:-1]
    body = re.sub(r"(?<!\\)\$", r"\\$", body)
    if "\\" in body or not _WORDS.search(body):
        return body
    return f"\\text{{{re.sub('[_#&^]', _escaped, body)}}}"


def _escaped(match: re.Match[str]) -> str:
    return "\\^{}" if match.group() == "^" else f"\\{match.group()}"


def _is_price(body: str) -> bool:
    return bool(_PRICE.match(_COMMAND.sub("", body)))


def _math(body: str, brackets: str) -> str:
    """Return math in the Chatbot's delimiters, escaped, since gradio inserts it as HTML."""
    body = _COMMENT.sub(r"\\%", body).replace("&", "&amp;").replace("<", "&lt;")
    return f"\\{brackets[0]}{body}\\{brackets[1]}"


def _emphasised(prose: str) -> str:
    """Use tags for emphasis next to Korean or Chinese that CommonMark would leave as asterisks."""

    def tagged(match: re.Match[str]) -> str:
        before, after = prose[: match.start()][-1:], prose[match.end() :][:1]
        text = match["text"]
        opens = not (_LETTER.match(before) and _is_mark(text[0]))
        closes = not (_LETTER.match(after) and _is_mark(text[-1]))
        if opens and closes:
            return match.group()
        opening, closing = _TAGS[len(match["run"])]
        return f"{opening}{text}{closing}"

    return _EMPHASIS.sub(tagged, prose)


def _is_mark(character: str) -> bool:
    """Return True for punctuation in CommonMark's sense, such as the ends of code and math."""
    return not (character.isalnum() or character.isspace())
