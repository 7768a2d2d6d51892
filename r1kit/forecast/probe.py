"""Counts a model on its own architecture, and times its operations on this machine, in seconds.

Runs in a child process (`main`), so that a measurement leaves nothing behind in the run. The
weights are random: nothing is downloaded but the config. All processes of the run measure at once,
because they share caches and memory bandwidth.
"""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import psutil
import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from r1kit.config import ComputeConfig, Language, ModelConfig, OptimConfig
from r1kit.engines.local import LocalEngine
from r1kit.errors import CheckpointError, ComputeError, R1Error
from r1kit.forecast.known_models import known_config
from r1kit.forecast.measured import REMEDY, Measurement
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths, prompts_of
from r1kit.model import causal_lm, devices, folder
from r1kit.model.cache import PrefillCache
from r1kit.model.find import find_model
from r1kit.model.flops import attention_width, n_active
from r1kit.model.fused import inference
from r1kit.model.logprobs import forward, token_logprobs
from r1kit.model.packed import Packed
from r1kit.model.parallel import launch
from r1kit.model.ranks import Ranks, finish
from r1kit.model.roles import roles_of
from r1kit.renderers import renderer_of
from r1kit.renderers.adopt import adopt_template
from r1kit.stages.out_of_memory import is_out_of_memory
from r1kit.train.optim import make_optimizers
from r1kit.types import Message, Request, SamplingParams

COUNTED_TOKENS = 32
LARGE_LAYER = 250_000_000
"""weights of a layer from which a narrower one is counted"""
WHOLE = 150_000_000
"""weights up to which a model is timed whole; of a larger one some layers are, and extrapolated"""
FLOPS = 40e9
"""work of one timed operation, at most, if it can be smaller: about a second on a core"""
SECONDS = 1.0
"""time after which an operation is not repeated a third time"""
MOST_STEPS = 8
"""decoding steps per timing, at most"""
MAX_DECODED = 256
"""decoding steps of all timings of a number of rows, at most"""


def main(line: Connection) -> None:
    """Answer each request, the arguments of `measure`, with a measurement or an R1Error."""
    try:
        for request in line.recv():
            line.send(measure(**request))
    except R1Error as error:
        line.send(error)
    except Exception as error:
        if is_out_of_memory(error):
            line.send(ComputeError(f"Measuring the model has used up the memory; {REMEDY}."))
        else:
            line.send(RuntimeError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))


def measure(
    model: ModelConfig,
    compute: ComputeConfig,
    optim: OptimConfig,
    questions: list[tuple[Message, ...]],
    languages: tuple[Language, ...],
    rows: int,
    length: int,
    at_most: int,
    is_timed: bool,
) -> Measurement:
    """Count the model, and time the operations of `rows` completions of `length` tokens."""
    config, is_there = model_config(model, is_timed)
    device = devices.resolve_device(compute.device)
    n = devices.n_processes(compute, at_most)
    program = psutil.Process().memory_info().rss
    shape = shape_of(config)
    prompts = _prompts(model, questions, languages) if is_there else None
    if prompts and shape.max_positions and prompts.longest >= shape.max_positions:
        raise ComputeError(
            f"A question has {prompts.longest} tokens, and the model's context ends at "
            f"{shape.max_positions}; shorten the questions, or use another model."
        )
    timings = None
    if is_timed:
        n_prompt = round(prompts.mean) if prompts else 64
        work = _Work(config, compute, optim, shape, max(rows, 1), n_prompt, length)
        timings = launch(n, compute, time_operations, work)
    memory = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else None
    return Measurement(shape, prompts, timings, n, device, program, memory)


def model_config(model: ModelConfig, is_timed: bool) -> tuple[Any, bool]:
    """Return the transformers config of an existing or a new model, and True if it has a tokenizer.

    A model that is only counted may be a known one that is not on this machine.
    """
    if model.path is None:
        with torch.device("meta"):
            built = causal_lm.build(model, model.vocab_size, eos_id=0, pad_id=0, bos_id=0, seed=0)
        return built.config, False
    try:
        return folder.text_config(find_model(model.path)), True
    except CheckpointError:
        config = None if is_timed else known_config(model.path)
        if config is None:
            raise
        return config, False


