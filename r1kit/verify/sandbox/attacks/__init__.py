"""The escape suite: programs that try to escape, and a testbed that checks from outside.

`r1 doctor --attack` runs it; the tests run it at every level and under several uids.
"""

from r1kit.verify.sandbox.attacks import files, honest, limits, reach, syscalls
from r1kit.verify.sandbox.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (*files.ALL, *reach.ALL, *syscalls.ALL, *limits.ALL, *honest.ALL)
