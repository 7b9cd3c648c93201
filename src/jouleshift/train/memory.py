"""Freed memory is kept for the next step.

Each training step allocates and frees the same large tensors. By default glibc gives blocks of that size back
to the operating system at once and gets them anew a moment later, page by page, each page zeroed: up to half
of a small network's step. Told not to map large blocks apart and not to trim, it keeps them, at a peak up to
a tenth higher (docs/training.md has the figures).

Only glibc (Linux) can be told so. Elsewhere nothing is done, nor where the user has tuned malloc by
environment variable.
"""

import ctypes
import functools
import os
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER_TRIM = 2**31 - 1
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


@functools.cache
def keep_freed_memory() -> bool:
    """Tell malloc, once a process, to keep what is freed; whether it was told."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _VARIABLES):
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM))
