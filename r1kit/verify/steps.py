"""Check the intermediate steps of a text: the share of its written equations that are true.

A step is an equation of integers, such as `4*7=28` or `28 + 3 = 31`; it is true if both sides are
exactly equal. Departure from process reward models (R1 paper, section 4.2 of its first version):
rules instead of a model, so a score is never wrong, but prose is not judged.
"""

from __future__ import annotations

import re
from itertools import islice

from r1kit.verify.expression import evaluate

MAX_STEPS = 1_000
"""maximum number of equations checked per text"""

_NUMBER = r"[0-9]{1,12}"
_STEP = re.compile(
    rf"(?<![\w.=)])(?P<left>-?{_NUMBER}(?:\s?[-+*/×÷]\s?{_NUMBER}){{1,8}})\s?=\s?"
    rf"(?P<right>-?{_NUMBER})(?![0-9])"
)


def true_steps(text: str) -> float | None:
    """Return the share of the integer equations in `text` that are true, 0 to 1; None if none."""
    steps = [
        evaluate(match["left"]) == int(match["right"])
        for match in islice(_STEP.finditer(text), MAX_STEPS)
    ]
    return sum(steps) / len(steps) if steps else None
