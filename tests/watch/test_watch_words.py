"""The texts of the page of `r1 watch`: every one is there in Korean and Chinese."""

import json
import re

import pytest

from r1kit.watch.routes import STATIC

PAGES = ("watch", "map", "charts", "rollouts", "panels", "dom")
WORDS = (STATIC / "words.js").read_text(encoding="utf-8")


def translated(language: str) -> dict[str, str]:
    part = re.split(r"^  (?=ko|zh)", WORDS, flags=re.MULTILINE)
    [block] = [text for text in part if text.startswith(language)]
    pairs = re.findall(r'("(?:[^"\\]|\\.)*"): ("(?:[^"\\]|\\.)*")', block)
    return {json.loads(key): json.loads(value) for key, value in pairs}


def asked_for() -> set[str]:
    """Every English text that the page looks up: literals of `t(...)`, and texts in tables."""
    found: set[str] = set()
    for name in PAGES:
        source = (STATIC / f"{name}.js").read_text(encoding="utf-8")
        for call in re.findall(r'\bt\(((?:[^()"]*\? )?"(?:[^"\\]|\\.)*"(?: : "[^"]*")?)', source):
            found |= set(re.findall(r'"((?:[^"\\]|\\.)*)"', call))
        for table in re.findall(r"^const (?:TABS|ORDERS|LEVEL|STATE) = \{(.*)\};$", source, re.M):
            found |= set(re.findall(r': "([^"]*)"', table))
    metrics = (STATIC / "metrics.js").read_text(encoding="utf-8")
    for title, meaning in re.findall(r'^  \["[^"]+", "([^"]+)", "[^"]*", "([^"]*)"', metrics, re.M):
        found |= {title, meaning}
    return found - {"", "KL"}


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_every_text_is_translated_with_its_numbers(language: str) -> None:
    words = translated(language)
    wanted = asked_for()
    assert len(wanted) > 90
    assert wanted - words.keys() == set()
    assert words.keys() == translated("ko").keys()
    for text, translation in words.items():
        assert sorted(re.findall(r"\{\d\}", text)) == sorted(re.findall(r"\{\d\}", translation))
