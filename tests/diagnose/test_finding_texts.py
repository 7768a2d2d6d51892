"""The findings in three languages: none lacks a text, a number or a setting in another one."""

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from r1kit.diagnose import Finding, diagnose
from r1kit.diagnose.finding_texts import FINDING_TEXTS
from tests.diagnose.test_advice import RECIPES, SICK_RL, SICK_SUPERVISED
from tests.diagnose.test_diagnose import healthy

SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in (Path(__file__).parents[2] / "r1kit" / "diagnose").glob("*.py")
    if path.name != "finding_texts.py"
)
ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z]+ ){2}[a-z]+\b")
"""three words in a row: no name of a metric, setting or tool has as many"""


def placeholders(text: str) -> list[tuple[str, str | None]]:
    """Return the values of a text, each with the digits that it shows."""
    return sorted((name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_every_text_is_there_with_the_same_numbers(language: str) -> None:
    english, words = FINDING_TEXTS["en"], FINDING_TEXTS[language]
    assert [*words] == [*english]
    for key, text in english.items():
        assert placeholders(words[key]) == placeholders(text), key
        assert not ENGLISH.search(words[key]), key


def test_no_text_is_left_over_and_none_is_missing() -> None:
    kinds = {key.removesuffix(".title") for key in FINDING_TEXTS["en"] if key.endswith(".title")}
    for kind in kinds:
        assert f'"{kind}"' in SOURCES
    of_kinds = {f"{kind}.{part}" for kind in kinds for part in ("title", "seen", "cause", "action")}
    for key in FINDING_TEXTS["en"].keys() - of_kinds:
        assert f'"{key}"' in SOURCES, key
    for key in re.findall(r'(?:say\(|words\[)"([\w.]+)"', SOURCES):
        assert key in FINDING_TEXTS["en"], key


def found(language: str) -> list[Finding]:
    """Return what every known trouble gives, at stages whose settings are at different places."""
    recipe = RECIPES["foreign"].model_dump(mode="json")
    findings: list[Finding] = []
    for stage in ("zero", "ablation/long", "distill/own", "distill/own/zero"):
        is_rl = stage != "distill/own"
        for sick in SICK_RL if is_rl else SICK_SUPERVISED:
            rows: list[dict[str, Any]] = []
            for step in range(1, 61):
                row = healthy(step) if is_rl else {"step": step, "loss": 1.0, "grad_norm": 1.0}
                changed = {k: v(step) if callable(v) else v for k, v in sick.items()}
                rows.append(row | changed | {"stage": stage})
            findings += diagnose(rows, recipe, language)
    return findings


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_findings_are_the_same_in_another_language(language: str) -> None:
    pairs = list(zip(found("en"), found(language), strict=True))
    assert {one.kind for one, _ in pairs} > {"collapse", "unlearned", "no_gradient", "mismatch"}
    for one, other in pairs:
        assert (one.level, one.stage, one.kind) == (other.level, other.stage, other.kind)
        text = f"{other.title} {other.observation} {other.cause} {other.action}"
        assert not ENGLISH.search(text), text
        assert numbers(one) == numbers(other)
        for setting in re.findall(r"[a-z_]+\.[a-z_.]*[a-z]|\[\[[a-z.]+\]\]", one.action):
            assert setting in text


def numbers(finding: Finding) -> list[str]:
    """Return the numbers with decimals or percent; small ones may be words of a language."""
    return sorted(re.findall(r"\d+\.\d+|\d+%", f"{finding.observation} {finding.cause}"))
