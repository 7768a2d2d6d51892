"""Commands before a run: what a recipe will need, and a recipe for one's own model and data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences

if TYPE_CHECKING:
    from r1kit.config import Recipe
    from r1kit.runs.schemas import ForecastStage
    from r1kit.stages.plan import StageSelection

PLAN_EXAMPLES = """
Examples:

  r1 plan tiny

  r1 plan mine.toml --set compute.micro_batch_tokens=1024

  r1 plan mine.toml --machine h100

  r1 plan mine.toml --machine 2x24GB --json
"""


@app.command(epilog=PLAN_EXAMPLES)
def plan(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe: a file, or a name that `r1 recipes` lists.")
    ],
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="GPU", help="GPUs to plan for: h100, 2x a100, 1x24GB; default: this machine."
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
        from r1kit.forecast.recipe_forecast import forecast

        folder = out or Path("runs") / loaded.name
        with measuring(console) as on_measured:
            made = forecast(
                loaded, machine, is_new=measure, length_share=length, on_measured=on_measured
            )
        if json_:
            print(json.dumps(show.as_json(made, folder), indent=2))
        else:
            console.print(show.picture(made, folder))


def before_run(
    recipe: Recipe, folder: Path, console: Console, selection: StageSelection
) -> Mapping[str, ForecastStage]:
    """Print the forecast of a long run that has not begun; return it, or the one it began with.

    It is about the selected stages alone.
    """
    from r1kit.forecast import show
    from r1kit.forecast.before_run import is_long
    from r1kit.forecast.observer import planned
    from r1kit.forecast.recipe_forecast import forecast
    from r1kit.runs.run_reader import read_forecast

    if (folder / "manifest.json").exists() and selection.again is None:
        return read_forecast(folder)
    if not is_long(recipe, selection):
        return {}
    with measuring(console) as on_measured:
        made = forecast(recipe, on_measured=on_measured).only(selection)
    console.print(show.picture(made, folder))
    return planned(made)


@contextmanager
def measuring(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how many models have been measured, while the block measures them."""
    with console.status("reading the recipe") as status:

        def show(n_done: int, n_models: int) -> None:
            left = f", model {n_done + 1} of {n_models}" if n_models > 1 else ""
            status.update(f"measuring seconds per step on this machine{left} (about 20 s)")

        yield show