def _prompts(
    model: ModelConfig, questions: list[tuple[Message, ...]], languages: tuple[Language, ...]
) -> PromptLengths:
    assert model.path is not None
    tokenizer = folder.open_tokenizer(find_model(model.path))
    adopt_template(tokenizer, model.chat_template, model.instruction, languages)
    renderer = renderer_of(tokenizer)
    return prompts_of([renderer.render_prompt(question) for question in questions])


# Counting


def shape_of(config: Any) -> ModelShape:
    """Count the weights of a model, and the cache and activations of its layers.

    Weights are counted without memory, on torch's meta device; the layers by running one and two
    of them on a few tokens.
    """
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    n_layers = config.num_hidden_layers
    narrow = _narrowing(config, whole)
    cuts = [cut(config, n, vocab_size=64, **narrow.widths) for n in (1, 2)]
    one, two = (_saved(cut, torch.float32) for cut in cuts)
    layer, outer = narrow.times * (two[0] - one[0]) / 4, narrow.times * (2 * one[0] - two[0]) / 4
    half_one, half_two = (_saved(cut, torch.bfloat16) for cut in cuts)
    half = narrow.times * (half_two[0] - half_one[0])
    shared = config.qk_rope_head_dim if getattr(config, "kv_lora_rank", None) else 0
    kv = narrow.times * (two[1] - one[1] - shared) + shared  # one key of all heads stays as wide
    roles = roles_of(whole)
    n_matrices = sum(p.numel() for p, role in roles.items() if role in ("matrix", "expert"))
    heads = config.num_attention_heads
    return ModelShape(
        n_parameters=whole.num_parameters(),
        n_matrices=n_matrices,
        n_active=n_active(whole),
        n_layers=n_layers,
        hidden=config.hidden_size,
        vocab_size=config.vocab_size,
        kv_floats=round(kv * n_layers),
        layer_floats=round(layer),
        wide_floats=round((half - 2 * layer) / 2),
        attention_width=attention_width(config),
        cell_floats=round(2 * attention_width(config) + kv + heads),
        outer_floats=round(outer),
        linear_features=_linear_features(whole),
        max_positions=causal_lm.max_positions(whole),
    )


@dataclass(frozen=True)
class Narrowing:
    """Smaller widths at which a large model is counted: `times` as narrow, with heads as wide."""

    times: int = 1
    widths: dict[str, int] = field(default_factory=dict)


WIDTHS = (
    "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "moe_intermediate_size", "n_routed_experts", "q_lora_rank", "kv_lora_rank",
)  # fmt: skip


