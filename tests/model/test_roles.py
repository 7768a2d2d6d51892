"""Every parameter has one role, in dense models and in mixtures of experts."""

import pytest
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, Qwen3MoeConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.config import OptimConfig
from r1kit.model.roles import roles_of
from r1kit.train.optim import make_optimizers
from tests.conftest import ARCHITECTURES, SHAPE

EXPERTS = {"moe_intermediate_size": 16, "num_experts_per_tok": 2}
MIXTURES = {
    "qwen3_moe": Qwen3MoeConfig(**SHAPE, **EXPERTS, num_key_value_heads=2, num_experts=4),
    "deepseek_v3": ARCHITECTURES["deepseek_v3"](),
}


def mixture(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def roles_by_name(model: nn.Module) -> dict[str, str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: role for parameter, role in roles_of(model).items()}


def test_roles_of_every_architecture(any_model: PreTrainedModel) -> None:
    roles = roles_by_name(any_model)
    assert list(roles) == [name for name, _ in any_model.named_parameters()]
    for name, parameter in any_model.named_parameters():
        if ".gate." in name or ".experts." in name:
            assert roles[name] == ("router" if ".gate." in name else "expert"), name
        elif parameter.ndim == 1:
            assert roles[name] == "vector"
        else:
            assert roles[name] == ("matrix" if ".layers." in name else "embedding"), name


@pytest.mark.parametrize("name", MIXTURES)
def test_roles_of_a_mixture_of_experts(name: str) -> None:
    roles = roles_by_name(mixture(MIXTURES[name]))
    sparse = "model.layers.1.mlp"
    assert roles[f"{sparse}.gate.weight"] == "router"
    assert roles[f"{sparse}.experts.gate_up_proj"] == "expert"
    assert roles[f"{sparse}.experts.down_proj"] == "expert"
    assert roles["model.embed_tokens.weight"] == roles["lm_head.weight"] == "embedding"
    assert roles["model.layers.1.self_attn.o_proj.weight"] == "matrix"
    assert {roles[n] for n in roles if n.endswith("norm.weight")} == {"vector"}
    if name == "deepseek_v3":
        assert roles["model.layers.0.mlp.gate_proj.weight"] == "matrix"
        assert roles[f"{sparse}.shared_experts.up_proj.weight"] == "matrix"


def test_frozen_parameters_have_no_role(model: PreTrainedModel) -> None:
    model.get_input_embeddings().weight.requires_grad_(False)
    assert "embedding" not in roles_of(model).values(), "input and output embeddings are tied"


@pytest.mark.parametrize("name", MIXTURES)
def test_muon_trains_experts_as_matrices_and_leaves_routers_to_adamw(name: str) -> None:
    """An update of an expert is that of a model whose only matrix is this expert."""
    model = mixture(MIXTURES[name])
    experts = model.model.layers[1].mlp.experts.gate_up_proj
    before = experts.detach().clone()
    config = OptimConfig(optimizer="muon", muon_lr=0.02, weight_decay=0.01, grad_clip=1e9)
    optimizers = make_optimizers(roles_of(model), config)
    [muon] = optimizers.parts["muon"].optimizer.param_groups
    in_muon = set(map(id, muon["params"]))
    assert id(experts) in in_muon
    assert id(model.model.layers[1].mlp.gate.weight) not in in_muon
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    gradient = experts.grad.clone()
    optimizers.step(lr_scale=1.0)
    for index in range(len(before)):
        matrix = nn.Parameter(before[index].clone())
        matrix.grad = gradient[index].clone()
        make_optimizers({matrix: "matrix"}, config).step(lr_scale=1.0)
        torch.testing.assert_close(experts[index], matrix, atol=1e-5, rtol=1e-4)
