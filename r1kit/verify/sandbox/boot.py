"""The first program of a worker, passed to `python -I -S -c` as text; imports modules from memory.

The worker may run under a uid that cannot read this package, and must not import from a folder that
a candidate could write to. So the caller sends the sources of the needed modules over the control
socket (fd 0), and an import hook loads them. The worker opens no file of the package.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class SourceImporter(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc]
    """An import hook that finds and loads modules from the given sources."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.sources:
            return None
        is_package = any(other.startswith(name + ".") for other in self.sources)
        spec = importlib.machinery.ModuleSpec(name, self, origin=name, is_package=is_package)
        spec.has_location = False
        return spec

    def get_filename(self, name: str) -> str:
        return f"<{name}>"

    def get_data(self, path: str) -> bytes:
        return self.sources[path[1:-1]].encode()


def receive_sources(control: socket.socket) -> dict[str, Any]:
    """Receive a u32 length and a JSON object: {"start": module, "sources": {module: source}}."""
    data = control.recv(4, socket.MSG_WAITALL)
    text = control.recv(struct.unpack("!I", data)[0], socket.MSG_WAITALL)
    message: dict[str, Any] = json.loads(text)
    return message


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # undo an inherited SIG_IGN of the caller
    control = socket.socket(fileno=0)
    message = receive_sources(control)
    sys.meta_path.insert(0, SourceImporter(message["sources"]))
    importlib.import_module(message["start"]).main(control)
