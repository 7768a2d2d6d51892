"""Compiles the Numba kernels of a module when it is imported, or loads them from the cache.

All kernels of a module are loaded in the order of its file, callees before callers, in one process
at a time. Otherwise a process that compiled and one that loaded from the cache would round
differently: a caller carries copies of its callees, optimised a second time, which count only if
the callees are not loaded yet; and what else came from the cache can change what is compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Kernels:
    """The kernels of one module; `load` is called at its end."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._declared: list[tuple[Any, Any]] = []
        """kernels, each with its signature"""

    def compiled(self, signature: Any) -> Callable[[_Function], _Function]:
        """Declare a kernel. Sums may be reordered, but NaN and infinities keep their meaning."""
        return self._njit(signature, {"contract", "reassoc", "nsz", "arcp"})

    def compiled_as_written(self, signature: Any) -> Callable[[_Function], _Function]:
        """Declare a kernel whose operations keep their order."""
        return self._njit(signature, {"contract"})

    def _njit(self, signature: Any, freedom: set[str]) -> Callable[[_Function], _Function]:
        """Declare a kernel, cached on disk, or in this process only if that is impossible.

        Division by zero is no error: checking for it would prevent vectorisation.
        """
        how: dict[str, Any] = {"nogil": True, "fastmath": freedom, "error_model": "numpy"}

        def declared(function: _Function) -> _Function:
            try:
                kernel: Any = njit(cache=True, **how)(function)
            except RuntimeError:  # no writable place, beside the file or in the user's cache
                kernel = njit(**how)(function)
            self._declared.append((kernel, signature))
            return kernel  # type: ignore[no-any-return]

        return declared

    def load(self) -> None:
        """Compile all kernels or load them from the cache, one process at a time."""
        with open(self._file, encoding="utf-8") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            for kernel, signature in self._declared:
                kernel.compile(signature)
                kernel.disable_compile()
