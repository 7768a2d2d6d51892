"""Keyboard input: multi-line editing, wide characters, and a history across sessions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from r1kit.files.untrusted import replace_surrogates
from r1kit.processes import signals

PROMPT = FormattedText([("", "\n"), ("ansicyan bold", "› ")])
CONTINUATION_PROMPT = "· "


def read_messages() -> Iterator[str]:
    """Yield the messages entered, until Ctrl-D; Ctrl-C discards the current one."""
    session: PromptSession[str] = PromptSession(
        history=history(history_file()),
        key_bindings=_keys(),
        multiline=True,
        prompt_continuation=CONTINUATION_PROMPT,
    )
    while True:
        try:
            yield session.prompt(PROMPT)
        except KeyboardInterrupt:
            signals.dismiss()
        except EOFError:
            return


def history_file() -> Path:
    """Return the path of the history file, in the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "r1kit" / "chat_history"


def history(file: Path) -> History:
    """Open a history in `file`, readable by its owner only; in memory if that is impossible."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600))
        file.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return _LenientHistory(str(file))


class _LenientHistory(FileHistory):
    """A file history that ignores I/O errors, so that they cannot end the conversation."""

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        try:
            super().store_string(replace_surrogates(string))
        except OSError:
            return


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
