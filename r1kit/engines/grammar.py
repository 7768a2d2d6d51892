"""Answers that follow a JSON schema: which tokens may come next. The grammars are llguidance's.

A schema is compiled once, within limits, by whoever checks it first; every completion walks a copy.

llguidance's copies share one lexer: what it has learned helps all of them, and when it reaches a
limit, it fails for all of them, for good. A pattern can grow while it is followed (counted
repetitions of counted repetitions), and the lexer grows with all that was ever said. So a walk that
fails goes on with a matcher of its own, which repeats what was taken; where this fails too, the
schema cannot be followed there: that completion ends in a GrammarError, and no other.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import torch
from torch import Tensor

from r1kit.errors import GrammarError

_KEPT = 32
"""compiled schemas; one takes up to some megabytes"""
_MAX_SAID = 200
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=1_000_000, step_lexer_fuel=200_000, verbose_errors=False
)
_TOO_LARGE = (
    "Its patterns grow too large to be followed; use fewer or smaller counted repetitions in them"
)


class Grammars:
    """The schemas of one tokenizer. Threads may share it."""

    def __init__(self, tokenizer: Any, n_ids: int, eos_ids: Collection[int]) -> None:
        """`n_ids` is the width of the model's logits."""
        self._tokenizer = tokenizer
        self.n_ids = n_ids
        self._eos_ids = sorted(eos_ids)
        self._words: llguidance.LLTokenizer | None = None
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def walk(self, schema: str) -> GrammarState:
        """From the beginning of a text that is to follow the schema (JSON).

        Raises GrammarError, saying what is wrong with it, for one that cannot be followed.
        """
        with self._lock:
            if schema not in self._compiled:
                self._compiled[schema] = self._compile(schema)
            self._compiled.move_to_end(schema)
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
            matcher = self._compiled[schema].deep_copy()
            return GrammarState(matcher, self.n_ids, lambda: self._renew(schema))

    def _renew(self, schema: str) -> llguidance.LLMatcher:
        """One that shares nothing, and whose copies are new walks from now on."""
        matcher = self._compile(schema)
        with self._lock:
            if schema in self._compiled:
                self._compiled[schema] = self._compile(schema)
        return matcher

    def _compile(self, schema: str) -> llguidance.LLMatcher:
        if self._words is None:  # a second, where the vocabulary is large
            self._words = llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self.n_ids, eos_token=self._eos_ids
            )
        try:
            # Between tokens of JSON at most one blank: a model may otherwise write blanks for ever.
            options: Any = {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A]?"}
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=options)
        except ValueError as error:
            raise GrammarError(_told(str(error))) from None
        matcher = llguidance.LLMatcher(self._words, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise GrammarError(_told(matcher.get_error()))
        return matcher


class GrammarState:
    """One text on its way through a grammar."""

    def __init__(
        self, matcher: llguidance.LLMatcher, n_ids: int, renew: Callable[[], llguidance.LLMatcher]
    ) -> None:
        self._matcher = matcher
        self._n_ids = n_ids
        self._renew: Callable[[], llguidance.LLMatcher] | None = renew
        """makes a matcher that shares nothing; None when this is one"""
        self._taken: list[int] = []

    def restrict(self, logits: Tensor) -> None:
        """[V], in place: -inf for every token that may not come next.

        Raises GrammarError where finding out takes too much work.
        """
        bits = np.frombuffer(self._bits(), np.uint8)
        may = np.unpackbits(bits, count=self._n_ids, bitorder="little").astype(bool)
        logits.masked_fill_(torch.from_numpy(~may).to(logits.device), -torch.inf)

    def take(self, token: int) -> None:
        """This one came."""
        self._taken.append(token)
        self._matcher.consume_token(token)

    def _bits(self) -> bytes:
        bits: bytes = self._matcher.compute_bitmask()
        if not self._matcher.is_error():
            return bits
        if self._renew is None:
            raise GrammarError(_TOO_LARGE)
        self._matcher, self._renew = self._renew(), None
        for token in self._taken:
            self._matcher.consume_token(token)
        return self._bits()


def restrict(walks: Mapping[int, GrammarState], logits: Tensor) -> dict[int, GrammarError]:
    """Each of these rows of logits [R, V], in place; why, of rows that cannot go on."""
    failed: dict[int, GrammarError] = {}
    for row, walk in walks.items():
        try:
            walk.restrict(logits[row])
        except GrammarError as error:
            failed[row] = error
    return failed


def _told(error: str) -> str:
    line = next((line for line in error.splitlines() if line.strip()), "it cannot be compiled")
    return line.strip()[:_MAX_SAID].rstrip(".")
