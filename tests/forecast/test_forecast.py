"""Whole forecasts: by hand, for stated hardware, measured, and beside a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from r1kit import cli
from r1kit.config import load, parse
from r1kit.errors import ConfigError
from r1kit.forecast import machine, measured, show
from r1kit.forecast.base_completions import BaseCompletions, known_completions, remember
from r1kit.forecast.before_run import is_long
from r1kit.forecast.model_shape import approximate_parameters
from r1kit.forecast.observer import ForecastObserver, planned
from r1kit.runs.run_reader import read_forecast
from r1kit.stages.plan import StageSelection, plan
from tests.forecast.conftest import ROUND, SHAPE, made
from tests.recipes import LITTLE


def test_a_round_recipe_by_hand() -> None:
    forecast = made({}, memory=1e9)
    base, zero = forecast.stages
    assert [stage.name for stage in forecast.stages] == [
        stage.name for stage in plan(forecast.recipe)
    ]
    assert (base.n_steps, zero.n_steps) == (0, 10)
    # 32 completions in 32 rows for 20 steps: 40 prompt tokens, 20 (0.1 + 32 (0.01 + 0.0001 x 20)).
    assert zero.sample_s == pytest.approx(0.04 + 20 * (0.1 + 32 * 0.012))
    sampled = 10 * 32 * 20 + 10 * 20  # ten steps, and ten held-out problems
    assert zero.sampled_tokens == sampled
    assert zero.trained_tokens == 10 * 32 * 30
    # One checkpoint, after ten steps, with its resume state until the end.
    assert (zero.disk, zero.resume_disk) == (4000, 8000)
    assert forecast.disk == 4000 + 4000 + 8000
    assert zero.phases["sample"]["KV cache"] == 32 * (12 + 20) * 16 * 4
    assert zero.phases["learn"]["logits"] == (3 * (100 / 30 * 20) + 8) * 50 * 4
    assert zero.seconds == pytest.approx(10 * zero.step_s + zero.evaluate_s + zero.save_s)
    assert forecast.price == pytest.approx(forecast.seconds / 3600 * 3.6)


def test_shorter_completions_take_less_time_and_no_more_memory() -> None:
    forecast = made({}, memory=1e9)
    half = forecast.with_recipe(forecast.recipe, 0.5)
    assert half.seconds < forecast.seconds
    assert half.largest.peak <= forecast.largest.peak


def test_every_round_of_dynamic_sampling_counts_and_learning_does_not_grow() -> None:
    once = made({}, 1e9).stages[1]
    dynamic = made({"zero": {"dynamic_sampling": True, "dynamic_rounds": 3}}, 1e9).stages[1]
    assert dynamic.sample_s == pytest.approx(3 * once.sample_s)
    assert dynamic.learn_s == once.learn_s
    assert dynamic.trained_tokens == once.trained_tokens
    # Ten held-out problems are sampled once, ten steps of 32 completions three times.
    assert dynamic.sampled_tokens == 3 * 10 * 32 * 20 + 10 * 20


def test_traces_are_learned_from_and_not_sampled(tmp_path: Path) -> None:
    traces, others = tmp_path / "traces.jsonl", tmp_path / "others.jsonl"
    traces.write_text("{}\n" * 50)
    others.write_text("{}\n" * 7)
    tuned = {"n_traces": 20, "sft": {"epochs": 2, "batch": 9, "max_length": 30}}
    files = {"traces": str(traces), "conversations": str(others)}
    recipe = parse({**ROUND, "cold_start": tuned | files}, "round")
    stage = made({}, 1e9).with_recipe(recipe).stages[2]
    assert (stage.name, stage.data_s, stage.n_steps) == ("cold_start", 0, 2 * 3)
    assert stage.trained_tokens == 27 * 30 * 2
    assert "sample" not in stage.phases
    hub = {"traces": "org/traces", "sft": {"batch": 100, "epochs": 1}}
    recipe = parse({**ROUND, "cold_start": hub}, "round")
    stage = made({}, 1e9).with_recipe(recipe).stages[2]
    assert (stage.n_steps, stage.trained_tokens) == (100, 10_000 * 512)


def test_traces_of_a_file_are_as_long_as_its_first_rows(tmp_path: Path) -> None:
    row = {"question": "q" * 900, "answer": "2 + 3 = 5, so it is 5\n#### 5"}
    (traces := tmp_path / "gsm8k.jsonl").write_text((json.dumps(row) + "\n") * 10)
    config = {"traces": str(traces), "sft": {"batch": 5, "epochs": 1}}
    stage = made({}, 1e9).with_recipe(parse({**ROUND, "cold_start": config}, "round")).stages[2]
    trace = len("2 + 3 = 5, so it is 5" + r"\boxed{5}") / 2.5
    assert stage.trained_tokens == pytest.approx(10 * (10 + trace))


def test_eight_bit_adam_has_a_byte_per_moment() -> None:
    eight = made({"zero": {"optim": {"optimizer": "adamw8bit"}}}, 1e9).stages[1]
    assert eight.phases["learn"]["optimizer"] == 2 * 1000
    assert eight.phases["save"]["copies"] == 2 * 1000
    assert eight.resume_disk == 2 * 1000


def test_public_benchmarks_take_time_and_the_longest_takes_most_memory() -> None:
    without = made({}, 1e9).stages[1]
    forecast = made({}, 1e9)
    public = {"name": "gsm8k", "limit": 5, "samples": 2, "max_tokens": 40}
    recipe = parse({**ROUND, "evals": [public]}, "round")
    zero = forecast.with_recipe(recipe).stages[1]
    # 10 completions of 40 tokens: 5 prompts of 10 tokens, 40 steps 0.1 + 10 (0.01 + 0.0001 x 30).
    seconds = 5 * 10 * 0.001 + 40 * (0.1 + 10 * 0.013)
    assert zero.evaluate_s == pytest.approx(without.evaluate_s + seconds)
    assert zero.sampled_tokens == without.sampled_tokens + 10 * 40
    assert zero.phases["evaluate"]["KV cache"] == 10 * (12 + 40) * 16 * 4
    whole = parse({**ROUND, "evals": [{"name": "gsm8k"}]}, "round")
    tokens = forecast.with_recipe(whole).stages[1].sampled_tokens
    assert tokens == without.sampled_tokens + 1319 * 20
    with pytest.raises(ConfigError, match="no benchmark"):
        forecast.with_recipe(parse({**ROUND, "evals": [{"name": "nonsense"}]}, "round"))


def test_evaluations_during_rl_take_time_and_leave_checkpoints() -> None:
    without = made({}, 1e9).stages[1]
    often = made({"zero": {"eval_steps": 4}}, 1e9).stages[1]
    n = 3  # after steps 4, 8 and 10
    assert often.evaluate_s == pytest.approx((n + 1) * without.evaluate_s)
    assert often.sampled_tokens == without.sampled_tokens + n * 10 * 20
    assert often.save_s == pytest.approx(n * without.save_s)
    public = {"name": "gsm8k", "limit": 5, "samples": 2, "max_tokens": 40}
    recipes = [
        parse({**ROUND, "evals": [public], "zero": {**ROUND["zero"], "eval_steps": n}}, "round")
        for n in (0, 5)
    ]
    once, thrice = (made({}, 1e9).with_recipe(changed).stages[1] for changed in recipes)
    assert thrice.sampled_tokens == once.sampled_tokens + 2 * 10 * 40


def test_completions_of_the_base_give_an_expected_time_below_the_bound() -> None:
    forecast = replace(made({}, 1e9), completions=BaseCompletions(5.0, (0.25,)))
    expected = forecast.expected
    assert expected is not None
    zero = expected.stages[1]
    # 32 completions of 5 tokens; the longest is expected to have 5 (ln 32 + 0.577) = 20.2, so 20.
    assert zero.sample_s == pytest.approx(0.04 + 20 * 0.1 + 32 * 5 * (0.01 + 0.0001 * 12.5))
    assert expected.seconds < forecast.seconds
    assert expected.stages[1].sampled_tokens == 10 * 32 * 5 + 10 * 5
    assert forecast.stages == made({}, 1e9).stages  # the bound stays
    assert made({}, 1e9).expected is None
    long = replace(forecast, completions=BaseCompletions(1000.0, (0.25,))).expected
    assert long is not None
    assert long.seconds == pytest.approx(forecast.seconds)


def test_rounds_follow_from_the_share_of_mixed_groups() -> None:
    # A group of two with a pass rate of a half is mixed in half of all cases; others never are.
    assert BaseCompletions(5.0, (0.5,)).mixed(2) == 0.5
    assert BaseCompletions(5.0, (0.5, 0.0)).mixed(2) == 0.25
    dynamic = made({"zero": {"dynamic_sampling": True, "dynamic_rounds": 3}}, 1e9)
    for rates, n_rounds in (((0.5,), 2), ((0.5, 0.0), 3), ((0.0, 1.0), 3)):
        setting = replace(dynamic.setting, completions=BaseCompletions(5.0, rates))
        two = dynamic.recipe.zero.model_copy(update={"n_completions": 2})
        assert setting.n_rounds(two) == n_rounds


def test_the_base_of_a_run_counts_more_than_that_of_init(tmp_path: Path) -> None:
    recipe = made({}, 1e9).recipe
    assert known_completions(recipe, tmp_path) is None
    remember(recipe, BaseCompletions(41.5, (0.0, 0.25)))
    assert known_completions(recipe, tmp_path) == BaseCompletions(41.5, (0.0, 0.25))
    other = recipe.model_copy(
        update={"tasks": parse({**ROUND, "tasks": [{"name": "series"}]}, "t").tasks}
    )
    assert known_completions(other, tmp_path) is None
    results = {
        "stages": {
            "base": {"evals": {"reasoning": {"mean_tokens": 30.0, "pass_at_1": 0.5, "stderr": 0.1}}}
        }
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert known_completions(recipe, tmp_path) == BaseCompletions(30.0, (0.5,))
    (tmp_path / "results.json").write_text("{")
    assert known_completions(recipe, tmp_path) == BaseCompletions(41.5, (0.0, 0.25))


def test_a_kl_term_holds_a_reference() -> None:
    with_kl = made({"zero": {"beta": 0.1}}, 1e9).stages[1]
    without = made({}, 1e9).stages[1]
    assert with_kl.phases["learn"]["reference"] == 4000
    assert with_kl.learn_s > without.learn_s
    assert with_kl.resume_disk == without.resume_disk + 4000


def test_the_picture_fits_80_columns_and_names_its_assumptions(tmp_path: Path) -> None:
    console = Console(width=80)
    large = replace(SHAPE, n_parameters=10**9, vocab_size=10**6, kv_floats=10**4)
    with console.capture() as captured:
        console.print(show.picture(made({}, memory=80e9, shape=large), tmp_path))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("fits: ", "at most", "optimizer", "KV cache", "zero", "Upper bounds", "estimated"):
        assert word in text
    assert "expected" not in text
    known = replace(made({}, memory=80e9), completions=BaseCompletions(5.0, (0.25,)))
    with console.capture() as captured:
        console.print(show.picture(known, tmp_path))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("expected, with 5 tokens per completion", "Expected seconds per step", "s/step"):
        assert word in text


def test_a_run_of_minutes_is_long_and_a_trial_is_not() -> None:
    every = StageSelection()
    assert is_long(load(Path("tiny")), every)
    assert not is_long(load(Path("smoke")), every)
    assert is_long(load(Path("smoke"), ['model.path="some/model"']), every)
    assert not is_long(load(Path("tiny")), StageSelection(only="preference"))


def test_a_llama_is_guessed_well() -> None:
    assert approximate_parameters(512, 128, 384, 4, 1.0) == pytest.approx(918_656, rel=0.01)


def test_the_command_forecasts_for_stated_hardware(tmp_path: Path) -> None:
    recipe = tmp_path / "little.toml"
    recipe.write_text(LITTLE)
    answer = CliRunner().invoke(cli.app, ["plan", str(recipe), "--machine", "2x24GB", "--json"])
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert facts["fits"] is True
    assert facts["machine"]["name"].startswith("2x 24 GB")
    assert set(facts["stages"]) == {"base", "zero"}
    assert facts["memory"] == facts["memory_per_process"] > 0


def test_this_machine_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "little.toml"
    recipe.write_text(LITTLE)
    first = CliRunner().invoke(cli.app, ["plan", str(recipe), "--json"])
    assert first.exit_code == 0, first.output

    def refuse(module: str) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(measured, "Child", refuse)
    second = CliRunner().invoke(cli.app, ["plan", str(recipe), "--json"])
    facts, again = json.loads(first.stdout), json.loads(second.stdout)
    assert facts["stages"] == again["stages"]
    zero = facts["stages"]["zero"]
    assert zero["sample_s"] > 0
    assert zero["learn_s"] > 0


def test_a_missing_model_and_odd_hardware_are_one_sentence(tmp_path: Path) -> None:
    recipe = tmp_path / "little.toml"
    recipe.write_text(LITTLE)
    nowhere = ["--set", f'model={{path="{tmp_path}/nowhere"}}']
    for options in (["--machine", "abacus"], nowhere):
        answer = CliRunner().invoke(cli.app, ["plan", str(recipe), *options])
        assert answer.exit_code in (2, 3)
        assert answer.stderr.startswith("error: ")


class Notes:
    """An observer that only collects notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage_started(self, stage: str, n_steps: int, what: str) -> None: ...

    def step(self, stage: str, step: int, metrics: object) -> None: ...

    def sample(self, record: object) -> None: ...

    def stage_finished(self, stage: str, summary: object) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_first_step_is_noted_beside_the_forecast(tmp_path: Path) -> None:
    notes = Notes()
    stages = {"zero": {"step_s": 3.8, "wall_s": 40.0, "peak_mb": 2300.0}}
    observer = ForecastObserver(notes, tmp_path, stages)  # type: ignore[arg-type]
    observer.stage_started("zero", 10, "dapo")
    for step in (1, 2):
        observer.step("zero", step, {"step_time": 4.1, "memory/peak_mb": 2100.0})
    observer.step("other", 1, {"step_time": 4.1})
    assert notes.notes == [
        "zero, step 1: 4.1 s (planned: at most 3.8), 2.1 GB in a process (planned: 2.3). At this "
        "rate the 9 steps left take 0:37."
    ]
    assert read_forecast(tmp_path) == stages


def test_the_evaluation_of_the_base_gives_the_run_its_expected_time(tmp_path: Path) -> None:
    notes, forecast = Notes(), made({}, 1e9)
    observer = ForecastObserver(notes, tmp_path, planned(forecast), forecast)
    observer.stage_started("base", 0, "")
    assert "expected_step_s" not in read_forecast(tmp_path)["zero"]
    reasoning = {"mean_tokens": 5.0, "pass_at_1": 0.25, "stderr": 0.1}
    observer.stage_finished("base", {"evals": {"reasoning": reasoning}})
    zero = read_forecast(tmp_path)["zero"]
    assert zero["expected_step_s"] < zero["step_s"]
    observer.stage_started("zero", 10, "dapo")
    observer.step("zero", 10, {"step_time": 4.1})
    base, step = notes.notes
    assert base.startswith("The base writes 5 tokens per completion: the plan expects ")
    assert step == (
        f"zero, step 10: 4.1 s (planned: {zero['expected_step_s']:.1f}, "
        f"at most {zero['step_s']:.1f})"
    )


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")
    monkeypatch.setattr(machine, "_LIMITS", (str(limit),))
    assert machine.free_memory() == 1_000_000
    limit.write_text("max\n")
    assert machine.free_memory() > 1_000_000
