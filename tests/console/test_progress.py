"""What a run tells while it runs, on a real console that records."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from r1kit.console.formatting import BLOCKS, duration, printable, sparkline, value_text
from r1kit.console.live_view import LiveView, observer
from r1kit.console.plain_lines import PlainLines
from r1kit.console.progress import Progress

ZERO = {
    "reward": 1.5,
    "loss": 0.0,
    "rewards/accuracy/mean": 0.523,
    "rewards/format/mean": 0.98,
    "completions/mean_length": 61.2,
    "completions/clipped_ratio": 0.01,
    "completions/mean_reflections": 2.1,
    "entropy": 0.41,
    "n_completion_tokens": 36_800.0,
    "step_time": 2.0,
    "time/mfu": 0.384,
    "time/sample_share": 0.71,
    "time/wait_share": 0.084,
    "time/slowest_rank": 3.0,
}
GROUP = {
    "kind": "group",
    "stage": "zero",
    "step": 40,
    "problem": {"id": "e", "task": "equation", "question": "7x + 3 = 38 일 때 x는?", "gold": "5"},
    "rollouts": [{"text": "<think>try 4 \x1b[31mwait</think>x = 5", "correct": True}],
}


class Clock:
    """Two seconds pass at every step."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fed_view(console: Console) -> LiveView:
    clock = Clock()
    view = LiveView(console, "tiny", clock)
    view.stage_started("base", 100, "pretraining")
    result = {"pass_at_1": 0.14, "stderr": 0.017}
    view.stage_finished("base", {"evals": {"reasoning": result}, "wall_s": 200.4})
    view.stage_started("zero", 100, "grpo: 32 problems x 16 completions a step")
    for step in range(1, 41):
        clock.now += 2.0
        view.step("zero", step, {**ZERO, "rewards/accuracy/mean": step / 80})
    view.note("base is finished.")
    view.sample(GROUP)
    return view


@pytest.mark.parametrize("width", [80, 120])
def test_the_picture_shows_stage_bar_numbers_curves_and_a_sample(width: int) -> None:
    console = Console(width=width, force_terminal=True, file=io.StringIO(), record=True)
    console.print(fed_view(console).picture())
    text = console.export_text()
    assert all(cell_len(line) <= width for line in text.splitlines())
    for expected in (
        "r1kit · tiny",
        "✓ base        pass@1 14.0 ± 1.7 % · 3:20",
        "step 40 of 100 · 2:00 left",
        "accuracy    50.0 % ▁",
        "length        61.2",
        "reflection    2.10",
        "entropy  0.41",
        "cut off 1.0 %",
        "18.4k/s",
        "MFU     38.4 %",
        "sampling 71.0 %",
        "waiting 8.4 %",
        "slowest  rank 3",
        "step 40  7x + 3 = 38 일 때 x는?",
        "try 4 �[31mwait",
        "x = 5  ✓ right",
    ):
        assert expected in text
    assert "loss" not in text


def test_in_forty_columns_every_number_can_be_read() -> None:
    console = Console(width=40, force_terminal=True, file=io.StringIO(), record=True)
    console.print(fed_view(console).picture())
    text = console.export_text()
    assert all(cell_len(line) <= 40 for line in text.splitlines())
    for expected in ("accuracy   50.0 %", "length     61.2", "cut off    1.0 %", "2:00 left"):
        assert expected in text


def test_a_wrong_or_unfinished_sample_says_so() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    view = LiveView(console, "tiny")
    endless = {"text": "<think>wait wait", "correct": False}
    view.sample({**GROUP, "rollouts": [endless]})
    console.print(view.picture())
    text = console.export_text()
    assert "(never stopped thinking)  ✗ wrong  (5 expected)" in text


def test_the_view_leaves_the_terminal_as_it_was() -> None:
    file = io.StringIO()
    console = Console(width=80, height=40, force_terminal=True, file=file)
    with observer(console, "tiny") as view:
        assert isinstance(view, LiveView)
        view.stage_started("zero", 3, "grpo")
        view.step("zero", 1, ZERO)
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1


