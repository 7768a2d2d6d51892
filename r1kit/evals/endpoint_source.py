"""Completions from OpenAI-compatible servers, which share the jobs.

Each server has a number of threads that take the next job as soon as they are free, so a faster
server does more. A server that fails several times in a row counts as down: the others take over
its jobs, and without another one the evaluation stops and can be resumed.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

from r1kit.engines.openai.endpoint import MIN_FAILURES, Endpoint
from r1kit.errors import EngineError
from r1kit.evals.completion_log import LogKey
from r1kit.evals.jobs import JobResult, SampledText, SampleFailure, SampleJob
from r1kit.http.client import RefusedError, TimeoutEngineError
from r1kit.types import Problem, SamplingParams

BYTES_PER_TOKEN = 2
"""lower estimate, from which the room for a completion on a server with a known context follows"""

POLL_S = 0.05
"""wait for jobs that another server may give back"""

_Event = tuple[SampleJob | None, JobResult | BaseException]


class EndpointSource:
    """A `CompletionSource` of one or more servers."""

    opens_thinking = False

    def __init__(self, endpoints: Sequence[Endpoint], concurrency: int) -> None:
        """`concurrency` is the number of requests in flight per server."""
        self._endpoints = endpoints
        self._concurrency = concurrency
        self._contexts = [_context_of(endpoint) for endpoint in endpoints]

    def complete(self, jobs: Iterator[SampleJob]) -> Iterator[tuple[SampleJob, JobResult]]:
        """Implements `CompletionSource.complete`."""
        work = _SharedJobs(jobs, len(self._endpoints))
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        for endpoint, context in zip(self._endpoints, self._contexts, strict=True):
            worker = _ServerWorker(
                endpoint, context, work, events, max(self._concurrency, MIN_FAILURES)
            )
            for _ in range(self._concurrency):
                threading.Thread(target=worker.run, name="eval", daemon=True).start()
        n_threads = len(self._endpoints) * self._concurrency
        failure: EngineError | None = None
        try:
            while n_threads:
                job, result = events.get()
                if job is None:  # a thread has ended
                    n_threads -= 1
                    if isinstance(result, EngineError):
                        failure = result
                    elif isinstance(result, BaseException):
                        raise result
                elif not isinstance(result, BaseException):
                    yield job, result
        finally:
            work.stop()
        if work.has_left and failure is not None:
            raise failure

    def show_prompt(self, problem: Problem) -> str:
        """Return the messages: only the server knows the template."""
        return "\n".join(f"{message.role}: {message.content}" for message in problem.messages)


class _SharedJobs:
    """The jobs that several servers share, and those that a server has failed to do."""

    def __init__(self, jobs: Iterator[SampleJob], n_servers: int) -> None:
        self._jobs = jobs
        self._returned: list[SampleJob] = []
        self._tried: defaultdict[LogKey, set[object]] = defaultdict(set)
        """servers that have failed to do a job"""
        self._lock = threading.Lock()
        self._is_stopped = False
        self._n_open = 0
        self.n_servers = n_servers
        """number of servers that are not down"""

    def take(self, server: object) -> SampleJob | None:
        """Return a job that a server has not tried; None without one, or once stopped."""
        with self._lock:
            if self._is_stopped:
                return None
            untried = (i for i, x in enumerate(self._returned) if server not in self._tried[x.key])
            place = next(untried, None)
            job = next(self._jobs, None) if place is None else self._returned.pop(place)
            self._n_open += job is not None
            return job

    def finish(self) -> None:
        with self._lock:
            self._n_open -= 1

    def give_back(self, job: SampleJob, server: object, is_down: bool) -> bool:
        """Let another server do a job that failed; False if all of them have tried.

        A server that is down gives its job back in any case, so that it counts as left.
        """
        with self._lock:
            self._tried[job.key].add(server)
            if not is_down and len(self._tried[job.key]) >= self.n_servers:
                return False
            self._returned.append(job)
            self._n_open -= 1
            return True

    def drop_server(self) -> None:
        with self._lock:
            self.n_servers -= 1

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True

    @property
    def may_come_back(self) -> bool:
        """True while another server may give a job back."""
        with self._lock:
            return self._n_open > 0 and not self._is_stopped

    @property
    def has_left(self) -> bool:
        """True if jobs are left; takes the next one away."""
        with self._lock:
            return bool(self._returned) or next(self._jobs, None) is not None


class _ServerWorker:
    """The threads of one server."""

    def __init__(
        self,
        endpoint: Endpoint,
        context: int | None,
        work: _SharedJobs,
        events: queue.SimpleQueue[_Event],
        patience: int,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._work = work
        self._events = events
        self._patience = patience
        self._n_failed = 0
        """number of failures in a row"""
        self._failure: EngineError | None = None
        """the failure after which the server counts as down"""
        self._lock = threading.Lock()

    def run(self) -> None:
        """Do jobs until there are none, or the server is down."""
        end: JobResult | BaseException = SampleFailure("failed", "no jobs are left")
        try:
            while self._failure is None and self._do_next():
                pass
            end = self._failure or end
        except BaseException as error:  # a bug: raised in the caller, not lost in a thread
            end = error
        self._events.put((None, end))

    def _do_next(self) -> bool:
        """Do the next job; False if there is none."""
        job = self._work.take(self)
        if job is None:
            if self._work.n_servers < 2 or not self._work.may_come_back:
                return False
            time.sleep(POLL_S)
            return True
        result = self._sample(job)
        is_down = self._failure is not None
        if not (_is_transient(result) and self._work.give_back(job, self, is_down)):
            self._work.finish()
            self._events.put((job, result))
        return True

    def _sample(self, job: SampleJob) -> JobResult:
        sampling = self._fitting(job)
        try:
            done = self._endpoint.complete_one(job.problem.messages, sampling, job.seed)
        except RefusedError as error:
            self._note(None)
            return SampleFailure("refused", str(error))
        except EngineError as error:
            self._note(error)
            is_late = isinstance(error, TimeoutEngineError)
            return SampleFailure("timeout" if is_late else "failed", str(error))
        self._note(None)
        return SampledText(
            done.completion.text,
            done.completion.finish,
            done.n_tokens,
            done.n_prompt_tokens,
            sampling.max_tokens,
        )

    def _note(self, error: EngineError | None) -> None:
        """Count failures in a row, after which the server counts as down."""
        with self._lock:
            self._n_failed = 0 if error is None else self._n_failed + 1
            if error is not None and self._failure is None and self._n_failed >= self._patience:
                self._failure = error
                self._work.drop_server()

    def _fitting(self, job: SampleJob) -> SamplingParams:
        """Lower max_tokens to what a known context leaves after the prompt."""
        if self._context is None or job.sampling.max_tokens < self._context:
            return job.sampling
        n_bytes = sum(len(message.content.encode()) for message in job.problem.messages)
        room = max(16, self._context - n_bytes // BYTES_PER_TOKEN - 64)
        return dataclasses.replace(job.sampling, max_tokens=min(job.sampling.max_tokens, room))


def _is_transient(result: JobResult) -> bool:
    """True for a failure that another server may not have."""
    return isinstance(result, SampleFailure) and result.kind != "refused"


def _context_of(endpoint: Endpoint) -> int | None:
    """Return the context that a server states for its model, if it does not lower limits itself."""
    try:
        listed = {str(model["id"]): model for model in endpoint.listed()}
    except EngineError:
        return None
    model = listed.get(endpoint.model, {})
    length = model.get("max_model_len")
    return length if isinstance(length, int) and model.get("owned_by") != "r1kit" else None
