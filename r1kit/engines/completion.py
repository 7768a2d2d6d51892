"""Post-processing of one completion: tokens → text → thinking | answer.

Every completion takes this path, whether it is streamed, batched or under a thinking budget, so
that the text is the same in all cases.

Thinking budget: when the thinking has used it up, the completion is cut, and prompt + thinking +
closing tag become a new request at the head of the engine's queue, for the rest of max_tokens. The
new request has a seed derived from the old one. Up to the cut the text is the same as without a
budget. An answer with a JSON schema, or with a token limit of its own, starts the same way after
thinking of any length: schema and limit apply to the new request only. The same happens when the
model ends its text before the answer, inside its thinking or right after it; the new request cannot
start with an EOS token.

The stop strings of an answer are matched here and not by the engine, which would also match them
inside the thinking.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from r1kit.engines.base import RequestState, StreamingSampler, TokenLogprobs
from r1kit.engines.sampled_tokens import SampledToken, SampledTokens, prompt_tokens
from r1kit.engines.text import Detokenizer, IncrementalDetokenizer, StopStringFilter
from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.stream_parser import Piece
from r1kit.types import Completion, FinishReason, Request, SamplingParams

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_NO_LOGPROBS = TokenLogprobs([], [])

ThinkingEnd = Literal["stop", "budget", "length"]
"""reason the thinking ended: its closing tag or the end of the text ("stop"), its budget, or
max_tokens ("length")"""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request to the engine, with the thinking and stop rules for its completions."""

    request: Request
    rendered_prompt: RenderedPrompt | None = None
    """the part of the assistant's turn in which the prompt ends; None for plain text completion"""
    budget: int | None = None
    """maximum number of thinking tokens, less than max_tokens"""
    close_ids: tuple[int, ...] = ()
    """tokens that close thinking which has no closing tag or is followed by a separate `answer`"""
    answer: SamplingParams | None = None
    """sampling of the answer if it differs from that of the thinking; `request` then stops at the
    closing tag, and what the thinking leaves of its max_tokens limits the answer as well"""
    stop: tuple[str, ...] = ()
    """stop strings that apply to the answer only; without a `rendered_prompt` they are in
    `request`"""
    wants_logprobs: bool = False
    hidden_ids: frozenset[int] = frozenset()
    """tokens that are left out of the text"""
    echo: str | None = None
    """the prompt as a text with which every completion begins"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next increment of one completion."""

    index: int
    """index of the completion among all of its request, or of its requests together"""
    pieces: list[Piece]
    n_tokens: int
    n_thinking: int
    """number of these tokens that belong to the thinking, including its tags"""
    tokens: list[SampledToken]
    """the sampled tokens whose text is certain, or those of an echoed prompt; empty unless
    `wants_logprobs`"""
    n_cached: int = 0
    """number of prompt tokens found in the prefix cache; 0 but for a prompt's first completion"""
    finish: FinishReason | None = None
    """set in the completion's last chunk"""
    thought: ThinkingEnd | None = None
    """set together with `finish` if there was thinking"""
    foreign_logprobs: dict[str, Any] | None = None
    """log-probabilities in the words of an upstream server, which is the only one to know tokens"""
    ending: str | None = None
    """set together with `finish`: a finish reason that only upstream servers give"""
    stop_string: str | None = None
    """set together with `finish` if a stop string ended the answer"""


def begin(
    engine: StreamingSampler, ask: GenerationRequest, tokenizer: Any, first: int = 0
) -> list[CompletionStream]:
    """Submit a request, return a stream for each completion. Raises EngineError if refused.

    Their chunks have the indices from `first` on.
    """
    request, prompt = ask.request, ask.rendered_prompt
    if prompt is not None and prompt.part != "thinking" and not prompt.has_text:
        # The answer may not be empty, as after thinking.
        min_tokens = max(1, request.sampling.min_tokens)
        sampling = dataclasses.replace(request.sampling, min_tokens=min_tokens)
        request = dataclasses.replace(request, sampling=sampling)
    state = engine.submit(request)
    text = Detokenizer(tokenizer, engine.eos_ids, ask.hidden_ids)
    return [CompletionStream(ask, index, state, text, first) for index in range(request.n)]


