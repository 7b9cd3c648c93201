"""The entry point: light, so that an interruption while the libraries load ends as quietly as a later one."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; exit with 130 when interrupted by Ctrl-C or SIGTERM, at whatever moment."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        from jouleshift.cli import run

        sys.exit(run())
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, the same command continues", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
