"""Landlock: a program's access to the file system, the network and other processes.

Source: the kernel's userspace-api/landlock.rst. A ruleset handles (denies) every right of its ABI;
rules grant some of them below a folder. No network access is ever granted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from r1kit.verify.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = READ_FILE | READ_DIR
WRITE = (
    *(WRITE_FILE, 1 << 4, 1 << 5, 1 << 7, 1 << 8),  # remove folder, file; make folder, file
    *(1 << 10, 1 << 12, 1 << 13, 1 << 14),  # make fifo, symlink; move (ABI 2); truncate (ABI 3)
)
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # number of rights by ABI; 16 from ABI 5 on
TCP, SCOPES = 4, 6
"""first ABI that handles TCP, and first that handles signals and abstract sockets"""


def abi() -> int:
    """Return the Landlock ABI version of the kernel. Raises OSError if it has no Landlock."""
    return kernel.syscall("Landlock", _CREATE_RULESET, 0, 0, 1)


def ruleset(readable: Iterable[str], devices: Iterable[str], writable: Iterable[str]) -> int:
    """Return the descriptor of a ruleset, for `restrict`. Missing paths are skipped."""
    version = abi()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack(
        "=QQQ", rights, 3 if version >= TCP else 0, 3 if version >= SCOPES else 0
    )
    size = 24 if version >= SCOPES else 16 if version >= TCP else 8
    rules = kernel.syscall("Landlock", _CREATE_RULESET, attributes, size, 0)
    for path in readable:
        _allow(rules, path, READ & rights)
    for path in devices:
        _allow(rules, path, (READ_FILE | WRITE_FILE) & rights)
    for path in writable:
        _allow(rules, path, (READ | sum(WRITE)) & rights)
    return rules


def restrict(rules: int) -> None:
    """Apply the ruleset to this process and all its children, irreversibly.

    Needs no-new-privileges.
    """
    kernel.syscall("Landlock", _RESTRICT_SELF, rules, 0)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        kernel.syscall(
            "Landlock", _ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0
        )
    finally:
        os.close(descriptor)
