"""A root file system of its own: what Python needs, read only, and one small writable folder.

Source: the way bubblewrap builds a root (tmpfs, binds, pivot_root). Departures: done once a worker,
not once a run; there is no /proc at all; sources are held open first, so that they are found even
below the folder that the new root is built on.
"""

from __future__ import annotations

import os
import sys
import sysconfig

from r1kit.verify.sandbox import kernel

BOX = "/box/work"
"""The work folder, in the new root. Landlock's rule is on its parent: a rule on a folder that
something is mounted on is never met."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_STAGE = "/tmp"  # any folder that always exists
_FIXED = kernel.MS_NOSUID | kernel.MS_NODEV


def readable() -> list[str]:
    """What Python and the shared libraries it may load need, nothing twice."""
    library = os.path.join(sys.base_prefix, "lib")
    wanted = [
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
        *("/usr/lib", "/usr/lib64", "/lib", "/lib64", library),
    ]
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in wanted if os.path.isdir(path)}):
        if not any(path.startswith(f"{above}/") for above in kept):
            kept.append(path)
    return kept


def enter_new_root(folders: list[str]) -> None:
    """Needs CAP_SYS_ADMIN in a mount namespace of our own. Nothing of it outlives the namespace."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    places = {path: os.open(path, os.O_PATH) for path in (*folders, *DEVICES)}
    links = {path: os.readlink(path) for path in ("/lib", "/lib64") if os.path.islink(path)}
    os.umask(0o022)
    kernel.mount("tmpfs", _STAGE, "tmpfs", _FIXED, "size=1m,nr_inodes=1024,mode=755")
    for path, place in places.items():
        _bind(place, _STAGE + path, is_folder=path not in DEVICES)
    for path, target in links.items():
        os.symlink(target, _STAGE + path)
    os.makedirs(_STAGE + BOX)
    kernel.pivot_root(_STAGE)
    kernel.mount("none", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | _FIXED)


def mount_box(disk_mb: int, owner: int | None) -> None:
    """A fresh, empty work folder of at most this size; `owner` is a uid, None for our own."""
    inodes = 256 + 16 * disk_mb
    whose = "" if owner is None else f",uid={owner},gid={owner}"
    flags = _FIXED | kernel.MS_NOEXEC
    options = f"size={disk_mb}m,nr_inodes={inodes},mode=700{whose}"
    kernel.mount("tmpfs", BOX, "tmpfs", flags, options)


def _bind(place: int, target: str, is_folder: bool) -> None:
    if is_folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    source = f"/proc/self/fd/{place}"
    kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
    os.close(place)
    if is_folder:
        kernel.make_read_only(target)
