"""Answers that follow a JSON schema: which tokens may come next. The grammars are llguidance's.

A schema is compiled once, within limits, by whoever checks it first; every completion walks a copy.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import torch
from torch import Tensor

from r1kit.errors import EngineError

_KEPT = 32
"""compiled schemas; one takes up to some megabytes"""
_MAX_SAID = 200
_LIMITS = llguidance.LLParserLimits(initial_lexer_fuel=1_000_000, step_lexer_fuel=200_000)


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

    def walk(self, schema: str) -> Walk:
        """From the beginning of a text that is to follow the schema (JSON).

        Raises EngineError, saying what is wrong with it, for one that cannot be followed.
        """
        with self._lock:
            if schema not in self._compiled:
                self._compiled[schema] = self._compile(schema)
            self._compiled.move_to_end(schema)
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
            return Walk(self._compiled[schema].deep_copy(), self.n_ids)

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
            raise EngineError(_told(str(error))) from None
        matcher = llguidance.LLMatcher(self._words, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise EngineError(_told(matcher.get_error()))
        return matcher


class Walk:
    """One text on its way through a grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, n_ids: int) -> None:
        self._matcher = matcher
        self._n_ids = n_ids

    def restrict(self, logits: Tensor) -> None:
        """[V], in place: -inf for every token that may not come next."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise EngineError("The answer left its JSON schema behind; ask again.")
        may = np.unpackbits(bits, count=self._n_ids, bitorder="little").astype(bool)
        logits.masked_fill_(torch.from_numpy(~may).to(logits.device), -torch.inf)

    def take(self, token: int) -> None:
        """This one came."""
        self._matcher.consume_token(token)


def _told(error: str) -> str:
    line = next((line for line in error.splitlines() if line.strip()), "it cannot be compiled")
    return line.strip()[:_MAX_SAID].rstrip(".")
