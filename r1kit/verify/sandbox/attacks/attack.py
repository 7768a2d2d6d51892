"""What an attack is. Its program says MARK, or shows the secret, or leaves an effect, if it wins.

In a program @SECRET_FILE@ and the like stand for what the judge has set up (`scene.py`). A program
may claim to have won and is believed; that it has failed is never taken from the program.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.verify.sandbox.job import How, Limits

QUICK = Limits(wall_s=0.6, cpu_s=0.5, memory_mb=96, output_bytes=1 << 16, disk_mb=2, files=32)
FAMILY = Limits(
    wall_s=0.6, cpu_s=0.5, memory_mb=96, output_bytes=1 << 16, disk_mb=2, processes=6, threads=4
)
SHORT = Limits(wall_s=0.15, cpu_s=0.12, memory_mb=96, output_bytes=1 << 16, disk_mb=2, files=32)


@dataclass(frozen=True, slots=True)
class Attack:
    """One program and what should become of it."""

    name: str
    tries: str
    """a phrase that follows "tries to" """
    stopped_by: tuple[str, ...]
    """the layers, the first one that meets it first"""
    program: str
    then: str = ""
    """a second program, run next by the same worker; what it says counts as well"""
    limits: Limits = QUICK
    ends: tuple[How, ...] = ()
    """endings that count as held; () is any but "sandbox" """
    only_strict: bool = False
    """at standard the attack is known to work, and docs/security.md says so"""
    bites: bool = True
    """wins when it is run without a cage (the tests try), so that its failure means something"""
    expected: bytes | None = None
    """what an honest program must print"""
    source: str = "common knowledge"
