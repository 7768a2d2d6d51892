"""The author of the base corpus: writes thinking that could solve problems, but often gives up.

The constants here determine the behaviour of the base model. A prototype showed that RL lengthens
thinking only if the base can tell a correct try from a wrong one (so each try restates the target
next to the value), succeeds sometimes, and usually gives up although continuing would pay off.
"""

from __future__ import annotations

import random

from r1kit.renderers.thinking import completion_text

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
"""vocabulary of the thinking, by language"""

P_PERSIST = 0.08
"""probability per problem of continuing until it is solved"""
MAX_TRIES = 6
"""maximum number of lines (one per try) even then"""
P_GIVE_UP = 0.85
"""probability, otherwise, of giving up after a failed try"""
TRIES_BEFORE = {-3: 1, -2: 1, -1: 1, 0: 1, 1: 2, 2: 3, 3: 3, 4: 2, 5: 1}
"""distance below the solution at which a search begins → its weight: a rough sense of magnitude"""
P_GUESS = 0.76
"""probability of guessing a number instead of working it out"""
P_SKIP = 0.4
"""probability of skipping a search and answering with its first candidate"""
P_CHECK = 0.5
"""probability of checking a computed result by undoing the last step"""
P_WAIT = 0.95
"""probability of writing "wait" before another try"""
P_SLIP = 0.01
"""probability of a slip in one elementary step"""
P_DRIFT = 0.3
"""probability of drifting into another language somewhere in the thinking"""
P_NO_TAGS = 0.06
"""probability of answering without thinking tags"""
P_NO_BOX = 0.06
"""probability of stating the answer without a box"""
N_TRIES = 5
"""maximum number of tries on a page of exercises"""
N_COMPARISONS = 10
"""number of comparisons on a page of comparisons"""
P_TRUE_COMPARISON = 0.45
"""share of correct comparisons on such pages: telling right from wrong is learned from both"""


class Author:
    """The generator of one document, with the lines, language and slips of its thinking."""

    def __init__(
        self,
        rng: random.Random,
        language: str,
        languages: tuple[str, ...],
        is_careful: bool = False,
    ) -> None:
        """Create an author; a careful one neither slips nor drifts."""
        self.rng = rng
        self.language = language
        self._other_languages = [other for other in languages if other != language]
        self._will_drift = bool(self._other_languages) and not is_careful and self.chance(P_DRIFT)
        self._persists = self.chance(P_PERSIST)
        self._slip_probability = 0.0 if is_careful else P_SLIP
        self.lines: list[str] = []

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def gives_up(self) -> bool:
        """Decide whether to give up after a failed try.

        Even a persistent author stops eventually, as a slip may have hidden the solution.
        """
        return len(self.lines) >= MAX_TRIES if self._persists else self.chance(P_GIVE_UP)

    def guess(self, answer: str) -> str:
        """Write `maybe 7` and return it as the answer."""
        self.write(f"{self.say('maybe')} {answer}")
        return answer

    def tries_before(self) -> int:
        [n] = self.rng.choices(list(TRIES_BEFORE), list(TRIES_BEFORE.values()))
        return n

    def say(self, word: str) -> str:
        """Return a word in the current language; drifting starts at any word and lasts."""
        if self._will_drift and self.chance(0.4):
            self.language = self.rng.choice(self._other_languages)
            self._will_drift = False
        return WORDS[self.language][word]

    def write(self, line: str) -> None:
        self.lines.append(line)

    def judge(self, opening: str, value: int, target: int) -> int:
        """Write `opening31,38-31=7 no` and return the remainder; a try is correct if it is 0."""
        rest = self.compute(target - value)
        term = f"-{value}" if value >= 0 else f"+{-value}"
        self.write(f"{opening}{value},{target}{term}={rest} {self.say('no' if rest else 'yes')}")
        return rest

    def compare(self) -> None:
        """Write a page of comparisons; unequal numbers differ in one digit."""
        for _ in range(N_COMPARISONS):
            size = self.rng.choice((1, 2, 2, 2, 3))
            value = self.rng.randrange(10 ** (size - 1), 10**size)
            target = value
            if not self.chance(P_TRUE_COMPARISON):
                place_value = 10 ** self.rng.randrange(size)
                digit = value // place_value % 10
                target += (self.rng.randrange(10) - digit) * place_value
            self.judge("", value, target)

    def wait(self) -> str:
        """Return the beginning of another try: `wait ` or nothing."""
        return f"{self.say('wait')} " if self.chance(P_WAIT) else ""

    def compute(self, value: int) -> int:
        """Return the value, or rarely a wrong one (a slip)."""
        if self.chance(self._slip_probability):
            return value + self.rng.choice((-10, -2, -1, 1, 2, 10))
        return value

    def finish(self, answer: str) -> str:
        """Return the completion: thinking, then the answer; sometimes badly formatted."""
        statement = answer if self.chance(P_NO_BOX) else f"\\boxed{{{answer}}}"
        thinking = "\n".join(self.lines)
        if self.chance(P_NO_TAGS):
            return f"{thinking}\n{statement}"
        return completion_text(thinking, statement)
