"""One completion on its way from the engine to its reader: tokens → text → thinking | answer.

Streamed or not, batched or not, budget or not, every answer goes this one way, so that all of them
say the same.

A thinking budget: when the thinking has used it up, the completion is cut, and prompt + thinking +
closing tag become a new request at the head of the engine's queue, for what is left of max_tokens.
Its randomness is drawn from the seed anew. Up to that point the text is what it would have been
without a budget. An answer that follows a JSON schema, or has a limit of its own, begins in the
same way, after thinking of any length: schema and limit bind the new request alone. So does the
answer of a model that ends its text before it has answered, inside its thinking or right behind
it: the new request does not begin with an EOS token.

Stop strings are looked for here, in the answer, and no engine is told about them: an engine would
find them in the thinking too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from r1kit.engines.base import RequestState, StepEngine, TokenLogprobs
from r1kit.engines.text import Text, TextStream, UntilStop
from r1kit.template import Piece, RenderedPrompt, StreamParser
from r1kit.types import Completion, Finish, Request, Sampling, TopLogprobs

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_UNTOLD = TokenLogprobs([], [])

ThinkingEnd = Literal["stop", "budget", "length"]
"""how thinking ended: by itself (its tag, or the end of the text), by its budget, by max_tokens"""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a handler wants of the engine."""

    request: Request
    opening: RenderedPrompt | None = None
    """where in the assistant's turn the prompt ends; None for a plain text"""
    budget: int | None = None
    """most thinking tokens, less than max_tokens"""
    close_ids: tuple[int, ...] = ()
    """what ends thinking that does not end in its tag, or goes before another `answer`"""
    answer: Sampling | None = None
    """how the answer after the thinking is drawn, if that differs: `request` stops at the tag then;
    of `max_tokens` what is left counts as well"""
    stop: tuple[str, ...] = ()
    """what ends the answer; thinking may hold it. Where there is no `opening`, `request` says it"""
    wants_logprobs: bool = False


class SampledToken(NamedTuple):
    """One that was sampled."""

    id: int
    logprob: float
    top: TopLogprobs
    """the likeliest in its place, as many as were asked for"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one completion says next."""

    index: int
    """which of the n"""
    pieces: list[Piece]
    n_tokens: int
    n_thinking: int
    """how many of them are thinking, tags included"""
    tokens: list[SampledToken]
    """those that were sampled, if asked for"""
    n_cached: int = 0
    """tokens of the prompt that were known from earlier prompts"""
    finish: Finish | None = None
    """set in the last one"""
    thought: ThinkingEnd | None = None
    """set with `finish` where there was thinking"""
    ending: str | None = None
    """set with `finish` where a server behind us has a word of the API for it that we never use"""


def begin(engine: StepEngine, ask: GenerationRequest, tokenizer: Any) -> list[CompletionStream]:
    """Have all n completions sampled. Raises EngineError if they cannot be."""
    request, opening = ask.request, ask.opening
    if opening is not None and opening.part != "thinking" and not opening.begun:
        # As behind thinking, the answer is not empty.
        sampling = dataclasses.replace(request.sampling, min_tokens=1)
        request = dataclasses.replace(request, sampling=sampling)
    job = engine.submit(request)
    text = Text(tokenizer, engine.eos_ids)
    return [CompletionStream(ask, index, job, text) for index in range(request.n)]


