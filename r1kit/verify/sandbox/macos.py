"""Level best-effort: macOS's own sandbox around an ordinary interpreter, one process per run.

Source: sandbox-exec(1) and its profile language. Departures: this module is untested, because the
tests run on Linux; memory is not limited (RLIMIT_AS has no effect on macOS), a program may start
any number of threads, and it can see other processes; a preamble is only the beginning of the
program. Only `Sandbox("best-effort")` uses it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from r1kit.errors import SandboxError
from r1kit.verify.sandbox.job import Ending, Job, RunResult

_PROFILE = """
(version 1) (deny default) (import "system.sb")
(allow process-exec (literal "{python}")) (allow sysctl-read)
(allow file-read* (subpath "{prefix}") (subpath "{work_folder}"))
(allow file-write* (subpath "{work_folder}"))
"""
_LIMIT = 'ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; ulimit -n "$3"; shift 3; exec "$@"'
_BLOCK = 512  # bytes, the unit of ulimit -f


class MacosWorker:
    """A replacement for a worker, without state between runs."""

    def __init__(self) -> None:
        """Raise SandboxError if there is no sandbox-exec."""
        if sys.platform != "darwin" or shutil.which("sandbox-exec") is None:
            raise SandboxError(
                "The sandbox level best-effort is for macOS; use standard or strict on Linux."
            )

    def run(self, job: Job) -> RunResult:
        with tempfile.TemporaryDirectory(prefix="r1-box-") as folder:
            return _run(job, Path(folder).resolve())

    def close(self) -> None:
        """Do nothing; no resource is held between runs."""


def _run(job: Job, folder: Path) -> RunResult:
    work_folder = folder / "box"
    work_folder.mkdir()
    source = f"{job.preamble}\n{job.program}" if job.preamble else job.program
    for name, data in {**job.files, "program.py": source.encode(errors="replace")}.items():
        (work_folder / name).write_bytes(data)
    (folder / "stdin").write_bytes(job.stdin)
    start = time.monotonic()
    with (
        open(folder / "stdin", "rb") as stdin,
        open(folder / "stdout", "wb") as stdout,
        open(folder / "stderr", "wb") as stderr,
    ):
        process = subprocess.Popen(
            _command(job, work_folder), stdin=stdin, stdout=stdout, stderr=stderr, cwd=work_folder,
            env={"HOME": str(work_folder), "TMPDIR": str(work_folder)}, start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(job.limits.wall_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _kill_group(process)
    max_bytes = job.limits.output_bytes
    out, err = ((folder / name).read_bytes()[: max_bytes + 1] for name in ("stdout", "stderr"))
    how = _how(code, len(out) > max_bytes)
    number = abs(code) if code is not None and how in ("exit", "signal") else None
    return RunResult(how, number, out[:max_bytes], err[:max_bytes], time.monotonic() - start, 0.0)


def _command(job: Job, work_folder: Path) -> list[str]:
    python = os.path.realpath(sys.executable)
    profile = _PROFILE.format(
        python=python, prefix=os.path.realpath(sys.base_prefix), work_folder=work_folder
    )
    limits = job.limits
    max_blocks = max(limits.output_bytes + 1, limits.disk_mb << 20) // _BLOCK + 1
    counts = [str(int(limits.cpu_s) + 1), str(max_blocks), str(limits.files)]
    inner = ["sandbox-exec", "-p", profile, python, "-I", "-S", "-B", "program.py"]
    return ["/bin/sh", "-c", _LIMIT, "sh", *counts, *inner, *job.arguments]


def _how(code: int | None, is_over: bool) -> Ending:
    if is_over:
        return "output"
    if code is None:
        return "wall"
    if code == -signal.SIGXCPU:
        return "cpu"
    return "signal" if code < 0 else "exit"


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
