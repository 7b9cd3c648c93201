"""Where training runs: the CPU, or an accelerator that PyTorch knows."""

import torch

from jouleshift.errors import BadInput


def resolve_device(name: str) -> torch.device:
    """The device of that name; 'auto' is CUDA, then MPS, then the CPU. `BadInput` where it is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"device {name!r} cannot be used here: {reason} (valid: auto, cpu, cuda, mps)"
        ) from None
    return device
