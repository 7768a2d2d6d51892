"""What words mean that are an answer: "no solution" is the empty set, "infinity" is a value.

`meaning` is what grammar.py makes of the words of an answer. Words that are no value are equal if
they are spelled alike, but for an article, the plural of "solution", and the order of a date.
"""

from __future__ import annotations

import re

from r1kit.verify.math.values import Infinity, UnorderedItems, Value, WordsValue

_EMPTY = re.compile(
    r"(?:the )?empty set|(?:there (?:is|are) )?no (?:real )?(?:solutions?|roots?)(?: exists?)?"
    r"|no such (?:numbers?|integers?|values?|solutions?)(?: exists?)?|none"
    r"|空集|无解|无实数?[解根]|没有(?:实数)?[解根]|공집합"
    r"|방정식의 해가 없다|해가 없다|해 없음|해가 존재하지 않는다"
)
_NO_LIMIT = re.compile(
    r"dne|d\.n\.e|(?:the )?(?:limit )?(?:does not|doesn't) exist|不存在"
    r"|존재하지 않는다|존재하지 않음"
)
_INFINITIES = {
    **dict.fromkeys(
        ("infinity", "positive infinity", "plus infinity", "无穷大", "正无穷", "正无穷大"), 1
    ),
    **dict.fromkeys(("무한대", "양의 무한대", "infinitely many", "an infinite number"), 1),
    **dict.fromkeys(
        ("negative infinity", "minus infinity", "负无穷", "负无穷大", "음의 무한대"), -1
    ),
}
_INFINITELY_MANY = re.compile(
    r"infinitely many(?: (?:real )?(?:solutions?|integers?|numbers?|values?|triangles?|points?))?"
    r"|an? infinite number(?: of solutions?)?|infinite(?: number of)? solutions?"
    r"|无[数穷]多?[个组]?解?"
    r"|해가 무수히 많다|무수히 많다"
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{month}|{month[:3]}" for month in _MONTHS)
_DAY = "(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = "(?:,? (?P<year>[0-9]{4}))?"
_DATES = (
    re.compile(rf"(?P<month>{_MONTH})\.? {_DAY}{_YEAR}"),
    re.compile(rf"(?:the )?{_DAY}(?: of)? (?P<month>{_MONTH})\.?{_YEAR}"),
    re.compile(r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})"),
    re.compile(
        r"(?:(?P<year>[0-9]{4})\s?[年년] ?)?(?P<month>[0-9]{1,2})\s?[月월] ?"
        "(?P<day>[0-9]{1,2})\\s?[日号일]"
    ),
)
_LETTERS = re.compile(r"\(?[A-J]\)?(?:(?:\s*(?:,|;|&|and|、|和)\s*)+\(?[A-J]\)?)+|[A-J]{2,6}")
_SUBJECT = re.compile(
    r"(?:(?:the|this|that|its?|it is|is|an?|given|infinite|function|series|sequence|integral|number"
    r"|limit|answer|statement|graph|matrix|triangle|system|equation|relation|curve|conic|shape"
    r"|figure|result|day|must be|will be|would be|was) )+(?=[a-z])"
)
_NOUN_AFTER = re.compile(
    r"(?<=[a-z]) (?:triangles?|functions?|numbers?|integers?|sequences?|series|angles?|matrix"
    r"|quadrilateral|day|colou?r)$"
)
_SURE = re.compile(r"(yes|no|true|false)\s*[,.;:–—]\s")
_OTHER_SIDE = {
    word: re.compile(rf"\b(?:{other}|wait|or|but|unless|if|maybe)\b")
    for word, other in (("yes", "no"), ("no", "yes"), ("true", "false"), ("false", "true"))
}
_ARTICLE = re.compile(r"(?:an?|the) (?=[a-z]{3})")
_KIND = re.compile(
    r"(?:quadrants?|graphs?|cases?|statements?|figures?|lines?|points?|boxes|box|types?|days?|steps?"
    r"|teams?|players?|sets?|choices?|options?) (?=(?:[ivx]{1,4}|[a-j])$)"
)


def meaning(words: str) -> Value:
    """Return the value of lower-case words: the empty set, an infinity, or the words themselves."""
    if (sign := _INFINITIES.get(words)) is not None:
        return Infinity(sign)
    if _EMPTY.fullmatch(words):
        return UnorderedItems((), is_set=True)
    if _INFINITELY_MANY.fullmatch(words):
        return Infinity(1)
    if _NO_LIMIT.fullmatch(words):
        return WordsValue("does not exist")
    return WordsValue(_KIND.sub("", _ARTICLE.sub("", words)))


def are_same_words(gold: str, answer: str) -> bool:
    """Return True for the same date, the same letters, or one sentence that says the other's word.

    Both texts are cleaned; `plain_form` of forms.py has compared them already.
    """
    gold, answer = _bare(gold), _bare(answer)
    gold_date = _date(gold.lower())
    if gold_date is not None:
        date = _date(answer.lower())
        return date is not None and (gold_date == date or (*gold_date[:2], None) == date)
    if _LETTERS.fullmatch(gold) and _LETTERS.fullmatch(answer):
        one, other = (re.findall("[A-J]", text) for text in (gold, answer))
        return len(one) > 1 and sorted(one) == sorted(other) and not gold.isalpha()
    if (sure := _SURE.match(answer.lower())) is not None and sure[1] == gold.lower():
        return not _OTHER_SIDE[sure[1]].search(answer.lower())
    if gold.removesuffix("条件") == answer.removesuffix("条件") and "要" in gold:
        return True  # 充分不必要 is a kind of condition, with or without the word
    adjective = _NOUN_AFTER.sub("", answer.lower())
    if adjective == _NOUN_AFTER.sub("", gold.lower()) and gold.isascii():
        return adjective.isalpha() and adjective not in ("a", "an", "the", "no", "all", "some")
    words = answer.lower()
    subject = _SUBJECT.match(words)
    return (
        subject is not None
        and words[subject.end() :] == gold.lower()
        and gold.isascii()
        and gold.replace(" ", "").isalpha()
        and len(gold) > 2
    )


def _bare(text: str) -> str:
    return " ".join(re.sub(r"\\text\{([^{}]*)\}", r"\1", text).split()).strip(" .")


def _date(text: str) -> tuple[int, int, int | None] | None:
    for pattern in _DATES:
        if (match := pattern.fullmatch(text)) is not None:
            name = match["month"]
            month = int(name) if name.isdecimal() else _MONTHS.index(_full(name)) + 1
            return month, int(match["day"]), int(match["year"]) if match["year"] else None
    return None


def _full(month: str) -> str:
    return next(name for name in _MONTHS if name.startswith(month))
