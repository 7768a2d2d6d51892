"""Signals that end a command: Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed.

The main thread gets an exception, closes what is open, and says one sentence
(`error_reporting.py`). It cannot be relied on alone: it may wait in native code for minutes, a
library may swallow the exception, or a pool may wait for its threads. Therefore a thread listens as
well: a command that has not ended after GRACE_S seconds is ended by it, and a second signal ends a
command at once.

That is safe at any moment: what a run keeps survives `kill -9` (`atomic.py`), and the processes we
have started end when we do (`child.py`, `process_guard.py`).
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
"""for the main thread to end the command by itself"""
ONE_KEY_S = 0.25
"""signals so close together are one: a tool may pass on the Ctrl-C that the terminal sent too"""
_DISMISSED = 0
_SHOW_CURSOR = b"\x1b[?25h"


class Terminated(SystemExit):
    """SIGTERM or SIGHUP has come; like SystemExit, it passes every `except Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def as_exception(number: int) -> KeyboardInterrupt | Terminated:
    """What the main thread gets when a signal has come."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def exit_code(error: BaseException) -> int | None:
    """128 and the number of the signal, as shells have it; None if no signal is behind `error`.

    A library may have made another error of the exception that the signal caused.
    """
    if isinstance(error, Terminated):
        return 128 + error.number
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    number = None if _listener is None else _listener.number
    return None if number is None else 128 + number


class _Listener:
    """Of this process; there is one while a command runs."""

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
        """From now on; signals that whoever started us wants ignored (nohup) stay so."""
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        sys.unraisablehook = self._unraisable

    def _unraisable(self, args: sys.UnraisableHookArgs) -> None:
        """Python prints exceptions that native code swallows; one of ours ends the command soon."""
        if self.number is None or not isinstance(args.exc_value, (KeyboardInterrupt, Terminated)):
            sys.__unraisablehook__(args)

    def dismiss(self) -> None:
        """The signal is dealt with, and the command goes on."""
        self.number = None
        self._note(_DISMISSED)

    def say(self, write: Callable[[str], Any]) -> None:
        """The last words, once, whichever thread is first."""
        if self._saying.acquire(timeout=1):
            try:
                if not self._has_said:
                    write(_or_stopped(self.words))
                    self._has_said = True
            finally:
                self._saying.release()

    def end(self, number: int) -> NoReturn:
        """End the process as it is."""
        try:
            _restore_terminal(self._terminal)
            self.say(lambda words: os.write(2, f"{words}\n".encode()))
        finally:
            os._exit(128 + number)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """In the main thread, between two of its instructions."""
        if signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False) != self._writing:
            self._note(number)  # an event loop had taken it over, and the thread has heard nothing
        if self.number is None:
            self.number = number
            raise as_exception(number)

    def _note(self, number: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, bytes([number]))

    def _watch(self) -> None:
        ending, first_at = _DISMISSED, 0.0
        while True:
            left = None if ending == _DISMISSED else first_at + GRACE_S - time.monotonic()
            if left is not None and left <= 0:
                self.end(ending)
            if not select.select([self._reading], [], [], left)[0]:
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
    """Run a command until it ends or is ended by a signal, which ends the process.

    For the entry point of a program; whatever the command loads should be imported inside it.
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
    """At once: the end of the interpreter would wait for threads, which may wait for a network."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    listener.end(number)


@contextlib.contextmanager
def last_words(words: Callable[[], str]) -> Iterator[None]:
    """What is said if a signal ends the command inside the block."""
    listener = _listener
    if listener is None:
        yield
        return
    before, listener.words = listener.words, words
    yield
    listener.words = before  # but not after an exception: it is about what was inside


def say(words: str) -> None:
    """Say that the command has ended, on standard error, if nobody has said it yet."""

    def write(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if _listener is None:
        write(words)
    else:
        _listener.words = lambda: words
        _listener.say(write)


def dismiss() -> None:
    """A Ctrl-C was meant for something smaller than the command, which goes on."""
    if _listener is not None:
        _listener.dismiss()


def end_now(number: int) -> NoReturn:
    """What a second signal does, for those who handle signals by themselves."""
    if _listener is None:
        os._exit(128 + number)
    _listener.end(number)


def _or_stopped(words: Callable[[], str]) -> str:
    try:
        return words()
    except Exception:  # they look into a folder, which may be damaged
        return "Stopped."


def _terminal_state() -> list[Any] | None:
    with contextlib.suppress(OSError, termios.error, ValueError):
        return termios.tcgetattr(0)
    return None


def _restore_terminal(state: list[Any] | None) -> None:
    """As it was before libraries hid its cursor and took its keys."""
    with contextlib.suppress(OSError, termios.error):
        if os.isatty(1):
            os.write(1, _SHOW_CURSOR)
        if state is not None and os.tcgetpgrp(0) == os.getpgrp():  # else we would be halted
            termios.tcsetattr(0, termios.TCSANOW, state)
