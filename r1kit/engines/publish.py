"""Publishes the weights of a policy in training to vLLM servers, as Hugging Face folders.

After every step the first rank writes a folder and renames it, makes every server load it, and
compares log-probabilities of a fixed text; then the other ranks sample with these weights too.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

import torch
from safetensors.torch import save_file

from r1kit.engines.vllm.pool import VllmPool
from r1kit.engines.vllm.supervisor import SupervisedVllm
from r1kit.engines.vllm.weights import PublishedWeights
from r1kit.files.atomic import TEMPORARY, explaining_full_disk, remove_folder, remove_leftovers
from r1kit.model import causal_lm, checkpoint, lora
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks

FIXED_TEXT = "Anna has 12 apples and gives 5 away. 12 - 5 = 7, so she has 7 left. <think>x</think>"
"""the text whose log-probabilities are compared after every update of the weights"""
TOLERANCES = {torch.float32: 1e-3}
DEFAULT_TOLERANCE = 0.05
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
    ) -> None:
        """`server` is the one that this run has started, on the first rank.

        `folder` receives the weights; all servers must see it. `tolerance` is in nats.
        """
        self._pool = pool
        self._server = server
        self._folder = folder
        self._ranks = ranks
        self._tolerance = tolerance
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
            remove_folders(self._folder, keep=weights.folder)

    def _write(self, policy: Policy, version: int) -> PublishedWeights:
        module, tokenizer = policy.module, policy.tokenizer
        folder = self._folder / f"weights-{version:06d}-{self._run}"
        temporary = folder.with_name(f"{TEMPORARY}{folder.name}")
        remove_leftovers(self._folder)
        weights = lora.merged_weights(module) if lora.has_adapter(module) else None
        with explaining_full_disk(folder), causal_lm.quiet():
            temporary.mkdir(parents=True)
            checkpoint.write_model(temporary, module, tokenizer, weights)
            _add_shared_head(temporary, policy)
            remove_folder(folder)
            temporary.replace(folder)
        text_ids = tokenizer.encode(FIXED_TEXT, add_special_tokens=False)
        return PublishedWeights(
            version,
            f"{self._run}-{version}",
            folder.absolute(),
            text_ids,
            _logprobs(policy, text_ids),
            self._tolerance or TOLERANCES.get(module.dtype, DEFAULT_TOLERANCE),
            REMEDY,
            _checksums(policy),
        )


def remove_folders(parent: Path, keep: Path | None = None) -> None:
    """Delete the published folders, except one."""
    for folder in parent.glob("weights-*"):
        if folder.absolute() != keep:
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