class CompletionStream:
    """Completion `index` of a request; call `advance` after every step, in the engine's thread."""

    def __init__(
        self,
        ask: GenerationRequest,
        index: int,
        state: RequestState,
        text: Detokenizer,
        first: int = 0,
    ) -> None:
        self.state = state
        self.is_over = False
        self._first_state = state
        self._ask = ask
        self._index = index
        self._chunk_index = first + index
        self._state_index = index
        """index of this completion in `state`"""
        self._text = text
        self._stream = IncrementalDetokenizer(text, state.request.sampling.stop)
        self._parser = None if ask.rendered_prompt is None else ask.rendered_prompt.stream_parser()
        self._until = StopStringFilter(ask.stop)
        """matches the answer's stop strings"""
        begun = ask.rendered_prompt is None or ask.rendered_prompt.has_text
        self._tokens = SampledTokens(text, is_begun=begun)
        self._is_echoed = ask.echo is None
        self._n_sent = 0
        """number of the request's tokens that were emitted"""
        self._has_thought = self._has_answered = False
        self._has_closed = False
        """True once `state` is the follow-up request that samples only the answer"""
        self._over_budget = False

    def advance(self, engine: StreamingSampler) -> list[Chunk]:
        """Return what is new since the last call."""
        if self.is_over or self._state_index >= self.state.n_begun:
            return []
        if not self._is_echoed:
            return self._echo(engine)
        completion = self.state.completions[self._state_index]
        ids, chunks = engine.sampled_ids(self.state, self._state_index), []
        text_ids = _without_eos(engine, ids)
        is_ended = completion is not None or len(text_ids) < len(
            ids
        )  # the engine may report it later
        if self._is_over_budget(len(ids), is_ended):
            chunks = self._advance_to(engine, text_ids[: self._ask.budget])
            if self._is_over_budget(len(ids), is_ended):
                return [*chunks, self._close(engine, by_budget=True)]
        if completion is None:
            return chunks + self._advance_to(engine, text_ids)
        if completion.finish == "stop" and self._lacks_answer:
            chunks += self._advance_to(engine, text_ids)
            if self._lacks_answer:
                if self._fits_answer(text_ids):
                    return [*chunks, self._close(engine)]
                completion = dataclasses.replace(completion, finish="length")
        return chunks + self._finish(engine, completion)

    def _echo(self, engine: StreamingSampler) -> list[Chunk]:
        """Return a chunk with the prompt, once it is scored, and what has been sampled after it."""
        request, tokens = self.state.request, []
        if request.n_prompt_top is not None:
            if self.state.prompt_logprobs is None and not self.state.errors:
                return []
            if self._ask.wants_logprobs:
                tokens = prompt_tokens(request.prompt_ids, self.state.prompt_logprobs, self._text)
        self._is_echoed = True
        pieces = [Piece("answer", self._ask.echo)] if self._ask.echo else []
        chunk = Chunk(self._chunk_index, pieces, 0, 0, tokens, self._n_cached)
        return [chunk, *self.advance(engine)]

    def _advance_to(self, engine: StreamingSampler, ids: list[int]) -> list[Chunk]:
        """Return what these tokens make certain while the completion continues."""
        logprobs = (
            engine.logprobs(self.state, self._state_index)
            if self._ask.wants_logprobs
            else _NO_LOGPROBS
        )
        chunks: list[Chunk] = []
        for n in self._token_counts(ids):
            if not self.is_over and (delta := self._stream.advance(ids[:n])):
                chunk = self._chunk(delta.text, delta.token_ids, logprobs)
                chunks.append(self._stop(engine, chunk) if self._until.is_stopped else chunk)
        return chunks

    def _token_counts(self, ids: list[int]) -> Iterable[int]:
        """Return the token counts at which to look at the text, in ascending order.

        All new tokens are taken at once, unless a thinking tag or a stop string may be among them.
        Then they are taken one by one, because tokens up to a tag count as thinking and those after
        it do not, and tokens after a stop string do not count at all.
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
        """The strings after which text is treated differently: next thinking tag, stop strings."""
        tag = self._parser.next_tag if self._parser else ""
        stop = () if self._is_thinking else self._ask.stop
        return (tag, *stop) if tag else stop

    def _finish(self, engine: StreamingSampler, completion: Completion) -> list[Chunk]:
        *before, _ = self._token_counts(completion.token_ids)
        chunks = [
            chunk for n in before for chunk in self._advance_to(engine, completion.token_ids[:n])
        ]
        if self.is_over:
            return chunks
        completion = self._shown(completion)
        delta = self._stream.finish(completion)
        chunk = self._chunk(delta.text, delta.token_ids, completion)
        rest = self._answered(self._parser.finish()) if self._parser else []
        if rest_of_answer := self._until.finish():
            rest.append(Piece("answer", rest_of_answer))
        finish = "stop" if self._until.is_stopped else completion.finish
        return [*chunks, self._end(dataclasses.replace(chunk, pieces=chunk.pieces + rest), finish)]

    def _shown(self, completion: Completion) -> Completion:
        """Return a finished completion with the text that clients see.

        It has no hidden tokens, and no part of a character that max_tokens has cut.
        """
        text = completion.text
        if self._text.hides(completion.token_ids):
            stop = self.state.request.sampling.stop
            text = self._text.complete(completion.token_ids, stop)[0]
        if completion.finish == "length":
            text = text.rstrip(_BROKEN)
        if self._ask.wants_logprobs and completion.finish == "stop":
            self._tokens.n_dropped = len(self._text.decode(completion.token_ids)) - len(text)
        return completion if text == completion.text else dataclasses.replace(completion, text=text)

    def _stop(self, engine: StreamingSampler, chunk: Chunk) -> Chunk:
        """End the completion at a stop string, and cut it in the engine."""
        if self.state.completions[self._state_index] is None:
            engine.abort_completion(self.state, self._state_index)
        return self._end(chunk, "stop")

    def _end(self, chunk: Chunk, finish: FinishReason) -> Chunk:
        """Turn `chunk` into the completion's last chunk."""
        self.is_over = True
        if self._until.is_stopped:
            self._tokens.n_dropped = self._until.n_dropped
        tokens = chunk.tokens + self._tokens.finish()
        thought: ThinkingEnd | None = None
        if self._has_thought:
            by_itself: ThinkingEnd = "budget" if self._over_budget else "stop"
            thought = "length" if self._is_thinking and finish == "length" else by_itself
        return dataclasses.replace(
            chunk, tokens=tokens, finish=finish, thought=thought, stop_string=self._until.matched
        )

    def _answered(self, pieces: list[Piece]) -> list[Piece]:
        """Return the part of the pieces that comes before the answer's first stop string."""
        pieces_before_stop: list[Piece] = []
        for piece in pieces:
            text = piece.text
            if piece.kind == "answer":
                self._has_answered = True
                text = self._until.feed(text)
            elif self._until.is_stopped:
                break
            if text:
                pieces_before_stop.append(Piece(piece.kind, text))
        return pieces_before_stop

    def _chunk(self, text: str, ids: list[int], scored: TokenLogprobs | Completion) -> Chunk:
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
            self._tokens.add(ids, scored.logprobs[new], scored.tops[new], is_thought)
            tokens = [] if self._is_holding else self._tokens.take()
        self._n_sent += len(ids)
        n_thinking = len(ids) if is_thought else 0
        return Chunk(self._chunk_index, pieces, len(ids), n_thinking, tokens, self._n_cached)

    @property
    def _n_cached(self) -> int:
        """Number of cached prompt tokens; the first completion of the request reports them."""
        return 0 if self._index else self._first_state.n_cached

    @property
    def _is_holding(self) -> bool:
        """True if the text of the last tokens is not certain yet, or not all of it is kept."""
        is_tag = self._parser is not None and self._parser.is_holding
        is_stop = self._until.is_holding or self._stream.is_holding
        return is_tag or is_stop or self._tokens.n_dropped > 0

    @property
    def _is_thinking(self) -> bool:
        return self._parser is not None and self._parser.is_thinking

    def _is_over_budget(self, n: int, is_ended: bool) -> bool:
        """True if n tokens use up the thinking budget; text that has ended may use all of it."""
        budget = self._ask.budget
        return budget is not None and self._is_thinking and n >= budget + is_ended

    @property
    def _lacks_answer(self) -> bool:
        """True if text that ended here would have thinking but no answer; it is continued once."""
        is_silent = self._has_thought and not self._has_answered
        return self._is_thinking or (is_silent and not self._has_closed)

    def _fits_answer(self, ids: list[int]) -> bool:
        """True if max_tokens leaves at least one answer token after the closing tag."""
        n_closing = len(self._ask.close_ids) if self._is_thinking else 0
        return len(ids) + n_closing < self.state.request.sampling.max_tokens

    def _close(self, engine: StreamingSampler, by_budget: bool = False) -> Chunk:
        """Close the thinking, if still open, and submit a request for the answer after it."""
        assert self._parser is not None
        cut, has_tag = self._cut(engine)
        delta = self._stream.finish(cut)
        chunk = self._chunk(delta.text.rstrip(_BROKEN), delta.token_ids, cut)
        close_ids: tuple[int, ...] = ()
        pieces = chunk.pieces
        if self._is_thinking:
            pieces = pieces + self._parser.close()
            close_ids = self._ask.close_ids
            self._over_budget = by_budget and not has_tag
        self._has_closed = True
        tokens = chunk.tokens + self._tokens.take()
        self.state = engine.submit(self._answer_request(cut, close_ids), ahead=True)
        self._state_index = self._n_sent = 0
        self._stream = IncrementalDetokenizer(self._text, self.state.request.sampling.stop)
        n = len(close_ids)
        return dataclasses.replace(
            chunk,
            pieces=pieces,
            tokens=tokens,
            n_tokens=chunk.n_tokens + n,
            n_thinking=chunk.n_thinking + n,
        )

    def _cut(self, engine: StreamingSampler) -> tuple[Completion, bool]:
        """Return the part of the completion that is kept, and whether it has the closing tag.

        The engine may have sampled more than that.
        """
        completion = self.state.completions[self._state_index]
        whole = (
            engine.abort_completion(self.state, self._state_index)
            if completion is None
            else completion
        )
        ids = _without_eos(engine, whole.token_ids)
        if self._is_thinking:
            ids = ids[: self._ask.budget]
        text, has_tag = self._text.complete(ids, self.state.request.sampling.stop)
        while has_tag and len(self._text.decode(ids)) > len(text):
            ids = ids[:-1]  # close_ids write the tag again, in the template's own tokens
        logprobs, tops = whole.logprobs[: len(ids)], whole.tops[: len(ids)]
        cut = Completion(ids, logprobs, text, "abort", whole.policy_version, tops)
        return cut, has_tag

    def _answer_request(self, cut: Completion, close_ids: tuple[int, ...]) -> Request:
        request = self._ask.request
        used = [*cut.token_ids, *close_ids]
        n_left = request.sampling.max_tokens - len(used)
        sampling = self._ask.answer or request.sampling
        max_tokens = min(sampling.max_tokens, n_left)
        min_tokens = min(max(1, sampling.min_tokens - len(used)), max_tokens)
        sampling = dataclasses.replace(sampling, max_tokens=max_tokens, min_tokens=min_tokens)
        # Odd constants: the second part must not reuse random numbers of the first or of a sibling.
        seed = (request.seed * 6364136223846793005 + 2 * self._index + 1) % 2**63
        return Request([*request.prompt_ids, *used], 1, sampling, seed)


def _without_eos(engine: StreamingSampler, ids: list[int]) -> list[int]:
    return ids[:-1] if ids and ids[-1] in engine.eos_ids else ids
