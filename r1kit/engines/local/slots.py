"""The slots of the sequences being decoded: one tensor per property, compact at the front.

Sampled tokens stay in preallocated buffers on the device until a completion ends, so that no Python
runs per token, only per finished sequence.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.engines.base import RequestState
from r1kit.engines.grammar import GrammarState
from r1kit.engines.local.counter_rng import keys
from r1kit.engines.local.prefill import PrefillState
from r1kit.engines.local.sampling import BatchSamplingParams
from r1kit.types import SamplingParams, TopLogprobs

_NO_TOP_K, _NO_TOP_P = 2**62, 2.0


@dataclass(frozen=True, slots=True)
class RunningSequence:
    """The completion that is being sampled in a slot."""

    state: PrefillState
    index: int
    version: int
    """policy version when the completion started"""
    grammar: GrammarState | None
    """set if the completion follows a JSON schema"""
    tops: list[TopLogprobs]


class Slots:
    """The state of up to `capacity` running sequences, in the first `n` entries of every tensor."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        def column(dtype: torch.dtype) -> Tensor:
            return torch.zeros(capacity, dtype=dtype, device=device)

        self.n = 0
        self.capacity = capacity
        self.sequences: list[RunningSequence] = []
        self.branch = column(torch.int64)
        """row of the KV cache with the completion's history; equal histories share one"""
        self.token = column(torch.int64)
        """last token, which the model reads next"""
        self.position = column(torch.int64)
        """position of that token in prompt + completion"""
        self.count = column(torch.int64)
        """number of tokens sampled so far"""
        self.max_tokens = column(torch.int64)
        self.min_tokens = column(torch.int64)
        """minimum number of tokens before EOS may be sampled"""
        self.rng_key = column(torch.int64)
        self.temperature = column(torch.float32)
        self.greedy = column(torch.bool)
        self.top_k = column(torch.int64)
        self.top_p = column(torch.float32)
        self.tokens = torch.zeros(capacity, 0, dtype=torch.int64, device=device)
        self.logprobs = torch.zeros(capacity, 0, device=device)

    @property
    def n_free(self) -> int:
        """Number of free slots."""
        return self.capacity - self.n

    def add(self, sequences: list[RunningSequence], branch: int) -> None:
        """Fill slots with consecutive completions of one request."""
        state, first, n = sequences[0].state, sequences[0].index, len(sequences)
        request, sampling = state.request, state.request.sampling
        new = slice(self.n, self.n + n)
        greedy = sampling.temperature == 0
        self._widen(sampling.max_tokens)
        self.branch[new] = branch
        self.token[new] = request.prompt_ids[-1]
        self.position[new] = len(request.prompt_ids) - 1
        self.count[new] = 0
        self.max_tokens[new] = sampling.max_tokens
        self.min_tokens[new] = sampling.min_tokens
        self.rng_key[new] = keys(request.seed, torch.arange(first, first + n))
        self.temperature[new] = 1.0 if greedy else sampling.temperature
        self.greedy[new] = greedy
        self.top_k[new] = sampling.top_k if sampling.top_k and not greedy else _NO_TOP_K
        self.top_p[new] = sampling.top_p if sampling.top_p < 1 and not greedy else _NO_TOP_P
        self.sequences += sequences
        self.n += n

    def find(self, state: RequestState, index: int) -> int | None:
        """Return the slot of a completion; None if it is not being decoded."""
        for slot, sequence in enumerate(self.sequences):
            if sequence.state is state and sequence.index == index:
                return slot
        return None

    def samplings(self) -> list[SamplingParams]:
        """Return the sampling parameters of every request that has a running sequence."""
        states = dict.fromkeys(sequence.state for sequence in self.sequences)
        return [state.request.sampling for state in states]

    def params(self, samplings: Collection[SamplingParams]) -> BatchSamplingParams:
        """Return the sampling parameters of all slots.

        `samplings` are all that occur among the slots; they make the common case cheap.
        """
        n, greedy, cut = self.n, None, None
        if any(s.temperature == 0 for s in samplings):
            greedy = self.greedy[:n]
        if any(s.top_k > 0 or s.top_p < 1 for s in samplings):
            cut = ((self.top_k[:n] < _NO_TOP_K) | (self.top_p[:n] < _NO_TOP_P)).nonzero()[:, 0]
        return BatchSamplingParams(
            self.temperature[:n], greedy, cut, self.top_k[:n], self.top_p[:n]
        )

    def below_min_tokens(self, samplings: Collection[SamplingParams]) -> Tensor | None:
        """Return the slots below min_tokens, None if there are none; `samplings` as in `params`."""
        if not any(s.min_tokens for s in samplings):
            return None
        slots = (self.count[: self.n] < self.min_tokens[: self.n]).nonzero()[:, 0]
        return slots if len(slots) else None

    def record(self, tokens: Tensor, logprobs: Tensor) -> Tensor:
        """Append one token per slot; return [R] bool, True where max_tokens is reached."""
        n = self.n
        count = self.count[:n]
        self.tokens[:n].scatter_(1, count[:, None], tokens[:, None])
        self.logprobs[:n].scatter_(1, count[:, None], logprobs[:, None])
        self.token[:n] = tokens
        self.position[:n] += 1
        count += 1
        return count >= self.max_tokens[:n]

    def token_ids(self, slot: int) -> list[int]:
        """Return the token ids sampled so far in a slot."""
        token_ids: list[int] = self.tokens[slot, : self.count[slot]].tolist()
        return token_ids

    def token_logprobs(self, slot: int) -> list[float]:
        """Return the log-probabilities of the tokens sampled so far in a slot."""
        logprobs: list[float] = self.logprobs[slot, : self.count[slot]].tolist()
        return logprobs

    def remove(self, slots: list[int]) -> None:
        """Empty these slots (ascending) and move the last sequences into them."""
        self.n -= len(slots)
        removed = set(slots)
        targets = [slot for slot in slots if slot < self.n]
        sources = [slot for slot in range(self.n, self.n + len(slots)) if slot not in removed]
        if sources:
            to, of = (
                torch.tensor(indices, device=self.branch.device) for indices in (targets, sources)
            )
            for column in vars(self).values():
                if isinstance(column, Tensor):
                    column[to] = column[of]
        for source, target in zip(sources, targets, strict=True):
            self.sequences[target] = self.sequences[source]
        del self.sequences[self.n :]

    def _widen(self, width: int) -> None:
        n_missing = width - self.tokens.shape[1]
        if n_missing > 0:
            self.tokens = torch.nn.functional.pad(self.tokens, (0, n_missing))
            self.logprobs = torch.nn.functional.pad(self.logprobs, (0, n_missing))
