"""The report in Korean and Chinese: a text is looked up by its English wording.

translations.json has the texts of the report, talk_texts.py those that figures for talks share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from r1kit.diagnose.finding_texts import FINDING_TEXTS
from r1kit.report.talk_texts import TEXTS
from r1kit.runs.stage_specs import STAGES

_COLUMNS = {"ko": 0, "zh": 1}


class Translator:
    """Says the texts of a report in a language: `Translator("ko")("{n} tokens", n=5)`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = catalogue(language)

    def __call__(self, english: str, **values: Any) -> str:
        """Return a text with its values; one without a translation stays English."""
        text = self._texts.get(english, english)
        return text.format(**values) if values else text

    def stage_title(self, stage: str) -> str:
        """Return the name of a stage in pictures."""
        title = STAGES[stage].title
        return title if self.language == "en" else TEXTS[self.language].get(stage, title)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the texts of a language by their English wording; {} for English."""
    if language == "en":
        return {}
    own = Path(__file__).with_name("translations.json").read_text(encoding="utf-8")
    shared = {english: TEXTS[language][key] for key, english in TEXTS["en"].items()}
    column = _COLUMNS[language]
    return shared | {english: texts[column] for english, texts in json.loads(own).items()}


ENGLISH = Translator("en")


def language_of(recipe: Mapping[str, Any]) -> str:
    """Return the language of a report: the first of the recipe's, English without any."""
    first = next(iter(recipe.get("languages") or ()), "en")
    return first if first in FINDING_TEXTS else "en"
