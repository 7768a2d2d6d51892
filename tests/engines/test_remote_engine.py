"""What all engines share that sample elsewhere."""

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.engines.base import RequestState, generate
from r1kit.engines.remote_engine import CompletionUpdate, RemoteCompletion, RemoteEngine
from r1kit.errors import EngineError
from r1kit.types import FinishReason, Request, SamplingParams


class Elsewhere(RemoteEngine):
    """Sends a token a step; the first completion of a request fails in the second step."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(tokenizer, vocab_size=258, eos_ids=[257], max_positions=None)
        self.sent: list[RemoteCompletion] = []
        self.cancelled: list[int] = []
        self.n_steps = 0

    def _send(self, state: RequestState, completions: list[RemoteCompletion], ahead: bool) -> None:
        self.sent += completions

    def _cancel(self, completion: RemoteCompletion) -> None:
        self.cancelled.append(completion.index)

    def step(self) -> list[RequestState]:
        self.n_steps += 1
        assert self.n_steps < 9, "nothing ends"
        finish: FinishReason | None = "length" if self.n_steps == 3 else None
        update = CompletionUpdate([65], [-1.0], finish)
        failure = EngineError("The first completion failed.")
        updates = [
            (completion, failure if (self.n_steps, completion.index) == (2, 0) else update)
            for completion in self.sent
        ]
        return [
            completion.state for completion, update in updates if self._apply(completion, update)
        ]


def test_a_completion_that_fails_elsewhere_ends_and_the_others_go_on(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    engine = Elsewhere(byte_tokenizer)
    with pytest.raises(EngineError, match="The first completion failed"):
        generate(engine, [Request([65], 2, SamplingParams(3), seed=0)])
    [state] = {completion.state for completion in engine.sent}
    first, second = state.completions
    assert first is not None
    assert second is not None
    assert (first.token_ids, first.finish) == ([65], "abort")
    assert (second.token_ids, second.finish) == ([65] * 3, "length")
    assert engine.cancelled == [], "it has ended there too"