class CompletionStream:
    """Completion `index` of what was asked; `advance` after every step, in the engine's thread."""

    def __init__(self, ask: GenerationRequest, index: int, job: RequestState, text: Text) -> None:
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
        self._until = UntilStop(ask.stop)
        """the answer's stop strings"""
        self._n_sent = 0
        """tokens of the job whose text has been said"""
        self._has_thought = self._has_answered = False
        self._has_closed = False
        """the job is the answer's own"""
        self._over_budget = False

    def advance(self, engine: StepEngine) -> list[Chunk]:
        """What is new since the last time."""
        if self.is_over or self._place >= self.job.n_begun:
            return []
        done = self.job.completions[self._place]
        ids, saids = engine.sampled(self.job, self._place), []
        text_ids = _without_eos(engine, ids)
        is_ended = done is not None or len(text_ids) < len(ids)  # the engine may say so later
        if self._is_over_budget(len(ids), is_ended):
            saids = self._look(engine, text_ids[: self._ask.budget])
            if self._is_over_budget(len(ids), is_ended):
                return [*saids, self._close(engine, by_budget=True)]
        if done is None:
            return saids + self._look(engine, text_ids)
        if done.finish == "stop" and self._lacks_answer:
            saids += self._look(engine, text_ids)
            if self._lacks_answer:
                if self._has_room(text_ids):
                    return [*saids, self._close(engine)]
                done = dataclasses.replace(done, finish="length")
        return saids + self._finish(engine, done)

    def _look(self, engine: StepEngine, ids: list[int]) -> list[Chunk]:
        """What can be said of these tokens while it goes on."""
        odds = engine.odds(self.job, self._place) if self._ask.wants_logprobs else _UNTOLD
        saids: list[Chunk] = []
        for n in self._looks(ids):
            if not self.is_over and (delta := self._stream.advance(ids[:n])):
                said = self._say(delta.text, delta.token_ids, odds)
                saids.append(self._stop(engine, said) if self._until.is_stopped else said)
        return saids

    def _looks(self, ids: list[int]) -> Iterable[int]:
        """How many tokens to look at, one look after the other.

        At all of them at once, but for a thinking tag and a stop string: what comes before a tag
        counts as thinking, and what comes after it does not, however many come together; and what
        comes after a stop string does not count.
        """
        start, marks = self._n_sent, self._marks
        if not marks or len(ids) - start < 2:
            return (len(ids),)
        reach = max(len(mark.encode()) for mark in marks)  # a token is at least one byte
        tail = self._text.decode(ids[max(0, start - reach) :])
        is_plain = not any(mark in tail for mark in marks)
        return (len(ids),) if is_plain else range(start + 1, len(ids) + 1)

    @property
    def _marks(self) -> tuple[str, ...]:
        """What changes the meaning of the text that comes after it."""
        tag = self._parser.next_tag if self._parser else ""
        stop = () if self._is_thinking else self._ask.stop
        return (tag, *stop) if tag else stop

    def _finish(self, engine: StepEngine, done: Completion) -> list[Chunk]:
        *before, _ = self._looks(done.token_ids)
        saids = [said for n in before for said in self._look(engine, done.token_ids[:n])]
        if self.is_over:
            return saids
        delta = self._stream.finish(done)
        said = self._say(delta.text, delta.token_ids, done)
        rest = self._answered(self._parser.finish()) if self._parser else []
        if held := self._until.finish():
            rest.append(Piece("answer", held))
        finish = "stop" if self._until.is_stopped else done.finish
        return [*saids, self._end(dataclasses.replace(said, pieces=said.pieces + rest), finish)]

    def _stop(self, engine: StepEngine, said: Chunk) -> Chunk:
        """A stop string has come: nobody wants more of the job."""
        if self.job.completions[self._place] is None:
            engine.cut(self.job, self._place)
        return self._end(said, "stop")

    def _end(self, said: Chunk, finish: Finish) -> Chunk:
        """The last one."""
        self.is_over = True
        thought: ThinkingEnd | None = None
        if self._has_thought:
            by_itself: ThinkingEnd = "budget" if self._over_budget else "stop"
            thought = "length" if self._is_thinking and finish == "length" else by_itself
        return dataclasses.replace(said, finish=finish, thought=thought)

    def _answered(self, pieces: list[Piece]) -> list[Piece]:
        """As much of them as comes before the answer's first stop string."""
        kept: list[Piece] = []
        for piece in pieces:
            text = piece.text
            if piece.kind == "answer":
                self._has_answered = True
                text = self._until.feed(text)
            elif self._until.is_stopped:
                break
            if text:
                kept.append(Piece(piece.kind, text))
        return kept

    def _say(self, text: str, ids: list[int], odds: TokenLogprobs | Completion) -> Chunk:
        was_thinking = self._is_thinking
        if self._parser is not None:
            pieces = self._answered(self._parser.feed(text))
        else:
            pieces = [Piece("answer", text)] if text else []
        is_thought = was_thinking or self._is_thinking
        self._has_thought |= is_thought
        tokens: list[SampledToken] = []
        if self._ask.wants_logprobs:
            new = slice(self._n_sent, self._n_sent + len(ids))
            tops = odds.tops[new] or [[]] * len(ids)
            tokens = [SampledToken(*t) for t in zip(ids, odds.logprobs[new], tops, strict=True)]
        self._n_sent += len(ids)
        n_thinking = len(ids) if is_thought else 0
        return Chunk(self._index, pieces, len(ids), n_thinking, tokens, self._asked.n_cached)

    @property
    def _is_thinking(self) -> bool:
        return self._parser is not None and self._parser.is_thinking

    def _is_over_budget(self, n: int, is_ended: bool) -> bool:
        """It thinks, after n tokens; one that has ended by itself may have used all of them."""
        budget = self._ask.budget
        return budget is not None and self._is_thinking and n >= budget + is_ended

    @property
    def _lacks_answer(self) -> bool:
        """Whether a text that ended here would have thinking alone; it is continued once."""
        is_silent = self._has_thought and not self._has_answered
        return self._is_thinking or (is_silent and not self._has_closed)

    def _has_room(self, ids: list[int]) -> bool:
        """Whether a token of the answer is left of max_tokens, behind the closing tag."""
        n_closing = len(self._ask.close_ids) if self._is_thinking else 0
        return len(ids) + n_closing < self.job.request.sampling.max_tokens

    def _close(self, engine: StepEngine, by_budget: bool = False) -> Chunk:
        """End the thinking, if it goes on, and have the answer sampled after it."""
        assert self._parser is not None
        cut, has_tag = self._cut(engine)
        delta = self._stream.finish(cut)
        said = self._say(delta.text.rstrip(_BROKEN), delta.token_ids, cut)
        close_ids: tuple[int, ...] = ()
        pieces = said.pieces
        if self._is_thinking:
            pieces = pieces + self._parser.close()
            close_ids = self._ask.close_ids
            self._over_budget = by_budget and not has_tag
        self._has_closed = True
        self.job = engine.submit(self._rest(cut, close_ids), ahead=True)
        self._place = self._n_sent = 0
        self._stream = TextStream(self._text, self.job.request.sampling.stop)
        n = len(close_ids)
        return dataclasses.replace(
            said, pieces=pieces, n_tokens=said.n_tokens + n, n_thinking=said.n_thinking + n
        )

    def _cut(self, engine: StepEngine) -> tuple[Completion, bool]:
        """The completion as far as it is kept, and whether the tag came that ends its thinking.

        An engine may be ahead of us.
        """
        done = self.job.completions[self._place]
        whole = engine.cut(self.job, self._place) if done is None else done
        ids = _without_eos(engine, whole.token_ids)
        if self._is_thinking:
            ids = ids[: self._ask.budget]
        text, has_tag = self._text.complete(ids, self.job.request.sampling.stop)
        while has_tag and len(self._text.decode(ids)) > len(text):
            ids = ids[:-1]  # the tag is written again, by the template's own tokens
        logprobs, tops = whole.logprobs[: len(ids)], whole.tops[: len(ids)]
        cut = Completion(ids, logprobs, text, "abort", whole.policy_version, tops)
        return cut, has_tag

    def _rest(self, cut: Completion, close_ids: tuple[int, ...]) -> Request:
        request = self._ask.request
        used = [*cut.token_ids, *close_ids]
        left = request.sampling.max_tokens - len(used)
        sampling = self._ask.answer or request.sampling
        most = min(sampling.max_tokens, left)
        sampling = dataclasses.replace(sampling, max_tokens=most, min_tokens=1)
        # Odd constants: the second part must not repeat the numbers of the first, nor of its kin.
        seed = (request.seed * 6364136223846793005 + 2 * self._index + 1) % 2**63
        return Request([*request.prompt_ids, *used], 1, sampling, seed)


def _without_eos(engine: StepEngine, ids: list[int]) -> list[int]:
    return ids[:-1] if ids and ids[-1] in engine.eos_ids else ids
