"""How the driver talks to a contender: a process that loads once and answers "run" on request.

The contender prints one JSON object a line: first what it is, then one a run. Everything its
libraries print goes to its log instead. Standard library only: the peers' environment imports it.
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
    """What everybody is asked to do, equally."""

    model: str
    """a Hugging Face folder"""
    questions: list[str]
    prompts: list[str]
    """the questions as rendered, control tokens included"""
    prompt_ids: list[list[int]]
    """the tokens of `prompts`"""
    eos_ids: list[int]
    pad_id: int
    n_completions: int
    max_tokens: int
    lr: float

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path | str) -> Work:
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def length(self, ids: list[int]) -> int:
        """Tokens of a padded completion up to its end-of-sequence token, which counts."""
        ends = [place for place, token in enumerate(ids) if token in self.eos_ids]
        return ends[0] + 1 if ends else len(ids)


def take_stdout() -> int:
    """A descriptor of stdout for the answers; from now on prints go to stderr, the log."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


class Channel:
    """The contender's side of the line to the driver."""

    def __init__(self, answers: int) -> None:
        self._out = os.fdopen(answers, "w", encoding="utf-8")

    def send(self, answer: Answer) -> None:
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Say no more."""
        self._out.close()

    def wanted(self) -> bool:
        """Blocks until the driver asks for a run; False when it has had enough."""
        return sys.stdin.readline().strip() == "run"

    def serve(self, about: Answer, run: Callable[[], Answer]) -> None:
        """Answers runs until the driver closes the line."""
        self.send(about)
        while self.wanted():
            try:
                self.send(run())
            except Exception as error:
                traceback.print_exc()
                self.send({"error": f"{type(error).__name__}: {error}"})
                return


def coin(text: str) -> float:
    """The reward of everybody: a coin thrown by the text, so that every group is mixed.

    With a real verifier many groups would be all wrong, and r1kit learns nothing from those, for
    free; the coin takes that advantage away.
    """
    return float(zlib.crc32(text.encode()) & 1)
