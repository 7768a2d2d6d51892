"""One completion on its way from the engine to the wire: tokens → text → thinking | answer.

Streamed or not, batched or not, budget or not, every answer goes this one way, so that all of them
say the same.

A thinking budget: when the thinking has used it up, the completion is cut, and prompt + thinking +
closing tag become a new request at the head of the engine's queue, for what is left of max_tokens.
Its randomness is drawn from the seed anew. Up to that point the text is what it would have been
without a budget. An answer that follows a JSON schema, or has a limit of its own, begins in the
same way, after thinking of any length: schema and limit bind the new request alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from r1kit.engines.base import Job, Odds, Stepped
from r1kit.engines.text import Text, TextStream
from r1kit.template import END_THINK, Opening, Piece, StreamParser
from r1kit.types import Completion, Finish, Request, Sampling, Top

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_UNTOLD = Odds([], [])

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
    """what ends thinking that is over its budget, or goes before another `answer`"""
    answer: Sampling | None = None
    """how the answer after the thinking is drawn, if that differs: `request` stops at the tag then;
    of `max_tokens` what is left counts as well"""
    wants_logprobs: bool = False


class Token(NamedTuple):
    """One that was sampled."""

    id: int
    logprob: float
    top: Top
    """the likeliest in its place, as many as were asked for"""


@dataclass(frozen=True, slots=True)
class Said:
    """What one completion says next."""

    index: int
    """which of the n"""
    pieces: list[Piece]
    n_tokens: int
    n_thinking: int
    """how many of them are thinking, tags included"""
    tokens: list[Token]
    """those that were sampled, if asked for"""
    n_cached: int = 0
    """tokens of the prompt that were known from earlier prompts"""
    finish: Finish | None = None
    """set in the last one"""
    thought: Thought | None = None
    """set with `finish` where there was thinking"""


class Completing:
    """Completion `index` of what was asked; `advance` after every step, in the engine's thread."""

    def __init__(self, ask: Ask, index: int, job: Job, text: Text) -> None:
        self.job = job
        self.is_over = False
        self._asked = job
        self._ask = ask
        self._index = index
        self._place = index
        """in the job"""
        self._text = text
        self._stream = TextStream(text, job.request.sampling.stop)
        self._parser = None if ask.opening is None else StreamParser.after(ask.opening)
        self._n_sent = 0
        """tokens of the job whose text has been said"""
        self._has_thought = False
        self._over_budget = False

    def advance(self, engine: Stepped) -> list[Said]:
        """What is new since the last time."""
        if self.is_over or self._place >= self.job.n_begun:
            return []
        done = self.job.completions[self._place]
        ids, said = engine.sampled(self.job, self._place), []
        if self._is_over_budget(len(ids), done):
            said = self._look(engine, ids[: self._ask.budget])
            if self._is_over_budget(len(ids), done):
                return [*said, self._close(engine)]
        if done is None:
            return said + self._look(engine, ids)
        if self._is_closed_by_tag(done):
            n_used = len(done.token_ids) + len(self._ask.close_ids)
            if n_used < self.job.request.sampling.max_tokens:
                return [*said, self._close(engine)]
            done = dataclasses.replace(done, finish="length")  # no room for the answer
        return said + self._finish(engine, done)

    def _look(self, engine: Stepped, ids: list[int]) -> list[Said]:
        """What can be said of these tokens while it goes on."""
        odds = engine.odds(self.job, self._place) if self._ask.wants_logprobs else _UNTOLD
        deltas = (self._stream.advance(ids[:n]) for n in self._looks(ids))
        return [self._say(delta.text, delta.token_ids, odds) for delta in deltas if delta]

    def _looks(self, ids: list[int]) -> Iterable[int]:
        """How many tokens to look at, one look after the other.

        At all of them at once, but for a thinking tag: what comes before it counts as thinking, and
        what comes after it does not, however many come together.
        """
        start, tag = self._n_sent, "" if self._parser is None else self._parser.next_tag
        is_one = not tag or len(ids) - start < 2
        if is_one or tag not in self._text.decode(ids[max(0, start - len(tag)) :]):
            return (len(ids),)
        return range(start + 1, len(ids) + 1)

    def _finish(self, engine: Stepped, done: Completion) -> list[Said]:
        *before, _ = self._looks(done.token_ids)
        saids = [said for n in before for said in self._look(engine, done.token_ids[:n])]
        self.is_over = True
        was_thinking = self._is_thinking
        delta = self._stream.finish(done)
        said = self._say(delta.text, delta.token_ids, done)
        pieces = self._parser.finish() if self._parser else []
        thought: Thought | None = None
        if was_thinking or self._has_thought:
            by_itself: Thought = "budget" if self._over_budget else "stop"
            thought = "length" if self._is_thinking and done.finish == "length" else by_itself
        last = dataclasses.replace(
            said, pieces=said.pieces + pieces, finish=done.finish, thought=thought
        )
        return [*saids, last]

    def _say(self, text: str, ids: list[int], odds: Odds | Completion) -> Said:
        was_thinking = self._is_thinking
        if self._parser is not None:
            pieces = self._parser.feed(text)
        else:
            pieces = [Piece("answer", text)] if text else []
        is_thought = was_thinking or self._is_thinking
        self._has_thought |= is_thought
        tokens: list[Token] = []
        if self._ask.wants_logprobs:
            new = slice(self._n_sent, self._n_sent + len(ids))
            tops = odds.tops[new] or [[]] * len(ids)
            tokens = [Token(*t) for t in zip(ids, odds.logprobs[new], tops, strict=True)]
        self._n_sent += len(ids)
        n_thinking = len(ids) if is_thought else 0
        return Said(self._index, pieces, len(ids), n_thinking, tokens, self._asked.n_cached)

    @property
    def _is_thinking(self) -> bool:
        return self._parser is not None and self._parser.is_thinking

    def _is_over_budget(self, n: int, done: Completion | None) -> bool:
        """It thinks, after n tokens; one that has ended by itself may have used all of them."""
        budget = self._ask.budget
        return budget is not None and self._is_thinking and n >= budget + (done is not None)

    def _is_closed_by_tag(self, done: Completion) -> bool:
        """Only where the answer is a request of its own does the tag end a completion."""
        is_asked = self._ask.answer is not None and self._is_thinking
        return is_asked and END_THINK in self._text.decode(done.token_ids)

    def _close(self, engine: Stepped) -> Said:
        """Cut the thinking at its budget or its tag, and have the answer sampled after it."""
        assert self._parser is not None
        cut, by_budget = self._cut(engine)
        delta = self._stream.finish(cut)
        said = self._say(delta.text.rstrip(_BROKEN), delta.token_ids, cut)
        close_ids: tuple[int, ...] = ()
        pieces = said.pieces
        if self._is_thinking:
            pieces = pieces + self._parser.close()
            close_ids = self._ask.close_ids
            self._over_budget = by_budget
        self.job = engine.submit(self._rest(cut, close_ids), ahead=True)
        self._place = self._n_sent = 0
        self._stream = TextStream(self._text, self.job.request.sampling.stop)
        n = len(close_ids)
        return dataclasses.replace(
            said, pieces=pieces, n_tokens=said.n_tokens + n, n_thinking=said.n_thinking + n
        )

    def _cut(self, engine: Stepped) -> tuple[Completion, bool]:
        """The completion as far as its thinking goes, and whether its budget is what ends it.

        An engine may be ahead of us.
        """
        done = self.job.completions[self._place]
        whole = engine.cut(self.job, self._place) if done is None else done
        ids = whole.token_ids[: self._ask.budget]
        text, is_ended = self._text.complete(ids, self.job.request.sampling.stop)
        while is_ended and len(self._text.decode(ids)) > len(text):
            ids = ids[:-1]  # the tag is written again, by the template's own tokens
        logprobs, tops = whole.logprobs[: len(ids)], whole.tops[: len(ids)]
        cut = Completion(ids, logprobs, text, "abort", whole.policy_version, tops)
        return cut, not is_ended

    def _rest(self, cut: Completion, close_ids: tuple[int, ...]) -> Request:
        request = self._ask.request
        used = [*cut.token_ids, *close_ids]
        left = request.sampling.max_tokens - len(used)
        sampling = self._ask.answer or request.sampling
        sampling = dataclasses.replace(sampling, max_tokens=min(sampling.max_tokens, left))
        # Odd constants: the second part must not repeat the numbers of the first, nor of its kin.
        seed = (request.seed * 6364136223846793005 + 2 * self._index + 1) % 2**63
        return Request([*request.prompt_ids, *used], 1, sampling, seed)
