"""Shift weights as bits: `weight_bits` bits each, one after another, the lowest bit of each byte first.

The code of one weight is  negative + 2 · (top exponent − exponent):  bit 0 the sign, the rest how far the
exponent lies below the channel's top. In the PS grid the largest distance, which no exponent has, means zero:

    PS, 3 bits   exponents 0, −1, −2    codes 0 … 5, zero is 6        (7 is never written)
    Q, 3 bits    exponents 0 … −3       codes 0 … 7

A layer of n weights takes ⌈n · weight_bits / 8⌉ bytes; unused bits of the last byte are zero.
"""

import numpy as np
import torch
from torch import Tensor

from jouleshift.quant.power_of_two import Grid


def packed_size(n_weights: int, weight_bits: int) -> int:
    """Bytes that `n_weights` weights take."""
    return -(-n_weights * weight_bits // 8)


def encode(signs: Tensor, distances: Tensor, levels: Grid) -> Tensor:
    """Codes (uint8, same shape) of signs (−1, 0, 1) and distances below the top (0 … −lowest).

    Raises ValueError for a distance off the grid, or a zero where the grid has none.
    """
    zero = signs == 0
    if bool(zero.any()) and not levels.has_zero:
        raise ValueError("this grid has no zero level")
    distances = distances.to(torch.int16).masked_fill(zero, levels.n_exponents)
    if bool(((distances < 0) | (distances > -levels.lowest) & ~zero).any()):
        raise ValueError(f"exponents must lie 0 … {-levels.lowest} below the top")
    return (2 * distances + (signs < 0)).to(torch.uint8)


def decode(codes: Tensor, levels: Grid) -> tuple[Tensor, Tensor]:
    """The inverse of `encode`: signs and distances, int8. The distance of a zero is 0."""
    distances = (codes >> 1).to(torch.int16)
    zero = distances >= levels.n_exponents
    signs = torch.where(zero, 0, 1 - 2 * (codes & 1).to(torch.int8)).to(torch.int8)
    return signs, distances.masked_fill(zero, 0).to(torch.int8)


def pack(codes: Tensor, weight_bits: int) -> bytes:
    """Codes below 2^weight_bits, in row-major order, as bytes."""
    flat = codes.detach().cpu().numpy().astype(np.uint8).reshape(-1, 1)
    bits = np.unpackbits(flat, axis=1, bitorder="little")[:, :weight_bits]
    return np.packbits(bits.reshape(-1), bitorder="little").tobytes()


def unpack(packed: bytes, weight_bits: int, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `pack`: codes (uint8) of the given shape. ValueError where the length does not fit."""
    n_weights = int(np.prod(shape, dtype=np.int64))
    if len(packed) != packed_size(n_weights, weight_bits):
        raise ValueError(
            f"{len(packed)} bytes, expected {packed_size(n_weights, weight_bits)} for shape {shape}"
        )
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[: n_weights * weight_bits]
    codes = np.packbits(bits.reshape(n_weights, weight_bits), axis=1, bitorder="little")
    return torch.from_numpy(codes.reshape(shape).copy())
