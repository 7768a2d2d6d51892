"""The administrative routes of one vLLM server: what it serves, and its weights.

Most of them exist only in a server that was started with VLLM_SERVER_DEV_MODE=1. Source: vLLM's own
routes, read in 0.32.0 and 0.33.0: `/collective_rpc` (reload_weights), `/reset_prefix_cache`,
`/update_weight_version`, `/weight_info`, `/weight_checker`, `/server_info`,
`/v1/load_lora_adapter`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from r1kit.errors import EngineError
from r1kit.http.client import reason

OLDEST, NEWEST = (0, 28), (0, 33)
"""the versions of vLLM whose routes are known"""
_UPDATE_TIMEOUT_S = 720.0
_RESET_TIMEOUT_S = 60.0
_DEV_MODE = (
    "start it with VLLM_SERVER_DEV_MODE=1 in its environment, which adds the routes that change "
    "weights"
)
_ADAPTERS = (
    "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 in its environment, which "
    "adds the routes that load adapters"
)


class LostServerError(EngineError):
    """The server does not answer, and may do so later."""


class VllmAdmin:
    """A client of the administrative routes of a server."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(
            base_url=self.url, headers=headers, timeout=httpx.Timeout(_UPDATE_TIMEOUT_S, connect=10)
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def is_up(self) -> bool:
        """Return True if the server answers and has loaded its model."""
        try:
            return self._client.get("/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def version(self) -> str:
        """Return vLLM's version."""
        return str(self._call("GET", "/version").get("version", ""))

    def model(self) -> tuple[str, int]:
        """Return the name of the served model and the maximum length of its sequences."""
        models = self._call("GET", "/v1/models").get("data") or [{}]
        return str(models[0].get("id")), int(models[0].get("max_model_len") or 0)

    def model_config(self) -> dict[str, Any]:
        """Return vLLM's model_config. Raises EngineError without development mode."""
        info = self._call("GET", "/server_info?config_format=json", remedy=_DEV_MODE)
        config: dict[str, Any] = info.get("vllm_config", {}).get("model_config", {})
        return config

    def tokenize(self, model: str, text: str) -> list[int]:
        """Return the tokens that the server's tokenizer makes of a text."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return list(self._call("POST", "/tokenize", body)["tokens"])

    def reload(self, folder: Path) -> None:
        """Load the weights of a Hugging Face folder, and forget what was cached before."""
        call = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        self._call("POST", "/collective_rpc", call, remedy=_DEV_MODE)
        deadline = time.monotonic() + _RESET_TIMEOUT_S
        while not self._call("POST", "/reset_prefix_cache", remedy=_DEV_MODE).get("success"):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"vLLM at {self.url} does not empty its prefix cache; see that nobody else "
                    "uses this server."
                )
            time.sleep(0.05)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load an adapter in peft's format; requests for the model `name` use it from now on."""
        body = {"lora_name": name, "lora_path": str(folder), "load_inplace": True}
        self._call("POST", "/v1/load_lora_adapter", body, remedy=_ADAPTERS)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name}, remedy=_ADAPTERS)

    def adapters(self) -> list[str]:
        """Return the names of the loaded adapters."""
        models = self._call("GET", "/v1/models").get("data") or []
        return [str(model["id"]) for model in models if model.get("parent")]

    def weight_label(self) -> str:
        """Return the label of the current weights."""
        return str(self._call("GET", "/weight_info", remedy=_DEV_MODE).get("weight_version"))

    def set_weight_label(self, label: str) -> None:
        """Name the current weights."""
        self._call("POST", "/update_weight_version", {"new_version": label}, remedy=_DEV_MODE)

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of parameters by name: those that vLLM keeps as they were loaded."""
        sums = self._call("POST", "/weight_checker", {"action": "checksum"}, remedy=_DEV_MODE)
        return dict(sums.get("checksums") or {})

    def logprobs(self, model: str, token_ids: Sequence[int]) -> list[float]:
        """Return log p(token | tokens before) of every token but the first."""
        body = {
            "model": model, "prompt": list(token_ids), "max_tokens": 1, "prompt_logprobs": 0,
            "return_token_ids": True, "temperature": 0,
        }  # fmt: skip
        [choice] = self._call("POST", "/v1/completions", body)["choices"]
        return [
            float(entry[str(token)]["logprob"])
            for token, entry in zip(token_ids[1:], choice["prompt_logprobs"][1:], strict=True)
        ]

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, remedy: str = ""
    ) -> dict[str, Any]:
        """Return the answer as JSON, {} for other texts.

        Raises LostServerError if the server does not answer, EngineError if it refuses; `remedy`
        says what gives it a missing route.
        """
        try:
            reply = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise LostServerError(f"vLLM at {self.url} does not answer ({why}).") from None
        if reply.status_code in (403, 404, 405) and remedy:
            raise EngineError(f"vLLM at {self.url} has no {path.split('?')[0]}; {remedy}.")
        if reply.status_code in (401, 403):
            raise EngineError(f"vLLM at {self.url} wants another key; set R1_VLLM_KEY.")
        try:
            answer = reply.json()
        except ValueError:
            answer = {}
        if reply.status_code in (502, 503, 504):
            raise LostServerError(f"vLLM at {self.url} is not ready (HTTP {reply.status_code}).")
        if not reply.is_success:
            why = reason(answer) or reply.reason_phrase
            raise EngineError(f"vLLM at {self.url} refuses {path.split('?')[0]}: {why}.")
        return answer if isinstance(answer, dict) else {}


def check_version(admin: VllmAdmin) -> None:
    """Raises EngineError if the version of a server is outside the tested window."""
    version = admin.version()
    numbers = version.split(".")[:2]
    if not all(part.isdigit() for part in numbers) or len(numbers) < 2:
        return  # a build from source
    if not OLDEST <= (int(numbers[0]), int(numbers[1])) <= NEWEST:
        oldest, newest = (".".join(map(str, bound)) for bound in (OLDEST, NEWEST))
        raise EngineError(
            f"vLLM at {admin.url} is {version}; r1kit trains with {oldest} to {newest}. Install "
            f'one of these, such as pip install "vllm=={newest}.*".'
        )
