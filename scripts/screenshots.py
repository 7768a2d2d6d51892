"""Screenshots of the web pages for the README: a real server, a real browser, real runs.

    python scripts/screenshots.py runs/tiny docs/pictures
    python scripts/screenshots.py runs/tiny docs/pictures --watch runs/tiny runs/tiny-seed1
    python scripts/screenshots.py runs/tiny docs/pictures --moving

Needs Debian's packages chromium and fonts-noto-cjk, and for the chat a run up to stage final. The
comparison shows the first puzzle that R1 solves with only true steps: a small model sometimes
reaches a right answer by a wrong step, and a picture should not teach that. With `--watch` the page
of `r1 watch` is taken instead: the curves of these runs, and a rollout of RUN. With `--moving` the
comparison is taken while it runs, as the moving picture compare.webp: sixteen answers of every
stage with every thinking budget, graded as they arrive. A run up to stage zero is enough for it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from r1kit.processes import process_guard
from r1kit.runs.run_reader import read
from r1kit.verify.steps import true_steps

QUESTION = "What is 1+2+3+...+100?"
PUZZLES = {"Solve 7x+3=38": "5", "Solve 4x+9=41": "8", "Solve 6x+5=47": "7", "Solve 3x+8=26": "6",
           "Solve 5x+7=32": "5", "Solve 8x+3=35": "4", "Solve 9x+4=58": "6"}  # fmt: skip
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SHOWN = ("final", "base", "zero")
"""the stages to serve; the chat opens the first one"""
FRAME_MS = 250
LAST_MS = 5000
"""how long a frame of the moving picture is shown, and its last one"""
MAX_FRAMES = 80
"""frames of the moving picture; a longer comparison is shown faster than it was"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--moving", action="store_true", help="take the moving picture instead")
    parser.add_argument("--watch", type=Path, nargs="+", help="take r1 watch, on these runs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.watch:
        watch(arguments.run, arguments.watch, arguments.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        stages = read(arguments.run).results["stages"]
        shown = [stage for stage in SHOWN if stage in stages or not arguments.moving]
        models = [named(arguments.run, stage, Path(folder)) for stage in shown]
        serve(models, arguments.out, take_moving if arguments.moving else take)


def serve(models: list[Path], out: Path, take_all: Callable[[str, Path], None]) -> None:
    """Take pictures of the page of a server with these models."""
    command = [sys.executable, "-m", "r1kit", "serve", *map(str, models), "--port", "0"]
    server = process_guard.start(command, stderr=subprocess.PIPE, text=True)
    try:
        take_all(address(server), out)
    finally:
        process_guard.stop(server)


def named(run: Path, stage: str, folder: Path) -> Path:
    """Copy a stage's checkpoint under a name that readers understand."""
    facts = read(run).results["stages"][stage]
    link = folder / {"final": "r1"}.get(stage, stage)
    shutil.copytree(run / "checkpoints" / facts["checkpoint"], link)
    return link


def address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if match := re.search(r"http://\S+", line):
            return match.group()
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
        if not any(is_solved(desk, *puzzle) for puzzle in PUZZLES.items()):
            raise SystemExit("R1 solved no puzzle by true steps alone; there is no picture of it.")
        desk.screenshot(path=out / "compare.png")
        phone = opened(browser, url, viewport={"width": 390, "height": 720}, locale="ko-KR",
                       color_scheme="dark", device_scale_factor=2)  # fmt: skip
        asked(phone, "1+2+3+...+100은?")
        phone.screenshot(path=out / "phone.png")
        browser.close()


def take_moving(url: str, out: Path) -> None:
    """Take the comparison from the question to the last of its samples."""
    frames: list[bytes] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = opened(browser, url, viewport={"width": 1000, "height": 860})
        page.click(".sidebar .toggle-button")
        page.click("role=tab[name='Compare']")
        question, gold = next(iter(PUZZLES.items()))
        page.click("#r1-n input")
        page.click("role=option[name='16 answers each']")
        page.click("#r1-has-curve label")
        for end in range(1, len(question) + 1, 3):
            page.fill("#r1-question textarea", question[:end])
            frames.append(page.screenshot())
        page.fill("#r1-question textarea", question)
        page.fill("#r1-gold :is(input, textarea)", gold)
        frames.append(page.screenshot())
        page.click("#r1-go")
        page.wait_for_selector("#r1-compare-stop", state="visible")
        while page.locator("#r1-compare-stop:visible").count():
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            frames.append(page.screenshot())
            page.wait_for_timeout(FRAME_MS)
        page.wait_for_timeout(600)
        frames.append(page.screenshot())
        browser.close()
    moving_picture(frames, out / "compare.webp")


def moving_picture(frames: list[bytes], path: Path) -> None:
    """Write the screenshots as an animation; of many, those at equal distances."""
    step = max(1, len(frames) // MAX_FRAMES)
    shown = [Image.open(BytesIO(frame)).convert("RGB") for frame in (*frames[:-1:step], frames[-1])]
    durations = [FRAME_MS] * (len(shown) - 1) + [LAST_MS]
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=durations, loop=0,
                 quality=60, method=4)  # fmt: skip
    print(f"{path}: {len(shown)} of {len(frames)} frames, {path.stat().st_size / 1e6:.2f} MB")


def watch(run: Path, runs: list[Path], out: Path) -> None:
    """Take the curves of R1-Zero in some runs, and the first right rollout of one run."""
    folders = [str(path) for path in dict.fromkeys([*runs, run])]
    command = [sys.executable, "-m", "r1kit", "watch", *folders, "--port", "0", "--no-browser"]
    server = process_guard.start(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    names = ",".join(path.name for path in runs)
    places = {
        "watch": f"runs={names}&stage=zero&smooth=0.6",
        "rollouts": f"runs={run.name}&stage=zero&tab=rollouts&from_stage=zero&order=oldest"
        "&verdict=right",
    }
    try:
        url = server.stdout.readline().split()[2]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for name, place in places.items():
                page = browser.new_page(viewport={"width": 1280, "height": 860})
                page.goto(f"{url}/#{place}")
                page.wait_for_selector("html[data-ready]")
                page.wait_for_selector(".chart canvas, .reader .answer")
                if name == "rollouts":
                    page.evaluate("document.getElementById('tabs').scrollIntoView()")
                page.wait_for_timeout(1500)
                page.screenshot(path=out / f"{name}.png")
                shrink(out / f"{name}.png")
            browser.close()
    finally:
        process_guard.stop(server)


def shrink(path: Path) -> None:
    """Keep 128 colours, which is all that a page without photographs needs."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)


def is_solved(page: Any, puzzle: str, answer: str) -> bool:
    """Ask all models; return True if the first one is right and every step it wrote is true."""
    page.fill("#r1-question textarea", puzzle)
    page.click("#r1-go")
    page.wait_for_selector("#r1-compare-stop", state="visible")
    page.wait_for_selector("#r1-compare-stop", state="hidden")
    page.wait_for_timeout(600)
    text = page.inner_text("#r1-pane-0")
    return true_steps(text) == 1.0 and answer in page.inner_text("#r1-pane-0 .katex-html")


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
