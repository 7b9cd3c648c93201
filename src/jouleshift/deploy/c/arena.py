"""Fixed memory: every buffer at an offset of one array, shared by those that never live together.

Time is counted in half steps, two a node: 2i while node i reads its source into a frame, 2i + 1 while it
computes. A buffer lives from `first` to `last`, both included. The largest buffer is placed first, each at
the lowest offset where it collides with none that lives at the same time (Pisarchyk & Lee, 2020, "greedy by
size").
"""

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 8


@dataclass(frozen=True)
class Buffer:
    """`n_bytes` needed in the half steps `first` … `last`."""

    name: str
    n_bytes: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        """Whether both live at some moment."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Byte offsets by name, and the size of the array."""

    offsets: dict[str, int]
    n_bytes: int


def aligned(n_bytes: int) -> int:
    """The next multiple of the alignment that suits every type."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def live_bytes(buffers: Sequence[Buffer]) -> int:
    """The most that is alive at once: no plan is smaller."""
    return max((sum(aligned(b.n_bytes) for b in buffers if b.meets(one) and b.first <= one.first <= b.last)
                for one in buffers), default=0)  # fmt: skip


def plan(buffers: Sequence[Buffer]) -> Plan:
    """Offsets such that buffers which meet do not overlap."""
    placed: list[tuple[Buffer, int]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.n_bytes, b.first)):
        offset = 0
        for other, at in sorted(placed, key=lambda pair: pair[1]):
            if not buffer.meets(other):
                continue
            if at >= offset + buffer.n_bytes:
                break
            offset = max(offset, at + aligned(other.n_bytes))
        placed.append((buffer, offset))
    size = max((at + aligned(buffer.n_bytes) for buffer, at in placed), default=0)
    return Plan({buffer.name: at for buffer, at in placed}, size)
