"""The report from a run folder: its numbers, its words, and hostile text in it."""

import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from r1kit import report
from r1kit.config import parse
from r1kit.console.markdown_text import escape, fenced
from r1kit.diagnose import Finding
from r1kit.report import figures, plots
from r1kit.report.facts import costs, gather, promise, together
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from r1kit.types import Json

HOSTILE = "</p></div><script>alert(1)</script><img src=x onerror=alert(2)>`````\n# not a heading"
REASONING = {
    "n_problems": 400,
    "n_completions": 1,
    "pass_at_1": 0.14,
    "stderr": 0.02,
    "mean_tokens": 30.0,
    "mean_reflections": 0.5,
    "language_consistency": 0.62,
    "truncated": 0.01,
    "by_task": {"equation": 0.1, "series": 0.3},
    "errors": {
        "mean_tokens": 1.0,
        "mean_reflections": 0.05,
        "language_consistency": 0.02,
        "truncated": 0.0,
    },
}
BASE = {"evals": {"reasoning": REASONING}, "wall_s": 200.0}
AFTER_RL = REASONING | {
    "pass_at_1": 0.88,
    "mean_tokens": 93.0,
    "mean_reflections": 3.0,
    "language_consistency": 0.65,
}
ZERO = {"evals": {"reasoning": AFTER_RL}, "wall_s": 400.0}


def rollout(text: str, correct: bool | None) -> Json:
    reward = {"accuracy": float(bool(correct)), "format": 1.0}
    return {"text": text, "correct": correct, "reward": reward, "n_tokens": 9, "finish": "stop"}


def write_run(
    path: Path, text: str = "<think>try 4</think>x = 5", n_steps: int = 12, **settings: Any
) -> Path:
    data = settings | {
        "name": "tiny",
        "tasks": [{"name": "equation"}],
        "compute": {"n_processes": 2, "device": "cpu"},
        "cost": {"core_hour": 0.05},
    }
    with RunDir.create_or_resume(path, parse(data, "t.toml")) as run:
        for step in range(1, n_steps + 1):
            run.log("base", step, {"loss": 6 / step, "n_trained_tokens": 1000})
        for step in range(1, n_steps + 1):
            metrics = {
                "reward": 1.0,
                "rewards/accuracy/mean": step / n_steps,
                "rewards/format/mean": 1.0,
                "accuracy/equation": step / n_steps,
                "completions/mean_length": 30.0 + step,
                "completions/mean_reflections": 1.0,
                "language_consistency": 0.6,
                "entropy": 0.5,
                "n_completion_tokens": 500,
                "time/sample_s": 1.0,
                "time/learn_s": 2.0,
                "step_time": 4.0 if step > 1 else 40.0,
                "time/tokens_per_s": 2500.0,
                "time/mfu": 0.384,
                "time/wait_share": 0.1,
                "time/slowest_rank": float(step % 3 == 0),
            }
            run.log("zero", step, metrics | {"kl": float("nan")})
        problem = {"id": "e/1", "task": "equation", "question": f"x? {text}", "gold": "5"}
        group = {"kind": "group", "stage": "zero", "step": 5, "problem": problem}
        run.sample(group | {"rollouts": [rollout(text, True), rollout("<think>no end", None)]})
        for stage in ("base", "zero"):
            shown = {"kind": "showcase", "stage": stage, "question": f"Q {text}", "gold": text}
            run.sample(shown | rollout(text, stage == "zero"))
        run.write_results({"stages": {"base": BASE, "zero": ZERO}})
        run.mark_finished("zero", {"weights_from": "base", "data_from": "its own samples"})
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_run(tmp_path_factory.mktemp("run") / "run")
    report.show(path, Console(file=io.StringIO()))
    return path


def test_where_the_time_went(written: Path) -> None:
    [table] = [t for t in gather(read(written)).tables if t.title == "Where the time went"]
    assert table.head == ("of", "s/step", "trained", "MFU", "waiting", "slowest rank", "in steps")
    assert table.rows == [("zero", "4.00", "2.5k/s", "38.4 %", "10.0 %", "0", "66.7 %")]


def test_the_promise_is_computed() -> None:
    assert promise({"base": BASE, "zero": ZERO}) == (
        "pass@1 14 % → 88 %, completions 3.1x as long, 6.0x as many reflection words."
    )
    assert promise({"base": BASE}) == "Measured so far: base."
    silent = {"evals": {"reasoning": REASONING | {"mean_reflections": 0.0}}}
    assert (
        promise({"base": silent, "zero": ZERO}) == "pass@1 14 % → 88 %, completions 3.1x as long."
    )


