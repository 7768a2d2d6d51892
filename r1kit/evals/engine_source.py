"""Completions from an engine in token ids: r1kit's own, or a vLLM that r1kit has started."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from r1kit.engines.base import RequestState, Sampler
from r1kit.errors import EngineError
from r1kit.evals.jobs import JobResult, SampledText, SampleFailure, SampleJob
from r1kit.renderers.base import Renderer
from r1kit.renderers.thinking import readable_text
from r1kit.types import Completion, Problem, Request


class EngineSource:
    """A `CompletionSource` that keeps an engine's slots full."""

    def __init__(
        self,
        sampler: Sampler,
        renderer: Renderer,
        max_positions: int | None,
        in_flight: int,
        opens_thinking: bool,
    ) -> None:
        """`in_flight` is the number of requests submitted at once.

        With `opens_thinking` the prompt of a model with thinking tags ends in the opening one.
        """
        self._sampler = sampler
        self._renderer = renderer
        self._max_positions = max_positions
        self._in_flight = in_flight
        self.opens_thinking = opens_thinking and renderer.has_thinking
        self._prompt: tuple[str, list[int]] = ("", [])
        """the last problem's id and prompt: its completions follow each other"""

    def complete(self, jobs: Iterator[SampleJob]) -> Iterator[tuple[SampleJob, JobResult]]:
        """Implements `CompletionSource.complete`."""
        running: dict[int, tuple[SampleJob, RequestState]] = {}
        is_over = False
        try:
            while True:
                while not is_over and len(running) < self._in_flight:
                    job = next(jobs, None)
                    if job is None:
                        is_over = True
                        break
                    state = self._submit(job)
                    if isinstance(state, SampleFailure):
                        yield job, state
                    else:
                        running[id(state)] = (job, state)
                if not running:
                    return
                for state in self._sampler.step():
                    job, _ = running.pop(id(state))
                    yield job, self._result(state)
        finally:
            for _, state in running.values():
                self._sampler.abort(state)

    def show_prompt(self, problem: Problem) -> str:
        """Implements `CompletionSource.show_prompt`."""
        return self._decode(self.prompt_ids(problem))

    def prompt_ids(self, problem: Problem) -> list[int]:
        """Render the prompt of a problem."""
        key, ids = self._prompt
        if key != problem.id:
            rendered = (
                self._renderer.continuation_prompt(problem.messages, thinks=True)
                if self.opens_thinking
                else self._renderer.generation_prompt(problem.messages)
            )
            ids = rendered.ids
            self._prompt = (problem.id, ids)
        return ids

    def _submit(self, job: SampleJob) -> RequestState | SampleFailure:
        ids, sampling = self.prompt_ids(job.problem), job.sampling
        if self._max_positions is not None:
            room = self._max_positions - len(ids)
            if room < 1:
                return SampleFailure(
                    "context",
                    f"The prompt has {len(ids)} tokens, and the model's context ends at "
                    f"{self._max_positions}.",
                )
            sampling = dataclasses.replace(sampling, max_tokens=min(sampling.max_tokens, room))
        try:
            return self._sampler.submit(Request(ids, 1, sampling, job.seed))
        except EngineError as error:
            return SampleFailure("refused", str(error))

    def _result(self, state: RequestState) -> JobResult:
        try:
            [completion] = state.results()
        except EngineError as error:
            return SampleFailure("failed", str(error))
        return SampledText(
            self._readable(completion),
            completion.finish,
            len(completion.token_ids),
            len(state.request.prompt_ids),
            state.request.sampling.max_tokens,
        )

    def _readable(self, completion: Completion) -> str:
        renderer = self._renderer
        is_inside = self.opens_thinking and not renderer.opens_thinking
        text = renderer.tags.think + completion.text if is_inside else completion.text
        return readable_text(text, renderer.parse(text))

    def _decode(self, ids: list[int]) -> str:
        return str(self._renderer.tokenizer.decode(ids, skip_special_tokens=False))
