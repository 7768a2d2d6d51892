"""How scripts/client_environments.py passes pip's settings to uv."""

import runpy
from pathlib import Path

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts/client_environments.py"))


def test_uv_reads_the_indexes_of_pip() -> None:
    listed = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.extra-index-url='\\nfile:///a/simple\\nfile:///b/simple'\n"
        ":env:.find-links='/wheels'\nglobal.timeout='9'\n"
    )
    assert SCRIPT["uv_settings"](listed) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "file:///a/simple file:///b/simple",
        "UV_FIND_LINKS": "/wheels",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert SCRIPT["uv_settings"]("") == {}


def test_pip_is_the_last_resort() -> None:
    ways = SCRIPT["commands"]("env/bin/python", "cpu")
    assert "--torch-backend" in ways[0]
    assert ways[-1][:3] == ["env/bin/python", "-m", "pip"]
    assert len(SCRIPT["commands"]("env/bin/python", "")) == 2
