"""What goes into the sandbox and what comes out: `Limits`, `Job`, `RunResult`.

Nothing here holds an expected answer, and nothing of it ever enters a worker: the comparison is the
caller's, in another process, from `RunResult.stdout` alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

How = Literal["exit", "signal", "wall", "cpu", "memory", "output", "sandbox"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use: `Limits(wall_s=2, memory_mb=512)`."""

    wall_s: float = 5.0
    """seconds on the clock"""
    cpu_s: float = 5.0
    """seconds of computing, of the program's own process"""
    memory_mb: int = 256
    """MiB of address space a process, beyond what the interpreter has"""
    output_bytes: int = 1 << 20
    """of stdout and of stderr, each"""
    disk_mb: int = 16
    """MiB of the work folder (level strict; at standard nothing can be written)"""
    processes: int = 1
    """the program and its children; with 1, and at standard, it cannot fork"""
    threads: int = 16
    """of all processes, where the kernel counts them for us (strict, or own uid)"""
    files: int = 64
    """open files a process"""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) < 1 << 40:
                raise ValueError(f"Limits.{name} is positive, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one program: `Job("print(int(input()) + 1)", stdin=b"41\\n")`."""

    program: str
    """Python source; runs as `__main__`, with the standard library and nothing else"""
    stdin: bytes = b""
    limits: Limits = Limits()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """put into the work folder before the run; plain names"""

    def __post_init__(self) -> None:
        for name in self.files:
            if name in ("", ".", "..") or "\0" in name or os.path.basename(name) != name:
                raise ValueError(f"a file of a job has a plain name, not {name!r}")


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended: `RunResult("exit", 0, b"42\\n", b"", 0.003, 0.002)`."""

    how: How
    """"exit" by itself, "signal" by one it caused; a limit by its name; "sandbox" is the grader's
    own failure and never the solution's"""
    code: int | None
    """the exit code or the signal's number; None if the sandbox ended it"""
    stdout: bytes
    stderr: bytes
    wall_s: float
    cpu_s: float

    @property
    def is_clean(self) -> bool:
        """Whether the program ran to its end and says that all went well."""
        return self.how == "exit" and self.code == 0
