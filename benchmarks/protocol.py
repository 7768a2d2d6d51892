"""The protocol between driver and contender: a process that loads once, then runs on request.

The contender prints one JSON object per line: first its description, then one per run. All other
output of its libraries goes to its log. Standard library only, because the peers' environment
imports this module.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """The workload, the same for every contender."""

    model: str
    """path of a Hugging Face folder"""
    questions: list[str]
    prompts: list[str]
    """the rendered questions, control tokens included"""
    prompt_ids: list[list[int]]
    """token ids of `prompts`"""
    eos_ids: list[int]
    pad_id: int
    n_completions: int
    max_tokens: int
    lr: float
    n_parameters: int
    dtype: str = "float32"
    """dtype of the weights of r1kit's contenders; the peers take theirs as an option"""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path | str) -> Work:
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def length(self, ids: list[int]) -> int:
        """Return the number of tokens of a padded completion, up to and including its EOS token."""
        ends = [place for place, token in enumerate(ids) if token in self.eos_ids]
        return ends[0] + 1 if ends else len(ids)


def take_stdout() -> int:
    """Return a descriptor of stdout for the answers; from now on prints go to stderr, the log."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


class Channel:
    """The contender's end of the connection to the driver."""

    def __init__(self, answers: int) -> None:
        self._out = os.fdopen(answers, "w", encoding="utf-8")

    def send(self, answer: Answer) -> None:
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Close the connection."""
        self._out.close()

    def wanted(self) -> bool:
        """Block until the driver requests a run; False when it requests no more."""
        return sys.stdin.readline().strip() == "run"

    def serve(self, about: Answer, run: Callable[[], Answer]) -> None:
        """Answer runs until the driver closes the connection."""
        self.send(about)
        while self.wanted():
            try:
                self.send(run())
            except Exception as error:
                traceback.print_exc()
                self.send({"error": f"{type(error).__name__}: {error}"})
                return


def coin(text: str) -> float:
    """Return the reward that all contenders use: a coin toss by the text, so every group is mixed.

    With a real verifier many groups would be all wrong, and r1kit skips those at no cost; the coin
    toss removes that advantage.
    """
    return float(zlib.crc32(text.encode()) & 1)
