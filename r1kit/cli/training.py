"""Commands that train a model and show the results."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from r1kit.cli import planning
from r1kit.cli.next_commands import RunCommand, own_command, print_next_commands
from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences
from r1kit.errors import ConfigError, require
from r1kit.processes import signals, torchrun

if TYPE_CHECKING:
    from r1kit.config import Recipe

RUN_EXAMPLES = """
Examples:

  r1 run tiny

  r1 run tiny --set seed=1 --out runs/tiny-seed1

  r1 run tiny --to zero

  r1 run tiny --from reasoning --set reasoning.n_steps=60

  r1 run tiny --set zero.n_steps=50 --set zero.loss_type=dapo --track tensorboard

  torchrun --nproc-per-node 2 -m r1kit run tiny

An existing run continues where it stopped: give the same command again.
"""
SHOW_EXAMPLES = """
Examples:

  r1 show runs/tiny

  r1 show runs/tiny runs/tiny-seed1 runs/tiny-seed2 --figures talk --language ko
"""
RECIPES_EXAMPLES = """
Examples:

  r1 recipes

  r1 recipes tiny > mine.toml
"""


class ReportLanguage(StrEnum):
    """Languages of `r1 show`."""

    en = "en"
    ko = "ko"
    zh = "zh"


@app.command(epilog=RUN_EXAMPLES)
def run(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe: a file, or a name that `r1 recipes` lists.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/<recipe name>.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run only this stage.")] = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Run this stage and all later ones again."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe."),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(help="Also send metrics to trackio, tensorboard or wandb."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the run in the browser while it trains.")
    ] = False,
) -> None:
    """Run a recipe, or resume its run; ends with a report."""
    from r1kit import config, report
    from r1kit.console.live_view import observer
    from r1kit.console.progress import Observer
    from r1kit.console.progress_file import ProgressFileObserver
    from r1kit.console.trackers import TrackingObserver, open_sink

    console = Console()
    with sentences(console):
        world = torchrun.world()
        if world is not None:
            torchrun.end_with_torchrun()
        if world is not None and not world.is_first:
            signals.keep_silent()
        loaded = config.load(recipe, set_)
        if world is not None and not world.is_first:
            _follow(loaded, world)
            return
        folder = out or Path("runs") / loaded.name
        sink = None if track is None else open_sink(track, folder, loaded.name)
        with sentences(console, folder), ExitStack() as stack:
            from r1kit.forecast.observer import ForecastObserver
            from r1kit.stages import pipeline
            from r1kit.stages.plan import StageSelection

            selection = StageSelection(only, to, from_)
            _say_where_to_watch(folder, watch, stack, console)
            planned = None
            if world is None:  # the other ranks would wait for the measurement
                planned = planning.before_run(loaded, folder, console, selection)
            view: Observer = stack.enter_context(observer(console, loaded.name))
            view = stack.enter_context(ProgressFileObserver(view, folder))
            if planned and planned[0]:
                view = ForecastObserver(view, folder, *planned)
            if sink is not None:
                view = stack.enter_context(TrackingObserver(view, folder, sink))
            pipeline.run(loaded, folder, view, selection)
        with sentences(console, folder):
            report.show(folder, console)
            print_next_commands(loaded, folder, RunCommand(recipe, out, set_ or [], track), console)


def _say_where_to_watch(folder: Path, is_open: bool, stack: ExitStack, console: Console) -> None:
    """Print the command that shows the run, or open its page in the browser."""
    if not is_open:
        r1 = shlex.join(own_command())
        console.print(f"Watch it: {r1} watch {shlex.quote(str(folder))}", markup=False,
                      highlight=False, soft_wrap=True)  # fmt: skip
        return
    require("starlette", "leave --watch out")
    from r1kit.watch.server import open_beside

    url = stack.enter_context(open_beside(folder))
    console.print(f"Watch it at {url}", markup=False, highlight=False)


def _follow(recipe: Recipe, world: torchrun.World) -> None:
    """Take part in a run as a rank that has no terminal and no run folder of its own."""
    from r1kit.stages import pipeline

    pipeline.follow(recipe, world)


@app.command(epilog=SHOW_EXAMPLES)
def show(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run; several seeds of it for --figures.")
    ],
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw figures for talks into this folder, PDF and SVG."),
    ] = None,
    language: Annotated[
        list[ReportLanguage] | None,
        typer.Option(
            help="Language of the report, by default the recipe's first; of figures, by default "
            "all of the recipe."
        ),
    ] = None,
) -> None:
    """Show the results of a run, and rewrite its report.md and report.html."""
    from r1kit import report

    console = Console()
    with sentences(console):
        spoken = [item.value for item in language or ()]
        if figures is not None:
            report.draw_talk(runs, figures, spoken, console)
            return
        if len(runs) > 1 or len(spoken) > 1:
            raise ConfigError(
                "A report is of one run, in one language; add --figures DIR to draw several seeds, "
                "or in several languages."
            )
        report.show(runs[0], console, spoken[0] if spoken else None)


@app.command(epilog=RECIPES_EXAMPLES)
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Print this recipe, to save and change it.")
    ] = None,
) -> None:
    """List the recipes that come with r1kit: what each makes, how long it takes, what it needs."""
    from r1kit import config

    console = Console()
    with sentences(console):
        if name is not None:
            print(config.find_recipe(Path(name)).read_text(encoding="utf-8"), end="")
            return
        for recipe in config.shipped_recipes():
            what, takes, needs = recipe.about()
            console.print(Text.assemble((recipe.name, "bold"), f"  {what}"), soft_wrap=True)
            details = f"  Takes: {takes}.\n  Needs: {needs}."
            console.print(Text(details, "dim"), soft_wrap=True)
        r1 = shlex.join(own_command())
        console.print(f"\nRun one: {r1} run tiny", markup=False, soft_wrap=True)
        console.print(f"Make it yours: {r1} recipes tiny > mine.toml", markup=False, soft_wrap=True)
