"""C functions with their types filled in.

A file of `kernels/` is C with words for types in it: `sums_IN_ACC(const IN_t *in, ACC_t *sums)`. Rendered
for IN = uint8, ACC = uint32 it is the function `sums_uint8_uint32` over `uint8_t` and `uint32_t`. Its first
line may list the kernels it needs, rendered for the same types; only what a program uses is written. Where
some types want functions of their own, `clamped.WIDE=float32.c` goes before `clamped.c` for those.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent / "kernels"
_WORDS = re.compile(r"(?<![A-Za-z0-9])(u?)(IN|ACC|TAP|STEP|OUT|WIDE|BIAS|LEFT|RIGHT)(?![A-Za-z0-9])")
_NEEDS = re.compile(r"\A/\* needs: ([\w ]+) \*/\n")


@dataclass(frozen=True)
class Kernel:
    """One file of `folder` and what its words stand for: `types` is (word, value) pairs."""

    stem: str
    types: tuple[tuple[str, str], ...] = ()
    folder: Path = FOLDER

    @cached_property
    def text(self) -> str:
        """The C text, without the line of needs."""
        values = dict(self.types)
        return _WORDS.sub(lambda word: word[1] + values.get(word[2], word[2]), _NEEDS.sub("", self._source))

    def value(self, word: str) -> str:
        """What a word stands for."""
        return dict(self.types)[word]

    @property
    def needs(self) -> list["Kernel"]:
        """The kernels that must stand before this one."""
        found = _NEEDS.match(self._source)
        return [Kernel(stem, self.types, self.folder) for stem in found[1].split()] if found else []

    @cached_property
    def _source(self) -> str:
        candidates = [
            path
            for folder in dict.fromkeys((self.folder, FOLDER))
            for path in sorted(folder.glob(f"{self.stem}.*"), key=lambda path: -path.name.count("="))
            if {*path.name.split(".")[1:-1]} <= {f"{word}={value}" for word, value in self.types}
        ]
        return candidates[0].read_text()


def kernel(stem: str, **types: str) -> Kernel:
    """A kernel with the words `types`, and those that follow from them."""
    derived = {}
    if "ACC" in types:
        derived["BIAS"] = types["ACC"].removeprefix("u")
    if "OUT" in types:
        derived["WIDE"] = wide(types["OUT"])
    return Kernel(stem, tuple((derived | types).items()))


def wide(out: str) -> str:
    """The signed type that results are clamped in before they are stored."""
    return out if out == "float32" else "int32" if out in ("int8", "uint8", "int16", "uint16") else "int64"


def rendered(kernels: Iterable[Kernel]) -> str:
    """The text of kernels, each once, behind what it needs."""
    texts: dict[str, None] = {}

    def add(one: Kernel) -> None:
        for needed in one.needs:
            add(needed)
        texts[one.text] = None

    for one in kernels:
        add(one)
    return "\n".join(texts)
