"""The scaling model: numbers of GPUs by hand, and the paper's model by its published sizes."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from r1kit import cli, config
from r1kit.config import OptimConfig
from r1kit.forecast.counting import shape_of
from r1kit.forecast.hardware import GPUS
from r1kit.forecast.known_models import KNOWN, known_config
from r1kit.forecast.memory import Precision
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.forecast.remedy import one_change
from r1kit.forecast.scaling import scaling
from r1kit.forecast.timings import estimated, n_vllm_gpus, sampling_seconds
from r1kit.model import sharding
from r1kit.model.ranks import Ranks
from r1kit.train.optim import make_optimizers
from tests.conftest import policy_of, tiny_model
from tests.forecast.conftest import SHAPE, made
from tests.ranks import on_ranks

TEN_BILLION = replace(SHAPE, n_parameters=10**10, n_active=10**10, n_layers=100)


def on_gpus(n: int, shape: ModelShape = SHAPE, n_problems: int = 64) -> Forecast:
    forecast = made({"zero": {"n_problems": n_problems}, "compute": {"n_processes": "auto"}}, 1)
    models = {"": replace(forecast.setting.models[""], shape=shape)}
    setting = replace(forecast.setting, models=models)
    return replace(forecast, setting=setting, hardware=replace(GPUS["h100"], count=n))


def test_the_rows_are_powers_of_two_and_the_stated_number() -> None:
    assert [row.n_gpus for row in scaling(on_gpus(6))] == [1, 2, 4, 6]
    assert scaling(replace(on_gpus(6), hardware=None)) == []


def test_efficiency_and_price_are_relative_to_the_fewest_gpus() -> None:
    one, two, four = scaling(on_gpus(4))
    assert one.seconds is not None
    assert four.seconds is not None
    assert (one.efficiency, one.sharded, one.is_sharded) == (1.0, None, False)
    assert four.efficiency == pytest.approx(one.seconds / (4 * four.seconds))
    assert four.price == pytest.approx(4 * four.seconds / 3600 * 3.6)
    assert two.efficiency is not None
    assert four.efficiency is not None
    assert four.efficiency < two.efficiency < 1


def test_a_model_that_does_not_fit_whole_is_sharded() -> None:
    """Ten billion weights: 16 bytes each whole; 16 / n and 4 for the sampler in parts."""
    rows = {row.n_gpus: row for row in scaling(on_gpus(8, TEN_BILLION))}
    assert rows[8].whole > 160e9
    assert [n for n, row in rows.items() if row.seconds is not None] == [8]
    assert rows[8].is_sharded
    assert rows[8].sharded is not None
    assert 60e9 < rows[8].sharded < 76e9
    assert rows[8].efficiency == 1.0


def test_eight_bit_adam_is_not_sharded() -> None:
    forecast = on_gpus(2)
    zero = forecast.recipe.zero
    optim = zero.optim.model_copy(update={"optimizer": "adamw8bit"})
    recipe = forecast.recipe.model_copy(update={"zero": zero.model_copy(update={"optim": optim})})
    assert [row.sharded for row in scaling(replace(forecast, recipe=recipe))] == [None, None]


PUBLISHED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-Math-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-Math-7B": 7_615_616_512,
    "Qwen/Qwen2.5-14B": 14_770_033_664,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "deepseek-ai/DeepSeek-V3-Base": 671_026_404_352,
}
"""numbers of weights that the repositories state, DeepSeek-V3's without its prediction module"""


def test_known_models_have_as_many_weights_as_published() -> None:
    for name in KNOWN:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(known_config(name))
        assert model.num_parameters() == PUBLISHED[name], name
    assert known_config("Qwen/Qwen7") is None


def test_every_model_of_a_shipped_recipe_is_known() -> None:
    for shipped in config.shipped_recipes():
        recipe = config.load(shipped.path)
        students = recipe.distill.students if recipe.distill else ()
        paths = {recipe.model.path, *(student.model.path for student in students)}
        assert {path for path in paths if path is not None} <= KNOWN.keys(), shipped.name


def test_the_papers_model_by_hand() -> None:
    shape = shape_of(known_config("deepseek-ai/DeepSeek-V3-Base"))
    assert round(shape.n_active / 1e9) == 37
    assert shape.kv_floats == 61 * (512 + 64)
    assert shape.attention_width == 128 * (192 + 128) / 2


