"""A control group per worker, if one can be created: limits for a job as a whole.

rlimits apply to each process; the group limits the memory and the number of processes of a whole
job, including its files in the work folder. The worker itself is in the group, so that its
candidates start in it: moving a process takes milliseconds. Supports version 1 (one folder per
controller) and version 2. Source: the kernel's admin guide on control groups.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from r1kit.verify.sandbox.job import Limits

ROOT = "/sys/fs/cgroup"
_NAME = "r1kit-{}"
_OWN_BYTES = 96 << 20
"""memory of the worker itself"""
_OWN_PROCESSES = 2
_VERSIONS = (
    (("memory", "memory.limit_in_bytes"), ("pids", "pids.max")),
    ((".", "memory.max"), (".", "pids.max")),
)
"""limit files by version, for memory and processes: (folder below the root, file name)"""


@dataclass(frozen=True)
class ControlGroup:
    """A control group, with its folders and limit files as open descriptors.

    Paths would not do, because the root folder of the keeper and the worker changes.
    """

    name: str
    parents: tuple[int, ...]
    """descriptors of the parents of the group's folders"""
    memory: int
    """descriptor of the file of the memory limit"""
    processes: int

    def enter(self) -> None:
        """Move this process, and so all its future children, into the group."""
        for descriptor in self.parents:
            procs = os.open(f"{self.name}/cgroup.procs", os.O_WRONLY, dir_fd=descriptor)
            os.write(procs, b"0")
            os.close(procs)

    def hold(self, limits: Limits) -> None:
        """Set the limits of the next job."""
        memory = _OWN_BYTES + ((limits.memory_mb + limits.disk_mb) << 20)
        os.pwrite(self.memory, b"%d" % memory, 0)
        max_processes = _OWN_PROCESSES + limits.processes + limits.threads
        os.pwrite(self.processes, b"%d" % max_processes, 0)

    def remove(self) -> None:
        """Remove the group, which must be empty."""
        for descriptor in self.parents:
            with contextlib.suppress(OSError):
                os.rmdir(self.name, dir_fd=descriptor)


def make() -> ControlGroup:
    """Create a group named after this process. Raises OSError if that is impossible."""
    last_error = OSError("no controllers of memory and processes are mounted")
    for version in _VERSIONS:
        if not all(os.path.exists(f"{ROOT}/{folder}/cgroup.procs") for folder, _ in version):
            continue
        try:
            return _create(_NAME.format(os.getpid()), version)
        except OSError as error:
            last_error = error
    raise last_error


def _create(name: str, version: tuple[tuple[str, str], ...]) -> ControlGroup:
    folders = dict.fromkeys(os.path.normpath(f"{ROOT}/{folder}") for folder, _ in version)
    with contextlib.ExitStack() as undo:
        parents = []
        for folder in folders:
            _sweep(Path(folder))
            parents.append(os.open(folder, os.O_PATH))
            undo.callback(os.close, parents[-1])
            os.mkdir(name, dir_fd=parents[-1])
            undo.callback(os.rmdir, name, dir_fd=parents[-1])
        limits = [
            os.open(f"{ROOT}/{folder}/{name}/{file}", os.O_WRONLY) for folder, file in version
        ]
        undo.pop_all()
    return ControlGroup(name, tuple(parents), *limits)


def _sweep(folder: Path) -> None:
    """Remove the groups of keepers that were killed."""
    for group in folder.glob(_NAME.format("*")):
        if not os.path.exists(f"/proc/{group.name.rpartition('-')[2]}"):
            with contextlib.suppress(OSError):
                group.rmdir()
