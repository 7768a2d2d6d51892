"""Section `[sampler]`: the engine that samples completions during a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from r1kit.config.strict import StrictModel

ServerUrl = Annotated[str, Field(pattern=r"^https?://[^/@?#\s]+/?$")]
"""address of a server: scheme, host and port"""


class SamplerConfig(StrictModel):
    """The engine that samples the completions of every stage and evaluation. The result depends on
    it only through float rounding, and through its correction (importance_sampling_mode)."""

    kind: Literal["local", "vllm"] = "local"
    """local: r1kit's own engine, which runs the model in training itself; vllm: vLLM servers"""
    max_num_seqs: int = Field(512, ge=1)
    """maximum number of completions sampled at once in one process, or on one vLLM server"""
    urls: tuple[ServerUrl, ...] = ()
    """vLLM servers that run already and share the work: ["http://gpu1:8000"]; their key is in the
    environment variable R1_VLLM_KEY. Without any the run starts a server of its own"""
    vllm_args: str = ""
    """further options of the server that the run starts, written as in a shell"""
    publish: Literal["weights", "adapter"] = "weights"
    """what vLLM servers get after every update: "weights" is a whole model; "adapter" is the
    adapter of [lora] alone, under a new name, on the base with which the server was started"""
    server_timeout_s: float = Field(600.0, gt=0)
    """seconds that a run waits for a server that does not answer, before it ends"""
    logprob_tolerance: float | None = Field(None, gt=0)
    """largest mean difference, in nats, between vLLM's and the learner's log-probabilities of a
    fixed text after new weights; above it the run ends. None: 0.001 in float32, else 0.05"""

    @model_validator(mode="after")
    def _only_vllm_has_servers(self) -> SamplerConfig:
        if self.kind != "vllm" and (self.urls or self.vllm_args or self.publish == "adapter"):
            raise ValueError(
                'urls, vllm_args and publish = "adapter" are for servers; set kind = "vllm"'
            )
        if self.urls and self.vllm_args:
            raise ValueError("vllm_args starts a server, and urls names servers that run already")
        return self
