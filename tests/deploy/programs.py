"""Small integer programs of every node kind, with random weights and formats, for the executors' contract.

Multipliers are drawn so that results reach past both ends of their format, and images so that inputs do.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.checks import check, positions
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.quantiser import attainable
from jouleshift.quant.fixed_point import FixedPoint

U8, S8 = FixedPoint(3, 5, signed=False), FixedPoint(3, 5)
U4, S6, S12, S16 = FixedPoint(1, 3, False), FixedPoint(2, 4), FixedPoint(4, 8), FixedPoint(5, 11)
S32, U32, S44 = FixedPoint(3, 29), FixedPoint(4, 28, False), FixedPoint(4, 40)


class Builder:
    """Strings nodes together; every method appends one and returns its value's name."""

    def __init__(self, shape: p.Shape, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.input = p.Value("images", shape, None)
        self.nodes: list[p.Node] = []

    def program(self) -> IntegerProgram:
        made = IntegerProgram(self.input, tuple(self.nodes), self.nodes[-1].output.name)
        check(made)
        return made

    def images(self, n: int = 6) -> np.ndarray:
        """Random images (n, C, H, W), float32, of a range wider than the formats'."""
        return self.rng.normal(0, 3, (n, *self.input.shape)).astype(np.float32)

    def value(self, name: str) -> p.Value:
        return next((n.output for n in self.nodes if n.output.name == name), self.input)

    def _append(self, node: p.Node) -> str:
        self.nodes.append(node)
        return node.output.name

    def _name(self) -> str:
        return f"v{len(self.nodes)}"

    def quantise(self, fmt: FixedPoint, source: str = "images") -> str:
        return self._append(p.Quantise((source,), p.Value(self._name(), self.value(source).shape, fmt)))

    def requantise(self, source: str, fmt: FixedPoint) -> str:
        return self._append(p.Requantise((source,), p.Value(self._name(), self.value(source).shape, fmt)))

    def layer(
        self,
        source: str,
        fmt: FixedPoint | None,
        out: int,
        geometry: p.Geometry | None = None,
        span: int = 6,
        clamp: tuple[float | None, float | None] = (None, None),
        kind: str = "PS",
    ) -> str:
        read = self.value(source)
        weights = self.weights(read.shape, out, geometry, span, kind)
        lowest, highest = p.limits(read.fixed)
        integers = weights.integers.reshape(out, -1)
        reach = np.abs(integers).sum(1) * max(abs(lowest), highest)
        bias = (self.rng.uniform(-0.1, 0.1, out) * reach).astype(np.int64)
        positive, negative = np.maximum(integers, 0).sum(1), np.minimum(integers, 0).sum(1)
        high = positive * highest + negative * lowest + np.maximum(bias, 0)
        low = positive * lowest + negative * highest + np.minimum(bias, 0)
        spread = np.sqrt((integers.astype(float) ** 2).sum(1).clip(1)) * max(abs(lowest), highest) / 2
        wanted = 100.0 if fmt is None else float(p.limits(fmt)[1])
        multiplier = attainable((wanted / spread * self.rng.uniform(0.3, 1.5, out)).astype(np.float32))
        bits = 32 if max(high.max(), -low.min()) < 1 << 31 else 64
        shape = (out,) if geometry is None else (out, *positions(geometry, read.shape))
        value = p.Value(self._name(), shape, fmt)
        low_limit, high_limit = self._clamp(fmt, clamp)
        return self._append(
            p.ShiftLayer(
                (source,), value, low_limit, high_limit, f"layer {value.name}", weights, bias, multiplier,
                geometry, bits, int(low.min()), int(high.max()),
            )
        )  # fmt: skip

    def weights(
        self, shape: p.Shape, out: int, geometry: p.Geometry | None, span: int, kind: str
    ) -> p.ShiftWeights:
        of = (out, shape[0]) if geometry is None else (out, shape[0] // geometry.groups, *geometry.kernel)
        bits = next(b for b in range(2, 9) if (2 ** (b - 1) - (2 if kind == "PS" else 1)) >= span)
        signs = self.rng.choice([-1, 0, 1] if kind == "PS" else [-1, 1], of).astype(np.int8)
        distances = np.where(signs == 0, 0, self.rng.integers(0, span + 1, of)).astype(np.int8)
        return p.ShiftWeights(kind, bits, signs, distances, distances.reshape(out, -1).max(1))

    @staticmethod
    def _clamp(
        fmt: FixedPoint | None, clamp: tuple[float | None, float | None]
    ) -> tuple[p.Number | None, p.Number | None]:
        if fmt is None:
            return clamp
        lowest, highest = p.limits(fmt)
        low, high = (None if limit is None else round(limit / fmt.step) for limit in clamp)
        return (
            lowest if low is None else max(lowest, low),
            highest if high is None else min(highest, high),
        )

    def add(
        self,
        sources: tuple[str, str],
        fmt: FixedPoint | None,
        clamp: tuple[float | None, float | None] = (None, None),
    ) -> str:
        value = p.Value(self._name(), self.value(sources[0]).shape, fmt)
        return self._append(p.Add(sources, value, *self._clamp(fmt, clamp)))

    def clamp(self, source: str, low: float | None, high: float | None) -> str:
        read = self.value(source)
        value = replace(read, name=self._name())
        return self._append(p.Clamp((source,), value, *self._clamp(read.format, (low, high))))

    def concat(self, *sources: str) -> str:
        read = [self.value(name) for name in sources]
        shape = (sum(value.shape[0] for value in read), *read[0].shape[1:])
        return self._append(p.Concat(sources, p.Value(self._name(), shape, read[0].format)))

    def max_pool(self, source: str, geometry: p.Geometry) -> str:
        read = self.value(source)
        shape = (read.shape[0], *positions(geometry, read.shape))
        return self._append(p.MaxPool((source,), p.Value(self._name(), shape, read.format), geometry))

    def average(self, source: str, geometry: p.Geometry, fmt: FixedPoint | None) -> str:
        read = self.value(source)
        shape = (read.shape[0], *positions(geometry, read.shape))
        finer = fmt.fraction_bits - read.fixed.fraction_bits if fmt else 0
        multiplier = float(np.float32(2.0**finer / np.prod(geometry.kernel)))
        value = p.Value(self._name(), shape, fmt)
        return self._append(p.AveragePool((source,), value, geometry, multiplier))

    def subsample(self, source: str, step: tuple[int, int]) -> str:
        read = self.value(source)
        size = tuple(-(-length // by) for length, by in zip(read.shape[1:], step, strict=True))
        value = p.Value(self._name(), (read.shape[0], *size), read.format)
        return self._append(p.Subsample((source,), value, step))

    def pad(self, source: str, amounts: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]) -> str:
        read = self.value(source)
        shape = tuple(n + sum(extra) for n, extra in zip(read.shape, amounts, strict=True))
        return self._append(p.Pad((source,), p.Value(self._name(), shape, read.format), amounts))

    def flatten(self, source: str) -> str:
        read = self.value(source)
        shape = (int(np.prod(read.shape)),)
        return self._append(p.Flatten((source,), p.Value(self._name(), shape, read.format)))


SAME = p.Geometry((3, 3), padding=(1, 1, 1, 1))
ODD = p.Geometry((2, 3), stride=(2, 1), padding=(0, 2, 1, 1), dilation=(1, 2), groups=2)


def depthwise(channels: int) -> p.Geometry:
    return replace(SAME, groups=channels)


def _plain(first: FixedPoint, last: FixedPoint | None, **layer) -> Builder:
    made = Builder((6, 9, 8), 1)
    made.layer(made.quantise(first), last, 8, **({"geometry": SAME} | layer))
    return made


def _chain(clamp: tuple[float | None, float | None], fmt: FixedPoint) -> Builder:
    """Layers behind one another, so that runtimes may fuse across them; the last one linear."""
    made = Builder((4, 10, 10), 2)
    made.layer(made.quantise(S8), fmt, 12, SAME, clamp=clamp)
    made.layer("v1", fmt, 12, depthwise(12), clamp=clamp)
    made.layer("v2", fmt, 16, p.Geometry((1, 1), stride=(2, 2)), clamp=clamp)
    made.average("v3", p.Geometry((5, 5)), fmt)
    made.layer(made.flatten("v4"), S16, 10)
    return made


def _residual(inside: FixedPoint, operand: FixedPoint) -> Builder:
    made = Builder((4, 8, 8), 3)
    made.layer(made.quantise(S8), inside, 8, SAME, clamp=(0, None))
    made.layer("v1", operand, 8, SAME)
    made.add(("v2", "v1"), inside, clamp=(0, None))
    made.layer("v3", operand, 8, depthwise(8), clamp=(0, 6))
    made.layer("v3", operand, 8, p.Geometry((1, 1)))
    made.add(("v4", "v5"), inside, clamp=(0, None))
    made.layer("v6", inside, 8, SAME, clamp=(0, None))
    return made


def _joined() -> Builder:
    made = Builder((4, 9, 9), 4)
    made.layer(made.quantise(S8), U8, 6, SAME)
    made.max_pool("v1", p.Geometry((3, 3), padding=(1, 1, 1, 1)))
    made.layer("v2", U8, 5, p.Geometry((1, 1)))
    made.concat("v3", "v1", "v2")
    made.max_pool("v4", p.Geometry((2, 2), stride=(2, 2)))
    made.layer("v5", S8, 7, SAME)
    return made


def _wide(fmt: FixedPoint, other: FixedPoint) -> Builder:
    """Everything that a wide network has, with steps that differ where sums meet, and a narrow end."""
    made = Builder((4, 9, 8), 10)
    made.layer(made.quantise(fmt), fmt, 6, SAME, clamp=(0, None), span=14)
    made.layer("v1", other, 6, depthwise(6))
    made.add(("v2", "v1"), fmt, clamp=(0, None))
    made.max_pool("v3", p.Geometry((3, 3), padding=(1, 1, 1, 1)))
    made.concat("v3", "v4")
    made.layer("v5", other, 4, ODD, span=9, kind="Q")
    made.pad(made.subsample("v6", (1, 2)), ((0, 2), (0, 1), (1, 0)))
    made.average("v8", p.Geometry((2, 2), (1, 1), (1, 0, 0, 1)), fmt)
    made.requantise("v9", other)
    made.clamp("v10", -2, 1)
    made.average("v11", p.Geometry((4, 5)), other)
    made.layer(made.flatten("v12"), S12, 10)
    made.layer("v14", fmt, 7, span=2)
    return made


def _moved(fmt: FixedPoint) -> Builder:
    """Subsampling and padding with zeros, as in a residual shortcut without weights."""
    made = Builder((3, 7, 8), 5)
    made.subsample(made.quantise(fmt), (2, 3))
    made.pad("v1", ((1, 2), (0, 1), (2, 0)))
    made.max_pool("v2", p.Geometry((3, 2), padding=(1, 0, 1, 1), dilation=(1, 2)))
    return made


def _means(first: FixedPoint, last: FixedPoint | None) -> Builder:
    made = Builder((3, 8, 8), 6)
    made.average(made.quantise(first), p.Geometry((3, 3), (2, 1), (1, 1, 1, 1)), last)
    return made


def _converted(first: FixedPoint, last: FixedPoint) -> Builder:
    made = Builder((3, 5, 5), 7)
    made.requantise(made.quantise(first), last)
    return made


def _clamped(fmt: FixedPoint) -> Builder:
    made = Builder((3, 5, 5), 8)
    made.clamp(made.quantise(fmt), -0.5, 1)
    return made


def _sum(left: FixedPoint, right: FixedPoint, fmt: FixedPoint) -> Builder:
    made = Builder((3, 6, 6), 9)
    made.add((made.quantise(left), made.quantise(right, "images")), fmt, clamp=(-1.5, None))
    return made


def _random(seed: int) -> Builder:
    """A layer of random formats, groups, window, padding, stride and dilation."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 2, 3, 6]))
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    window = p.Geometry(
        kernel=(kernel[0], kernel[1]),
        stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=(int(rng.integers(3)), int(rng.integers(3)), int(rng.integers(3)), int(rng.integers(3))),
        dilation=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        groups=groups,
    )
    made = Builder((6, int(rng.integers(6, 12)), int(rng.integers(6, 12))), seed)
    first, last = (
        FixedPoint(int(rng.integers(1, 5)), int(rng.integers(1, 5)), bool(rng.integers(2))) for _ in range(2)
    )
    clamp = [(None, None), (0, None), (0, 1), (-0.5, 0.75)][int(rng.integers(4))]
    span = int(rng.integers(0, 9))
    made.layer(made.quantise(first), last, groups * int(rng.integers(1, 4)), window, span, clamp)
    return made


PROGRAMS = {
    "layer u8 u8": lambda: _plain(U8, U8),
    "layer s8 s8": lambda: _plain(S8, S8),
    "layer s8 u4": lambda: _plain(S8, U4, clamp=(0, None)),
    "layer u4 s6": lambda: _plain(U4, S6, kind="Q"),
    "layer relu6": lambda: _plain(S8, U8, clamp=(0, 6)),
    "layer odd window": lambda: _plain(U8, S8, geometry=ODD),
    "layer odd window, signed": lambda: _plain(S8, S8, geometry=ODD),
    "layer without shifts": lambda: _plain(U8, S8, span=0),
    "layer span 2": lambda: _plain(S8, U8, span=2, kind="Q"),
    "layer span 7": lambda: _plain(S8, U8, span=7, kind="Q"),
    "layer span 14": lambda: _plain(U8, U8, span=14),
    "layer wide result": lambda: _plain(U8, S16),
    "layer float result": lambda: _plain(S8, None),
    "layer 12 bits": lambda: _plain(S12, S12, span=3, geometry=p.Geometry((1, 1))),
    "layer 16 bits": lambda: _plain(S16, S16, span=6, geometry=p.Geometry((1, 1))),
    "layer 16 bits, wide sums": lambda: _plain(S16, S12, span=14),
    "layer 16 bits, wide sums, odd window": lambda: _plain(S16, S12, span=14, geometry=ODD),
    "layer 32 bits": lambda: _plain(S32, S32),
    "layer 32 bits, unsigned": lambda: _plain(U32, U8, span=9, geometry=ODD),
    "layer 32 bits, span 24": lambda: _plain(S32, S32, span=24),
    "layer 32 bits, float result": lambda: _plain(S32, None),
    "layer 44 bits": lambda: _plain(S44, S44),
    "wide, 32 bits": lambda: _wide(S32, FixedPoint(5, 23)),
    "wide, 36 bits": lambda: _wide(FixedPoint(4, 32), FixedPoint(5, 29)),
    "wide, unsigned and narrow": lambda: _wide(U32, S12),
    "chain relu": lambda: _chain((0, None), U8),
    "chain relu6": lambda: _chain((0, 6), U8),
    "chain linear": lambda: _chain((None, None), S8),
    "chain relu6, 4 bits": lambda: _chain((0, 1), U4),
    "residual": lambda: _residual(U8, S8),
    "residual, other formats": lambda: _residual(U8, FixedPoint(5, 3)),
    "residual, 16 bits": lambda: _residual(U8, S16),
    "joined": _joined,
    "moved u8": lambda: _moved(U8),
    "moved s8": lambda: _moved(S8),
    "moved s12": lambda: _moved(S12),
    "moved s44": lambda: _moved(S44),
    "means s8 s8": lambda: _means(S8, S8),
    "means u8 u4": lambda: _means(U8, U4),
    "means s12 s16": lambda: _means(S12, S16),
    "means s32 s16": lambda: _means(S32, S16),
    "converted coarser": lambda: _converted(S8, S6),
    "converted finer": lambda: _converted(S6, FixedPoint(2, 6)),
    "converted unsigned": lambda: _converted(S12, U8),
    "converted s44 s12": lambda: _converted(S44, S12),
    "converted s12 s32": lambda: _converted(S12, FixedPoint(6, 26)),
    "clamped s8": lambda: _clamped(S8),
    "clamped s12": lambda: _clamped(S12),
    "clamped s32": lambda: _clamped(S32),
    "sum s8 u8": lambda: _sum(S8, U8, S8),
    "sum other steps": lambda: _sum(FixedPoint(1, 7), FixedPoint(5, 3), S6),
    "sum s12 u8": lambda: _sum(S12, U8, S12),
    "sum s32 u8": lambda: _sum(S32, U8, S12),
    "sum s32 s32": lambda: _sum(S32, FixedPoint(5, 27), S32),
    "sum far steps": lambda: _sum(FixedPoint(2, 14), FixedPoint(13, 3), S12),
} | {f"random {seed}": partial(_random, seed) for seed in range(12)}
"""By name: a function that makes a fresh builder, for its program and its images."""

SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover")
"""Flags for a C compiler."""
TYPICAL = frozenset({
    "layer odd window, signed", "layer span 14", "layer float result", "layer 16 bits, wide sums",
    "chain relu6", "residual, 16 bits", "joined", "moved s12", "means s12 s16", "converted coarser",
    "clamped s8", "sum s12 u8",
})  # fmt: skip
"""Programs with something of everything, for executors that take long to build."""
