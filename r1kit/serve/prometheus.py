"""`/metrics`: the server's metrics in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from r1kit.serve.models import ServedModel
from r1kit.serve.response_stream import EngineStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTED: dict[str, tuple[str, str, Callable[[EngineStats], int]]] = {
    "r1_completions_running": ("gauge", "Being sampled.", lambda v: v.n_running),
    "r1_completions_waiting": ("gauge", "Waiting for a first token.", lambda v: v.n_waiting),
    "r1_engine_healthy": ("gauge", "1 while requests are served.", lambda v: int(v.is_healthy)),
    "r1_prompt_tokens": ("counter", "Read.", lambda v: v.n_prompt_tokens),
    "r1_cached_tokens": ("counter", "Read, but known before.", lambda v: v.n_cached_tokens),
    "r1_completion_tokens": ("counter", "Sampled.", lambda v: v.n_completion_tokens),
    "r1_engine_failures": ("counter", "Engines that failed.", lambda v: v.n_failures),
}
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class ServerMetrics:
    """The metrics of one server; each server has its own registry."""

    def __init__(self, served: Iterable[ServedModel]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Engines(list(served)))
        self.requests = Counter(
            "r1_requests", "Requests for completions.", ["status"], registry=self._registry
        )
        self.seconds = Histogram(
            "r1_answer_seconds", "From a request to its last token.",
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self.first_token = Histogram(
            "r1_first_token_seconds", "From a request to its first token.",
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)


class _Engines(Collector):
    """A collector of what engine loops and engines count themselves, read on each scrape."""

    def __init__(self, served: list[ServedModel]) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        for name, (kind, documentation, value) in _COUNTED.items():
            metric = Metric(name, documentation, kind)
            for model in self._served:
                sample = f"{name}_total" if kind == "counter" else name
                metric.add_sample(sample, {"model": model.name}, value(model.stats))
            yield metric