def test_the_papers_step_on_512_h800_by_hand() -> None:
    """The numbers of the table in docs/scaling.md."""
    shape = shape_of(known_config("deepseek-ai/DeepSeek-V3-Base"))
    n, gpus, half = shape.n_parameters, replace(GPUS["h800"], count=512), Precision(2, 4, 4)
    outer = shape.hidden * shape.vocab_size
    layer = (n - outer) / shape.n_layers
    sizes = (16 * n / 512, 4 * n / 512, 2 * (outer + 2 * layer), 4 * (outer + layer), 2 * n)
    assert [round(size / 1e9) for size in sizes] == [21, 5, 46, 48, 1342]
    assert n_vllm_gpus(2 * n, gpus) == 32
    seconds = {}
    for length in (8192, 32768):
        sequence = 250 + length
        made = estimated(shape, gpus, half, 16, sequence, n_shards=512, is_vllm=True)
        tokens, passes = 16 * sequence, 4 / 3 + 1 / 3  # recomputation and reference
        sampled = sampling_seconds(made, 16, length, length, 16, 250)
        seconds[length] = round(sampled), round(tokens * passes * made.learn_token)
    assert seconds == {8192: (229, 184), 32768: (1186, 1189)}
    moved = n * 511 / 512 * (2 * 2 + 4) / 50e9
    assert made.learn_batch == pytest.approx(moved, rel=0.01)
    assert round(moved) == 107
    assert [round(sum(s) * 650 * 512 / 3600, -3) for s in seconds.values()] == [38_000, 220_000]


def test_a_recipe_that_does_not_fit_whole_is_told_to_shard() -> None:
    forecast = on_gpus(8, TEN_BILLION)
    remedy = one_change(forecast.on(8, 1))
    assert remedy is not None
    assert remedy.changes == ("compute.data_parallel_shard_degree=-1",)


def test_the_papers_recipe_is_planned_without_its_data_or_the_hub() -> None:
    command = ["plan", "paper", "--gpus", "16xH200", "--json"]
    answer = CliRunner().invoke(cli.app, [*command, "--set", "sampler.kind=vllm"])
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    assert plan["fits"] is False
    assert [row["n_gpus"] for row in plan["by_n_gpus"]] == [1, 2, 4, 8, 16]
    assert any("data/math.jsonl" in line for line in plan["assumptions"])
    assert any("by its published sizes" in line for line in plan["assumptions"])


class Moved(TorchDispatchMode):
    """Adds up the bytes that a rank receives from others in collectives of tensors."""

    def __init__(self, n_ranks: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_bytes = {"gathered": 0.0, "summed": 0.0}
        self._others = 1 - 1 / n_ranks

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if "_allgather_base_" in str(func):
            self.n_bytes["gathered"] += args[0].nbytes * self._others
        if "_reduce_scatter_base_" in str(func):
            self.n_bytes["summed"] += args[1].nbytes * self._others
        return func(*args, **(kwargs or {}))


def pass_of_a_shard(ranks: Ranks) -> dict[str, float]:
    """Count what a pass of a sharded model moves, and what a rank holds after an update."""
    policy = policy_of(tiny_model("llama-gqa"))
    policy.shard(sharding.mesh_of(ranks))
    ids, mask = torch.arange(16), torch.ones(16, dtype=torch.bool)
    mask[0] = False
    with Moved(ranks.size) as moved:
        policy.logprobs(ids, [16], mask).sum().backward()
    optimizers = make_optimizers(policy.trainable(), OptimConfig(optimizer="adamw"))
    optimizers.step(1.0)
    local = [p.to_local() for p in policy.module.parameters() if isinstance(p, DTensor)]
    moments = [
        value.to_local() if isinstance(value, DTensor) else value
        for part in optimizers.parts.values()
        for state in part.optimizer.state.values()
        for value in state.values()
        if value.ndim
    ]
    held = {"weights": local, "moments": moments}
    counted: dict[str, float] = moved.n_bytes
    return counted | {k: float(sum(t.nbytes for t in v)) for k, v in held.items()}


def test_a_shard_holds_and_moves_what_the_formulas_say() -> None:
    """Two processes over gloo, in float32: half of everything is there, and half is moved."""
    n = tiny_model("llama-gqa").num_parameters()
    assert on_ranks(2, 2, pass_of_a_shard) == {
        "weights": 4 * n / 2, "moments": 8 * n / 2, "gathered": 2 * 4 * n / 2, "summed": 4 * n / 2,
    }  # fmt: skip
    gpus = replace(GPUS["h100"], count=2)
    whole, sharded = (
        estimated(replace(SHAPE, n_parameters=n), gpus, Precision(), 1, 1, n_shards=degree)
        for degree in (1, 2)
    )
    moved = (sharded.learn_batch - whole.learn_batch) * gpus.link
    assert moved == pytest.approx((2 * 4 + 4) * n / 2)
