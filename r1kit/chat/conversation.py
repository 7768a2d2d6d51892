"""A conversation: its turns, its slash commands, and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from r1kit.chat.backends import ChatBackend
from r1kit.chat.screen import Screen
from r1kit.console.formatting import printable
from r1kit.errors import R1Error
from r1kit.files.untrusted import replace_surrogates
from r1kit.processes import signals
from r1kit.types import Message, SamplingParams

HELP = """\
/think on|off   whether the model thinks before it answers
/model NAME     go on with another model; without a name, which there are
/new            forget the conversation
/save FILE      write the conversation to a new Markdown file
/help           this text
Alt-Enter       a new line in what you write
Ctrl-C          stop the answer that is being written
Ctrl-D, /quit   leave"""


class Conversation:
    """A conversation with one model at a time."""

    def __init__(
        self,
        backend: ChatBackend,
        sampling: SamplingParams,
        seed: int,
        console: Console,
        thinks: bool = True,
    ) -> None:
        self.backend = backend
        self.sampling = sampling
        self.seed = seed
        self.console = console
        self.thinks = thinks
        self.messages: list[Message] = []
        """history including thinking, which the next prompt leaves out"""
        self._commands: dict[str, Callable[[str], None]] = {
            "/think": self._set_thinking,
            "/model": self._switch_model,
            "/new": self._start_new,
            "/save": self._save,
            "/help": lambda _: self._print(HELP),
        }

    def converse(self, lines: Iterable[str]) -> None:
        """Answer the lines as one conversation, until /quit or the last line.

        An error is printed, and the conversation continues.
        """
        for line in map(str.strip, lines):
            if line == "/quit":
                return
            try:
                if line.startswith("/"):
                    self._run_command(line)
                elif line:
                    self.ask(line)
            except R1Error as error:
                self.console.print(Text(printable(str(error)), "red"), soft_wrap=True)

    def answer_each(self, lines: Iterable[str]) -> None:
        """Answer every line as a separate conversation. Raises EngineError."""
        for line in filter(None, map(str.strip, lines)):
            self.messages = []
            self.console.print(Text(f"? {printable(line)}", "bold"), soft_wrap=True)
            self.ask(line)
            self.seed += 1

    def ask(self, question: str) -> str:
        """Print the thinking and the answer as they arrive, and return the answer.

        Ctrl-C stops the answer; the text so far, if any, is kept. Raises EngineError, which leaves
        the conversation unchanged.
        """
        turns = [*self.messages, Message("user", replace_surrogates(question))]
        finish: str = "abort"
        is_stopped = False
        with Screen(self.console) as screen:
            try:
                for piece in self.backend.stream_reply(
                    turns, self.sampling, self.seed + len(turns), self.thinks
                ):
                    if isinstance(piece, str):
                        finish = piece
                    else:
                        screen.show(piece)
            except KeyboardInterrupt:
                signals.dismiss()
                is_stopped = True
        if note := _ending("stopped" if is_stopped else finish, bool(screen.answer.strip())):
            self._print(note)
        if screen.answer or screen.thinking:
            self.messages = [*turns, Message("assistant", screen.answer, screen.thinking or None)]
        return screen.answer

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()

    def _run_command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._print(f"There is no {printable(name)}.\n{HELP}")
        else:
            command(rest.strip())

    def _set_thinking(self, value: str) -> None:
        if value in ("on", "off"):
            self.thinks = value == "on"
        self._print(f"Thinking is {'on' if self.thinks else 'off'}.")

    def _switch_model(self, name: str) -> None:
        if name:
            self.backend = self.backend.switch_to(name)
        elif model_names := self.backend.model_names():
            self._print("\n".join(model_names))
        self._print(f"Talking to {self.backend.name}.")

    def _start_new(self, _: str) -> None:
        self.messages = []
        self._print("A new conversation.")

    def _save(self, name: str) -> None:
        if not name:
            self._print("Name a file: /save talk.md")
            return
        file = Path(name).expanduser()
        try:
            with file.open("x", encoding="utf-8") as out:
                out.write(markdown(self.messages))
        except FileExistsError:
            self._print(f"{file} exists; name another.")
        except OSError as error:
            self._print(f"{file} cannot be written ({error.strerror}); name another.")
        else:
            self._print(f"Written to {file}.")

    def _print(self, text: str) -> None:
        self.console.print(Text(printable(text), "dim"), soft_wrap=True)


def _ending(finish: str, has_answer: bool) -> str:
    """Return the note for an incomplete or missing answer; "" for a complete one."""
    notes = {
        "stopped": "(stopped)",
        "abort": "(broken off in the middle; ask again)",
        "length": "(cut off at the limit; --max-tokens raises it)",
    }
    if finish in notes:
        return notes[finish]
    return "" if has_answer else "(the model ended without an answer; ask again)"


def markdown(messages: Iterable[Message]) -> str:
    """Return the conversation as Markdown: speakers as headings, thinking as quotes."""
    parts = []
    for message in messages:
        parts.append("## You" if message.role == "user" else "## Model")
        if message.reasoning:
            parts.append("\n".join(f"> {line}" for line in message.reasoning.splitlines()))
        parts.append(message.content)
    return "\n\n".join(parts) + "\n"
