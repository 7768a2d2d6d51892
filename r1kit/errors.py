"""Errors shown to the user, as sentences that state the remedy.

    R1Error
    ├── ConfigError       an invalid recipe, setting or command line
    │   └── DataError     a data file or data set that cannot be read, or rows that do not fit
    ├── TaskError         a task that does not load or does not verify its own gold answer
    ├── CheckpointError   a model folder that is missing, incomplete, incompatible or not a model
    ├── RunError          a run folder that is locked, damaged or not a run
    ├── EngineError       a request that no engine can serve, or an engine that has failed
    │   └── GrammarError  a schema that cannot be followed
    ├── ComputeError      processes, devices or memory that are not available
    ├── SandboxError      a machine that cannot isolate programs as strictly as requested
    ├── CurationError     filters that leave no training data
    └── DependencyError   a package that is not installed, and the extra of r1kit that brings it

`error_reporting.py` catches all of these, prints them without a traceback, and exits with their
`exit_code`. Any other exception that reaches the user is a bug.
"""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "numpy": "train",
    "numba": "train",
    "llguidance": "train",
    "datasketch": "train",
    "peft": "lora",
    "bitsandbytes": "cuda",
    "fastapi": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "gradio": "pages",
    "matplotlib": "report",
    "math_verify": "math",
    "datasets": "data",
    "pyarrow": "data",
    "gguf": "gguf",
    "accelerate": "gguf",
    "langdetect": "ifeval",
    "nltk": "ifeval",
    "punkt": "ifeval",
}
"""maps a package that r1kit imports only where it is needed to the extra that installs it"""


def first_line(error: BaseException) -> str:
    """Return the first line of the message of any error, at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


class R1Error(Exception):
    """Base class of all errors a user can cause or fix. The message is one or two sentences."""

    exit_code = 1


class ConfigError(R1Error):
    exit_code = 2


class DataError(ConfigError):
    """A data file or data set cannot be read, or its rows do not fit."""


class TaskError(R1Error):
    exit_code = 2


class CheckpointError(R1Error):
    exit_code = 3


class RunError(R1Error):
    exit_code = 4


class EngineError(R1Error):
    exit_code = 5


class GrammarError(EngineError):
    """A completion cannot follow its schema any further; the engine continues."""


class ComputeError(R1Error):
    exit_code = 6


class SandboxError(R1Error):
    exit_code = 7


class CurationError(R1Error):
    exit_code = 8


class DependencyError(R1Error):
    exit_code = 9


def require(package: str, otherwise: str = "") -> None:
    """Raise DependencyError if a package of `EXTRAS` is not installed; does not import it.

    `otherwise` names another remedy: "use --no-page".
    """
    if find_spec(package) is None:
        raise _missing(package, otherwise)


def failed_import(error: BaseException) -> DependencyError | None:
    """Return the error to show for an import that failed because an extra is not installed."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    package = (name or "").partition(".")[0]
    return _missing(package) if package in EXTRAS else None


def _missing(package: str, otherwise: str = "") -> DependencyError:
    remedy = f'pip install "r1kit[{EXTRAS[package]}]"' + (otherwise and f", or {otherwise}")
    return DependencyError(f"The package {package} is needed and not installed: {remedy}.")
