"""Text files written by users in any editor: recipes, questions, answers to verify.

Editors on Windows write a byte order mark, and PowerShell writes UTF-16; both are decoded
correctly. A missing file or one that is not text gives a readable error.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import os
from pathlib import Path

from r1kit.errors import R1Error

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, error: type[R1Error]) -> str:
    """Return the text of a file without its byte order mark. Raises `error` if that fails."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise error(f"There is no file {path}{did_you_mean(path)}") from None
    except IsADirectoryError:
        raise error(f"{path} is a folder; name a file in it.") from None
    except OSError as failure:
        raise error(f"{path} cannot be read ({failure.strerror}).") from None
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as failure:
        raise error(
            f"{path} is not text in UTF-8 (byte {failure.start + 1} is 0x{data[failure.start]:02x})"
            "; save it as UTF-8, or name another file."
        ) from None
    if "\0" in text:
        raise error(f"{path} is not a text file (it has zero bytes); name another file.")
    return text


def did_you_mean(path: Path) -> str:
    """Return `; did you mean runs/tiny?` if a file has a similar name, else a full stop."""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError):  # stems: a shared suffix is no similarity
        names = {Path(name).stem: name for name in os.listdir(path.parent)}
    close = difflib.get_close_matches(path.stem, names, n=1, cutoff=0.7)
    return f"; did you mean {path.parent / names[close[0]]}?" if close else "."
