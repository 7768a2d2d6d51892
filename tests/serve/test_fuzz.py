"""Requests made from our own OpenAPI, right and wrong ones: none of them breaks the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from r1kit.renderers.r1kit import EOS
from r1kit.serve.response_store import ResponseStore
from tests.serve.conftest import Server, leaning, opened, running

ROUTES = [
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
    ("/v1/fim/completions", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/responses/{response_id}", "GET"),
    ("/v1/responses/{response_id}", "DELETE"),
    ("/v1/responses/input_tokens", "POST"),
    ("/v1/messages", "POST"),
    ("/v1/messages/count_tokens", "POST"),
    ("/v1/tokenize", "POST"),
    ("/v1/detokenize", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{name}", "GET"),
    ("/health", "GET"),
    ("/metrics", "GET"),
]
SHORT = {"max_tokens": 3, "max_output_tokens": 3, "max_completion_tokens": 3}
"""what the fields are set to where a request has them, so that noise does not talk for ever"""


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its noise ends soon, also where a request sets no limit."""
    store = ResponseStore(tmp_path_factory.mktemp("store") / "responses.db", 10**7, 1e6)
    with running([leaning(opened(folder), EOS, 8.0)], store=store) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def test_all_routes_are_asked(api: Any) -> None:
    actual = {(path, method.upper()) for path in api.raw_schema["paths"]
            for method in api.raw_schema["paths"][path]}  # fmt: skip
    assert actual == set(ROUTES)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_nothing_breaks_it(
    server: Server, api: Any, path: str, method: str, mode: GenerationMode
) -> None:
    if mode is GenerationMode.NEGATIVE and method in ("GET", "DELETE"):
        return  # there is nothing to get wrong

    @settings(
        max_examples=60, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(api[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if isinstance(case.body, dict):
            short = {key: value for key, value in SHORT.items() if key in case.body or path == key}
            case.body = {**case.body, "model": "tiny", **short}
        answer = case.call(timeout=60)
        assert answer.status_code < 500, answer.content
        assert b'"server_error"' not in answer.content
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert error["message"]
            names = {"message", "type"} | ({"param", "code"} if "messages" not in path else set())
            assert error.keys() == names

    ask()
    assert server.client.get("/health").status_code == 200
    server.wait_idle()