def test_claims_are_told_with_their_numbers(written: Path) -> None:
    facts = gather(read(written))
    accuracy = facts.claims[0]
    assert (accuracy.mark, accuracy.ours) == ("✓", "6.3 ± 0.9 x")
    assert [line.mark for line in facts.claims] == ["✓", "✓", "?", "✗"]
    text = (written / "report.md").read_text()
    assert "| ✓ | Pure RL lifts accuracy several-fold | 6.3 ± 0.9 x |" in text


def test_what_is_no_trouble_is_said_once() -> None:
    fine = [
        Finding("fine", stage, "healthy", "Healthy", f"of {stage}", "", "")
        for stage in ("base", "zero")
    ]
    bad = [Finding("warning", stage, "late", "Late", "", "", "") for stage in ("base", "zero")]
    output = together([*bad, *fine])
    assert [(item.title, item.stage) for item in output] == [
        ("Late", "base"),
        ("Late", "zero"),
        ("Healthy", "base, zero"),
    ]


def test_cost_is_tokens_core_hours_and_money(written: Path) -> None:
    evidence = read(written)
    evidence.clock.clear()
    evidence.clock.update(base=1800.0, zero=1800.0)
    assert costs(evidence) == [
        ("tokens trained on", "12,000"),
        ("tokens sampled in RL", "6,000"),
        ("time of base", "30:00"),
        ("time of zero", "30:00"),
        ("wall clock", "1:00:00"),
        ("core-hours", "2.00 (2 cores)"),
        ("money", "0.1000 USD at 0.05 a core-hour"),
    ]


