"""Run somebody else's program and get its output back, whatever the program tries.

`Job` in, `Ending` out, `Sandbox` in between; docs/security.md says what each level promises.
"""

from r1kit.verify.sandbox.job import Ending, Job, Limits
from r1kit.verify.sandbox.pool import Level, Sandbox, layers
from r1kit.verify.sandbox.probe import Layer

__all__ = ["Ending", "Job", "Layer", "Level", "Limits", "Sandbox", "layers"]
