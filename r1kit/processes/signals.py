"""Signals that end a command: Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed.

The main thread gets an exception, closes open files and processes, and prints one sentence
(`error_reporting.py`). That alone is not reliable: the main thread may be in native code for
minutes, a library may swallow the exception, or a pool may wait for its threads. A listener thread
therefore ends a command that is still running after GRACE_S seconds, and a second signal ends it
immediately.

Ending a command is safe at any moment: the files of a run survive `kill -9` (`atomic.py`), and
child processes end with their parent (`child.py`, `process_guard.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 1.5
"""seconds for the main thread to end the command itself"""
ONE_KEY_S = 0.25
"""seconds within which two signals count as one: a tool may forward the Ctrl-C that the terminal
also sent"""
_DISMISSED = 0
_SHOW_CURSOR = b"\x1b[?25h"


class TerminationSignal(SystemExit):
    """SIGTERM or SIGHUP has arrived; like SystemExit, it is not caught by `except Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def as_exception(number: int) -> KeyboardInterrupt | TerminationSignal:
    """Return the exception that the main thread raises for a signal."""
    return KeyboardInterrupt() if number == signal.SIGINT else TerminationSignal(number)


def exit_code(error: BaseException) -> int | None:
    """Return 128 plus the signal number, as shells do; None if no signal caused `error`.

    A library may have replaced the signal's exception, so the listener is checked too.
    """
    if isinstance(error, TerminationSignal):
        return 128 + error.number
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    number = None if _listener is None else _listener.number
    return None if number is None else 128 + number


class _Listener:
    """The signal handler of this process; it exists while a command runs."""

    def __init__(self) -> None:
        self.number: int | None = None
        """the signal that is ending the command"""
        self.words: Callable[[], str] = lambda: "Stopped."
        self._has_said = False
        self._saying = threading.Lock()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._terminal = _terminal_state()
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def listen(self) -> None:
        """Start handling signals; those ignored at startup (nohup) stay ignored."""
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        sys.unraisablehook = self._unraisable

    def _unraisable(self, args: sys.UnraisableHookArgs) -> None:
        """Do not print a signal's exception that native code swallowed: the command ends soon."""
        if self.number is None or not isinstance(
            args.exc_value, (KeyboardInterrupt, TerminationSignal)
        ):
            sys.__unraisablehook__(args)

    def dismiss(self) -> None:
        """Mark the signal as handled; the command continues."""
        self.number = None
        self._note(_DISMISSED)

    def keep_silent(self) -> None:
        """Let another process say the final message."""
        self._has_said = True

    def say(self, write: Callable[[str], Any]) -> None:
        """Write the final message once, from whichever thread is first."""
        if self._saying.acquire(timeout=1):
            try:
                if not self._has_said:
                    write(_or_stopped(self.words))
                    self._has_said = True
            finally:
                self._saying.release()

    def end(self, number: int) -> NoReturn:
        """End the process without cleanup."""
        try:
            _restore_terminal(self._terminal)
            self.say(lambda words: os.write(2, f"{words}\n".encode()))
        finally:
            os._exit(128 + number)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """Raise the signal's exception; runs in the main thread between two Python instructions."""
        if signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False) != self._writing:
            self._note(number)  # an event loop replaced our fd: the thread saw nothing
        if self.number is None:
            self.number = number
            raise as_exception(number)

    def _note(self, number: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, bytes([number]))

    def _watch(self) -> None:
        ending, first_at = _DISMISSED, 0.0
        while True:
            seconds_left = None if ending == _DISMISSED else first_at + GRACE_S - time.monotonic()
            if seconds_left is not None and seconds_left <= 0:
                self.end(ending)
            if not select.select([self._reading], [], [], seconds_left)[0]:
                continue
            for number in os.read(self._reading, 64):
                if number == _DISMISSED:
                    ending = _DISMISSED
                elif number in ENDING and ending == _DISMISSED:
                    ending, first_at = number, time.monotonic()
                elif number in ENDING and time.monotonic() - first_at > ONE_KEY_S:
                    self.end(number)


_listener: _Listener | None = None


def run(command: Callable[[], object]) -> None:
    """Run a command until it ends, or until a signal ends the process.

    Call this from the entry point of a program; import large modules inside the command.
    """
    global _listener
    _listener = listener = _Listener()
    try:
        listener.listen()
        command()
    except (KeyboardInterrupt, SystemExit):
        if listener.number is None:
            raise
    finally:
        if listener.number is not None:
            _leave(listener, listener.number)
        for number in ENDING:  # nothing is left to close
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


def _leave(listener: _Listener, number: int) -> NoReturn:
    """End the process now: the interpreter's exit would wait for threads blocked on the network."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    listener.end(number)


@contextlib.contextmanager
def last_words(words: Callable[[], str]) -> Iterator[None]:
    """Set the message to print if a signal ends the command inside the block."""
    listener = _listener
    if listener is None:
        yield
        return
    before, listener.words = listener.words, words
    yield
    listener.words = before  # not after an exception, which this message is about


def keep_silent() -> None:
    """Print no final message from this process: another one does."""
    if _listener is not None:
        _listener.keep_silent()


def say(words: str) -> None:
    """Print the final message on standard error, unless one was already printed."""

    def write(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if _listener is None:
        write(words)
    else:
        _listener.words = lambda: words
        _listener.say(write)


def dismiss() -> None:
    """Clear a Ctrl-C that stopped only a part of the command; the command continues."""
    if _listener is not None:
        _listener.dismiss()


def end_now(number: int) -> NoReturn:
    """End the process as a second signal would, for callers that handle signals themselves."""
    if _listener is None:
        os._exit(128 + number)
    _listener.end(number)


def _or_stopped(words: Callable[[], str]) -> str:
    try:
        return words()
    except Exception:  # it may read a damaged run folder
        return "Stopped."


def _terminal_state() -> list[Any] | None:
    with contextlib.suppress(OSError, termios.error, ValueError):
        return termios.tcgetattr(0)
    return None


def _restore_terminal(state: list[Any] | None) -> None:
    """Restore the cursor and terminal settings, which libraries may have changed."""
    with contextlib.suppress(OSError, termios.error):
        if os.isatty(1):
            os.write(1, _SHOW_CURSOR)
        if state is not None and os.tcgetpgrp(0) == os.getpgrp():  # else SIGTTOU would stop us
            termios.tcsetattr(0, termios.TCSANOW, state)
