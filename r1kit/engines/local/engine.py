"""The local engine: continuous batching in this process, on the very module the learner trains.

`submit` queues a request, `step` decodes one token of every slot, `abort` ends a request;
`generate` is a short loop over these. The life of a request:

1. `submit` validates it and puts it at the end of the queue.
2. When slots are free, prompts are prefilled in batches, all but their last token (prefill.py); the
   n completions of a request share one prefill. A step prefills a limited number of tokens, and at
   most one chunk per prompt (scheduler.py), so that a long prompt does not delay short ones,
   completions in flight or an abort.
3. Each completion takes a slot (slots.py), which starts with the last prompt token. All sequences
   of a request start on one branch: one row of the KV cache holds their common prefix (decoder.py).
4. `step` runs the model on one token per branch and samples one per slot (next_token.py). Sequences
   of a branch that sample the same token stay together, the others get a copy. Finished slots and
   branches leave no gaps: the last ones and those of step 2 take their places at once.

Scheduling depends only on the requests, never on time. A completion depends only on (weights,
prompt, seed, index), up to rounding, which may depend on what else is sampled (docs/serving.md,
"Seeds").
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.engines.base import Counters, RequestState, TokenLogprobs, check
from r1kit.engines.grammar import Grammars
from r1kit.engines.local.decoder import BatchDecoder
from r1kit.engines.local.next_token import sample_next
from r1kit.engines.local.prefill import Prefill, PrefillState
from r1kit.engines.local.scheduler import Scheduler, prefill_limits
from r1kit.engines.local.slots import RunningSequence, Slots
from r1kit.engines.text import Detokenizer
from r1kit.errors import EngineError
from r1kit.model import causal_lm
from r1kit.model.fused import inference
from r1kit.model.head import max_logits
from r1kit.types import Completion, FinishReason, Request


class LocalEngine:
    """A `base.StreamingSampler` that keeps up to `max_num_seqs` completions in flight.

    The prefix cache holds the keys and values of at most `prefix_tokens` tokens of earlier prompts.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        max_num_seqs: int,
        eos_ids: Iterable[int] | None = None,
        prefix_tokens: int = 0,
        grammars: Grammars | None = None,
        decode_text: bool = True,
    ) -> None:
        """If `decode_text` is False, completions have no text: the caller decodes the tokens."""
        self.model = model
        self.max_num_seqs = max_num_seqs
        self.eos_ids = frozenset(
            causal_lm.eos_ids(model, tokenizer) if eos_ids is None else eos_ids
        )
        self.counters = Counters()
        self.version = 0
        self._text = Detokenizer(tokenizer, self.eos_ids)
        self._decode_text = decode_text
        self._vocab_size: int = model.get_input_embeddings().num_embeddings
        if self.eos_ids and max(self.eos_ids) >= self._vocab_size:
            raise EngineError(
                f"Token {max(self.eos_ids)} should end a text, but the model has only "
                f"{self._vocab_size} tokens; use the tokenizer that belongs to the model."
            )
        device: torch.device = model.device
        self._is_eos = torch.zeros(self._vocab_size, dtype=torch.bool, device=device)
        self._is_eos[sorted(self.eos_ids)] = True
        self._grammars = grammars or Grammars(tokenizer, self._vocab_size, self.eos_ids)
        self._slots = Slots(max_num_seqs, device)
        self._scheduler = Scheduler(
            self._slots, prefill_limits(model.num_parameters(), device.type)
        )
        self._inference = inference(model)
        max_scored = max(1, max_logits(device) // self._vocab_size)
        self._prefill = Prefill(self._inference, prefix_tokens, max_scored)
        self._decoder = BatchDecoder(
            self._inference, self._slots, self._vocab_size, self._scheduler.largest
        )

    @property
    def max_positions(self) -> int | None:
        """Maximum length of prompt + completion in tokens; None if the model states none."""
        return causal_lm.max_positions(self.model)

    def publish(self, version: int) -> None:
        """Discard all state computed with the old weights; call it after the weights have changed.

        Completions that start from now on carry `policy_version=version`; those in flight keep
        theirs.
        """
        self.version = version
        self._inference.refresh()
        self._prefill.forget()
        self._scheduler.forget()

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Queue a request, at the front if `ahead`. Raises EngineError if it cannot be served."""
        check(request, self._vocab_size, self.max_positions)
        self._grammars.start_of(request.sampling)
        state = PrefillState(request, self._prefill.n_cached(request))
        self._scheduler.add(state, ahead)
        return state

    def step(self) -> list[RequestState]:
        """Fill free slots, decode a token of every slot, and return the requests that finished."""
        start = time.perf_counter()
        with torch.inference_mode(), _evaluating(self.model):
            self._prefill.advance(
                self._scheduler.next_chunks(), self._scheduler.limits.chunk_tokens
            )
            finished = self._fill_slots()
            if self._slots.n:
                logits = self._decoder.decode()
                ending = self._sample(logits)
                finished += self._finish(ending, "length")
        self.counters.seconds += time.perf_counter() - start
        return finished

    def abort(self, state: RequestState) -> None:
        """End a request now: open completions keep their tokens and finish with "abort"."""
        if not state.n_left:
            return
        with torch.inference_mode():
            sequences = self._slots.sequences
            self._finish([slot for slot, s in enumerate(sequences) if s.state is state], "abort")
        for index in range(state.n_begun, state.request.n):
            self._scheduler.finish(state, index, Completion([], [], "", "abort", self.version))

    def abort_completion(self, state: RequestState, index: int) -> Completion:
        """End one completion now, with "abort"; the other completions of the request continue.

        Raises EngineError if it is not being sampled.
        """
        slot = self._slots.find(state, index)
        if slot is None:
            raise EngineError(f"Completion {index} is not being sampled, so it cannot be cut.")
        with torch.inference_mode():
            self._finish([slot], "abort")
        completion = state.completions[index]
        assert completion is not None
        return completion

    def sampled_ids(self, state: RequestState, index: int) -> list[int]:
        """Return the token ids of completion `index` so far. Raises EngineError if it failed."""
        if index in state.errors:
            raise state.errors[index]
        if (completion := state.completions[index]) is not None:
            return completion.token_ids
        slot = self._slots.find(state, index)
        return [] if slot is None else self._slots.token_ids(slot)

    def logprobs(self, state: RequestState, index: int) -> TokenLogprobs:
        """Return the log-probabilities of completion `index` so far."""
        if (completion := state.completions[index]) is not None:
            return TokenLogprobs(completion.logprobs, completion.tops)
        slot = self._slots.find(state, index)
        if slot is None:
            return TokenLogprobs([], [])
        return TokenLogprobs(self._slots.token_logprobs(slot), self._slots.sequences[slot].tops)

    def newest_tokens(self) -> list[tuple[RequestState, int, int, float]]:
        """Return (state, index, token, log-probability) of the last step, for open completions."""
        slots, n = self._slots, self._slots.n
        tokens = slots.token[:n].tolist()
        logprobs = slots.logprobs[:n].gather(1, slots.count[:n, None] - 1)[:, 0].tolist()
        latest = zip(slots.sequences, tokens, logprobs, strict=True)
        return [
            (sequence.state, sequence.index, token, logprob) for sequence, token, logprob in latest
        ]

    def _fill_slots(self) -> list[RequestState]:
        """Give the free slots to requests whose prompts have been prefilled.

        Returns those that finish at once, because only their prompt is scored.
        """
        finished: list[RequestState] = []
        while (started := self._scheduler.start_next()) is not None:
            state, indices = started
            if state.request.sampling.max_tokens:
                branch = self._decoder.add(
                    state.keys_values, len(indices), len(state.request.prompt_ids)
                )
                self._slots.add([self._running(state, index) for index in indices], branch)
            else:
                for index in indices:
                    nothing = Completion([], [], "", "length", self.version)
                    if self._scheduler.finish(state, index, nothing):
                        finished.append(state)
            if indices.start == 0:
                self.counters.prompt_tokens += len(state.request.prompt_ids)
                self.counters.cached_tokens += state.n_cached
            if not state.n_waiting:
                state.keys_values = {}
        return finished

    def _running(self, state: PrefillState, index: int) -> RunningSequence:
        """Return a completion of a request at its start."""
        grammar = self._grammars.start_of(state.request.sampling)
        return RunningSequence(state, index, self.version, grammar, [])

    def _sample(self, logits: Tensor) -> list[int]:
        """Sample one token per slot, logits [R, V], and return the slots whose sequences end."""
        slots, samplings = self._slots, self._slots.samplings()
        tokens, logprobs, failed = sample_next(slots, samplings, logits, self._is_eos)
        self.counters.completion_tokens += slots.n
        is_last = slots.record(tokens, logprobs) | self._is_eos[tokens]
        ending = set(is_last.nonzero()[:, 0].tolist()) | failed
        if any(sampling.stop for sampling in samplings):
            ending |= self._stopped()
        return sorted(ending)

    def _stopped(self) -> set[int]:
        """Return the slots whose last token completed a stop string."""
        slots = set()
        for slot, sequence in enumerate(self._slots.sequences):
            stop = sequence.state.request.sampling.stop
            if stop and self._text.stops(self._slots.token_ids(slot), stop):
                slots.add(slot)
        return slots

    def _finish(self, slots: list[int], otherwise: FinishReason) -> list[RequestState]:
        """Free these slots (ascending), close the gaps, and return the requests that finished.

        A sequence finishes with "stop" if it ends in an EOS token or a stop string.
        """
        finished: list[RequestState] = []
        for slot in slots:
            sequence = self._slots.sequences[slot]
            state, version, tops = sequence.state, sequence.version, sequence.tops
            ids, logprobs = self._slots.token_ids(slot), self._slots.token_logprobs(slot)
            text, has_stop = self._complete(ids, state.request.sampling.stop)
            is_stopped = has_stop or (bool(ids) and ids[-1] in self.eos_ids)
            finish = "stop" if is_stopped else otherwise
            completion = Completion(ids, logprobs, text, finish, version, tops)
            if self._scheduler.finish(state, sequence.index, completion):
                finished.append(state)
        self._slots.remove(slots)
        if slots or self._decoder.n_branches < self._slots.n:
            self._decoder.split_branches()
        return finished

    def _complete(self, ids: list[int], stop: Sequence[str]) -> tuple[str, bool]:
        """Return the text up to the first stop string, and True if there was one."""
        if self._decode_text:
            return self._text.complete(ids, stop)
        return "", bool(stop) and self._text.complete(ids, stop)[1]


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
