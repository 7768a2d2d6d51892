"""inference.py at the root, as a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import completed

FILE = Path(__file__).parents[1] / "inference.py"


def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FILE), *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def forked(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return completed([sys.executable, str(FILE), *arguments], typed)


@pytest.mark.slow
def test_it_answers_and_the_same_seed_says_the_same(folder: Path) -> None:
    ask = ["--model", str(folder), "--max-tokens", "12", "--temperature", "1", "--device", "cpu"]
    question = ("--prompt", "7x + 3 = 38", "--seed")
    first = run(*ask, *question, "5")
    second, other = (forked(*ask, *question, seed) for seed in ("5", "6"))
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert first.stdout == second.stdout != other.stdout
    piped = forked(*ask, "--no-think", "--dtype", "bfloat16", typed="7x\n다시\n")
    assert piped.returncode == 0, piped.stderr
    assert "? 7x\n" in piped.stdout
    assert "? 다시\n" in piped.stdout
    assert "Thought" not in piped.stdout


def test_what_cannot_be_is_a_sentence_at_once() -> None:
    missing = run("--model", "./none", "--prompt", "hi")
    assert missing.returncode == 3
    assert "There is no checkpoint at ./none" in missing.stderr
    assert run("--model", "x", "--max-tokens", "0").returncode == 2
    shown = run("--help")
    assert "--no-think" in shown.stdout
    assert "Examples:" in shown.stdout
