"""A private root file system: the files Python needs, read-only, and one small writable folder.

An image with packages (packages.py) is another such root, which has their folders too.

Source: bubblewrap's way to build a root (tmpfs, bind mounts, pivot_root). Departures: done once per
worker, not once per run; there is no /proc at all; the bind sources are opened first, so that they
are found even below the folder on which the new root is built.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence

from r1kit.verify.sandbox import kernel

WORK_FOLDER = "/box/work"
"""The work folder in the new root. Landlock's rule is on its parent: a rule on a folder that is a
mount point never applies."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_STAGE = "/tmp"  # any folder that always exists
_FIXED = kernel.MS_NOSUID | kernel.MS_NODEV


def readable(packages: Sequence[str] = ()) -> list[str]:
    """Return the folders that Python, its shared libraries and these packages need.

    A folder inside another one is left out.
    """
    library = os.path.join(sys.base_prefix, "lib")
    candidates = [
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
        *("/usr/lib", "/usr/lib64", "/lib", "/lib64", library),
        *packages,
    ]
    folders: list[str] = []
    for path in sorted({os.path.realpath(path) for path in candidates if os.path.isdir(path)}):
        if not any(path.startswith(f"{folder}/") for folder in folders):
            folders.append(path)
    return folders


def enter_new_root(folders: list[str]) -> None:
    """Build and enter a new root that contains `folders` and DEVICES.

    Needs CAP_SYS_ADMIN in a private mount namespace; all mounts end with that namespace.
    """
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    descriptors = {path: os.open(path, os.O_PATH) for path in (*folders, *DEVICES)}
    links = {path: os.readlink(path) for path in ("/lib", "/lib64") if os.path.islink(path)}
    os.umask(0o022)
    kernel.mount("tmpfs", _STAGE, "tmpfs", _FIXED, "size=1m,nr_inodes=1024,mode=755")
    for path, descriptor in descriptors.items():
        _bind(descriptor, _STAGE + path, is_folder=path not in DEVICES)
    for path, target in links.items():
        os.symlink(target, _STAGE + path)
    os.makedirs(_STAGE + WORK_FOLDER)
    kernel.pivot_root(_STAGE)
    kernel.mount("none", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | _FIXED)


def mount_work_folder(disk_mb: int, owner: int | None) -> None:
    """Mount a new, empty work folder of at most `disk_mb` MiB; `owner` is a uid (None: our own)."""
    inodes = 256 + 16 * disk_mb
    ownership = "" if owner is None else f",uid={owner},gid={owner}"
    flags = _FIXED | kernel.MS_NOEXEC
    options = f"size={disk_mb}m,nr_inodes={inodes},mode=700{ownership}"
    kernel.mount("tmpfs", WORK_FOLDER, "tmpfs", flags, options)


def _bind(descriptor: int, target: str, is_folder: bool) -> None:
    if is_folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    source = f"/proc/self/fd/{descriptor}"
    kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
    os.close(descriptor)
    if is_folder:
        kernel.make_read_only(target)