def test_the_terminal_shows_the_summary(written: Path) -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    report.show(written, console)
    text = console.export_text()
    for expected in (
        "pass@1 14 % → 88 %",
        "88.0 ± 2.0 %",
        "✓  Pure RL lifts",
        "6.3 ± 0.9 x",
        "Healthy",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 80


def test_in_forty_columns_no_number_is_cut_off(written: Path) -> None:
    console = Console(width=40, file=io.StringIO(), record=True)
    report.show(written, console)
    text = console.export_text()
    for table in gather(read(written)).tables:
        for row in table.rows:
            for cell in row:
                assert re.search(rf"(?<!\S){re.escape(cell)}\s", text), f"{cell} in {table.title}"


def test_markdown_has_everything(written: Path) -> None:
    text = (written / "report.md").read_text()
    for expected in (
        "**pass@1 14 % → 88 %",
        "| zero | 88.0 ± 2.0 % | 93 | 3.00 | 65 % |",
        "| ✓ | Completions grow longer during RL | 3.1 ± 0.1 x |",
        "![curves of the run](curves.png)",
        "## Diagnosis",
        "**zero** ✓ right, 9 tokens",
        "| zero | weights from base, data from its own samples |",
        "| tokens sampled in RL | 6,000 |",
        "## Make it again",
    ):
        assert expected in text
    assert (written / "curves.png").read_bytes().startswith(b"\x89PNG")


class Page(HTMLParser):
    """Counts what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_needs_no_network(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == len(plots.panels(read(written))) == 8
    assert page.tags.count("details") == 1
    for expected in (
        "pass@1 14\u00a0% → 88\u00a0%",
        "try 4",
        "(never stopped thinking)",
        "? undecided",
    ):
        assert expected in page.text
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    loaded = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert not [value for value in loaded if value]
    assert "default-src 'none'" in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", HOSTILE, n_steps=0)
    report.show(path, Console(file=io.StringIO()))
    page = Page((path / "report.html").read_text())
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 4
    markdown = (path / "report.md").read_text()
    outside = "".join(markdown.split("``````")[::2])
    assert "<script" not in outside.replace("\\<", "")
    assert "\n# not a heading" not in outside


def test_curves_follow_the_page_and_repeat_to_the_byte(written: Path) -> None:
    for panel, rows in plots.panels(read(written)):
        svg = plots.svg(panel, rows)
        assert svg == plots.svg(panel, rows)
        assert "currentColor" in svg
        assert plots.INK not in svg
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_smoothing_by_hand() -> None:
    assert plots.smooth([1.0, 2.0, 6.0, 3.0], 3) == [1.0, 3.0, 11 / 3, 3.0]
    assert plots.smooth([1.0, 2.0, 3.0, 4.0, 9.0, 2.0], 5) == [1.0, 2.0, 19 / 5, 4.0, 5.0, 2.0]
    assert plots.smooth([1.0, 2.0], 1) == [1.0, 2.0]
    assert plots.smooth([], 5) == []


@given(st.lists(st.floats(-10, 10), min_size=1), st.integers(1, 9))
def test_a_curve_begins_with_its_first_value_and_ends_with_its_last(
    values: list[float], window: int
) -> None:
    smoothed = plots.smooth(values, window)
    assert (smoothed[0], smoothed[-1]) == (values[0], values[-1])
    assert len(smoothed) == len(values)


def drawn_lines(draw: Callable[[Figure], None]) -> list[list[list[float]]]:
    """The y values of every line of every axes."""
    figure = Figure()
    draw(figure)
    return [
        [np.asarray(line.get_ydata(), float).tolist() for line in ax.lines] for ax in figure.axes
    ]


def test_the_course_of_several_seeds_begins_at_their_first_step(written: Path) -> None:
    item, two = read(written), read(written)
    two = replace(two, metrics=[row | {"rewards/accuracy/mean": 0.5} for row in two.metrics])
    picture = figures.curves([item, two], "zero")
    accuracy, *_ = drawn_lines(lambda figure: picture.paint(figure, "black"))
    [mean] = accuracy  # one line: the seeds are a band
    assert mean[0] == pytest.approx(100 * (1 / 12 + 0.5) / 2)
    assert mean[-1] == pytest.approx(75.0)


def test_parts_without_weight_are_not_among_the_rewards(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    evidence = read(path)
    rows = [
        row | {"rewards/language/mean": 0.3, "rewards/process/mean": 0.2}
        for row in evidence.metrics
    ]
    evidence = replace(evidence, metrics=rows)

    def parts() -> list[str]:
        [(panel, rows)] = [item for item in plots.panels(evidence) if item[0].key == "rewards"]
        figure = Figure()
        panel.draw(ax := figure.subplots(), rows)
        return ax.get_legend_handles_labels()[1]

    assert parts() == ["accuracy", "format"]
    evidence.recipe["zero"]["rewards"]["language"] = 1.0
    assert parts() == ["accuracy", "format", "language"]


def test_legends_stand_beside_the_lines(written: Path) -> None:
    for panel, rows in plots.panels(read(written)):
        figure = Figure()
        plots.paint_panel(figure, panel, rows, "black")
        FigureCanvasAgg(figure).draw()
        [ax] = figure.axes
        if (legend := ax.get_legend()) is not None:
            assert legend.get_window_extent().x0 >= ax.get_window_extent().x1 - 1
            assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_both_right_and_wrong_answers_of_a_group_are_shown(tmp_path: Path) -> None:
    wrong = [rollout(f"<think>bad {i}</think>0", False) for i in range(2)]
    right = [rollout(f"<think>good {i}</think>5", True) for i in range(14)]
    right[0]["reward"]["language"] = 0.42857142857142855
    problem = {"id": "e/2", "task": "equation", "question": "y?", "gold": "5"}
    recipe = parse({"name": "tiny", "tasks": [{"name": "equation"}]}, "t.toml")
    with RunDir.create_or_resume(tmp_path / "two", recipe) as run:
        run.sample({"kind": "group", "stage": "zero", "step": 5, "problem": problem,
                    "rollouts": [*right, *wrong]})  # fmt: skip
    report.show(tmp_path / "two", Console(file=io.StringIO()))
    page = Page((tmp_path / "two" / "report.html").read_text())
    assert "14 of 16 right" in page.text
    assert "8 of 16 completions" in " ".join(page.text.split())
    assert "bad 0" in page.text
    assert "bad 1" in page.text
    assert len(re.findall(r"good \d", page.text)) == 6
    assert "language 0.429" in page.text
    assert "0.42857" not in page.text


def test_every_picture_is_there_for_print_and_for_the_screen(written: Path) -> None:
    pngs = {path.stem for path in written.glob("*.png")}
    assert pngs
    assert pngs == {path.stem for path in written.glob("*.svg")}
    for path in written.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert "currentColor" not in path.read_text()  # it stands on white, whoever shows it


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    recipe = parse({"name": "새것", "tasks": [{"name": "내 과제"}]}, "t.toml")
    with RunDir.create_or_resume(tmp_path / "run", recipe) as run:
        report.show(run.path, Console(file=io.StringIO()))
        assert "Measured so far: nothing yet." in (run.path / "report.md").read_text()
        run.log("zero", 1, {"reward": 1.0, "rewards/accuracy/mean": 0.5, "accuracy/내 과제": 0.5})
        report.show(run.path, Console(file=io.StringIO()))
    assert "Accuracy (%)" in (run.path / "report.html").read_text()


def test_the_same_run_gives_the_same_facts(written: Path) -> None:
    assert gather(read(written)) == gather(read(written))


def test_reporting_loads_no_torch() -> None:
    code = "import sys, r1kit.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.text(alphabet="`a\n<"))
def test_no_text_ends_its_fence(text: str) -> None:
    first, *middle, last = fenced(text).split("\n")
    assert first == f"{last}text"
    assert not [line for line in middle if line.strip("`") == "" and len(line) >= len(last)]


@given(st.text())
def test_escaped_text_is_one_line_without_tags(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    assert "<" not in escaped.replace("\\\\", "").replace("\\<", "")
