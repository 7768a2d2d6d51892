"""The candidate's process: the only place in r1kit that executes untrusted code.

The restrictions of confinement.py are in force before `run` is called, so nothing in the process
helps a program to escape. It behaves like `python program.py`: real standard streams, `__main__`,
tracebacks with the program's own lines, exit codes, waiting for threads, exit functions.
"""

from __future__ import annotations

import _thread
import atexit
import builtins
import io
import linecache
import os
import signal
import site
import sys
import threading
import traceback
import types
from typing import NoReturn

from r1kit.verify.sandbox.job import Job

NAME = "program.py"
_SPARE = 4 << 20
"""bytes of address space reserved for the traceback of a program that runs out of memory"""


def complete_builtins() -> None:
    """Add what an interpreter with `site` has, and remove the limit for digits of an int.

    A worker calls this once; it applies to all its candidates, whose time is limited anyway.
    """
    site.setquit()
    site.setcopyright()
    site.sethelper()
    sys.set_int_max_str_digits(0)


def run(job: Job, folder: str) -> NoReturn:
    """Execute a job as `__main__` with `folder` first on `sys.path`, then end the process."""
    _forget_the_worker()
    sys.argv, sys.path[:0] = [NAME, *job.arguments], [folder]
    os.environ.update(HOME=folder, TMPDIR=folder, PATH="/usr/bin:/bin", LANG="C.UTF-8")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_streams()
    _cap_stacks(job.limits.memory_mb << 19)
    source = job.program.removeprefix("\ufeff")  # a byte order mark, as at the start of a file
    lines = source.splitlines(keepends=True)
    linecache.cache[NAME] = (len(source), None, lines, NAME)
    code = 1
    try:
        code = _finish(_execute(job.preamble, source))
    finally:  # this process must never return into the worker's code
        os._exit(code)


def _open_streams() -> None:
    """Open new streams on descriptors 0, 1 and 2, like a starting interpreter."""
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    errors = io.BufferedWriter(io.FileIO(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", line_buffering=True)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))


def _cap_stacks(max_bytes: int) -> None:
    """Limit the stacks of threads, because our limit counts a stack that is reserved but not used.

    Programs of contests ask for half a gigabyte, whatever they need.
    """
    set_size = threading.stack_size

    def stack_size(size: int = 0) -> int:
        return set_size(min(size, max_bytes))

    threading.stack_size = _thread.stack_size = stack_size


def _execute(preamble: str, source: str) -> int:
    reserve: bytearray | None = bytearray(_SPARE)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=NAME, __builtins__=builtins)
    sys.modules["__main__"] = module
    try:
        if preamble:
            exec(compile(preamble, "preamble.py", "exec", dont_inherit=True), module.__dict__)
        exec(compile(source, NAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as request:
        return _exit_code(request)
    except BaseException as error:
        reserve = None
        _report(error)
        return 1
    del reserve
    return 0


def _exit_code(request: SystemExit) -> int:
    if request.code is None or isinstance(request.code, int):
        return (request.code or 0) & 0xFF
    print(request.code, file=sys.stderr)
    return 1


def _report(error: BaseException) -> None:
    """Print the traceback without our own frame, or just the type of the error if that fails.

    It can fail because the program replaced stderr or used up its memory.
    """
    try:
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error.with_traceback(inner), inner)
    except BaseException:
        os.write(2, f"{type(error).__name__}\n".encode())


def _finish(code: int) -> int:
    """Run an interpreter's observable shutdown steps and return the exit code."""
    for step in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]
        try:
            step()
        except BaseException as error:
            _report(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            code = code or 120  # the code that CPython uses
    return code


def _forget_the_worker() -> None:
    """Remove r1kit's modules and import hook, because a program expects a clean interpreter.

    This is not a security measure; they hold no secrets.
    """
    for name in [name for name in sys.modules if name.split(".")[0] == "r1kit"]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]
