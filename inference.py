"""Chat with a reasoning model on this machine; thinking and answer are streamed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from r1kit.chat import talk
from r1kit.chat.backends import LocalBackend
from r1kit.chat.conversation import Conversation
from r1kit.console.error_reporting import sentences
from r1kit.processes import signals
from r1kit.types import SamplingParams

EXAMPLES = """
Examples:

  python inference.py --model runs/tiny --prompt "7x + 3 = 38, x = ?"

  python inference.py --model runs/tiny/checkpoints/base-000400 --temperature 1

  python inference.py --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --max-tokens 4096

  echo "1+2+3+...+100은?" | python inference.py --model runs/tiny

Without --prompt it is a conversation; questions from a pipe are answered line by line.
"""
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Dtype(StrEnum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@app.command(epilog=EXAMPLES)
def main(
    model: Annotated[
        str,
        typer.Option(
            help="A checkpoint, the folder of a run, a Hugging Face folder, a .gguf file, a hub id."
        ),
    ],
    prompt: Annotated[str | None, typer.Option(help="One question.")] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, thinking included.")
    ] = 1024,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="The same seed says the same.")] = 0,
    think: Annotated[bool, typer.Option(help="Think before the answer.")] = True,
    device: Annotated[Device, typer.Option(help="auto: CUDA where there is some.")] = Device.auto,
    dtype: Annotated[
        Dtype, typer.Option(help="auto: bfloat16 on CUDA, else float32.")
    ] = Dtype.auto,
) -> None:
    """Ask a reasoning model on this machine: its thinking, then its answer, as they come."""
    console = Console()
    with sentences(console):
        backend = LocalBackend.open_model(model, device.value, dtype.value)
        sampling = SamplingParams(max_tokens, temperature, top_p)
        conversation = Conversation(backend, sampling, seed, console, think)
        if prompt is None:
            talk(conversation)
        else:
            conversation.ask(prompt.encode(errors="replace").decode())


if __name__ == "__main__":
    signals.run(app)
