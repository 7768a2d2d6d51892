"""`r1 chat`: a chat with a model in the terminal that shows thinking and answer separately.

In a terminal, all turns form one conversation, from which the chat template drops past thinking. If
standard input is a pipe, each line is a separate conversation.
"""

from __future__ import annotations

import sys
from contextlib import closing

from rich.console import Console
from rich.text import Text

from r1kit.chat.backends import open_backend
from r1kit.chat.conversation import Conversation
from r1kit.console.formatting import printable
from r1kit.types import SamplingParams


def run(
    source: str,
    sampling: SamplingParams,
    seed: int,
    console: Console,
    model: str | None,
    key: str | None,
) -> None:
    """Chat with a checkpoint, the newest one of a run, a GGUF file, a hub id, or a server's model.

    Raises CheckpointError if the model is missing or cannot be loaded, EngineError if the server
    does not answer.
    """
    with console.status(Text(f"Opening {printable(source)} …")):
        backend = open_backend(source, model, key)
    talk(Conversation(backend, sampling, seed, console))


def talk(conversation: Conversation) -> None:
    """Chat interactively in a terminal, else answer each line of standard input separately."""
    console = conversation.console
    with closing(conversation):
        if sys.stdin.isatty() and console.is_terminal:
            from r1kit.chat.keyboard import read_messages

            name = printable(conversation.backend.name)
            console.print(Text.assemble((name, "bold"), ("  ·  /help, Ctrl-D ends", "dim")))
            conversation.converse(read_messages())
        else:
            conversation.answer_each(map(_clean_line, sys.stdin))


def _clean_line(line: str) -> str:
    """Clean a line from a pipe: replace invalid bytes, drop a byte order mark and newline."""
    return line.lstrip("\ufeff").encode(errors="replace").decode().rstrip("\n")
