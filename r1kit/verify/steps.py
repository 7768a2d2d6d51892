"""How many of the steps written down are true: the part of a text that can be checked on the way.

A step is an equation of whole numbers, such as `4*7=28` or `28 + 3 = 31`; it is true if both sides
are equal, exactly. Departure from process reward models (R1 paper, section 4.2 of its first
version): rules instead of a model, so nothing here can be wrong, but words are not judged.
"""

from __future__ import annotations

import re
from itertools import islice

from r1kit.verify.expression import evaluate

MAX_STEPS = 1_000
"""of one text that are looked at"""

_NUMBER = r"[0-9]{1,12}"
_STEP = re.compile(
    rf"(?<![\w.=)])(?P<left>-?{_NUMBER}(?:\s?[-+*/×÷]\s?{_NUMBER}){{1,8}})\s?=\s?"
    rf"(?P<right>-?{_NUMBER})(?![0-9])"
)


def true_steps(text: str) -> float | None:
    """Share of the equations of numbers in `text` that are true, 0 to 1; None without any."""
    steps = [
        evaluate(match["left"]) == int(match["right"])
        for match in islice(_STEP.finditer(text), MAX_STEPS)
    ]
    return sum(steps) / len(steps) if steps else None
