"""The escape suite: programs that try to get out, and a judge who looks from outside.

`r1 doctor --attack` runs it; so do the tests, at every level and as several users.
"""

from r1kit.verify.sandbox.attacks import files, honest, limits, reach, syscalls
from r1kit.verify.sandbox.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (*files.ALL, *reach.ALL, *syscalls.ALL, *limits.ALL, *honest.ALL)
