"""Commands before a run: what a recipe will need, and a recipe for one's own model and data."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from r1kit.cli.data_options import ColumnRoles, HeldOut, VerifierName
from r1kit.cli.next_commands import own_command
from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences
from r1kit.console.formatting import duration, printable
from r1kit.errors import ComputeError, ConfigError

if TYPE_CHECKING:
    from r1kit.config import Recipe
    from r1kit.forecast.base_sample import BaseSample
    from r1kit.forecast.recipe_forecast import Forecast
    from r1kit.new_recipe import InitWatch, NewRecipe
    from r1kit.runs.schemas import ForecastStage
    from r1kit.stages.plan import StageSelection

PLAN_EXAMPLES = """
Examples:

  r1 plan tiny

  r1 plan mine.toml --set compute.micro_batch_tokens=1024

  r1 plan mine.toml --gpus h100

  r1 plan mine.toml --gpus 8xH100

  r1 plan mine.toml --gpus 2x24GB --json
"""


INIT_EXAMPLES = """
Examples:

  r1 init

  r1 init --model Qwen/Qwen2.5-0.5B --data questions.jsonl --out mine.toml

  r1 init --model ./my-model --data gsm8k --hours 8 --max-tokens 512

  r1 init --model ./my-model --data fragen.csv --column problem=frage --column answer=loesung

