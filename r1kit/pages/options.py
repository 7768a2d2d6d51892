"""The reader's settings of an answer: sampling, thinking budget and system prompt.

They come from the browser, where anyone can change them: `read` keeps only what the API accepts. A
setting that is left out has the default of the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from r1kit.pages.i18n import say
from r1kit.pages.markup import well_formed

MAX_SYSTEM_CHARS = 20_000
_MAX_TOKENS = 2**31 - 1
_MAX_SEED = 2**53 - 1
"""the largest integer that a browser holds exactly"""
_REALS = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0)}
_INTEGERS = {"max_tokens": (1, _MAX_TOKENS), "seed": (-_MAX_SEED, _MAX_SEED),
             "budget": (1, _MAX_TOKENS)}  # fmt: skip
_SIGNS = {"temperature": "T {0:g}", "top_p": "top-p {0:g}"}
_NAMES = {"seed": "seed_of", "budget": "budget_of"}
"""settings that the line below an answer shows: signs, and names in the reader's language"""


@dataclass(frozen=True)
class AnswerOptions:
    """The settings of one answer: `AnswerOptions("Be brief.", {"temperature": 0.6})`."""

    system: str
    numbers: dict[str, float]
    """those of temperature, top_p, max_tokens, seed and budget that the reader has set"""

    @property
    def budget(self) -> int | None:
        """The maximum number of thinking tokens, None for no limit."""
        budget = self.numbers.get("budget")
        return None if budget is None else int(budget)

    def fields(self) -> dict[str, float]:
        """Return the sampling parameters as fields of a request."""
        return {name: value for name, value in self.numbers.items() if name != "budget"}

    def repeated(self, budget: int | None, repetition: int) -> AnswerOptions:
        """Return the settings of another sample: with this budget, and a seed of its own."""
        numbers = {name: value for name, value in self.numbers.items() if name != "budget"}
        if budget:
            numbers["budget"] = budget
        if "seed" in numbers:
            numbers["seed"] = min(numbers["seed"] + repetition, _MAX_SEED)
        return AnswerOptions(self.system, numbers)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as `read` takes them."""
        return {**({"system": self.system} if self.system else {}), **self.numbers}


def read(data: object) -> AnswerOptions:
    """Return the settings in untrusted data, without those that the API would refuse."""
    values: dict[str, Any] = data if isinstance(data, dict) else {}
    numbers: dict[str, float] = {}
    for name, (low, high) in {**_REALS, **_INTEGERS}.items():
        value: Any = values.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value <= high:
            if name in _REALS:
                numbers[name] = value
            elif value == int(value):
                numbers[name] = int(value)
    system = values.get("system")
    text = system.strip()[:MAX_SYSTEM_CHARS] if isinstance(system, str) else ""
    return AnswerOptions(well_formed(text), numbers)


def described(data: object, language: str) -> list[str]:
    """Return the settings with which an answer was sampled, as short texts."""
    numbers = read(data).numbers
    signs = [sign.format(numbers[name]) for name, sign in _SIGNS.items() if name in numbers]
    return signs + [say(language, word, numbers[name]) for name, word in _NAMES.items()
                    if name in numbers]  # fmt: skip
