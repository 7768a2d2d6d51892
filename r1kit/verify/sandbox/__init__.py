"""A sandbox that runs untrusted programs and returns their output.

`Sandbox` runs a `Job` and returns a `RunResult`; docs/security.md lists the guarantees of each
level.
"""

from r1kit.verify.sandbox.job import Job, Limits, RunResult
from r1kit.verify.sandbox.packages import mentioned
from r1kit.verify.sandbox.pool import Level, Sandbox, layers
from r1kit.verify.sandbox.probe import Layer

__all__ = ["Job", "Layer", "Level", "Limits", "RunResult", "Sandbox", "layers", "mentioned"]
