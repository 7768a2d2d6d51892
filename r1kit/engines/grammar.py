"""Constrained decoding to a JSON schema or grammar: masks of the tokens that may come next.

llguidance computes them. A schema is compiled once, within limits, at its first use; every
completion gets a copy.

Copies of an llguidance matcher share one lexer: its cache helps all of them, and when it reaches a
limit, it fails for all of them, permanently. A pattern can grow while it is matched (counted
repetitions of counted repetitions), and the lexer grows with all text ever matched. So a
`GrammarState` that fails continues with a newly compiled matcher that shares nothing and replays
the tokens so far. If that fails too, this completion alone ends with a GrammarError.
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
from r1kit.renderers.call_grammar import JSON_OPTIONS
from r1kit.types import SamplingParams

_MAX_SCHEMAS = 32
"""maximum number of compiled schemas in the cache; one takes up to a few megabytes"""
_MAX_ERROR = 200
LARK_START = "%llguidance"
"""text with which a grammar in Lark begins, and no JSON"""
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=1_000_000, step_lexer_fuel=200_000, verbose_errors=False
)
_TOO_LARGE = (
    "Its patterns grow too large to be followed; use fewer or smaller counted repetitions in them"
)


class Grammars:
    """A thread-safe cache of the schemas compiled for one tokenizer."""

    def __init__(self, tokenizer: Any, vocab_size: int, eos_ids: Collection[int]) -> None:
        """`vocab_size` is the width of the model's logits."""
        self._tokenizer = tokenizer
        self.vocab_size = vocab_size
        self._eos_ids = sorted(eos_ids)
        self._words: llguidance.LLTokenizer | None = None
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def special_ids(self) -> dict[str, int]:
        """Return the tokens that no pattern of a grammar matches, without EOS tokens, by text.

        llguidance takes added tokens in angle brackets for special ones, whatever their flag.
        """
        with self._lock:
            added, words = self._tokenizer.added_tokens_decoder, self._opened()
        return {
            token.content: index
            for index, token in added.items()
            if index < self.vocab_size
            and index not in self._eos_ids
            and words.is_special_token(index)
        }

    def start_of(self, sampling: SamplingParams) -> GrammarState | None:
        """Return the state at the start of a completion; None if nothing constrains it."""
        schema = sampling.json_schema if sampling.lark is None else sampling.lark
        return None if schema is None else self.start(schema)

    def start(self, schema: str) -> GrammarState:
        """Return the state at the start of a text that is to match the schema (JSON) or Lark.

        Raises GrammarError, saying what is wrong, for a schema that cannot be compiled.
        """
        with self._lock:
            if schema not in self._compiled:
                self._compiled[schema] = self._compile(schema)
            self._compiled.move_to_end(schema)
            if len(self._compiled) > _MAX_SCHEMAS:
                self._compiled.popitem(last=False)
            matcher = self._compiled[schema].deep_copy()
            return GrammarState(matcher, self.vocab_size, lambda: self._renew(schema))

    def _renew(self, schema: str) -> llguidance.LLMatcher:
        """Return a new matcher that shares no lexer, and put another new one in the cache."""
        matcher = self._compile(schema)
        with self._lock:
            if schema in self._compiled:
                self._compiled[schema] = self._compile(schema)
        return matcher

    def _opened(self) -> llguidance.LLTokenizer:
        if self._words is None:  # takes a second for a large vocabulary
            self._words = llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self.vocab_size, eos_token=self._eos_ids
            )
        return self._words

    def _compile(self, schema: str) -> llguidance.LLMatcher:
        words = self._opened()
        grammar = schema
        try:
            if not schema.startswith(LARK_START):
                options: Any = JSON_OPTIONS
                grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=options)
        except ValueError as error:
            raise GrammarError(_message(str(error))) from None
        matcher = llguidance.LLMatcher(words, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise GrammarError(_message(matcher.get_error()))
        return matcher


class GrammarState:
    """The position of one text in a grammar."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        vocab_size: int,
        renew: Callable[[], llguidance.LLMatcher],
    ) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._renew: Callable[[], llguidance.LLMatcher] | None = renew
        """creates a matcher with a lexer of its own; None once `_matcher` is one"""
        self._tokens: list[int] = []

    def restrict(self, logits: Tensor) -> None:
        """Set the logits [V] of every token that may not come next to -inf, in place.

        Raises GrammarError if computing the mask takes too much work.
        """
        bits = np.frombuffer(self._bits(), np.uint8)
        is_allowed = np.unpackbits(bits, count=self._vocab_size, bitorder="little").astype(bool)
        logits.masked_fill_(torch.from_numpy(~is_allowed).to(logits.device), -torch.inf)

    def take(self, token: int) -> None:
        """Advance by the sampled token."""
        self._tokens.append(token)
        self._matcher.consume_token(token)

    def _bits(self) -> bytes:
        bits: bytes = self._matcher.compute_bitmask()
        if not self._matcher.is_error():
            return bits
        if self._renew is None:
            raise GrammarError(_TOO_LARGE)
        self._matcher, self._renew = self._renew(), None
        for token in self._tokens:
            self._matcher.consume_token(token)
        return self._bits()


def restrict(grammars: Mapping[int, GrammarState], logits: Tensor) -> dict[int, GrammarError]:
    """Mask these rows of logits [R, V] in place; return the errors of rows that cannot go on."""
    failed: dict[int, GrammarError] = {}
    for row, grammar in grammars.items():
        try:
            grammar.restrict(logits[row])
        except GrammarError as error:
            failed[row] = error
    return failed


def _message(error: str) -> str:
    """Return the reason; that of a pattern stands in the last line, after the pattern itself."""
    lines = [line for line in error.splitlines() if line.strip()] or ["it cannot be compiled"]
    reasons = [line for line in lines if line.strip().startswith("error: ")]
    line = f"a pattern cannot be followed: {reasons[0].strip()[7:]}" if reasons else lines[0]
    return line.strip()[:_MAX_ERROR].rstrip(".")
