"""Stage base: a tiny model pretrained on the world's corpus, or any unchanged Hugging Face model.

The paper starts from DeepSeek-V3-Base, which was trained on the web's mathematics: it can reason
but seldom does. Here the corpus is generated for the purpose (tasks/world/author.py), and it too
contains reasoning traces: RL can only amplify behaviour that occurs in pretraining.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from transformers import PreTrainedTokenizerBase

from r1kit.config import BaseConfig, ModelConfig
from r1kit.model import causal_lm
from r1kit.model.find import find_model
from r1kit.model.policy import Policy
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.renderers.adopt import adopt_template
from r1kit.stages import supervised
from r1kit.stages.context import Context
from r1kit.stages.context_length import refuse_long, sampled_lengths
from r1kit.stages.plan import PlannedStage
from r1kit.tasks import mix
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.pretrain import chunks, document
from r1kit.types import Trajectory

N_TOKENIZER_DOCUMENTS = 6_000
"""number of documents the tokenizer is trained on"""
N_MEASURED_PROMPTS = 128
"""number of prompts measured; the longest determines the room for completions"""


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `base`; leaves its finished checkpoint."""
    make(context, stage, context.recipe.model, context.recipe.base)


def make(context: Context, stage: PlannedStage, shape: ModelConfig, config: BaseConfig) -> None:
    """Make the base of any model, as each student has its own."""
    if shape.path is not None:
        _adopt(context, stage, shape.path, shape)
    else:
        _pretrain(context, stage, shape, config)


def _adopt(context: Context, stage: PlannedStage, path: str, config: ModelConfig) -> None:
    """Use an existing model as the base, unchanged except for its chat template."""
    location = find_model(path)
    context.resume(stage.name)  # rewinds what was recorded before a kill
    policy = Policy.load(location, context.ranks.device, context.dtype)
    languages = context.recipe.languages
    adopt_template(policy.tokenizer, config.chat_template, config.instruction, languages)
    _refuse_long(context, stage, policy.tokenizer, policy.max_positions)
    prompt = renderer_of(policy.tokenizer).show_prompt(context.tasks("train").problem(0).messages)
    context.note(f"The model reads:\n{prompt}")
    context.save(replace(stage, weights_from=path, data_from=None), 0, policy, {})


def _pretrain(
    context: Context, stage: PlannedStage, shape: ModelConfig, config: BaseConfig
) -> None:
    recipe = context.recipe
    tasks = context.tasks("train")
    resumed = context.resume(stage.name)
    tokenizer = train_tokenizer(map(tasks.document, range(N_TOKENIZER_DOCUMENTS)), shape.vocab_size)
    _refuse_long(context, stage, tokenizer, shape.max_positions)
    if resumed:
        policy = context.load(resumed.path)
    else:
        module = causal_lm.build(
            shape,
            len(tokenizer),
            eos_id=tokenizer.eos_token_id,
            pad_id=tokenizer.pad_token_id,
            bos_id=tokenizer.bos_token_id,
            seed=recipe.seed,
        )
        policy = Policy(module.to(context.ranks.device), tokenizer)
    if recipe.compute.gradient_checkpointing:
        policy.checkpoint_gradients()
    policy.shard(context.mesh)
    steps = _steps(context, tasks, tokenizer, config)
    what = f"pretraining {policy.n_parameters:,} parameters on {config.tokens:,} tokens"
    supervised.run(context, stage, cross_entropy, policy, steps, config, resumed, what)


def _refuse_long(
    context: Context, stage: PlannedStage, tokenizer: PreTrainedTokenizerBase, positions: int | None
) -> None:
    """Raises ConfigError if completions do not fit after the prompts of this recipe."""
    recipe = context.recipe
    students = recipe.distill.students if recipe.distill is not None else ()
    student = next((item for item in students if stage.name == f"distill/{item.name}/base"), None)
    tasks = context.tasks("train")
    problems = tasks.problems(0, N_MEASURED_PROMPTS) + tasks.longest()
    renderer = renderer_of(tokenizer)
    lengths = {p.id: len(renderer.render_prompt(p.messages)) for p in problems}
    name = max(lengths, key=lambda key: lengths[key])
    refuse_long(sampled_lengths(recipe, student), positions, lengths[name], name)


def _steps(
    context: Context, tasks: mix.TaskMixture, tokenizer: PreTrainedTokenizerBase, config: BaseConfig
) -> list[list[Trajectory]]:
    """Return this rank's documents for every optimizer step."""
    ranks = context.ranks
    documents: list[list[int]] = []
    lengths: list[int] = []
    block = 4096 * ranks.size
    for start in count(0, block):
        indices = ranks.share(range(start, start + block))
        encoded = tokenizer.backend_tokenizer.encode_batch_fast(
            list(map(tasks.document, indices)), add_special_tokens=False
        )
        documents += [encoding.ids for encoding in encoded]
        shares = ranks.gather([len(encoding.ids) for encoding in encoded])
        lengths += [length for row in zip(*shares, strict=True) for length in row]
        if sum(lengths) >= config.tokens + 2 * config.batch_tokens:
            break
    return [
        [
            document(documents[index // ranks.size])
            for index in chunk
            if index % ranks.size == ranks.rank
        ]
        for chunk in chunks(lengths, config.batch_tokens, config.tokens)
    ]
