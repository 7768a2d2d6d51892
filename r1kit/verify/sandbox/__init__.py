"""Run somebody else's program and get its output back, whatever the program tries.

`Job` in, `RunResult` out, `Sandbox` in between; docs/security.md says what each level promises.
"""

from r1kit.verify.sandbox.job import Job, Limits, RunResult
from r1kit.verify.sandbox.pool import Level, Sandbox, layers
from r1kit.verify.sandbox.probe import Layer

__all__ = ["Job", "Layer", "Level", "Limits", "RunResult", "Sandbox", "layers"]
