"""The type of an attack. A successful program prints MARK or the secret, or leaves an effect.

In a program, placeholders such as @SECRET_FILE@ stand for objects that the testbed has set up
(`testbed.py`). A program's claim of success is believed; its claim of failure is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.verify.sandbox.job import Ending, Limits

QUICK = Limits(wall_s=0.6, cpu_s=0.5, memory_mb=96, output_bytes=1 << 16, disk_mb=2, files=32)
FAMILY = Limits(
    wall_s=0.6, cpu_s=0.5, memory_mb=96, output_bytes=1 << 16, disk_mb=2, processes=6, threads=4
)
SHORT = Limits(wall_s=0.15, cpu_s=0.12, memory_mb=96, output_bytes=1 << 16, disk_mb=2, files=32)


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack program and its expected outcome."""

    name: str
    tries: str
    """a phrase that follows "tries to" """
    stopped_by: tuple[str, ...]
    """the layers that stop the attack, in the order in which they apply"""
    program: str
    then: str = ""
    """a second program, run next by the same worker; its output counts as well"""
    limits: Limits = QUICK
    ends: tuple[Ending, ...] = ()
    """endings with which the attack counts as failed; () means any ending except "sandbox" """
    only_strict: bool = False
    """True if the attack is known to succeed at level standard (documented in docs/security.md)"""
    effective: bool = True
    """True if the attack is effective without confinement, so that its failure is meaningful; the
    tests check this"""
    expected: bytes | None = None
    """stdout that an honest program must print"""
    source: str = "common knowledge"
