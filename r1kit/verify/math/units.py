"""Canonical names of units: `square inches`, `\\text{ in}^2` and `sq. in.` are `inch^2`.

The table holds the units of school mathematics; an unknown word is its own unit, without the plural
s. Nothing is converted: a metre is not a hundred centimetres here.
"""

from __future__ import annotations

import re

MAX_PARTS = 10

_SPELLINGS = {
    "inch": "in inches",
    "foot": "ft feet",
    "yard": "yd yds",
    "mile": "mi",
    "millimeter": "mm millimetre",
    "centimeter": "cm centimetre",
    "meter": "m metre",
    "kilometer": "km kilometre",
    "gram": "g",
    "kilogram": "kg kgs",
    "pound": "lb lbs",
    "ounce": "oz",
    "liter": "l litre",
    "milliliter": "ml millilitre",
    "second": "s sec secs",
    "minute": "min mins",
    "hour": "h hr hrs",
    "day": "",
    "week": "",
    "year": "yr yrs",
    "degree": "deg °",
    "radian": "rad rads",
    "dollar": "$ usd buck",
    "cent": "¢ ct",
    "%": "percent pct percentage",
    "mph": "",
    "unit": "",
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
}
_NAMES = {spelling: name for name, text in _SPELLINGS.items() for spelling in (name, *text.split())}
_NOT_UNITS = (
    *("or", "and", "not", "to", "times", "plus", "minus", "over", "by", "of", "square", "cube"),
    *("squared", "cubed", "half", "dozen", "score", "gross", "hundred", "thousand", "million"),
    *("billion", "trillion"),
    *("is", "are", "was", "equals", "if", "then", "but", "no", "none", "either", "neither", "both"),
    *("except", "about", "approximately", "than", "more", "less", "at", "least", "most", "root"),
)
"""words that change the meaning of a number before them"""
_PART = re.compile(r"[a-z°$¢%]+|\^|[23{}/.-]")


def is_known(word: str) -> bool:
    """Return True if a plain word is a unit and not a product of letters: `cm`, not `ab`."""
    return len(word) > 1 and word.lower().rstrip(".") in _NAMES


def changes_value(text: str) -> bool:
    """Return True if words after a number change it or make it ambiguous: "million", "or so"."""
    return any(word in _NOT_UNITS for word in re.findall(r"[a-z]+", text.lower()))


def canonical(text: str) -> str | None:
    """Return the canonical name of a unit; None if the text is not a unit.

    `" square inches"` → `"inch^2"`, `"miles per hour"` → `"mile/hour"`, `"apples"` → `"apple"`.
    """
    lower = " ".join(text.lower().split())
    for words, exponent in (("square|sq\\.?", 2), ("cubic|cu\\.?", 3)):
        lower = re.sub(rf"\b(?:{words}) ([a-z]+)", rf"\1^{exponent}", lower)
    lower = lower.replace(" squared", "^2").replace(" cubed", "^3").replace(" per ", "/")
    parts = _PART.findall(lower)
    if "".join(parts) != lower.replace(" ", "") or not 0 < len(parts) <= MAX_PARTS:
        return None
    if changes_value(lower):
        return None
    return " ".join(_name(part) for part in parts if part not in "{}.").replace(" ^ ", "^") or None


def _name(part: str) -> str:
    if part in _NAMES:
        return _NAMES[part]
    singular = part[:-1] if part.endswith("s") and not part.endswith("ss") else part
    return _NAMES.get(singular, singular)
