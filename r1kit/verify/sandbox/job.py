"""The input and output types of the sandbox: `Limits`, `Job`, `RunResult`.

None of them holds an expected answer, and no expected answer ever enters a worker: the caller
compares in its own process, from `RunResult.stdout` alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["exit", "signal", "wall", "cpu", "memory", "output", "sandbox"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The resource limits of a run: `Limits(wall_s=2, memory_mb=512)`."""

    wall_s: float = 5.0
    """wall-clock seconds"""
    cpu_s: float = 5.0
    """CPU seconds of the program's own process"""
    memory_mb: int = 256
    """MiB of address space per process, in addition to the interpreter's own"""
    output_bytes: int = 64 << 20
    """maximum size of stdout; stderr has its own limit, and only its end is kept"""
    disk_mb: int = 16
    """size of the work folder in MiB (level strict; at standard it is not writable)"""
    processes: int = 1
    """number of processes, including the program; it cannot fork with 1, or at level standard"""
    threads: int = 16
    """number of threads of all processes, if the kernel counts them (strict, or own uid)"""
    files: int = 64
    """number of open files per process"""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) < 1 << 40:
                raise ValueError(f"Limits.{name} is positive, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Job:
    """A single run of a program: `Job("print(int(input()) + 1)", stdin=b"41\\n")`."""

    program: str
    """Python source; runs as `__main__`"""
    stdin: bytes = b""
    limits: Limits = Limits()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """contents of files written to the work folder before the run, by plain file name"""
    arguments: tuple[str, ...] = ()
    """`sys.argv[1:]`"""
    preamble: str = ""
    """Python source that runs first, with the same globals"""
    packages: tuple[str, ...] = ()
    """installed packages that the program may import besides the standard library (packages.py);
    runs with the same packages share workers"""

    def __post_init__(self) -> None:
        for name in self.files:
            if name in ("", ".", "..") or "\0" in name or os.path.basename(name) != name:
                raise ValueError(f"a file of a job has a plain name, not {name!r}")


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: `RunResult("exit", 0, b"42\\n", b"", 0.003, 0.002)`."""

    how: Ending
    """"exit" if the program exited, "signal" if a signal ended it, else the name of the limit it
    hit; "sandbox" is a failure of the sandbox, never of the program"""
    code: int | None
    """the exit code or the signal number; None if the sandbox ended the run"""
    stdout: bytes
    stderr: bytes
    wall_s: float
    cpu_s: float

    @property
    def is_clean(self) -> bool:
        """True if the program exited with code 0."""
        return self.how == "exit" and self.code == 0
