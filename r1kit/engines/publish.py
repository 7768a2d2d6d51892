"""Publishes the weights of a policy in training to vLLM servers, as folders.

After every step the first rank writes a folder and renames it, makes every server load it, and
compares log-probabilities of a fixed text; then the other ranks sample with these weights too. A
folder holds the whole model, or an adapter alone, whose base is then written once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from r1kit.engines.vllm.pool import VllmPool
from r1kit.engines.vllm.supervisor import SupervisedVllm
from r1kit.engines.vllm.weights import PublishedWeights
from r1kit.files.atomic import TEMPORARY, explaining_full_disk, remove_folder, remove_leftovers
from r1kit.model import adapter_folder, causal_lm, checkpoint, lora
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks

FIXED_TEXT = "Anna has 12 apples and gives 5 away. 12 - 5 = 7, so she has 7 left. <think>x</think>"
"""the text whose log-probabilities are compared after every update of the weights"""
TOLERANCES = {torch.float32: 1e-3}
DEFAULT_TOLERANCE = 0.05
ADAPTER_REMEDY = (
    "Start it with the base of the adapters, which {base} holds until the run ends, and with the "
    'dtype of the recipe, or set sampler.publish = "weights".'
)
REMEDY = "Start it with the model and dtype of the recipe, or raise sampler.logprob_tolerance."
HEAD = "lm_head.weight"
_MAX_CHECKED_NUMBERS = 2e9
"""parameters of a model above which no checksums are compared: the server hashes all weights"""


class PublishedFolders:
    """The weight sync of vLLM servers."""

    def __init__(
        self,
        pool: VllmPool,
        server: SupervisedVllm | None,
        folder: Path,
        ranks: Ranks,
        tolerance: float | None,
        is_adapter: bool = False,
    ) -> None:
        """`server` is the one that this run has started, on the first rank.

        `folder` receives the weights; all servers must see it. `tolerance` is in nats.
        `is_adapter` says that the adapter of the policy is published, not its sum with the base.
        """
        self._pool = pool
        self._server = server
        self._folder = folder
        self._ranks = ranks
        self._tolerance = tolerance
        self._is_adapter = is_adapter
        self._run = secrets.token_hex(4)

    def publish(self, policy: Policy, version: int) -> None:
        """See `WeightSync`. Raises EngineError if a server has other weights afterwards."""
        written = self._write(policy, version) if self._ranks.is_first else None
        weights = self._ranks.gather(written)[0]
        assert weights is not None
        if self._ranks.is_first:
            if self._server is not None:
                self._server.use(weights.folder)
            self._pool.publish(weights)
        self._ranks.barrier()  # all servers have them now
        if not self._ranks.is_first:
            self._pool.publish(weights)
        else:
            remove_folders(self._folder, {weights.folder, weights.adapter})

    def _write(self, policy: Policy, version: int) -> PublishedWeights:
        module, tokenizer = policy.module, policy.tokenizer
        name = f"weights-{version:06d}-{self._run}"
        remove_leftovers(self._folder)
        adapter = None
        if self._is_adapter:
            folder = self._folder / f"weights-base-{self._run}"
            if not folder.exists():
                self._write_model(folder, policy, lora.base_weights(module))
            adapter = self._folder / name
            with _writing(adapter) as temporary:
                adapter_folder.write(temporary, module)
        else:
            folder = self._folder / name
            is_merged = lora.has_adapter(module)
            self._write_model(folder, policy, lora.merged_weights(module) if is_merged else None)
        text_ids = tokenizer.encode(FIXED_TEXT, add_special_tokens=False)
        return PublishedWeights(
            version,
            f"{self._run}-{version}",
            folder.absolute(),
            text_ids,
            _logprobs(policy, text_ids),
            self._tolerance or TOLERANCES.get(module.dtype, DEFAULT_TOLERANCE),
            ADAPTER_REMEDY.format(base=folder) if adapter else REMEDY,
            adapter and adapter.absolute(),
            _checksums(policy),
        )

    def _write_model(
        self, folder: Path, policy: Policy, weights: dict[str, torch.Tensor] | None
    ) -> None:
        """Write a Hugging Face folder with these weights, or those of the policy."""
        with _writing(folder) as temporary:
            temporary.mkdir(parents=True)
            checkpoint.write_model(temporary, policy.module, policy.tokenizer, weights)
            _add_shared_head(temporary, policy)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """Give a temporary name to write to, which becomes `folder` at the end of the block."""
    temporary = folder.with_name(f"{TEMPORARY}{folder.name}")
    with explaining_full_disk(folder), causal_lm.quiet():
        yield temporary
        remove_folder(folder)
        temporary.replace(folder)


def remove_folders(parent: Path, keep: Collection[Path | None] = ()) -> None:
    """Delete the published folders, except some."""
    for folder in parent.glob("weights-*"):
        if folder.absolute() not in keep:
            remove_folder(folder)


def _add_shared_head(folder: Path, policy: Policy) -> None:
    """Add the head to a folder if the model shares it with the embedding and is on a CPU.

    vLLM on a CPU packs a copy of the head when it starts, and a reload replaces that copy only if
    the folder has a head (0.32.0; its log: "ParallelLMHead: Failed to load weights").
    """
    head = policy.module.get_output_embeddings()
    is_shared = head is not None and head.weight is policy.module.get_input_embeddings().weight
    if not is_shared or policy.module.device.type != "cpu":
        return
    save_file({HEAD: head.weight.detach().contiguous()}, folder / "head.safetensors")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        parts = json.loads(index.read_text(encoding="utf-8"))
        parts["weight_map"][HEAD] = "head.safetensors"
        index.write_text(json.dumps(parts), encoding="utf-8")


@torch.no_grad()
def _logprobs(policy: Policy, token_ids: list[int]) -> list[float]:
    """Return the policy's log-probabilities of all tokens but the first."""
    ids = torch.tensor(token_ids, device=policy.module.device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0] = False
    logprobs: list[float] = policy.logprobs(ids, [len(ids)], mask).tolist()
    return logprobs


def _checksums(policy: Policy) -> dict[str, str]:
    """Return the SHA-256 of the norms, which a server keeps as they are in the folder."""
    if policy.n_parameters > _MAX_CHECKED_NUMBERS:
        return {}
    return {
        name: hashlib.sha256(
            parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, parameter in policy.module.named_parameters()
        if name.endswith("norm.weight")
    }
