"""Reference mode against DeepShift's own layers: forward pass, gradients, and both roundings.

    python benchmarks/deepshift_equality.py --peer ~/DeepShift/pytorch

Deterministic rounding: both layers get the same latents, input and upstream gradient, at 2 … 8 weight bits,
as a convolution and as a linear layer; shown is the largest difference of any output or gradient relative to
the largest value of that tensor. Stochastic rounding: the mean weight over many draws, as the largest
difference of the two means in units of its standard error (some thousand elements stay below about 4).

Inputs lie within the activations' range, as the ends of DeepShift's range differ on purpose; docs/training.md
lists the deviations.
"""

import argparse
import contextlib
import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from measuring import write
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear

FORMAT = {"act_integer_bits": 5, "act_fraction_bits": 8}
DRAWS = 2000


def float_layer(kind_of_layer: str) -> nn.Module:
    return nn.Conv2d(8, 12, 3, padding=1, stride=2) if kind_of_layer == "conv" else nn.Linear(40, 30)


def ours(layer: nn.Module, kind: str, bits: int, rounding: str) -> ShiftLayer:
    config = ShiftConfig(kind=kind, weight_bits=bits, rounding=rounding, mode="reference", **FORMAT)
    shift_layer = ShiftConv2d if isinstance(layer, nn.Conv2d) else ShiftLinear
    return shift_layer.from_float(layer, config)


def peers(layer: Any, kind: str, bits: int, rounding: str) -> nn.Module:
    from deepshift import modules, modules_q

    settings = {"weight_bits": bits, "rounding": rounding, "use_kernel": False, **FORMAT}
    if isinstance(layer, nn.Conv2d):
        build = modules_q.Conv2dShiftQ if kind == "Q" else modules.Conv2dShift
        sizes = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
        return build(*sizes, **settings)
    build = modules_q.LinearShiftQ if kind == "Q" else modules.LinearShift
    return build(layer.in_features, layer.out_features, **settings)


def pair(kind_of_layer: str, kind: str, bits: int, rounding: str) -> tuple[ShiftLayer, nn.Module]:
    """Our layer and DeepShift's with the same latents, which reach past both ends of the grid."""
    layer = float_layer(kind_of_layer)
    our, peer = ours(layer, kind, bits, rounding), peers(layer, kind, bits, rounding)
    with torch.no_grad():
        for name, latent in our.latent.named_parameters():
            if name == "shift":
                latent.uniform_(our.latent.grid.lowest - 2, 2)
            else:
                latent.normal_()
            peer.get_parameter(name).copy_(latent)
        peer.bias.copy_(our.bias)
    return our, peer


def passes(layer: nn.Module, values: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    """Output and every gradient of one forward and backward pass."""
    values = values.clone().requires_grad_()
    out = layer(values)
    out.backward(upstream)
    gradients = {name.split(".")[-1]: p.grad for name, p in layer.named_parameters()}
    return {"output": out.detach(), "input": values.grad, **gradients}


def deterministic(kind_of_layer: str, kind: str, bits: int) -> float:
    our, peer = pair(kind_of_layer, kind, bits, "deterministic")
    values = torch.randn((4, 8, 9, 9) if kind_of_layer == "conv" else (16, 40))
    upstream = torch.randn_like(our(values))
    found, expected = (passes(layer, values, upstream) for layer in (our, peer))
    assert found.keys() == expected.keys()
    return max(((found[n] - e).abs().max() / e.abs().max()).item() for n, e in expected.items())


def peer_weight(peer: Any, kind: str) -> Tensor:
    """The weight of a linear layer without bias, read off by the identity; DeepShift rounds it in forward."""
    peer.bias.data.zero_()
    return peer(torch.eye(peer.in_features)).T


@torch.no_grad()
def stochastic(kind: str, bits: int) -> float:
    our, peer = pair("linear", kind, bits, "stochastic")
    ours_drawn = torch.stack([our.quantised_weight() for _ in range(DRAWS)]).double()
    peers_drawn = torch.stack([peer_weight(peer, kind) for _ in range(DRAWS)]).double()
    difference = (ours_drawn.mean(0) - peers_drawn.mean(0)).abs()
    error = ((ours_drawn.var(0) + peers_drawn.var(0)) / DRAWS).sqrt()
    assert bool(((error > 0) | (difference == 0)).all())
    return (difference / error.clamp_min(1e-300)).max().item()


def rows() -> Iterator[dict[str, Any]]:
    for kind in ("Q", "PS"):
        for bits in range(2, 9):
            yield {
                "kind": kind,
                "weight_bits": bits,
                "conv": deterministic("conv", kind, bits),
                "linear": deterministic("linear", kind, bits),
                "stochastic_z": stochastic(kind, bits),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="folder pytorch of a checkout of DeepShift")
    options = parser.parse_args()
    sys.path.insert(0, str(options.peer))
    with contextlib.redirect_stdout(io.StringIO()):
        import deepshift.modules_q  # noqa: F401 - prints when its CUDA kernels are missing
    torch.manual_seed(0)
    found = []
    print("largest relative difference (deterministic); largest difference of means in standard errors")
    for row in rows():
        found.append(row)
        print(
            f"  {row['kind']:2} {row['weight_bits']} bits  conv {row['conv']:.1e}  linear {row['linear']:.1e}"
            f"  stochastic {row['stochastic_z']:.1f}",
            flush=True,
        )
    write("deepshift_equality", {"epsilon": 2.0**-23, "draws": DRAWS, "rows": found})
    worst = max(max(row["conv"], row["linear"]) for row in found)
    print(f"worst: {worst:.1e} = 2^{math.log2(worst):.1f}" if worst else "worst: 0")


if __name__ == "__main__":
    main()
