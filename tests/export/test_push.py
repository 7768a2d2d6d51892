"""`r1 push` against a server that speaks the hub's protocol, with huggingface_hub's own client."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import CheckpointError
from r1kit.export.push import license_of, sent_files

SECRET = "hf_this-is-a-secret"
CARD = "---\nlicense: apache-2.0\n---\n# Mine\n"


class Hub:
    """What a hub has received: new repositories, large files, and commits."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        self.made: list[dict[str, Any]] = []
        self.large: dict[str, bytes] = {}
        self.commits: list[list[dict[str, Any]]] = []
        self.url = ""

    def files(self) -> dict[str, bytes]:
        """The files of the only commit."""
        [commit] = self.commits
        found = {}
        for line in commit:
            if line["key"] == "file":
                found[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "lfsFile":
                found[line["value"]["path"]] = self.large[line["value"]["oid"]]
        return found

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            return 200, {"url": f"{self.url}/me/mine"}
        if "/preupload/" in path:
            modes = [{"path": file["path"], "shouldIgnore": False,
                      "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                     for file in json.loads(body)["files"]]  # fmt: skip
            return 200, {"files": modes}
        if path.endswith("/info/lfs/objects/batch"):
            objects = [one | {"actions": {"upload": {"href": f"{self.url}/upload/{one['oid']}"}}}
                       for one in json.loads(body)["objects"]]  # fmt: skip
            return 200, {"transfer": "basic", "objects": objects}
        if path.startswith("/upload/"):
            self.large[path.removeprefix("/upload/")] = body
            return 200, {}
        if "/commit/" in path:
            self.commits.append([json.loads(line) for line in body.splitlines()])
            url = f"{self.url}/me/mine/commit/0"
            return 200, {"success": True, "commitOid": "0" * 40, "commitUrl": url, "hookOutput": ""}
        return 200, {"success": True, "warnings": [], "errors": []}


@contextmanager
def hub(status: int = 200) -> Iterator[Hub]:
    """Serve a hub; another status is the answer to everything."""
    received = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not self.path.startswith(("/api/", "/me/", "/upload/")):
                self.send_error(404)  # a page of another test may look for a server on this port
                return
            received.requests.append(self.path)
            if not self.path.startswith("/upload/"):
                received.tokens.add(self.headers["authorization"])
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            code, content = received.answer(self.path, body) if status == 200 else (status, {})
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of a model, with files beside it that must stay on the machine."""
    folder = tmp_path / "mine"
    (folder / "resume").mkdir(parents=True)
    config = {"model_type": "llama", "_name_or_path": "/home/me/base", "auto_map": {"A": "b.C"}}
    files = {
        "config.json": json.dumps(config), "tokenizer.json": "{}", "README.md": CARD,
        "model.safetensors": "weights", "chat_template.jinja": "{{ messages }}",
        "resume/tensors.safetensors": "optimizer", "resume/state.json": "{}",
        "optimizer.pt": "optimizer", "train.log": SECRET, ".env": SECRET, "crash.txt": SECRET,
        "metrics.jsonl": "{}", "run.py": "print()",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def push(endpoint: str, *arguments: str, token: str = SECRET) -> tuple[int, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_TOKEN": token, "HF_HOME": "/nowhere",
                    "HF_HUB_DISABLE_XET": "1", "COLUMNS": "200"}  # fmt: skip
    command = [sys.executable, "-m", "r1kit", "push", *arguments, "--repo", "me/mine"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_without_yes_nothing_is_asked_and_everything_is_listed(model: Path) -> None:
    with hub() as received:
        code, text = push(received.url, str(model))
    assert (code, received.requests) == (0, [])
    for expected in (
        "7 B  model.safetensors",
        "# Mine",
        "License: apache-2.0.",
        "Nothing was sent",
        "Stays here: .env, crash.txt, metrics.jsonl, optimizer.pt, resume",
    ):
        assert expected in text


def test_the_hub_gets_the_model_and_nothing_else(model: Path) -> None:
    with hub() as received:
        code, text = push(received.url, str(model), "--yes")
    assert code == 0, text
    assert f"Sent to {received.url}/me/mine" in text
    assert received.tokens == {f"Bearer {SECRET}"}
    assert received.made[0]["name"] == "mine"
    assert received.made[0]["visibility" if "visibility" in received.made[0] else "private"] in (
        True, "private",
    )  # fmt: skip
    files = received.files()
    assert sorted(files) == ["README.md", "chat_template.jinja", "config.json",
                             "model.safetensors", "tokenizer.json"]  # fmt: skip
    assert files["model.safetensors"] == b"weights"
    assert hashlib.sha256(b"weights").hexdigest() in received.large
    assert json.loads(files["config.json"]) == {"model_type": "llama"}
    assert files["README.md"].decode() == CARD
    assert SECRET not in json.dumps(received.commits)


def test_without_a_token_a_sentence_says_how_to_get_one(model: Path) -> None:
    with hub() as received:
        code, text = push(received.url, str(model), "--yes", token="")
    assert (code, received.requests) == (2, [])
    assert "`hf auth login`" in text


@pytest.mark.parametrize(("status", "words"), [(401, "log in again"), (403, "may not write")])
def test_a_hub_that_refuses_is_one_sentence(model: Path, status: int, words: str) -> None:
    with hub(status) as received:
        code, text = push(received.url, str(model), "--yes")
    assert code == 2
    assert words in text
    assert "Traceback" not in text
    assert SECRET not in text


def test_an_adapter_of_a_folder_here_is_not_sent(model: Path) -> None:
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "/models/base"}')
    with pytest.raises(CheckpointError, match="r1 export MODEL --to hf"):
        sent_files(model)
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    assert "adapter_config.json" in sent_files(model)
    (model / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="restore it"):
        sent_files(model)


def test_the_license_is_read_from_the_front_matter_only() -> None:
    assert license_of(CARD) == "License: apache-2.0."
    assert license_of("---\nlicense: other\nlicense_name: gemma\n---\n") == "License: gemma."
    assert "states no license" in license_of("---\ntags: []\n---\nlicense: mit\n")
    assert "states no license" in license_of("")
