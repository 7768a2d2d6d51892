"""Files of figures for talks: they open, are 16:9, and have a glyph for every letter."""

import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from r1kit import report
from r1kit.cli import app
from r1kit.config import parse
from r1kit.errors import ConfigError, DependencyError, RunError
from r1kit.report import talk_files
from r1kit.report.talk_files import balanced, find_font, rendered, wrapped, write_talk
from r1kit.report.talks import talk_figures
from r1kit.runs.run_dir import RunDir
from tests.report.test_report import write_run
from tests.report.test_talks import run_of

KOREAN = find_font("ko")


def test_the_files_open_and_are_slides(tmp_path: Path) -> None:
    written, missing = write_talk([run_of(lambda step: 0.5)], tmp_path / "talk", ["en"])
    assert missing == []
    assert len(written) >= 5
    for path, message in written:
        pdf = path.with_suffix(".pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert pdf.rstrip().endswith(b"%%EOF")
        assert re.search(rb"/MediaBox \[ 0 0 960 540 \]", pdf)  # points: 13.3 by 7.5 inches
        assert b"/FontFile" not in pdf
        svg = ElementTree.parse(path.with_suffix(".svg"))
        assert svg.getroot().get("viewBox") == "0 0 960 540"
        assert message in "".join(svg.getroot().itertext())  # its title, for who searches
    page = (tmp_path / "talk" / "figures-en.md").read_text()
    assert page.startswith("# Figures of mine")
    assert all(f"]({path.name}.svg)" in page for path, _ in written)


def test_the_same_run_gives_the_same_bytes() -> None:
    [item, *_] = talk_figures([run_of(lambda step: 0.5)], "en")
    assert rendered(item, "mine", "DejaVu Sans") == rendered(item, "mine", "DejaVu Sans")


@pytest.mark.skipif(KOREAN is None, reason="no font with Korean letters is installed")
def test_korean_and_chinese_letters_have_glyphs() -> None:
    """matplotlib warns of a letter without a glyph, and a warning is an error here."""
    for language in ("ko", "zh"):
        font = find_font(language)
        assert font is not None
        for item in talk_figures([run_of(lambda step: 0.5)], language):
            assert rendered(item, "mine · 시드 0 种子", font)[".svg"]


def test_a_letter_that_no_font_has_is_a_question_mark() -> None:
    run = run_of(lambda step: step / 40)
    rows = [row | {"rewards/재미/mean": 0.5, "rewards/\U00013000/mean": 0.1} for row in run.metrics]
    found = {item.key: item for item in talk_figures([replace(run, metrics=rows)], "en")}
    assert rendered(found["zero-rewards"], "이름", "DejaVu Sans")[".pdf"]


def test_a_language_without_a_font_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(talk_files.FONTS, "ko", ("No Such Font",))
    written, [sentence] = write_talk([run_of(lambda step: 0.5)], tmp_path, ["en", "ko"])
    assert {path.name[-3:] for path, _ in written} == {"-en"}
    assert "apt install fonts-noto-cjk" in sentence
    with pytest.raises(DependencyError, match="No font with Korean letters"):
        write_talk([run_of(lambda step: 0.5)], tmp_path, ["ko"])


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to draw yet"):
        write_talk([run_of(lambda step: 0.5, n_steps=2)], tmp_path, ["en"])


def test_lines_break_where_a_reader_expects_it() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("正确率从 26% 升至 88%。", 8) == ["正确率从", "26% 升至", "88%。"]
    assert balanced("aaa bbb ccc ddd", 12) == ["aaa bbb", "ccc ddd"]
    assert balanced("answers 60\u00a0% right", 10) == ["answers", "60\u00a0% right"]
    assert balanced("正确率：基座 19%，最终强化学习 94%", 24) == [
        "正确率：基座 19%，",
        "最终强化学习 94%",
    ]
    assert balanced("right: base 1,000, R1 2,000", 20) == ["right: base 1,000,", "R1 2,000"]
    assert wrapped("unbreakable", 4) == ["unbreakable"]


def test_runs_that_are_no_seeds_of_one_recipe_are_refused(tmp_path: Path) -> None:
    console = Console(file=(text := io.StringIO()), width=200)
    one, other = write_run(tmp_path / "one"), tmp_path / "other"
    report.draw_talk([one, one], tmp_path / "talk", ["en"], console)
    assert "R1-Zero answers" in text.getvalue()
    with RunDir.create_or_resume(
        other, parse({"name": "large", "tasks": [{"name": "sums"}]}, "t.toml")
    ):
        pass
    with pytest.raises(RunError, match="differ in more than their seed"):
        report.draw_talk([one, other], tmp_path / "talk", ["en"], console)


def test_the_command_draws_and_says_what_it_cannot(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    command = ["show", str(run), "--figures", str(tmp_path / "talk"), "--language", "en"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "talk" / "zero-accuracy-en.pdf").exists()
    result = CliRunner().invoke(app, ["show", str(run), str(run)])
    assert result.exit_code == 2
