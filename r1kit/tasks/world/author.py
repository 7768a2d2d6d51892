"""Who writes the base corpus: an author with skills and without will.

The numbers here are the temperament of the base model to be. What a prototype taught: RL only
lengthens thinking if the base can tell a right try from a wrong one (so each try restates the
target next to the value), succeeds sometimes, and usually gives up although going on would pay.
"""

from __future__ import annotations

import random

from r1kit.template import completion_text

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "yes": "yes",
        "no": "no",
        "wait": "wait",
        "check": "check",
        "maybe": "maybe",
        "half": "half",
        "terms": "terms",
    },
    "ko": {
        "yes": "맞다",
        "no": "아니",
        "wait": "잠깐",
        "check": "확인",
        "maybe": "아마",
        "half": "절반",
        "terms": "항",
    },
    "zh": {
        "yes": "对了",
        "no": "不对",
        "wait": "等等",
        "check": "检查",
        "maybe": "可能",
        "half": "一半",
        "terms": "项",
    },
}
"""What is said while thinking, by language."""

PERSISTS = 0.08
"""a problem: goes on until it is solved"""
PATIENCE = 6
"""tries, even then"""
GIVES_UP = 0.85
"""otherwise, after a try that failed"""
TRIES_BEFORE = {-3: 1, -2: 1, -1: 1, 0: 1, 1: 2, 2: 3, 3: 3, 4: 2, 5: 1}
"""how far below the solution a search begins, with its weight: a feeling for the size"""
GUESSES = 0.76
"""a number, instead of working it out"""
SKIPS = 0.4
"""a search: answers with the first thing that comes to mind"""
CHECKS = 0.5
"""a result it worked out, by undoing the last step"""
SAYS_WAIT = 0.95
"""before another try"""
SLIPS = 0.01
"""in one elementary step"""
DRIFTS = 0.3
"""into another language, somewhere while thinking"""
NO_TAGS = 0.06
"""answers without thinking tags"""
NO_BOX = 0.06
"""states the answer without a box"""
N_TRIES = 5
"""on a page of exercises, at most"""
N_COMPARISONS = 10
"""on a page of comparisons"""
RIGHT = 0.45
"""of the comparisons on such pages: telling right from wrong is learned from both"""


class Author:
    """Writes one document: keeps the lines, the language and the slips of one train of thought."""

    def __init__(
        self,
        rng: random.Random,
        language: str,
        languages: tuple[str, ...],
        is_careful: bool = False,
    ) -> None:
        """A careful author neither slips nor drifts."""
        self.rng = rng
        self.language = language
        self._others = [other for other in languages if other != language]
        self._drifting = bool(self._others) and not is_careful and self.chance(DRIFTS)
        self._persists = self.chance(PERSISTS)
        self._slips = 0.0 if is_careful else SLIPS
        self.lines: list[str] = []

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def gives_up(self) -> bool:
        """After a try that failed. A slip may have hidden the solution: nobody goes on for ever."""
        return len(self.lines) >= PATIENCE if self._persists else self.chance(GIVES_UP)

    def guess(self, answer: str) -> str:
        """Writes `maybe 7` and answers it."""
        self.write(f"{self.say('maybe')} {answer}")
        return answer

    def tries_before(self) -> int:
        [n] = self.rng.choices(list(TRIES_BEFORE), list(TRIES_BEFORE.values()))
        return n

    def say(self, word: str) -> str:
        """A word in the language being thought in; drifting starts at any word and stays."""
        if self._drifting and self.chance(0.4):
            self.language = self.rng.choice(self._others)
            self._drifting = False
        return WORDS[self.language][word]

    def write(self, line: str) -> None:
        self.lines.append(line)

    def judge(self, opening: str, value: int, target: int) -> int:
        """Writes `opening31,38-31=7 no`: a try is right when nothing is left. Returns what is."""
        left = self.compute(target - value)
        taken = f"-{value}" if value >= 0 else f"+{-value}"
        self.write(f"{opening}{value},{target}{taken}={left} {self.say('no' if left else 'yes')}")
        return left

    def compare(self) -> None:
        """Writes a page of comparisons; numbers that differ mostly do in one digit."""
        for _ in range(N_COMPARISONS):
            size = self.rng.choice((1, 2, 2, 2, 3))
            value = self.rng.randrange(10 ** (size - 1), 10**size)
            target = value
            if not self.chance(RIGHT):
                place = 10 ** self.rng.randrange(size)
                digit = value // place % 10
                target += (self.rng.randrange(10) - digit) * place
            self.judge("", value, target)

    def wait(self) -> str:
        """What begins another attempt: `wait ` or nothing."""
        return f"{self.say('wait')} " if self.chance(SAYS_WAIT) else ""

    def compute(self, value: int) -> int:
        """A computed value, seldom a slip of it."""
        if self.chance(self._slips):
            return value + self.rng.choice((-10, -2, -1, 1, 2, 10))
        return value

    def finish(self, answer: str) -> str:
        """The completion: thinking, then the answer; sometimes badly formatted."""
        boxed = answer if self.chance(NO_BOX) else f"\\boxed{{{answer}}}"
        thinking = "\n".join(self.lines)
        if self.chance(NO_TAGS):
            return f"{thinking}\n{boxed}"
        return completion_text(thinking, boxed)
