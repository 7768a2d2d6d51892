"""Pictures of the page for README: a real server, a real browser, a run's own checkpoints.

    python scripts/screenshots.py runs/tiny docs/pictures

Needs Debian's package chromium, and a run that went through the whole recipe.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from r1kit import leash
from r1kit.evidence import read

QUESTION = "What is 1+2+3+...+100?"
PUZZLE = "Solve 7x+3=38"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SHOWN = ("base", "zero", "final")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        models = [named(arguments.run, stage, Path(folder)) for stage in SHOWN]
        models.append(named(arguments.run, best_student(arguments.run), Path(folder)))
        models.insert(0, models.pop(SHOWN.index("final")))  # the first one is what the chat opens
        command = [sys.executable, "-m", "r1kit", "serve", *map(str, models), "--port", "0"]
        server = leash.start(command, stderr=subprocess.PIPE, text=True)
        try:
            take(address(server), arguments.out)
        finally:
            leash.let_go(server)


def named(run: Path, stage: str, folder: Path) -> Path:
    """The checkpoint of a stage, under a name that a reader understands."""
    facts = read(run).results["stages"][stage]
    link = folder / {"final": "r1"}.get(stage, stage.rpartition("/")[2])
    shutil.copytree(run / "checkpoints" / facts["checkpoint"], link)
    return link


def best_student(run: Path) -> str:
    stages = read(run).results["stages"]
    students = [name for name in stages if re.fullmatch(r"distill/[^/]+", name)]
    best: str = max(students, key=lambda name: float(stages[name]["pass_at_1"]))
    return best


def address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise SystemExit("The server did not start.")


def take(url: str, out: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        desk = opened(browser, url, viewport={"width": 1280, "height": 720})
        asked(desk, QUESTION)
        desk.click("text=/Thought for/")
        desk.wait_for_timeout(600)
        desk.screenshot(path=out / "chat.png")
        desk.click("role=tab[name='Compare']")
        desk.fill("#r1-question textarea", PUZZLE)
        desk.click("#r1-go")
        desk.wait_for_selector("#r1-compare-stop", state="visible")
        desk.wait_for_selector("#r1-compare-stop", state="hidden")
        desk.wait_for_timeout(600)
        desk.screenshot(path=out / "compare.png")
        phone = opened(browser, url, viewport={"width": 390, "height": 720}, locale="ko-KR",
                       color_scheme="dark", device_scale_factor=2)  # fmt: skip
        asked(phone, "1+2+3+...+100은?")
        phone.screenshot(path=out / "phone.png")
        browser.close()


def opened(browser: Any, url: str, **somebody: Any) -> Any:
    page = browser.new_context(**{"locale": "en-US", **somebody}).new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_function("document.querySelector('#r1-model input').value !== ''")
    return page


def asked(page: Any, text: str) -> None:
    page.fill("#r1-ask textarea", text)
    page.press("#r1-ask textarea", "Enter")
    page.wait_for_selector("#r1-chat .katex")
    page.wait_for_selector("#r1-stop", state="hidden")
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
