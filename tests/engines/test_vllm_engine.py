"""The engine on a vLLM server: what it sends. tests/serve/test_vllm.py asks a real one."""

from collections.abc import Iterator
from typing import Any

import pytest

from r1kit.engines.base import RequestState
from r1kit.engines.remote_engine import RemoteCompletion
from r1kit.engines.vllm.engine import VllmEngine
from r1kit.types import Request, SamplingParams


@pytest.fixture
def engine(byte_tokenizer: Any) -> Iterator[VllmEngine]:
    engine = VllmEngine("http://127.0.0.1:9", "tiny", "key", byte_tokenizer,
                        vocab_size=258, eos_ids={257}, max_positions=256)  # fmt: skip
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(7, [7, 8, 9]), (-1, [2**63 - 1, 0, 1]), (2**63 - 2, [2**63 - 2, 2**63 - 1, 0])],
)  # fmt: skip
def test_every_completion_has_a_seed_of_its_own(
    engine: VllmEngine, seed: int, expected: list[int]
) -> None:
    state = RequestState(Request([1, 2], 3, SamplingParams(4), seed))
    bodies = [engine._body(RemoteCompletion(state, index)) for index in range(3)]
    assert [body["seed"] for body in bodies] == expected
    assert all("n" not in body for body in bodies)