def _narrowing(config: Any, whole: PreTrainedModel) -> Narrowing:
    """Return how a model is narrowed whose two layers would not fit in a small machine's memory.

    What a layer saves grows with its widths, of which those that all can be divided are. Of a
    mixture with dense layers before it the mixture's layers are counted.
    """
    per_layer = (whole.num_parameters() - 2 * config.vocab_size * config.hidden_size) / max(
        1, config.num_hidden_layers
    )
    if per_layer < LARGE_LAYER:
        return Narrowing()
    stated = {name: n for name in WIDTHS if (n := getattr(config, name, None))}
    times = next(n for n in (8, 4, 2, 1) if all(size % n == 0 for size in stated.values()))
    widths = {name: size // times for name, size in stated.items()}
    head = {"head_dim": _head_dim(config)} if hasattr(config, "head_dim") else {}
    dense = {"first_k_dense_replace": 0} if hasattr(config, "first_k_dense_replace") else {}
    return Narrowing(times, widths | head | dense)


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", 0) or config.hidden_size // config.num_attention_heads)


def cut(config: Any, n_layers: int, **changes: Any) -> Any:
    """Return the config of a model of the first `n_layers` layers."""
    smaller = copy.deepcopy(config)
    before = smaller.num_hidden_layers
    for name, value in vars(smaller).items():
        if isinstance(value, list) and len(value) == before:
            setattr(smaller, name, value[:n_layers])
    smaller.num_hidden_layers = n_layers
    for name, value in changes.items():
        setattr(smaller, name, value)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if changes:
            setattr(smaller, name, 0)
    return smaller


def random_model(config: Any, device: torch.device | str, dtype: torch.dtype) -> PreTrainedModel:
    """Return a model with small random weights, faster than by its own initialisation."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.to_empty(device=device)
    model.tie_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
        for buffer in model.buffers():
            buffer.zero_()
    return causal_lm.prepare(model, "This model")


def _saved(config: Any, dtype: torch.dtype) -> tuple[float, float]:
    """Return the bytes per token saved for the backward pass, and the floats kept in the cache."""
    model = random_model(config, "cpu", dtype).train()
    ids = torch.ones(1, COUNTED_TOKENS, dtype=torch.long)
    layout = Packed([COUNTED_TOKENS])
    own = {
        tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
    }
    sizes: dict[int, int] = {}
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(storage)  # so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(model, ids, layout.positions(), layout, use_cache=False, keep=1)
    cache = PrefillCache()
    with torch.no_grad():
        forward(
            model, ids, layout.positions(), layout, past_key_values=cache, use_cache=True, keep=1
        )
    floats = sum(x.numel() for pair in cache.stream.values() for x in pair)
    return sum(sizes.values()) / COUNTED_TOKENS, floats / COUNTED_TOKENS


def _linear_features(model: PreTrainedModel) -> dict[str, int]:
    """Return inputs plus outputs of the linear layers but the head, by the end of their names."""
    sums: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings():
            last = name.rpartition(".")[2]
            sums[last] = sums.get(last, 0) + module.in_features + module.out_features
    return sums


# Timing


@dataclass(frozen=True)
class _Work:
    config: Any
    compute: ComputeConfig
    optim: OptimConfig
    shape: ModelShape
    rows: int
    prompt: int
    length: int
    """tokens of a completion"""


def time_operations(ranks: Ranks, work: _Work) -> Timings:
    """Time the operations on all ranks at once; the slowest rank counts.

    A model too large to be timed in seconds is timed with two numbers of layers, and every further
    layer takes as long as the last of these.
    """
    per_layer = work.shape.n_matrices / work.shape.n_layers
    n_outer = work.shape.n_parameters - work.shape.n_matrices
    n_layers = work.shape.n_layers
    if work.shape.n_parameters > WHOLE:
        n_layers = max(2, round((WHOLE - n_outer) / per_layer) if n_outer < WHOLE else 2)
    if n_layers >= work.shape.n_layers:
        return _timed(ranks, work, work.config, work.shape.n_active)
    few = max(1, n_layers // 2)
    shares = [
        _timed(ranks, work, cut(work.config, n), n_outer + round(n * per_layer))
        for n in (few, n_layers)
    ]
    n_more = (work.shape.n_layers - n_layers) / (n_layers - few)
    less, more = map(asdict, shares)
    whole = {key: more[key] + n_more * max(0.0, more[key] - less[key]) for key in more}
    return Timings(**whole | {"learn_length": more["learn_length"]})


def _timed(ranks: Ranks, work: _Work, config: Any, n_active: int) -> Timings:
    dtype = getattr(torch, work.compute.dtype)
    model = random_model(config, ranks.device, dtype)
    tokens = int(max(64, min(work.compute.micro_batch_tokens, FLOPS / (6 * n_active))))
    decode_step, decode_row, decode_key = _decoding(ranks, work, model, tokens)
    return Timings(
        prefill_token=_prefill(ranks, model, min(tokens, work.prompt)),
        decode_step=decode_step,
        decode_row=decode_row,
        decode_key=decode_key,
        learn_token=_learning(ranks, work, model, tokens),
        update=_update(ranks, work, model),
        learn_length=_length(work, tokens),
    )


def _decoding(
    ranks: Ranks, work: _Work, model: PreTrainedModel, budget: int
) -> tuple[float, float, float]:
    """Fit the time of a decoding step to its rows and their contexts, from three timings."""
    near, far = 16, max(32, min(budget, work.prompt + work.length // 2))
    few = max(1, work.rows // 4)
    at_far, at_near = (_decode(ranks, model, work.rows, n) for n in (far, near))
    per_key = max(0.0, (at_far - at_near) / work.rows / (far - near))
    at_few = _decode(ranks, model, few, near) if few < work.rows else at_near
    per_row = max(0.0, (at_near - at_few) / max(1, work.rows - few))
    step = max(0.0, at_near - work.rows * per_row)
    return step, max(0.0, per_row - near * per_key), per_key


def _decode(ranks: Ranks, model: PreTrainedModel, rows: int, context: int) -> float:
    """Time a decoding step of the engine itself, with `rows` different completions."""
    engine = LocalEngine(model, None, max_num_seqs=rows, eos_ids=(), decode_text=False)
    prompt = [index % 50 for index in range(context)]
    n_left = (engine.max_positions or MAX_DECODED + context) - context
    state = engine.submit(Request(prompt, rows, SamplingParams(min(MAX_DECODED, n_left)), 0))
    while not engine.counters.completion_tokens:
        engine.step()

    n_steps = int(max(1, min(MOST_STEPS, FLOPS / (2 * model.num_parameters() * rows))))

    def decode() -> None:
        for _ in range(n_steps):
            engine.step()

    seconds = _seconds(ranks, decode) / n_steps
    engine.abort(state)
    return seconds


def _prefill(ranks: Ranks, model: PreTrainedModel, n_tokens: int) -> float:
    reader = inference(model)
    prompt = [index % 50 for index in range(max(8, n_tokens))]

    def read() -> None:
        with torch.inference_mode():
            reader.read([prompt], [{}])

    return _seconds(ranks, read) / len(prompt)


def _learning(ranks: Ranks, work: _Work, model: PreTrainedModel, n_tokens: int) -> float:
    """Time a forward and backward pass over sequences as long as those of the recipe."""
    length = _length(work, n_tokens)
    n = max(1, n_tokens // length)
    n_prompt = min(length - 1, work.prompt)
    ids = torch.randint(50, (n * length,), device=ranks.device)
    mask = (torch.arange(length, device=ranks.device) >= n_prompt).repeat(n)
    model.train()

    def learn() -> None:
        token_logprobs(model, ids, [length] * n, mask, 1.0).sum().backward()

    seconds = _seconds(ranks, learn)
    model.eval()
    return seconds / (n * length)


def _length(work: _Work, n_tokens: int) -> int:
    """Return the tokens of a timed sequence, no more than `n_tokens`."""
    return max(2, min(n_tokens, work.prompt + work.length))


def _update(ranks: Ranks, work: _Work, model: PreTrainedModel) -> float:
    """Time the sum of the gradients over all ranks, clipping, and the optimizer."""
    optimizers = make_optimizers(roles_of(model), work.optim)

    def update() -> None:
        ranks.sum_gradients(model.parameters())
        optimizers.step(1e-6)

    return _seconds(ranks, update)


def _seconds(ranks: Ranks, run: Callable[[], None]) -> float:
    """Return the shortest time of at least two runs on the slowest rank; the first warms up."""
    times: list[float] = []
    while len(times) < 2 or (sum(times) < SECONDS and len(times) < 20):
        ranks.barrier()
        finish(ranks.device)
        started = time.perf_counter()
        run()
        finish(ranks.device)
        times.append(max(ranks.gather(time.perf_counter() - started)))
    return min(times)
