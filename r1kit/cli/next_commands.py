"""Next steps after a run: commands that can be pasted into a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from r1kit.config import Recipe
from r1kit.files.atomic import MARKER
from r1kit.runs.run_reader import newest_checkpoint, read_manifest
from r1kit.stages.plan import plan


@dataclass(frozen=True)
class RunCommand:
    """The arguments of `r1 run` that determine which run it is."""

    recipe: Path
    out: Path | None
    changes: Sequence[str]
    """overrides given with --set"""
    track: str | None

    def words(self) -> list[str]:
        """Return the command that runs the recipe to its end."""
        out = [] if self.out is None else ["--out", str(self.out)]
        track = [] if self.track is None else ["--track", self.track]
        changes = [word for change in self.changes for word in ("--set", change)]
        return ["run", str(self.recipe), *out, *track, *changes]


def print_next_commands(recipe: Recipe, folder: Path, call: RunCommand, console: Console) -> None:
    """Print what can be done with the run in `folder`; nothing if it has no model yet."""
    model = folder if newest_checkpoint(folder) else _newest_student(folder)
    if model is None:
        return
    finished = read_manifest(folder)["finished"]
    is_done = all(stage.name in finished for stage in plan(recipe))
    last = "run it with another seed" if is_done else "go on with the recipe"
    again = _with_next_seed(recipe, folder, call) if is_done else call
    commands = [["chat", str(model)], ["serve", str(model)], again.words()]
    lines = [f"    {shlex.join([*own_command(), *command])}" for command in commands]
    sentence = f"  Next: talk to it, open it in a browser, or {last}:"
    console.print(Text.assemble((sentence, "dim"), "\n", "\n".join(lines), "\n"), soft_wrap=True)


def _with_next_seed(recipe: Recipe, folder: Path, call: RunCommand) -> RunCommand:
    seed = recipe.seed + 1
    others = [change for change in call.changes if change.partition("=")[0].strip() != "seed"]
    name = folder.name.removesuffix(f"-seed{recipe.seed}")
    return replace(
        call, out=folder.with_name(f"{name}-seed{seed}"), changes=[*others, f"seed={seed}"]
    )


def _newest_student(folder: Path) -> Path | None:
    """Return the last student's checkpoint of a run that makes only students."""
    checkpoints = sorted(file.parent for file in folder.glob(f"checkpoints/distill.*/{MARKER}"))
    return checkpoints[-1] if checkpoints else None


def own_command() -> list[str]:
    """Return how a shell here calls this program: `r1`, its path, or Python and the module."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return [sys.executable, "-m", "r1kit"]
    if program.name != "r1" or not program.exists():
        return ["r1"]
    program_on_path = shutil.which("r1")
    if program_on_path is not None and Path(program_on_path).samefile(program):
        return ["r1"]
    relative_path = os.path.relpath(program)
    return [str(program) if relative_path.startswith("..") else relative_path]
