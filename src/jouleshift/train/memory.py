"""How tensors lie in memory, and that freed memory is kept for the next step.

Convolutions of images are fastest with a pixel's channels side by side (channels-last).

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

import torch
from torch import nn

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


def make_channels_last(model: nn.Module) -> None:
    """Lay out what has four dimensions channels-last, in place; the rest, five dimensions too, stays."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
