"""The local engine: continuous batching in this process, on the very module the learner trains.

`submit` queues a request, `step` decodes one token of every row, `abort` ends a request; `generate`
is a short loop over these. The life of a request:

1. `submit` validates it and puts it at the end of the queue.
2. When rows are free, prompts are prefilled in batches, all but their last token (prefill.py); the
   n completions of a request share one prefill. A step prefills a limited number of tokens, and at
   most one chunk per prompt (scheduler.py), so that a long prompt does not delay short ones,
   completions in flight or an abort.
3. Each completion takes a row, which starts with the last prompt token. All rows of a request start
   on one branch: one row of the KV cache holds their common prefix.
4. `step` runs the model on one token per branch and samples one per row. Rows of a branch that
   sample the same token stay together, the others get a copy. Finished rows and branches leave no
   gaps: the last ones and those of step 2 take their places at once.

Scheduling depends only on the requests, never on time. A completion depends only on (weights,
prompt, seed, index): bit for bit if the model is small enough for model/numba_model.py, otherwise
up to the rounding of matrix products, which depends on the batch size.

Branches are the prefix tree that the learner uses too (model/tree.py), built while sampling: with a
low-entropy policy, the completions of a group stay identical for long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.engines.base import Counters, RequestState, TokenLogprobs, check
from r1kit.engines.grammar import Grammars, GrammarState, restrict
from r1kit.engines.local.counter_rng import uniform
from r1kit.engines.local.prefill import Prefill, PrefillState
from r1kit.engines.local.sampling import BatchSamplingParams, sample, top_logprobs
from r1kit.engines.local.scheduler import PrefillQueue, pace
from r1kit.engines.local.slots import Slots
from r1kit.engines.text import Text
from r1kit.errors import EngineError
from r1kit.model.cache import RowCache
from r1kit.model.causal_lm import eos_ids as stated_eos_ids
from r1kit.model.fused import inference
from r1kit.types import Completion, Finish, Request, TopLogprobs

_FIRST_LENGTH = 64
"""initial tokens per row of an empty cache"""


class _Owner(NamedTuple):
    """The completion that a row samples."""

    job: PrefillState
    place: int
    version: int
    """policy version when the row started"""
    walk: GrammarState | None
    """grammar state if the completion follows a JSON schema"""
    tops: list[TopLogprobs]


class LocalEngine:
    """A `base.StreamingSampler` that keeps up to `max_rows` completions in flight.

    The prefix cache holds the keys and values of at most `prefix_tokens` tokens of earlier prompts.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        max_rows: int,
        eos_ids: Iterable[int] | None = None,
        prefix_tokens: int = 0,
        grammars: Grammars | None = None,
    ) -> None:
        self.model = model
        self.max_rows = max_rows
        self.eos_ids = frozenset(stated_eos_ids(model, tokenizer) if eos_ids is None else eos_ids)
        self.counters = Counters()
        self.version = 0
        self._text = Text(tokenizer, self.eos_ids)
        self._device: torch.device = model.device
        self._vocab_size: int = model.get_input_embeddings().num_embeddings
        if self.eos_ids and max(self.eos_ids) >= self._vocab_size:
            raise EngineError(
                f"Token {max(self.eos_ids)} should end a text, but the model has only "
                f"{self._vocab_size} tokens; use the tokenizer that belongs to the model."
            )
        self._is_eos = torch.zeros(self._vocab_size, dtype=torch.bool, device=self._device)
        self._is_eos[sorted(self.eos_ids)] = True
        self._rows = Slots(max_rows, self._device)
        self._owners: list[_Owner] = []
        self._n_branches = 0
        self._inference = inference(model)
        self._prompts = Prefill(self._inference, prefix_tokens)
        self._cache = RowCache()
        self._grammars = grammars or Grammars(tokenizer, self._vocab_size, self.eos_ids)
        self._queue = PrefillQueue(pace(model.num_parameters(), self._device.type))

    @property
    def max_positions(self) -> int | None:
        """Maximum length of prompt + completion in tokens; None if the model states none."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def publish(self, version: int) -> None:
        """Discard all state computed with the old weights; call it after the weights have changed.

        Completions that start from now on carry `policy_version=version`; those in flight keep
        theirs.
        """
        self.version = version
        self._prompts.forget()
        for job in self._queue:
            job.forget()

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Queue a request, at the front if `ahead`. Raises EngineError if it cannot be served."""
        check(request, self._vocab_size, self.max_positions)
        if request.sampling.json_schema is not None:
            self._grammars.walk(request.sampling.json_schema)
        job = PrefillState(request, self._prompts.n_known(request))
        self._queue.add(job, ahead)
        return job

    def step(self) -> list[RequestState]:
        """Fill free rows, decode one token of every row, and return the requests that finished."""
        start = time.perf_counter()
        with torch.inference_mode(), _evaluating(self.model):
            self._read()
            self._admit()
            done = self._decode() if self._rows.n else []
        self.counters.seconds += time.perf_counter() - start
        return done

    def abort(self, job: RequestState) -> None:
        """End a request now: open completions keep their tokens and finish with "abort"."""
        if not job.n_left:
            return
        with torch.inference_mode():
            rows = [row for row, owner in enumerate(self._owners) if owner.job is job]
            self._end(rows, "abort")
            self._queue.remove(job)
            for index in range(job.n_begun, job.request.n):
                job.completions[index] = Completion([], [], "", "abort", self.version)
            job.n_left = 0

    def cut(self, job: RequestState, index: int) -> Completion:
        """End one completion now, with "abort"; the other completions of the request continue.

        Raises EngineError if it is not being sampled.
        """
        row = self._row(job, index)
        if row is None:
            raise EngineError(f"Completion {index} is not being sampled, so it cannot be cut.")
        with torch.inference_mode():
            self._end([row], "abort")
        completion = job.completions[index]
        assert completion is not None
        return completion

    def sampled(self, job: RequestState, index: int) -> list[int]:
        """Return the token ids of completion `index` so far. Raises EngineError if it failed."""
        if index in job.errors:
            raise job.errors[index]
        done, row = job.completions[index], self._row(job, index)
        if done is not None:
            return done.token_ids
        return [] if row is None else self._rows.ids(row)

    def odds(self, job: RequestState, index: int) -> TokenLogprobs:
        """Return the log-probabilities of completion `index` so far."""
        done, row = job.completions[index], self._row(job, index)
        if done is not None:
            return TokenLogprobs(done.logprobs, done.tops)
        if row is None:
            return TokenLogprobs([], [])
        return TokenLogprobs(self._rows.logprobs_of(row), self._owners[row].tops)

    def newest(self) -> list[tuple[RequestState, int, int, float]]:
        """Return (job, index, token, log-probability) of the last step, for open completions."""
        rows, n = self._rows, self._rows.n
        tokens = rows.token[:n].tolist()
        logprobs = rows.logprobs[:n].gather(1, rows.count[:n, None] - 1)[:, 0].tolist()
        drawn = zip(self._owners, tokens, logprobs, strict=True)
        return [(owner.job, owner.place, token, logprob) for owner, token, logprob in drawn]

    def _row(self, job: RequestState, index: int) -> int | None:
        for row, (owner, place, *_) in enumerate(self._owners):
            if owner is job and place == index:
                return row
        return None

    def _read(self) -> None:
        """Prefill chunks of prompts for rows that are free or soon will be."""
        jobs = self._queue.next_pieces(self.max_rows - self._rows.n, self.max_rows // 8)
        new = [job for job in jobs if job.n_read is None]
        self._prompts.advance(jobs, self._queue.pace.piece)
        self.counters.prompt_tokens += sum(len(job.request.prompt_ids) for job in new)
        self.counters.cached_tokens += sum(job.n_cached for job in new)

    def _admit(self) -> None:
        """Give the free rows to requests whose prompts have been prefilled."""
        while self._rows.n < self.max_rows and (job := self._queue.first_read()):
            self._begin(job, min(self.max_rows - self._rows.n, job.n_waiting))
            if not job.n_waiting:
                self._queue.remove(job)
                job.forget()

    def _begin(self, job: PrefillState, n: int) -> None:
        start, first = self._rows.n, job.n_begun
        self._make_room(start + n, len(job.request.prompt_ids))
        self._cache.fill(self._n_branches, job.known)
        self._rows.add(job.request, first, n, self._n_branches)
        self._n_branches += 1
        schema = job.request.sampling.json_schema
        walks = [None if schema is None else self._grammars.walk(schema) for _ in range(n)]
        begun = enumerate(walks, first)
        self._owners += [_Owner(job, place, self.version, walk, []) for place, walk in begun]
        job.n_begun += n

    def _make_room(self, rows: int, length: int) -> None:
        """Grow the cache to at least rows x length: a quarter longer at a time, never beyond need.

        The step is only a quarter because decoding reads all allocated keys. Growing while the
        queue is empty also shrinks the cache to the rows that are left.
        """
        cache, kept = self._cache, self._n_branches
        if rows <= cache.rows and length <= cache.length:
            return
        waiting = sum(job.n_waiting for job in self._queue)
        jobs = [owner.job for owner in self._owners] + list(self._queue)
        longest = max(len(j.request.prompt_ids) + j.request.sampling.max_tokens for j in jobs)
        if kept:
            roomy = cache.length * 5 // 4 if length > cache.length else cache.length
        else:
            roomy = _FIRST_LENGTH
        rows = min(self.max_rows, self._rows.n + waiting)
        cache.reserve(rows, min(max(length, roomy), longest), kept)

    def _decode(self) -> list[RequestState]:
        rows, branch = self._rows, self._rows.branch[: self._rows.n]
        one = torch.empty(self._n_branches, dtype=torch.int64, device=self._device)
        one[branch] = torch.arange(rows.n, device=self._device)  # any row represents its branch
        positions = rows.position[one]
        used = int(positions.max()) + 1
        self._make_room(rows.n, used)
        logits = self._inference.decode(rows.token[one], positions, self._cache, used)
        logits = logits[branch].float()
        live = dict.fromkeys(owner.job for owner in self._owners)
        samplings = [job.request.sampling for job in live]
        u = uniform(rows.key[: rows.n], rows.count[: rows.n])
        law = rows.law(samplings)
        if (early := rows.early(samplings)) is not None:
            logits[early] = logits[early].masked_fill(self._is_eos, -torch.inf)
        walks = {row: owner.walk for row, owner in enumerate(self._owners) if owner.walk}
        failed = restrict(walks, logits)
        tokens, logprobs = sample(logits, law, u)
        for row in walks.keys() - failed.keys():
            walks[row].take(int(tokens[row]))
        for row, error in failed.items():
            self._owners[row].job.errors[self._owners[row].place] = error
        if not torch.isfinite(logprobs).all():
            raise EngineError(
                "The model's logits are not finite: its weights are damaged or training has "
                "diverged; go back to an earlier checkpoint and lower the learning rate."
            )
        self._note_tops(logits, law, (tokens, logprobs))
        self.counters.completion_tokens += rows.n
        is_done = rows.record(tokens, logprobs) | self._is_eos[tokens]
        gone = set(is_done.nonzero()[:, 0].tolist()) | failed.keys()
        if any(job.request.sampling.stop for job in live):
            gone |= self._stopped()
        return self._end(sorted(gone), "length")

    def _note_tops(
        self, logits: Tensor, law: BatchSamplingParams, drawn: tuple[Tensor, Tensor]
    ) -> None:
        wishes = ((row, owner.job.request.sampling) for row, owner in enumerate(self._owners))
        wanted = {row: sampling.n_top for row, sampling in wishes if sampling.n_top}
        if wanted:
            for row, top in zip(wanted, top_logprobs(logits, law, wanted, drawn), strict=True):
                self._owners[row].tops.append(top)

    def _stopped(self) -> set[int]:
        """Return the rows whose last token completed a stop string."""
        rows = set()
        for row, (job, *_) in enumerate(self._owners):
            stop = job.request.sampling.stop
            if stop and self._text.stops(self._rows.ids(row), stop):
                rows.add(row)
        return rows

    def _end(self, gone: list[int], otherwise: Finish) -> list[RequestState]:
        """End these rows (ascending), close the gaps, and return the requests that finished.

        A row finishes with "stop" if it ends in an EOS token or a stop string.
        """
        done: list[RequestState] = []
        for row in gone:
            job, place, version, _, tops = self._owners[row]
            ids, logprobs = self._rows.ids(row), self._rows.logprobs_of(row)
            text, stopped = self._text.complete(ids, job.request.sampling.stop)
            stopped = stopped or (bool(ids) and ids[-1] in self.eos_ids)
            finish = "stop" if stopped else otherwise
            job.completions[place] = Completion(ids, logprobs, text, finish, version, tops)
            job.n_left -= 1
            if not job.n_left:
                done.append(job)
        self._close(gone)
        return done

    def _close(self, gone: list[int]) -> None:
        """Remove rows, and split branches whose rows sampled different tokens."""
        sources, targets = self._rows.remove(gone)
        for source, target in zip(sources, targets, strict=True):
            self._owners[target] = self._owners[source]
        del self._owners[self._rows.n :]
        if gone or self._n_branches < self._rows.n:
            self._branch_out()

    def _branch_out(self) -> None:
        """Give every distinct history of the rows a branch, compact at the front of the cache.

        The first of the histories that split from a branch keeps its place if that is among the
        first n; the others move or are copied to the free places in between.
        """
        rows = self._rows
        histories = rows.branch[: rows.n] * self._vocab_size + rows.token[: rows.n]
        histories, which = histories.unique(return_inverse=True)
        source, n = histories // self._vocab_size, len(histories)
        stays = source < n
        stays[1:] &= source[1:] != source[:-1]
        is_free = torch.ones(n, dtype=torch.bool, device=self._device)
        is_free[source[stays]] = False
        place = source.clone()
        place[~stays] = is_free.nonzero()[:, 0]
        moved = (place != source).nonzero()[:, 0]
        if len(moved):
            used = int(rows.position[: rows.n].max())
            self._cache.move(source[moved], place[moved], used)
        rows.branch[: rows.n] = place[which]
        self._n_branches = n


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Use evaluation mode, then restore training mode, which gradient checkpointing needs."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
