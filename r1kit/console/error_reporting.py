"""Errors of a command as one sentence: the user never sees a traceback in the terminal."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from r1kit.errors import R1Error, failed_import
from r1kit.files.atomic import file_error
from r1kit.processes import signals

UNEXPECTED = 70
"""exit code of unexpected errors, EX_SOFTWARE of sysexits.h"""


@contextmanager
def sentences(
    console: Console, folder: Path | None = None, advice: str | None = None
) -> Iterator[None]:
    """Turn exceptions in the block into one sentence on stderr and an exit code, never a traceback.

    `kept` states what the user still has after an error if there is no run folder.
    """
    _forgive_odd_characters()

    def stopped() -> str:
        return f"Stopped. {advice or _advice(folder)}"

    try:
        with signals.last_words(stopped):
            yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt, signals.TerminationSignal) as error:
        code = signals.exit_code(error)
        if code is None:
            code = _report(error, folder, advice)
        else:
            signals.say(stopped())
        raise typer.Exit(code) from None


def _report(error: BaseException, folder: Path | None, advice: str | None) -> int:
    """Print the error message and return its exit code."""
    errors = Console(stderr=True, soft_wrap=True)
    if isinstance(error, BrokenPipeError):
        return 1
    trouble = error if isinstance(error, R1Error) else failed_import(error) or file_error(error)
    if trouble is not None:
        _print(errors, str(trouble))
        return trouble.exit_code
    lines = str(error).strip().splitlines()
    message = f"{type(error).__name__}{': ' + lines[0] if lines else ''}"
    where = _write_traceback(folder)
    _print(
        errors,
        f"something unexpected happened ({message}).",
        f"{where} {advice or _advice(folder)}",
    )
    return UNEXPECTED


def _print(errors: Console, message: str, details: str = "") -> None:
    errors.print(
        Text.assemble(("error: ", "bold red"), (message, "red"), f" {details}" if details else "")
    )


def _forgive_odd_characters() -> None:
    """Make odd characters harmless: output that the terminal's encoding lacks is escaped, and
    undecodable input becomes `�`; neither ends a command."""
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _advice(folder: Path | None) -> str:
    """Return a sentence on what the user still has and how to continue."""
    from r1kit.runs.run_reader import newest_checkpoint, stage_and_step

    newest = newest_checkpoint(folder) if folder is not None else None
    if newest is None:
        return "The same command starts it again."
    stage, step = stage_and_step(newest)
    return f"Everything up to step {step} of {stage} is kept; the same command resumes it."


def _write_traceback(folder: Path | None) -> str:
    """Write the traceback to the run folder, else to a temporary file; return where it is."""
    text, message = traceback.format_exc(), "The details are in {}; please report them."
    if folder is not None and (folder / "manifest.json").exists():
        with contextlib.suppress(OSError):
            (folder / "crash.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
            return message.format(folder / "crash.txt")
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w",
            prefix="r1-crash-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as temporary,
    ):
        temporary.write(text)
        return message.format(temporary.name)
    print(text, file=sys.stderr)
    return "The details are above, for no file could be written; please report them."
