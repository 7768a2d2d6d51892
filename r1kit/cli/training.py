"""Make a model, and see what came of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1kit.cli.root import app
from r1kit.sentences import sentences

RUN_EXAMPLES = """
Examples:

  r1 run recipes/tiny.toml

  r1 run recipes/tiny.toml --set seed=1 --out runs/tiny-seed1

  r1 run recipes/tiny.toml --to zero

  r1 run recipes/tiny.toml --from reasoning --set reasoning.n_steps=60

  r1 run recipes/tiny.toml --set zero.n_steps=50 --set zero.loss=dapo --track tensorboard

An existing run goes on where it stopped: give the same command again.
"""
SHOW_EXAMPLES = "Example:\n\n  r1 show runs/tiny"


@app.command(epilog=RUN_EXAMPLES)
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe, for example recipes/tiny.toml.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/<recipe name>.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this stage and no other.")] = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Make this stage and all that follow again."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe."),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(help="Send the metrics to trackio, tensorboard or wandb as well."),
    ] = None,
) -> None:
    """Run a recipe, or resume its run; ends with a report."""
    from r1kit import config, report
    from r1kit.live import Observer, observer
    from r1kit.track import Tracked, open_sink

    console = Console()
    with sentences(console):
        loaded = config.load(recipe, set_)
        folder = out or Path("runs") / loaded.name
        sink = None if track is None else open_sink(track, folder, loaded.name)
        with sentences(console, folder), ExitStack() as stack:
            from r1kit.stages import pipeline
            from r1kit.stages.plan import Wanted

            view: Observer = stack.enter_context(observer(console, loaded.name))
            if sink is not None:
                view = stack.enter_context(Tracked(view, folder, sink))
            pipeline.run(loaded, folder, view, Wanted(only, to, from_))
        with sentences(console, folder):
            report.show(folder, console)


@app.command(epilog=SHOW_EXAMPLES)
def show(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Show what a run reached, and write its report.md and report.html again."""
    from r1kit import report

    console = Console()
    with sentences(console):
        report.show(run, console)
