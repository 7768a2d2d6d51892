"""`r1 chat`: talk to a model in the terminal; its thinking is shown apart from its answer.

In a terminal, turns make one conversation in which past thinking is dropped, as the chat template
does everywhere. With questions from a pipe, each line is a conversation of its own.
"""

from __future__ import annotations

import sys
from contextlib import closing

from rich.console import Console
from rich.text import Text

from r1kit.chat.backends import open_voice
from r1kit.chat.conversation import Conversation
from r1kit.console.progress import printable
from r1kit.types import Sampling


def run(
    who: str, sampling: Sampling, seed: int, console: Console, model: str | None, key: str | None
) -> None:
    """Chat with a checkpoint, the newest of a run, a hub id, or the model of a server.

    Raises CheckpointError when it is not there or does not open, EngineError for a server that does
    not answer.
    """
    with console.status(Text(f"Opening {printable(who)} …")):
        voice = open_voice(who, model, key)
    talk(Conversation(voice, sampling, seed, console))


def talk(conversation: Conversation) -> None:
    """Converse where there is a terminal, else answer each line of standard input."""
    console = conversation.console
    with closing(conversation):
        if sys.stdin.isatty() and console.is_terminal:
            from r1kit.chat.keyboard import typed

            name = printable(conversation.voice.name)
            console.print(Text.assemble((name, "bold"), ("  ·  /help, Ctrl-D ends", "dim")))
            conversation.converse(typed())
        else:
            conversation.answer_each(map(_typed, sys.stdin))


def _typed(line: str) -> str:
    """A line from a pipe, which may hold bytes that are no text, and a byte order mark."""
    return line.lstrip("\ufeff").encode(errors="replace").decode().rstrip("\n")
