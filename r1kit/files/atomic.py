"""Files that survive a kill: at any moment a reader finds either the old content or the new.

A file is replaced by writing a hidden temporary file next to it, flushing that to disk and renaming
it; a folder likewise. An append-only file loses at most the line being written, and an incomplete
line is detected. A record can carry its own checksum, the seal, so that damage is detected.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from r1kit.errors import R1Error, RunError
from r1kit.files.checksums import Checksum
from r1kit.files.untrusted import to_json as to_json

TEMPORARY = ".tmp-"
"""prefix of temporary files and folders; leftovers may be deleted"""

MARKER = "r1kit.json"
"""the manifest inside a checkpoint folder; a folder without it is not a checkpoint"""

CARD = "README.md"
"""the model card inside a checkpoint folder, which no checksum covers"""

SEAL = "checksum"
"""key of a record's own checksum, computed over the other entries"""

_FULL_ERRNOS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_DENIED_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_PATH = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
_EXISTS_ERRNOS = {errno.EISDIR, errno.ENOENT, errno.ELOOP}
_FULL_TEXT = re.compile(r"os error (28|27|122)\b|No space left|File too large|quota exceeded")


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with a checksum of its other entries added as the last entry."""
    return {**record, SEAL: str(Checksum(to_json(dict(record)).encode()))}


def unsealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without its seal. Raises ValueError if the checksum does not match.

    A record without a seal was written by an earlier version and is accepted.
    """
    if SEAL not in record:
        return record
    rest = {key: value for key, value in record.items() if key != SEAL}
    if seal(rest)[SEAL] != record[SEAL]:
        raise ValueError("it has changed since it was written: its checksum differs")
    return rest


def replace_file(path: Path, content: bytes | str, *, flush: bool = True) -> None:
    """Replace the content of `path` atomically. `flush=False` survives a kill but not a power cut.

    Lone surrogates, as found in some file names, are written as escapes.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with explaining_full_disk(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if flush:
        flush_folder(path.parent)


def replace_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Replace the content of `path` atomically by these records, one JSON object per line."""
    replace_file(path, "".join(to_json(record) + "\n" for record in records))


def flush_folder(path: Path) -> None:
    """Make renames and new names inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(path: Path) -> None:
    """Make every file and folder below `path` durable."""
    for folder, _, names in os.walk(path):
        for name in names:
            descriptor = os.open(Path(folder, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        flush_folder(Path(folder))


def replace_folder(temporary: Path, path: Path) -> None:
    """Rename the finished folder `temporary` to `path`, replacing an existing folder."""
    flush_tree(temporary)
    remove_folder(path)
    temporary.replace(path)
    flush_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Delete a folder; it is renamed first, so a kill never leaves a partial folder at `path`."""
    if not path.exists():
        return
    doomed = path.with_name(f"{TEMPORARY}{path.name}-removed")
    shutil.rmtree(doomed, ignore_errors=True)
    path.replace(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files and folders that killed processes left in `folder`."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def is_full(error: BaseException) -> bool:
    """Return True if a write failed on a full disk, judged by errno or a native library's text."""
    if isinstance(error, OSError) and error.errno in _FULL_ERRNOS:
        return True
    return bool(_FULL_TEXT.search(str(error)))


def file_error(error: BaseException, path: Path | None = None) -> RunError | None:
    """Return an error for file problems the user can fix: full disk, permissions, invalid path.

    None for all other errors. Without `path`, the file is the one named in the exception.
    """
    code = error.errno if isinstance(error, OSError) else None
    named = getattr(error, "filename", None)
    is_inside = path is not None and Path(str(named)).is_relative_to(path)
    name = named if path is None or (is_inside and TEMPORARY not in str(named)) else path
    if is_full(error):
        note = "; everything up to the last checkpoint is kept" if path else ""
        return RunError(
            f"The disk is full: {name or 'the output'} could not be written. Free some space and "
            f"run the same command again{note}."
        )
    if "No usable temporary directory" in str(error):
        return RunError(
            "There is no writable folder for temporary files; free some space in /tmp, or name "
            "another folder with TMPDIR."
        )
    if name is None or code is None or (path is None and code not in _DENIED_ERRNOS | _NO_PATH):
        return None
    verb, other = (
        ("used", "name another path") if path is None else ("written", "use another --out")
    )
    right = "change its permissions, or " if code in _DENIED_ERRNOS else ""
    why = "a file is in the way" if code == errno.EEXIST else os.strerror(code)
    if code in _EXISTS_ERRNOS:
        right = "move the existing file or folder away, or "
    return RunError(f"{name} cannot be {verb} ({why}); {right}{other}.")


@contextlib.contextmanager
def explaining_full_disk(path: Path) -> Iterator[None]:
    """Turn a failed write in the block into a RunError that states the remedy."""
    try:
        yield
    except Exception as error:
        trouble = file_error(error, path)
        if trouble is None:
            raise
        raise trouble from error


def lock(path: Path) -> int | None:
    """Lock a file until this process ends; None if another process holds the lock.

    Returns the open descriptor; the file is created if missing. Raises RunError if it cannot be.
    """
    with explaining_full_disk(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def read_file(path: Path, error: type[R1Error], remedy: str) -> bytes | None:
    """Return the content of a file, or None if it does not exist.

    Raises `error`, which ends with `remedy`, if the file exists but cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise error(f"{path} cannot be read ({reason.strerror}); {remedy}.") from None
