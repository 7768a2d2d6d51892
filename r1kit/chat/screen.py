"""An answer on the screen: dimmed thinking with a running timer, its duration, then the answer.

Control characters in the model's text are replaced (`printable`), so that it cannot control the
terminal. If the output is not a terminal, the same text is printed without colours and timer.
"""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from r1kit.console.formatting import printable
from r1kit.renderers.stream_parser import Piece

THINKING_STYLE = "dim italic"


class Screen:
    """The display of one answer; a context manager that restores the terminal."""

    def __init__(self, console: Console) -> None:
        self.answer = ""
        self.thinking = ""
        self._console = console
        self._started = time.monotonic()
        self._line = Text(style=THINKING_STYLE)
        """last line of the thinking, which may still grow"""
        self._live: Live | None = None
        self._is_over = False
        """True once the thinking has ended"""

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._picture,
                console=self._console,
                refresh_per_second=8,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_thinking()
        self._console.print()

    def show(self, piece: Piece) -> None:
        """Print the next piece."""
        text = printable(piece.text)
        if piece.kind == "thinking":
            self.thinking += piece.text
            self._think(text)
        else:
            self._end_thinking()
            self.answer += piece.text
            self._console.print(Text(text), end="", soft_wrap=True)

    def _think(self, text: str) -> None:
        """Print complete lines permanently; only those can stand above the live part."""
        if self._live is None:
            self._console.print(Text(text, THINKING_STYLE), end="", soft_wrap=True)
            return
        self._line = self._line.copy().append(text)  # a thread renders the old object
        *lines, self._line = self._line.wrap(self._console, self._console.width) or [Text()]
        if text.endswith("\n"):
            lines, self._line = [*lines, self._line], Text()
        self._line.style = THINKING_STYLE
        if lines:
            self._console.print(Text("\n").join(lines))
            self._live.refresh()

    def _end_thinking(self) -> None:
        """Replace the timer with the duration of the thinking; do nothing if called again."""
        if self._is_over:
            return
        self._is_over = True
        if self._live is not None:
            self._live.stop()
        if not self.thinking:
            return
        if self._live is None or self._line:
            self._console.print(self._line)
        seconds = time.monotonic() - self._started
        self._console.print(Text(f"Thought for {seconds:.1f} s", "dim"))

    def _picture(self) -> Group:
        seconds = time.monotonic() - self._started
        word = "Thinking" if self.thinking else "Waiting"
        return Group(self._line, Text(f"{word} … {seconds:.1f} s", "dim"))
