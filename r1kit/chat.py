"""`r1 chat`: talk to a model in the terminal; its thinking is shown apart from its answer.

In a terminal, turns make one conversation in which past thinking is dropped, as the chat template
does everywhere. With questions from a pipe, each line is a conversation of its own.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from r1kit import template
from r1kit.config import ComputeConfig
from r1kit.engines.base import Delta
from r1kit.engines.local import LocalEngine
from r1kit.errors import CheckpointError
from r1kit.evidence import newest_checkpoint
from r1kit.live import printable
from r1kit.model import checkpoint
from r1kit.model.parallel import device_kind
from r1kit.types import Message, Request, Sampling

HELP = """\
/reset   forget the conversation
/quit    leave (Ctrl-D does too)
/help    this text
Ctrl-C   stop the answer that is being written"""


def run(path: Path, sampling: Sampling, seed: int, console: Console) -> None:
    """Chat with the checkpoint at `path`, or with the newest one of the run at `path`.

    Raises CheckpointError when there is none or it does not open.
    """
    found = find_model(path)
    with console.status(f"Opening {found} …"):
        model, tokenizer = checkpoint.load(found, device=device_kind(ComputeConfig()))
    chat = Chat(LocalEngine(model, tokenizer, max_rows=1), tokenizer, sampling, seed, console)
    if sys.stdin.isatty():
        console.print(Text.assemble((f"{found}", "bold"), ("  ·  /help, /quit", "dim")))
        chat.converse(_typed(console))
    else:
        chat.answer_each(line.rstrip("\n") for line in sys.stdin)


def find_model(path: Path) -> Path:
    """The folder to open: `path` itself, or the newest checkpoint when `path` is a run."""
    if not (path / "manifest.json").exists():
        return path
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(
            f"The run {path} has no checkpoint yet; resume it with `r1 run`, then chat."
        )
    return newest


class Chat:
    """A conversation with one model."""

    def __init__(
        self,
        engine: LocalEngine,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        seed: int,
        console: Console,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.seed = seed
        self.console = console
        self.messages: list[Message] = []

    def converse(self, lines: Iterable[str]) -> None:
        """Answer line after line as one conversation, until /quit or the last line."""
        for line in lines:
            command = line.strip()
            if command == "/quit":
                return
            if command == "/reset":
                self.messages = []
                self.console.print(Text("A new conversation.", "dim"))
            elif command.startswith("/"):
                self.console.print(Text(HELP, "dim"))
            elif command:
                self.ask(command)

    def answer_each(self, lines: Iterable[str]) -> None:
        """Answer every line on its own."""
        for line in filter(str.strip, lines):
            self.messages = []
            self.console.print(Text(f"? {printable(line.strip())}", "bold"), soft_wrap=True)
            self.ask(line.strip())
            self.seed += 1

    def ask(self, question: str) -> str:
        """Print the thinking and the answer as they come. Returns the answer."""
        asked = [*self.messages, Message("user", question)]
        prompt_ids = template.render_prompt(self.tokenizer, asked)
        room = (self.engine.max_positions or sys.maxsize) - len(prompt_ids)
        if room < 1:
            self._say("The conversation is as long as the model can read; /reset begins anew.")
            return ""
        sampling = dataclasses.replace(
            self.sampling, max_tokens=min(self.sampling.max_tokens, room)
        )
        request = Request(prompt_ids, 1, sampling, self.seed + len(asked))
        parser = template.StreamParser(template.is_prefilled(self.tokenizer, prompt_ids))
        answer = self._show(self.engine.stream(request), parser)
        self.messages = [*asked, Message("assistant", answer)]
        return answer

    def _show(self, deltas: Iterator[Delta], parser: template.StreamParser) -> str:
        printer, finish = Printer(self.console), None
        try:
            for delta in deltas:
                finish = delta.finish
                for piece in parser.feed(delta.text):
                    printer.show(piece)
        except KeyboardInterrupt:
            finish = "abort"
        for piece in parser.finish():
            printer.show(piece)
        printer.end()
        if finish == "abort":
            self._say("(stopped)")
        elif finish == "length":
            self._say("(cut off at the limit; --max-tokens raises it)")
        return printer.answer

    def _say(self, text: str) -> None:
        self.console.print(Text(text, "dim"))


class Printer:
    """Pieces on the terminal: thinking dimmed and slanted, its time, then the answer."""

    def __init__(self, console: Console) -> None:
        self.answer = ""
        self._console = console
        self._started = time.monotonic()
        self._is_thinking = False

    def show(self, piece: template.Piece) -> None:
        if piece.kind == "thinking":
            self._is_thinking = True
            self._write(piece.text, "dim italic")
        else:
            self._end_thinking()
            self.answer += piece.text
            self._write(piece.text, "")

    def end(self) -> None:
        """The text is over."""
        self._end_thinking()
        self._console.print()

    def _end_thinking(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            seconds = time.monotonic() - self._started
            self._write(f"\nThought for {seconds:.1f} s\n", "dim")

    def _write(self, text: str, style: str) -> None:
        self._console.print(Text(printable(text), style), end="", soft_wrap=True)


def _typed(console: Console) -> Iterator[str]:
    """Lines people type, until they end the input."""
    while True:
        try:
            yield console.input("\n[bold cyan]›[/] ")
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
