"""Every client's own shortest program, in its newest version, against a server (`make clients`)."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.model.tokenizer import train_tokenizer
from tests.clients.scripted_answers import writer
from tests.serve.conftest import Server
from tests.serve.scripted_model import TOKENIZER_TEXTS, writing

ROOT = Path(__file__).parent
ENVIRONMENTS = Path(os.environ.get("R1_CLIENTS", "nowhere")).absolute()
PROGRAMS = {
    "newest": (
        "openai_chat", "openai_agents", "anthropic_messages", "langchain_agent",
        "deepseek_langchain", "anthropic_langchain", "litellm_completion", "pydantic_ai_agent",
        "smolagents_agent", "dspy_predict", "haystack_generator", "autogen_agent",
        "semantic_kernel_agent", "agno_agent", "agent_framework_agent", "magentic_prompt",
        "open_webui",
    ),
    "openai-2": ("instructor_modes", "llama_index_llm", "mirascope_call", "strands_agent"),
    "crewai": ("crewai_agent",),
    "node": ("openai_node", "anthropic_node", "ai_sdk", "continue_adapters", "langchain_node"),
}  # fmt: skip
"""environment → its programs"""
LLM_MODELS = "- {model_id: tiny, model_name: tiny, api_base: %s/v1, supports_tools: true}"
CODEX_PROVIDER = 'model_providers.r1={name="r1",base_url="%s/v1",wire_api="responses"}'
LM_EVAL_TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: a
doc_to_target: 0
"""
QUESTION = "How is the weather in Paris?"
ROWS = [(environment, name) for environment, names in PROGRAMS.items() for name in names]
QUIET = {"OTEL_SDK_DISABLED": "true", "CREWAI_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
         "AGNO_TELEMETRY": "false", "HAYSTACK_TELEMETRY_ENABLED": "False",
         "AI_SDK_LOG_WARNINGS": "false"}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "R1_CLIENTS" not in os.environ, reason="The clients are run by make clients."
    ),
]


@pytest.fixture(scope="module")
def weather_server() -> Iterator[Server]:
    tokenizer = train_tokenizer(TOKENIZER_TEXTS, 340)
    with writing(writer(tokenizer), n_per_step=40) as server:
        yield server


def executable(environment: str, name: str) -> str:
    """Return the path of a client's command, or skip the test if it is not installed."""
    folder = ENVIRONMENTS / environment
    path = folder / ("node_modules/.bin" if environment == "node" else "bin") / name
    if not path.exists():
        pytest.skip(f"{name} is not installed; make clients installs it.")
    return str(path)


def run(command: list[str], server: Server, home: Path) -> str:
    """Run a client's program; it knows the server from the variables that clients read."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "OPENAI_API_BASE": f"{server.url}/v1",
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "none",
        **QUIET,
    }
    result = subprocess.run(
        command, env=env, cwd=home, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


@pytest.mark.parametrize(("environment", "name"), ROWS, ids=[name for _, name in ROWS])
def test_a_client_works(
    weather_server: Server, tmp_path: Path, environment: str, name: str
) -> None:
    if environment == "node":
        if not (modules := ENVIRONMENTS / "node" / "node_modules").exists():
            pytest.skip("The clients for Node are not installed; make clients installs them.")
        for path in (ROOT / "programs").glob("*.mjs"):
            shutil.copy(path, tmp_path)
        (tmp_path / "node_modules").symlink_to(modules)
        run(["node", f"{name}.mjs"], weather_server, tmp_path)
    else:
        program = ROOT / "programs" / f"{name}.py"
        run([executable(environment, "python"), str(program)], weather_server, tmp_path)


def test_llm_works(weather_server: Server, tmp_path: Path) -> None:
    settings = tmp_path / ".config" / "io.datasette.llm"
    settings.mkdir(parents=True)
    (settings / "extra-openai-models.yaml").write_text(LLM_MODELS % weather_server.url)
    command = [executable("newest", "llm"), "-m", "tiny", QUESTION]
    assert "sunny" in run(command, weather_server, tmp_path)
    assert run([*command, "-T", "llm_version"], weather_server, tmp_path)


def test_aider_works(weather_server: Server, tmp_path: Path) -> None:
    flags = ["--no-git", "--yes-always", "--no-show-model-warnings", "--no-check-update",
             "--no-analytics", "--no-pretty"]  # fmt: skip
    command = [executable("aider", "aider"), "--model", "openai/tiny", *flags]
    assert "sunny" in run([*command, "--message", QUESTION], weather_server, tmp_path)


def test_codex_works(weather_server: Server, tmp_path: Path) -> None:
    command = [executable("node", "codex"), "exec", "--skip-git-repo-check", "-m", "tiny"]
    command += ["-c", CODEX_PROVIDER % weather_server.url, "-c", 'model_provider="r1"', QUESTION]
    assert "sunny" in run(command, weather_server, tmp_path)


@pytest.mark.parametrize("route", ["/v1/completions", "/v1/chat/completions"])
def test_guidellm_works(server: Server, folder: Path, tmp_path: Path, route: str) -> None:
    backend = f"kind=openai_http,target={server.url},model=tiny,request_format={route}"
    tokenizer = {"kind": "huggingface_auto", "model": str(folder)}
    command = [executable("benchmarks", "guidellm"), "run", "--backend", backend]
    command += ["--profile", "kind=concurrent,streams=2", "--constraint"]
    command += ["kind=max_requests,count=6", "--tokenizer", json.dumps(tokenizer), "--data"]
    command += ["kind=synthetic_text,prompt_tokens=16,output_tokens=8"]
    run(command, server, tmp_path)
    [report] = tmp_path.glob("*.json")
    [result] = json.loads(report.read_text("utf-8"))["benchmarks"]
    totals = result["metrics"]["request_totals"]
    assert (totals["successful"], totals["errored"]) == (6, 0)


def test_lm_eval_works(server: Server, folder: Path, tmp_path: Path) -> None:
    rows = [
        {"q": "7x + 3 = 38, x =", "a": [" 5", " 4"]},
        {"q": "x + 3 = 7, x =", "a": [" 4", " 9"]},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "sums.yaml").write_text(LM_EVAL_TASK % (tmp_path / "rows.jsonl"))
    model = f"model=tiny,base_url={server.url}/v1/completions,tokenizer={folder}"
    command = [executable("benchmarks", "lm_eval"), "run", "--model", "local-completions"]
    command += ["--tasks", "sums", "--include_path", str(tmp_path), "--model_args", model]
    assert "acc" in run(command, server, tmp_path)
