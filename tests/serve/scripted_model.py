"""A served model that writes what a test says, token by token."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from r1kit.engines.base import RequestState, TokenLogprobs
from r1kit.engines.grammar import Grammars
from r1kit.engines.scripted import ScriptedEngine
from r1kit.model.tokenizer import train_tokenizer
from r1kit.serve.models import EngineModel
from r1kit.types import Completion, Request
from tests.serve.conftest import LIMITS, TEXTS, Server, running

TOKENIZER_TEXTS = [*TEXTS, '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}'] * 2
Write = Callable[[Request], str]
"""the model's text for a request, as tokens decode to it"""


class StreamedScript(ScriptedEngine):
    """A scripted engine whose completions grow by a few tokens a step."""

    max_positions = None

    def __init__(self, write: Write, tokenizer: Any, n_per_step: int) -> None:
        super().__init__(lambda request, _: write(request), tokenizer)
        self.eos_ids = frozenset({tokenizer.eos_token_id})
        self._n_per_step = n_per_step
        self._shown: dict[int, int] = {}
        self._whole: dict[int, list[Completion]] = {}

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        state = super().submit(request, ahead)
        self._whole[id(state)] = [self._complete(request, index) for index in range(request.n)]
        self._shown[id(state)] = 0
        return state

    def step(self) -> list[RequestState]:
        finished = []
        for state in list(self._queue):
            self._shown[id(state)] += self._n_per_step
            state.n_begun = state.request.n
            for index, whole in enumerate(self._whole[id(state)]):
                is_shown = len(whole.token_ids) <= self._shown[id(state)]
                if is_shown and state.completions[index] is None:
                    state.finish(index, whole)
            if not state.n_left:
                self._queue.remove(state)
                finished.append(state)
        return finished

    def sampled_ids(self, state: RequestState, index: int) -> list[int]:
        completion = state.completions[index]
        return self._begun(state, index).token_ids if completion is None else completion.token_ids

    def logprobs(self, state: RequestState, index: int) -> TokenLogprobs:
        n = len(self.sampled_ids(state, index))
        return TokenLogprobs([0.0] * n, [[]] * n)

    def abort_completion(self, state: RequestState, index: int) -> Completion:
        completion = self._begun(state, index)
        state.finish(index, completion)
        if not state.n_left:
            self._queue.remove(state)
        return completion

    def _begun(self, state: RequestState, index: int) -> Completion:
        ids = self._whole[id(state)][index].token_ids[: self._shown[id(state)]]
        return Completion(ids, [0.0] * len(ids), "", "abort", 0)


@contextmanager
def writing(
    write: Write, chat_template: str | None = None, n_per_step: int = 3
) -> Iterator[Server]:
    """A server of one such model, with r1kit's own template or another one."""
    tokenizer = train_tokenizer(TOKENIZER_TEXTS, 340)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    grammars = Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])

    def make() -> StreamedScript:
        return StreamedScript(write, tokenizer, n_per_step)

    with running([EngineModel("tiny", make, tokenizer, grammars, LIMITS)]) as server:
        yield server
