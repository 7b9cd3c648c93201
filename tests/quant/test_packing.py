"""Packing there and back, its size, and its layout written out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.quant import packing
from jouleshift.quant import power_of_two as po2


@given(st.data(), st.sampled_from(["Q", "PS"]), st.integers(2, 8), st.integers(0, 40))
def test_there_and_back(data, kind, weight_bits, n_weights):
    levels = po2.grid(kind, weight_bits)
    signs = data.draw(
        st.lists(
            st.sampled_from([-1, 0, 1] if levels.has_zero else [-1, 1]),
            min_size=n_weights,
            max_size=n_weights,
        )
    )
    distances = [data.draw(st.integers(0, -levels.lowest)) if sign else 0 for sign in signs]
    codes = packing.encode(torch.tensor(signs), torch.tensor(distances), levels)
    assert all(code < 2**weight_bits for code in codes.tolist())
    packed = packing.pack(codes, weight_bits)
    assert len(packed) == packing.packed_size(n_weights, weight_bits) == -(-n_weights * weight_bits // 8)
    assert int.from_bytes(packed, "little") == sum(
        code << (weight_bits * i) for i, code in enumerate(codes.tolist())
    )
    back = packing.decode(packing.unpack(packed, weight_bits, (n_weights,)), levels)
    assert [part.tolist() for part in back] == [signs, distances]


def test_the_layout_by_hand():
    signs, distances = torch.tensor([[1, -1], [0, -1]]), torch.tensor([[0, 1], [0, 2]])
    codes = packing.encode(signs, distances, po2.grid("PS", 3))
    assert codes.tolist() == [[0, 3], [6, 5]]
    assert packing.pack(codes, 3) == (0 | 3 << 3 | 6 << 6 | 5 << 9).to_bytes(2, "little")


def test_every_code_of_the_full_grid_is_used():
    levels = po2.grid("Q", 8)
    distances = torch.arange(128).repeat(2)
    signs = torch.tensor([1] * 128 + [-1] * 128)
    assert sorted(packing.encode(signs, distances, levels).tolist()) == list(range(256))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no zero level"):
        packing.encode(torch.tensor([0]), torch.tensor([0]), po2.grid("Q", 4))
    with pytest.raises(ValueError, match="below the top"):
        packing.encode(torch.tensor([1]), torch.tensor([7]), po2.grid("PS", 4))
    with pytest.raises(ValueError, match="expected 2"):
        packing.unpack(b"123", 3, (4,))
