"""Whatever the weights, a completion under a schema is JSON that the schema allows."""

import dataclasses
import json
from typing import Any

import jsonschema_rs
import pytest
import torch

from r1kit.engines.base import as_schema
from r1kit.engines.grammar import Grammars
from r1kit.engines.local import LocalEngine
from r1kit.errors import EngineError
from r1kit.model import checkpoint
from r1kit.types import Request, Sampling
from tests.serve.conftest import untrained

SCHEMAS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": -3, "maximum": 12},
    {"enum": ["yes", "no", "다시"]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {"type": "string", "pattern": "^[ab]{1,4}$"},
    {
        "type": "object",
        "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 9},
                       "y": {"anyOf": [{"type": "null"}, {"const": 7}]}},
        "required": ["x", "y"],
        "additionalProperties": False,
    },
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = untrained(tmp_path_factory.mktemp("grammar") / "tiny", hidden_size=32, heads=4)
    return checkpoint.load(folder, device="cpu")


@pytest.fixture(scope="module")
def words(opened: Any) -> Any:
    return opened[1]


@pytest.fixture(scope="module")
def engine(opened: Any) -> LocalEngine:
    return LocalEngine(*opened, max_rows=4)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: as_schema(schema)[:24])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_it_follows_the_schema(engine: LocalEngine, schema: Any, temperature: float) -> None:
    sampling = Sampling(200, temperature, json_schema=as_schema(schema))
    [found] = engine.generate([Request([5, 6, 7], 6, sampling, seed=3)])
    for completion in found:
        assert completion.finish == "stop"
        jsonschema_rs.validate(schema, json.loads(completion.text))
        assert all(logprob <= 0 for logprob in completion.logprobs)


def test_the_free_are_not_bound_and_the_bound_do_not_depend_on_them(engine: LocalEngine) -> None:
    free = Sampling(30)
    bound = dataclasses.replace(free, json_schema=as_schema(SCHEMAS[4]))
    alone = [engine.generate([Request([5, 6], 3, s, seed=1)])[0] for s in (free, bound)]
    together = engine.generate([Request([5, 6], 3, s, seed=1) for s in (free, bound)])
    for one, other in zip(alone, together, strict=True):
        assert [c.token_ids for c in one] == [c.token_ids for c in other]


@pytest.mark.parametrize(
    "schema",
    [{"type": "nonsense"}, {"$ref": "https://example.org/x.json"}, {"$ref": "file:///etc/passwd"},
     {"type": "string", "pattern": "("}],
)  # fmt: skip
def test_what_cannot_be_followed_is_told(words: Any, schema: Any) -> None:
    with pytest.raises(EngineError) as told:
        Grammars(words, len(words), [words.eos_token_id]).walk(as_schema(schema))
    assert 10 < len(str(told.value)) <= 200


def test_a_schema_is_compiled_once_and_walked_apart(words: Any) -> None:
    grammars = Grammars(words, len(words), [words.eos_token_id])
    first, second = (grammars.walk(as_schema({"enum": ["ab", "cd"]})) for _ in range(2))
    assert len(grammars._compiled) == 1
    before = torch.zeros(len(words))
    second.restrict(before)
    [quote] = words.encode('"', add_special_tokens=False)
    first.take(quote)
    after = torch.zeros(len(words))
    second.restrict(after)
    assert torch.equal(before, after)
    assert before[quote] == 0
    assert before.isinf().sum() > len(words) // 2
