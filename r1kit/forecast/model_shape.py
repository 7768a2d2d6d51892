"""The numbers of a model that decide its memory and time. Torch-free; probe.py counts them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a model, counted on the architecture itself. `floats` are per token."""

    n_parameters: int
    """number of weights; tied embeddings count once"""
    n_matrices: int
    """number of weights that Muon updates if the recipe selects it"""
    n_active: int
    """number of weights that multiply a token: without the embedding table, and with the chosen
    experts alone"""
    n_layers: int
    hidden: int
    vocab_size: int
    kv_floats: int
    """keys and values of one token in all layers"""
    layer_floats: int
    """activations that one layer saves for the backward pass"""
    wide_floats: int
    """those of them that are float32 in a model of lower precision too: norms, and on a CPU
    attention"""
    cell_floats: int
    """the part of `layer_floats` that attention saves per cell of its blocks"""
    outer_floats: int
    """activations saved outside the layers, without the logits"""
    linear_features: dict[str, int] = field(default_factory=dict)
    """inputs plus outputs of all linear layers but the head, by the end of their names"""
    attention_width: float = 0.0
    """mean width of all heads' keys and values; 0: as wide as the hidden size"""
    max_positions: int | None = None
    """maximum length of a sequence in tokens; None if the model states none"""


def n_adapters(shape: ModelShape, r: int, target_modules: str | tuple[str, ...]) -> int:
    """Return the weights of LoRA adapters of rank r: r for each input and output of a layer."""
    names = (
        shape.linear_features
        if target_modules == "all-linear"
        else ((target_modules,) if isinstance(target_modules, str) else target_modules)
    )
    return r * sum(shape.linear_features.get(name.rpartition(".")[2], 0) for name in names)


def approximate_parameters(
    vocab_size: int, hidden: int, intermediate: int, n_layers: int, kv_share: float
) -> int:
    """Return about how many weights a Llama has: embeddings, attention and feed-forward blocks.

    Attention has 2 h^2 weights for queries and outputs and 2 h^2 times `kv_share` for keys and
    values, a gated feed-forward block 3 h f.
    """
    attention = 2 * hidden * hidden * (1 + kv_share)
    return round(vocab_size * hidden + n_layers * (attention + 3 * hidden * intermediate))
