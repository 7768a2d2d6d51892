"""The command `r1`: run, show, chat, serve, sample, verify answers, look at the machine.

Every error a user can cause or mend leaves here as one sentence and an exit code; torch is imported
only by the commands that need it.
"""

from r1kit.cli import training, serving, checking  # isort: skip  # in the order of --help
from r1kit.cli.root import app, main

__all__ = ["app", "checking", "main", "serving", "training"]
