"""Waiting for accelerators: work that is still queued must not end outside the window that measures it."""

import sys


def settle() -> None:
    """Return when everything queued on this process's accelerator is done; at once where there is none."""
    torch = sys.modules.get("torch")  # whoever queued work has imported it
    if torch is not None and torch.accelerator.is_available():
        torch.accelerator.synchronize()
