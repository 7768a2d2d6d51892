"""Chat backends: a model loaded in this process, or one on a server."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from r1kit.engines.completion import GenerationRequest, begin
from r1kit.engines.openai.endpoint import Endpoint
from r1kit.errors import CheckpointError, EngineError
from r1kit.http.client import is_url
from r1kit.model.find import find_model
from r1kit.processes.loading import gc_paused_imports
from r1kit.renderers import renderer_of
from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.stream_parser import Piece
from r1kit.types import FinishReason, Message, Request, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ChatBackend(Protocol):
    """A model that answers in a chat."""

    name: str

    def stream_reply(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, thinks: bool
    ) -> Iterator[Piece | FinishReason]:
        """Stream the next turn, then yield its finish reason. Raises EngineError."""
        ...

    def model_names(self) -> list[str]:
        """Return the names that `switch_to` accepts."""
        ...

    def switch_to(self, name: str) -> ChatBackend:
        """Return a backend for another model. Raises an R1Error, leaving this one unchanged."""
        ...

    def close(self) -> None: ...


def open_backend(source: str, model: str | None = None, key: str | None = None) -> ChatBackend:
    """Open a checkpoint, a run, a hub id, or the address of a server. Raises an R1Error."""
    return (
        RemoteBackend(Endpoint(source, model, key))
        if is_url(source)
        else LocalBackend.open_model(source)
    )


class LocalBackend:
    """A model loaded in this process."""

    def __init__(
        self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        from r1kit.engines.local import LocalEngine

        self.name = name
        self.tokenizer = tokenizer
        self._renderer = renderer_of(tokenizer)
        self._close_ids = tuple(self._renderer.end_thinking_ids())
        self._new_engine = partial(LocalEngine, model, tokenizer, max_num_seqs=1)
        self.engine = self._new_engine()

    @classmethod
    def open_model(cls, name: str, device: str = "auto", dtype: str = "auto") -> LocalBackend:
        """Load a name accepted by `find_model`, in bfloat16 on CUDA by default. Raises R1Error."""
        path = find_model(name)  # before importing torch, so that a missing path fails at once
        with gc_paused_imports():
            import torch

            from r1kit.model import checkpoint
            from r1kit.model.devices import resolve_device

        kind = resolve_device(device, "--device")
        wide = dtype == "float32" or (dtype == "auto" and kind != "cuda")
        model, tokenizer = checkpoint.load(path, kind, torch.float32 if wide else torch.bfloat16)
        return cls(str(path), model, tokenizer)

    def stream_reply(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, thinks: bool
    ) -> Iterator[Piece | FinishReason]:
        rendered = self._render_prompt(messages, thinks)
        n_free = (self.engine.max_positions or sys.maxsize) - len(rendered.ids)
        if n_free < 1:
            raise EngineError(
                "The conversation is longer than the model's context; start a new one with /new."
            )
        sampling = dataclasses.replace(sampling, max_tokens=min(sampling.max_tokens, n_free))
        request = Request(rendered.ids, 1, sampling, seed)
        try:
            yield from self._sample(GenerationRequest(request, rendered, close_ids=self._close_ids))
        except BaseException:  # Ctrl-C may interrupt a step and leave the engine inconsistent
            self.engine = self._new_engine()
            raise

    def _sample(self, request: GenerationRequest) -> Iterator[Piece | FinishReason]:
        [stream] = begin(self.engine, request, self.tokenizer)
        while not stream.is_over:
            self.engine.step()
            for chunk in stream.advance(self.engine):
                yield from chunk.pieces
                if chunk.finish is not None:
                    yield chunk.finish

    def _render_prompt(self, messages: Sequence[Message], thinks: bool) -> RenderedPrompt:
        """Render the prompt; with thinking on, the model may still answer a greeting without it."""
        renderer = self._renderer
        return (
            renderer.generation_prompt(messages)
            if thinks
            else renderer.continuation_prompt(messages, False)
        )

    def model_names(self) -> list[str]:
        paths = Path(self.name).parent.glob("*/r1kit.json")
        return sorted(path.parent.name for path in paths)

    def switch_to(self, name: str) -> LocalBackend:
        """Load a checkpoint next to this one, or a name accepted by `find_model`."""
        sibling = Path(self.name).parent / name
        return LocalBackend.open_model(str(sibling) if name in self.model_names() else name)

    def close(self) -> None:
        """Do nothing: the backend holds only memory."""


class RemoteBackend:
    """A model on an OpenAI-compatible server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name = f"{endpoint.model} at {endpoint.address}"

    def stream_reply(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, thinks: bool
    ) -> Iterator[Piece | FinishReason]:
        return self._endpoint.stream(messages, sampling, seed, thinks)

    def model_names(self) -> list[str]:
        return self._endpoint.models()

    def switch_to(self, name: str) -> RemoteBackend:
        if name not in self.model_names():
            raise CheckpointError(
                f"The server has no model {name}; it has {', '.join(self.model_names())}."
            )
        return RemoteBackend(self._endpoint.for_model(name))

    def close(self) -> None:
        self._endpoint.close()
