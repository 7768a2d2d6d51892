"""What the documentation shows is run."""

import re
import runpy
from pathlib import Path

import pytest

from r1kit import config
from r1kit.tasks import mix
from r1kit.tasks.file_task import PUBLIC

ROOT = Path(__file__).parents[2]


def test_the_worked_example_of_a_task_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n# clocks.py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "clocks.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    recipe = config.parse({"name": "t", "tasks": [{"name": "clocks.py:Clocks", "level": 2}]}, "t")
    tasks = mix.load_tasks(recipe, "train")
    problem = tasks.problem(0)
    now, later = map(int, re.findall(r"\d+", problem.messages[0].content)[:2])
    assert (now + later - int(problem.answer)) % 12 == 0
    assert len([line for line in code.splitlines() if line.strip()]) <= 25


def test_the_worked_example_of_curation_prints_what_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "curation.md").read_text(encoding="utf-8")
    [(code, printed)] = re.findall(
        r"```python\n(# curated.py\n.*?)```.*?```\n(.*?)```", text, re.DOTALL
    )
    (tmp_path / "curated.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "curated.py"))
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.toml")), ids=lambda p: p.name)
def test_every_recipe_is_valid_and_its_tasks_prove_themselves(path: Path) -> None:
    recipe = config.load(path)
    generated = [task for task in recipe.tasks if task.path is None and task.name not in PUBLIC]
    if generated:  # files are the user's own, and public sets are downloaded
        mix.load_tasks(recipe.model_copy(update={"tasks": tuple(generated)}), "train")


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
