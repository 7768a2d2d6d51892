"""The generated world: five families of problems in three languages, and documents about them.

Each family draws problems, verifies answers exactly, and generates base-corpus documents:
imperfect, human-like solutions by an `Author` that can solve the problems but usually gives up.
"""

from r1kit.tasks.world.arithmetic import Arithmetic
from r1kit.tasks.world.author import Author
from r1kit.tasks.world.countdown import Countdown
from r1kit.tasks.world.equation import Equation
from r1kit.tasks.world.family import Family
from r1kit.tasks.world.program import Program
from r1kit.tasks.world.series import Series

FAMILIES: dict[str, type[Family]] = {
    family.name: family for family in (Equation, Series, Countdown, Arithmetic, Program)
}

__all__ = [
    "FAMILIES",
    "Arithmetic",
    "Author",
    "Countdown",
    "Equation",
    "Family",
    "Program",
    "Series",
]
