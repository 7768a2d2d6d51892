"""One completion on its way from the engine to the wire: tokens → text → thinking | answer.

Streamed or not, batched or not, budget or not, every answer goes this one way, so that all of them
say the same.

A thinking budget: when the thinking has used it up, the completion is cut, and prompt + thinking +
closing tag become a new request at the head of the engine's queue, for what is left of max_tokens.
Its randomness is drawn from the seed anew. Up to that point the text is what it would have been
without a budget.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from r1kit.engines.local import Job, LocalEngine
from r1kit.engines.text import Text, TextStream
from r1kit.template import Opening, Piece, StreamParser
from r1kit.types import Completion, Finish, Request

_BROKEN = "\N{REPLACEMENT CHARACTER}"

Thought = Literal["stop", "budget", "length"]
"""how thinking ended: by itself, by its budget, by max_tokens"""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a handler wants of the engine."""

    request: Request
    opening: Opening | None = None
    """where in the assistant's turn the prompt ends; None for a plain text"""
    budget: int | None = None
    """most thinking tokens, less than max_tokens"""
    close_ids: tuple[int, ...] = ()
    """what ends thinking that is over its budget"""
    wants_logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What one completion says next."""

    index: int
    """which of the n"""
    pieces: list[Piece]
    n_tokens: int
    n_thinking: int
    """how many of them are thinking, tags included"""
    tokens: list[tuple[int, float]]
    """id and log-probability of those that were sampled, if asked for"""
    finish: Finish | None = None
    """set in the last one"""
    thought: Thought | None = None
    """set with `finish` where there was thinking"""


class Completing:
    """Completion `index` of what was asked; `advance` after every step, in the engine's thread."""

    def __init__(self, ask: Ask, index: int, job: Job, text: Text) -> None:
        self.job = job
        self.is_over = False
        self._ask = ask
        self._index = index
        self._place = index
        """in the job"""
        self._text = text
        self._stream = TextStream(text, ask.request.sampling.stop)
        self._parser = None if ask.opening is None else StreamParser.after(ask.opening)
        self._n_sent = 0
        """tokens of the job whose text has been said"""
        self._has_thought = False
        self._over_budget = False

    def advance(self, engine: LocalEngine) -> Said | None:
        """What is new since the last time, or None."""
        if self.is_over or self._place >= self.job.n_begun:
            return None
        done = self.job.completions[self._place]
        if done is not None:
            return self._finish(done)
        ids = engine.sampled(self.job, self._place)
        delta = self._stream.advance(ids)
        said = None
        if delta is not None:
            logprobs = []
            if self._ask.wants_logprobs:
                logprobs = engine.logprobs(self.job, self._place)
            said = self._say(delta.text, delta.token_ids, logprobs)
        if self._is_over_budget(len(ids)):
            rest = self._close(engine)
            said = rest if said is None else _joined(said, rest)
        return said

    def _finish(self, done: Completion) -> Said:
        self.is_over = True
        was_thinking = self._is_thinking
        delta = self._stream.finish(done)
        said = self._say(delta.text, delta.token_ids, done.logprobs)
        pieces = self._parser.finish() if self._parser else []
        thought: Thought | None = None
        if was_thinking or self._has_thought:
            by_itself: Thought = "budget" if self._over_budget else "stop"
            thought = "length" if self._is_thinking and done.finish == "length" else by_itself
        return dataclasses.replace(
            said, pieces=said.pieces + pieces, finish=done.finish, thought=thought
        )

    def _say(self, text: str, ids: list[int], logprobs: list[float]) -> Said:
        was_thinking = self._is_thinking
        if self._parser is not None:
            pieces = self._parser.feed(text)
        else:
            pieces = [Piece("answer", text)] if text else []
        is_thought = was_thinking or self._is_thinking
        self._has_thought |= is_thought
        tokens: list[tuple[int, float]] = []
        if self._ask.wants_logprobs:
            new = logprobs[self._n_sent : self._n_sent + len(ids)]
            tokens = list(zip(ids, new, strict=True))
        self._n_sent += len(ids)
        return Said(self._index, pieces, len(ids), len(ids) if is_thought else 0, tokens)

    @property
    def _is_thinking(self) -> bool:
        return self._parser is not None and self._parser.is_thinking

    def _is_over_budget(self, n_thinking: int) -> bool:
        budget = self._ask.budget
        return budget is not None and self._is_thinking and n_thinking >= budget

    def _close(self, engine: LocalEngine) -> Said:
        """Cut the thinking, and have the answer sampled after it."""
        assert self._parser is not None
        cut = engine.cut(self.job, self._place)
        delta = self._stream.finish(cut)
        said = self._say(delta.text.rstrip(_BROKEN), delta.token_ids, cut.logprobs)
        close_ids: tuple[int, ...] = ()
        pieces = said.pieces
        if self._is_thinking:
            pieces = pieces + self._parser.close()
            close_ids = self._ask.close_ids
            self._over_budget = True
        self.job = engine.submit(self._rest(cut, close_ids), ahead=True)
        self._place = self._n_sent = 0
        self._stream = TextStream(self._text, self._ask.request.sampling.stop)
        n = len(close_ids)
        return dataclasses.replace(
            said, pieces=pieces, n_tokens=said.n_tokens + n, n_thinking=said.n_thinking + n
        )

    def _rest(self, cut: Completion, close_ids: tuple[int, ...]) -> Request:
        request = self._ask.request
        used = [*cut.token_ids, *close_ids]
        sampling = dataclasses.replace(
            request.sampling, max_tokens=request.sampling.max_tokens - len(used)
        )
        # Odd constants: the second part must not repeat the numbers of the first, nor of its kin.
        seed = (request.seed * 6364136223846793005 + 2 * self._index + 1) % 2**63
        return Request([*request.prompt_ids, *used], 1, sampling, seed)


def _joined(first: Said, second: Said) -> Said:
    return dataclasses.replace(
        second,
        pieces=first.pieces + second.pieces,
        n_tokens=first.n_tokens + second.n_tokens,
        n_thinking=first.n_thinking + second.n_thinking,
        tokens=first.tokens + second.tokens,
    )
