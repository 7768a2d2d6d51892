"""What goes wrong in a command, in one sentence: never a traceback on the user's terminal."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from r1kit.durable import file_trouble
from r1kit.errors import R1Error

INTERRUPTED = 130
UNEXPECTED = 70
"""exit codes, as shells and sysexits.h have them"""


@contextmanager
def sentences(
    console: Console, folder: Path | None = None, kept: str | None = None
) -> Iterator[None]:
    """What goes wrong below becomes one sentence on stderr and an exit code, never a traceback.

    `kept` says what the user still has then, where that is no run folder.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except R1Error as error:
        _say(errors, str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        errors.print(Text(f"Stopped. {kept or _kept(folder)}"))
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        raise typer.Exit(1) from None
    except Exception as error:
        if trouble := file_trouble(error):
            _say(errors, str(trouble))
            raise typer.Exit(trouble.exit_code) from None
        said = str(error).strip().splitlines()
        told = f"{type(error).__name__}{': ' + said[0] if said else ''}"
        where = _write_traceback(folder)
        _say(errors, f"something unexpected happened ({told}).", f"{where} {kept or _kept(folder)}")
        raise typer.Exit(UNEXPECTED) from None


def _say(errors: Console, told: str, more: str = "") -> None:
    errors.print(Text.assemble(("error: ", "bold red"), (told, "red"), f" {more}" if more else ""))


def _kept(folder: Path | None) -> str:
    """What the user still has, and how to go on."""
    from r1kit.evidence import newest_checkpoint, stage_and_step

    newest = newest_checkpoint(folder) if folder is not None else None
    if newest is None:
        return "The same command starts it again."
    stage, step = stage_and_step(newest)
    return f"Everything up to step {step} of {stage} is kept; the same command resumes it."


def _write_traceback(folder: Path | None) -> str:
    """Into the run folder if there is one, else into a temporary file; says where."""
    text, told = traceback.format_exc(), "The details are in {}; please report them."
    if folder is not None and (folder / "manifest.json").exists():
        with contextlib.suppress(OSError):
            (folder / "crash.txt").write_text(text, encoding="utf-8")
            return told.format(folder / "crash.txt")
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", prefix="r1-crash-", suffix=".txt", delete=False, encoding="utf-8"
        ) as temporary,
    ):
        temporary.write(text)
        return told.format(temporary.name)
    print(text, file=sys.stderr)
    return "The details are above, for no file could be written; please report them."
