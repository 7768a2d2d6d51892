"""A command ends by a signal, whatever its main thread is doing."""

import signal
import subprocess
import sys
import time

import pytest

HEAD = """
import asyncio, signal, sys, threading, time
from r1kit.processes import signals
def ready():
    print("ready", flush=True)
"""


def ended(
    body: str, *numbers: int, after_s: float = 0.4, wrapper: tuple[str, ...] = ()
) -> tuple[int, float, str, str]:
    """(exit code, seconds from the first signal, stderr, stdout) of a command with this body."""
    lines = [HEAD, "def command():", *(f"    {line}" for line in body.splitlines())]
    code = "\n".join([*lines, "signals.run(command)"])
    with subprocess.Popen(
        [*wrapper, sys.executable, "-c", code], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        start = time.monotonic()
        try:
            for index, number in enumerate(numbers):
                time.sleep(after_s if index else 0)
                process.send_signal(number)
            shown, output = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, time.monotonic() - start, output, shown


WAITING = "ready(); time.sleep(60)"
DEAF = """
is_ready = False
while True:
    try:
        is_ready = is_ready or ready() is None
        time.sleep(60)
    except BaseException:
        pass"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_it_ends_with_the_code_of_the_signal(number: signal.Signals, code: int) -> None:
    assert ended(WAITING, number)[::2] == (code, "Stopped.\n")


def test_an_exception_that_is_swallowed_is_not_the_end_of_it() -> None:
    code, seconds, output, _ = ended(DEAF, signal.SIGINT)
    assert (code, output) == (130, "Stopped.\n")
    assert seconds > 1  # the main thread has its time


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_exception_that_python_cannot_raise_is_not_printed(number: signal.Signals) -> None:
    """In a finalizer or below native code; those of others are printed as always."""
    finalized = """
class Finalized:
    def __del__(self):
        ready(); time.sleep(0.5); time.sleep(0)
class Broken:
    def __del__(self):
        raise ValueError("broken")
Broken()
Finalized()
time.sleep(60)"""
    code, _, output, _ = ended(finalized, number)
    assert code == 128 + number
    assert output.count("Stopped.\n") == 1
    assert "ValueError: broken" in output
    assert "KeyboardInterrupt" not in output
    assert "Terminated" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    patient = "signals.GRACE_S = 60\n" + DEAF.strip()
    code, seconds, output, _ = ended(patient, signal.SIGINT, number)
    assert (code, output) == (128 + number, "Stopped.\n")
    assert seconds < 10


def test_two_signals_of_one_key_are_one() -> None:
    careful = "try:\n    ready(); time.sleep(60)\nfinally:\n    time.sleep(0.5); print('closed')"
    code, _, output, shown = ended(careful, signal.SIGINT, signal.SIGINT, after_s=0.02)
    assert (code, output, shown) == (130, "Stopped.\n", "closed\n")


def test_one_that_was_meant_for_something_smaller_is_not_the_end() -> None:
    chat = """
try:
    ready(); time.sleep(60)
except KeyboardInterrupt:
    signals.dismiss()
time.sleep(signals.GRACE_S + 0.5)
print("goes on")"""
    assert ended(chat.strip(), signal.SIGINT)[::3] == (0, "goes on\n")


def test_an_event_loop_that_takes_the_signals_does_not_keep_them() -> None:
    loop = """
async def nothing():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
asyncio.run(nothing())
""" + DEAF.strip()
    assert ended(loop.strip(), signal.SIGINT)[0] == 130


def test_what_a_thread_does_is_not_waited_for() -> None:
    pool = "threading.Thread(target=time.sleep, args=(60,)).start(); " + WAITING
    code, seconds, _, _ = ended(pool, signal.SIGINT)
    assert code == 130
    assert seconds < 10


def test_nohup_is_respected() -> None:
    body = "ready(); time.sleep(1.5); print('done')"
    ignoring = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    assert ended(body, signal.SIGHUP, wrapper=ignoring)[::3] == (0, "done\n")
