"""What can go wrong for a user, as sentences that say what to do next.

    R1Error
    ├── ConfigError       a recipe, a setting or a command line that cannot be meant
    ├── TaskError         a task that does not load or does not verify its own gold answer
    ├── CheckpointError   a model folder that is missing, foreign, half-written or does not fit
    ├── RunError          a run folder that is locked, foreign or damaged
    ├── EngineError       a request no engine can serve, or an engine that is gone
    │   └── GrammarError  a schema that cannot be followed
    ├── ComputeError      processes, devices or memory that are not there
    ├── SandboxError      a machine that cannot cage programs as strictly as was asked
    └── CurationError     filters that leave nothing to learn from

Every one is caught in `error_reporting.py`, printed without a traceback, and ends the process with
its `exit_code`. Anything else that reaches the user is a bug.
"""


class R1Error(Exception):
    """Base of all errors a user can cause or mend. The message is one sentence or two."""

    exit_code = 1


class ConfigError(R1Error):
    exit_code = 2


class TaskError(R1Error):
    exit_code = 2


class CheckpointError(R1Error):
    exit_code = 3


class RunError(R1Error):
    exit_code = 4


class EngineError(R1Error):
    exit_code = 5


class GrammarError(EngineError):
    """One answer cannot be held to its schema any further; the engine goes on."""


class ComputeError(R1Error):
    exit_code = 6


class SandboxError(R1Error):
    exit_code = 7


class CurationError(R1Error):
    exit_code = 8
