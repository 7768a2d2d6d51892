"""Whatever the weights, a completion under a schema is JSON that the schema allows."""

import dataclasses
import json
import random

import jsonschema_rs
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit.engines.base import as_schema, generate
from r1kit.engines.grammar import Grammars
from r1kit.engines.local import LocalEngine
from r1kit.errors import GrammarError
from r1kit.model import checkpoint
from r1kit.types import Json, Request, SamplingParams
from tests.serve.conftest import untrained

Opened = tuple[PreTrainedModel, PreTrainedTokenizerBase]
SCHEMAS: list[Json] = [
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
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = untrained(tmp_path_factory.mktemp("grammar") / "tiny", hidden_size=32, heads=4)
    return checkpoint.load(folder, device="cpu")


@pytest.fixture(scope="module")
def tokenizer(opened: Opened) -> PreTrainedTokenizerBase:
    return opened[1]


@pytest.fixture(scope="module")
def engine(opened: Opened) -> LocalEngine:
    return LocalEngine(*opened, max_num_seqs=4)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: as_schema(schema)[:24])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_it_follows_the_schema(engine: LocalEngine, schema: Json, temperature: float) -> None:
    sampling = SamplingParams(200, temperature, json_schema=as_schema(schema))
    [result] = generate(engine, [Request([5, 6, 7], 6, sampling, seed=3)])
    for completion in result:
        assert completion.finish == "stop"
        jsonschema_rs.validate(schema, json.loads(completion.text))
        assert all(logprob <= 0 for logprob in completion.logprobs)


def test_the_free_are_not_bound_and_the_bound_do_not_depend_on_them(engine: LocalEngine) -> None:
    free = SamplingParams(30)
    bound = dataclasses.replace(free, json_schema=as_schema(SCHEMAS[4]))
    alone = [generate(engine, [Request([5, 6], 3, s, seed=1)])[0] for s in (free, bound)]
    together = generate(engine, [Request([5, 6], 3, s, seed=1) for s in (free, bound)])
    for first, other in zip(alone, together, strict=True):
        assert [c.token_ids for c in first] == [c.token_ids for c in other]


@pytest.mark.parametrize(
    "schema",
    [{"type": "nonsense"}, {"$ref": "https://example.org/x.json"}, {"$ref": "file:///etc/passwd"},
     {"type": "string", "pattern": "("}],
)  # fmt: skip
def test_what_cannot_be_followed_is_told(tokenizer: PreTrainedTokenizerBase, schema: Json) -> None:
    with pytest.raises(GrammarError) as error:
        Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id]).start(as_schema(schema))
    assert 10 < len(str(error.value)) <= 200


def test_a_schema_is_compiled_once_and_walked_apart(tokenizer: PreTrainedTokenizerBase) -> None:
    grammars = Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    first, second = (grammars.start(as_schema({"enum": ["ab", "cd"]})) for _ in range(2))
    assert len(grammars._compiled) == 1
    before = torch.zeros(len(tokenizer))
    second.restrict(before)
    [quote] = tokenizer.encode('"', add_special_tokens=False)
    first.take(quote)
    after = torch.zeros(len(tokenizer))
    second.restrict(after)
    assert torch.equal(before, after)
    assert before[quote] == 0
    assert before.isinf().sum() > len(tokenizer) // 2


HOSTILE = {"type": "string", "pattern": "^(.{1,99}){99}$"}
"""Its automaton grows with every token, beyond the limit after some dozens."""


def n_followed(grammars: Grammars, schema: Json, seed: int) -> int:
    """How far a random text gets, of 200 tokens."""
    walk, rng = grammars.start(as_schema(schema)), random.Random(seed)
    for n in range(200):
        logits = torch.zeros(grammars.vocab_size)
        try:
            walk.restrict(logits)
        except GrammarError:
            return n
        may = torch.isfinite(logits).nonzero()[:, 0].tolist()
        walk.take(rng.choice(may[1:] or may))
    return 200


def test_a_walk_that_reaches_a_limit_takes_no_other_along(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Copies of a matcher share its lexer, and a lexer that has failed fails for all of them."""
    alone = [
        n_followed(Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id]), HOSTILE, seed)
        for seed in range(4)
    ]
    assert 20 < min(alone) < max(alone) < 200
    shared = Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    assert [n_followed(shared, HOSTILE, seed) for seed in range(4)] == alone


def test_a_completion_that_cannot_be_held_to_its_schema_ends_alone(engine: LocalEngine) -> None:
    bound = [
        SamplingParams(150, 1.5, json_schema=as_schema(schema)) for schema in (HOSTILE, SCHEMAS[4])
    ]
    alone = generate(engine, [Request([5, 6], 2, bound[1], seed=1)])[0]
    states = [engine.submit(Request([5, 6], 2, sampling, seed=1)) for sampling in bound]
    while any(state.n_left for state in states):
        engine.step()
    hostile, ordinary = states
    assert hostile.errors
    with pytest.raises(GrammarError, match="counted repetitions"):
        hostile.results()
    with pytest.raises(GrammarError):
        engine.sampled_ids(hostile, next(iter(hostile.errors)))
    assert [c.token_ids for c in ordinary.results()] == [c.token_ids for c in alone]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_text_ends_before_its_least_length(opened: Opened, temperature: float) -> None:
    """Of a model that always ends its text."""
    model, tokenizer = opened
    lean = torch.zeros(len(tokenizer))
    lean[tokenizer.eos_token_id] = 1e4
    model.lm_head.bias = torch.nn.Parameter(lean, requires_grad=False)
    try:
        engine = LocalEngine(model, tokenizer, max_num_seqs=4)
        requests = [
            Request([5, 6, 7], 2, SamplingParams(9, temperature, top_p=top_p, min_tokens=n), seed=2)
            for n in (0, 1, 4)
            for top_p in (1.0, 0.9)
        ]
        lengths = [[len(c.token_ids) for c in group] for group in generate(engine, requests)]
    finally:
        model.lm_head.bias = None
    assert lengths == [[n + 1] * 2 for n in (0, 1, 4) for _ in range(2)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_text_that_is_complete_ends_before_its_least_length(
    engine: LocalEngine, temperature: float
) -> None:
    sampling = SamplingParams(60, temperature, json_schema=as_schema(SCHEMAS[1]), min_tokens=50)
    [completions] = generate(engine, [Request([5, 6, 7], 3, sampling, seed=3)])
    for completion in completions:
        assert completion.finish == "stop"
        assert json.loads(completion.text) in SCHEMAS[1]["enum"]
        assert all(logprob <= 0 for logprob in completion.logprobs)