def test_without_a_terminal_there_is_a_line_every_few_steps() -> None:
    file = io.StringIO()
    with observer(Console(file=file, width=40), "tiny") as lines:
        assert isinstance(lines, PlainLines)
        lines.stage_started("zero", 100, "grpo")
        for step in range(1, 101):
            lines.step("zero", step, ZERO)
        lines.sample(GROUP)
        result = {"pass_at_1": 0.88, "stderr": 0.016, "mean_tokens": 91.0}
        lines.stage_finished("zero", {"evals": {"reasoning": result}})
    output = file.getvalue().splitlines()
    assert output[0] == "zero: grpo"
    assert output[1].startswith("zero 1/100 · accuracy 52.3 % · length 61.2 · reflection 2.10")
    assert [line.split()[1] for line in output[1:-1]] == [
        "1/100",
        *(f"{s}/100" for s in range(5, 101, 5)),
    ]
    assert output[-1] == "zero finished: pass@1 88.0 ± 1.6 % · 91.0 tokens"
    assert "\x1b" not in file.getvalue()


def test_time_left_is_by_the_speed_of_this_session() -> None:
    progress = Progress("zero", 100, "")
    assert progress.seconds_left(1001.0) is None
    progress.add(51, {}, 1010.0)
    assert progress.seconds_left(1010.0) is None
    progress.add(52, {}, 1020.0)
    assert progress.seconds_left(1020.0) == 48 * 10.0
    assert progress.seconds_left(1030.0) == 48 * 10.0 - 10.0


def test_time_left_is_not_taken_in_by_a_slow_beginning_or_by_counts_that_jump() -> None:
    progress = Progress("bench", 400, "")
    progress.add(16, {}, 30.0)  # half a minute of loading, then 16 problems a tenth of a second
    assert progress.seconds_left(30.0) is None
    progress.add(32, {}, 30.1)
    assert progress.seconds_left(30.1) == pytest.approx(2.3)
    for n_done in range(48, 401, 16):  # and all of a sudden ten times slower
        progress.add(n_done, {}, 30.1 + (n_done - 32) / 16)
    progress.n_steps = 416
    assert progress.seconds_left(progress.ticks[-1][1]) == pytest.approx(1.0)


def test_numbers_as_people_read_them() -> None:
    assert duration(247.4) == "4:07"
    assert duration(3723) == "1:02:03"
    assert value_text(0.5234, "percent") == "52.3 %"
    assert value_text(18_400, "rate") == "18.4k/s"
    assert value_text(float("nan"), "number") == value_text(None, "number") == "–"


def test_sparklines_go_from_smallest_to_largest() -> None:
    assert sparkline([1.0, 2.0, 3.0], 20) == "▁▅█"
    assert sparkline([5.0, 5.0], 20) == "▁▁"
    assert sparkline([float("nan")], 20) == ""
    assert sparkline([float(i) for i in range(100)], 8) == BLOCKS


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 40))
def test_a_sparkline_fits(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(width, len(values))


@given(st.text())
def test_printable_text_cannot_steer_a_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not set(shown) & set("\x1b\r\b\x07\x9b\u202e\u2066")


def test_what_is_only_counted_is_a_line_every_ten_seconds() -> None:
    file, clock = io.StringIO(), Clock()
    lines = PlainLines(Console(file=file, width=80), clock)
    lines.stage_started("bench", 40, "300 held-out problems")
    for step in range(1, 41):
        clock.now += 1.0
        lines.step("bench", step, {})
    output = file.getvalue().splitlines()
    assert [line.split()[1] for line in output[1:]] == ["11/40", "22/40", "33/40"]
    assert output[1] == "bench 11/40 · 0:29 left"


def test_many_finished_stages_do_not_fill_the_terminal() -> None:
    console = Console(width=80, force_terminal=True, file=io.StringIO(), record=True)
    view = LiveView(console, "tiny")
    for index in range(20):
        view.stage_finished(f"stage{index}", {"accuracy": 0.9, "stderr": 0.02, "wall_s": 3.0})
    console.print(view.picture())
    text = console.export_text()
    assert "12 stages before" in text
    assert "stage11" not in text
    assert "✓ stage12     held-out accuracy 90.0 ± 2.0 % · 0:03" in text
