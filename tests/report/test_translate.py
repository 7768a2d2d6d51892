"""The report in Korean and Chinese: every text is there, and none of it is left in English."""

import io
import json
import re
from html import unescape
from pathlib import Path
from string import Formatter

import pytest
from rich.console import Console

from r1kit import report
from r1kit.claims.paper import CLAIMS
from r1kit.report import figures, markdown, plots, tables
from r1kit.report.facts import gather
from r1kit.report.talk_files import find_font
from r1kit.report.translate import Translator, catalogue, language_of
from r1kit.runs.run_reader import read
from tests.diagnose.test_finding_texts import ENGLISH
from tests.report.test_report import write_run

REPORT = Path(report.__file__).parent
KOREAN = "<think>넷을 넣어 보자. 다시, 다섯이다.</think>x는 5이다."
LITERAL = re.compile(r"""\bt\(\s*("(?:[^"\\]|\\.)*"|'[^']*')""")
ALIKE = {
    "pass@1",
    "MFU",
    "its base",
    "r1kit",
    "torch",
    "transformers",
    "python",
    "gpus",
    "{parts}.",
}
"""texts that talk_texts.py has, or that are the same in every language"""


def said() -> set[str]:
    """Return every English text that a report of any run may say."""
    sources = "".join(path.read_text(encoding="utf-8") for path in REPORT.glob("[!t]*.py"))
    texts = {literal[1:-1] for literal in LITERAL.findall(sources)}
    texts |= {text for one in CLAIMS for text in (one.claim, one.rule, one.unit)}
    texts |= {text for panel in plots.PANELS for text in (panel.title, panel.caption)}
    texts |= {title for title, *_ in figures.MEASURES}
    texts |= {heading for heading, *_ in (*tables.MAIN, *tables.STUDENT, *tables.SPEEDS)}
    texts |= {tables.MAIN_NOTE, tables.SPEED_NOTE, tables.FORECAST_NOTE, markdown.CLAIMS_NOTE}
    return texts


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_every_text_of_a_report_is_translated(language: str) -> None:
    assert len(said()) > 100
    assert said() - catalogue(language).keys() - ALIKE == set()
    for text in said() - ALIKE:
        assert not ENGLISH.search(catalogue(language)[text]), text


def test_translations_have_the_values_of_their_text() -> None:
    pairs = json.loads((REPORT / "translations.json").read_text(encoding="utf-8"))
    for english, texts in pairs.items():
        assert len(texts) == 2
        for text in texts:
            assert placeholders(text) == placeholders(english), english


def placeholders(text: str) -> list[tuple[str, str | None]]:
    return sorted((name, spec) for _, name, spec, _ in Formatter().parse(text) if name)


def test_the_language_is_the_first_of_the_recipe() -> None:
    assert language_of({"languages": ["ko", "en"]}) == "ko"
    assert language_of({"languages": ["fr"]}) == "en"
    assert language_of({}) == "en"


def test_a_report_of_a_korean_recipe_has_no_english_sentence(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", KOREAN, languages=["ko"])
    console = Console(file=io.StringIO(), width=100, record=True)
    report.show(path, console)
    page = (path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in page
    texts = [
        console.export_text(),
        (path / "report.md").read_text(encoding="utf-8"),
        unescape(re.sub(r"<style.*?</style>|<!--.*?-->|<[^>]*>", "\n", page, flags=re.DOTALL)),
    ]
    for text in texts:
        for expected in (
            "단계",
            "정상",
            "강화 학습만으로 정답률이 몇 배로 오른다",
            "되돌아보는 말",
        ):
            assert expected in text
        assert "언어 일관성" in text
        outside = text.replace(gather(read(path)).command, "").replace(str(path), "")
        assert ENGLISH.findall(outside) == []


def test_the_reader_may_choose_another_language(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", languages=["ko"])
    report.show(path, Console(file=io.StringIO()), "zh")
    assert "## 诊断" in (path / "report.md").read_text(encoding="utf-8")
    report.show(path, Console(file=io.StringIO()), "en")
    english = (path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Diagnosis</h2>" in english
    assert not re.search("[가-힣]{4}|[一-龥]{4}", english)


def test_numbers_and_names_are_the_same_in_every_language(tmp_path: Path) -> None:
    evidence = read(write_run(tmp_path / "run"))
    english, korean = gather(evidence), gather(evidence, "ko")
    assert [table.rows for table in english.tables] == [table.rows for table in korean.tables]
    assert [finding.kind for finding in english.findings] == [
        finding.kind for finding in korean.findings
    ]
    for one, other in zip(english.claims, korean.claims, strict=True):
        assert one.mark == other.mark
        assert one.ours.split()[:3] == other.ours.split()[:3]


@pytest.mark.skipif(find_font("ko") is None, reason="no font with Korean letters")
def test_pictures_say_it_too(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", languages=["ko"])
    report.show(path, Console(file=io.StringIO()))
    assert "zero 학습 스텝" in (path / "curves.svg").read_text(encoding="utf-8")
    assert Translator("ko").stage_title("cold_start") == "콜드 스타트"
