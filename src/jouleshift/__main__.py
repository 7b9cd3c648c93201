"""The entry point: light, so that an interruption while the libraries load ends as quietly as a later one."""

import signal
import sys
from typing import NoReturn

_CONTINUED = ("search", "demo", "verify", "paper")
"""Commands that train trials and, given again, go on with the next."""


def main() -> NoReturn:
    """Run the command line; exit with 130 when interrupted by Ctrl-C or SIGTERM, at whatever moment."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        from jouleshift.cli import run

        sys.exit(run())
    except KeyboardInterrupt:
        # One that passed through text given to exec, as while a dataclass is made, leaves a mark by which
        # `python -m` ends with the signal instead of the exit code; running the next text wipes it off.
        exec("")
        kept = bool({*sys.argv[1:2]} & {*_CONTINUED})
        rest = "; finished trials are kept, the same command continues" if kept else ""
        print(f"interrupted{rest}", file=sys.stderr)
        sys.exit(130)


def _stop(*_: object) -> None:
    """As Ctrl-C; also where that is ignored, as scripts have it for what they start with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
