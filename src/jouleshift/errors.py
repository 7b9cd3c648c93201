"""What a user can get wrong, as one exception.

Every input that comes from outside (a path, a flag, a YAML key, an image, a network) may be broken. Code that
meets such an input raises `BadInput` with one line that names what is wrong, where, and what to do. The
command line prints that line on stderr and exits with code 2; a library user catches it. Any other exception
that reaches the command line is a bug of ours: exit code 1 and a traceback in run.log.

A trial that fails while the search goes on is not an exception but a value: `records.Failure`.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def one_line(text: str) -> str:
    """Text that fits one line of a terminal and does nothing else there: names of files and layers come from
    outside, and control characters in them would colour it or move its cursor.

    >>> one_line("cat/a\\nb\\x1b[31m.png")
    'cat/a b [31m.png'
    """
    return " ".join(_CONTROLS.sub(" ", text).split())


class BadInput(Exception):  # noqa: N818 - it names what happened, not that it is an error
    """One line for the user: what is wrong, where, and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class Unwritable(BadInput):
    """The disk takes nothing more. It ends a search, where other input that is refused fails a trial."""


class Bug(Exception):  # noqa: N818 - it names what happened
    """A defect of ours met during a run; its traceback is in `log`. The command line exits with code 1."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"a bug of ours; traceback in {log}")
        self.log = log


def told(error: BaseException) -> str:
    """An exception of someone else's code in a line: its kind, and the first line of what it says.

    >>> told(RuntimeError("weights missing\\nin layer 3"))
    'RuntimeError: weights missing'
    """
    first = str(error).strip().partition("\n")[0]
    return one_line(f"{type(error).__name__}: {first}" if first else type(error).__name__)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the valid name nearest to `name`, or the list of valid names.

    >>> nearest("resnet2", ["resnet20", "tiny"])
    " (did you mean 'resnet20'?)"
    """
    names = sorted(valid)
    folded = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {folded[close[0]]!r}?)"
    return f" (valid: {', '.join(names)})"
