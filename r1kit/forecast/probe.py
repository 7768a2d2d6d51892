"""Counts a model on its own architecture, and times its operations on this machine, in seconds.

Runs in a child process (`main`), so that a measurement leaves nothing behind in the run. The
weights are random: nothing is downloaded but the config. All processes of the run measure at once,
because they share caches and memory bandwidth.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil
import torch
from transformers import PreTrainedModel

from r1kit.config import ComputeConfig, Language, ModelConfig, OptimConfig
from r1kit.engines.local import LocalEngine
from r1kit.errors import CheckpointError, ComputeError, R1Error
from r1kit.forecast.counting import cut, random_model, shape_of
from r1kit.forecast.known_models import known_config
from r1kit.forecast.measured import REMEDY, Measurement
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths, prompts_of
from r1kit.model import causal_lm, devices, folder
from r1kit.model.find import find_model
from r1kit.model.fused import inference
from r1kit.model.logprobs import token_logprobs
from r1kit.model.parallel import launch
from r1kit.model.ranks import Ranks, finish
from r1kit.model.roles import roles_of
from r1kit.renderers import renderer_of
from r1kit.renderers.adopt import adopt_template
from r1kit.stages.out_of_memory import is_out_of_memory
from r1kit.train.optim import make_optimizers
from r1kit.types import Message, Request, SamplingParams

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
