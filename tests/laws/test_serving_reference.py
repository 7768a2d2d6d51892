"""docs/serving.md is what the server does."""

import re
import runpy
from pathlib import Path
from typing import Any

from r1kit.serve import app
from r1kit.serve.limits import MAX_CHARS, ServeLimits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "serving_reference.py"))


def test_the_fields_are_up_to_date() -> None:
    how = "run: python scripts/serving_reference.py"
    assert SCRIPT["with_fields"](PAGE) == PAGE, how
    assert PAGE.count("<!-- fields of ") == 34
    assert "| `temperature` |" in PAGE


def test_every_status_is_told() -> None:
    actual = PAGE.split("## Errors")[1].split("## Access")[0]
    source = "".join(path.read_text() for path in (ROOT / "r1kit" / "serve").glob("*.py"))
    statuses = set(re.findall(r"ApiError\(\s*(\d{3}),", source)) | {"405"}
    assert len(statuses) > 8
    assert statuses == set(re.findall(r"\b[45]\d\d\b", actual))


def test_every_route_is_told() -> None:
    server: Any = app.build([], ServeLimits())
    paths = server.app.app.app.openapi()["paths"]
    assert len(paths) == 14
    for path, methods in paths.items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in PAGE


def test_numbers_in_the_text() -> None:
    assert f"{MAX_CHARS:,} characters" in PAGE
    assert f"{ServeLimits().max_body_bytes // 10**6} MB" in PAGE
    assert ServeLimits().keepalive_s == 10
