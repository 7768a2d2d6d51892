"""Stage base: a tiny model pretrained on the world's corpus, or any Hugging Face model as it is.

The paper starts from DeepSeek-V3-Base, which has read the web's mathematics: it can reason and
seldom does. Here the corpus is written for the purpose (tasks/world/author.py), and it too holds
reasoning traces; what RL can raise must have been seen.
"""

from __future__ import annotations

from itertools import count

import torch
from transformers import PreTrainedTokenizerBase

from r1kit.model import policy, tokenizer
from r1kit.stages.context import Context
from r1kit.tasks import mix
from r1kit.train.optim import make_optimizers
from r1kit.train.pretrain import chunks, document, pretrain
from r1kit.types import Trajectory

STAGE = "base"
N_TOKENIZER_DOCUMENTS = 6_000
"""read to learn the tokenizer"""


def run(context: Context) -> None:
    """Leaves a finished checkpoint of stage `base`."""
    if context.recipe.model.path is not None:
        _adopt(context, context.recipe.model.path)
    else:
        _pretrain(context)


def _adopt(context: Context, path: str) -> None:
    """An existing model becomes the base unchanged."""
    dtype = getattr(torch, context.recipe.compute.dtype)
    model = policy.load(path, context.ranks.device, dtype)
    context.save(STAGE, 0, model, tokenizer.load(path), weights_from=path, data_from=None, state={})


def _pretrain(context: Context) -> None:
    recipe, config = context.recipe, context.recipe.base
    tasks = mix.load(recipe, "train")
    resumed = context.resume(STAGE)
    words = tokenizer.train(
        map(tasks.document, range(N_TOKENIZER_DOCUMENTS)), recipe.model.vocab_size
    )
    model = (
        context.load(resumed.path)[0]
        if resumed
        else policy.build(
            recipe.model,
            len(words),
            eos_id=words.eos_token_id,
            pad_id=words.pad_token_id,
            bos_id=words.bos_token_id,
            seed=recipe.seed,
        ).to(context.ranks.device)
    )
    optimizers = make_optimizers(model, config.optim)
    if resumed:
        optimizers.load_state_dict(resumed.state["optimizers"])
    steps = _steps(context, tasks, words)
    if context.observer is not None:
        context.observer.stage_started(
            STAGE,
            len(steps),
            f"pretraining {model.num_parameters():,} parameters on {config.tokens:,} tokens",
        )

    def after_step(step: int, metrics: dict[str, float]) -> None:
        context.log(STAGE, step, metrics)
        if step % config.checkpoint_every == 0 or step == len(steps):
            context.save(
                STAGE,
                step,
                model,
                words,
                weights_from=None,
                data_from="corpus",
                state={"optimizers": optimizers.state_dict()},
            )

    pretrain(
        model,
        optimizers,
        steps,
        config,
        context.ranks,
        first_step=resumed.step if resumed else 0,
        micro_batch_tokens=recipe.compute.micro_batch_tokens,
        after_step=after_step,
    )


def _steps(
    context: Context, tasks: mix.Mix, words: PreTrainedTokenizerBase
) -> list[list[Trajectory]]:
    """This rank's documents of every optimizer step."""
    config, ranks = context.recipe.base, context.ranks
    mine: list[list[int]] = []
    lengths: list[int] = []
    block = 4096 * ranks.size
    for start in count(0, block):
        indices = ranks.share(range(start, start + block))
        encoded = words.backend_tokenizer.encode_batch_fast(
            list(map(tasks.document, indices)), add_special_tokens=False
        )
        mine += [encoding.ids for encoding in encoded]
        shares = ranks.gather([len(encoding.ids) for encoding in encoded])
        lengths += [length for row in zip(*shares, strict=True) for length in row]
        if sum(lengths) >= config.tokens + 2 * config.batch_tokens:
            break
    return [
        [document(mine[place // ranks.size]) for place in chunk if place % ranks.size == ranks.rank]
        for chunk in chunks(lengths, config.batch_tokens, config.tokens)
    ]
