"""The completions being decoded, one per row: one tensor per property, compact at the front.

Sampled tokens stay in preallocated buffers on the device until a completion ends, so that no Python
runs per token, only per finished row.
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
    """The completion that a row samples."""

    job: PrefillState
    index: int
    version: int
    """policy version when the completion started"""
    grammar: GrammarState | None
    """set if the completion follows a JSON schema"""
    tops: list[TopLogprobs]


class Slots:
    """The state of `n` rows, up to `capacity`; row r is entry r of every tensor."""

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
        """Number of rows without a completion."""
        return self.capacity - self.n

    def add(self, sequences: list[RunningSequence], branch: int) -> None:
        """Append rows for consecutive completions of one request."""
        job, first, n = sequences[0].job, sequences[0].index, len(sequences)
        request, sampling = job.request, job.request.sampling
        rows = slice(self.n, self.n + n)
        greedy = sampling.temperature == 0
        self._widen(sampling.max_tokens)
        self.branch[rows] = branch
        self.token[rows] = request.prompt_ids[-1]
        self.position[rows] = len(request.prompt_ids) - 1
        self.count[rows] = 0
        self.max_tokens[rows] = sampling.max_tokens
        self.min_tokens[rows] = sampling.min_tokens
        self.rng_key[rows] = keys(request.seed, torch.arange(first, first + n))
        self.temperature[rows] = 1.0 if greedy else sampling.temperature
        self.greedy[rows] = greedy
        self.top_k[rows] = sampling.top_k if sampling.top_k and not greedy else _NO_TOP_K
        self.top_p[rows] = sampling.top_p if sampling.top_p < 1 and not greedy else _NO_TOP_P
        self.sequences += sequences
        self.n += n

    def find(self, job: RequestState, index: int) -> int | None:
        """Return the row of a completion; None if it is not being decoded."""
        for row, sequence in enumerate(self.sequences):
            if sequence.job is job and sequence.index == index:
                return row
        return None

    def samplings(self) -> list[SamplingParams]:
        """Return the sampling parameters of every request that has a row."""
        jobs = dict.fromkeys(sequence.job for sequence in self.sequences)
        return [job.request.sampling for job in jobs]

    def params(self, samplings: Collection[SamplingParams]) -> BatchSamplingParams:
        """Return the sampling parameters of all rows.

        `samplings` are all that occur among the rows; they make the common case cheap.
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
        """Return the rows below min_tokens, None if there are none; `samplings` as in `params`."""
        if not any(s.min_tokens for s in samplings):
            return None
        rows = (self.count[: self.n] < self.min_tokens[: self.n]).nonzero()[:, 0]
        return rows if len(rows) else None

    def record(self, tokens: Tensor, logprobs: Tensor) -> Tensor:
        """Append one token per row; return [R] bool, True for rows that have reached max_tokens."""
        n = self.n
        count = self.count[:n]
        self.tokens[:n].scatter_(1, count[:, None], tokens[:, None])
        self.logprobs[:n].scatter_(1, count[:, None], logprobs[:, None])
        self.token[:n] = tokens
        self.position[:n] += 1
        count += 1
        return count >= self.max_tokens[:n]

    def ids(self, row: int) -> list[int]:
        """Return the token ids that a row has sampled so far."""
        ids: list[int] = self.tokens[row, : self.count[row]].tolist()
        return ids

    def row_logprobs(self, row: int) -> list[float]:
        """Return the log-probabilities of the tokens that a row has sampled so far."""
        logprobs: list[float] = self.logprobs[row, : self.count[row]].tolist()
        return logprobs

    def remove(self, rows: list[int]) -> None:
        """Remove these rows (ascending) and fill their places with rows from the end."""
        self.n -= len(rows)
        leaving = set(rows)
        targets = [row for row in rows if row < self.n]
        sources = [row for row in range(self.n, self.n + len(rows)) if row not in leaving]
        if sources:
            to, of = (
                torch.tensor(moved, device=self.branch.device) for moved in (targets, sources)
            )
            for column in vars(self).values():
                if isinstance(column, Tensor):
                    column[to] = column[of]
        for source, target in zip(sources, targets, strict=True):
            self.sequences[target] = self.sequences[source]
        del self.sequences[self.n :]

    def _widen(self, width: int) -> None:
        missing = width - self.tokens.shape[1]
        if missing > 0:
            self.tokens = torch.nn.functional.pad(self.tokens, (0, missing))
            self.logprobs = torch.nn.functional.pad(self.logprobs, (0, missing))