A row of questions.jsonl: {"problem": "7x + 3 = 38, x = ?", "answer": "5"}
"""


@app.command(epilog=PLAN_EXAMPLES)
def plan(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe: a file, or a name that `r1 recipes` lists.")
    ],
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            "--machine",
            metavar="GPUS",
            help="GPUs to plan for: h100, 8xH100, 1x24GB; default: this machine.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe."),
    ] = None,
    length: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Length of completions, as a share of max_tokens."),
    ] = 1.0,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure again, whatever was measured before.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run, whose disk is looked at.")
    ] = None,
) -> None:
    """Show what a recipe needs: memory, disk, time and price, and what would make it fit."""
    from r1kit import config

    console = Console(stderr=json_)
    with sentences(console):
        loaded = config.load(recipe, set_)
        from r1kit.forecast import show
        from r1kit.forecast.base_completions import known_completions
        from r1kit.forecast.recipe_forecast import forecast

        folder = out or Path("runs") / loaded.name
        with measuring(console) as on_measured:
            made = forecast(
                loaded,
                gpus,
                is_new=measure,
                length_share=length,
                completions=known_completions(loaded, folder),
                on_measured=on_measured,
            )
        if json_:
            print(json.dumps(show.as_json(made, folder), indent=2))
        else:
            console.print(show.picture(made, folder))


@app.command(epilog=INIT_EXAMPLES)
def init(
    model: Annotated[
        str | None, typer.Option(help="Model to train: a folder, or a hub id (org/name).")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Questions with answers: a file (.jsonl, .json, .csv, .parquet), "
            "repository:configuration:split of the hub, or gsm8k, math, countdown-tasks."
        ),
    ] = None,
    column: ColumnRoles = None,
    verifier: VerifierName = None,
    held_out: HeldOut = None,
    out: Annotated[Path | None, typer.Option(help="File for the recipe (.toml).")] = None,
    hours: Annotated[float, typer.Option(min=0.05, help="Hours that the run may take.")] = 1.0,
    max_tokens: Annotated[
        int | None, typer.Option(min=8, help="Maximum tokens per completion.")
    ] = None,
    sample: Annotated[
        bool | None,
        typer.Option(
            "--sample/--no-sample",
            help="Sample the model on 8 questions, to see how hard they are for it and how long "
            "its completions are; by default if its weights are on this machine.",
        ),
    ] = None,
) -> None:
    """Write a recipe for your own model and questions that fits this machine."""
    console = Console()
    with sentences(console):
        from r1kit import new_recipe
        from r1kit.forecast.show import assumptions, totals
        from r1kit.tasks.options import task_config

        model = model or _ask("model", "Model to train, a folder or a hub id")
        data = data or _ask("data", "Questions with answers, a file or gsm8k, math")
        name = new_recipe.name_of(model)
        file = out or Path(f"{name}.toml")
        if file.exists():
            raise ConfigError(f"{file} exists; name another file with --out.")
        task = task_config(data, column or [], verifier, held_out)
        with _watching(console) as watch:
            made = new_recipe.new_recipe(model, task, name, hours, max_tokens, sample, watch)
        try:
            file.write_text(made.text, encoding="utf-8")
        except OSError as error:
            problem = f"{file} cannot be written ({error.strerror}); name another file with --out."
            raise ConfigError(problem) from None
        _introduce(made, file, console)
        console.print(totals(made.forecast, Path("runs") / name))
        console.print(Text(f"\n{' '.join(assumptions(made.forecast))}", "dim"))
        r1 = shlex.join(own_command())
        lines = [f"    {r1} {command} {shlex.quote(str(file))}" for command in ("plan", "run")]
        sentence = "\nNext: change it, see the whole plan, and run it:"
        console.print(Text.assemble((sentence, "dim"), "\n", "\n".join(lines)), soft_wrap=True)


def _ask(option: str, question: str) -> str:
    """Ask for a value on a terminal. Raises ConfigError elsewhere."""
    if not sys.stdin.isatty():
        raise ConfigError(f"r1 init needs --{option} where it cannot ask.")
    answer: str = typer.prompt(question).strip()
    return answer


def _introduce(made: NewRecipe, file: Path, console: Console) -> None:
    """Show what was read of the data: how many questions, and the first one."""
    problem = made.train.problem(0)
    question = " ".join(printable(problem.messages[-1].content).split())
    lines = [
        f"{made.n_train:,} questions to train on, {made.n_held_out:,} held out. One of them:",
        f"    {textwrap.shorten(question, 200, placeholder=' ...')}",
        f"    answer: {textwrap.shorten(printable(problem.answer), 80, placeholder=' ...')}",
        *([] if made.sample is None else _described(made.sample)),
        f"{file} is written.\n",
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _described(sample: BaseSample) -> list[str]:
    lines = [f"The base before training: {sample.numbers()}.", sample.meaning()]
    return [*lines, ""]


def before_run(
    recipe: Recipe, folder: Path, console: Console, selection: StageSelection
) -> tuple[Mapping[str, ForecastStage], Forecast | None]:
    """Print the forecast of a long run that has not begun; return its numbers and itself.

    Of a run that has begun only the numbers are returned. The forecast is about the selected stages
    alone. A machine on which it cannot be measured starts the run without it.
    """
    from r1kit.forecast import show
    from r1kit.forecast.base_completions import known_completions
    from r1kit.forecast.before_run import is_long
    from r1kit.forecast.observer import planned
    from r1kit.forecast.recipe_forecast import forecast
    from r1kit.runs.run_reader import read_forecast

    if _has_begun(folder) and selection.again is None:
        return read_forecast(folder), None
    if not is_long(recipe, selection):
        return {}, None
    try:
        with measuring(console) as on_measured:
            known = known_completions(recipe, folder)
            made = forecast(recipe, completions=known, on_measured=on_measured).only(selection)
    except ComputeError as error:
        console.print(Text(f"The run starts without a plan. {error}", "dim"), soft_wrap=True)
        return {}, None
    console.print(show.picture(made, folder))
    return planned(made), made


def _has_begun(folder: Path) -> bool:
    try:
        return (folder / "manifest.json").exists()
    except OSError:  # an impossible path, which the run refuses with its sentence
        return False


@contextmanager
def _watching(console: Console) -> Iterator[InitWatch]:
    """Show the progress of `r1 init`: sampled questions with rate and time left, measurements."""
    from r1kit.new_recipe import InitWatch

    with console.status("reading model and questions") as status:
        started = time.monotonic()

        def sampled(n_done: int, n: int) -> None:
            nonlocal started
            if not n_done:
                started = time.monotonic()
                status.update("trying the model on a few questions (--no-sample skips this)")
                return
            per_question = (time.monotonic() - started) / n_done
            left = duration(per_question * (n - n_done))
            status.update(
                f"trying the model: {n_done} of {n} questions, {60 / per_question:.1f} per minute, "
                f"{left} left (--no-sample skips this)"
            )

        def measured(n_done: int, n_models: int) -> None:
            status.update("measuring seconds per step on this machine (about 20 s)")

        def note(text: str) -> None:
            console.print(Text(text, "dim"), soft_wrap=True)

        yield InitWatch(sampled, measured, note)


@contextmanager
def measuring(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how many models have been measured, while the block measures them."""
    with console.status("reading the recipe") as status:

        def show(n_done: int, n_models: int) -> None:
            left = f", model {n_done + 1} of {n_models}" if n_models > 1 else ""
            status.update(f"measuring seconds per step on this machine{left} (about 20 s)")

        yield show
